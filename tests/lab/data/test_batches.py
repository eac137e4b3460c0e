from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwright.lab.data import Augment, Batches, ImageSet


def numbered(count: int, size: int = 2) -> ImageSet:
    """A set whose labels are the row numbers, and whose pixels repeat them."""
    labels = torch.arange(count)
    pixels = (labels % 256).byte()[:, None, None, None].expand(count, 3, size, size)
    return ImageSet(pixels.contiguous(), labels)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def shared(count: int, world: int, *, batch_size: int, shuffle: bool) -> list[list[list[int]]]:
    """Labels by rank and step."""
    return [
        [
            labels.tolist()
            for _, labels in Batches(
                numbered(count),
                batch_size=batch_size,
                device="cpu",
                augment=None,
                rank=rank,
                world=world,
                shuffle=shuffle,
            ).epoch(seeded(5))
        ]
        for rank in range(world)
    ]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(count=st.integers(1, 40), world=st.integers(1, 5), batch_size=st.integers(1, 9))
def test_shuffled_ranks_share_one_order(count: int, world: int, batch_size: int):
    ranks = shared(count, world, batch_size=batch_size, shuffle=True)
    assert len({len(steps) for steps in ranks}) == 1
    assert len({tuple(len(step) for step in steps) for steps in ranks}) == 1
    seen = [label for steps in ranks for step in steps for label in step]
    assert set(seen) == set(range(count))
    assert len(seen) - count == -count % world  # the few that are seen twice


@settings(derandomize=True, deadline=None, max_examples=60)
@given(count=st.integers(1, 40), world=st.integers(1, 5), batch_size=st.integers(1, 9))
def test_unshuffled_ranks_see_each_image_once_and_in_order(count: int, world: int, batch_size: int):
    ranks = shared(count, world, batch_size=batch_size, shuffle=False)
    assert [x for steps in ranks for step in steps for x in step] == list(range(count))
    sizes = [sum(map(len, steps)) for steps in ranks]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [
        (8, 4, [4, 4]),
        (10, 4, [4, 4, 2]),
        (9, 4, [4, 5]),
        (3, 4, [3]),
        (1, 4, [1]),
        (3, 1, [1, 1, 1]),
    ],
)
@pytest.mark.parametrize("shuffle", [True, False])
def test_no_batch_is_dropped(count: int, batch_size: int, sizes: list[int], shuffle: bool):
    batches = Batches(
        numbered(count), batch_size=batch_size, device="cpu", augment=None, shuffle=shuffle
    )
    found = [len(labels) for _, labels in batches.epoch(seeded(0))]
    assert found == sizes
    assert len(batches) == len(sizes)
    assert batches.num_images == count


def test_images_are_scaled_and_stay_with_their_labels():
    images = numbered(256)
    batches = Batches(images, batch_size=50, device="cpu", augment=None, shuffle=True)
    seen = 0
    for pixels, labels in batches.epoch(seeded(1)):
        assert pixels.dtype == torch.float32
        assert labels.dtype == torch.int64
        wanted = labels.double()[:, None, None, None].expand(-1, 3, 2, 2) / 255
        torch.testing.assert_close(pixels.double(), wanted, atol=1e-7, rtol=0)
        seen += len(labels)
    assert seen == 256
    assert images.images[255].tolist() == numbered(256).images[255].tolist()


def test_white_is_exactly_one():
    white = ImageSet(torch.full((2, 3, 2, 2), 255, dtype=torch.uint8), torch.zeros(2).long())
    batches = Batches(white, batch_size=2, device="cpu", augment=None, shuffle=False)
    ((pixels, _),) = batches
    assert torch.equal(pixels, torch.ones(2, 3, 2, 2))


def test_generators_alone_decide():
    images = ImageSet(torch.randint(256, (30, 3, 8, 8)).byte(), torch.arange(30))
    batches = Batches(images, batch_size=7, device="cpu", augment=Augment(), shuffle=True)

    def epoch(order: int, augment: int) -> tuple[torch.Tensor, torch.Tensor]:
        pixels, labels = zip(*batches.epoch(seeded(order), seeded(augment)), strict=True)
        return torch.cat(pixels), torch.cat(labels)

    before = torch.random.get_rng_state()
    pixels, labels = epoch(1, 2)
    again, labels_again = epoch(1, 2)
    assert torch.equal(pixels, again)
    assert torch.equal(labels, labels_again)
    same_order, labels_same = epoch(1, 3)
    assert torch.equal(labels, labels_same)
    assert not torch.equal(pixels, same_order)
    assert not torch.equal(labels, epoch(2, 2)[1])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_order_is_drawn_when_the_epoch_begins():
    batches = Batches(numbered(9), batch_size=3, device="cpu", augment=None, shuffle=True)
    generator = seeded(0)
    first = batches.epoch(generator)
    second = batches.epoch(generator)
    assert [y.tolist() for _, y in first] != [y.tolist() for _, y in second]
    fresh = seeded(0)
    rows = torch.randperm(9, generator=fresh)
    assert torch.equal(torch.cat([y for _, y in batches.epoch(seeded(0))]), rows)


def test_one_generator_serves_for_both():
    images = numbered(6, size=8)
    batches = Batches(images, batch_size=3, device="cpu", augment=Augment(), shuffle=True)
    one, two = seeded(4), seeded(4)
    for (a, _), (b, _) in zip(batches.epoch(one), batches.epoch(two, two), strict=True):
        assert torch.equal(a, b)


def with_none(**changes: object) -> Callable[[], object]:
    arguments: dict[str, object] = {
        "batch_size": 2,
        "device": "cpu",
        "augment": None,
        "shuffle": False,
        **changes,
    }
    return lambda: Batches(numbered(4), **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (with_none(batch_size=0), "batch_size is 0; expected at least 1"),
        (with_none(rank=2, world=2), "rank 2 of world 2; expected 0 <= rank < world"),
        (with_none(rank=-1), "rank -1 of world 1"),
        (
            lambda: Batches(numbered(0), batch_size=1, device="cpu", augment=None, shuffle=False),
            "holds no images",
        ),
        (lambda: with_none(shuffle=True)().epoch(), r"shuffled batches need epoch\(order="),
        (lambda: with_none(augment=Augment())().epoch(), r"augmented batches need epoch\(augment="),
        (
            lambda: ImageSet(torch.zeros(2, 3, 4, 4), torch.zeros(2).long()),
            r"images have shape \(2, 3, 4, 4\) and dtype torch.float32; expected",
        ),
        (
            lambda: ImageSet(torch.zeros(2, 3, 4).byte(), torch.zeros(2).long()),
            r"images have shape \(2, 3, 4\)",
        ),
        (
            lambda: ImageSet(torch.zeros(2, 3, 4, 4).byte(), torch.zeros(3).long()),
            r"labels have shape \(3,\).*each of the 2 images",
        ),
        (
            lambda: ImageSet(torch.zeros(2, 3, 4, 4).byte(), torch.zeros(2)),
            "dtype torch.float32; expected one torch.int64",
        ),
    ],
)
def test_bad_arguments(call: Callable[[], object], says: str):
    with pytest.raises(ValueError, match=says):
        call()
