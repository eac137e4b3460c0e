"""Masks of a whole group at once: salient, smooth, and unlike each other."""

from __future__ import annotations

import torch
from torch import Tensor

from mixwright.masks.comix.potts import Checkerboard, Palette, potts_shares


def comix_masks(
    cost: Tensor,
    compatibility: Tensor,
    start: Tensor,
    *,
    beta: float,
    gamma: float,
    tau: float,
    iters: int,
    set_resolve: bool = True,
    half_labels: bool = True,
    wanted: Tensor | None = None,
) -> Tensor:
    """Choose for each output of a group which of its images each block shows.

    ``comix_objective`` is made small, one output after the other, ``iters`` times over: what the
    other outputs show already becomes a price of the sources, and the rest is a labelling of a
    grid, see ``potts_shares``. The number of steps is fixed and no value is read.

    Args:
        cost: ``(G, n, h, w)`` float32, cost of showing a block of each source; about 1 in sum.
        compatibility: ``(G, n, n)`` float32, how much sources compete, about 1 on the diagonal.
        start: ``(G, m, h, w)`` int64, the sources that each of m outputs shows at first.
        beta: weight of borders, at least 0.
        gamma: weight of the price of sources that other outputs show, at least 0.
        tau: share of one output's blocks above which that price is asked, at least 0.
        set_resolve: before the last round make outputs that show the same set of sources, two or
            more, pay for one of these, the earlier for its first and the later for its second.
        half_labels: from the second round on let blocks show two sources at one half each, of the
            three that the output shows most.
        wanted: ``(G, m)`` bool, False for outputs that are only there to fill up a group; they
            show nothing and block no other output. None for all.

    Returns:
        ``(G, m, n, h, w)`` float32 of 0, 1/2 and 1; sums to 1 over the sources of wanted outputs.

    Source: Kim et al. 2021, arXiv:2102.03065, section 4; snu-mllab/Co-Mixup: match.py.

    Departs from the authors' code in the inner solver (theirs is a graph cut on the CPU, and ends
    5 % lower on average for groups of 20 images of CIFAR-10), in what two neighbours cost of which
    one is a half (theirs is 1 where this is three quarters), and in stopping: theirs tests an
    objective that it does not minimise.
    """
    groups, sources, rows, columns = cost.shape
    cells = rows * columns
    outputs = start.shape[1]
    board = Checkerboard.of(rows, columns, device=cost.device)
    unary = cost.flatten(2)[:, :, board.order].transpose(1, 2)  # (G, T, n)
    single = Palette.single(groups, sources, device=cost.device)
    first = start.flatten(2)[:, :, board.order, None]
    now = (first == torch.arange(sources, device=cost.device)).float()  # (G, m, T, n)
    live = None if wanted is None else wanted.float()[..., None, None]
    shares = list((now if live is None else now * live).unbind(dim=1))
    counts = [share.sum(dim=1) for share in shares]
    total = torch.stack(counts, dim=1).sum(dim=1)
    extra: list[Tensor] | None = None
    # Coordinate descent: with all other outputs fixed, what they show of each source is a number,
    # and so is the price of showing more of it. (The objective is quadratic in those counts, hence
    # the 2: each pair of outputs pays from both sides.) What is left is one labelling of a grid
    # for every group, which is solved for all groups at once.
    for turn in range(iters):
        for j in range(outputs):
            others = total - counts[j]
            crowd = (compatibility @ others[..., None])[..., 0]
            price = crowd * (crowd > tau * cells) * (2 * gamma / cells)
            if extra is not None:
                price = price + extra[j]
            found = potts_shares(
                unary + price[:, None],
                edge=beta / cells,
                board=board,
                palette=Palette.halves(counts[j]) if half_labels and turn else single,
                now=shares[j],
            )
            shares[j] = found if live is None else found * live[:, j]
            counts[j] = shares[j].sum(dim=1)
            total = others + counts[j]
        if set_resolve and turn == iters - 2:
            given_up = _to_give_up(torch.stack(counts, dim=1) > 0)
            extra = list((given_up.float() * (gamma / cells)).unbind(dim=1))
    masks = torch.stack(shares, dim=1)[:, :, board.position].transpose(2, 3)
    return masks.reshape(groups, outputs, sources, rows, columns)


def comix_objective(
    masks: Tensor,
    cost: Tensor,
    compatibility: Tensor,
    *,
    beta: float,
    gamma: float,
    tau: float,
) -> Tensor:
    """Return how good the masks of groups are, ``(G,)``: the smaller, the better.

    The sum over outputs of three terms: the cost of what they show; ``beta / 2`` times the mean
    over blocks of squared differences to the neighbours; and ``gamma`` times the mean over blocks
    of what other outputs show of the same or a compatible source, where that is above ``tau``. The
    arguments are those of ``comix_masks``, and its result.

    Source: Kim et al. 2021, arXiv:2102.03065, equation 3 with the threshold of section 4.3.
    """
    cells = masks.shape[3] * masks.shape[4]
    own = (masks * cost[:, None]).sum(dim=(1, 2, 3, 4))
    down = masks.diff(dim=3).square().sum(dim=(1, 2, 3, 4))
    right = masks.diff(dim=4).square().sum(dim=(1, 2, 3, 4))
    counts = masks.sum(dim=(3, 4))
    crowd = (counts.sum(dim=1, keepdim=True) - counts) @ compatibility.transpose(1, 2)
    price = (crowd * (crowd > tau * cells) * counts).sum(dim=(1, 2))
    return own + beta / 2 / cells * (down + right) + gamma / cells * price


def compatible(peak: Tensor, omega: float, member: Tensor) -> Tensor:
    """Return how much sources compete: each with itself, and a little with those salient elsewhere.

    ``peak`` ``(G, n, 2)`` is the place of each source's most salient window; ``member`` ``(G, n)``
    is False for sources that only fill up a group. The result is ``(1 - omega)`` times the identity
    plus ``omega`` times the distances, row plus column, scaled to sum to the number of members; the
    identity where all are salient at one place.
    """
    apart = (peak[:, :, None] - peak[:, None]).abs().sum(dim=3)
    apart = apart * member[:, :, None] * member[:, None]
    total = apart.sum(dim=(1, 2))[:, None, None]
    eye = torch.eye(peak.shape[1], device=peak.device, dtype=torch.float32)
    scaled = apart / total.clamp_min(1e-12) * member.sum(dim=1)[:, None, None]
    return torch.where(total > 0, (1 - omega) * eye + omega * scaled, eye)


def _to_give_up(used: Tensor) -> Tensor:
    """Mark in ``(G, m, n)`` sources used what outputs of equal sets should give up."""
    alike = (used[:, :, None] == used[:, None]).all(dim=3)
    alike = alike & (used.sum(dim=2) > 1)[:, :, None]
    later = alike.triu(diagonal=1).any(dim=2, keepdim=True)
    earlier = alike.tril(diagonal=-1).any(dim=2, keepdim=True)
    rank = used.cumsum(dim=2) * used
    return ((rank == 1) & later) | ((rank == 2) & earlier)
