"""The gradient of a number that a classifier gives by the pixels, its norms, and its curvature."""

from __future__ import annotations

import collections.abc
from collections.abc import Callable
from contextlib import contextmanager
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from mixwright.lab.evaluation.predictions import not_finite, refuse
from mixwright.outputs import take_logits
from mixwright.sampling import integers
from mixwright.taps import check_gradients, evaluating

Value = Callable[[Tensor], Tensor]
"""From logits ``(B, K)`` to one number an image, ``(B,)``; image b's depends on row b alone."""

Of = Literal["true", "predicted", "loss"]
"""Which number of a classifier is differentiated; see ``value_of``."""


def value_of(of: Of, labels: Tensor) -> Value:
    """Return the number of a classifier that is differentiated, from logits ``(B, K)`` to ``(B,)``.

    ``"true"``, the logit of the right class; ``"predicted"``, the largest logit; ``"loss"``, the
    cross-entropy in nats.

    Example:
        >>> value_of("true", torch.tensor([1]))(torch.tensor([[5.0, 3.0]]))
        tensor([3.])
    """
    if of == "true":
        return lambda logits: logits.gather(1, labels.long()[:, None])[:, 0]
    if of == "predicted":
        return lambda logits: logits.amax(dim=1)
    if of == "loss":
        return lambda logits: F.cross_entropy(logits.double(), labels.long(), reduction="none")
    raise ValueError(f"gradients: of is {of!r}; expected one of {', '.join(get_args(Of))}.")


@contextmanager
def differentiating(model: nn.Module, images: Tensor) -> collections.abc.Generator[Tensor]:
    """Give images that gradients reach, with the model in evaluation mode and full precision.

    Raises:
        ValueError: the call stands in ``torch.inference_mode``.
    """
    check_gradients("gradients", images)
    full = torch.autocast(images.device.type, enabled=False)
    with evaluating(model), torch.enable_grad(), full:
        yield images.detach().requires_grad_()


def logits_for_gradients(model: nn.Module, pixels: Tensor) -> Tensor:
    """Return ``(B, K)`` logits, with their graph, of images of ``differentiating``."""
    output = model(pixels.clone())  # networks may write into what they get
    logits = take_logits(output, who="gradients", count=len(pixels))
    refuse(int(not_finite(logits.detach()).sum()), 0, len(logits), classes=logits.shape[1])
    if not logits.requires_grad:
        raise ValueError(
            "gradients: no gradient of the logits reaches the images; expected a model that can be "
            "differentiated. It detaches, or runs under no_grad inside."
        )
    return logits


def pixel_gradient(model: nn.Module, images: Tensor, value: Value) -> tuple[Tensor, Tensor]:
    """Differentiate one number of a classifier by each pixel of ``(B, C, H, W)``; with logits.

    The model runs in evaluation mode, in full precision, and no parameter's ``.grad`` is touched,
    also inside ``torch.no_grad``. The gradient has shape and dtype of the images.

    Raises:
        ValueError: the model gives no finite logits ``(B, K)``, it cannot be differentiated, or
            the gradient is not finite.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        >>> images, labels = torch.zeros(1, 1, 1, 2), torch.tensor([1])
        >>> pixel_gradient(model, images, value_of("true", labels))[0]
        tensor([[[[3., 4.]]]])
    """
    with differentiating(model, images) as pixels:
        logits = logits_for_gradients(model, pixels)
        (gradient,) = torch.autograd.grad(value(logits).sum(), pixels)
    return _finite(gradient), logits.detach()


def every_gradient(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Differentiate every logit by each pixel, ``(B, K * C, H, W)``; with the logits."""
    found = list[Tensor]()
    with differentiating(model, images) as pixels:
        logits = logits_for_gradients(model, pixels)
        for column in logits.unbind(dim=1):
            found += torch.autograd.grad(column.sum(), pixels, retain_graph=True)
    return _finite(torch.cat(found, dim=1)), logits.detach()


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


def _finite(gradient: Tensor) -> Tensor:
    odd = int((~gradient.isfinite()).flatten(1).any(dim=1).sum())
    if odd:
        raise ValueError(
            f"gradients: those of {odd} of {len(gradient)} images are NaN or infinite. The model "
            "has diverged, or overflows in half precision: evaluate in float32."
        )
    return gradient
