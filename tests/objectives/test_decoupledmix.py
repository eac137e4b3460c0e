"""DecoupledMix: against its definition, sample by sample, and at its edges."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.mixers import CutMix, Cutout, MiAMix, MixUp, Scheduled
from mixwright.objectives import BinaryCrossEntropy, CrossEntropy
from mixwright.objectives.decoupledmix import DecoupledMix
from mixwright.plan import MixPlan
from mixwright.sampling import stream

IMAGES = torch.rand(6, 3, 4, 4, generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


def _model(classes: int = 4) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, classes))
    nn.init.normal_(model[1].weight, generator=stream(2))
    return model


def _plan(index: list[list[int]], weight: list[list[float]], pool: int) -> MixPlan:
    """A plan of given sources; its masks are constants."""
    share = torch.tensor(weight)
    mask = (share / share.sum(dim=1, keepdim=True))[..., None, None]
    return MixPlan(index=torch.tensor(index), mask=mask, weight=share, pool=pool)


def slow(
    logits: Tensor,
    labels: Tensor,
    plan: MixPlan,
    *,
    eta: float = 0.1,
    mode: str = "both",
    threshold: float = 0.5,
    power: float = 0.0,
) -> list[float]:
    """The definition with dictionaries and loops, in Python's floats."""
    sums: list[float] = []
    for b in range(len(logits)):
        shares: dict[int, float] = {}
        for row, weight in zip(plan.index[b].tolist(), plan.weight[b].tolist(), strict=True):
            if row >= 0:
                shares[int(labels[row])] = shares.get(int(labels[row]), 0.0) + weight
        shares = {c: share for c, share in shares.items() if share > 1e-3}
        total = 0.0
        for c, share in shares.items() if len(shares) > 1 else ():
            if mode == "both" or (share < threshold) == (mode == "less"):
                left = [k for k in range(logits.shape[1]) if k == c or k not in shares]
                line = logits[b].tolist()
                over = math.log(sum(math.exp(line[k]) for k in left))
                total += eta * share**power * (over - line[c])
        sums.append(total)
    return sums


SETTINGS = (
    {},
    {"eta": 0.7, "mode": "less"},
    {"mode": "more"},
    {"mode": "less", "threshold": 0.3},
    {"power": 1.0},
    {"power": 0.5, "mode": "more", "threshold": 0.2},
)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize(
    "mixer", [MixUp(), CutMix(), MiAMix(k_max=3), Cutout()], ids=lambda one: type(one).__name__
)
def test_terms_are_those_of_the_definition(mixer, settings) -> None:
    images = torch.rand(24, 3, 8, 8, generator=stream(3))
    labels = torch.arange(24) % 5
    logits = torch.randn(24, 5, generator=stream(4)) * 3
    plan = mixer.plan(images, labels, generator=stream(5))
    got = DecoupledMix(**settings).decoupled(logits, labels, plan)
    torch.testing.assert_close(got, torch.tensor(slow(logits, labels, plan, **settings)))
    assert isinstance(mixer, Cutout) or got.max() > 0


def test_the_loss_is_the_mixed_loss_and_the_mean_of_the_terms() -> None:
    model = _model()
    losses = DecoupledMix(CutMix(), eta=0.3)(
        model, IMAGES, LABELS, generator=stream(3), progress=0.0
    )
    plan = CutMix().plan(IMAGES, LABELS, generator=stream(3))
    logits = model(plan.images(IMAGES))
    mixed = F.cross_entropy(logits, plan.targets(LABELS, 4))
    apart = torch.tensor(slow(logits, LABELS, plan, eta=0.3)).mean()
    torch.testing.assert_close(losses.terms["mixed"], mixed.detach())
    torch.testing.assert_close(losses.terms["decoupled"], apart)
    torch.testing.assert_close(losses.total.detach(), (mixed + apart).detach())
    assert losses.plan is not None
    losses.total.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_eta_of_zero_is_the_mixed_loss() -> None:
    model = _model()
    losses = DecoupledMix(eta=0.0)(model, IMAGES, LABELS, generator=stream(3), progress=0.0)
    plan = MixUp().plan(IMAGES, LABELS, generator=stream(3))
    wanted = F.cross_entropy(model(plan.images(IMAGES)), plan.targets(LABELS, 4))
    torch.testing.assert_close(losses.total, wanted)
    assert losses.terms["decoupled"].item() == 0.0


