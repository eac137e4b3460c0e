"""Blocks to pixels and back, against loops and exact fractions."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from masks.compiled import assert_compiles
from mixwright.masks.blocks import area_mean, upsample_blocks

sides = st.integers(1, 12)


@given(h=sides, w=sides, rows=sides, columns=sides)
def test_upsampling_repeats_the_block_below_each_pixel(h, w, rows, columns):
    grid = torch.arange(2 * rows * columns).view(2, 1, rows, columns)
    got = upsample_blocks(grid, (h, w))
    assert got.shape == (2, 1, h, w)
    for r in range(h):
        for c in range(w):
            assert torch.equal(got[..., r, c], grid[..., r * rows // h, c * columns // w])


def slow_area_mean(values: torch.Tensor, size: int) -> list[float]:
    """The integral over each new pixel, in exact fractions of the axis."""
    old, out = len(values), []
    for i in range(size):
        begin, end = Fraction(i, size), Fraction(i + 1, size)
        total = Fraction(0)
        for j, value in enumerate(values.tolist()):
            shared = min(end, Fraction(j + 1, old)) - max(begin, Fraction(j, old))
            total += max(shared, Fraction(0)) * Fraction(value)
        out.append(float(total * size))
    return out


@given(h=sides, w=sides, new_h=sides, new_w=sides, seed=st.integers(0, 99))
def test_area_mean_is_the_integral_over_each_pixel(h, w, new_h, new_w, seed):
    mask = torch.rand(2, 3, h, w, generator=torch.Generator().manual_seed(seed))
    got = area_mean(mask, (new_h, new_w))
    rows = torch.tensor([slow_area_mean(mask[0, 0, :, c], new_h) for c in range(w)]).T
    wanted = torch.tensor([slow_area_mean(row, new_w) for row in rows])
    torch.testing.assert_close(got[0, 0], wanted, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(got.mean(dim=(2, 3)), mask.mean(dim=(2, 3)), atol=1e-6, rtol=0)


def test_binary_masks_become_shares_and_equal_sizes_are_left_alone():
    mask = torch.tensor([[True, False, False, True]])
    assert area_mean(mask, (1, 2)).tolist() == [[0.5, 0.5]]
    assert area_mean(mask, (1, 4)).tolist() == [[1, 0, 0, 1]]
    assert area_mean(mask, (2, 2)).dtype == torch.float32


@pytest.mark.parametrize("old", [(7,), (4, 9, 2)])
@pytest.mark.parametrize("factor", [2, 1.5])
def test_other_numbers_of_dimensions_go_axis_by_axis(old, factor):
    """2-D is checked above; here each plane of other arrays must go the same way."""
    size = tuple(int(side * factor) for side in old)
    grid = torch.rand(2, 1, *old, generator=torch.Generator().manual_seed(0))
    up, mean = upsample_blocks(grid, size), area_mean(grid, size)
    assert up.shape == mean.shape == (2, 1, *size)
    for place in torch.cartesian_prod(*(torch.arange(side) for side in size)).view(-1, len(size)):
        block = tuple(int(p) * o // s for p, o, s in zip(place, old, size, strict=True))
        assert torch.equal(up[(..., *place.tolist())], grid[(..., *block)])
    if len(old) == 1:
        torch.testing.assert_close(mean[0, 0], torch.tensor(slow_area_mean(grid[0, 0], size[0])))
    else:
        flat = area_mean(grid.flatten(2, 3), (old[0] * old[1], size[2]))
        flat = area_mean(flat.view(2, 1, *old[:2], size[2]).movedim(4, 2), size[:2])
        torch.testing.assert_close(mean, flat.movedim(2, 4))


@pytest.mark.parametrize("size", [(4, 6), (5, 7)])
def test_blocks_compile(size):
    assert_compiles(lambda g: upsample_blocks(g, size), torch.rand(2, 1, 2, 3))
    assert_compiles(lambda g: area_mean(g, size), torch.rand(2, 1, 8, 9))
