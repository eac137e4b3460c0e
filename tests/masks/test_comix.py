"""Masks of a group: the objective, the loop over outputs and the labelling inside."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.masks.comix.outputs import comix_masks, comix_objective, compatible
from mixwright.masks.comix.potts import Checkerboard, Palette, potts_shares
from mixwright.sampling import stream

PAPER: dict[str, Any] = {"beta": 0.32, "gamma": 1.0, "tau": 0.83}


def problem(
    groups: int, sources: int, rows: int, columns: int, *, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Random costs that sum to about -1, compatibility near the identity, and a random start."""
    g = stream(seed, groups, sources, rows, columns)
    cost = torch.rand(groups, sources, rows, columns, generator=g) ** 2
    cost = -cost / cost.sum(dim=(2, 3), keepdim=True)
    cost = cost + 0.02 * torch.rand(groups, sources, 1, 1, generator=g)  # no ties
    place = torch.rand(groups, sources, 2, generator=g)
    near = compatible(place, 0.01, torch.ones(groups, sources, dtype=torch.bool))
    start = torch.randint(sources, (groups, sources, rows, columns), generator=g)
    return cost, near, start


def one_hot(labels: Tensor, sources: int) -> Tensor:
    return F.one_hot(labels, sources).float().movedim(-1, 2)


def neighbours(rows: int, columns: int) -> list[tuple[int, int]]:
    cells = [(r, c) for r in range(rows) for c in range(columns)]
    return [
        (a, b)
        for (a, (r, c)), (b, (s, d)) in itertools.combinations(enumerate(cells), 2)
        if abs(r - s) + abs(c - d) == 1
    ]


def energy(shares: Tensor, unary: Tensor, edge: float, pairs: list[tuple[int, int]]) -> float:
    """The energy of one grid, block by block."""
    total = float((shares * unary).sum())
    return total + sum(edge / 2 * float((shares[a] - shares[b]).square().sum()) for a, b in pairs)


# ------------------------------------------------------------------ the objective


def test_the_objective_is_the_formula():
    for seed in range(3):
        cost, near, start = problem(1, 4, 3, 2, seed=seed)
        masks = one_hot(start, 4)
        masks[0, 1, :, 0, 0] = torch.tensor([0.5, 0.0, 0.5, 0.0])
        got = comix_objective(masks, cost, near, beta=0.7, gamma=1.3, tau=0.4)
        cells, wanted = 6, 0.0
        for j in range(4):
            z = masks[0, j].flatten(1)  # (n, T)
            wanted += float((z * cost[0].flatten(1)).sum())
            for a, b in neighbours(3, 2):
                wanted += 0.7 / (2 * cells) * float((z[:, a] - z[:, b]).square().sum())
            others = sum(masks[0, k].sum(dim=(1, 2)) for k in range(4) if k != j)
            crowd = near[0] @ others
            for i in range(4):
                if crowd[i] > 0.4 * cells:
                    wanted += 1.3 / cells * float(crowd[i] * z[i].sum())
        assert got.item() == pytest.approx(wanted, rel=1e-5)


def test_compatibility_is_the_identity_and_a_little_distance():
    place = torch.tensor([[[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]], [[5.0, 5.0]] * 3])
    member = torch.ones(2, 3, dtype=torch.bool)
    got = compatible(place, 0.1, member)
    apart = torch.tensor([[0.0, 7.0, 1.0], [7.0, 0.0, 6.0], [1.0, 6.0, 0.0]])
    torch.testing.assert_close(got[0], 0.9 * torch.eye(3) + 0.1 * 3 * apart / 28)
    assert torch.equal(got[1], torch.eye(3))  # 0 / 0 in the authors' code
    assert torch.equal(compatible(place, 0.0, member)[0], torch.eye(3))
    member[0, 2] = False
    fewer = compatible(place, 0.1, member)
    torch.testing.assert_close(fewer[0, :2, :2], compatible(place[:, :2], 0.1, member[:, :2])[0])


# ------------------------------------------------------------------ one grid


