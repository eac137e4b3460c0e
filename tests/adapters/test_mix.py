"""``Mix``: the call, the pieces, the loader form, and resuming."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

from mixwright import CutMix, Mix, MixUp, Scheduled
from mixwright.sampling import stream

IMAGES = torch.rand(7, 3, 8, 8, generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2])


def test_targets_are_dense_and_follow_the_pixels() -> None:
    who = torch.eye(7)[:, :, None, None].expand(7, 7, 8, 8)
    images, targets = Mix(CutMix(), num_classes=7, seed=0)(who, torch.arange(7))
    torch.testing.assert_close(images.mean(dim=(2, 3)), targets)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(7))


def test_dense_and_multi_hot_labels_need_no_class_count() -> None:
    mix = Mix(MixUp(), seed=0)
    soft = F.one_hot(LABELS, 4).float()
    again = Mix(MixUp(), num_classes=4, seed=0)
    torch.testing.assert_close(mix(IMAGES, soft)[1], again(IMAGES, LABELS)[1])
    with pytest.raises(ValueError, match="num_classes is missing"):
        mix(IMAGES, LABELS)


def test_smoothing_before_and_after_mixing_is_the_same() -> None:
    _, targets = Mix(MixUp(), num_classes=4, label_smoothing=0.1, seed=0)(IMAGES, LABELS)
    smooth = 0.9 * F.one_hot(LABELS, 4).float() + 0.1 / 4
    _, expected = Mix(MixUp(), seed=0)(IMAGES, smooth)
    torch.testing.assert_close(targets, expected)


def test_the_pieces_and_the_call_are_one_object() -> None:
    images, targets = Mix(CutMix(), num_classes=4, seed=3)(IMAGES, LABELS)
    mix = Mix(CutMix(), num_classes=4, seed=3)
    plan = mix.plan(IMAGES, LABELS)
    assert torch.equal(plan.images(IMAGES), images)
    assert torch.equal(mix.targets(plan, LABELS), targets)
    logits = torch.randn(7, 4, generator=stream(2))
    a, b = plan.labels(LABELS).unbind(1)
    lam = plan.weight[:, 0]
    pieces = lam * F.cross_entropy(logits, a, reduction="none")
    pieces += (1 - lam) * F.cross_entropy(logits, b, reduction="none")
    torch.testing.assert_close(pieces.mean(), F.cross_entropy(logits, targets))
    torch.testing.assert_close(
        plan.loss(torch.nn.CrossEntropyLoss(reduction="none"), logits, LABELS), pieces.mean()
    )


def test_evaluation_mode_passes_the_very_same_tensors() -> None:
    mix = Mix(CutMix(), num_classes=4, seed=0).eval()
    images, labels = mix(IMAGES, LABELS)
    assert images is IMAGES
    assert labels is LABELS
    assert torch.equal(mix.plan(IMAGES).images(IMAGES), IMAGES)
    assert not torch.equal(mix.train()(IMAGES, LABELS)[0], IMAGES)


def test_the_state_resumes_the_draws_exactly() -> None:
    mix = Mix(CutMix(), num_classes=4, seed=0)
    mix(IMAGES, LABELS)
    state = copy.deepcopy(mix.state_dict())
    expected = [mix(IMAGES, LABELS) for _ in range(3)]
    other = Mix(CutMix(), num_classes=4, seed=99)
    other.load_state_dict(state)
    for images, targets in expected:
        again = other(IMAGES, LABELS)
        assert torch.equal(again[0], images)
        assert torch.equal(again[1], targets)


def test_the_state_resumes_the_loader_form_too() -> None:
    samples = [(IMAGES[k], int(LABELS[k])) for k in range(4)]
    mix = Mix(MixUp(), num_classes=4, seed=0)
    mix.collate(samples)
    other = Mix(MixUp(), num_classes=4, seed=1)
    other.load_state_dict(mix.state_dict())
    assert torch.equal(mix.collate(samples)[0], other.collate(samples)[0])


def test_ranks_draw_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [(IMAGES[k], int(LABELS[k])) for k in range(4)]
    drawn, collated, spawned = [], [], []
    for rank in ("0", "1"):
        mix = Mix(MixUp(), num_classes=4, seed=0)  # before torchrun's group is made
        monkeypatch.setenv("RANK", rank)
        drawn.append(mix(IMAGES, LABELS)[1])
        travelling = pickle.dumps(mix)
        collated.append(mix.collate(samples)[1])
        monkeypatch.delenv("RANK")
        spawned.append(pickle.loads(travelling).collate(samples)[1])
    assert not torch.equal(*drawn)
    assert not torch.equal(*collated)
    assert torch.equal(collated[1], spawned[1])


def test_the_state_carries_the_progress_of_schedules() -> None:
    def make() -> Mix:
        return Mix(Scheduled(lambda p: MixUp(lam=1 - p)), num_classes=4, seed=0)

    mix = make()
    mix.progress = 0.25
    other = make()
    other.load_state_dict(mix.state_dict())
    assert other.plan(IMAGES).weight[:, 0].unique().tolist() == [0.75]


def test_the_default_seed_is_torchs_and_the_global_stream_is_not_touched() -> None:
    before = torch.get_rng_state()
    first = Mix(MixUp(), num_classes=4)(IMAGES, LABELS)[0]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(
        first, Mix(MixUp(), num_classes=4, seed=torch.initial_seed())(IMAGES, LABELS)[0]
    )
    assert not torch.equal(first, Mix(MixUp(), num_classes=4, seed=1)(IMAGES, LABELS)[0])


class _Bytes(Dataset[tuple[torch.Tensor, int]]):
    """Equal images of two brightnesses, so that only the draws can differ."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        return torch.full((1, 4, 4), 200 * (place % 2), dtype=torch.uint8), place % 2


