"""What an attack raises: numbers of the logits whose gradient does not vanish."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mixwright.lab.evaluation.gradients.pixel_gradient import Value, pixel_gradient

Loss = Literal["ce", "margin", "dlr"]
LOSSES: tuple[str, ...] = get_args(Loss)


def attack_loss(loss: Loss, labels: Tensor) -> Value:
    """Return what an attack raises, from logits ``(B, K)`` to ``(B,)``; above 0 the guess is wrong.

    For ``"ce"`` it is not the cross-entropy itself but ``logsumexp`` of the other logits minus
    the right one, m. The cross-entropy is ``log(1 + exp(m))``, so its gradient is that of m times
    a factor in (0, 1), the same for the whole image: the signs are equal, but where the softmax
    saturates the factor rounds to 0 and m's gradient is as large as ever. ``"margin"`` is the
    largest other logit minus the right one (Carlini and Wagner), ``"dlr"`` the margin in units of
    the gap between the first and the third logit (Croce and Hein), of three classes and more.

    Raises:
        ValueError: ``loss`` is another word, or at its call there are too few classes.

    Example:
        >>> logits, labels = torch.tensor([[200.0, 0.0, -1.0]]), torch.tensor([0])
        >>> round(attack_loss("ce", labels)(logits).item(), 2)
        -199.69
        >>> attack_loss("margin", labels)(logits).item()
        -200.0

    Source: Carlini and Wagner 2017, arXiv:1608.04644; Croce and Hein 2020, arXiv:2003.01690.
    """
    if loss not in LOSSES:
        raise ValueError(f"attack_loss: loss is {loss!r}; expected one of {', '.join(LOSSES)}.")
    least = 3 if loss == "dlr" else 2

    def value(logits: Tensor) -> Tensor:
        if logits.shape[1] < least:
            raise ValueError(
                f"attack: the loss {loss} needs at least {least} classes, the model has "
                f"{logits.shape[1]}."
            )
        right = labels.long()[:, None]
        own = logits.gather(1, right)[:, 0]
        others = logits.scatter(1, right, -torch.inf)
        if loss == "ce":
            return others.logsumexp(dim=1) - own
        margin = others.amax(dim=1) - own
        if loss == "margin":
            return margin
        first = logits.topk(3, dim=1).values
        return margin / (first[:, 0] - first[:, 2]).clamp_min(1e-12)

    return value


def loss_gradient(model: nn.Module, images: Tensor, labels: Tensor, loss: Loss = "ce") -> Tensor:
    """Differentiate ``attack_loss`` by the pixels; shape and dtype of ``images``.

    Raises:
        ValueError: labels are not ``(B,)`` integers, or what ``pixel_gradient`` refuses.
    """
    if labels.shape != images.shape[:1] or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(
            f"attack: {len(images)} images with labels of shape {tuple(labels.shape)} and dtype "
            f"{labels.dtype}; expected one class index per image, (B,) integers."
        )
    return pixel_gradient(model, images, attack_loss(loss, labels))[0]
