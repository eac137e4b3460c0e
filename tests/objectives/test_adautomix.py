"""AdAutoMix: against a slow version, pass by pass; who learns what; signs; the first losses."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from tests.objectives.players import (
    CLASSES,
    Small,
    batch,
    blended,
    built,
    draws,
    fix_draws,
    gradients,
    mixed_loss,
)
from torch import Tensor, nn

from mixwright.objectives import AdAutoMix
from mixwright.objectives.adautomix import frozen
from mixwright.sampling import stream

E = 1e-6  # shares are float32, and so are sums over them


def step(objective: Any, model: nn.Module, *, seed: int = 0, progress: float = 0.0) -> Any:
    images, labels = batch()
    return objective(model, images, labels, generator=stream(seed), progress=progress)


def slow(
    objective: AdAutoMix,
    model: Small,
    draw_student: tuple[Tensor, Tensor],
    draw_generator: tuple[Tensor, Tensor],
    number: int,
) -> dict[str, Tensor]:
    """The official step with all its passes: a clean teacher pass for each source, none shared."""
    images, labels = batch()
    players = objective.players()
    teacher = copy.deepcopy(players.teacher)
    net, head = teacher.model.train(), teacher.head
    z = net.one(images).detach()
    (index, lam), (other, shares) = draw_student, draw_generator
    sources = index.shape[1]
    size = (images.shape[2], images.shape[3])

    def mask(rows: Tensor, share: Tensor) -> Tensor:
        each = [z[rows[:, n]] for n in range(sources)]
        return players.network(torch.stack(each, dim=1), share, size=size)

    shown = blended(images, index, mask(index, lam)).detach()
    judged_images = blended(images, other, mask(other, shares))
    plain = blended(images, index, lam[:, :, None, None].expand(-1, -1, *size))
    whole = F.cross_entropy(model(images), labels)
    on_plain = mixed_loss(players.head(model.pooled(plain)), labels, index, lam)
    on_mixed = mixed_loss(players.head(model.pooled(shown)), labels, index, lam)
    judged = head(net.pooled(judged_images))
    on_judged = mixed_loss(judged, labels, other, shares)
    alike = torch.zeros((), dtype=images.dtype)
    for n in range(sources):
        with torch.no_grad():
            clean = head(net.pooled(images[other[:, n]]))
        cosine = F.cosine_similarity(judged, clean, dim=1)
        alike = alike + (shares[:, n] * cosine).mean()
    beta = objective.beta
    game = on_judged if number % 2 else -beta * on_judged + (1 - beta) * alike
    student = on_mixed + (whole if sources == 2 else 0.5 * whole + 0.5 * on_plain)
    return {"total": student + game, "student": student, "game": game}


@pytest.mark.parametrize("sources", [2, 3, 5])
@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("batched", [False, True])
def test_the_official_step(
    monkeypatch: pytest.MonkeyPatch, sources: int, number: int, batched: bool
) -> None:
    objective, model = built(AdAutoMix(sources=sources, margin=0.0, batched=batched))
    assert isinstance(objective, AdAutoMix)
    objective.steps = number
    first, second = draws(sources, 1), draws(sources, 2)
    if sources > 2:
        second = (second[0], first[1])  # one set of shares for both
    fix_draws(monkeypatch, first, second)
    expected = slow(objective, copy.deepcopy(model), first, second, number)
    network, head = objective.players().network, objective.players().head
    of_network = torch.autograd.grad(
        expected["game"], tuple(network.parameters()), retain_graph=True, allow_unused=True
    )
    of_head = torch.autograd.grad(expected["student"], tuple(head.parameters()))
    losses = step(objective, model)
    losses.total.backward()
    assert losses.total.item() == pytest.approx(expected["total"].item(), rel=E)
    for own, wanted in zip(gradients(network), of_network, strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-7)
    for own, wanted in zip(gradients(head), of_head, strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-5, atol=1e-8)


def test_the_game_of_the_paper_is_two_backwards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eq. 14 for the student and Eq. 16 for the generator, each differentiated by itself."""
    objective, model = built(AdAutoMix(game="paper", margin=0.0, beta=0.3))
    images, labels = batch()
    index, lam = draws(3, 4)
    fix_draws(monkeypatch, (index, lam))
    players = objective.players()
    net, head = copy.deepcopy(players.teacher.model).train(), players.teacher.head
    student = copy.deepcopy(model)
    z = net.one(images).detach()
    mask = players.network(z[index], lam, size=(8, 8))
    mixed = blended(images, index, mask)
    plain = blended(images, index, lam[:, :, None, None].expand(-1, -1, 8, 8))
    with torch.no_grad():
        clean = head(net.pooled(images))
    whole = F.cross_entropy(student(images), labels)
    on_plain = mixed_loss(players.head(student.pooled(plain)), labels, index, lam)
    on_mixed = mixed_loss(players.head(student.pooled(mixed)), labels, index, lam)
    judged = head(net.pooled(mixed))
    on_judged = mixed_loss(judged, labels, index, lam)
    cosines = [F.cosine_similarity(judged, clean[index[:, n]], dim=1) for n in range(3)]
    alike = sum((lam[:, n] * cosines[n]).mean() for n in range(3))
    follows = -on_mixed + 0.3 * on_judged - 0.7 * alike
    of_network = torch.autograd.grad(
        follows, tuple(players.network.parameters()), retain_graph=True
    )
    learns = on_mixed + 0.5 * on_plain + 0.5 * whole
    of_student = torch.autograd.grad(learns, tuple(student.parameters()))
    losses = step(objective, model)
    losses.total.backward()
    for own, wanted in zip(gradients(players.network), of_network, strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-7)
    for own, wanted in zip(gradients(model), of_student, strict=True):
        torch.testing.assert_close(own, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("game", ["official", "averaged", "cooperative"])
def test_each_player_learns_from_its_own_terms_only(game: Any) -> None:
    def moved(**off: bool) -> tuple[list[Tensor | None], list[Tensor | None]]:
        objective, model = built(AdAutoMix(game=game, **off))
        step(objective, model).total.backward()
        assert all(one is None for one in gradients(objective.players().teacher))
        return gradients(objective.players().network), gradients(model)

    every = moved()
    for own, same in zip(moved(clean=False, mixed=False)[0], every[0], strict=True):
        torch.testing.assert_close(own, same, rtol=0, atol=0)
    for own, same in zip(moved(judged=False, cosine=False)[1], every[1], strict=True):
        torch.testing.assert_close(own, same, rtol=0, atol=0)
    assert any(one is not None and one.abs().max() > 1e-6 for one in every[0])
    assert all(one is None or not one.any() for one in moved(judged=False, cosine=False)[0])


@pytest.mark.parametrize("seed", range(5))
def test_signs_of_the_paper(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """A step of the generator raises the student's loss, a step of the student lowers it."""
    objective, model = built(
        AdAutoMix(game="paper", clean=False, plain=False, judged=False, cosine=False), seed=seed
    )
    fix_draws(monkeypatch, draws(3, seed))
    before = step(objective, model)
    before.total.backward()
    players = objective.players()
    for mover, sign in ((players.network, 1), (model, -1)):
        kept = copy.deepcopy(mover.state_dict())
        with torch.no_grad():
            for parameter in mover.parameters():
                if parameter.grad is not None:
                    parameter -= 1e-3 * parameter.grad
        after = step(objective, model).terms["mixed"]
        assert sign * (after - before.terms["mixed"]) > 0
        mover.load_state_dict(kept)


@pytest.mark.parametrize(
    ("number", "options", "key", "sign"),
    [
        (0, {"cosine": False}, "teacher loss", 1),
        (1, {}, "teacher loss", -1),
        (0, {"beta": 0.0}, "likeness", -1),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_signs_of_the_code(
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    options: dict[str, Any],
    key: str,
    sign: int,
    seed: int,
) -> None:
    objective, model = built(AdAutoMix(**options), seed=seed)
    fix_draws(monkeypatch, draws(3, seed))
    objective.steps = number
    before = step(objective, model)
    before.total.backward()
    with torch.no_grad():
        for parameter in objective.players().network.parameters():
            parameter -= 1e-3 * parameter.grad
    objective.steps = number
    assert sign * (step(objective, model).diagnostics[key] - before.diagnostics[key]) > 0


def test_the_first_losses_are_those_of_chance() -> None:
    """2 ln K - beta ln K + (1 - beta) cos in even steps, 3 ln K in odd ones (N = 3)."""
    objective, model = built(AdAutoMix(beta=0.3), spread=0.0)
    nn.init.normal_(model.fc.weight, std=0.01)
    nn.init.zeros_(model.fc.bias)
    chance = math.log(CLASSES)
    even, odd = step(objective, model), step(objective, model, seed=1)
    likeness = float(even.diagnostics["likeness"])
    assert float(even.total.detach()) == pytest.approx(1.7 * chance + 0.7 * likeness, abs=0.1)
    assert float(odd.total.detach()) == pytest.approx(3 * chance, abs=0.1)


def test_the_loss_on_whole_images_is_the_papers_sum() -> None:
    """sum_n lam_n of the mean loss over a permuted batch is the mean loss over the batch."""
    _, labels = batch()
    logits = torch.randn(6, CLASSES, dtype=torch.float64)
    index, lam = draws(3, 0)
    each = sum(
        float(lam[0, n]) * F.cross_entropy(logits[index[:, n]], labels[index[:, n]])
        for n in range(3)
    )
    assert float(each) == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-6)


def test_the_student_sees_plain_mixtures_at_the_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    index = draws(3, 0)[0]
    for lam, plainly in (((0.98, 0.01, 0.01), True), ((0.5, 0.3, 0.2), False)):
        objective, model = built(AdAutoMix(margin=0.03))
        fix_draws(monkeypatch, (index, torch.tensor(lam).expand(6, 3)))
        plan = step(objective, model).plan
        assert plan is not None
        flat = plan.mask.flatten(2).std(dim=2).max() < 1e-6
        assert bool(flat) is plainly
    one = (index, torch.tensor((1.0, 0.0, 0.0)).expand(6, 3))
    objective, model = built(AdAutoMix())
    fix_draws(monkeypatch, one)
    images, _ = batch()
    plan = step(objective, model).plan
    assert plan is not None
    assert torch.equal(plan.images(images), images[index[:, 0]])


def test_turns() -> None:
    objective, model = built(AdAutoMix(student_steps=2, generator_steps=1, game="paper"))
    network, head = objective.players().network, objective.players().head
    for turn in range(6):
        losses = step(objective, model, seed=turn)
        losses.total.backward()
        students = turn % 3 < 2
        assert ("clean" in losses.terms) is students
        assert ("teacher" in losses.terms) is not students
        assert all((one is None) is not students for one in gradients(model))
        assert all((one is None) is not students for one in gradients(head))
        assert all((one is None) is students for one in gradients(network))
        for player in (model, network, head):
            player.zero_grad()
    assert all(one.requires_grad for one in model.parameters())


def test_an_error_thaws_what_was_frozen() -> None:
    model = Small()
    with pytest.raises(ZeroDivisionError), frozen(model):
        1 / sum(one.requires_grad for one in model.parameters())
    assert all(one.requires_grad for one in model.parameters())


def test_any_number_of_sources() -> None:
    objective, model = built(AdAutoMix(sources=(2, 4)))
    seen = set()
    for seed in range(12):
        losses = step(objective, model, seed=seed)
        assert losses.plan is not None
        losses.plan.check()
        seen.add(losses.plan.index.shape[1])
    assert seen == {2, 3, 4}


def test_warnings() -> None:
    objective, _ = built(AdAutoMix())
    objective.steps = 3000
    well = {"mask spread": 0.1, "mask largest": 0.5, "mixed loss": 1.0, "teacher loss": 1.0}
    assert objective.warnings(well, progress=0.5) == ()
    for change, word in (
        ({"mask spread": 1e-3}, "flat"),
        ({"mask largest": 0.99}, "takes all"),
        ({"mixed loss": 3.0}, "runs away"),
    ):
        (sentence,) = objective.warnings(well | change, progress=0.5)
        assert word in sentence
    assert objective.warnings(well | {"mask spread": 1e-3}, progress=0.05) == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"game": "fair"}, "AdAutoMix: game is 'fair'"),
        ({"sources": 1}, "AdAutoMix: sources is 1"),
        ({"sources": (4, 2)}, r"AdAutoMix: sources is \(4, 2\)"),
        ({"beta": 1.5}, "AdAutoMix: beta is 1.5"),
        ({"margin": 0.7}, "AdAutoMix: margin is 0.7"),
        ({"student_steps": 0}, "AdAutoMix: student_steps is 0"),
        ({"clean": False, "plain": False, "mixed": False}, "all off"),
        ({"mask_lr": 0.0}, "AdAutoMix: mask_lr is 0.0"),
        ({"mask_lr": 3e38}, r"AdAutoMix: mask_lr is 3e\+38; .* above 0 and at most 1e\+06"),
        ({"momentum": 1.5}, "AdAutoMix: momentum is 1.5"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdAutoMix(**options)


def test_a_step_before_build() -> None:
    images, labels = batch()
    with pytest.raises(ValueError, match=r"expected objective\.build"):
        AdAutoMix()(Small(), images, labels, generator=stream(0), progress=0.0)


def test_running_statistics_see_each_sources_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    objective, model = built(AdAutoMix(sources=(2, 3)))
    passes: list[int] = []
    monkeypatch.setattr(objective.players().teacher, "settle", passes.append)
    sources = [step(objective, model, seed=seed).plan.index.shape[1] for seed in range(8)]
    assert passes == sources  # as many more as there are images in a mixture
    assert set(sources) == {2, 3}