def solved(unary: Tensor, rows: int, columns: int, *, edge: float, palette: Palette) -> Tensor:
    """Solve, with cells in the grid's order."""
    board = Checkerboard.of(rows, columns, device=unary.device)
    now = torch.zeros_like(unary)
    now[..., 0] = 1
    found = potts_shares(unary[:, board.order], edge=edge, board=board, palette=palette, now=now)
    return found[:, board.position]


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 2), (2, 3)])
def test_the_labelling_is_nearly_the_best_there_is(shape, halves):
    rows, columns = shape
    groups, sources, cells = 40, 3, rows * columns
    unary = torch.rand(groups, cells, sources, generator=stream(1, cells))
    edge = 0.15
    counts = torch.tensor([2.0, 1.0, 0.0]).expand(groups, -1)
    like = unary[:, 0]
    palette = (
        Palette.halves(counts) if halves else Palette.single(groups, sources, device=like.device)
    )
    allowed = [
        shares
        for shares, extra in zip(palette.shares[0], palette.extra[0], strict=True)
        if extra < 1
    ]
    assert len(allowed) == 4 if halves else 3
    found = solved(unary, rows, columns, edge=edge, palette=palette)
    pairs = neighbours(rows, columns)
    every = torch.stack(
        [torch.stack(pick) for pick in itertools.product(allowed, repeat=cells)]
    )  # (labellings, T, n)
    borders = sum(
        ((every[:, a] - every[:, b]).square().sum(dim=1) for a, b in pairs),
        torch.zeros(len(every)),
    )
    costs = torch.einsum("ktn,gtn->gk", every, unary) + edge / 2 * borders
    best, usual = costs.amin(dim=1), costs.mean(dim=1)
    got = torch.tensor([energy(found[g], unary[g], edge, pairs) for g in range(groups)])
    slack = 5e-4 * cells  # what halves are made cheaper
    excess = (got - best) / (usual - best).clamp_min(1e-6)
    assert (got >= best - 1e-5).all()
    assert excess.mean() < 0.01
    if cells <= 2:
        assert (got <= best + slack + 1e-5).all()


def least_by_rows(costs: Tensor, pairs: Tensor, rows: int, columns: int) -> Tensor:
    """The least energy, cell by cell; the table has one axis for the last label of each column.

    ``costs`` are ``(G, T, L)``, row by row, ``pairs`` ``(G, L, L)`` what two neighbours cost.
    """
    groups, _, labels = costs.shape
    table = torch.zeros([groups] + [1] * columns, dtype=torch.float64)

    def along(values: Tensor, axis: int) -> Tensor:
        shape = [groups] + [1] * columns
        shape[axis] = labels
        return values.reshape(shape)

    for cell in range(rows * columns):
        c, above = cell % columns, cell >= columns
        options: list[Tensor] = []
        for label in range(labels):
            cost = table
            if above:
                cost = (cost + along(pairs[:, label], c + 1)).amin(dim=c + 1, keepdim=True)
            if c > 0:
                cost = cost + along(pairs[:, label], c)
            options.append(cost + costs[:, cell, label].view([groups] + [1] * columns))
        table = torch.cat(options, dim=c + 1)
    return table.flatten(1).amin(dim=1)


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize(("weight", "most"), [(1.0, 0.005), (3.0, 0.04)])  # 1 is the paper's
def test_the_labelling_of_the_papers_grid_is_nearly_the_best_there_is(halves, weight, most):
    groups, sources, side = 24, 5, 4
    cost, _, _ = problem(groups, sources, side, side, seed=3)
    unary, edge = cost.flatten(2).transpose(1, 2), weight * 0.32 / side**2
    counts = torch.tensor([7.0, 5.0, 4.0, 0.0, 0.0]).expand(groups, -1)
    single = Palette.single(groups, sources, device=unary.device)
    palette = Palette.halves(counts) if halves else single
    found = solved(unary, side, side, edge=edge, palette=palette)
    shares = palette.shares.double()
    pairs = edge / 2 * (shares[:, :, None] - shares[:, None]).square().sum(dim=3)
    costs = unary.double() @ shares.transpose(1, 2) + palette.extra[:, None]
    best = least_by_rows(costs, pairs, side, side)
    near = neighbours(side, side)
    got = torch.tensor([energy(found[g], unary[g], edge, near) for g in range(groups)])
    got = got - 5e-4 * (found == 0.5).any(dim=2).sum(dim=1) * halves  # what halves are cheaper
    usual = unary.mean(dim=2).sum(dim=1) + edge * len(near) * (1 - 1 / sources)
    gap = (got - best) / (usual - best)
    assert gap.min() >= -1e-4
    assert gap.mean() <= most


def test_a_group_comes_near_the_best_that_all_its_outputs_could_show():
    """Against every choice of three outputs on a grid of two blocks, 729 of them."""
    groups, sources = 20, 3
    cost, near, start = problem(groups, sources, 1, 2, seed=5)
    masks = comix_masks(cost, near, start, iters=4, half_labels=False, set_resolve=False, **PAPER)
    got = comix_objective(masks, cost, near, **PAPER)
    picks = list(itertools.product(range(sources), repeat=2))
    every = torch.tensor(list(itertools.product(picks, repeat=3)))  # (729, 3, 2)
    best = torch.full((groups,), torch.inf)
    usual = torch.zeros(groups)
    for labels in every:
        shown = one_hot(labels.view(1, 3, 1, 2).expand(groups, -1, -1, -1), sources)
        value = comix_objective(shown, cost, near, **PAPER)
        best, usual = torch.minimum(best, value), usual + value / len(every)
    gap = (got - best) / (usual - best)
    assert gap.min() >= -1e-5
    assert gap.mean() <= 0.05


