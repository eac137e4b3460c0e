"""The pixels of plans in a graph of ``torch.compile``."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from mixwright.masks.mask_forms import DenseMask
from mixwright.plan import MixPlan
from mixwright.precision import to_float


@functools.cache
def compiled_images(backend: Literal[True] | str) -> Callable[[MixPlan, Tensor], Tensor]:
    """Give ``MixPlan.images``, compiled once for this process; True is torch's backend."""
    try:
        mix = torch.compile(MixPlan.images, backend="inductor" if backend is True else backend)
    except RuntimeError as error:
        if type(error).__name__ != "InvalidBackend":  # of a private module of torch
            raise
        raise ValueError(
            f"Mix: compile is {backend!r}; expected True, False or the name of a backend of "
            f"torch.compile: {', '.join(torch.compiler.list_backends())}."
        ) from None
    return lambda plan, images: mix(_with_float_masks(plan), images)


def _with_float_masks(plan: MixPlan) -> MixPlan:
    """Bring masks of 0 and 1 to floats, which mix to the same pixels.

    On the CPU a graph of torch's backend reads bools one by one: on (128, 3, 32, 32) that took
    3.6 ms, with floats it takes 0.07.
    """
    form = plan.mask_form
    if not isinstance(form, DenseMask) or not form.binary or form.values.device.type != "cpu":
        return plan
    return plan.replace(mask=dataclasses.replace(form, values=to_float(form.values)))
