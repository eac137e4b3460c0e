"""The pixels of plans in a graph of ``torch.compile``."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

from mixwright.plan import MixPlan


@functools.cache
def images_of(compiled: bool | str) -> Callable[[MixPlan, Tensor], Tensor]:
    """Give ``MixPlan.images``, as it is or compiled once for all of this process."""
    if compiled is False:
        return MixPlan.images
    try:
        return torch.compile(MixPlan.images, backend="inductor" if compiled is True else compiled)
    except RuntimeError as error:
        if type(error).__name__ != "InvalidBackend":  # of a private module of torch
            raise
        raise ValueError(
            f"Mix: compile is {compiled!r}; expected True, False or the name of a backend of "
            f"torch.compile: {', '.join(torch.compiler.list_backends())}."
        ) from None
