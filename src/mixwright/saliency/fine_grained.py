"""Saliency from differences between a pixel and its surroundings."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import Module

from mixwright.arguments import check_arguments, check_settings
from mixwright.precision import drawing
from mixwright.saliency.filters import blurred, grey

# Half sides of the surroundings in pixels, as OpenCV has them.
_REACHES = (12, 24, 48, 28, 56, 112)
_WHOLE = 512  # sides up to this many pixels are summed by one product
_QUARTERS = (2 * math.log(2)) ** -0.5  # of a Gaussian that is (1, 2, 1) / 4 on three pixels


Scaling = Literal["joint", "each"]


@dataclass(frozen=True, kw_only=True)
class FineGrained:
    """How far each pixel is from the mean of its surroundings, at six sizes, without any model.

    The differences are added up over the sizes, apart for pixels brighter and pixels darker than
    their surroundings. The sizes are those of OpenCV, boxes of 24 to 224 pixels cut at the border
    of the image.

    Args:
        scaling: ``"joint"`` adds the bright and the dark differences as they are; ``"each"``
            divides both by their largest value first, as OpenCV does, so that the brightest and
            the darkest place always count alike: noise in front of one bright object then has
            the highest peak in every second image.

    Raises:
        ValueError: ``scaling`` is another word.

    Example:
        >>> images = torch.zeros(1, 1, 9, 9)
        >>> images[:, :, 2, 6] = 1.0
        >>> divmod(int(FineGrained()(images).argmax()), 9)
        (2, 6)

    Source: Montabone and Soto, "Human detection using a mobile platform and novel features derived
    from a visual saliency mechanism", Image and Vision Computing 2010; opencv/opencv_contrib:
    modules/saliency/src/staticSaliencyFineGrained.cpp.

    Departs from OpenCV (see ``scaling``), which also rounds down to whole grey levels at every
    step and reads images of bytes only; the scale of the pixels does not matter here.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    scaling: Scaling = "joint"

    def __post_init__(self) -> None:
        check_settings(self)

    @check_arguments
    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, model: Module | None = None
    ) -> Tensor:
        """See ``Saliency``; labels and model are not read."""
        with drawing(images):
            plane = grey(images)
            for _ in range(2):
                plane = blurred(plane, width=3, sigma=_QUARTERS)
            plane = plane - plane.mean(dim=(1, 2), keepdim=True)  # or long sums would round
            apart, signed = torch.zeros_like(plane), torch.zeros_like(plane)
            for reach, times in _reaches(*plane.shape[1:]).items():
                difference = _difference(plane, reach)
                if self.scaling == "each":
                    signed.add_(difference, alpha=times)
                apart.add_(difference.abs_(), alpha=times)
            if self.scaling == "joint":
                return _cleared(apart)
            above, below = _cleared((apart + signed) / 2), _cleared((apart - signed) / 2)
            peaks = [
                part.amax(dim=(1, 2), keepdim=True).clamp_min(1e-30) for part in (above, below)
            ]
            return above / peaks[0] + below / peaks[1]


def _reaches(height: int, width: int) -> Counter[int]:
    """Count the sizes that differ: a box that always covers the image may be any such box."""
    return Counter(min(reach, max(height, width)) for reach in _REACHES)


def _difference(plane: Tensor, reach: int) -> Tensor:
    """Return each pixel minus the mean of the others in the box around it, fresh memory.

    The box has the ``reach`` rows and columns that end with the pixel's and ``reach`` more.
    """
    rows, columns = (_reached(length, reach, plane.device) for length in plane.shape[1:])
    area = rows[:, None] * columns
    others = (area - 1).clamp_min(1)
    total = _summed(_summed(plane, reach, axis=1), reach, axis=2)
    return (plane * (area / others)).addcmul_(total, 1 / others, value=-1)


def _reached(length: int, reach: int, device: torch.device) -> Tensor:
    """``(length,)``: how many pixels lie from i - reach + 1 to i + reach."""
    place = torch.arange(length, device=device)
    first, last = (place - reach + 1).clamp_min(0), (place + reach).clamp_max(length - 1)
    return (last - first + 1).float()


def _summed(plane: Tensor, reach: int, *, axis: int) -> Tensor:
    """Add up along an axis what lies from i - reach + 1 to i + reach."""
    length = plane.shape[axis]
    # Products with bands are faster than running sums, whose columns are read across memory; a
    # part of the band at a time, since the whole has as many zeros more as the side is longer.
    part = length if length <= _WHOLE else max(64, 2 * reach)
    sums: list[Tensor] = []
    for first in range(0, length, part):
        last = min(first + part, length)
        low, high = max(first - reach + 1, 0), min(last + reach, length)
        near = plane.narrow(axis, low, high - low)
        offset = torch.arange(low, high, device=plane.device)
        offset = offset - torch.arange(first, last, device=plane.device)[:, None]
        band = ((offset > -reach) & (offset <= reach)).float()
        sums.append(band @ near if axis == 1 else near @ band.T)
    return torch.cat(sums, dim=axis)


def _cleared(value: Tensor) -> Tensor:
    """Set maps that hold no more than rounding to 0; grey images reach 1."""
    return torch.where(value.amax(dim=(1, 2), keepdim=True) > 1e-4, value, 0.0)
