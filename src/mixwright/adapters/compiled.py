"""The pixels of plans in a graph of ``torch.compile``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from mixwright.plan import MixPlan


@functools.cache
def compiled_images(backend: Literal[True] | str) -> Callable[[MixPlan, Tensor], Tensor]:
    """Give ``MixPlan.images``, compiled once for this process; True is torch's backend."""
    try:
        return torch.compile(MixPlan.images, backend="inductor" if backend is True else backend)
    except RuntimeError as error:
        if type(error).__name__ != "InvalidBackend":  # of a private module of torch
            raise
        raise ValueError(
            f"Mix: compile is {backend!r}; expected True, False or the name of a backend of "
            f"torch.compile: {', '.join(torch.compiler.list_backends())}."
        ) from None
