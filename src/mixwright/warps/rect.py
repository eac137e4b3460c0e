"""One rectangle of a source shown in another of the output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from mixwright.constants import lengths, once, steps
from mixwright.warps.rows import OneByOne, Window, on_rows, round_to, warped_index

Interpolation = Literal["nearest", "bilinear", "antialias", "corners"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rect:
    """Show one rectangle of the source in a rectangle of the output.

    Outside the target the output repeats the source rectangle's border; a mask usually hides it.

    Attributes:
        source: ``(B, 2, 2)`` float32, for rows and columns the first edge and the edge after the
            last, in pixels. Edges in falling order mirror the image. Edges beyond the image
            repeat its border.
        target: ``(B, 2, 2)`` float32, likewise, in rising order.
        size: (H, W) to which the numbers refer.
        interpolation: ``"nearest"`` picks pixel ``floor(r * source / target)`` and is exact for
            every dtype; ``"bilinear"`` has pixel centres at one half; ``"antialias"`` is
            bilinear with a triangle widened by the reduction; ``"corners"`` is bilinear with the
            corner pixels of both rectangles on each other (``align_corners=True``).
        rows: ``(R,)`` int64, the outputs that are warped, or None for all; ``source`` and
            ``target`` then have R rows.
    """

    source: Tensor
    target: Tensor
    size: tuple[int, int]
    interpolation: Interpolation = "nearest"
    rows: Tensor | None = None

    def apply(self, images: Tensor, *, reuse: bool = False) -> Tensor:
        """Warp ``(B, C, H, W)`` images; with ``reuse`` the input may be written."""
        return on_rows(self.rows, images, self._apply, reuse=reuse)

    def one_by_one(self) -> OneByOne:
        """Prepare to warp single images, by the number of the output; reads ``rows``."""
        index_of = warped_index(self.rows)
        if self.interpolation == "nearest":
            lines = _nearest(self.source, self.target, self.size)
        else:
            lines = self._matrices()

        def show(image: Tensor, number: int, window: Window | None) -> Tensor:
            k = index_of(number)
            if k is None:
                return image if window is None else image[window]
            row, column = (line[k] for line in lines)
            if window is not None:
                row, column = row[window[1]], column[window[2]]
            if self.interpolation == "nearest":
                # Not a second index_select, which takes twice as long along the last axis.
                there = image.index_select(1, row)
                return there.gather(2, column.expand(len(image), len(row), -1))
            kind = torch.promote_types(image.dtype, torch.float32)
            return round_to(row.to(kind) @ image.to(kind) @ column.T.to(kind), image.dtype)

        return show

    def at(self, size: Sequence[int]) -> Rect:
        """Give the same warp for feature maps of another size."""
        factors = [new / old for new, old in zip(size, self.size, strict=True)]
        full = [
            torch.full((1,), factor, device=self.source.device, dtype=torch.float32)
            for factor in factors
        ]
        scale = torch.stack(full)
        height, width = size
        return replace(
            self, source=self.source * scale, target=self.target * scale, size=(height, width)
        )

    def _matrices(self) -> list[Tensor]:
        """Give the resampling matrices of rows and columns, ``(B, length, length)`` each."""
        return [
            _hats(self.source[:, axis], self.target[:, axis], length, kind=self.interpolation)
            for axis, length in enumerate(self.size)
        ]

    def _apply(self, images: Tensor) -> Tensor:
        if self.interpolation == "nearest":
            return _picked(images, *_nearest(self.source, self.target, self.size))
        row, column = self._matrices()
        kind = torch.promote_types(images.dtype, torch.float32)
        done = row[:, None].to(kind) @ images.to(kind) @ column[:, None].transpose(2, 3).to(kind)
        return round_to(done, images.dtype)


def _picked(images: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Give for each image the pixels of some of its rows and columns, ``(B, H)`` and ``(B, W)``."""
    count, channels, _, width = images.shape
    # One gather of numbered pixels: four times as fast as one of rows and one of columns.
    pixel = (row[:, :, None] * width + column[:, None, :]).view(count, 1, -1)
    flat = images.reshape(count, channels, -1).gather(2, pixel.expand(-1, channels, -1))
    return flat.view(images.shape)


def _nearest(source: Tensor, target: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Give the source rows and columns of each place, ``(B, H)`` and ``(B, W)`` int64."""
    # Both axes at once: on small images the number of calls is what costs.
    start, stop = source.split(1, dim=2)
    first, last = target.split(1, dim=2)
    reach = stop - start
    pixel = steps(max(size), source.device)
    step = ((pixel - first) * reach.abs() / (last - first).clamp_min(1e-6)).floor_()
    # Edges that fall count back from the pixel before the first edge.
    sign = reach.sign()
    index = torch.addcmul(start + sign.clamp_max(0), step, sign)
    index = index.clamp(torch.minimum(start, stop), torch.maximum(start, stop) - 1)
    index = index.clamp_min_(0).minimum(_lasts(size, source.device)).long()
    height, width = size
    return index[:, 0, :height], index[:, 1, :width]


@once
def whole_image(size: tuple[int, int], device: torch.device) -> Tensor:
    """Give the rectangle that is all of an image: ``(2, 2)`` float32."""
    ends = lengths(size, device).float()
    return torch.stack([torch.zeros_like(ends), ends], dim=1)


@once
def _lasts(size: tuple[int, int], device: torch.device) -> Tensor:
    """Give the number of the last pixel of each axis, ``(2, 1)`` float32."""
    return (lengths(size, device) - 1).float()[:, None]


def _hats(source: Tensor, target: Tensor, length: int, *, kind: Interpolation) -> Tensor:
    """Give the resampling matrix ``(B, length, length)``: triangles around the source places."""
    start, stop = source[:, 0, None], source[:, 1, None]
    first, last = target[:, 0, None], target[:, 1, None]
    pixel = torch.arange(length, device=source.device, dtype=torch.float32)
    scale = (stop - start) / (last - first).clamp_min(1e-6)
    centre = start + (pixel + 0.5 - first) * scale - 0.5
    if kind == "corners":
        step = (stop - start - (stop - start).sign()) / (last - first - 1).clamp_min(1)
        centre = torch.where(stop < start, start - 1, start) + (pixel - first) * step
    low, high = torch.minimum(start, stop), torch.maximum(start, stop) - 1
    centre = torch.minimum(torch.maximum(centre, low.clamp_min(0)), high.clamp_max(length - 1))
    reach = scale.abs().clamp_min(1.0)[..., None] if kind == "antialias" else 1.0
    weight = (1 - (centre[..., None] - pixel).abs() / reach).clamp_min(0)
    # Pixels outside the source rectangle are not looked at.
    weight = weight * ((pixel >= low[..., None].floor()) & (pixel <= high[..., None].ceil()))
    return weight / weight.sum(dim=2, keepdim=True).clamp_min(1e-12)