def test_two_mixed_classes_of_three_have_a_closed_form() -> None:
    """Each is left alone with the third: eta times the softplus of a difference, twice."""
    logits = torch.tensor([[1.0, -2.0, 0.5]])
    plan = _plan([[0, 1]], [[0.3, 0.7]], pool=2)
    got = DecoupledMix(eta=0.2).decoupled(logits, torch.tensor([0, 1]), plan)
    wanted = 0.2 * (math.log1p(math.exp(0.5 - 1.0)) + math.log1p(math.exp(0.5 + 2.0)))
    assert got.item() == pytest.approx(wanted, rel=1e-6)


def test_two_classes_in_all_leave_nothing_to_compare_with() -> None:
    logits = torch.tensor([[30.0, -50.0], [1e4, -1e4]], requires_grad=True)
    plan = _plan([[0, 1], [1, 0]], [[0.3, 0.7], [0.9, 0.1]], pool=2)
    got = DecoupledMix().decoupled(logits, torch.tensor([0, 1]), plan)
    assert got.tolist() == [0.0, 0.0]
    got.sum().backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_logits_that_are_left_out_get_no_gradient_at_all() -> None:
    logits = torch.randn(1, 6, generator=stream(6)).requires_grad_()
    plan = _plan([[0, 1]], [[0.25, 0.75]], pool=2)
    objective = DecoupledMix(eta=1.0, mode="more")  # the term of class 4 alone; class 2 is out
    objective.decoupled(logits, torch.tensor([2, 4]), plan).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 2].item() == 0.0
    chance = torch.softmax(logits.detach()[0, [0, 1, 3, 4, 5]], dim=0)
    wanted = chance - torch.tensor([0.0, 0, 0, 1, 0])
    torch.testing.assert_close(logits.grad[0, [0, 1, 3, 4, 5]], wanted)


@pytest.mark.parametrize("mode", ["both", "less", "more"])
def test_the_order_of_sources_does_not_matter(mode) -> None:
    logits = torch.randn(2, 7, generator=stream(7))
    labels = torch.tensor([3, 5, 5, 1])
    index, weight = [[0, 1, 2, 3], [3, 2, 0, 1]], [[0.1, 0.2, 0.4, 0.3], [0.6, 0.0, 0.3, 0.1]]
    objective = DecoupledMix(mode=mode, power=1.0)
    first = objective.decoupled(logits, labels, _plan(index, weight, pool=4))
    assert (first > 0).all()
    for order in ([3, 2, 1, 0], [1, 0, 3, 2], [2, 3, 0, 1]):
        shuffled = _plan(
            [[row[k] for k in order] for row in index],
            [[row[k] for k in order] for row in weight],
            pool=4,
        )
        torch.testing.assert_close(objective.decoupled(logits, labels, shuffled), first)


def test_pairs_of_one_class_and_unmixed_samples_have_no_term() -> None:
    logits = torch.randn(4, 5, generator=stream(8))
    labels = torch.tensor([2, 2, 4])
    index, weight = [[0, 1], [0, 2], [0, 2], [0, 2]], [[0.5, 0.5], [1.0, 0.0], [0.9995, 0.0005]]
    plan = _plan(index, [*weight, [0.5, 0.5]], pool=3)
    got = DecoupledMix().decoupled(logits, labels, plan)
    assert got[:3].tolist() == [0.0, 0.0, 0.0]
    assert got[3] > 0  # halves, which the authors' code leaves out


