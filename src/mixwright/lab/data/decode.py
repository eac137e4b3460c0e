"""An encoded image (JPEG, PNG, ...) as a square of RGB pixels, by Pillow alone."""

from __future__ import annotations

import contextlib
import io
import math
import stat
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".ppm", ".pgm", ".pbm", ".jp2", ".avif"),
)
"""Endings of the files that are taken for images, in lower case."""

Encoded = Path | bytes
"""A file, or what would be in it."""

Decoding = Literal["exact", "fast"]
"""How an image becomes a square: as ``decode`` does it, or as ``decode_fast`` does."""

_ORIENTATION = 274  # the EXIF tag; values 5 to 8 lie on their side
_BITS = 258  # the TIFF tag
_LONGEST = 32  # sides of the square that a resized image is at most long before it is cut out


@dataclass(frozen=True, kw_only=True)
class Framing:
    """Which part of an image becomes the square that a network sees.

    Args:
        zoom: the shorter side is resized to so many times the side of the square before the
            centre is cut out: 1 keeps all of it, 8/7 is "resize to 256, cut out 224".
        banner: rows at the bottom that are no picture and are cut off first, in pixels.
        share: of the image's area, in (0, 1], that the square in its centre has which is resized;
            None for what ``zoom`` leaves. No square is larger than the shorter side.
    """

    zoom: float = 1.0
    banner: int = 0
    share: float | None = None

    @property
    def described(self) -> str:
        """The framing in words."""
        cut = f"{self.banner} rows at the bottom cut off, " if self.banner else ""
        if self.share is not None:
            return f"{cut}{centre_square(self.share)}"
        side = "the side" if self.zoom == 1 else f"{self.zoom:.3g} times the side"
        return f"{cut}shorter side resized to {side}, centre cut out"


PLAIN = Framing()
"""The whole of the shorter side."""


def centre_square(share: float) -> str:
    """The words for what ``centre_box`` cuts out."""
    return f"the square of {100 * share:.3g} % of the area in the centre cut out and resized"


def centre_box(height: int, width: int, share: float) -> tuple[int, int, int]:
    """Return top, left and side of the square in the centre that has a share of the area."""
    side = min(height, width, max(1, round(math.sqrt(share * height * width))))
    return (height - side) // 2, (width - side) // 2, side


class UnreadableImageError(Exception):
    """One image cannot be read; whoever knows its name turns this into a ``DataError``."""


def image_sides(encoded: Encoded) -> tuple[int, int]:
    """Return width and height in pixels, the right way up, read from the header alone."""
    try:
        with _opened(encoded) as image:
            width, height = image.size
            turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # broken files make Pillow raise nearly anything
        raise UnreadableImageError(_reason(error)) from error
    return (height, width) if turned else (width, height)


def decode_image(encoded: Encoded, image_size: int, framing: Framing = PLAIN) -> Any:
    """Return the image as an ``(image_size, image_size, 3)`` NumPy array of uint8, RGB.

    It is turned the right way up (EXIF), brought to RGB (transparency is dropped, 16-bit grey
    scaled to 8 bits; 32-bit and floating-point pixels, whose range is not known, are refused), its
    shorter side resized to ``image_size`` (bilinear with averaging), or to more if the framing
    zooms, and its centre cut out.
    """
    import numpy as np

    with _decoded(encoded, framing) as image:
        return np.asarray(_squared(image, image_size, framing))


def decode_crops(
    encoded: Encoded,
    image_size: int,
    boxes: Callable[[int, int], list[list[int]]],
    framing: Framing = PLAIN,
) -> list[Any]:
    """Return rectangles of the whole image, each resized to a square as ``decode_image`` returns.

    ``boxes`` is called with the image's height and width, the right way up and without the
    framing's banner, and returns top, left, height and width of each rectangle.
    """
    import numpy as np
    from PIL import Image

    with _decoded(encoded, framing) as image:
        width, height = image.size
        return [
            np.asarray(
                # Cut first: Pillow's own ``box`` lets pixels from outside of it in at the edges.
                image.crop((left, top, left + wide, top + high)).resize(
                    (image_size, image_size), Image.Resampling.BILINEAR
                )
            )
            for top, left, high, wide in boxes(height, width)
        ]


@contextlib.contextmanager
def _decoded(encoded: Encoded, framing: Framing) -> Generator[Image]:
    """Give the whole image, upright, in RGB, without its banner; what fails inside is its fault."""
    with decoded_at(encoded, framing, lambda height, width: 1) as (image, _):
        yield image


