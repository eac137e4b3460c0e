"""Affine maps of a source: turned, sheared, moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.warps.rows import OneByOne, Window, on_rows, round_to, warped_index


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Affine:
    """Map output places to source places by a 2x3 matrix.

    Attributes:
        theta: ``(B, 2, 3)`` float32 in normalised coordinates (x, y in [-1, 1], edges of the
            image at -1 and 1), as ``torch.nn.functional.affine_grid`` takes them with
            ``align_corners=False``. Places outside the image are 0.
        rows: ``(R,)`` int64, the outputs that are warped, or None for all.
    """

    theta: Tensor
    rows: Tensor | None = None

    def apply(self, images: Tensor, *, reuse: bool = False) -> Tensor:
        """Warp ``(B, C, H, W)`` images; with ``reuse`` the input may be written."""
        return on_rows(self.rows, images, self._apply, reuse=reuse)

    def one_by_one(self) -> OneByOne:
        """Prepare to warp single images, by the number of the output; reads ``rows``."""
        index_of = warped_index(self.rows)

        def show(image: Tensor, number: int, window: Window | None) -> Tensor:
            k = index_of(number)
            if k is not None:
                single = replace(self, theta=self.theta[k : k + 1], rows=None)
                image = single._apply(image[None])[0]
            return image if window is None else image[window]

        return show

    def at(self, size: Sequence[int]) -> Affine:
        """Give the same warp for feature maps of another size."""
        del size  # normalised coordinates fit every size
        return self

    def _apply(self, images: Tensor) -> Tensor:
        kind = torch.promote_types(images.dtype, torch.float32)
        grid = F.affine_grid(self.theta.to(kind), list(images.shape), align_corners=False)
        done = F.grid_sample(images.to(kind), grid, padding_mode="zeros", align_corners=False)
        return round_to(done, images.dtype)
