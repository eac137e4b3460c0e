"""Which frequencies a model depends on: how often a wave of each makes it err."""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_number, check_unit, check_whole
from mixwright.mixers.mixer import check_batch
from mixwright.objectives.spectral.amplitude import whole
from mixwright.outputs import take_logits
from mixwright.taps import bare, evaluating


@torch.no_grad()
def sensitivity_map(
    model: Module,
    images: Tensor,
    labels: Tensor,
    *,
    generator: Generator,
    strength: float = 0.25,
    batch_size: int = 512,
) -> Tensor:
    """Measure the share of images that a model gets wrong under a wave of each frequency.

    A cosine of one frequency is added to every channel of every image, each with a sign of its
    own, and not cut off at [0, 1]. It takes ``H * (W // 2 + 1)`` passes over the images, 544 for
    32x32, so a thousand images or so will do. The model is in evaluation mode meanwhile.

    Args:
        model: images in [0, 1] to logits ``(B, K)``.
        images: ``(B, C, H, W)`` floating in [0, 1], on the model's device.
        labels: ``(B,)`` int64 or ``(B, K)`` floating.
        generator: CPU generator, the source of the signs.
        strength: root mean square of the wave over the pixels, above 0.
        batch_size: images in one pass; each pass draws signs of its own.

    Returns:
        ``(H, W)`` float32 in [0, 1] on the device of ``images``, in the order of
        ``torch.fft.fft2`` (``torch.fft.fftshift`` puts low frequencies in the middle); the same
        for mirror images.

    Raises:
        ValueError: a shape does not fit or a number is out of range.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
        >>> images, labels = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 3])
        >>> sensitivity_map(model, images, labels, generator=torch.Generator()).shape
        torch.Size([2, 2])

    Source: the Fourier heat map of Yin et al. 2019, arXiv:1906.08988, as SADA uses it
    (DIAL-RPI/Spectral-Adversarial-Data-Augmentation: Fourier_basis_perturb.py).

    Departs from that code in giving the strength per pixel. There it is a norm of 8 per channel,
    which is 0.25 for its images of 32x32; a radius of 30 is named beside it, but scales waves so
    small that they are always raised to that norm. Its map lacks the row and the column of the
    highest frequency and has the low ones in the middle, unlike the amplitudes it is multiplied
    with.
    """
    check_batch("sensitivity_map", images, labels, dims=2)
    check_unit("sensitivity_map", images)
    check_number("sensitivity_map", "strength", strength, open_low=True)
    check_whole("sensitivity_map", "batch_size", batch_size, low=1)
    height, width = images.shape[-2:]
    columns = width // 2 + 1
    classes = labels.argmax(dim=1) if labels.ndim == 2 else labels
    inner = bare(model)
    wrong = torch.zeros(height, columns, device=images.device)
    with evaluating(inner):
        for few, theirs in zip(images.split(batch_size), classes.split(batch_size), strict=True):
            for row in range(height):
                signs = sampling.integers(
                    0, 2, (columns, *few.shape[:2], 1, 1), device=images.device, generator=generator
                )
                for column in range(columns):
                    cosine = wave(row, column, height=height, width=width, device=images.device)
                    added = cosine * strength
                    noisy = few.float() + added * (2 * signs[column] - 1)
                    output = inner(noisy.to(few.dtype))
                    logits = take_logits(output, who="sensitivity_map", count=len(few))
                    predicted = logits.argmax(dim=1)
                    wrong[row, column] += (predicted != theirs).sum()
    return whole(wrong / len(images), width)


def wave(row: int, column: int, *, height: int, width: int, device: torch.device) -> Tensor:
    """Return the cosine of ``row`` and ``column`` cycles over the image, its root mean square 1.

    Example:
        >>> wave(0, 2, height=1, width=4, device=torch.device("cpu")).tolist()
        [[1.0, -1.0, 1.0, -1.0]]
    """
    down = torch.arange(height, device=device, dtype=torch.float64)[:, None] * (row / height)
    along = torch.arange(width, device=device, dtype=torch.float64)[None] * (column / width)
    cosine = torch.cos(2 * torch.pi * (down + along))
    return (cosine / cosine.square().mean().sqrt()).float()
