"""Norms of the input gradient, and how curved the loss is around an image."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mixwright.lab.evaluation.gradients.pixel_gradient import (
    Value,
    differentiating,
    logits_for_gradients,
)
from mixwright.sampling import integers


def gradient_norms(gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the l1 and the l2 norm, ``(B,)`` float64 each, of gradients ``(B, C, H, W)``.

    The l1 norm is by how much a step of 1 in every pixel changes the linearised value.

    Example:
        >>> [norm.tolist() for norm in gradient_norms(torch.tensor([[[[3.0, -4.0]]]]))]
        [[7.0], [5.0]]
    """
    flat = gradient.flatten(1).double()
    return flat.abs().sum(dim=1), flat.norm(dim=1)


def hessian_trace(
    model: nn.Module, images: Tensor, value: Value, *, probes: int, generator: Generator
) -> Tensor:
    """Estimate the trace of the second derivative by the pixels, ``(B,)`` float64, image by image.

    Hutchinson's estimator: the mean of ``v^T H v`` over random signs v, each by a second backward
    pass. It is exact in expectation; one probe has a variance of twice the sum of squares of H's
    entries off its diagonal. Layers must be differentiable twice; the logits of a network of ReLUs
    are piecewise linear, with a trace of 0: take the loss. In the value's unit per squared unit of
    a pixel.

    Raises:
        ValueError: see ``pixel_gradient``, or ``probes`` is below 1.

    Source: Hutchinson, "A Stochastic Estimator of the Trace of the Influence Matrix for Laplacian
    Smoothing Splines", 1990.
    """
    if probes < 1:
        raise ValueError(f"hessian_trace: probes is {probes}; expected at least 1.")
    total = torch.zeros(len(images), dtype=torch.float64, device=images.device)
    # Fused attention has no second derivative.
    with sdpa_kernel(SDPBackend.MATH), differentiating(model, images) as pixels:
        logits = logits_for_gradients(model, pixels)
        (slope,) = torch.autograd.grad(value(logits).sum(), pixels, create_graph=True)
        if not slope.requires_grad:  # linear in the pixels
            return total
        for probe in range(probes):
            signs = integers(0, 2, pixels.shape, device=pixels.device, generator=generator)
            signs = signs.to(pixels.dtype).mul_(2).sub_(1)  # from {0, 1} to {-1, 1}
            (bent,) = torch.autograd.grad(
                slope,
                pixels,
                grad_outputs=signs,
                retain_graph=probe + 1 < probes,
                allow_unused=True,
                materialize_grads=True,
            )
            total += (signs * bent).flatten(1).double().sum(dim=1)
    return total / probes
