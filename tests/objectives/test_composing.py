"""Two plans after one another are one plan of the labels."""

from __future__ import annotations

import pytest
import torch

from mixwright.mixers import CutMix, Cutout, Mixer, MixUp, OneOf
from mixwright.objectives.composing import composed
from mixwright.objectives.criteria import CrossEntropy
from mixwright.plan import MixPlan
from mixwright.sampling import stream

IMAGES = torch.rand(6, 3, 8, 8, generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.mark.parametrize("second", [MixUp(), OneOf(CutMix(), MixUp())])
@pytest.mark.parametrize("first", [CutMix(), Cutout(), None])
def test_targets_are_those_of_the_second_on_those_of_the_first(
    first: Mixer | None, second: Mixer
) -> None:
    one = (
        MixPlan.identity(IMAGES)
        if first is None
        else first.plan(IMAGES, LABELS, generator=stream(2))
    )
    two = second.plan(IMAGES, LABELS, generator=stream(3))
    both = composed(one, two).check(LABELS, 5)
    dense = two.targets(one.targets(LABELS, 5))
    torch.testing.assert_close(both.targets(LABELS, 5), dense)
    assert both.index.shape == (6, one.index.shape[1] * two.index.shape[1])
    assert both.index[:, 0].tolist() == list(range(6))
    logits = torch.randn(6, 5, generator=stream(4))
    criterion = CrossEntropy(0.1)
    torch.testing.assert_close(
        both.loss(criterion, logits, LABELS), criterion(logits, dense).mean()
    )
    hit = dense.gather(1, logits.argmax(dim=1)[:, None]).sum() / dense.sum()
    torch.testing.assert_close(both.accuracy(logits, LABELS), hit)


def test_weights_beside_the_masks_multiply_and_masks_stay_shares() -> None:
    one = CutMix().plan(IMAGES, generator=stream(2))
    one = one.replace(weight=torch.rand(6, 2, generator=stream(5)))
    two = MixUp().plan(IMAGES, generator=stream(3)).replace(weight=torch.full((6, 2), 0.7))
    both = composed(one, two)
    torch.testing.assert_close(
        both.targets(LABELS, 5), two.targets(one.targets(LABELS, 5)), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(both.mask.sum(dim=1), torch.ones(6, 1, 1))


def test_a_larger_pool_is_the_first_plans() -> None:
    one = MixPlan.identity(IMAGES).replace(index=torch.arange(6)[:, None] + 2, pool=8)
    two = MixUp().plan(IMAGES, generator=stream(3))
    labels = torch.arange(8)
    both = composed(one, two)
    torch.testing.assert_close(both.targets(labels, 8), two.targets(labels[2:], 8))


def test_plans_that_do_not_follow_one_another_are_refused() -> None:
    one = MixUp().plan(IMAGES, generator=stream(2))
    with pytest.raises(ValueError, match="pool of 4, the first gives 6"):
        composed(one, MixUp().plan(IMAGES[:4], generator=stream(3)))
