"""The quick way to a square: beside Pillow's own, and what it does with odd files."""

import builtins
import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lab.data.pictures import picture, png, write
from mixwright.lab.data import Batches, DataError, LazyImages, OriginalCrop
from mixwright.lab.data.augment import Rectangles
from mixwright.lab.data.decode import Framing, UnreadableImageError, decode_crops, decode_image
from mixwright.lab.data.decode_fast import decode_crops_fast, decode_image_fast
from mixwright.lab.data.lazy import EncodedImages


def photograph(width: int, height: int) -> Image.Image:
    """Soft spots of colour, and some noise, as a lens and its sensor give them."""
    rng = np.random.default_rng(width)
    small = rng.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    pixels = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))
    noisy = pixels + rng.normal(0, 6, (height, width, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, **options: Any) -> bytes:
    stored = io.BytesIO()
    image.save(stored, "JPEG", **({"quality": 90} | options))
    return stored.getvalue()


def by_pillow(data: bytes, box: list[int], size: int) -> np.ndarray:
    """The definition: all of the image decoded, the rectangle cut out, resized by Pillow."""
    top, left, high, wide = box
    part = Image.open(io.BytesIO(data)).convert("RGB").crop((left, top, left + wide, top + high))
    return np.asarray(part.resize((size, size), Image.Resampling.BILINEAR)).astype(int)


def far(found: torch.Tensor, wanted: np.ndarray) -> np.ndarray:
    return np.abs(found.numpy().transpose(1, 2, 0).astype(int) - wanted)


def test_a_damaged_file_says_nothing_on_standard_error(capfd: pytest.CaptureFixture[str]):
    """As in Pillow's hands; what others write there arrives."""
    whole = jpeg(photograph(150, 101))
    damaged = whole[: len(whole) // 2] + b"\xff\xd9"  # with the end of a whole one
    assert decode_image_fast(damaged, 64).shape == (3, 64, 64)
    os.write(2, b"another's line")
    assert capfd.readouterr().err == "another's line"


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
@pytest.mark.parametrize("kind", ["L", "RGB"])
def test_what_is_not_decoded_smaller_differs_by_one_level_at_most(
    kind: str, options: dict[str, Any]
):
    data = jpeg(photograph(150, 101).convert(kind), **options)
    box = [3, 20, 90, 111]  # less than twice 64 high
    difference = far(decode_crops_fast(data, 64, lambda *_: [box])[0], by_pillow(data, box, 64))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.15


def test_what_has_the_size_already_is_left_alone():
    data = jpeg(photograph(90, 70))
    found = decode_crops_fast(data, 32, lambda *_: [[5, 7, 32, 32]])[0]
    assert far(found, by_pillow(data, [5, 7, 32, 32], 32)).max() == 0


@pytest.mark.parametrize(("size", "divided"), [(100, 2), (101, 1), (50, 4), (51, 2), (25, 8)])
def test_a_jpeg_is_decoded_smaller_where_that_is_enough(
    monkeypatch: pytest.MonkeyPatch, size: int, divided: int
):
    """200 pixels become 100 by halves; for 101 they would be too few."""
    import cv2

    seen: list[int] = []
    decode = cv2.imdecode

    def spy(*given: Any) -> Any:
        found = decode(*given)
        seen.append(-(-400 // found.shape[1]))
        return found

    monkeypatch.setattr(cv2, "imdecode", spy)
    data = jpeg(photograph(400, 300))
    box = [40, 80, 200, 240]
    found = decode_crops_fast(data, size, lambda *_: [box])[0]
    assert seen == [divided]
    assert far(found, by_pillow(data, box, size)).mean() < 2.5


@pytest.mark.parametrize("image", [photograph(80, 60), photograph(60, 333)])
def test_without_opencv_the_bits_are_the_same(monkeypatch: pytest.MonkeyPatch, image: Image.Image):
    crops = {}
    load = builtins.__import__

    def lacking(name: str, *more: Any) -> Any:
        if name == "cv2":
            raise ImportError(name)
        return load(name, *more)

    files = [
        jpeg(image, quality=quality, subsampling=kind) for quality in (20, 95) for kind in (0, 2)
    ]
    files += [jpeg(image.convert("L")), jpeg(image, progressive=True)]
    files += [jpeg(image, keep_rgb=True)]
    for there in (True, False):
        if not there:
            monkeypatch.setattr(builtins, "__import__", lacking)
        crops[there] = [
            decode_crops_fast(data, size, lambda h, w: [[h // 9, 0, h // 2, w - 3], [0, 0, h, w]])
            for data in files
            for size in (7, 24, 70)
        ]
    for one, other in zip(crops[True], crops[False], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_camera_held_another_way(orientation: int):
    exif = Image.Exif()
    exif[274] = orientation
    data = jpeg(photograph(90, 60), exif=exif)
    wanted = decode_image(data, 31)
    assert far(decode_image_fast(data, 31), wanted.astype(int)).max() <= 1


@pytest.mark.parametrize("kind", ["L", "P", "RGBA", "I;16", "CMYK"])
def test_every_other_file_is_read_by_pillow(kind: str):
    image = photograph(70, 50)
    if kind == "CMYK":
        data = jpeg(image.convert(kind))
    elif kind == "I;16":
        data = png(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257))
    else:
        data = png(image.convert(kind))
    assert far(decode_image_fast(data, 40), decode_image(data, 40).astype(int)).max() <= 1


def test_the_framing_holds():
    """A red banner of 20 rows at the bottom, and a zoom that leaves the outer parts out."""
    pixels = np.zeros((320, 300, 3), np.uint8)
    pixels[300:] = 255, 0, 0
    pixels[:8] = pixels[292:300] = 0, 255, 0  # less than half of what a zoom of 8/7 leaves out
    data = jpeg(Image.fromarray(pixels), subsampling=0)
    framed = Framing(zoom=8 / 7, banner=20)
    for size in (224, 120, 64):
        assert decode_image(data, size, framed).max() < 80
        assert decode_image_fast(data, size, framed).max() < 80
        assert decode_image_fast(data, size).max() > 200
        assert decode_image_fast(data, size, Framing(banner=20))[0].max() < 80  # but green
        asked: list[tuple[int, int]] = []

        def inner(height: int, width: int, asked: Any = asked) -> list[list[int]]:
            asked.append((height, width))
            return [[16, 0, 268, 300]]

        assert decode_crops_fast(data, size, inner, framed)[0].max() < 80
        assert asked == [(300, 300)]


@pytest.mark.parametrize("cut", [0, 1, 30, 2000, -1])
def test_broken_files_are_as_unreadable_as_ever(tmp_path: Path, cut: int):
    file = tmp_path / "a.jpg"
    file.write_bytes(jpeg(photograph(200, 150))[:cut])
    reasons: list[str] = []
    for read in (decode_image, decode_image_fast):
        with pytest.raises(UnreadableImageError) as caught:
            read(file, 32)
        reasons.append(str(caught.value))
    assert reasons[0] == reasons[1]
    with pytest.raises(UnreadableImageError, match="No such file"):
        decode_image_fast(tmp_path / "none.jpg", 32)


def test_the_centre_may_be_a_share_of_the_area():
    data, framing = jpeg(photograph(150, 120)), Framing(share=0.3)
    wanted = decode_image(data, 50, framing)
    assert far(decode_image_fast(data, 50, framing), wanted.astype(int)).max() <= 1


def test_a_strip_takes_no_gigabytes():
    data = jpeg(photograph(4000, 3))
    wanted = decode_image(data, 64)
    assert far(decode_image_fast(data, 64), wanted.astype(int)).max() == 0


def test_a_box_is_what_boxes_say():
    rng = np.random.default_rng(0)
    for seed in range(40):
        scale = [(0.08, 1.0), (0.5, 0.6), 0.3][seed % 3]
        drawn = Rectangles.drawn(16, scale, generator=torch.Generator().manual_seed(seed))
        height, width = [(375, 500), (10, 300), (1, 1), rng.integers(1, 3000, 2).tolist()][seed % 4]
        wanted = drawn.boxes(height, width).tolist()
        assert [drawn.box(row, height, width) for row in range(16)] == wanted


@pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")
@pytest.mark.parametrize("crop", [OriginalCrop(scale=0.2), None])
def test_batches_are_the_same_whatever_the_workers_do(tmp_path: Path, crop: OriginalCrop | None):
    files = [tmp_path / f"{k}.jpg" for k in range(7)]
    for k, file in enumerate(files):
        file.write_bytes(jpeg(photograph(80 + k, 60)))
    stored = EncodedImages(files, [file.name for file in files], torch.arange(7))
    epochs = []
    for workers, decoding in ((0, "fast"), (2, "fast"), (0, "exact")):
        images = LazyImages(stored, image_size=16, workers=workers)
        batches = Batches(
            images, batch_size=3, device="cpu", augment=None, crop=crop, shuffle=True,
            decoding=decoding,
        )  # fmt: skip
        rng = torch.Generator().manual_seed(5)
        epochs.append([(x, y) for _ in range(2) for x, y in batches.epoch(rng)])
    for (a, x), (b, y), (c, z) in zip(*epochs, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(x, y)
        assert torch.equal(x, z)
        assert 0 < (a - c).abs().mean() < 8 / 255  # halved, and fine detail
    files[2].write_bytes(b"broken")
    images = LazyImages(stored, image_size=16, workers=1)
    with pytest.raises(DataError, match=r"cannot be read: 2\.jpg \(not an image that Pillow knows"):
        list(images.stream([torch.arange(7)], decoding="fast"))


def test_files_of_other_kinds_end_as_before(tmp_path: Path):
    file = write(tmp_path / "a.png", picture(1))
    assert torch.equal(
        decode_image_fast(file, 8), torch.from_numpy(decode_image(file, 8).copy()).movedim(2, 0)
    )
    crops = decode_crops(file, 8, lambda h, w: [[0, 0, h, w]])
    assert np.array_equal(crops[0], np.asarray(picture(1)))
