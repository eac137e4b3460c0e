"""What RandAugment and TrivialAugment do to images: each by its own strength, a batch at a time.

Every function takes ``(B, C, H, W)`` float32 of whole numbers in [0, 255] and ``(B,)`` strengths
in the units of its line, and returns the like. They agree with Pillow's operations of these names
(tests compare them), on which the papers' code stands.

kornia has both policies, for batches on any device, and is not used: its 0.9.0 draws one operation
for a whole batch (of 128 equal images TrivialAugment makes 128 equal ones), where the papers draw
one for each image. A batch of (128, 3, 32, 32) takes 6.2 ms (RandAugment) and 3.6 ms
(TrivialAugment) of a CPU core there, 6.7 and 4.8 ms here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

Operation = Callable[[Tensor, Tensor], Tensor]

_WHITE = 255
_LUMA = (19595, 38470, 7471)  # of 65,536: how Pillow makes grey of red, green and blue


def brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with black; 1 changes nothing, 0 is black."""
    return _blend(torch.zeros_like(images), images, factor)


def colour(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the grey image; 1 changes nothing, 0 is grey."""
    return _blend(_grey(images), images, factor)


def contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with the mean grey; 1 changes nothing, 0 is even."""
    mean = (_grey(images).mean(dim=(1, 2, 3), keepdim=True) + 0.5).floor()
    return _blend(mean, images, factor)


def sharpness(images: Tensor, factor: Tensor) -> Tensor:
    """Blend with a smoothed image; 1 changes nothing, 0 is smooth, 2 is sharpened."""
    if min(images.shape[-2:]) < 3:
        return images
    inner = images[..., 1:-1, 1:-1]
    rows = images[..., :-2, :] + images[..., 1:-1, :] + images[..., 2:, :]
    around = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]  # twice as fast as a convolution
    smooth = images.clone()  # the outermost pixels stay
    smooth[..., 1:-1, 1:-1] = ((around + 4 * inner) / 13).add_(0.5).floor_()
    return _blend(smooth, images, factor)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep so many of the eight bits of each value."""
    step = torch.exp2(8 - bits)[:, None, None, None]
    return (images / step).floor() * step


def solarize(images: Tensor, threshold: Tensor) -> Tensor:
    """Invert values from the threshold on."""
    return torch.where(images < threshold[:, None, None, None], images, _WHITE - images)


def solarize_add(images: Tensor, amount: Tensor) -> Tensor:
    """Add an amount to values below 128."""
    lighter = (images + amount[:, None, None, None]).clamp(max=_WHITE)
    return torch.where(images < 128, lighter, images)


def invert(images: Tensor, unused: Tensor) -> Tensor:
    """Exchange black and white."""
    del unused
    return _WHITE - images


def autocontrast(images: Tensor, unused: Tensor) -> Tensor:
    """Stretch each channel from black to white; a channel of one value stays."""
    del unused
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    scale = _WHITE / (high - low).double()  # Pillow cuts off what follows the point
    stretched = (images * scale - low * scale).floor().clamp(0, _WHITE)
    return torch.where(high > low, stretched.float(), images)


def equalize(images: Tensor, unused: Tensor) -> Tensor:
    """Give each channel about as many pixels of every value."""
    del unused
    values = images.flatten(2).long()
    counts = torch.zeros(*values.shape[:2], 256, dtype=torch.long, device=images.device)
    counts.scatter_add_(2, values, torch.ones_like(values))
    brightest = counts.gather(2, values.amax(dim=2, keepdim=True))
    step = (values.shape[2] - brightest) // 255
    below = counts.cumsum(dim=2) - counts
    known = step.clamp_min(1)
    table = ((known // 2 + below) // known).clamp(max=_WHITE)
    found = table.gather(2, values)
    return torch.where(step > 0, found, values).float().view_as(images)


def rotation(degrees: Tensor, *, height: int, width: int) -> Tensor:
    """Return the affine maps ``(B, 2, 3)`` that turn images left about their centre."""
    turn = -degrees.deg2rad()
    cos, sin = turn.cos(), turn.sin()
    middle, down = width / 2, height / 2
    across = middle - middle * cos - down * sin
    along = down + middle * sin - down * cos
    return torch.stack([cos, sin, across, -sin, cos, along], dim=1).view(-1, 2, 3)


def affine(images: Tensor, maps: Tensor, *, fill: int) -> Tensor:
    """Move pixels by affine maps ``(B, 2, 3)`` from places in the result to places in the image.

    Places are in pixels from the upper left corner; pixels are read between their neighbours
    (bilinear), and what lies beyond the edge is ``fill``.
    """
    height, width = images.shape[-2:]
    x = torch.arange(width, device=images.device) + 0.5
    y = torch.arange(height, device=images.device) + 0.5
    one = [part[:, :, None, None] for part in maps.unbind(dim=2)]
    across, along = (one[0] * x + one[1] * y[:, None] + one[2]).unbind(dim=1)
    grid = torch.stack([across * (2 / width) - 1, along * (2 / height) - 1], dim=3)
    found = grid_sample(images, grid, padding_mode="border", align_corners=False)
    inside = (across >= 0) & (across < width) & (along >= 0) & (along < height)
    return torch.where(inside[:, None], found.round_(), fill)


def _blend(other: Tensor, images: Tensor, factor: Tensor) -> Tensor:
    """Go from another image towards this one, and beyond it; cut off what follows the point."""
    way = factor[:, None, None, None]
    return (other + way * (images - other)).clamp_(0, _WHITE).floor_()


def _grey(images: Tensor) -> Tensor:
    """Return ``(B, 1, H, W)``; other channels than red, green and blue count alike."""
    if images.shape[1] != 3:
        return images.mean(dim=1, keepdim=True).floor_()
    red, green, blue = images.long().split(1, dim=1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue + 2**15 >> 16).float()
