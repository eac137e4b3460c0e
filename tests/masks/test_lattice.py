"""Lattices and cells against loops over pixels."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from masks.compiled import assert_compiles
from mixwright.masks.lattice import lattice_factors
from mixwright.masks.ranks import highest

NAMES = ("start", "length", "period", "hole")


def kept(rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    return ~(rows[:, None, :, None] & columns[:, None, None, :])


def draw(rng: torch.Generator, size: int) -> dict[str, torch.Tensor]:
    start = torch.randint(size, (3,), generator=rng)
    period = torch.randint(1, size + 1, (3,), generator=rng)
    return {
        "start": start,
        "length": torch.randint(size + 1, (3,), generator=rng).clamp_max(size - start),
        "period": period,
        "hole": (torch.rand(3, generator=rng) * (period + 1)).long(),
    }


@given(h=st.integers(1, 11), w=st.integers(1, 11), seed=st.integers(0, 99))
def test_lattice_is_what_a_loop_over_pixels_makes(h, w, seed):
    rng = torch.Generator().manual_seed(seed)
    down, across = draw(rng, h), draw(rng, w)
    keep = kept(lattice_factors(**down, size=h), lattice_factors(**across, size=w))
    wanted = torch.ones(3, 1, h, w, dtype=torch.bool)
    for b in range(3):
        y, tall, ph, hh = (int(down[name][b]) for name in NAMES)
        x, wide, pw, hw = (int(across[name][b]) for name in NAMES)
        for r in range(y, y + tall):
            for c in range(x, x + wide):
                wanted[b, 0, r, c] = not ((r - y) % ph < hh and (c - x) % pw < hw)
    assert keep.dtype == torch.bool
    assert torch.equal(keep, wanted)


def test_exact_tiling_has_the_holes_share():
    both = {name: torch.tensor([value]) for name, value in zip(NAMES, (0, 12, 4, 3), strict=True)}
    rows, columns = lattice_factors(**both, size=12), lattice_factors(**both, size=12)
    assert kept(rows, columns).float().mean().item() == 1 - 9 / 16


@given(g=st.integers(1, 7), seed=st.integers(0, 99))
def test_cells_are_counted_exactly_and_chosen_by_score(g, seed):
    rng = torch.Generator().manual_seed(seed)
    scores = torch.rand(4, g, g, generator=rng)
    kept = torch.randint(g * g + 1, (4,), generator=rng)
    keep = highest(scores, kept)
    assert keep.shape == (4, 1, g, g)
    assert keep.sum(dim=(1, 2, 3)).tolist() == kept.tolist()
    for plane, score in zip(keep[:, 0], scores, strict=True):
        if 0 < plane.sum() < g * g:
            assert score[plane].min() >= score[~plane].max()


def test_lattices_and_cells_compile():
    start, length, period, hole = torch.tensor([[0, 1], [6, 3], [2, 3], [1, 2]])

    def lattice(a, b, c, d):
        factor = lattice_factors(start=a, length=b, period=c, hole=d, size=7)
        return kept(factor, factor)

    assert_compiles(lattice, start, length, period, hole)
    assert_compiles(highest, torch.rand(2, 3, 3), torch.tensor([2, 9]))


def test_cells_refuse_one_count_for_many_grids():
    with pytest.raises(ValueError, match=r"highest: .* kept \(1,\)"):
        highest(torch.zeros(2, 3, 3), torch.zeros(1))