def test_halves_are_taken_of_the_three_most_shown_only():
    counts = torch.tensor([[0.0, 5.0, 0.0, 2.0], [4.0, 3.0, 2.0, 1.0], [0.0, 0.0, 9.0, 0.0]])
    palette = Palette.halves(counts)
    assert palette.shares.shape == (3, 7, 4)
    half, free = palette.shares[:, 4:] > 0, palette.extra[:, 4:] < 1
    pairs = [{tuple(pair.nonzero()[:, 0].tolist()) for pair in half[g][free[g]]} for g in range(3)]
    assert pairs == [{(1, 3)}, {(0, 1), (0, 2), (1, 2)}, set()]


def test_the_labelling_is_as_good_as_a_graph_cut():
    gco = pytest.importorskip("gco")
    groups, sources, side = 60, 20, 4
    unary = torch.rand(groups, side * side, sources, generator=stream(2)) * 0.1
    edge = 0.02
    single = Palette.single(groups, sources, device=unary.device)
    found = solved(unary, side, side, edge=edge, palette=single)
    pairs = neighbours(side, side)
    unlike = 1 - torch.eye(sources).double().numpy()
    ours, cut = [], []
    for g in range(groups):
        table = unary[g].view(side, side, sources).double().numpy()
        down = edge * torch.ones(side - 1, side).double().numpy()
        labels = gco.cut_grid_graph(table, unlike, down, down.T.copy(), algorithm="swap")
        shares = F.one_hot(torch.as_tensor(labels).long(), sources).float()
        cut.append(energy(shares, unary[g], edge, pairs))
        ours.append(energy(found[g], unary[g], edge, pairs))
    usual = float(unary.mean() * side * side + edge * len(pairs) * (1 - 1 / sources))
    assert sum(ours) - sum(cut) < 0.02 * (groups * usual - sum(cut))


# ------------------------------------------------------------------ groups


def slow_masks(
    cost: Tensor, near: Tensor, start: Tensor, *, gamma: float, iters: int, set_resolve: bool
) -> Tensor:
    """The loop over outputs of one group on a grid of two blocks, where labelling is exact."""
    beta, tau, cells = 0.32, 0.83, 2
    sources = len(cost)
    shown = [list(pick) for pick in start.flatten(1).tolist()]
    extra = torch.zeros(sources, sources)
    for turn in range(iters):
        for j in range(len(shown)):
            others = torch.zeros(sources)
            for k, pick in enumerate(shown):
                for i in pick if k != j else ():
                    others[i] += 1
            crowd = near @ others
            price = 2 * gamma / cells * crowd * (crowd > tau * cells) + extra[j] * gamma / cells
            table = cost.flatten(1) + price[:, None]
            shown[j] = min(
                (list(pick) for pick in itertools.product(range(sources), repeat=2)),
                key=lambda pick: float(
                    table[pick[0], 0] + table[pick[1], 1] + beta / cells * (pick[0] != pick[1])
                ),
            )
        if set_resolve and turn == iters - 2:
            for a, b in itertools.combinations(range(len(shown)), 2):
                used = sorted(set(shown[a]))
                if used == sorted(set(shown[b])) and len(used) > 1:
                    extra[a, used[0]] = 1
                    extra[b, used[1]] = 1
    return one_hot(torch.tensor(shown).view(1, sources, 1, 2), sources)[0]


@pytest.mark.parametrize("gamma", [0.1, 1.0])  # at 0.1 costs and prices weigh alike
@pytest.mark.parametrize("set_resolve", [True, False])
@pytest.mark.parametrize("iters", [1, 2, 4])
def test_the_loop_over_outputs_is_the_authors(iters, set_resolve, gamma):
    cost, near, start = problem(10, 5, 1, 2)
    options: dict[str, Any] = {"gamma": gamma, "iters": iters, "set_resolve": set_resolve}
    got = comix_masks(cost, near, start, half_labels=False, **(PAPER | options))
    for g in range(10):
        assert torch.equal(got[g], slow_masks(cost[g], near[g], start[g], **options))


