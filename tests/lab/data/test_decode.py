import io
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lab.data.pictures import picture, png, write
from mixwright.lab.data.decode import Framing, UnreadableImageError, decode_image, image_sides


def test_pixels_are_as_stored():
    image = picture(0)
    assert np.array_equal(decode_image(png(image), 8), np.asarray(image))


def test_files_and_bytes_alike(tmp_path: Path):
    path = write(tmp_path / "a.png", picture(1))
    assert np.array_equal(decode_image(path, 8), decode_image(path.read_bytes(), 8))
    assert image_sides(path) == image_sides(path.read_bytes()) == (8, 8)


def stored_as(mode: str) -> tuple[bytes, np.ndarray]:
    """An image of some mode, and what it looks like in RGB."""
    rgb = np.asarray(picture(2))
    grey = rgb[..., 0]
    same = np.repeat(grey[..., None], 3, axis=2)
    if mode == "L":
        return png(Image.fromarray(grey)), same
    if mode == "LA":
        return png(Image.merge("LA", [Image.fromarray(grey)] * 2)), same
    if mode == "1":
        return png(Image.fromarray(grey).point(lambda v: 255 * (v > 99), "1")), 255 * (same > 99)
    if mode == "I;16":
        return png(Image.fromarray(grey.astype(np.uint16) * 257)), same
    if mode == "RGBA":
        return png(Image.fromarray(np.concatenate([rgb, grey[..., None]], axis=2))), rgb
    palette = picture(2, (4, 4)).quantize(16, dither=Image.Dither.NONE)
    if mode == "P with transparency":
        stored = io.BytesIO()
        palette.save(stored, "PNG", transparency=bytes(range(16)))
        return stored.getvalue(), np.asarray(palette.convert("RGB"))
    return png(palette), np.asarray(palette.convert("RGB"))


@pytest.mark.parametrize("mode", ["L", "LA", "1", "I;16", "RGBA", "P", "P with transparency"])
def test_every_mode_becomes_rgb(mode: str):
    stored, wanted = stored_as(mode)
    found = decode_image(stored, len(wanted))
    assert found.shape == wanted.shape
    assert found.dtype == np.uint8
    assert np.array_equal(found, wanted)


def test_cmyk_becomes_rgb():
    stored = io.BytesIO()
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(stored, "JPEG", quality=100)
    red = decode_image(stored.getvalue(), 8).astype(int)
    assert abs(red - [255, 0, 0]).max() < 40


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_camera_held_another_way(tmp_path: Path, orientation: int):
    upright = picture(3, (6, 4))
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    lying = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[274] = orientation
    path = write(tmp_path / "a.png", lying, exif=exif)
    assert image_sides(path) == (6, 4)
    assert np.array_equal(decode_image(path, 4), np.asarray(upright)[:, 1:5])


@pytest.mark.parametrize("size", [(8, 20), (20, 8), (9, 8)])
def test_the_shorter_side_fits_and_the_centre_is_kept(size: tuple[int, int]):
    image = picture(4, size)
    found = decode_image(png(image), 8)
    width, height = size
    left, top = (width - 8) // 2, (height - 8) // 2
    assert np.array_equal(found, np.asarray(image)[top : top + 8, left : left + 8])


def test_a_larger_image_is_averaged():
    board = np.indices((64, 128)).sum(axis=0) % 2 * 255
    image = Image.fromarray(np.repeat(board[..., None], 3, axis=2).astype(np.uint8))
    found = decode_image(png(image), 8).astype(int)
    assert found.shape == (8, 8, 3)
    assert abs(found - 127).max() < 8


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        (b"", "not an image that Pillow knows"),
        (b"GIF89a, it says", "."),
        (png(picture(5, (64, 64)))[:2000], "."),
    ],
)
def test_what_cannot_be_read(stored: bytes, says: str):
    with pytest.raises(UnreadableImageError, match=says):
        decode_image(stored, 8)


def test_missing_files_and_floating_pixels(tmp_path: Path):
    with pytest.raises(UnreadableImageError, match="No such file"):
        decode_image(tmp_path / "none.png", 8)
    with pytest.raises(UnreadableImageError, match="No such file"):
        image_sides(tmp_path / "none.png")
    path = write(tmp_path / "a.tif", Image.new("F", (8, 8)))
    with pytest.raises(UnreadableImageError, match="floating-point pixels"):
        decode_image(path, 8)


