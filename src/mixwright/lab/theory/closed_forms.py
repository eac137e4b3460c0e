"""Second moments that can be written down: MixUp's constant, and boxes counted place by place.

They check what is measured. With I the indicator of a box of the partner, which covers the share s
of the image, the coefficient of pixels j and k in exact mode is

    a_jk = E[ (1 - s) I_j I_k + s (1 - I_j) (1 - I_k) ] = E[ I_j I_k + s - s I_j - s I_k ].

Given the sides of the box, its rows and its columns are placed independently, so each term is a
sum over sides of a product of two counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from mixwright.lab.evaluation.offset_maps import overlap
from mixwright.lab.theory.plans import Mode
from mixwright.masks.box import box_sides, clipped_box, fitted_box, uniform_box
from mixwright.mixers import CutMix, Cutout, Mixer, MixUp
from mixwright.mixers.cutmix import Placing

Law = list[tuple[float, tuple[int, int]]]
"""Chances of boxes of so many rows and columns, before they are clipped."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClosedForm:
    """What ``a`` and ``mean`` of ``Moments`` must be, and by which rule, in a few words."""

    a: Tensor
    mean: float
    rule: str


def closed_form(mixer: Mixer, size: tuple[int, int], *, mode: Mode = "exact") -> ClosedForm | None:
    """Return the second moments of a method without drawing a plan, where that can be done.

    MixUp, CutMix with any placing, and Cutout with one hole have them; the result is None for other
    methods, and in paper mode where there is no law of ``lam`` to tilt. ``size`` is height and
    width of the images in pixels; for ``mode`` see ``theory.moments``.

    Example:
        >>> found = closed_form(MixUp(alpha=1.0), (8, 8))
        >>> found is not None and round(found.mean, 5)
        0.16667
    """
    if isinstance(mixer, Cutout) and mixer.holes == 1 and mode == "exact":
        side = mixer.length if isinstance(mixer.length, int) else int(mixer.length * min(size))
        a, mean = box_moments(
            [(1.0, (int(side), int(side)))], size, placing="official", weighed=False
        )
        return ClosedForm(a=a, mean=mean, rule="all places of the hole counted")
    if not isinstance(mixer, MixUp | CutMix) or (mode == "paper" and mixer.lam is not None):
        return None
    if isinstance(mixer, MixUp):
        alpha, lam = mixer.alpha, mixer.lam
        mean = mixup_coefficient(alpha) if lam is None else lam * (1 - lam)
        height, width = size
        a = torch.full((2 * height - 1, 2 * width - 1), mean, dtype=torch.float64)
        rule = "alpha / (2 (2 alpha + 1))" if lam is None else "lam (1 - lam)"
        return ClosedForm(a=a, mean=mean, rule=rule)
    law, placing = _cutmix_law(mixer, size, mode), mixer.box
    if mixer.minmax is not None and mixer.lam is None:
        if mode == "paper":
            return None
        placing = "fit"
    a, mean = box_moments(law, size, placing=placing, weighed=mode == "exact")
    return ClosedForm(a=a, mean=mean, rule="all sides and places of the box counted")


def mixup_coefficient(alpha: float) -> float:
    """Return MixUp's one coefficient, ``E[lam (1 - lam)]`` with ``lam`` of Beta(alpha, alpha).

    The tilted law gives ``E[(1 - lam)^2]``, which is the same number.

    Example:
        >>> round(mixup_coefficient(1.0), 5), mixup_coefficient(2.0)
        (0.16667, 0.2)
    """
    return alpha / (2 * (2 * alpha + 1))


def box_moments(
    law: Law, size: tuple[int, int], *, placing: Placing, weighed: bool
) -> tuple[Tensor, float]:
    """Return the offset map of one box a mask, and its mean over all pairs of pixels.

    All places of the box are counted. ``weighed`` weighs both images by what is left of them
    (exact mode); otherwise it is ``E[I_j I_k]`` alone (paper mode, and holes without a label).

    Example:
        >>> a, mean = box_moments([(1.0, (1, 1))], (2, 2), placing="fit", weighed=True)
        >>> mean  # the partner always has a quarter: 1/4 * 3/4
        0.1875
    """
    height, width = size
    both = torch.zeros(2 * height - 1, 2 * width - 1, dtype=torch.float64)
    single = torch.zeros_like(both)
    first = second = 0.0
    axes = {
        (side, n): _Axis.count(side, n, placing)
        for _, sides in law
        for side, n in zip(sides, size, strict=True)
    }
    for chance, (rows, columns) in law:
        y, x = axes[rows, height], axes[columns, width]
        both += chance * torch.outer(y.both, x.both)
        single += chance * torch.outer(y.single, x.single)
        first += chance * y.first * x.first
        second += chance * y.second * x.second
    pairs, area = overlap(size), height * width
    a, share, square = both / pairs, first / area, second / area**2
    if not weighed:
        return a, square
    # Of a pair (j, j + p) the one end lies where the other does for -p.
    return a + share - (single + single.flip(0, 1)) / (area * pairs), share - square


