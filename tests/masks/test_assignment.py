"""One-to-one assignment: always a permutation, and close to the best one."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from mixwright.masks.assignment import assignment
from mixwright.sampling import stream


def _gaps(count: int, tokens: int, *, easy: float, sharp: float, seed: int) -> Tensor:
    """Gains as TokenMixup measures them, of random saliencies."""
    noise = torch.randn(count, tokens, generator=stream(seed, 1))
    saliency = (sharp * noise).softmax(dim=1)
    gain = (saliency[None] - saliency[:, None] - 0.005).clamp_min(0).sum(dim=2)
    return gain * (torch.rand(count, 1, generator=stream(seed, 2)) < easy)


@pytest.mark.parametrize("easy", [1.0, 0.4, 0.1])
@pytest.mark.parametrize(("count", "tokens", "sharp"), [(12, 16, 1.0), (48, 64, 0.7), (96, 64, 2)])
def test_it_is_one_to_one_and_within_two_percent_of_the_best(
    count: int, tokens: int, sharp: float, easy: float
) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for seed in range(3):
        gain = _gaps(count, tokens, easy=easy, sharp=sharp, seed=seed)
        column = assignment(gain)
        assert column.sort().values.tolist() == list(range(count))
        rows, best = optimize.linear_sum_assignment(-gain.numpy())
        most = gain[rows, best].sum()
        reached = gain[torch.arange(count), column].sum()
        assert 0.98 * most <= reached <= most + 1e-5


@pytest.mark.parametrize(("kind", "least"), [("any", 0.99), ("tails", 0.999), ("product", 0.9)])
def test_other_gains_have_a_bound_too(kind: str, least: float) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for seed in range(4):
        gain = torch.rand(48, 48, generator=stream(seed, 3))
        if kind == "tails":
            gain = gain**20
        elif kind == "product":  # all rows want the same columns, the hardest case for an auction
            gain = gain[:, :1] * gain[:1]
        rows, best = optimize.linear_sum_assignment(-gain.numpy())
        reached = gain[torch.arange(48), assignment(gain)].sum()
        assert reached >= least * gain[rows, best].sum()


def test_small_tables_come_close_to_every_permutation_tried() -> None:
    for seed in range(20):
        gain = torch.rand(5, 5, generator=stream(seed))
        best = max(
            sum(float(gain[i, j]) for i, j in enumerate(order))
            for order in itertools.permutations(range(5))
        )
        reached = float(gain[torch.arange(5), assignment(gain)].sum())
        assert reached >= 0.97 * best


def test_each_part_does_its_share() -> None:
    gain = _gaps(48, 64, easy=1.0, sharp=1.0, seed=7)
    rows = torch.arange(48)

    def reached(**settings: int) -> float:
        column = assignment(gain, **settings)
        assert column.sort().values.tolist() == rows.tolist()
        return float(gain[rows, column].sum())

    assert reached(rounds=0, swaps=0) == 0.0  # left over in order: everyone with itself
    assert reached(rounds=4, swaps=0) < reached(rounds=48, swaps=0)
    assert reached(rounds=4, swaps=0) < reached(rounds=4, swaps=8)


@pytest.mark.parametrize("count", [1, 2, 3, 9])
@pytest.mark.parametrize("level", [0.0, 1.0, float("nan")])
def test_tables_without_a_preference_give_a_permutation(count: int, level: float) -> None:
    column = assignment(torch.full((count, count), level))
    assert column.dtype == torch.int64
    assert column.sort().values.tolist() == list(range(count))


def test_rows_that_want_nothing_stand_in_nobodys_way() -> None:
    gain = torch.zeros(6, 6)
    gain[4] = torch.tensor([0.0, 0.0, 5.0, 0.0, 0.0, 1.0])
    gain[2] = torch.tensor([0.0, 0.0, 3.0, 2.9, 0.0, 0.0])
    column = assignment(gain).tolist()
    assert (column[4], column[2]) == (2, 3)


def test_low_precision_is_decided_in_float32_and_the_host_reads_nothing() -> None:
    gain = _gaps(9, 16, easy=1.0, sharp=1.0, seed=1)
    half = gain.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(assignment(half), assignment(half.float()))
    assert assignment(torch.empty(7, 7, device="meta")).shape == (7,)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1, 2, 2)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="assignment: gain has shape"):
        assignment(torch.zeros(shape))
    with pytest.raises(ValueError, match="int64"):
        assignment(torch.zeros(2, 2, dtype=torch.int64))
