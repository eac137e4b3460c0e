"""The energy against loops over pixels; the solver against exact minima and the graph cut."""

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.sparse import coo_array, eye_array, hstack
from scipy.stats import binom
from torch import Tensor

from mixwright.masks.puzzle.energy import Puzzle, block_puzzle, share_prior
from mixwright.masks.puzzle.solver import puzzle_labels

DEFAULTS = {"n_labels": 3, "beta": 1.2, "gamma": 0.5, "eta": 0.2, "neigh_size": 4}


def pictures(count: int, height: int, width: int, *, rng: torch.Generator) -> Tensor:
    """Images with large and small structure, in [0, 1]."""
    images = torch.zeros(count, 3, height, width, dtype=torch.float64)
    for cells in (2, 4, 8):
        coarse = torch.rand(count, 3, cells, cells, generator=rng, dtype=torch.float64)
        images += torch.nn.functional.interpolate(coarse, size=(height, width), mode="bilinear")
    return images / 3


def instances(count: int, side: int, n_labels: int, *, seed: int = 0, **changes: Any) -> Puzzle:
    """Puzzles like those of training: uneven saliency, images with structure, any share."""
    rng = torch.Generator().manual_seed(seed)
    images = pictures(count, 4 * side, 4 * side, rng=rng)
    bumps = pictures(count, side, side, rng=rng).mean(dim=1)
    saliency = bumps**4 * torch.rand(count, side, side, generator=rng, dtype=torch.float64)
    saliency = saliency / saliency.sum(dim=(1, 2), keepdim=True)
    lam = torch.rand(count, generator=rng, dtype=torch.float64)
    options = DEFAULTS | {"n_labels": n_labels} | changes
    return block_puzzle(images, saliency, torch.arange(count).roll(1), lam, **options)


def least_by_trial(puzzle: Puzzle) -> Tensor:
    """The least energy over all labellings."""
    count, n_labels, height, width = puzzle.unary.shape
    every = itertools.product(range(n_labels), repeat=height * width)
    each = (torch.tensor(one).view(1, height, width).expand(count, -1, -1) for one in every)
    return torch.stack([puzzle.energy(label) for label in each]).amin(dim=0)


def least_by_rows(puzzle: Puzzle) -> Tensor:
    """The least energy, cell by cell; the table has one axis for the last label of each column."""
    count, n_labels, height, width = puzzle.unary.shape
    share = torch.linspace(0, 1, n_labels, dtype=torch.float64)
    jump = (share[:, None] - share).square()
    table = torch.zeros([count] + [1] * width, dtype=torch.float64)

    def along(values: Tensor, axis: int) -> Tensor:
        shape = [count] + [1] * width
        shape[axis] = values.shape[1]
        return values.view(shape)

    for r, c in itertools.product(range(height), range(width)):
        options: list[Tensor] = []
        for label in range(n_labels):
            cost = table
            if r > 0:
                step = puzzle.down[:, r - 1, c, None] * jump[label]
                cost = (cost + along(step, c + 1)).amin(dim=c + 1, keepdim=True)
            if c > 0:
                cost = cost + along(puzzle.right[:, r, c - 1, None] * jump[label], c)
            options.append(cost + along(puzzle.unary[:, label, r, c, None], c + 1))
        table = torch.cat(options, dim=c + 1)
    return table.flatten(1).amin(dim=1)


def least_by_program(puzzle: Puzzle) -> Tensor:
    """The least energy, by a linear program for each puzzle, which large grids allow too.

    A label is a sum of L - 1 steps in [0, 1], whose costs rise, as do those of the steps of the
    difference across a border: 1, 3, 5, ... over (L - 1) ** 2. Such a program has whole optima.
    """
    height, width = puzzle.unary.shape[2:]
    steps, cells = puzzle.steps, height * width
    cell = np.arange(cells).reshape(height, width)
    first = np.concatenate([cell[:-1].ravel(), cell[:, :-1].ravel()])
    second = np.concatenate([cell[1:].ravel(), cell[:, 1:].ravel()])
    borders = np.arange(len(first))
    apart = coo_array(
        (np.repeat([1.0, -1.0], len(first)), (np.tile(borders, 2), np.append(first, second))),
        shape=(len(first), cells),
    )
    up = eye_array(len(first))
    rows = hstack([apart] * steps + [-up, up] * steps)
    found = list[float]()
    for unary, down, right in zip(*_parts(puzzle), strict=True):
        edge = torch.cat([down.flatten(), right.flatten()]).double().numpy() / steps**2
        rises = unary.double().diff(dim=0).flatten(1).numpy()
        costs = [*rises, *(edge * (2 * k + 1) for k in range(steps) for _ in range(2))]
        best = linprog(np.concatenate(costs), A_eq=rows, b_eq=np.zeros(len(first)), bounds=(0, 1))
        assert best.success
        found.append(best.fun + float(unary[0].sum()))
    return torch.tensor(found, dtype=torch.float64)


