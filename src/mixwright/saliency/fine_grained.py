"""Saliency from differences between a pixel and its surroundings."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch.nn import Module

from mixwright.arguments import check_choice, plain_settings
from mixwright.precision import drawing
from mixwright.saliency.filters import blurred, grey

# Half sides of the surroundings in pixels, as OpenCV has them.
_REACHES = (12, 24, 48, 28, 56, 112)
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
        plain_settings(self)
        check_choice("FineGrained", "scaling", self.scaling, get_args(Scaling))

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
    rows, columns = (_band(length, reach, plane.device) for length in plane.shape[1:])
    area = rows.sum(dim=1)[:, None] * columns.sum(dim=1)
    others = (area - 1).clamp_min(1)
    # Products with bands are faster than running sums, whose columns are read across memory.
    total = rows @ plane @ columns.T
    return (plane * (area / others)).addcmul_(total, 1 / others, value=-1)


def _band(length: int, reach: int, device: torch.device) -> Tensor:
    """``(length, length)`` of 0 and 1: row i holds the pixels from i - reach + 1 to i + reach."""
    place = torch.arange(length, device=device)
    offset = place - place[:, None]
    return ((offset > -reach) & (offset <= reach)).float()


def _cleared(value: Tensor) -> Tensor:
    """Set maps that hold no more than rounding to 0; grey images reach 1."""
    return torch.where(value.amax(dim=(1, 2), keepdim=True) > 1e-4, value, 0.0)
