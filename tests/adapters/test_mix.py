"""``Mix``: the call and the pieces; labels of every kind; what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mixwright import CutMix, Mix, MixUp, SnapMix
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
    mix.mixing = False
    assert mix(IMAGES, LABELS)[0] is IMAGES
    assert torch.equal(mix.plan(IMAGES).images(IMAGES), IMAGES)


def test_the_default_seed_is_torchs_and_the_global_stream_is_not_touched() -> None:
    before = torch.get_rng_state()
    first = Mix(MixUp(), num_classes=4)(IMAGES, LABELS)[0]
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(
        first, Mix(MixUp(), num_classes=4, seed=torch.initial_seed())(IMAGES, LABELS)[0]
    )
    assert not torch.equal(first, Mix(MixUp(), num_classes=4, seed=1)(IMAGES, LABELS)[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mixer": CutMix}, "mixer is <class .*; expected an object with a plan"),
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


WHOLE = [
    torch.int8,
    torch.int16,
    torch.int32,
    torch.uint8,
    torch.uint16,
    torch.uint32,
    torch.uint64,
]


@pytest.mark.parametrize("kind", WHOLE, ids=str)
def test_class_indices_of_every_whole_type_are_those_of_int64(kind: torch.dtype) -> None:
    labels = LABELS.to(kind)
    want = Mix(MixUp(), num_classes=4, seed=0)
    mix = Mix(MixUp(), num_classes=4, seed=0)
    expected = want.plan(IMAGES, LABELS)
    plan = mix.plan(IMAGES, labels)
    assert torch.equal(plan.targets(labels, 4), expected.targets(LABELS, 4))
    logits = torch.randn(7, 4, generator=stream(2))
    assert torch.equal(plan.accuracy(logits, labels), expected.accuracy(logits, LABELS))
    loss = torch.nn.CrossEntropyLoss(reduction="none")
    assert torch.equal(plan.loss(loss, logits, labels), expected.loss(loss, logits, LABELS))
    assert torch.equal(plan.labels(labels), LABELS[plan.index])
    plan.check(labels, 4)
    assert torch.equal(mix(IMAGES, labels)[1], want(IMAGES, LABELS)[1])


@pytest.mark.parametrize(
    "labels",
    [
        LABELS.tolist(),
        tuple(LABELS.tolist()),
        list(LABELS),
        list(LABELS.numpy()),
        LABELS.numpy(),
        LABELS.numpy()[::-1].copy()[::-1],
        LABELS.numpy().astype(np.uint16),
        np.broadcast_to(LABELS.numpy(), (1, 7))[0],  # read-only
        F.one_hot(LABELS, 4).double(),
        F.one_hot(LABELS, 4).float().tolist(),
        list(F.one_hot(LABELS, 4).float().numpy()),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_labels_may_be_arrays_and_lists(labels: Any) -> None:
    _, expected = Mix(MixUp(), num_classes=4, seed=0)(IMAGES, LABELS)
    _, targets = Mix(MixUp(), num_classes=4, seed=0)(IMAGES, labels)
    torch.testing.assert_close(targets.float(), expected)


def test_labels_of_other_types_reach_mixers_that_compare_them() -> None:
    mixer = SnapMix(official_same_label=True, saliency="spectral")
    images = torch.rand(7, 3, 16, 16, generator=stream(1))
    plan = mixer.plan(images, LABELS, generator=stream(0))
    for labels in (LABELS.to(torch.uint16), LABELS.numpy()):
        again = mixer.plan(images, labels, generator=stream(0))  # type: ignore[arg-type]
        assert torch.equal(plan.weight, again.weight)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 7, r"labels are \['a', 'a'.*of which no tensor can be made"),
        ([[1, 2], [3]] + [[1]] * 5, "of which no tensor can be made"),
        (np.array([{}] * 7), "of which no tensor can be made"),
        ([{"label": 1}] * 7, "of which no tensor can be made"),
        (3, r"labels have shape \(\)"),
        (LABELS.bool(), r"dtype torch\.bool; expected class indices"),
        (F.one_hot(LABELS, 4), r"shape \(7, 4\) and dtype torch\.int64.*labels\.float\(\)"),
        (F.one_hot(LABELS, 4).to(torch.uint16), r"\(7, 4\).*labels\.float\(\)"),
        (LABELS.float(), r"shape \(7,\) and dtype torch\.float32"),
        (torch.full((7,), 65535, dtype=torch.uint16), "labels run from 65535 to 65535"),
        (LABELS.to(torch.complex64), "dtype torch.complex64; expected class indices"),
        (torch.full((7,), -1, dtype=torch.int8), "labels run from -1 to -1"),
    ],
    ids=lambda value: None,
)
def test_labels_that_say_no_class_are_named(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mix(MixUp(), num_classes=4, seed=0)(IMAGES, labels)


def test_numbers_of_numpy_and_torch_are_settings_like_pythons() -> None:
    plain = Mix(MixUp(alpha=0.5), num_classes=4, label_smoothing=0.125, seed=3)
    for make in (np.float32, np.float64, torch.tensor, np.array):
        whole = make if make in (torch.tensor, np.array) else np.int64
        mix = Mix(
            MixUp(alpha=make(0.5)),
            num_classes=whole(4),
            label_smoothing=make(0.125),
            seed=whole(3),
        )
        assert repr(mix) == repr(plain)
        assert torch.equal(mix(IMAGES, LABELS)[1], Mix.__call__(plain, IMAGES, LABELS)[1])
        plain = Mix(MixUp(alpha=0.5), num_classes=4, label_smoothing=0.125, seed=3)
        mix.set_epoch(whole(2))
        mix.progress = make(0.5)
        mix.mixing = np.bool_(False)  # type: ignore[assignment]
        assert (mix.state_dict()["epoch"], mix.progress, mix.mixing) == (2, 0.5, False)


@pytest.mark.parametrize("epoch", [1.5, -1, True, "1", None, np.float32(2)])
def test_epochs_are_whole_numbers(epoch: Any) -> None:
    mix = Mix(MixUp(), num_classes=4, seed=0)
    mix.set_epoch(3)
    with pytest.raises(ValueError, match=r"epoch is .*; expected a whole number, at least 0"):
        mix.set_epoch(epoch)
    assert mix.state_dict()["epoch"] == 3


@pytest.mark.parametrize(
    ("name", "value"),
    [("mixer", CutMix()), ("num_classes", 5), ("label_smoothing", 0.5), ("seed", 1)],
)
def test_what_running_workers_would_not_learn_stays_as_it_is(name: str, value: Any) -> None:
    mix = Mix(MixUp(), num_classes=4, seed=0)
    before = repr(mix)
    with pytest.raises(AttributeError):
        setattr(mix, name, value)
    assert repr(mix) == before


def test_the_switch_is_a_truth_value() -> None:
    mix = Mix(MixUp(), num_classes=4, seed=0)
    with pytest.raises(ValueError, match="mixing is 'off'; expected True or False"):
        mix.mixing = "off"  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"seed is 1\.5; expected a whole number"):
        Mix(MixUp(), seed=1.5)  # type: ignore[arg-type]
