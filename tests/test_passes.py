"""What the cards say a training step asks of the model, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mixwright.lab.models.resnet import ThinResNet
from mixwright.lab.models.vit import SmallViT
from mixwright.mixers import CARDS, MIXERS
from mixwright.objectives import DADA, OBJECTIVE_CARDS, OBJECTIVES, AdAutoMix, Mixed, Objective
from mixwright.objectives.dada import PolicyStep
from mixwright.sampling import stream

CLASSES, BATCH, SIDE = 5, 4, 32
STEPS = 4
MANY = 40  # steps, where each draws whether it looks at the unmixed images


class _Passed(torch.autograd.Function):
    """The identity, which counts the batches that are passed back through it."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, counter: Counter[str], name: str, share: float) -> Tensor:
        ctx.notes = counter, name, share
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        counter, name, share = ctx.notes
        counter[name] += share
        return gradients[0], None, None, None


class Shared(Counter[str]):
    """A counter that copies of its network go on with: averaged teachers are such copies."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self


class Counted(nn.Module):
    """A network that counts passes, in batches of ``BATCH``: part of one counts as its share.

    A backward through the weights is seen at the first layer's weight, one to the input at the
    input; gradients of the input that come with those of the weights count as the former.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.counter = Shared()
        self.share = 0.0
        first = next(one for one in net.modules() if isinstance(one, nn.Conv2d))
        parametrize.register_parametrization(first, "weight", _Weight(self._passed))

    def forward(self, images: Tensor) -> Tensor:
        self.share = len(images) / BATCH
        self.counter["forwards"] += self.share
        return self.net(_Passed.apply(images, self.counter, "inputs", self.share))

    def _passed(self, weight: Tensor) -> Tensor:
        return _Passed.apply(weight, self.counter, "weights", self.share)


class _Weight(nn.Module):
    def __init__(self, passed: Any) -> None:
        super().__init__()
        self.passed = passed

    def forward(self, weight: Tensor) -> Tensor:
        return self.passed(weight)


def network(kind: str) -> Counted:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if kind == "cnn":
            return Counted(ThinResNet(8, num_classes=CLASSES))
        return Counted(SmallViT(num_classes=CLASSES, width=16, depth=4, heads=2))


def count(objective: Objective, model: Counted, steps: int) -> dict[str, float]:
    """Passes in a step, the mean of several; the first, in which layers are found, is left out."""
    objective.build(model, CLASSES)
    if isinstance(objective, DADA):  # its search comes before the first step
        objective.use([(PolicyStep("Invert", 0.5, 0.5), PolicyStep("Rotate", 0.5, 0.7))] * 25)
    generator = stream(0)
    for seed in range(steps + 1):
        if seed == 1:
            model.counter.clear()
        images = torch.rand(BATCH, 3, SIDE, SIDE, generator=stream(seed))
        labels = torch.arange(BATCH) % CLASSES
        losses = objective(model, images, labels, generator=generator, progress=0.5)
        losses.total.backward()
        objective.after_step(model)
    seen = {name: model.counter[name] / steps for name in ("forwards", "weights", "inputs")}
    assert seen["weights"] >= 1
    return seen


def expect(objective: Objective, card: Any) -> None:
    """Hold a method against its card, on a CNN or, if it wants one, on a transformer."""
    wholly = all(float(n).is_integer() for n in (card.forwards, card.backwards))
    steps = STEPS if wholly else MANY
    try:
        seen = count(objective, network("cnn"), steps)
    except ValueError:
        seen = count(objective, network("transformer"), steps)
    near = {"abs": 0.0 if wholly else 0.15}
    assert seen["forwards"] == pytest.approx(card.forwards, **near)
    assert seen["weights"] == pytest.approx(card.backwards, **near)
    assert seen["inputs"] == pytest.approx(card.input_backwards, **near)


@pytest.mark.parametrize("name", MIXERS)
def test_mixers_cost_what_their_cards_say(name: str) -> None:
    expect(Mixed(MIXERS[name]()), CARDS[name])


@pytest.mark.parametrize("name", ["cutmix", "miamix", "puzzlemix"])
def test_whole_images_cost_one_more_plain_step(name: str) -> None:
    card = CARDS[name]
    more = replace(card, forwards=card.forwards + 1, backwards=card.backwards + 1)
    assert more.times == pytest.approx(card.times + 1)
    expect(Mixed(MIXERS[name](), clean=1.0), more)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_cost_what_their_cards_say(name: str) -> None:
    expect(OBJECTIVES[name](), OBJECTIVE_CARDS[name])


@pytest.mark.parametrize(
    ("given", "forwards", "weights", "inputs"),
    [
        # The student learns from whole images and from the masks' mixture, and of three images or
        # more from a plain one; the teacher looks at whole images once, whatever their number, and
        # at the generator's mixture with a graph to it alone.
        ({"sources": 2}, 2 + 2, 2, 1),
        ({"sources": 3}, 3 + 2, 3, 1),
        ({"sources": 5}, 3 + 2, 3, 1),
        ({"sources": 3, "plain": False}, 2 + 2, 2, 1),
        ({"sources": 2, "plain": True}, 3 + 2, 3, 1),
        ({"sources": 2, "clean": False}, 1 + 2, 1, 1),
        ({"sources": 3, "statistics": "official"}, 3 + 2, 3, 1),
        # One mixture for both players: what the student passes back goes on to its masks.
        ({"sources": 3, "game": "paper"}, 3 + 2, 3, 2),
        ({"sources": 2, "batched": True}, 2 + 2, 2, 1),  # the student's two as one, twice as large
    ],
)
def test_adautomix_makes_no_pass_whose_result_is_not_used(
    given: dict[str, Any], forwards: int, weights: int, inputs: int
) -> None:
    seen = count(AdAutoMix(**given), network("cnn"), STEPS)
    assert seen == {"forwards": forwards, "weights": weights, "inputs": inputs}


def test_every_objective_has_a_card() -> None:
    assert set(OBJECTIVES) == set(OBJECTIVE_CARDS)
    for name, card in OBJECTIVE_CARDS.items():
        assert name == card.title.lower()
        assert OBJECTIVES[name].__name__ == card.title


@pytest.mark.parametrize("kind", ["cnn", "transformer"])
def test_the_counter_counts(kind: str) -> None:
    class Odd(Objective):
        def forward(self, model: nn.Module, images: Tensor, labels: Tensor, **_: Any) -> Any:
            with torch.no_grad():
                model(images[: BATCH // 2])
            own = images.clone().requires_grad_()
            torch.autograd.grad(model(own).sum(), own)
            both = Mixed()(model, images, labels, generator=stream(0), progress=0.0)
            again = Mixed()(model, images, labels, generator=stream(0), progress=0.0)
            return type(both)(both.total + again.total, {}, both.logits)

    seen = count(Odd(), network(kind), 3)
    assert seen == {"forwards": 3.5, "weights": 2.0, "inputs": 1.0}
