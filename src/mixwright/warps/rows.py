"""What all warps share: a part of an image, some rows of a batch, the images' dtype."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Window = tuple[slice, ...]
"""Part of an image ``(C, *spatial)``."""

OneByOne = Callable[[Tensor, int, Window | None], Tensor]
"""Takes a source image, the number of the output, and the part that is wanted or None for all."""


def round_to(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Bring computed pixels to the images' dtype; uint8 rounds half to even and saturates."""
    if values.dtype == dtype:
        return values
    if dtype == torch.uint8:
        return values.round().clamp(0, 255).to(dtype)
    return values.to(dtype)


def warped_index(rows: Tensor | None) -> Callable[[int], int | None]:
    """Give for the number of an output its index among the warped ones, None for the others."""
    if rows is None:
        return lambda number: number
    known = {row: index for index, row in enumerate(rows.tolist())}
    return known.get


def on_rows(
    rows: Tensor | None, images: Tensor, apply: Callable[[Tensor], Tensor], *, reuse: bool
) -> Tensor:
    """Warp all images, or those of ``rows`` only; with ``reuse`` the input may be written."""
    if images.ndim != 4:
        raise ValueError(
            f"warp: images have shape {tuple(images.shape)}; expected (B, C, H, W). "
            "Warps are defined for 2-D images only."
        )
    if rows is None:
        return apply(images)
    done = images if reuse else images.clone()
    # Not ``images[rows]``, which takes rows eight times as long as ``index_select``.
    done[rows] = apply(images.index_select(0, rows))
    return done
