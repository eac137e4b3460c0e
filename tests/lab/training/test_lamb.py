"""LAMB by hand, and against its formula written out one number at a time."""

import math

import pytest
import torch
from torch import nn

from lab.training.tiny import recipe, run
from mixwright.lab.training.lamb import Lamb
from mixwright.lab.training.optimiser import build_optimizer


def stepped(weight: list[float], grad: list[float], **options: float) -> list[float]:
    parameter = nn.Parameter(torch.tensor(weight))
    parameter.grad = torch.tensor(grad)
    Lamb([parameter], lr=0.1, **options).step()  # type: ignore[arg-type]
    return parameter.tolist()


def test_a_first_step_by_hand():
    # Adam's first step is the sign: (1, 0). With decay it is (1.3, 0.4), of norm sqrt(1.85), which
    # is brought to a tenth of the weight's norm, 5.
    factor = 0.5 / math.sqrt(1.85)
    found = stepped([3.0, 4.0], [0.6, 0.0], weight_decay=0.1)
    assert found == pytest.approx([3 - 1.3 * factor, 4 - 0.4 * factor], abs=1e-5)
    assert stepped([3.0, 4.0], [0.6, 0.0]) == pytest.approx([2.9, 4.0], abs=1e-5)
    assert stepped([0.0, 0.0], [0.6, 0.0], weight_decay=0.1) == pytest.approx([-0.1, 0], abs=1e-5)


def slow(weights: list[list[float]], grads: list[list[list[float]]]) -> list[list[float]]:
    """Three steps of two weights: rate 0.02, decay 0.3, cut to 1 over all."""
    means = [[0.0] * len(w) for w in weights]
    squares = [[0.0] * len(w) for w in weights]
    for step, together in enumerate(grads, start=1):
        norm = math.sqrt(sum(g * g for grad in together for g in grad))
        for w, m, s, grad in zip(weights, means, squares, together, strict=True):
            update: list[float] = []
            for k, g in enumerate(grad):
                cut = g / max(1.0, norm)
                m[k] = 0.9 * m[k] + 0.1 * cut
                s[k] = 0.999 * s[k] + 0.001 * cut * cut
                root = math.sqrt(s[k] / (1 - 0.999**step)) + 1e-6
                update.append(m[k] / (1 - 0.9**step) / root + 0.3 * w[k])
            ratio = math.hypot(*w) / math.hypot(*update)
            for k, u in enumerate(update):
                w[k] -= 0.02 * ratio * u
    return weights


def test_several_steps_agree_with_the_formula():
    weights, rng = [[1.0, -2.0, 0.5], [0.3, 4.0]], torch.Generator().manual_seed(0)
    grads = [[torch.randn(len(w), generator=rng).tolist() for w in weights] for _ in range(3)]
    parameters = [nn.Parameter(torch.tensor(w, dtype=torch.float64)) for w in weights]
    optimizer = Lamb(parameters, lr=0.02, weight_decay=0.3)
    for together in grads:
        for parameter, grad in zip(parameters, together, strict=True):
            parameter.grad = torch.tensor(grad, dtype=torch.float64)
        optimizer.step()
    found = [parameter.tolist() for parameter in parameters]
    for one, other in zip(found, slow(weights, grads), strict=True):
        assert one == pytest.approx(other, abs=1e-9)


def test_what_has_no_gradient_stays():
    parameter = nn.Parameter(torch.ones(2))
    Lamb([parameter]).step()
    assert parameter.tolist() == [1, 1]


def test_a_recipe_names_it_and_its_runs_resume_exactly(tmp_path):
    from lab.training.test_resume import KilledError, kill_at, left

    of = recipe(epochs=2, optimizer="lamb", lr=0.005, weight_decay=0.02, decay_norms=False)
    groups = build_optimizer(of, model=nn.Linear(3, 2)).param_groups
    assert [group["weight_decay"] for group in groups] == [0.02, 0.0]
    run(tmp_path / "straight", of)
    with pytest.raises(KilledError):
        run(tmp_path / "killed", of, on_progress=kill_at(2, 1))
    run(tmp_path / "killed", of)
    assert left(tmp_path / "killed") == left(tmp_path / "straight")
