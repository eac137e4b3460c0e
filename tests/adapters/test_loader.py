"""``Mix.collate``: draws in loader workers, what reaches them while they run, odd samples."""

from __future__ import annotations

import copy
import io
import pickle
from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from mixwright import Mix, MixUp, OneOf, Scheduled, Sometimes
from mixwright.sampling import Stream, stream

IMAGES = torch.rand(8, 3, 8, 8, generator=stream(1))
LABELS = torch.arange(8)


class _Bytes(Dataset[tuple[torch.Tensor, int]]):
    """Equal images of two brightnesses, so that only the draws can differ."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        return torch.full((3, 4, 4), 200 * (place % 2), dtype=torch.uint8), place % 2


def _shares(mix: Mix, *, workers: int, passes: int = 1, fixed: bool = True) -> list[list[float]]:
    loader = DataLoader(
        _Bytes(),
        batch_size=4,
        num_workers=workers,
        collate_fn=mix.collate,
        generator=stream(7),
        persistent_workers=workers > 0,
    )
    out = []
    for epoch in range(passes):
        if fixed:
            mix.set_epoch(epoch)
        rows = []
        for images, targets in loader:
            assert images.dtype == torch.uint8
            assert images.shape == (4, 3, 4, 4)
            assert targets.shape == (4, 2)
            rows += targets[:, 0].tolist()
        out.append(rows)
    return out


def test_the_loader_form_differs_by_batch_and_epoch_and_repeats_itself() -> None:
    first = _shares(Mix(MixUp(), num_classes=2, seed=5), workers=0, passes=2)
    assert first[0] != first[1]
    assert first[0][:4] != first[0][4:8]
    assert first == _shares(Mix(MixUp(), num_classes=2, seed=5), workers=0, passes=2)
    assert first != _shares(Mix(MixUp(), num_classes=2, seed=6), workers=0, passes=2)


@pytest.mark.parametrize("fixed", [True, False], ids=["set_epoch", "loader's seed"])
def test_workers_draw_differently_and_repeats_do_not(fixed: bool) -> None:
    first = _shares(Mix(MixUp(), num_classes=2, seed=5), workers=2, passes=2, fixed=fixed)
    rows = [tuple(epoch[k : k + 4]) for epoch in first for k in range(0, 16, 4)]
    assert len(set(rows)) == len(rows)
    again = _shares(Mix(MixUp(), num_classes=2, seed=5), workers=2, passes=2, fixed=fixed)
    assert first == again


def mixing_first(progress: float) -> MixUp:
    return MixUp(alpha=1.0 if progress < 0.5 else 0.0)


def scheduled() -> Mix:
    """A mix that says in its targets what its workers know: mixed below half, then clean."""
    mixer = Sometimes(OneOf(Scheduled(mixing_first), p=(1.0,)), p=1.0)
    return Mix(mixer, num_classes=8, seed=5)


def persistent(mix: Mix, *, start: str = "fork", workers: int = 1) -> DataLoader[Any]:
    return DataLoader(
        TensorDataset(IMAGES, LABELS),
        batch_size=4,
        num_workers=workers,
        collate_fn=mix.collate,
        generator=stream(7),
        persistent_workers=True,
        multiprocessing_context=start,
    )


def drawn_by_hand(mix: Mix, *words: int) -> Tensor:
    """The targets of the two batches that a worker draws from these words."""
    targets = []
    for batch in range(2):
        rows = slice(4 * batch, 4 * batch + 4)
        generator = stream(5, 0, Stream.LOADER, *words, batch)
        plan = mix.mixer.plan(IMAGES[rows], generator=generator)
        targets.append(plan.targets(LABELS[rows], 8))
    return torch.cat(targets)


def one_pass(loader: DataLoader[Any]) -> Tensor:
    return torch.cat([targets for _, targets in loader])


def check_that_workers_follow(mix: Mix, *, start: str = "fork") -> None:
    loader = persistent(mix, start=start)
    first = drawn_by_hand(scheduled(), 3, 0)
    mix.set_epoch(3)
    assert torch.equal(one_pass(loader), first)  # here the workers are started
    mix.set_epoch(4)
    assert torch.equal(one_pass(loader), drawn_by_hand(scheduled(), 4, 0))
    mix.progress = 0.5
    assert torch.equal(one_pass(loader), torch.eye(8))
    mix.mixing = False
    assert torch.equal(one_pass(loader), LABELS)
    state = mix.state_dict()
    mix.mixing, mix.progress = True, 0.25
    mix.set_epoch(3)
    assert torch.equal(one_pass(loader), first)
    mix.load_state_dict(state)
    assert torch.equal(one_pass(loader), LABELS)


@pytest.mark.parametrize("start", ["fork", "spawn", "forkserver"])
def test_running_workers_follow_however_they_are_started(start: str) -> None:
    mix = scheduled()
    check_that_workers_follow(copy.deepcopy(mix) if start == "spawn" else mix, start=start)


def saved_and_loaded(mix: Mix) -> Mix:
    file = io.BytesIO()
    torch.save(mix, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES: dict[str, Callable[[Mix], Mix]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda mix: pickle.loads(pickle.dumps(mix)),
    "torch.save": saved_and_loaded,
    "in a model": lambda mix: copy.deepcopy(nn.ModuleList([mix]))[0],  # type: ignore[return-value]
}


@pytest.mark.parametrize("name", COPIES)
def test_workers_follow_the_copy_that_they_belong_to(name: str) -> None:
    mix = scheduled()
    mix.set_epoch(7)
    copied = COPIES[name](mix)
    assert copied.state_dict()["epoch"] == 7
    check_that_workers_follow(copied)
    assert (mix.state_dict()["epoch"], mix.progress, mix.mixing) == (7, 0.0, True)
    mix.mixing, mix.progress = False, 1.0
    mix.set_epoch(1)
    assert copied.state_dict()["epoch"] == 4
    assert copied.progress == 0.5
    copied.mixing = True
    assert not mix.mixing


def test_without_an_epoch_workers_draw_from_the_loaders_seed() -> None:
    base = int(torch.empty((), dtype=torch.int64).random_(generator=stream(7)))
    assert torch.equal(one_pass(persistent(scheduled())), drawn_by_hand(scheduled(), base))


class Classifier(nn.Module):
    """A model that holds its mix, as a LightningModule does."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = Mix(MixUp(), num_classes=8, seed=2)
        self.head = nn.Linear(192, 8)


