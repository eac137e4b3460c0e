"""What is hard for a model, found by steps of one size uphill; and how far predictions differ."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module

from mixwright.objectives.criteria import CrossEntropy
from mixwright.outputs import take_logits
from mixwright.taps import check_gradients, evaluating

_LEAST = 1e-7  # of a mean prediction, as published; its logarithm has to be finite


def ascended(
    start: Tensor,
    *,
    model: Module,
    labels: Tensor,
    to_images: Callable[[Tensor], Tensor],
    moved: Callable[[Tensor, Tensor], Tensor],
    steps: int,
    until_wrong: bool,
) -> Tensor:
    """Move what images are made from uphill, each sample by its own cross-entropy.

    The model, without wrappers, is in evaluation mode meanwhile; only ``start`` ``(B, 1 or C, h,
    w)`` is differentiated by, so that weights get no gradient. Each of the ``steps`` is a pass and
    a backward pass. ``moved`` takes the value and the sign of its slope and gives the next value;
    with ``until_wrong`` a sample rests from its first error on.
    """
    check_gradients("Spectral", start)
    classes = labels.argmax(dim=1) if labels.ndim == 2 else labels
    right = torch.ones(len(start), 1, 1, 1, dtype=torch.bool, device=start.device)
    value = start.detach()
    with torch.enable_grad(), evaluating(model):
        for _ in range(steps):
            value = value.detach().requires_grad_()
            images = to_images(value)
            # Two short backwards, to the pixels and from there, and not one: compiled models want a
            # leaf, and only the pixels' gradient crosses between them.
            pixels = images.detach().requires_grad_()
            logits = take_logits(model(pixels), who="Spectral", count=len(pixels))
            loss = CrossEntropy()(logits, labels).sum()
            (by_pixel,) = torch.autograd.grad(loss, pixels)
            (slope,) = torch.autograd.grad(images, value, by_pixel)
            value = value.detach()
            after = moved(value, slope.sign())
            if until_wrong:
                right = right & (logits.detach().argmax(dim=1) == classes).view(-1, 1, 1, 1)
                after = torch.where(right, after, value)
            value = after
    return value


def divergence(logits: Sequence[Tensor]) -> Tensor:
    """Return the Jensen-Shannon divergence of two or more predictions, logits ``(B, K)``: ``(B,)``.

    It is the mean over the predictions of the Kullback-Leibler divergence of each from their mean,
    in nats; at most ln of their number.

    Example:
        >>> one, other = torch.tensor([[50.0, 0.0]]), torch.tensor([[0.0, 50.0]])
        >>> [round(each, 4) for each in divergence([one, other]).tolist()]  # ln 2
        [0.6931]
    """
    with torch.autocast(logits[0].device.type, enabled=False):
        log = torch.stack([each.float().log_softmax(dim=1) for each in logits])
        mean = log.exp().mean(dim=0).clamp_min(_LEAST).log()
        apart = F.kl_div(mean.expand_as(log), log, reduction="none", log_target=True)
        return apart.sum(dim=2).mean(dim=0)