@pytest.mark.parametrize("upright", [True, False])
def test_a_strip_is_cut_out_before_it_is_resized(upright: bool, monkeypatch: pytest.MonkeyPatch):
    """20,000 x 2 pixels at 224 would be 2.2 million x 224, 1.5 GB, if all were resized."""
    strip = np.zeros((2, 20_000, 3), np.uint8)
    strip[:, 9_999:10_001] = np.asarray(picture(6, (2, 2)))
    asked: list[tuple[int, int]] = []
    real = Image.Image.resize

    def resize(image: Image.Image, size: tuple[int, int], *rest: Any, **named: Any) -> Any:
        asked.append(size)
        return real(image, size, *rest, **named)

    monkeypatch.setattr(Image.Image, "resize", resize)
    stored = png(Image.fromarray(strip if upright else strip.transpose(1, 0, 2).copy()))
    found = decode_image(stored, 224)
    assert asked == [(224, 224)]
    # Each pixel becomes 112 x 112; its value stands at the centre, and beyond the last centre of
    # the short side.
    centre = found[56::112, 56::112] if upright else found[56::112, 56::112].transpose(1, 0, 2)
    assert abs(centre.astype(int) - np.asarray(picture(6, (2, 2)))).max() <= 2


def test_a_long_image_is_as_if_it_were_resized_whole(monkeypatch: pytest.MonkeyPatch):
    image = picture(7, (800, 20))
    cut_first = decode_image(png(image), 16)  # 640 x 16: 40 sides long
    monkeypatch.setattr("mixwright.lab.data.decode._LONGEST", 100)
    assert abs(decode_image(png(image), 16).astype(int) - cut_first).max() <= 1


def test_twelve_bits_reach_white():
    """Of 12 bits, 0, 2048, 4095 and 0 are 0, 128, 255 and 0: 2048 / 4095 * 255 = 127.53."""
    packed = bytes.fromhex("000800" + "fff000")  # two values in three bytes, a row each
    fields = {256: 2, 257: 2, 258: 12, 259: 1, 262: 1, 277: 1, 278: 2, 279: len(packed)}
    fields[273] = 8 + 2 + 12 * (len(fields) + 1) + 4  # where the pixels begin
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(fields.items())
    )
    stored = struct.pack("<2sHIH", b"II", 42, 8, len(fields)) + entries + bytes(4) + packed
    assert decode_image(stored, 2)[..., 0].tolist() == [[0, 128], [255, 0]]


@pytest.mark.parametrize("values", [[[0, 50], [200, 255]], [[0, 9_000], [65_535, 70_000]]])
def test_pixels_of_32_bits_are_refused_as_floating_ones_are(values: list[list[int]]):
    stored = io.BytesIO()
    Image.fromarray(np.array(values, np.int32)).save(stored, "TIFF")
    with pytest.raises(UnreadableImageError, match="32-bit pixels have no known range"):
        decode_image(stored.getvalue(), 2)


@pytest.mark.parametrize("ending", ["PNG", "PPM", "TIFF"])
def test_pixels_of_16_bits_are_scaled(ending: str):
    values = np.array([[0, 257 * 50], [257 * 200, 65_535]], np.uint16)
    stored = io.BytesIO()
    Image.fromarray(values).save(stored, ending)
    assert decode_image(stored.getvalue(), 2)[..., 0].tolist() == [[0, 50], [200, 255]]


def test_a_pipe_is_never_opened(tmp_path: Path):
    path = tmp_path / "a.png"
    os.mkfifo(path)
    for read in (image_sides, lambda path: decode_image(path, 8)):
        with pytest.raises(UnreadableImageError, match="not a regular file"):
            read(path)


def test_framing_zooms_and_cuts_the_banner(tmp_path: Path):
    image = Image.new("RGB", (40, 60), (9, 9, 9))
    image.paste((0, 0, 200), (4, 4, 36, 36))
    image.paste((250, 250, 250), (0, 40, 40, 60))
    file = write(tmp_path / "a.png", image)
    whole = decode_image(file, 20, Framing(banner=20))  # 40x40 to 20x20
    assert whole.max() <= 200
    assert whole[0, 0].tolist() == [9, 9, 9]
    near = decode_image(file, 20, Framing(banner=20, zoom=1.25))  # to 25x25, the centre of it
    assert near[0, 0].tolist() != [9, 9, 9]
    wanted = image.crop((0, 0, 40, 40)).resize((25, 25), Image.Resampling.BILINEAR)
    assert np.array_equal(near, np.asarray(wanted.crop((2, 2, 22, 22))))
    small = write(tmp_path / "b.png", picture(1, (20, 15)))  # less than a banner: nothing is cut
    assert np.array_equal(decode_image(small, 15, Framing(banner=20)), decode_image(small, 15))
