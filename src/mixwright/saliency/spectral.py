"""Saliency from what is unusual in the spectrum of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module

from mixwright.arguments import check_arguments, check_settings, check_whole
from mixwright.precision import drawing
from mixwright.saliency.filters import blurred, by_parts, check_blur, grey


@dataclass(frozen=True, kw_only=True)
class SpectralResidual:
    """What stands out from the mean of the log spectrum, without any model.

    The logarithm of the amplitudes minus its own 3 x 3 mean goes back through the Fourier
    transform with the original phases; the magnitude of the result is blurred.

    Args:
        blur: width of the Gaussian kernel, in pixels of the reduced image, odd; 1 for none. The
            GuidedMixup paper uses 7. Borders are mirrored without the border pixel, as often as a
            small image needs.
        sigma: of the Gaussian, in the same pixels, above 0; the paper uses 3.
        size: images with a longer side are reduced so that their longer side is this many pixels.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        >>> images[:, :, 4:8, 10:14] = 3.0
        >>> peak = int(SpectralResidual()(images).argmax())
        >>> 4 <= peak // 16 < 8, 10 <= peak % 16 < 14
        (True, True)

    Source: Hou and Zhang, "Saliency Detection: A Spectral Residual Approach", CVPR 2007; Kang and
    Kim 2023, arXiv:2306.16612 (3neutronstar/GuidedMixup: spectral_residual.py).

    Departs from the authors' code: images that are not square keep their shape, where those higher
    than 128 pixels would become squares; and the scale of the pixels does not matter.
    """

    needs: ClassVar[tuple[str, ...]] = ()

    blur: int = 7
    sigma: float = 3.0
    size: int = 128

    def __post_init__(self) -> None:
        check_settings(self)
        check_blur("SpectralResidual", self.blur, self.sigma)
        check_whole("SpectralResidual", "size", self.size, low=1, high=10_000)

    @check_arguments
    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, model: Module | None = None
    ) -> Tensor:
        """See ``Saliency``; labels and model are not read."""
        height, width = images.shape[2:]
        with drawing(images):
            plane = grey(images)
            longest = max(height, width)
            if longest > self.size:
                small = [max(1, round(side * self.size / longest)) for side in (height, width)]
                plane = F.interpolate(plane[:, None], small, mode="bilinear", antialias=True)[:, 0]
            found = by_parts(self._found, plane)
            if longest > self.size:
                found = F.interpolate(found[:, None], (height, width), mode="bilinear")[:, 0]
            return found

    def _found(self, plane: Tensor) -> Tensor:
        return blurred(_residual(plane), width=self.blur, sigma=self.sigma)


def _residual(plane: Tensor) -> Tensor:
    """Return the spectral residual saliency of ``(B, H, W)`` grey images, not yet blurred."""
    spectrum = torch.fft.fft2(plane)
    level = _power(spectrum).add_(1e-10).log2_()  # twice that of the amplitude
    # The mean of 3 x 3, a pass for each axis: four times faster than pooling.
    near = F.pad(level[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    near = (near[:, :-2] + near[:, 1:-1]).add_(near[:, 2:])
    near = (near[:, :, :-2] + near[:, :, 1:-1]).add_(near[:, :, 2:])
    # 2 ** (level - mean) in place of the amplitude 2 ** level: what is left is a division.
    return _power(torch.fft.ifft2(spectrum * near.div_(-18).exp2_())).sqrt_()


def _power(spectrum: Tensor) -> Tensor:
    parts = torch.view_as_real(spectrum).square()  # of both at once, as they lie in memory
    return parts[..., 0] + parts[..., 1]