def similar_boxes(below: Callable[[float], float], size: tuple[int, int]) -> Law:
    """Return the law of the sides ``floor(n * sqrt(share))`` of boxes similar to the image.

    ``below`` is the distribution function of the share, which has no atoms.

    Example:
        >>> similar_boxes(lambda share: share, (2, 2))
        [(0.25, (0, 0)), (0.75, (1, 1))]
    """
    # Sides change only where a share is (k / n)^2, so any share between two steps stands for all.
    steps = sorted({(k / n) ** 2 for n in size for k in range(n + 1)})
    law: Law = []
    for low, high in pairwise(steps):
        inside = ((low + high) / 2) ** 0.5
        law.append((below(high) - below(low), (int(size[0] * inside), int(size[1] * inside))))
    return law


@dataclass(frozen=True, eq=False)
class _Axis:
    """Expectations over the places of one side; offsets p run from ``1 - n`` to ``n - 1``.

    Attributes:
        both: number of pixels v with v and v + p in the box.
        single: length of the box, times number of v in the box with v + p in the image.
        first: that length.
        second: its square.
    """

    both: Tensor
    single: Tensor
    first: float
    second: float

    @classmethod
    def count(cls, side: int, n: int, placing: Placing) -> _Axis:
        # The mixer's own function places the boxes; the middles of as many equal parts of [0, 1]
        # as there are places stand for its uniform draw, and meet each place once.
        put_box = {"official": clipped_box, "fit": fitted_box, "uniform": uniform_box}[placing]
        count = {"official": n, "fit": n - side + 1, "uniform": max(1, n + side - 1)}[placing]
        draws = ((torch.arange(count, dtype=torch.float64) + 0.5) / count)[:, None]
        edges = put_box(torch.full((count, 1), side), draws, (n,))[:, 0].double()
        begin, end = edges[:, :1], edges[:, 1:]
        offset = torch.arange(1 - n, n, dtype=torch.float64)
        length = end - begin
        low, high = (-offset).clamp_min(0), (n - offset).clamp_max(n)
        valid = (torch.minimum(end, high) - torch.maximum(begin, low)).clamp_min(0)
        return cls(
            both=(length - offset.abs()).clamp_min(0).mean(dim=0),
            single=(length * valid).mean(dim=0),
            first=float(length.mean()),
            second=float(length.square().mean()),
        )


def _cutmix_law(mixer: CutMix, size: tuple[int, int], mode: Mode) -> Law:
    if mixer.lam is not None:
        rows, columns = box_sides(torch.tensor([1 - mixer.lam]), size)[0].tolist()
        return [(1.0, (rows, columns))]
    if mixer.minmax is not None:
        (low, high), law = mixer.minmax, Law()
        rows, columns = (_drawn_sides(low * n, high * n) for n in size)
        for row, chance in rows.items():
            law += [(chance * other, (row, column)) for column, other in columns.items()]
        return law
    if mixer.alpha == 0:
        return [(1.0, (0, 0))]
    return similar_boxes(_partner_share(mixer.alpha, mode), size)


def _drawn_sides(low: float, high: float) -> dict[int, float]:
    """Return the chances of ``floor`` of a uniform draw."""
    if low == high:
        return {int(low): 1.0}
    sides = range(int(low), int(high) + 1)
    return {k: max(0.0, min(high, k + 1) - max(low, k)) / (high - low) for k in sides}


def _partner_share(alpha: float, mode: Mode) -> Callable[[float], float]:
    """Return the distribution function of ``1 - lam``; Beta(alpha, alpha + 1) where tilted."""
    if alpha == 1:
        return (lambda share: share) if mode == "exact" else (lambda share: 1 - (1 - share) ** 2)
    from scipy.special import betainc

    other = alpha if mode == "exact" else alpha + 1
    return lambda share: float(betainc(alpha, other, share))
