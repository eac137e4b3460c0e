"""Models that return an object with ``logits``: every room answers as if it were the logits."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixwright import MixPlan
from mixwright.lab.evaluation.attack.fgsm import fgsm
from mixwright.lab.evaluation.attack.pgd import pgd
from mixwright.lab.evaluation.cam import grad_cam
from mixwright.lab.evaluation.gradients.pixel_gradient import (
    every_gradient,
    hessian_trace,
    value_of,
)
from mixwright.lab.evaluation.mixtures.reference import read_features
from mixwright.lab.evaluation.predictions import logits_of
from mixwright.lab.models.vit import SmallViT
from mixwright.lab.theory.decomposition import decompose
from mixwright.lab.theory.first_layer import first_layer_regulariser
from mixwright.lab.theory.plans import draw_plans
from mixwright.mixers import MIXERS, MixUp
from mixwright.objectives import (
    DADA,
    MEADA,
    OBJECTIVES,
    AdAutoMix,
    Losses,
    MixPro,
    Objective,
    SMMix,
    Spectral,
    TokenMix,
    TransMix,
)
from mixwright.objectives.spectral import sensitivity_map
from mixwright.outputs import take_logits
from mixwright.saliency import SALIENCIES
from mixwright.sampling import stream

CLASSES = 4
IMAGES = torch.rand(4, 3, 16, 16, generator=stream(0))
LABELS = torch.arange(4)


@dataclass
class Output:
    """What Hugging Face's models return."""

    logits: Tensor | None
    loss: None = None


class Returning(nn.Module):
    """Return a net's logits in something else."""

    def __init__(self, wrap: Callable[[Tensor], Any] = lambda logits: logits) -> None:
        super().__init__()
        self.net, self.wrap = copy.deepcopy(_NET), wrap

    def forward(self, images: Tensor) -> Any:
        return self.wrap(self.net(images))


def _net() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return SmallViT(num_classes=CLASSES, image_size=16, width=16, depth=3, heads=2)


_NET = _net()
NAMED = {"attribute": Output, "key": lambda logits: {"loss": None, "logits": logits}}
REFUSED = {"tuple": lambda logits: (logits, logits), "key": lambda logits: {"scores": logits}}
MAKERS: dict[str, Callable[[], Objective]] = {
    **OBJECTIVES,
    "adautomix-batched": lambda: AdAutoMix(game="paper", batched=True),
    "dada": lambda: DADA(policies=2, search_epochs=1, batch_size=2),
    "meada-online": lambda: MEADA(online=0.5, steps=2),
    "mixpro-always": lambda: MixPro(p=1.0, pal=True),
    "smmix-always": lambda: SMMix(p=1.0),
    "smmix-never": lambda: SMMix(p=0.0),
    "spectral-attack": lambda: Spectral(mode="attack", steps=1),
    "tokenmix-always": lambda: TokenMix(p=1.0),
    "transmix-always": lambda: TransMix(p=1.0),
}


def _step(name: str, model: nn.Module) -> tuple[Losses, Objective]:
    objective = MAKERS[name]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        objective.build(model, CLASSES)
    if isinstance(objective, DADA):
        objective.search(IMAGES, LABELS, generator=stream(2))
    return objective(model, IMAGES, LABELS, generator=stream(1), progress=0.5), objective


@pytest.mark.parametrize("wrap", NAMED.values(), ids=NAMED)
@pytest.mark.parametrize("name", MAKERS)
def test_objectives_take_logits_by_name(name: str, wrap: Callable[[Tensor], Any]):
    (wanted, _), (found, objective) = _step(name, Returning()), _step(name, Returning(wrap))
    torch.testing.assert_close(found.total, wanted.total)
    torch.testing.assert_close(found.logits, wanted.logits)
    found.total.backward()
    teacher = objective.own_teacher()
    if teacher is not None:  # it is evaluated as any model
        assert logits_of(teacher, [(IMAGES, LABELS)])[0].shape == (4, CLASSES)