def trained(*, validates: bool, direct: bool) -> Iterator[Tensor]:
    """Give the targets of each step of two epochs; validation comes in the middle of both."""
    model = Classifier()
    loader = persistent(model.mix, workers=2)
    plain = DataLoader(TensorDataset(IMAGES, LABELS), batch_size=4)
    for epoch in range(2):
        model.mix.set_epoch(epoch)
        for step, (images, targets) in enumerate(plain if direct else loader):
            if validates and step == 1:
                model.eval()
                for held_out, labels in plain:
                    same, as_they_were = model.mix(held_out, labels)
                    assert same is held_out
                    assert as_they_were is labels
                model.train()
            yield model.mix(images, targets)[1] if direct else targets


@pytest.mark.parametrize("direct", [False, True], ids=["loader", "calls"])
def test_validation_within_an_epoch_leaves_training_as_it_was(direct: bool) -> None:
    alone = list(trained(validates=False, direct=direct))
    beside = list(trained(validates=True, direct=direct))
    assert len(alone) == 4
    for expected, targets in zip(alone, beside, strict=True):
        assert expected.shape == (4, 8)  # mixed, in each step
        assert torch.equal(targets, expected)


class Mixing(Dataset[Tensor]):
    """Calls a mix of its own in the workers, a batch at a time."""

    def __init__(self) -> None:
        self.mix = Mix(MixUp(), num_classes=8, seed=2)
        self.mix(IMAGES, LABELS)

    def __len__(self) -> int:
        return 2

    def __getitem__(self, place: int) -> Tensor:
        return self.mix(IMAGES, LABELS)[1]