def test_an_unmixed_class_stays_in_the_denominator() -> None:
    """A source without share must not be left out: its class is not in the picture."""
    logits = torch.zeros(1, 4)
    plan = _plan([[0, 1, 2]], [[0.5, 0.5, 0.0]], pool=3)
    got = DecoupledMix(eta=1.0).decoupled(logits, torch.tensor([0, 1, 2]), plan)
    assert got.item() == pytest.approx(2 * math.log(3), rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_widened(dtype) -> None:
    logits = (torch.randn(6, 4, generator=stream(9)) * 20).to(dtype)
    plan = MixUp().plan(IMAGES, LABELS, generator=stream(3))
    wanted = DecoupledMix().decoupled(logits.float(), LABELS, plan)
    with torch.autocast("cpu", torch.bfloat16):
        got = DecoupledMix().decoupled(logits, LABELS, plan)
    assert got.dtype == torch.float32
    assert torch.equal(got, wanted)


def test_a_learned_weight_of_zero_has_a_finite_gradient() -> None:
    weight = torch.tensor([[1.0, 0.0], [0.5, 0.5]], requires_grad=True)
    plan = MixPlan(
        index=torch.tensor([[0, 1], [0, 1]]), mask=torch.full((2, 2, 1, 1), 0.5), weight=weight,
        pool=2,
    )  # fmt: skip
    got = DecoupledMix(power=0.5).decoupled(torch.zeros(2, 3), torch.tensor([0, 1]), plan)
    got.sum().backward()
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_progress_reaches_schedules() -> None:
    objective = DecoupledMix(Scheduled(lambda p: MixUp(lam=1 - p)))
    losses = objective(_model(), IMAGES, LABELS, generator=stream(3), progress=0.75)
    assert losses.plan is not None
    assert losses.plan.weight[:, 0].unique().tolist() == [0.25]


def test_other_criteria_are_mixed_as_they_are() -> None:
    model = _model()
    objective = DecoupledMix(criterion=BinaryCrossEntropy())
    losses = objective(model, IMAGES, LABELS, generator=stream(3), progress=0.0)
    plan = MixUp().plan(IMAGES, LABELS, generator=stream(3))
    wanted = plan.loss(BinaryCrossEntropy(), model(plan.images(IMAGES)), LABELS)
    torch.testing.assert_close(losses.terms["mixed"], wanted.detach())


def test_it_makes_a_model_sure_of_both_classes() -> None:
    """Trained on halves, both classes come to more together with the terms than without."""
    sums = []
    for eta in (0.0, 2.0):
        logits = nn.Parameter(torch.zeros(1, 6))
        plan = _plan([[0, 1]], [[0.5, 0.5]], pool=2)
        labels, objective = torch.tensor([0, 1]), DecoupledMix(eta=eta)
        optimiser = torch.optim.SGD([logits], lr=0.5)
        for _ in range(20):
            optimiser.zero_grad()
            mixed = plan.loss(CrossEntropy(), logits, labels)
            (mixed + objective.decoupled(logits, labels, plan).mean()).backward()
            optimiser.step()
        sums.append(logits.softmax(dim=1)[0, :2].sum().item())
    assert sums[1] > sums[0] + 0.02


def test_a_tiny_batch_is_overfitted() -> None:
    model, objective = _model(), DecoupledMix(MixUp(alpha=0.2))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.05)
    generator = stream(11)
    for step in range(80):
        optimiser.zero_grad()
        losses = objective(model, IMAGES, LABELS, generator=generator, progress=step / 80)
        losses.total.backward()
        optimiser.step()
    assert model(IMAGES).argmax(dim=1).equal(LABELS)


@pytest.mark.parametrize("labels", [F.one_hot(LABELS).float(), LABELS.float()])
def test_soft_labels_are_refused(labels) -> None:
    with pytest.raises(ValueError, match=r"DecoupledMix: labels have shape .* class numbers"):
        DecoupledMix()(_model(), IMAGES, labels, generator=stream(0), progress=0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eta": -1.0}, "eta is -1.0"),
        ({"eta": math.nan}, "eta is nan"),
        ({"mode": "some"}, "mode is 'some'"),
        ({"threshold": 1.5}, "threshold is 1.5"),
        ({"power": -1.0}, "power is -1.0"),
        ({"mixer": MixUp}, "mixer is <class .*an object with a plan"),
        ({"criterion": CrossEntropy(0.1)}, "label_smoothing=0.1"),
        ({"criterion": nn.CrossEntropyLoss(reduction="none", label_smoothing=0.2)}, "=0.2"),
    ],
)
def test_bad_arguments_are_refused(settings, message) -> None:
    with pytest.raises(ValueError, match=f"DecoupledMix: .*{message}"):
        DecoupledMix(**settings)
