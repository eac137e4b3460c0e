"""How plans live with torch's modes: inference mode, gradients, forward derivatives, ``vmap``."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from mixwright.masks.mask_forms import MaskForm

# Private in torch, but nothing public tells what jvp, vmap and grad have wrapped.
_wrapped = torch._C._functorch.is_functorch_wrapped_tensor  # pyright: ignore


def outside_inference(value: Any) -> Any:
    """Copy tensors that were made in ``torch.inference_mode``, also those inside of records.

    No later backward may save such a tensor, so that a plan drawn there would serve nowhere else.
    """
    if value is None or torch.compiler.is_compiling():
        return value
    if isinstance(value, Tensor):
        if not value.is_inference():
            return value
        with torch.inference_mode(mode=False):
            return value.clone()
    if isinstance(value, tuple):
        parts: tuple[Any, ...] = tuple(outside_inference(part) for part in value)  # pyright: ignore
        return parts if any(a is not b for a, b in zip(parts, value, strict=True)) else value  # pyright: ignore
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    changes: dict[str, Any] = {}
    for name in value.__dataclass_fields__:  # every plan comes here: ``fields`` sorts out more
        now = getattr(value, name)
        if (made := outside_inference(now)) is not now:
            changes[name] = made
    return dataclasses.replace(value, **changes) if changes else value


def is_tracked(images: Tensor, form: MaskForm) -> bool:
    """Whether a derivative of the pixels or of a learned mask is wanted, or ``vmap`` is at work.

    What writes into memory made before, or is told where to write, then has to be left out.
    """
    parts = [getattr(form, name) for name in form.__dataclass_fields__]
    tensors = [images, *[part for part in parts if isinstance(part, Tensor)]]
    grad, eager = torch.is_grad_enabled(), not torch.compiler.is_compiling()
    # A loop, since every batch comes here and generators take as long as small operations.
    for tensor in tensors:
        if (grad and tensor.requires_grad) or (
            eager and (_wrapped(tensor) or _has_tangent(tensor))
        ):
            return True
    return False


def is_transformed(tensor: Tensor) -> bool:
    """Whether this is inside ``torch.func``: ``jvp``, ``vmap``, ``grad``, and what they make up."""
    return not torch.compiler.is_compiling() and _wrapped(tensor)


def _has_tangent(tensor: Tensor) -> bool:
    return tensor.is_floating_point() and forward_ad.unpack_dual(tensor).tangent is not None