def test_calls_in_workers_differ_between_workers_and_passes() -> None:
    loader = DataLoader(Mixing(), batch_size=None, num_workers=2, generator=stream(7))
    drawn = [*loader, *loader]
    for k, one in enumerate(drawn):
        assert not any(torch.equal(one, other) for other in drawn[:k])


@pytest.mark.parametrize("workers", [0, 1])
def test_the_switch_passes_what_the_loader_gives(workers: int) -> None:
    mix = Mix(MixUp(lam=0.5), num_classes=2, seed=5)
    loader = DataLoader(_Bytes(), batch_size=4, num_workers=workers, collate_fn=mix.collate)
    mix.eval()  # of whoever holds it: loaders fetch ahead, so it is nothing to them
    assert any(not images.eq(0).logical_or(images.eq(200)).all() for images, _ in loader)
    mix.mixing = False
    batches = list(loader)
    assert len(batches) == 4
    for images, labels in batches:
        assert labels.tolist() == [0, 1, 0, 1]  # class indices, no dense targets
        assert images[:, 0, 0, 0].tolist() == [0, 200, 0, 200]
        assert images.eq(images[:, :1, :1, :1]).all()


# ------------------------------------------------------------------ samples

Named = namedtuple("Named", ["image", "label"])


@pytest.mark.parametrize(
    "sample",
    [
        lambda k: (IMAGES[k], k),
        lambda k: [IMAGES[k], LABELS[k]],
        lambda k: Named(IMAGES[k], k),
        lambda k: (IMAGES[k].numpy(), np.uint16(k)),
        lambda k: (IMAGES[k].numpy()[::-1].copy()[::-1], LABELS[k].to(torch.uint16)),
        lambda k: (IMAGES[k], torch.eye(8)[k]),
        lambda k: (IMAGES[k], torch.eye(8)[k].tolist()),
        lambda k: (IMAGES[k], torch.eye(8)[k].numpy()),
    ],
    ids=["tuple", "list", "namedtuple", "numpy", "reversed", "dense", "listed", "dense numpy"],
)
def test_pairs_of_every_kind_are_collated(sample: Callable[[int], Any]) -> None:
    mix = Mix(MixUp(), num_classes=8, seed=0)
    images, targets = mix.collate([sample(k) for k in range(8)])
    plan = MixUp().plan(IMAGES, generator=stream(0, 0, Stream.LOADER, -1, 0))
    assert torch.equal(images, plan.images(IMAGES))
    assert targets.dtype == torch.float32
    torch.testing.assert_close(targets, plan.targets(LABELS, 8))


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        (IMAGES[0], "a sample is a Tensor; expected a pair"),
        (("path.png", 1), "an image is a str; expected a tensor"),
        ((IMAGES[0], "dog"), r"labels are \['dog'\], of which no tensor can be made"),
        ((IMAGES[0], {"boxes": 1}), r"batch\[1\] has 'boxes'; expected labels under a name"),
        ((IMAGES[0], (1, 2)), r"labels have shape \(1, 2\) and dtype torch.int64"),
    ],
    ids=["image alone", "path", "word", "boxes", "pair"],
)
def test_other_samples_are_named_with_the_way_out(sample: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mix(MixUp(), num_classes=8, seed=0).collate([sample])


def test_the_way_out_of_a_triple_works() -> None:
    mix = Mix(MixUp(), num_classes=8, seed=0)
    samples = [(IMAGES[k], k, "name") for k in range(4)]
    assert mix.collate([(sample[0], sample[1]) for sample in samples])[1].shape == (4, 8)


def test_images_of_several_shapes_and_no_samples_are_named() -> None:
    mix = Mix(MixUp(), num_classes=8, seed=0)
    with pytest.raises(ValueError, match=r"shapes \(3, 8, 8\) and \(3, 8, 7\); expected one shape"):
        mix.collate([(IMAGES[0], 0), (IMAGES[1, :, :, :7], 1)])
    with pytest.raises(ValueError, match="no samples; expected at least one pair"):
        mix.collate([])
