"""Full precision for masks and pixels, whatever the surrounding loop has switched on."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import torch
from torch import Tensor


@contextlib.contextmanager
def drawing(images: Tensor) -> Generator[None]:
    """Draw a plan: without gradients, and without autocast, which would round masks to 8 bits.

    Args:
        images: a tensor on the device where the plan is drawn.
    """
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        yield
