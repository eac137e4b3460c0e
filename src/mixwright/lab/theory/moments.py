"""Second moments of masks: how strongly a method weighs each pair of pixels.

Around an image ``x_n`` a mixed image is ``x_n + d`` with ``d = (1 - P_n) * (x_m - x_n)`` for a
pair. Up to second order the mixed loss is therefore the plain loss plus terms in which the
derivatives at pixels j and k are weighed by

    a_jk = E[ sum_n w_n (1 - P_n)_j (1 - P_n)_k ],

with ``P_n`` the mask and ``w_n`` the label weight of source n: ``lam (1-M)(1-M) + (1-lam) M M``
for a pair. Large values far apart tie the gradients of distant pixels; MixUp has one value for all
pairs, CutMix weighs near ones most.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mixwright.lab.evaluation.offset_maps import from_torus, offset_distance, overlap, profile
from mixwright.lab.theory.plans import Mode
from mixwright.masks.blocks import area_mean, upsample_blocks
from mixwright.plan import MixPlan

_CHUNK = 2**21  # numbers of a Fourier transform held at once
_ROUNDING = 1e-6  # of shares that sum to 1
_NAMES = ("a", "b", "diagonal", "mean", "mean_b", "budget", "weight")
NEAR, FAR = 1 / 8, 3 / 8
"""Offsets count as near or far up to, or from, these shares of the longer side: 4 and 12 of 32."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """What the masks of many plans have in common, pair of pixels by pair of pixels.

    Maps are over offsets ``p = (dy, dx)`` between two pixels, the mean over all places where both
    lie in the image; offset (0, 0) is in the middle. Each ``..._error`` is the standard error over
    batches, NaN for one.

    Attributes:
        mode: "exact" or "paper".
        size: height and width, in pixels.
        masks: outputs that were planned, in so many independent ``batches``.
        a: ``(2H - 1, 2W - 1)`` float64, ``A(p) = sum_n w_n E[(1 - P_n)_j (1 - P_n)_{j+p}]``,
            the pull away from the source that is expanded around.
        b: ``B(p) = sum_n w_n sum_{m != n} E[P_m,j P_m,{j+p}]``, the terms that carry the variance
            between images; equal to ``a`` for two images.
        diagonal: ``(H, W)``, ``a_jj`` of each pixel: where in the image the method acts.
        mean: mean of ``a_jk`` over all pairs of pixels, far ones and near ones alike; ``mean_b``
            that of B.
        budget: ``E[sum_n w_n (1 - w_n)^2]``, ``E[lam (1 - lam)]`` for pairs; equal to ``mean``
            where labels follow pixels: methods only share it out among the pairs.
        weight: mean of the label weights' sum, 1 unless the method says otherwise.
    """

    mode: Mode
    size: tuple[int, int]
    masks: int
    batches: int
    a: Tensor
    a_error: Tensor
    b: Tensor
    b_error: Tensor
    diagonal: Tensor
    mean: float
    mean_error: float
    mean_b: float
    budget: float
    weight: float

    def at(self, dy: int, dx: int) -> float:
        """``A`` at an offset in pixels."""
        return float(self.a[self.size[0] - 1 + dy, self.size[1] - 1 + dx])

    def error_at(self, dy: int, dx: int) -> float:
        """Standard error of ``at``."""
        return float(self.a_error[self.size[0] - 1 + dy, self.size[1] - 1 + dx])

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON; means over near and far offsets leave out no direction."""
        longest = max(self.size)
        near, far = NEAR * longest, FAR * longest
        distance = offset_distance(self.size)
        return {
            "mode": self.mode,
            "size": list(self.size),
            "masks": self.masks,
            "batches": self.batches,
            "a0": self.at(0, 0),
            "a0_error": self.error_at(0, 0),
            "near": float(self.a[(distance <= near) & (distance > 0)].mean()),
            "far": float(self.a[distance >= far].mean()),
            "near_pixels": near,
            "far_pixels": far,
            **{
                name: getattr(self, name)
                for name in ("mean", "mean_error", "mean_b", "budget", "weight")
            },
            "profile": profile(self.a).tolist(),
            "profile_b": profile(self.b).tolist(),
        }

    def arrays(self) -> dict[str, Tensor]:
        """The maps by name."""
        names = ("a", "a_error", "b", "b_error", "diagonal")
        return {name: getattr(self, name) for name in names}


