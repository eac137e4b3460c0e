"""The auction against one held claim by claim, and its plans against the exact assignment."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mixwright.masks.puzzle.transport import block_transport


def draw(count: int, rows: int, columns: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Places that are seen, about half of them, and saliency that sums to 1."""
    rng = torch.Generator().manual_seed(seed)
    visible = torch.rand(count, rows, columns, generator=rng) < 0.5
    saliency = torch.rand(count, rows, columns, generator=rng)
    return visible, saliency / saliency.sum(dim=(1, 2), keepdim=True)


def costs(visible: Tensor, saliency: Tensor, *, t_eps: float) -> Tensor:
    """What block i costs at place j, ``(B, T, T)``, and 0 at places that are not seen."""
    _, rows, columns = visible.shape
    row, column = torch.arange(rows), torch.arange(columns)
    place = torch.cartesian_prod(row / max(rows - 1, 1), column / max(columns - 1, 1)).double()
    distance = (place[:, None] - place).square().sum(dim=2)
    seen = visible.flatten(1)[:, None].double()
    return (t_eps * distance - saliency.double().flatten(1)[:, :, None]) * seen


def total(cost: Tensor, perm: Tensor) -> Tensor:
    return cost.gather(1, perm[:, None]).sum(dim=(1, 2))


def claim_by_claim(visible: Tensor, saliency: Tensor, *, t_eps: Fraction) -> list[int]:
    rows, columns = visible.shape
    where = [(Fraction(r), Fraction(c)) for r in range(rows) for c in range(columns)]
    tall, wide = max(rows - 1, 1), max(columns - 1, 1)
    cost = [
        [
            t_eps * (((a - c) / tall) ** 2 + ((b - d) / wide) ** 2)
            - (Fraction(float(gain)) if seen else 0)
            for (c, d), seen in zip(where, visible.flatten().tolist(), strict=True)
        ]
        for (a, b), gain in zip(where, saliency.flatten(), strict=True)
    ]
    places = range(rows * columns)
    won: dict[int, int] = {}
    for _ in range(max(rows, columns)):
        claim = {i: min(places, key=lambda j, i=i: cost[i][j]) for i in places}
        won = {}
        for j in set(claim.values()):
            won[j] = min((i for i in places if claim[i] == j), key=lambda i, j=j: cost[i][j])
        for i in places:
            if won[claim[i]] != i:
                cost[i][claim[i]] += 1
    return [won.get(j, j) for j in places]


@given(
    rows=st.integers(1, 5),
    columns=st.integers(1, 5),
    eps=st.sampled_from([1, 4, 16, 64]),
    seed=st.integers(0, 99),
)
def test_the_auction_is_the_one_held_claim_by_claim(rows, columns, eps, seed):
    visible, saliency = draw(3, rows, columns, seed=seed)
    saliency = saliency**4
    perm = block_transport(visible, saliency, t_eps=eps / 64)
    assert perm.dtype == torch.int64
    for one, seen, gain in zip(perm, visible, saliency, strict=True):
        assert one.tolist() == claim_by_claim(seen, gain, t_eps=Fraction(eps, 64))


@pytest.mark.parametrize("t_eps", [0.2, 0.8])
@pytest.mark.parametrize("side", [2, 4, 8, 16])
def test_each_visible_place_shows_a_block_of_its_own(side, t_eps):
    visible, saliency = draw(24, side, side, seed=side)
    perm = block_transport(visible, saliency, t_eps=t_eps)
    for one, seen in zip(perm, visible.flatten(1), strict=True):
        assert len(one[seen].unique()) == int(seen.sum())


@pytest.mark.parametrize(
    ("side", "t_eps", "most"),
    [(8, 0.8, 0.1), (16, 0.8, 0.1), (4, 0.2, 0.1), (8, 0.2, 0.12), (16, 0.2, 0.12)],
)
def test_transport_comes_near_the_exact_assignment(side, t_eps, most):
    visible, saliency = draw(32, side, side, seed=side)
    cost = costs(visible, saliency, t_eps=t_eps)
    here = total(cost, torch.arange(side * side).expand(32, -1))
    found = total(cost, block_transport(visible, saliency, t_eps=t_eps))
    best = torch.stack([_exact(one) for one in cost])
    assert (found <= here + 1e-6).all()
    assert (found >= best - 1e-6).all()
    moved = (here - best).sum()
    assert moved > 0.1
    assert (found - best).sum() / moved <= most


def _exact(cost: Tensor) -> Tensor:
    rows, columns = linear_sum_assignment(cost.numpy())
    return cost[rows, columns].sum()


def test_dear_ways_are_not_taken():
    visible, saliency = draw(16, 6, 5, seed=0)
    for t_eps in (1e3, 1e30):
        perm = block_transport(visible, saliency, t_eps=t_eps)
        assert torch.equal(perm, torch.arange(30).expand(16, 30))


def test_a_salient_block_is_brought_to_light():
    visible = torch.tensor([[[True, False], [True, False]]])
    saliency = torch.tensor([[[0.0, 0.6], [0.3, 0.1]]])
    assert block_transport(visible, saliency, t_eps=0.5)[0, 0] == 1
    assert block_transport(visible, saliency, t_eps=0.7)[0, 0] == 0


def test_all_seen_stays_as_it_is():
    _, saliency = draw(8, 4, 4, seed=3)
    perm = block_transport(torch.ones(8, 4, 4, dtype=torch.bool), saliency, t_eps=0.05)
    assert torch.equal(perm, torch.arange(16).expand(8, 16))


def test_large_batches_are_the_same_as_small_ones():
    visible, saliency = draw(40, 16, 16, seed=5)
    whole = block_transport(visible, saliency, t_eps=0.2)
    parts = [
        block_transport(visible[k : k + 1], saliency[k : k + 1], t_eps=0.2)
        for k in range(0, 40, 13)
    ]
    assert torch.equal(whole[::13], torch.cat(parts))