def excess(puzzle: Puzzle, label: Tensor, best: Tensor) -> Tensor:
    """How far a labelling is above the best, where random labels are 1."""
    rng = torch.Generator().manual_seed(0)
    top = puzzle.steps + 1
    draws = [torch.randint(top, label.shape, generator=rng) for _ in range(20)]
    at_random = torch.stack([puzzle.energy(draw) for draw in draws]).mean(dim=0)
    return (puzzle.energy(label) - best) / (at_random - best)


# ------------------------------------------------------------------ the energy


@pytest.mark.parametrize(("height", "width", "neigh", "square"), [(8, 12, 4, (4, 3)), (6, 4, 1, 1)])
def test_the_energy_of_hard_labels_is_that_of_the_paper(height, width, neigh, square):
    rng = torch.Generator().manual_seed(1)
    b, beta, gamma, eta = 2, 5.0, 0.7, 0.4
    images = pictures(3, height, width, rng=rng)
    saliency = torch.rand(3, b, b, generator=rng, dtype=torch.float64)
    partner, lam = torch.tensor([2, 0, 1]), torch.tensor([0.3, 0.8, 0.5], dtype=torch.float64)
    options = {"beta": beta, "gamma": gamma, "eta": eta, "neigh_size": neigh}
    puzzle = block_puzzle(images, saliency, partner, lam, n_labels=2, **options)
    pooled = torch.nn.functional.avg_pool2d(images, square)
    tall, wide = pooled.shape[2] // b, pooled.shape[3] // b

    def border(i: int, u: int, v: int, s: tuple[int, int], t: tuple[int, int]) -> float:
        """Mean difference of image u at block s and image v at block t; 1 is the sample."""
        one, other = (pooled[i if which else partner[i]] for which in (u, v))
        if s[0] < t[0]:
            cells = [(t[0] * tall, t[1] * wide + c) for c in range(wide)]
            pairs = [((r - 1, c), (r, c)) for r, c in cells]
        else:
            cells = [(t[0] * tall + r, t[1] * wide) for r in range(tall)]
            pairs = [((r, c - 1), (r, c)) for r, c in cells]
        parts = [(one[:, *p] - other[:, *q]).abs().mean() for p, q in pairs]
        return beta / (16 * b) * gamma * float(sum(parts)) / len(parts)

    edges = [((0, 0), (1, 0)), ((0, 1), (1, 1)), ((0, 0), (0, 1)), ((1, 0), (1, 1))]
    for i, flat in itertools.product(range(3), itertools.product((0, 1), repeat=4)):
        z = torch.tensor(flat).view(b, b)
        wanted = 0.0
        for s in itertools.product(range(b), range(b)):
            lost = saliency[partner[i]] if z[s] else saliency[i]
            wanted += float(lost[s])
            wanted -= eta / b**2 * math.log(lam[i] if z[s] else 1 - lam[i])
        for s, t in edges:
            wanted += border(i, int(z[s]), int(z[t]), s, t)
            wanted += beta / (16 * b) * float(z[s] != z[t])
            wanted += (border(i, 1, 0, s, t) + border(i, 0, 1, s, t)) / 2  # the same for every z
        label = (1 - z).expand(3, b, b)
        # A weight below 0 is raised to 0; there is none here.
        assert puzzle.down.min() > 0
        assert puzzle.right.min() > 0
        assert puzzle.energy(label)[i] == pytest.approx(wanted, abs=1e-9)


def test_half_labels_cost_the_mean_and_a_quarter_of_a_border():
    puzzle = instances(4, 2, 3, eta=0.0)
    torch.testing.assert_close(puzzle.unary[:, 1], puzzle.unary[:, [0, 2]].mean(dim=1))
    label = torch.tensor([[0, 1], [1, 2]]).expand(4, 2, 2)
    taken = puzzle.unary.gather(1, label[:, None]).sum(dim=(1, 2, 3))
    borders = puzzle.down.sum(dim=(1, 2)) + puzzle.right.sum(dim=(1, 2))
    torch.testing.assert_close(puzzle.energy(label), taken + borders / 4)


@pytest.mark.parametrize("n_labels", [2, 3, 4])
def test_prior_is_binomial_convex_and_finite(n_labels):
    lam = torch.tensor([0.1, 0.5, 0.97], dtype=torch.float64)
    counts = n_labels - 1 - torch.arange(n_labels)
    wanted = -torch.tensor(binom.logpmf(counts.numpy(), n_labels - 1, lam[:, None].numpy()))
    torch.testing.assert_close(share_prior(lam, n_labels), wanted)
    edge = share_prior(torch.tensor([0.0, 1e-30, 1e-7, 1e-4, 1 - 1e-7, 1.0]), n_labels)
    assert edge.diff(dim=1).diff(dim=1).ge(-1e-5).all()
    assert edge.max() == pytest.approx(math.log(1e8), rel=1e-5)
    assert edge.min() == pytest.approx(0, abs=1e-3)


