"""Rectangles cut from images as they were stored: the outer parts, the places, the draws."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lab.data.pictures import write
from mixwright.lab.data import Batches, ImageSet, LazyImages, OriginalCrop, ResizedCrop, load_data
from mixwright.lab.data import memory as memory_module
from mixwright.lab.data.augment import Rectangles

SIZE = 8

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")


def gradient(width: int, height: int, kind: int) -> Image.Image:
    """Red grows from left to right and green from top to bottom; blue is the class."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = np.linspace(0, 255, width)[None, :]
    pixels[..., 1] = np.linspace(0, 255, height)[:, None]
    pixels[..., 2] = 200 * kind
    return Image.fromarray(pixels)


@pytest.fixture
def photographs(tmp_path: Path) -> str:
    """Twelve oblong photographs of two sizes, in two classes, a file each."""
    for kind in (0, 1):
        for part, count in (("train", 6), ("test", 2)):
            for k in range(count):
                width, height = (96, 32) if k % 2 else (30, 60)
                write(tmp_path / part / f"k{kind}" / f"{k}.png", gradient(width, height, kind))
    return f"folder:{tmp_path}"


def batches(images: ImageSet | LazyImages, crop: OriginalCrop, views: int = 1) -> Batches:
    return Batches(
        images, batch_size=5, device="cpu", augment=None, crop=crop, shuffle=True, views=views
    )


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_outer_parts_of_a_photograph_are_seen(photographs: str):
    data = load_data(photographs, image_size=SIZE)
    assert isinstance(data.train, ImageSet)
    wide = data.train.subset(torch.tensor([1, 3, 5]))
    scale = (0.05, 0.2)
    found: list[torch.Tensor] = []
    for crop, augment in (
        (OriginalCrop(scale=scale), None),
        (None, ResizedCrop(scale=scale)),
    ):
        train = Batches(wide, batch_size=3, device="cpu", shuffle=True, crop=crop, augment=augment)
        rng = seeded(1)
        found.append(torch.cat([x for _ in range(12) for x, _ in train.epoch(rng)])[:, 0])
    original, resized = found
    # The centre square of 96 x 32 lacks the left and the right third: a third of all reds.
    assert original.min() < 0.1
    assert original.max() > 0.9
    assert resized.min() > 0.3
    assert resized.max() < 0.7


def test_each_image_is_the_rectangle_that_its_own_seed_draws(photographs: str):
    """Found by hand from the files: the order, the seeds of the batches, Pillow."""
    data = load_data(photographs, image_size=SIZE)
    assert isinstance(data.train, ImageSet)
    assert data.train.stored is not None
    crop = OriginalCrop(scale=(0.2, 0.6))
    found = list(batches(data.train, crop, views=2).epoch(order=seeded(3), augment=seeded(4)))
    order = torch.randperm(12, generator=seeded(3)).split(5)
    seeds = torch.randint(2**62, (3,), generator=seeded(4)).tolist()
    assert [len(labels) for _, labels in found] == [5, 5, 2]
    for (images, labels), rows, seed in zip(found, order, seeds, strict=True):
        rng = seeded(seed)
        drawn = Rectangles.drawn(2 * len(rows), (0.2, 0.6), generator=rng)
        mirror = torch.randint(2, (2 * len(rows),), generator=rng)
        assert torch.equal(labels, data.train.labels[rows])
        for place, image in enumerate(images):
            file = data.train.stored.encoded[int(rows[place % len(rows)])]
            assert isinstance(file, Path)
            with Image.open(file) as whole:
                box = drawn.boxes(whole.height, whole.width)[place].tolist()
                top, left, high, wide = box
                assert 0.19 < high * wide / (whole.height * whole.width) < 0.61
                part = whole.convert("RGB").crop((left, top, left + wide, top + high))
            pixels = np.asarray(part.resize((SIZE, SIZE), Image.Resampling.BILINEAR)).copy()
            wanted = torch.from_numpy(pixels).movedim(2, 0)
            wanted = wanted.flip(2) if mirror[place] else wanted
            assert torch.equal((image * 255).round().byte(), wanted)


def test_it_does_not_matter_who_reads_nor_whether_all_fit_in_memory(
    photographs: str, monkeypatch: pytest.MonkeyPatch
):
    whole = load_data(photographs, image_size=SIZE)
    monkeypatch.setattr(memory_module, "WHOLE_SET_BYTES", 1)
    lazy = load_data(photographs, image_size=SIZE)
    assert isinstance(lazy.train, LazyImages)
    crop, epochs = OriginalCrop(scale=0.3), []
    before = torch.random.get_rng_state()
    for images, workers in ((whole.train, None), (lazy.train, 0), (lazy.train, 2)):
        if isinstance(images, LazyImages):
            images.workers = workers or 0
        rng = seeded(7)
        epochs.append([x for _ in range(2) for x, _ in batches(images, crop).epoch(rng)])
    assert torch.equal(torch.random.get_rng_state(), before)
    for other in epochs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(epochs[0], other, strict=True))
    assert not torch.equal(epochs[0][0], epochs[0][3])  # the second epoch is another


def test_a_subset_keeps_what_was_stored(photographs: str):
    data = load_data(photographs, image_size=SIZE, train_size=4)
    assert isinstance(data.train, ImageSet)
    chosen = data.train.subset(torch.tensor([3, 1])).relabelled(torch.tensor([1, 0]))
    assert chosen.stored is not None
    assert chosen.stored.labels.tolist() == chosen.labels.tolist()
    images, _ = next(iter(batches(chosen, OriginalCrop(scale=1.0, flip=False)).epoch(seeded(0))))
    # Blue, 200 times the class, is still that of the labels before they were exchanged.
    blue = (images[:, 2, 0, 0] * 255).round().long()
    assert sorted(blue.tolist()) == sorted((200 * (1 - chosen.labels)).tolist())


def test_images_that_came_as_arrays_are_cut_from_their_pixels():
    pixels = torch.randint(256, (6, 3, 9, 9), generator=seeded(0)).byte()
    images = ImageSet(pixels, torch.arange(6))
    crop = OriginalCrop(scale=0.3)
    found = next(batches(images, crop, views=2).epoch(order=seeded(1), augment=seeded(2)))[0]
    rows = torch.randperm(6, generator=seeded(1))  # a last single image joins the batch before
    wanted = ResizedCrop(scale=0.3)(pixels[rows].repeat(2, 1, 1, 1), generator=seeded(2))
    assert torch.equal(found, wanted / 255)


def test_where_no_rectangle_fits_it_is_the_largest_in_the_nearest_ratio():
    # Half of 300 x 10 is 33 pixels high at least, at a ratio of 4/3, so nothing fits:
    # the largest in 4/3 is 13 x 10, at (300 - 13) // 2, as torchvision has it.
    drawn = Rectangles.drawn(5, (0.5, 0.6), generator=seeded(0))
    assert drawn.boxes(10, 300).tolist() == [[0, 143, 10, 13]] * 5
    assert drawn.boxes(300, 10).tolist() == [[143, 0, 13, 10]] * 5


def test_a_file_that_cannot_be_read_is_named(photographs: str):
    from mixwright.lab.data import DataError

    data = load_data(photographs, image_size=SIZE)
    assert isinstance(data.train, ImageSet)
    assert data.train.stored is not None
    file = data.train.stored.encoded[3]
    assert isinstance(file, Path)
    file.write_bytes(b"broken")
    with pytest.raises(DataError, match=r"cannot be read: .*3\.png \(not an image"):
        list(batches(data.train, OriginalCrop()).epoch(seeded(0)))
