"""The forms in which a plan holds its masks: as little as was drawn.

A form stores the shares of the first N - 1 sources; the last source takes what is left. Boxes and
shares stay as small as they are, so that applying a plan can slice where a rendered mask would be
read pixel by pixel.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mixwright.constants import once
from mixwright.precision import to_float


@once
def _middles(count: int, device: torch.device) -> Tensor:
    """Give the middles of ``count`` pixels in half pixels, 1, 3, 5, ...: float32."""
    return torch.arange(count, device=device, dtype=torch.float32).mul_(2).add_(1)


@dataclass(frozen=True, slots=True, eq=False)
class DenseMask:
    """Shares written out: one number a sample, one a block, or one a pixel.

    Attributes:
        values: ``(B, N - 1, *spatial)``, each spatial size 1, a divisor of the image's (a grid of
            equal blocks) or the image's; float32 in [0, 1], or bool, which marks a mask of 0 and
            1. With ``whole`` it has all N planes.
        whole: whether the plane of the last source is given too.
    """

    values: Tensor
    whole: bool = False

    @property
    def sources(self) -> int:
        """N, the number of sources."""
        return self.values.shape[1] + (0 if self.whole else 1)

    @property
    def binary(self) -> bool:
        """Whether every share is known to be 0 or 1."""
        return self.values.dtype == torch.bool

    @property
    def size(self) -> tuple[int, ...]:
        """The spatial sizes of ``values``."""
        return tuple(self.values.shape[2:])

    @property
    def constant(self) -> bool:
        """Whether a source has the same share of all pixels of a sample."""
        return math.prod(self.size) == 1

    def first(self) -> Tensor:
        """Give the shares of the first N - 1 sources, ``(B, N - 1, *spatial)``."""
        return self.values[:, :-1] if self.whole else self.values

    def means(self) -> Tensor:
        """Give the mean share of the first N - 1 sources, ``(B, N - 1)`` float32."""
        first = to_float(self.first())
        # The mean of one number is that number, and a view costs a tenth of a mean.
        return first.view(first.shape[:2]) if self.constant else first.flatten(2).mean(dim=2)

    def expand(self, count: int) -> DenseMask:
        """Repeat a form of one sample for ``count`` samples, without copying."""
        if self.values.shape[0] == count:
            return self
        return replace(self, values=self.values.expand(count, *self.values.shape[1:]))


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """One box a sample, with one share of the first of two sources inside and one outside.

    Attributes:
        edges: ``(B, D, 2)`` int64; first row and the row after the last, for each of the D
            spatial dimensions. Equal numbers make an empty box.
        size: the D spatial sizes of the images, in pixels.
        inside: ``(B,)`` float32 in [0, 1], or None for 0: all of the partner.
        outside: ``(B,)`` float32 in [0, 1], or None for 1: all of the sample itself.
    """

    edges: Tensor
    size: tuple[int, ...]
    inside: Tensor | None = None
    outside: Tensor | None = None

    @property
    def sources(self) -> int:
        """N, always 2."""
        return 2

    @property
    def binary(self) -> bool:
        """Whether every share is known to be 0 or 1."""
        return self.inside is None and self.outside is None

    def shares(self) -> tuple[Tensor, Tensor]:
        """Give the shares inside and outside, ``(B,)`` float32 each."""
        like = self.edges[:, 0, 0]
        inside = torch.zeros_like(like, dtype=torch.float32) if self.inside is None else self.inside
        outside = (
            torch.ones_like(like, dtype=torch.float32) if self.outside is None else self.outside
        )
        return inside, outside

    def hit(self) -> Tensor:
        """Render the box: ``(B, 1, *size)`` float32, 1 inside and 0 outside."""
        return 1 - self._beside()

    def first(self) -> Tensor:
        """Render the shares of the first source, ``(B, 1, *size)`` float32."""
        beside = self._beside()
        if self.binary:
            return beside
        each = (-1, *([1] * (len(self.size) + 1)))
        if self.inside is None and self.outside is not None:
            # The lerp of below, six times as fast: one of two shares a sample is not vectorised.
            return beside * self.outside.view(each)
        inside, outside = (share.view(each) for share in self.shares())
        return torch.lerp(inside, outside, beside)  # exact at both ends

    def _beside(self) -> Tensor:
        """Mark what is not in the box, 1 there and 0 inside: ``(B, 1, *size)`` float32."""
        start, stop = self.edges.float().split(1, dim=2)  # (B, D, 1)
        # In half pixels a pixel's middle is an odd number of them away from the middle of the box:
        # less than the box is long if inside, more if outside. One pass for all axes, and a third
        # of the time of comparing whole numbers.
        away = (_middles(max(self.size), self.edges.device) - (start + stop)).abs_()
        apart = away.sub_(stop - start).clamp_(0, 1)  # (B, D, longest side)
        count, dims, longest = apart.shape
        planes = [
            (side if length == longest else side[:, :length]).view(
                count, *([1] * (axis + 1)), length, *([1] * (dims - axis - 1))
            )
            for axis, (side, length) in enumerate(zip(apart.unbind(1), self.size, strict=True))
        ]
        return functools.reduce(torch.maximum, planes)

    def fraction(self) -> Tensor:
        """Give the part of the image that the box covers, ``(B,)`` float32."""
        start, stop = self.edges.unbind(dim=2)
        pixels = functools.reduce(torch.mul, (stop - start).unbind(dim=1))
        return pixels.float() / math.prod(self.size)

    def means(self) -> Tensor:
        """Give the mean share of the first source, ``(B, 1)`` float32."""
        covered = self.fraction()
        if self.binary:
            return (1 - covered)[:, None]
        inside, outside = self.shares()
        return torch.lerp(outside, inside, covered)[:, None]

    def expand(self, count: int) -> Box:
        """Repeat a form of one sample for ``count`` samples, without copying."""
        if self.edges.shape[0] == count:
            return self
        return replace(
            self,
            edges=self.edges.expand(count, *self.edges.shape[1:]),
            inside=None if self.inside is None else self.inside.expand(count),
            outside=None if self.outside is None else self.outside.expand(count),
        )


@dataclass(frozen=True, slots=True, eq=False)
class SeparableMask:
    """A share that is a row factor times a column factor: ``base + scale * row * column``.

    Attributes:
        rows: ``(B, H)`` float32.
        columns: ``(B, W)`` float32.
        base: ``(B,)`` float32.
        scale: ``(B,)`` float32.
        binary: whether every share is known to be 0 or 1.
    """

    rows: Tensor
    columns: Tensor
    base: Tensor
    scale: Tensor
    binary: bool = False

    @property
    def sources(self) -> int:
        """N, always 2."""
        return 2

    @property
    def size(self) -> tuple[int, ...]:
        """The spatial size (H, W)."""
        return (self.rows.shape[1], self.columns.shape[1])

    def first(self) -> Tensor:
        """Render the shares of the first source, ``(B, 1, H, W)``."""
        rows = (self.scale[:, None] * self.rows)[:, None, :, None]
        # Two passes that are vectorised; addcmul of three broadcast operands is not.
        return (rows * self.columns[:, None, None, :]).add_(self.base[:, None, None, None])

    def means(self) -> Tensor:
        """Give the mean share of the first source, ``(B, 1)`` float32."""
        product = self.rows.mean(dim=1) * self.columns.mean(dim=1)
        return (self.base + self.scale * product)[:, None]

    def expand(self, count: int) -> SeparableMask:
        """Repeat a form of one sample for ``count`` samples, without copying."""
        if self.rows.shape[0] == count:
            return self
        return replace(
            self,
            rows=self.rows.expand(count, -1),
            columns=self.columns.expand(count, -1),
            base=self.base.expand(count),
            scale=self.scale.expand(count),
        )


MaskForm = DenseMask | Box | SeparableMask


def share(values: Tensor, dims: int) -> DenseMask:
    """Hold one share a sample, ``(B,)`` in [0, 1], for images of ``dims`` spatial dimensions."""
    return DenseMask(values.float().view(-1, 1, *([1] * dims)))
