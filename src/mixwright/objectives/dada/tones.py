"""Operations on the tones of pixels, a batch at a time.

What Pillow reads off a table of 256 tones (``solarize``, ``posterize``, ``equalize``,
``auto_contrast``) is done on the nearest of 256 levels here too. The others stay continuous, where
Pillow rounds to bytes each time.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = (0.299, 0.587, 0.114)


def invert(images: Tensor) -> Tensor:
    """Turn each tone into what it lacks to white."""
    return 1 - images


def auto_contrast(images: Tensor) -> Tensor:
    """Stretch each channel until its darkest pixel is 0 and its brightest 1."""
    tones = _tones(images)
    low, high = tones.amin(dim=(2, 3), keepdim=True), tones.amax(dim=(2, 3), keepdim=True)
    stretched = ((tones - low) * 255 / (high - low).clamp_min(1)).floor()
    return torch.where(high > low, stretched, tones) / 255


def equalize(images: Tensor) -> Tensor:
    """Spread the tones of each channel so that all are about equally common."""
    count, channels, height, width = images.shape
    tones = _tones(images).view(count * channels, height * width).long()
    found = torch.zeros(len(tones), 256, dtype=torch.int64, device=images.device)
    found.scatter_add_(1, tones, torch.ones_like(tones))
    brightest = found.gather(1, tones.amax(dim=1, keepdim=True))
    step = (height * width - brightest) // 255
    darker = found.cumsum(dim=1) - found
    table = ((darker + step // 2) // step.clamp_min(1)).clamp_max(255)
    spread = torch.where(step > 0, table.gather(1, tones), tones)
    return (spread / 255).to(images.dtype).view(images.shape)


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert the pixels that are at least as bright as ``threshold``, ``(B,)`` in [0, 256]."""
    tones = _tones(images)
    return torch.where(tones >= _wide(threshold), 255 - tones, tones) / 255


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest ``bits``, ``(B,)`` in [0, 8] rounded down, of each tone."""
    step = 2 ** (8 - _wide(bits).floor())
    return (_tones(images) / step).floor() * step / 255


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance from the image's mean luminance by ``factor``, ``(B,)``."""
    mean = _luminance(images).mean(dim=(2, 3), keepdim=True)
    return _away(mean, images, factor)


def color(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance from the pixel's luminance by ``factor``, ``(B,)``; 0 is grey."""
    return _away(_luminance(images), images, factor)


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the tones by ``factor``, ``(B,)``."""
    return (images * _wide(factor)).clamp(0, 1)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Scale the distance from the smoothed image by ``factor``, ``(B,)``; the border stays."""
    channels, height, width = images.shape[1:]
    if min(height, width) < 3:
        return images.clone()
    kernel = images.new_ones(3, 3)
    kernel[1, 1] = 5
    kernel = (kernel / 13).expand(channels, 1, 3, 3)
    smooth = images.clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(images, kernel, groups=channels)
    return _away(smooth, images, factor)


def _luminance(images: Tensor) -> Tensor:
    """Return ``(B, 1, H, W)``; where there are not three channels, their mean."""
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True)
    weights = images.new_tensor(_LUMA).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)


def _away(origin: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    return (origin + (images - origin) * _wide(factor)).clamp(0, 1)


def _tones(images: Tensor) -> Tensor:
    return (images * 255).round()


def _wide(each: Tensor) -> Tensor:
    return each[:, None, None, None]