def test_equal_sets_are_told_apart():
    """Two images that all want to share: without resolving both outputs show both images."""
    cost = torch.tensor([[[[-0.9, -0.1]], [[-0.1, -0.9]]]])
    start = torch.tensor([[[[0, 1]], [[0, 1]]]])
    options: dict[str, Any] = {"beta": 0.0, "gamma": 1.0, "tau": 5.0, "iters": 2}
    plain = comix_masks(cost, torch.eye(2)[None], start, set_resolve=False, **options)
    apart = comix_masks(cost, torch.eye(2)[None], start, half_labels=False, **options)
    assert torch.equal(plain[0, 0], plain[0, 1])
    # The earlier output pays 1/2 for image 0, the later for image 1; both keep what is worth more.
    assert torch.equal(apart[0, 0], apart[0, 1])
    dear = comix_masks(
        cost, torch.eye(2)[None], start, half_labels=False, **(options | {"gamma": 2.0})
    )
    assert dear[0, 0].argmax(dim=0).tolist() == [[1, 1]]
    assert dear[0, 1].argmax(dim=0).tolist() == [[0, 0]]


@pytest.mark.parametrize("half_labels", [True, False])
def test_blocks_show_one_source_or_two_by_halves(half_labels):
    cost, near, start = problem(4, 8, 4, 4)
    masks = comix_masks(cost, near, start, iters=4, half_labels=half_labels, **PAPER)
    assert masks.shape == (4, 8, 8, 4, 4)
    levels = [0.0, 0.5, 1.0] if half_labels else [0.0, 1.0]
    assert masks.unique().tolist() == levels
    assert torch.equal(masks.sum(dim=2), torch.ones(4, 8, 4, 4))


def test_without_prices_and_borders_each_block_shows_the_cheapest():
    cost, near, start = problem(2, 5, 4, 4)
    free: dict[str, Any] = {"beta": 0.0, "gamma": 0.0, "tau": 0.83, "iters": 2}
    masks = comix_masks(cost, near, start, half_labels=False, **free)
    cheapest = one_hot(cost.argmin(dim=1)[:, None].expand(-1, 5, -1, -1), 5)
    assert torch.equal(masks, cheapest)


def test_without_prices_all_outputs_are_one_labelling():
    """With borders that is no argmin any more, but still one and the same optimum."""
    cost, near, start = problem(6, 5, 1, 2)
    masks = comix_masks(cost, near, start, iters=2, half_labels=False, **(PAPER | {"gamma": 0.0}))
    assert torch.equal(masks, masks[:, :1].expand_as(masks))


def test_dear_borders_leave_one_source_an_output():
    cost, near, start = problem(3, 6, 4, 4)
    masks = comix_masks(cost, near, start, iters=4, **(PAPER | {"beta": 100.0}))
    assert torch.equal(masks.amax(dim=(3, 4)), masks.amin(dim=(3, 4)))


def test_prices_make_outputs_differ_and_the_objective_small():
    cost, near, start = problem(10, 12, 4, 4)
    random = comix_objective(one_hot(start, 12), cost, near, **PAPER)
    spread = {}
    for gamma in (0.0, 1.0):
        masks = comix_masks(cost, near, start, iters=4, **(PAPER | {"gamma": gamma}))
        flat = masks.flatten(2)
        apart = (flat[:, :, None] - flat[:, None]).abs().sum(dim=3) / 2  # blocks that differ
        spread[gamma] = apart.mean().item()
        found = comix_objective(masks, cost, near, **PAPER)
        if gamma:
            assert (found < random).all()
            kept = -(masks * cost[:, None]).sum(dim=(2, 3, 4)).mean()
            assert kept > 1.4  # 1 by chance
    assert spread[1.0] > 10 > 2 > spread[0.0]


def test_a_group_that_is_filled_up_is_solved_as_if_it_were_not():
    cost, near, start = problem(1, 5, 4, 4)
    alone = comix_masks(cost[:, :3], near[:, :3, :3], start[:, :3] % 3, iters=4, **PAPER)
    cost[:, 3:] = 1e4
    near[:, 3:] = near[:, :, 3:] = 0
    wanted = torch.tensor([[True, True, True, False, False]])
    filled = comix_masks(cost, near, start % 3, iters=4, wanted=wanted, **PAPER)
    assert torch.equal(filled[:, :3, :3], alone)
    assert filled[:, 3:].sum() == 0
    assert filled[:, :, 3:].sum() == 0


def test_nothing_given_is_written():
    given = problem(1, 4, 2, 2)
    kept = [one.clone() for one in given]
    comix_masks(*given, iters=3, **PAPER)
    assert all(torch.equal(a, b) for a, b in zip(given, kept, strict=True))
