"""Labels that say no class, maps of labels, and what a sample has beside its image: one plan."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from mixwright import MIXERS, CutMix, Cutout, Mix, MixPlan, MixUp
from mixwright.masks.mask_forms import Box
from mixwright.mixers import CARDS
from mixwright.sampling import stream
from probe import CLASSES, probe

QUARTER = MixPlan.pair(torch.tensor([1, 2, 0]), torch.full((3, 1, 1, 1), 0.75))
"""Three quarters of each sample, one of the next."""
UNKNOWN = torch.tensor([0, -100, 2])
LOGITS = torch.tensor([[2.0, 1.0, 0.0], [1.0, 0.0, 0.5], [0.0, 0.5, 3.0]])


@pytest.mark.parametrize("ignore", [-100, 255, 2**40, -1])
def test_what_is_unknown_has_no_share_of_a_target(ignore: int) -> None:
    labels = torch.where(UNKNOWN < 0, ignore, UNKNOWN)
    targets = QUARTER.targets(labels, 3, ignore_index=ignore)
    assert targets.tolist() == [[0.75, 0, 0], [0, 0, 0.25], [0.25, 0, 0.75]]
    QUARTER.check(labels, 3, ignore_index=ignore)


def test_a_class_may_be_the_one_that_is_not_counted() -> None:
    targets = QUARTER.targets(torch.tensor([0, 1, 2]), 3, ignore_index=1)
    assert targets.tolist() == [[0.75, 0, 0], [0, 0, 0.25], [0.25, 0, 0.75]]
    assert QUARTER.targets(torch.full((3,), 9), 3, ignore_index=9).tolist() == [[0.0] * 3] * 3


def test_without_ignore_index_such_a_label_is_out_of_range_as_ever() -> None:
    with pytest.raises(
        ValueError, match=r"from -100 to 2; expected 0 to 2.*pass it as ignore_index"
    ):
        QUARTER.targets(UNKNOWN, 3)
    with pytest.raises(ValueError, match="labels run from -100 to 2"):
        QUARTER.check(UNKNOWN, 3)


def test_loss_and_accuracy_leave_it_out() -> None:
    log = LOGITS.log_softmax(dim=1)
    by_hand = -(0.75 * log[0, 0] + 0.25 * log[1, 2] + 0.75 * log[2, 2] + 0.25 * log[2, 0]) / 3
    for ignore in (-100, 255):
        labels = torch.where(UNKNOWN < 0, ignore, UNKNOWN)
        loss = QUARTER.loss(
            torch.nn.CrossEntropyLoss(reduction="none"), LOGITS, labels, ignore_index=ignore
        )
        torch.testing.assert_close(loss, by_hand)
        targets = QUARTER.targets(labels, 3, ignore_index=ignore)
        torch.testing.assert_close(F.cross_entropy(LOGITS, targets), by_hand)
        # Hits: 0.75 of sample 0, none of 0.25 of sample 1, 0.75 of 1 of sample 2.
        assert float(QUARTER.accuracy(LOGITS, labels, ignore_index=ignore)) == 0.75
    nothing = torch.full((3,), -100)
    assert QUARTER.accuracy(LOGITS, nothing, ignore_index=-100).isnan()


@pytest.mark.parametrize(("unknown", "low", "high"), [(-100, -100, 2), (255, 0, 255), (3, 0, 3)])
def test_accuracy_takes_no_label_for_a_miss_that_is_no_class(unknown, low, high) -> None:
    labels = torch.where(UNKNOWN < 0, unknown, UNKNOWN)
    said = f"plan.accuracy: labels run from {low} to {high}; expected 0 to 2 for num_classes=3"
    with pytest.raises(ValueError, match=said):
        QUARTER.accuracy(LOGITS, labels)


def test_no_gradient_comes_from_what_is_unknown() -> None:
    logits = LOGITS.clone().requires_grad_()
    labels = torch.tensor([-100, -100, 1])  # of sample 0 nothing is known
    for loss in (
        QUARTER.loss(
            torch.nn.CrossEntropyLoss(reduction="none"), logits, labels, ignore_index=-100
        ),
        F.cross_entropy(logits, QUARTER.targets(labels, 3, ignore_index=-100)),
    ):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert gradient[0].tolist() == [0, 0, 0]
        assert gradient[1:].abs().sum(dim=1).min() > 0


@pytest.mark.parametrize(
    ("labels", "ignore", "message"),
    [
        (torch.eye(3), -100, r"ignore_index is -100 for labels of shape \(3, 3\).*row of zeros"),
        (UNKNOWN.float(), -100, "expected class indices"),
        (UNKNOWN, 1.5, r"ignore_index is 1\.5; expected a whole number"),
        (UNKNOWN, "x", "ignore_index is 'x'; expected a whole number"),
        (UNKNOWN, True, "ignore_index is True; expected a whole number"),
    ],
    ids=["soft", "floating", "half", "text", "bool"],
)
def test_other_labels_have_no_unknown_class(labels: Any, ignore: Any, message: str) -> None:
    criterion = torch.nn.CrossEntropyLoss(reduction="none")
    for call in (
        lambda: QUARTER.targets(labels, 3, ignore_index=ignore),
        lambda: QUARTER.loss(criterion, LOGITS, labels, ignore_index=ignore),
        lambda: QUARTER.accuracy(LOGITS, labels, ignore_index=ignore),
        lambda: QUARTER.check(labels, 3, ignore_index=ignore),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_mix_smooths_what_is_known() -> None:
    mix = Mix(
        MixUp(lam=0.75, pairing="roll"), num_classes=3, label_smoothing=0.3, ignore_index=-100
    )
    images = torch.rand(3, 3, 4, 4)
    _, targets = mix(images, torch.tensor([0, 2, -100]))  # partners are -100, 0 and 2
    expected = torch.tensor([[0.6, 0.075, 0.075], [0.275, 0.1, 0.625], [0.025, 0.025, 0.2]])
    torch.testing.assert_close(targets, expected)
    assert "ignore_index=-100" in repr(mix)


@pytest.mark.parametrize("ignore", [-100, 255])
@pytest.mark.parametrize("name", [name for name, card in CARDS.items() if card.needs == "model"])
def test_mixers_that_look_at_labels_take_such_a_sample(name: str, ignore: int) -> None:
    images = torch.rand(4, 3, 16, 16, generator=stream(1))
    labels = torch.tensor([0, ignore, 1, ignore])
    mix = Mix(MIXERS[name](), num_classes=CLASSES, ignore_index=ignore, seed=0)
    mixed, targets = mix(images, labels, model=probe("cpu"))
    assert mixed.isfinite().all()
    assert targets.isfinite().all()
    assert targets[:, 2:].abs().sum() == 0
    assert 0 < targets.sum() < 4.001


def test_a_class_map_of_an_unknown_label_is_no_other_classs() -> None:
    """A mixer sees the labels as shares: of what is not known, none."""
    seen: list[torch.Tensor] = []

    class Looking:
        def plan(self, images: Any, labels: Any = None, *, generator: Any, model: Any = None):
            seen.append(labels)
            return MixPlan.identity(images)

    mix = Mix(Looking(), num_classes=3, ignore_index=-100)
    mix(torch.rand(3, 3, 4, 4), UNKNOWN)
    mix.collate([(torch.rand(3, 4, 4), label) for label in UNKNOWN])
    mix.plan(torch.rand(3, 3, 4, 4), UNKNOWN)
    for labels in seen:
        assert labels.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert len(seen) == 3


# ------------------------------------------------------------------ maps

# The left column is each sample's own, the right one the other's.
HALVES = MixPlan.pair(torch.tensor([1, 0]), Box(torch.tensor([[[0, 2], [1, 2]]] * 2), (2, 2)))
MAPS = torch.tensor([[[0, 1], [2, 255]], [[1, 2], [255, 0]]])


def test_maps_of_labels_are_mixed_as_the_pixels_are() -> None:
    targets = HALVES.targets(MAPS, 3, ignore_index=255)
    assert targets.dtype == torch.float32
    mixed = torch.tensor([[[0, 2], [2, 0]], [[1, 1], [255, 255]]])
    expected = torch.stack([(mixed == k).float() for k in range(3)], dim=1)
    assert torch.equal(targets, expected)
    wide = HALVES.targets(MAPS.to(torch.uint8), 256)
    assert torch.equal(wide.argmax(dim=1), mixed)
    logits = torch.randn(2, 3, 2, 2, generator=stream(1))
    torch.testing.assert_close(
        F.cross_entropy(logits, targets, reduction="sum"),
        F.cross_entropy(logits, mixed, ignore_index=255, reduction="sum"),
    )


def test_maps_under_a_blend_are_shares_of_both() -> None:
    plan = MixPlan.pair(torch.tensor([1, 0]), torch.full((2, 1, 1, 1), 0.75))
    targets = plan.targets(MAPS, 3, ignore_index=255)
    assert targets[0, :, 1, 1].tolist() == [0.25, 0, 0]  # its own pixel is not known
    assert targets[0, :, 0, 0].tolist() == [0.75, 0.25, 0]
    assert targets[1, :, 1, 0].tolist() == [0, 0, 0.25]


def test_images_and_maps_of_a_batch_go_through_mix() -> None:
    images = torch.rand(5, 3, 8, 8, generator=stream(1))
    maps = torch.randint(0, 4, (5, 8, 8), generator=stream(2))
    maps[:, 0] = 255
    mix = Mix(CutMix(), num_classes=4, ignore_index=255, seed=3)
    made = mix({"image": images, "label": maps})
    plan = Mix(CutMix(), seed=3).plan(images)
    own = plan.mask[:, 0].bool()  # (5, 8, 8)
    mixed = torch.where(own, maps, maps[plan.index[:, 1]])
    for k in range(4):
        assert torch.equal(made["label"][:, k], (mixed == k).float())
    assert torch.equal(made["image"], plan.images(images))


def test_a_hole_is_of_no_class() -> None:
    plan = Cutout(length=0.5, fill=1.0).plan(torch.rand(2, 3, 8, 8), generator=stream(0))
    targets = plan.targets(torch.zeros(2, 8, 8, dtype=torch.int64), 2)
    assert torch.equal(targets[:, 0], plan.mask[:, 0])
    assert targets[:, 1].abs().sum() == 0


@pytest.mark.parametrize(
    ("maps", "classes", "message"),
    [
        (MAPS, 3, "labels run from 0 to 255; expected 0 to 2"),
        (MAPS, None, "num_classes is missing"),
        (MAPS > 0, 3, r"dtype torch\.bool; expected class indices"),
        (MAPS[:1], 3, "expected 2 rows"),
        (MAPS.repeat(1, 2, 1), 256, r"spatial size \(4, 2\), the plan was drawn for \(2, 2\)"),
    ],
    ids=["range", "classes", "bool", "rows", "size"],
)
def test_maps_that_do_not_fit_are_named(maps: Any, classes: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HALVES.targets(maps, classes)


# ------------------------------------------------------------------ beside the images


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_columns_of_a_table_are_mixed_by_the_label_weights(kind: torch.dtype) -> None:
    table = torch.tensor([[0.0, 4.0], [8.0, 0.0], [4.0, 4.0]], dtype=kind)
    mixed = QUARTER.mix(table)
    assert mixed.dtype == kind
    assert mixed.tolist() == [[2, 3], [7, 1], [3, 4]]
    assert QUARTER.mix(table[:, 0]).tolist() == [2, 7, 3]
    assert table.tolist() == [[0, 4], [8, 0], [4, 4]]


def test_columns_go_with_the_pixels_that_are_left() -> None:
    """Who is mixed shows in the pixels, the columns and the targets alike."""
    who = torch.eye(5)
    images = who[:, :, None, None].expand(5, 5, 8, 8)
    mix = Mix(CutMix(), num_classes=5, seed=3)
    plan = mix.plan(images)
    shown = plan.images(images).mean(dim=(2, 3))
    torch.testing.assert_close(plan.mix(who), shown)
    torch.testing.assert_close(mix.targets(plan, torch.arange(5)), shown)


def test_embeddings_are_mixed_and_tokens_are_given_side_by_side() -> None:
    table = torch.randn(11, 4, generator=stream(1), requires_grad=True)
    tokens = torch.randint(0, 11, (3, 7), generator=stream(2))
    mixed = QUARTER.mix(table[tokens])
    assert mixed.shape == (3, 7, 4)
    first, second = QUARTER.labels(tokens).unbind(1)
    assert torch.equal(first, tokens)
    assert torch.equal(second, tokens[[1, 2, 0]])
    torch.testing.assert_close(mixed, 0.75 * table[first] + 0.25 * table[second])
    mixed.sum().backward()
    assert table.grad is not None
    torch.testing.assert_close(table.grad.sum(), torch.tensor(3.0 * 7 * 4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (torch.ones(3, 2, dtype=torch.int64), r"values have dtype torch\.int64; expected floating"),
        (torch.ones(4, 2), "values have shape .*; expected 3 rows"),
        (torch.tensor(1.0), "values have shape .*; expected 3 rows"),
        ([[1.0], [2.0], [3.0]], "values is .*; expected a tensor"),
    ],
    ids=["tokens", "rows", "number", "list"],
)
def test_values_that_cannot_be_averaged_are_named(values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QUARTER.mix(values)
