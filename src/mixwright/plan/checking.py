"""Looking at what a plan holds, and saying what is wrong with it."""

from __future__ import annotations

from torch import Tensor

from mixwright.masks.mask_forms import MaskForm
from mixwright.masks.mask_ops import all_planes


def check_values(*, index: Tensor, form: MaskForm, weight: Tensor, pool: int, null: bool) -> None:
    """Read all values of a plan; see ``MixPlan.check``."""
    low, high = int(index.min()), int(index.max())
    least = -1 if null else 0
    if low < least or high >= pool:
        raise ValueError(
            f"plan.check: index runs from {low} to {high}; expected {least} to {pool - 1} for a "
            f"pool of {pool} rows{'' if null else ' without null source'}."
        )
    mask = all_planes(form).detach().float()
    worst = float((mask.sum(dim=1) - 1).abs().max())
    if not bool(mask.isfinite().all()) or float(mask.min()) < 0 or worst > 1e-5:
        raise ValueError(
            f"plan.check: masks run from {float(mask.min()):.6g} to {float(mask.max()):.6g} and "
            f"their sum over sources is off by {worst:.6g}; expected finite shares in [0, 1] that "
            "sum to 1 for every pixel."
        )
    if not bool(weight.isfinite().all()) or float(weight.min()) < 0:
        raise ValueError(
            f"plan.check: weights run from {float(weight.min()):.6g} to "
            f"{float(weight.max()):.6g}; expected finite label weights, at least 0."
        )


def check_sizes(size: tuple[int, ...], *, dims: int, fill: Tensor | None) -> None:
    """Refuse sizes of feature maps that a plan cannot be brought to; see ``MixPlan.at``."""
    if len(size) != dims or any(type(side) is not int or side < 1 for side in size):
        raise ValueError(
            f"plan.at: size is {size}; expected {dims} whole numbers from 1, the spatial sizes."
        )
    if fill is not None and fill.ndim > 2:
        raise ValueError(
            f"plan.at: the fill has shape {tuple(fill.shape)}, a picture of the images' size; "
            "expected a constant one."
        )
