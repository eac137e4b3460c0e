"""The side of a transformer's patch, known before it has run."""

from __future__ import annotations

from torch import nn

from mixwright.taps.modes import bare


def patch_side(model: nn.Module | None) -> int | None:
    """Return the side of a model's patches in pixels: of its first convolution without overlap.

    None where the first convolution is no square patch embedding, and without a model.

    Example:
        >>> patch_side(nn.Conv2d(3, 8, 4, stride=4)), patch_side(nn.Conv2d(3, 8, 3))
        (4, None)
    """
    if model is not None:
        for module in bare(model).modules():
            if isinstance(module, nn.Conv2d):
                sides = {*module.kernel_size, *module.stride}
                return sides.pop() if len(sides) == 1 and module.stride[0] > 1 else None
    return None