@pytest.mark.parametrize("wrap", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("name", MAKERS)
def test_objectives_refuse_other_outputs_in_one_wording(name: str, wrap: Callable[[Tensor], Any]):
    with pytest.raises(ValueError, match=r"images the model returned a .*returns its logits"):
        _step(name, Returning(wrap))


@pytest.mark.parametrize("name", [*MIXERS, *(f"saliencymix-{word}" for word in SALIENCIES)])
def test_mixers_and_saliencies_look_at_such_a_model_as_at_any(name: str):
    name, _, word = name.partition("-")
    mixer = MIXERS[name](**({"saliency": word} if word else {}))
    wanted, *found = (
        mixer.plan(IMAGES, LABELS, generator=stream(3), model=model)
        for model in (Returning(), *map(Returning, NAMED.values()))
    )
    for plan in found:
        assert torch.equal(plan.index, wanted.index)
        assert torch.equal(plan.weight, wanted.weight)
        assert torch.equal(plan.mask, wanted.mask)


def test_a_plan_takes_the_output_itself():
    plan = MixPlan.pair(torch.tensor([1, 0]), torch.tensor([0.75, 0.25]).view(2, 1, 1))
    logits, labels = torch.tensor([[2.0, 0.0], [1.0, 3.0]]), torch.tensor([0, 1])

    def criterion(logits: Tensor, labels: Tensor) -> Tensor:
        return logits.gather(1, labels[:, None])[:, 0]

    # 0.75 * 2 + 0.25 * 0 and 0.25 * 3 + 0.75 * 1; hits of class 0 by 0.75, of class 1 by 0.25.
    outputs: list[Any] = [logits, Output(logits), {"logits": logits}]
    for output in outputs:
        assert plan.loss(criterion, output, labels).item() == 1.5
        assert plan.accuracy(output, labels).item() == 0.5
    others: list[Any] = [(logits,), {"scores": logits}, Output(None)]
    for output in others:
        with pytest.raises(ValueError, match=r"plan.loss: logits are an? .*returns its logits"):
            plan.loss(criterion, output, labels)
        with pytest.raises(ValueError, match=r"plan.accuracy: logits are an? .*returns its logits"):
            plan.accuracy(output, labels)


def _effect(model: nn.Module) -> Tensor:
    return first_layer_regulariser(model, IMAGES, torch.eye(256), partners=2, generator=stream(4))


def _decomposed(model: nn.Module) -> Tensor:
    plans = draw_plans(MixUp(), IMAGES, LABELS, count=4, generator=stream(4))
    found = decompose(model, plans)
    return torch.tensor([found.plain.mean, found.mixed.mean, found.r3.mean])


LOOKS: dict[str, Callable[[nn.Module], Tensor]] = {
    "logits": lambda model: logits_of(model, [(IMAGES, LABELS)])[0],
    "features": lambda model: read_features(model, [IMAGES])[1],
    "fgsm": lambda model: fgsm(model, IMAGES, LABELS, eps=0.1),
    "pgd": lambda model: (
        pgd(model, IMAGES, LABELS, eps=0.1, alpha=0.1, steps=2, generator=stream(4)).images
    ),
    "gradients": lambda model: every_gradient(model, IMAGES)[0],
    "curvature": lambda model: hessian_trace(
        model, IMAGES, value_of("loss", LABELS), probes=1, generator=stream(4)
    ),
    "cam": lambda model: grad_cam(model, IMAGES, LABELS),
    "sensitivity": lambda model: sensitivity_map(
        model, IMAGES[:1], LABELS[:1], generator=stream(4)
    ),
    "first layer": _effect,
    "decomposition": _decomposed,
}


@pytest.mark.parametrize("name", LOOKS)
def test_evaluation_and_theory_judge_such_a_model_as_any(name: str):
    wanted, look = LOOKS[name](Returning()), LOOKS[name]
    for wrap in NAMED.values():
        torch.testing.assert_close(look(Returning(wrap)), wanted)
    for wrap in REFUSED.values():
        with pytest.raises(ValueError, match=r"images the model returned a .*returns its logits"):
            look(Returning(wrap))


def test_logits_of_another_shape_are_refused_with_it():
    for shape, count in (((3, 4, 2, 2), 3), ((2, 4), 3), ((3,), 3)):
        with pytest.raises(ValueError, match=f"mine: for 3 images the model returned .{shape[0]},"):
            take_logits(Output(torch.zeros(shape)), who="mine", count=count)
