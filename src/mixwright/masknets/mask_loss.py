"""What is asked of masks: to cover about their share, to vary, to be decided; and their numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mixwright.arguments import check_choice, check_number, check_settings

MaskLossName = Literal["l1", "l1+variance", "l2+variance", "sparsity"]
MASK_LOSSES: tuple[MaskLossName, ...] = ("l1", "l1+variance", "l2+variance", "sparsity")

_UNVARIED = 1e-6  # standard deviations below are rounding


@dataclass(frozen=True)
class MaskLoss:
    """A penalty on masks, ``(mask, lam) -> loss``.

    With s_n the mask of source n, m_n its mean over batch and pixels, l_n the mean of its shares
    over the batch, t the tolerance, and V the mean of (s_n - m_n)^2 over all:

        l1             mean_n max(|m_n - l_n| - t, 0)
        l1+variance    mean_n max(|m_n - l_n| - t, 0) - 2 V
        l2+variance    mean_n max((m_n - l_n)^2 - t^2, 0) - 2 V
        sparsity       max(mean(s_n (1 - s_n)) - t, 0)

    What is held near its share is the area of a batch's masks on average, not of each. V rewards
    masks that are not flat, so that penalties with it may be negative.

    Args:
        kind: one of ``MASK_LOSSES``; AutoMix has ``"l1"``, SAMix ``"l1+variance"``.
        tolerance: t, in [0, 1].

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> mask = torch.full((4, 2, 8, 8), 0.5)
        >>> lam = torch.tensor([0.9, 0.1]).expand(4, 2)
        >>> MaskLoss("l1", tolerance=0.1)(mask, lam)
        tensor(0.3000)

    Source: Liu et al., "AutoMix", ECCV 2022, arXiv:2103.13027; Li et al. 2021, arXiv:2111.15454;
    Westlake-AI/openmixup: openmixup/models/heads/pmix_block.py.

    Departs from the authors' code, which reads the second of two masks and one share: for two
    sources the mean over both is the same number, and it is defined for more.
    """

    kind: MaskLossName = "l1"
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        check_settings(self)
        check_choice("MaskLoss", "kind", self.kind, MASK_LOSSES)
        check_number("MaskLoss", "tolerance", self.tolerance, high=1.0)

    def __call__(self, mask: Tensor, lam: Tensor) -> Tensor:
        """Return the 0-d penalty, float32 or wider, of ``(B, N, H, W)`` for shares ``(B, N)``."""
        mask, lam = _checked("MaskLoss", mask, lam)
        with torch.autocast(mask.device.type, enabled=False):
            return _FORMULAS[self.kind](mask, lam, self.tolerance)


def mask_numbers(mask: Tensor, lam: Tensor) -> dict[str, Tensor]:
    """Return diagnostics of masks ``(B, N, H, W)`` made for shares ``(B, N)``, 0-d, no gradients.

    ``"mask spread"`` is the standard deviation of a mask over its pixels, on average, near 0 where
    all are flat; ``"mask largest"`` the area of the largest mask of a sample, on average, near 1
    where one source takes all; ``"mask follows lam"`` the correlation of areas and shares over
    samples and sources, 0 where either does not vary.

    Example:
        >>> lam = torch.tensor([[0.2, 0.8], [0.5, 0.5]])
        >>> mask = lam[:, :, None, None].expand(2, 2, 8, 8)
        >>> {name: round(number.item(), 3) for name, number in mask_numbers(mask, lam).items()}
        {'mask spread': 0.0, 'mask largest': 0.65, 'mask follows lam': 1.0}
    """
    with torch.no_grad(), torch.autocast(mask.device.type, enabled=False):
        mask, lam = _checked("mask_numbers", mask, lam)
        area = mask.mean(dim=(2, 3))
        spread = mask.flatten(2).std(dim=2, correction=0).mean()
        of_area, of_lam = area - area.mean(), lam - lam.mean()
        area_std, lam_std = of_area.square().mean().sqrt(), of_lam.square().mean().sqrt()
        varied = (area_std > _UNVARIED) & (lam_std > _UNVARIED)
        fit = (of_area * of_lam).mean() / (area_std * lam_std).clamp_min(_UNVARIED**2)
        return {
            "mask spread": spread,
            "mask largest": area.amax(dim=1).mean(),
            "mask follows lam": torch.where(varied, fit, torch.zeros_like(fit)),
        }


def _checked(name: str, mask: Tensor, lam: Tensor) -> tuple[Tensor, Tensor]:
    if mask.ndim != 4 or not mask.is_floating_point():
        raise ValueError(
            f"{name}: mask has shape {tuple(mask.shape)} and dtype {mask.dtype}; expected floating "
            "(B, N, H, W), one mask a source."
        )
    if lam.shape != mask.shape[:2] or not lam.is_floating_point():
        raise ValueError(
            f"{name}: lam has shape {tuple(lam.shape)} and dtype {lam.dtype}; expected floating "
            f"{tuple(mask.shape[:2])}, one share a source."
        )
    kind = torch.promote_types(mask.dtype, torch.float32)
    return mask.to(kind), lam.to(kind)


def _distance(mask: Tensor, lam: Tensor) -> Tensor:
    return mask.mean(dim=(0, 2, 3)) - lam.mean(dim=0)


def _variance(mask: Tensor) -> Tensor:
    return (mask - mask.mean(dim=(0, 2, 3), keepdim=True)).square().mean()


def _l1(mask: Tensor, lam: Tensor, tolerance: float) -> Tensor:
    return (_distance(mask, lam).abs() - tolerance).clamp_min(0).mean()


def _l1_variance(mask: Tensor, lam: Tensor, tolerance: float) -> Tensor:
    return _l1(mask, lam, tolerance) - 2 * _variance(mask)


def _l2_variance(mask: Tensor, lam: Tensor, tolerance: float) -> Tensor:
    far = (_distance(mask, lam).square() - tolerance**2).clamp_min(0).mean()
    return far - 2 * _variance(mask)


def _sparsity(mask: Tensor, lam: Tensor, tolerance: float) -> Tensor:
    del lam
    return ((mask * (1 - mask)).mean() - tolerance).clamp_min(0)


_FORMULAS: dict[MaskLossName, Callable[[Tensor, Tensor, float], Tensor]] = {
    "l1": _l1,
    "l1+variance": _l1_variance,
    "l2+variance": _l2_variance,
    "sparsity": _sparsity,
}
