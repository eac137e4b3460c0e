"""Full precision for masks and pixels, whatever the surrounding loop has switched on."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

_NOTHING = nullcontext()


def to_float(values: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Convert shares to floats, bool ones by way of their bytes: a seventh of the time on a CPU."""
    return (values.view(torch.uint8) if values.dtype == torch.bool else values).to(dtype)


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """Switch autocast off for a ``with`` block; where it is off already, that costs nothing."""
    # Entering and leaving torch.autocast takes 10 us, as much as five small operations. Some
    # devices, such as that of tensors without data, know none.
    kind = device.type
    # The compiler of torch 2.6 cannot ask whether it is available; where it compiles, it is.
    available = torch.compiler.is_compiling() or torch.amp.is_autocast_available(kind)
    if not available or not torch.is_autocast_enabled(kind):
        return _NOTHING
    return torch.autocast(kind, enabled=False)


class _Drawing:
    """See ``drawing``; a class, since a generator for a context takes three times as long."""

    __slots__ = ("_autocast", "_grad")

    def __init__(self, device: torch.device) -> None:
        self._autocast = without_autocast(device)

    def __enter__(self) -> None:
        self._grad = torch.is_grad_enabled()
        torch.set_grad_enabled(False)
        self._autocast.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._autocast.__exit__(*error)
        torch.set_grad_enabled(self._grad)


def drawing(images: Tensor) -> AbstractContextManager[None]:
    """Draw a plan: without gradients, and without autocast, which would round masks to 8 bits.

    Args:
        images: a tensor on the device where the plan is drawn.
    """
    return _Drawing(images.device)
