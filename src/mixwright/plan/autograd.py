"""How plans live with torch's modes: inference mode, gradients, forward derivatives, ``vmap``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from mixwright.masks.mask_forms import MaskForm

# Private in torch, but nothing public tells what jvp, vmap and grad have wrapped.
_wrapped = torch._C._functorch.is_functorch_wrapped_tensor  # pyright: ignore


def outside_inference(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copy tensors that were made in ``torch.inference_mode``, also those inside of records.

    No later backward may save such a tensor, so that a plan drawn there would serve nowhere else.
    """
    # Every plan comes here, and nearly all of them have nothing to copy.
    if torch.compiler.is_compiling() or not _of_inference(values):
        return values
    return tuple(_copied(value) for value in values)


def _of_inference(values: Iterable[Any]) -> bool:
    """Whether any tensor, also inside of records and tuples, was made in inference mode."""
    for value in values:
        if isinstance(value, Tensor):
            found = value.is_inference()
        elif isinstance(value, tuple):
            found = _of_inference(value)  # pyright: ignore[reportUnknownArgumentType]
        else:  # not ``dataclasses.fields``, which takes several times as long
            names = getattr(value, "__dataclass_fields__", None)
            found = names is not None and _of_inference([getattr(value, name) for name in names])
        if found:
            return True
    return False


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        if not value.is_inference():
            return value
        with torch.inference_mode(mode=False):
            return value.clone()
    if isinstance(value, tuple):
        return tuple(_copied(part) for part in value)  # pyright: ignore[reportUnknownVariableType]
    names = getattr(value, "__dataclass_fields__", ())
    if not names:
        return value
    return dataclasses.replace(value, **{name: _copied(getattr(value, name)) for name in names})


def is_tracked(images: Tensor, form: MaskForm) -> bool:
    """Whether a derivative of the pixels or of a learned mask is wanted, or ``vmap`` is at work.

    What writes into memory made before, or is told where to write, then has to be left out.
    """
    grad, eager = torch.is_grad_enabled(), not torch.compiler.is_compiling()
    # A loop, since every batch comes here and generators take as long as small operations.
    for value in (images, *[getattr(form, name) for name in form.__dataclass_fields__]):
        if isinstance(value, Tensor) and (
            (grad and value.requires_grad) or (eager and (_wrapped(value) or _has_tangent(value)))
        ):
            return True
    return False


def is_transformed(tensor: Tensor) -> bool:
    """Whether this is inside ``torch.func``: ``jvp``, ``vmap``, ``grad``, and what they make up."""
    return not torch.compiler.is_compiling() and _wrapped(tensor)


def _has_tangent(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and forward_ad.unpack_dual(tensor).tangent is not None
