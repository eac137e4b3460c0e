"""How a small change of augmented images would change the loss on others, after a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

Order = Literal["second", "first"]


def influence(
    parameters: Sequence[Tensor],
    images: Tensor,
    train_loss: Callable[[Tensor], Tensor],
    valid_loss: Callable[[], Tensor],
    *,
    rate: float,
    order: Order = "second",
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    buffers: Mapping[Tensor, Tensor] | None = None,
    reach: float = 0.01,
) -> tuple[Tensor, Tensor]:
    """Measure ``grad L_valid . grad L_train(images)``, and its gradient by the images' pixels.

    A step of SGD on ``images`` moves the weights against ``grad L_train``, and so lowers
    ``L_valid`` by the rate times this product. With v the gradient of ``L_valid`` the product is
    the slope of ``L_train`` along v, and a finite difference measures it:
    ``(L_train(W + e v) - L_train(W - e v)) / 2 e`` with ``e = reach / |v|``.

    Args:
        parameters: W, leaves that want a gradient; as they were at the end.
        images: ``(B, C, H, W)``, what the step would be made on.
        train_loss: images to the 0-d loss, at the present values of ``parameters``. Called again
            and again; it must draw the same each time.
        valid_loss: the 0-d loss on other images, likewise.
        rate: learning rate of the step; it has ``momentum`` and ``weight_decay``.
        order: ``"second"`` takes v after the step, with its momentum and weight decay; ``"first"``
            before it, which saves a forward and a backward.
        buffers: momentum buffers by parameter; those that are missing are 0.
        reach: length of ``e v``.
    """
    # Four or five gradients of first order in place of second derivatives of the whole network: the
    # weights are moved, measured at, and put back, in place, so that optimisers keep their tensors.
    kept = [parameter.detach().clone() for parameter in parameters]
    try:
        if order == "second":
            slopes = _slopes(train_loss(images), parameters)
            with torch.no_grad():
                for parameter, slope in zip(parameters, slopes, strict=True):
                    step = slope.add(parameter, alpha=weight_decay)
                    if buffers and parameter in buffers:
                        step.add_(buffers[parameter], alpha=momentum)
                    parameter.sub_(step, alpha=rate)
        along = _slopes(valid_loss(), parameters)
        norm = torch.stack([slope.norm() for slope in along]).norm()
        small = reach / norm.clamp_min(1e-12)
        sides: list[tuple[Tensor, Tensor]] = []
        for sign in (1, -1):
            with torch.no_grad():
                for parameter, base, slope in zip(parameters, kept, along, strict=True):
                    parameter.copy_(base + sign * small * slope)
            pixels = images.detach().requires_grad_()
            loss = train_loss(pixels)
            (slope,) = torch.autograd.grad(loss, pixels)
            sides.append((loss.detach(), slope))
        (above, slope_above), (below, slope_below) = sides
        return (above - below) / (2 * small), (slope_above - slope_below) / (2 * small)
    finally:
        with torch.no_grad():
            for parameter, base in zip(parameters, kept, strict=True):
                parameter.copy_(base)


def _slopes(loss: Tensor, parameters: Sequence[Tensor]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
