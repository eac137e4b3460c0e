"""Looking at what a plan holds, and saying what is wrong with it."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from mixwright.arguments import check_whole, shown
from mixwright.masks.mask_forms import Box, DenseMask, MaskForm, SeparableMask
from mixwright.masks.mask_ops import all_planes
from mixwright.tensors import check_tensor

_DTYPES = (torch.uint8, torch.float16, torch.bfloat16, torch.float32, torch.float64)
_ONE_HOT = "torch.nn.functional.one_hot(maps.long(), K).movedim(-1, 1).float()"

_warned: set[str] = set()  # one warning a process is enough


def check_kinds(
    index: object,
    mask: object,
    weight: Any,
    pool: object,
    fill: object,
    lam: object,
    self_first: object,
) -> None:
    """Refuse arguments of ``MixPlan`` that are of another type."""
    for argument, value in (("index", index), ("weight", weight)):
        check_tensor("MixPlan", argument, value)
    for argument, value in (("fill", fill), ("lam", lam)):
        if value is not None:
            check_tensor("MixPlan", argument, value)
    check_mask("MixPlan", "mask", mask)
    if weight.is_complex():
        raise ValueError(
            f"MixPlan: weight has dtype {weight.dtype}; expected floating label weights."
        )
    if not torch.compiler.is_compiling():  # where a number may stand for many
        check_whole("MixPlan", "pool", pool, low=0)
    if not isinstance(self_first, bool):
        raise ValueError(f"MixPlan: self_first is {shown(self_first)}; expected True or False.")


def check_mask(name: str, argument: str, value: object) -> None:
    """Refuse what is neither a tensor nor a form of ``masks.mask_forms``."""
    # Not MaskForm, which the compiler of torch 2.6 does not know as a type.
    if not isinstance(value, (DenseMask, Box, SeparableMask)):
        check_tensor(name, argument, value)


def check_choice_of_rows(select: Tensor, other: object, *, kind: type) -> None:
    """Refuse what ``MixPlan.where`` is given where it is of another type."""
    check_tensor("plan.where", "select", select)
    if not isinstance(other, kind) or select.dtype != torch.bool:
        raise ValueError(
            f"plan.where: select has dtype {select.dtype} and other is {shown(other)}; expected a "
            "bool tensor (B,) and another MixPlan."
        )


def check_dtype(images: Tensor) -> None:
    """Refuse images that cannot be mixed; see ``MixPlan.images``."""
    if images.dtype in _DTYPES:
        return
    known = ", ".join(str(dtype).removeprefix("torch.") for dtype in _DTYPES)
    whole = not (images.is_floating_point() or images.is_complex())
    advice = (
        f" Maps of class indices are mixed one-hot, in floating point: {_ONE_HOT} of maps "
        "(B, *spatial) with K classes."
    )
    raise ValueError(
        f"plan.images: images have dtype {images.dtype}; expected one of {known}."
        f"{advice if whole else ''}"
    )


def warn_of_classes(images: Tensor, *, form: MaskForm, warped: bool) -> None:
    """Warn once where class indices would be averaged like brightness; see ``MixPlan.images``."""
    if images.dtype != torch.uint8:
        return
    # Without channels, the rows of maps (B, H, W) take the place of channels.
    single = images.shape[1] == 1 or images.ndim - 2 != len(form.size)
    if not single or (form.binary and not warped):
        return
    if torch.compiler.is_compiling() or "classes" in _warned:
        return
    _warned.add("classes")
    warnings.warn(
        f"plan.images: uint8 images of shape {tuple(images.shape)} are mixed as brightness, which "
        "is right for greyscale images. If they are maps of class indices, mixed pixels can hold "
        f"classes of neither source: give them one-hot, in floating point, {_ONE_HOT} of maps "
        "(B, *spatial) with K classes.",
        UserWarning,
        stacklevel=3,
    )


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