def second_moments(
    plans: Iterable[MixPlan],
    size: tuple[int, int],
    *,
    mode: Mode = "exact",
    together: int = 1,
    dtype: torch.dtype = torch.float32,
) -> Moments:
    """Measure the offset maps of drawn plans.

    What is done with what a plan may hold: shares and grids of blocks are spread over their
    pixels; any number of sources counts; sources of one output that show the same row unwarped
    are one image, and their masks are added up; a warped source is an image of its own, seen
    where its mask lies; the null source pulls away from the image (it counts in A through the
    masks of the others) and has no variance (it does not count in B); label weights are used as
    they are, also where they do not sum to 1 (SnapMix) or do not follow the masks.

    Args:
        plans: as ``draw_plans`` and ``tilted_plans`` give them.
        size: height and width of the images, in pixels.
        mode: "exact", label weights as drawn; "paper", all weight on the first source, for plans
            of ``tilted_plans``.
        together: plans that make one independent batch; those of ``tilted_plans`` share out the
            law of ``lam`` among ``STRATA``. What is left over at the end is not counted.
        dtype: of the transforms; sums are kept in float64.

    Returns:
        the moments, on the CPU.

    Raises:
        ValueError: there is no plan, or masks are larger than the image.

    Example:
        >>> keep = torch.tensor([1.0, 0.0]).view(1, 1, 1, 2)
        >>> plan = MixPlan.pair(torch.tensor([0]), keep, pool=1, weight=torch.tensor([0.5]))
        >>> plan = plan.replace(index=torch.tensor([[0, 1]]), pool=2)
        >>> found = second_moments([plan], (1, 2))  # two pixels that are never mixed alike
        >>> [round(found.at(0, dx), 6) for dx in (0, 1)]
        [0.5, 0.0]

    Source: Park et al. 2022, arXiv:2208.09913; for pairs. ``mode="paper"`` is their coefficient.
    """
    batches = list[dict[str, Tensor]]()
    masks, sums = 0, _BatchSums(size)
    for number, plan in enumerate(plans, start=1):
        masks += len(plan)
        sums.add(_ImageMasks.read(plan, size, mode=mode, dtype=dtype))
        if number % together == 0:
            batches.append(sums.means())
            sums = _BatchSums(size)
    if not batches:
        raise ValueError(
            f"second_moments: {masks} masks and no whole batch; expected at least {together} plans."
        )
    values = {name: torch.stack([batch[name] for batch in batches]) for name in batches[0]}
    mean = {name: value.mean(dim=0) for name, value in values.items()}
    error = {name: _standard_error(values[name]) for name in ("a", "b", "mean")}
    return Moments(
        mode=mode,
        size=size,
        masks=masks,
        batches=len(batches),
        a=mean["a"],
        a_error=error["a"],
        b=mean["b"],
        b_error=error["b"],
        diagonal=mean["diagonal"],
        mean=float(mean["mean"]),
        mean_error=float(error["mean"]),
        mean_b=float(mean["mean_b"]),
        budget=float(mean["budget"]),
        weight=float(mean["weight"]),
    )


def _standard_error(values: Tensor) -> Tensor:
    """Of the mean of equally weighed batches, along dimension 0; NaN for one batch."""
    if len(values) < 2:
        return torch.full_like(values[0], torch.nan)
    return values.std(dim=0) / len(values) ** 0.5


def gram(
    plans: Iterable[MixPlan],
    size: tuple[int, int],
    *,
    mode: Mode = "exact",
    grid: tuple[int, int] | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor]:
    """Measure all pairs of pixels, not their offsets alone: where in the image matters too.

    Args:
        plans: see ``second_moments``; likewise ``size``, ``mode`` and ``dtype``.
        grid: rows and columns of blocks whose mean masks are taken instead of pixels, for images
            whose pairs of pixels are too many; None for every pixel.

    Returns:
        A and B, each ``(H * W, H * W)`` float64 (or blocks instead of pixels), symmetric and
        positive semidefinite, rows and columns in reading order.

    Raises:
        ValueError: there is no plan.

    Example:
        >>> from mixwright.mixers import MixUp
        >>> rng = torch.Generator().manual_seed(0)
        >>> plan = MixUp(lam=0.5).plan(torch.zeros(4, 1, 2, 2), generator=rng)
        >>> a, b = gram([plan], (2, 2))
        >>> a.shape, a.unique().round(decimals=6).tolist()
        (torch.Size([4, 4]), [0.25])
    """
    pixels = size[0] * size[1] if grid is None else grid[0] * grid[1]
    both = torch.zeros(2, pixels, pixels, dtype=torch.float64)
    masks = 0
    for plan in plans:
        found = _ImageMasks.read(plan, size, mode=mode, dtype=dtype)
        masks += len(plan)
        shown = found.shown if grid is None else area_mean(found.shown, grid).to(dtype)
        planes = shown.reshape(-1, pixels)
        for total, weight, values in (
            (both[0], found.weight, 1 - planes),
            (both[1], found.others, planes),
        ):
            root = values * weight.reshape(-1, 1).sqrt().to(dtype)
            total += (root.T @ root).double()
    if masks == 0:
        raise ValueError("gram: no plans at all; expected at least one.")
    both /= masks
    return both[0], both[1]