def _shares(
    mix: Mix, *, workers: int, passes: int = 1, fixed: bool = True, start: str | None = None
) -> list[list[float]]:
    loader = DataLoader(
        _Bytes(),
        batch_size=4,
        num_workers=workers,
        collate_fn=mix.collate,
        generator=stream(7),
        persistent_workers=workers > 0,
        multiprocessing_context=start,
    )
    out = []
    for epoch in range(passes):
        if fixed:
            mix.set_epoch(epoch)
        rows = []
        for images, targets in loader:
            assert images.dtype == torch.uint8
            assert images.shape == (4, 1, 4, 4)
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


@pytest.mark.parametrize("fixed", [True, False], ids=["set_epoch", "loader's seed"])
def test_workers_draw_alike_however_they_are_started(fixed: bool) -> None:
    made = {}
    for start in ("fork", "spawn", "forkserver"):
        mix = Mix(MixUp(), num_classes=2, seed=5)
        made[start] = _shares(mix, workers=2, passes=2, fixed=fixed, start=start)
    assert [len(rows) for rows in made["fork"]] == [16, 16]
    assert made["fork"][0] != made["fork"][1]  # the workers live on and see the second epoch
    assert made["spawn"] == made["fork"]
    assert made["forkserver"] == made["fork"]


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_mode_passes_what_the_loader_gives(workers: int) -> None:
    mix = Mix(MixUp(lam=0.5), num_classes=2, seed=5)
    loader = DataLoader(_Bytes(), batch_size=4, num_workers=workers, collate_fn=mix.collate)
    assert any(not images.eq(0).logical_or(images.eq(200)).all() for images, _ in loader)
    mix.eval()
    batches = list(loader)
    assert len(batches) == 4
    for images, labels in batches:
        assert labels.tolist() == [0, 1, 0, 1]  # class indices, no dense targets
        assert images[:, 0, 0, 0].tolist() == [0, 200, 0, 200]
        assert images.eq(images[:, :, :1, :1]).all()
    mix.train()
    assert any(not images.eq(0).logical_or(images.eq(200)).all() for images, _ in loader)


def test_mix_pickles_for_workers_that_are_spawned() -> None:
    mix = Mix(CutMix(), num_classes=4, seed=0)
    mix(IMAGES, LABELS)
    again = pickle.loads(pickle.dumps(mix))
    assert torch.equal(mix(IMAGES, LABELS)[0], again(IMAGES, LABELS)[0])
    assert repr(again).startswith("Mix(CutMix(")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mixer": CutMix}, "is no mixer"),
        ({"num_classes": 0}, "num_classes is 0; expected a whole number, at least 1"),
        ({"num_classes": 10.5}, r"num_classes is 10\.5; expected a whole number"),
        ({"label_smoothing": 1.0}, "label_smoothing is 1.0; expected less than 1"),
        ({"label_smoothing": -0.1}, r"label_smoothing is -0\.1"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mix(**({"mixer": MixUp()} | arguments))  # type: ignore[arg-type]


def test_bad_batches_are_named() -> None:
    mix = Mix(MixUp(), num_classes=3, seed=0)
    with pytest.raises(ValueError, match="labels run from 0 to 3; expected 0 to 2"):
        mix(IMAGES, LABELS)
    with pytest.raises(ValueError, match="5 columns but num_classes is 3"):
        mix(IMAGES, torch.rand(7, 5))
    with pytest.raises(ValueError, match="expected one label for each of the 7 images"):
        mix(IMAGES, LABELS[:3])
    with pytest.raises(ValueError, match=r"shape \(8,\); expected \(B, C, \*spatial\)"):
        mix(IMAGES[0, 0, 0], LABELS)
