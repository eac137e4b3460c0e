"""Attention inside shifted windows, put back to its place in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.taps.heads import rows, scaling, window_bias


@dataclass(frozen=True, kw_only=True)
class Windows:
    """How a Swin block cuts its map into windows: shift, pad, cut."""

    attention: nn.Module  # the window attention
    size: tuple[int, int]  # (H, W) of the map
    window: tuple[int, int]  # rows and columns of a window
    shift: tuple[int, int]  # rows and columns by which the map is rolled to its start before
    padded_first: bool  # whether the map is padded before it is rolled, as Hugging Face does

    @classmethod
    def of(cls, attention: nn.Module, block: nn.Module, shape: Sequence[int]) -> Self:
        """Read the settings of a block whose input had this shape, a map ``(B, H, W, C)``."""
        if len(shape) != 4:
            raise ValueError(
                f"taps: a block of windows was given {tuple(shape)}; expected a map (B, H, W, C), "
                "as timm's Swin has it."
            )
        own = hasattr(attention, "window_size")  # Hugging Face's blocks say it, as clamped
        window = cast(Any, attention if own else block).window_size
        shift = cast(Any, block).shift_size
        return cls(
            attention=attention,
            size=(shape[1], shape[2]),
            window=_pair(window),
            shift=_pair(shift),
            padded_first=not own,
        )

    def mean_row(self, q: Tensor, k: Tensor, mask: Tensor | None) -> Tensor:
        """Return what the places of a map attend to on average, ``(B, H * W)`` float32.

        A place outside a query's window counts as 0, so each window's share is its share of the
        places. Queries and keys are those of the windows, ``(B windows, heads, N, d)``;
        ``mask`` ``(windows, N, N)`` is added before the softmax. The order is that before the
        shift.
        """
        bias = window_bias(self.attention)
        cut = self._cut(torch.ones(1, *self.size, device=q.device))  # (windows, N), 0 on padding
        if mask is not None:
            bias = bias + mask.float()[:, None]  # (windows, heads, N, N)
            bias = bias.repeat(len(q) // len(bias), 1, 1, 1)
        attention = rows(q, k, scaling(self.attention), bias).mean(dim=1)
        asking = cut.repeat(len(q) // len(cut), 1)[:, None]
        return self._whole((asking @ attention)[:, 0]) / (self.size[0] * self.size[1])

    def _cut(self, plane: Tensor) -> Tensor:
        """Cut ``(B, H, W)`` into ``(B windows, N)``; padding is 0."""
        rows, columns = self.window
        back = (-self.shift[0], -self.shift[1])
        plane = plane if self.padded_first else plane.roll(back, dims=(1, 2))
        plane = F.pad(plane, (0, -plane.shape[2] % columns, 0, -plane.shape[1] % rows))
        plane = plane.roll(back, dims=(1, 2)) if self.padded_first else plane
        count, height, width = plane.shape
        apart = plane.view(count, height // rows, rows, width // columns, columns)
        return apart.transpose(2, 3).reshape(-1, rows * columns)

    def _whole(self, windows: Tensor) -> Tensor:
        """Put ``(B windows, N)`` together to ``(B, H * W)``."""
        (height, width), (rows, columns) = self.size, self.window
        down, across = -(-height // rows), -(-width // columns)
        plane = windows.view(-1, down, across, rows, columns).transpose(2, 3)
        plane = plane.reshape(-1, down * rows, across * columns)
        plane = plane.roll(self.shift, dims=(1, 2)) if self.padded_first else plane
        plane = plane[:, :height, :width]
        plane = plane if self.padded_first else plane.roll(self.shift, dims=(1, 2))
        return plane.flatten(1)


def _pair(value: Any) -> tuple[int, int]:
    first, second = (value, value) if isinstance(value, int) else value
    return int(first), int(second)
