"""Settings of the learned mixers: flat, checked, their own; and modules among them."""

from __future__ import annotations

import inspect

import pytest
import torch
from tests.objectives.players import CLASSES, Small, batch, built
from torch import Tensor, nn

from mixwright.objectives import OBJECTIVES, AdAutoMix, AutoMix, SAMix
from mixwright.objectives.learning import Learning
from mixwright.sampling import stream


class Constant(nn.Module):
    """A criterion that is a module with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(3.0, dtype=torch.float64))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return self.value + 0 * logits.sum(dim=1)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_criterion_that_is_a_module_counts(name: str) -> None:
    objective = OBJECTIVES[name](criterion=Constant())  # pyright: ignore[reportCallIssue]
    assert isinstance(objective.criterion, Constant)
    assert "criterion.value" in dict(objective.named_parameters())


def test_the_loss_is_that_of_a_criterion_that_is_a_module() -> None:
    objective, model = built(AutoMix(criterion=Constant(), mask_weight=0.0))
    images, labels = batch()
    losses = objective(model, images, labels, generator=stream(0), progress=0.0)
    assert float(losses.total.detach()) == pytest.approx(
        9.0, rel=1e-5
    )  # whole, mixed, and the teacher's


@pytest.mark.parametrize(
    ("cls", "changed"),
    [
        (AutoMix, {"mask_loss": "l1", "upsample": "nearest", "alpha": 2.0, "mask_weight": 0.1}),
        (SAMix, {"mask_loss": "l1+variance", "upsample": "bilinear", "margin": 0.08}),
        (AdAutoMix, {"alpha": 1.0, "margin": 0.03, "mask_weight": 0.0, "sources": 3}),
    ],
)
def test_each_has_defaults_of_its_own(cls: type[Learning], changed: dict[str, object]) -> None:
    parameters = inspect.signature(cls).parameters
    for option, default in changed.items():
        assert parameters[option].default == default
        assert parameters[option].kind is inspect.Parameter.KEYWORD_ONLY
    assert ("sources" in parameters) is (cls is AdAutoMix)


def test_settings_of_one_are_not_those_of_another() -> None:
    first, second = AutoMix(momentum=0.5, mask_tolerance=0.25), AutoMix()
    assert (first.momentum, second.momentum) == (0.5, 0.999)
    assert (first.mask_penalty.tolerance, second.mask_penalty.tolerance) == (0.25, 0.1)
    assert first != second
    assert len({first, second}) == 2


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (SAMix, {"eta": -1.0}, "SAMix: eta is -1.0"),
        (AutoMix, {"mask_weight": -1.0}, "AutoMix: mask_weight is -1.0"),
        (AutoMix, {"mask_tolerance": 2.0}, "MaskLoss: tolerance is 2.0"),
        (AutoMix, {"mask_loss": "l3"}, "AutoMix: mask_loss is 'l3'; expected one of 'l1'"),
        (SAMix, {"per": "image"}, "SAMix: per is 'image'"),
        (SAMix, {"mask_min_lr": -1.0}, "SAMix: mask_min_lr is -1.0"),
    ],
)
def test_bad_arguments(cls: type[Learning], options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cls(**options)  # pyright: ignore[reportArgumentType]


def test_a_step_of_samix_adds_the_loss_of_absent_classes() -> None:
    terms = []
    for eta in (0.0, 0.5):
        objective, model = built(SAMix(eta=eta))
        images, labels = batch()
        losses = objective(model, images, labels, generator=stream(0), progress=0.0)
        terms.append(losses.terms["teacher"])
    assert float(terms[1]) > float(terms[0]) + 0.05


@pytest.mark.parametrize(
    ("kind", "head"),
    [(torch.float64, torch.float64), (torch.float32, torch.float32)],
)
def test_the_teachers_head_is_as_wide_as_the_model(kind: torch.dtype, head: torch.dtype) -> None:
    objective = AutoMix()
    objective.build(Small().to(kind), CLASSES)
    assert objective.players().head.weight.dtype == head


def test_the_teacher_moves_by_the_momentum_that_was_asked_for() -> None:
    images, labels = batch()
    for progress, rate in ((0.0, 0.0), (0.4, 0.0), (1.0, 0.5)):
        objective, model = built(
            AutoMix(momentum=0.0, momentum_end=0.5, momentum_hold=0.5, momentum_warmup=False)
        )
        teacher = objective.players().teacher
        before = [parameter.clone() for parameter in teacher.model.parameters()]
        objective(model, images, labels, generator=stream(0), progress=progress)
        objective.after_step(model)
        for now, own, student in zip(
            teacher.model.parameters(), before, model.parameters(), strict=True
        ):
            torch.testing.assert_close(now, rate * own + (1 - rate) * student)