@contextlib.contextmanager
def decoded_at(
    encoded: Encoded, framing: Framing, scale: Callable[[int, int], int]
) -> Generator[tuple[Image, int]]:
    """Give an image, upright, in RGB, without its banner, and what its sides were divided by.

    ``scale`` is called with height and width, the right way up and without the banner, and says by
    what they may be divided: 1, 2, 4 or 8; only a JPEG is. What fails inside is the image's fault.
    """
    try:
        with _opened(encoded) as image:
            most = _brightest(image)
            divided = _drafted(image, framing, scale)
            banner = -(-framing.banner // divided)
            yield _without_banner(_rgb(_upright(image), most), banner), divided
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # broken files make Pillow raise nearly anything
        raise UnreadableImageError(_reason(error)) from error


def _drafted(image: Image, framing: Framing, scale: Callable[[int, int], int]) -> int:
    """Prepare an image to be decoded smaller; return what its sides are divided by then."""
    width, height = image.size
    turned = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
    wide, high = (height, width) if turned else (width, height)
    wanted = scale(upright_height(high, framing), wide)
    if wanted == 1 or image.draft(None, (width // wanted, height // wanted)) is None:
        return 1
    return wanted


def _without_banner(image: Image, rows: int) -> Image:
    width, height = image.size
    return image.crop((0, 0, width, height - rows)) if 0 < rows < height else image


def upright_height(height: int, framing: Framing) -> int:
    """Return the height of an image, the right way up, without the framing's banner."""
    return height - framing.banner if 0 < framing.banner < height else height


def content(encoded: Encoded) -> bytes:
    """Return what is in an image's file.

    Raises:
        UnreadableImageError: there is no such file, or it may not be read.
    """
    if isinstance(encoded, bytes):
        return encoded
    try:
        _check_file(encoded)
        return encoded.read_bytes()
    except (OSError, ValueError) as error:
        raise UnreadableImageError(_reason(error)) from error


def _opened(encoded: Encoded) -> Image:
    from PIL import Image

    if isinstance(encoded, bytes):
        return Image.open(io.BytesIO(encoded))
    _check_file(encoded)
    return Image.open(encoded)


def _check_file(path: Path) -> None:
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):  # opening a pipe would wait for its writer
        raise ValueError("not a regular file")
    if not facts.st_size:
        raise ValueError("the file is empty")


def _upright(image: Image) -> Image:
    from PIL import ImageOps

    if image.getexif().get(_ORIENTATION, 1) == 1:
        return image
    return ImageOps.exif_transpose(image)


def _brightest(image: Image) -> int:
    """Return the value of white in an image of more than 8 bits; ask before it is turned upright.

    Modes that begin with I hold the file's own values: of 16 bits in PNG and PGM, to which Pillow
    scales them; in TIFF of as many as its tag says, and 32-bit and signed ones have no white.
    """
    if image.mode == "F" or (image.mode == "I" and image.format not in ("PNG", "PPM")):
        kind = "floating-point" if image.mode == "F" else "32-bit"
        raise ValueError(f"{kind} pixels have no known range")
    bits = getattr(image, "tag_v2", {}).get(_BITS, (16,))[0] if image.format == "TIFF" else 16
    return 2**bits - 1


def _rgb(image: Image, most: int) -> Image:
    import numpy as np
    from PIL import Image

    if image.mode == "RGB":
        return image
    if image.mode.startswith("I"):  # Pillow would clip 16-bit grey at 255
        levels = np.asarray(image).astype(np.float64).clip(0, most)
        return Image.fromarray((levels / (most / 255)).round().astype(np.uint8)).convert("RGB")
    if "transparency" in image.info:  # Pillow warns unless the way leads over RGBA
        image = image.convert("RGBA")
    return image.convert("RGB")


class Window(NamedTuple):
    """What an image is resized to, ``high`` x ``wide``, and the corner of the square in it.

    ``long`` is whether the image is a strip.
    """

    high: int
    wide: int
    top: int
    left: int
    long: bool


def centre(height: int, width: int, size: int, framing: Framing) -> Window:
    """Return the centre of an image, without its banner, as a framing without a share has it."""
    side = max(size, round(size * framing.zoom))  # what the shorter side becomes
    short = min(width, height)
    wide, high = max(side, round(width * side / short)), max(side, round(height * side / short))
    long = max(wide, high) > _LONGEST * side
    return Window(high, wide, (high - size) // 2, (wide - size) // 2, long)


def _squared(image: Image, size: int, framing: Framing) -> Image:
    from PIL import Image

    width, height = image.size
    if framing.share is not None:
        top, left, whole = centre_box(height, width, framing.share)
        cut = image.crop((left, top, left + whole, top + whole))
        return cut.resize((size, size), Image.Resampling.BILINEAR)
    high, wide, top, left, long = centre(height, width, size, framing)
    if (width, height) == (wide, high) == (size, size):
        return image
    if long:
        # A strip of 20,000 x 2 pixels would take gigabytes: only what is cut out is resized. Not
        # for others, since the last bit may differ.
        across, down = width / wide, height / high
        box = (left * across, top * down, (left + size) * across, (top + size) * down)
        return image.resize((size, size), Image.Resampling.BILINEAR, box=box)
    image = image.resize((wide, high), Image.Resampling.BILINEAR)
    return image.crop((left, top, left + size, top + size))


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "not an image that Pillow knows"
    return " ".join(str(error).split()) or type(error).__name__