# ------------------------------------------------------------------ the solver


@pytest.mark.parametrize(
    ("height", "width", "n_labels"), [(2, 3, 3), (3, 2, 2), (2, 2, 4), (1, 4, 3), (4, 1, 4)]
)
def test_the_table_of_the_last_row_finds_the_least_of_all(height, width, n_labels):
    full = instances(6, 4, n_labels)
    puzzle = Puzzle(
        full.unary[:, :, :height, :width],
        full.down[:, : height - 1, :width],
        full.right[:, :height, : width - 1],
    )
    torch.testing.assert_close(least_by_rows(puzzle), least_by_trial(puzzle))
    gap = excess(puzzle, puzzle_labels(puzzle), least_by_rows(puzzle))
    assert gap.max() < 1e-6


@pytest.mark.parametrize("n_labels", [2, 3, 4])
@pytest.mark.parametrize("side", [1, 2, 3, 4, 6])
def test_the_solver_finds_the_least_energy(side, n_labels):
    puzzle = instances(48, side, n_labels, seed=side)
    label = puzzle_labels(puzzle)
    assert label.dtype == torch.int64
    assert label.min() >= 0
    assert label.max() < n_labels
    gap = excess(puzzle, label, least_by_rows(puzzle)).nan_to_num()
    assert gap.mean() <= 5e-4
    assert gap.quantile(0.99) <= 1e-2


def test_the_linear_program_is_as_good_as_trying_all():
    for n_labels in (2, 3, 4):
        puzzle = instances(6, 2, n_labels, seed=9)
        torch.testing.assert_close(least_by_program(puzzle), least_by_trial(puzzle))


@pytest.mark.parametrize("n_labels", [2, 3, 4])
@pytest.mark.parametrize("side", [8, 16])
def test_the_solver_finds_the_least_energy_of_large_grids(side, n_labels):
    puzzle = instances(8, side, n_labels, seed=side)
    gap = excess(puzzle, puzzle_labels(puzzle), least_by_program(puzzle))
    assert gap.min() >= -1e-9
    assert gap.max() <= 1e-4


def test_labels_are_of_every_kind():
    label = puzzle_labels(instances(64, 4, 3))
    shares = [float((label == one).double().mean()) for one in range(3)]
    assert min(shares) > 0.1


def test_two_iterations_are_not_enough():
    puzzle = instances(32, 4, 3)
    gap = excess(puzzle, puzzle_labels(puzzle, iterations=2), least_by_rows(puzzle))
    assert gap.mean() > 1e-2


@pytest.mark.parametrize("n_labels", [2, 3, 4])
def test_heavy_borders_make_one_piece(n_labels):
    puzzle = instances(32, 4, n_labels, beta=300.0)
    label = puzzle_labels(puzzle).flatten(1)
    assert (label == label[:, :1]).all()


@pytest.mark.parametrize("n_labels", [2, 3, 4])
def test_a_heavy_prior_decides_alone(n_labels):
    puzzle = instances(32, 4, n_labels, eta=1e4)
    wanted = puzzle.unary.argmin(dim=1)
    assert torch.equal(puzzle_labels(puzzle), wanted)
    assert (wanted == wanted[:, :1, :1]).all()
    assert len(wanted.unique()) == n_labels


def test_scale_and_gradients_do_not_matter():
    puzzle = instances(8, 4, 3)
    scaled = Puzzle(*(1e-6 * part.requires_grad_() for part in _parts(puzzle)))
    label = puzzle_labels(scaled)
    assert torch.equal(label, puzzle_labels(puzzle))
    assert not label.requires_grad


def _parts(puzzle: Puzzle) -> tuple[Tensor, Tensor, Tensor]:
    return puzzle.unary.clone(), puzzle.down.clone(), puzzle.right.clone()


# ------------------------------------------------------------------ the authors' graph cut


@pytest.mark.parametrize("n_labels", [2, 3])
@pytest.mark.parametrize("side", [2, 4, 8, 16])
def test_the_solver_is_as_good_as_the_graph_cut(side, n_labels):
    gco = pytest.importorskip("gco")
    puzzle = instances(64, side, n_labels, seed=side)
    whole = 1000 * side**2
    share = torch.linspace(0, 1, n_labels)
    jump = (share[:, None] - share).square().numpy()
    cuts = [
        gco.cut_grid_graph(
            (whole * unary).permute(1, 2, 0).int().contiguous().numpy(),
            jump,
            (whole * down).int().numpy(),
            (whole * right).int().numpy(),
            algorithm="swap",
        )
        for unary, down, right in zip(*_parts(puzzle), strict=True)
    ]
    cut = torch.stack([torch.as_tensor(one) for one in cuts]).long().view(64, side, side)
    label = puzzle_labels(puzzle)
    gap = excess(puzzle, label, puzzle.energy(cut))
    assert gap.mean() <= 1e-3
    assert gap.quantile(0.99) <= 1e-2
    assert (label == cut).double().mean() >= 0.95