@dataclass(frozen=True, eq=False)
class _ImageMasks:
    """Masks and weights of one plan, with sources that show the same image added up.

    Attributes:
        shown: ``(B, N, H, W)``; the mask of everything that shows source n's image.
        weight: ``(B, N)`` float64; of its label.
        others: ``(B, N)`` float64; the weight that all other images have, counted once an image and
            0 for the null source: how often this image is another's partner.
        paired: whether all outputs have two images, whose masks sum to 1.
    """

    shown: Tensor
    weight: Tensor
    others: Tensor
    paired: bool

    @classmethod
    def read(
        cls, plan: MixPlan, size: tuple[int, int], *, mode: Mode, dtype: torch.dtype
    ) -> _ImageMasks:
        mask = plan.mask.detach().cpu().to(dtype)
        if mask.shape[2] > size[0] or mask.shape[3] > size[1]:
            raise ValueError(
                f"second moments: masks of {tuple(mask.shape[2:])} pixels for images of {size}; "
                "expected the size that plans were drawn for."
            )
        mask = upsample_blocks(mask, size)
        index, weight = plan.index.cpu(), plan.weight.detach().cpu().double()
        if mode == "paper":
            weight = torch.zeros_like(weight)
            weight[:, 0] = 1
        # same[b, n, m]: sources n and m of output b show one image. A warped source shows an image
        # of its own, and so does the null source (index -1).
        unwarped = torch.tensor([warp is None for warp in plan.warp or [None] * index.shape[1]])
        real = index >= 0
        plain = unwarped & real
        same = (index[:, :, None] == index[:, None, :]) & plain[:, :, None] & plain[:, None, :]
        same |= torch.eye(index.shape[1], dtype=torch.bool)
        repeated = same.tril(-1).any(dim=2)  # an earlier source shows this image already
        if bool(repeated.any()):
            mask = torch.einsum("bnm,bmhw->bnhw", same.to(dtype), mask)
        own = torch.einsum("bnm,bm->bn", same.double(), weight)
        others = (weight.sum(dim=1, keepdim=True) - own) * (real & ~repeated)
        paired = index.shape[1] == 2 and bool(real.all()) and not bool(repeated.any())
        paired = paired and bool((mask.sum(dim=1) - 1).abs().max() < _ROUNDING)
        return cls(mask.contiguous(), weight, others, paired)


class _BatchSums:
    """Sums over the plans of one batch."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        height, width = size
        self._count = 0
        self._power = torch.zeros(2, 2 * height, width + 1, dtype=torch.float64)
        self._diagonal = torch.zeros(size, dtype=torch.float64)
        self._scalars = torch.zeros(4, dtype=torch.float64)

    def add(self, masks: _ImageMasks) -> None:
        weight, away = masks.weight, 1 - masks.shown
        self._count += len(weight)
        power_b = _power(masks.shown, masks.others)
        # Of two images what is away from the one is what is shown of the other: A is B, and half
        # of the transforms are spared.
        power_a = power_b if masks.paired else _power(away, weight)
        self._power += torch.stack([power_a, power_b])
        squares = torch.einsum("bn,bnhw->hw", weight.to(away.dtype), away.square())
        self._diagonal += squares.double()
        share = masks.shown.double().mean(dim=(2, 3))
        self._scalars += torch.stack(
            [
                (weight * (1 - share).square()).sum(),
                (masks.others * share.square()).sum(),
                (weight * (1 - weight).square()).sum(),
                weight.sum(),
            ]
        )

    def means(self) -> dict[str, Tensor]:
        size = [2 * side for side in self._size]
        a, b = (from_torus(torch.fft.irfft2(p, s=size)) for p in self._power / self._count)
        pairs = overlap(self._size)
        scalars = self._scalars / self._count
        values = (a / pairs, b / pairs, self._diagonal / self._count, *scalars)
        return dict(zip(_NAMES, values, strict=True))


def _power(planes: Tensor, weights: Tensor) -> Tensor:
    """``sum_n w_n |F(P_n)|^2`` of planes ``(B, N, H, W)`` padded to twice their size, float64."""
    # Wiener-Khinchin: sums of P_j P_{j+p} over all pixels j are the transform of |F(P)|^2, in
    # H W log(H W) steps instead of (H W)^2 for all offsets p. Zeros around the plane keep opposite
    # borders from meeting. Spectra are added up before going back: the transform is linear.
    height, width = planes.shape[2:]
    used = (weights != 0).flatten()
    planes, weights = planes.flatten(0, 1)[used], weights.flatten()[used].to(planes.dtype)
    power = torch.zeros(2 * height, width + 1, dtype=torch.float64)
    if len(planes) == 0:
        return power
    step = max(1, _CHUNK // (4 * height * width))
    for part, weight in zip(planes.split(step), weights.split(step), strict=True):
        found = torch.view_as_real(torch.fft.rfft2(part, s=(2 * height, 2 * width)))
        power += (weight @ found.square().sum(dim=-1).flatten(1)).view_as(power).double()
    return power
