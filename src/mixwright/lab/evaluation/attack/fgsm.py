"""The fast gradient sign method: one step of the same size in every pixel."""

from __future__ import annotations

from torch import Tensor, nn

from mixwright.arguments import check_arguments, check_number, check_unit
from mixwright.lab.evaluation.attack.losses import Loss, loss_gradient


@check_arguments
def fgsm(
    model: nn.Module, images: Tensor, labels: Tensor, *, eps: float, loss: Loss = "ce"
) -> Tensor:
    """Move every pixel by ``eps`` in the direction that hurts: one step, no random start.

    ``clip(images + eps * sign(gradient), 0, 1)``, white box, untargeted, with the true labels.
    One step finds what a linear model would fear; a model that bends survives it without being
    robust, so look at ``pgd`` too.

    Args:
        model: network from images in [0, 1] to logits ``(B, K)``, normalisation inside; run in
            evaluation mode, put back after.
        images: ``(B, C, H, W)`` floating in [0, 1]; not written.
        labels: ``(B,)`` integers in ``[0, K)``.
        eps: size of the step in the scale of the images, such as ``8 / 255``, at least 0.
        loss: what is raised; see ``attack_loss``.

    Returns:
        ``(B, C, H, W)`` in [0, 1], dtype and device of ``images``. Where the gradient is 0, a
        pixel stays as it is.

    Raises:
        ValueError: ``eps`` or images are out of range, or what ``loss_gradient`` refuses.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -1.0], [0.0, 0.0]]))
        >>> images = torch.tensor([[[[0.5, 0.5]]]])
        >>> fgsm(model, images, torch.tensor([0]), eps=0.25)
        tensor([[[[0.2500, 0.7500]]]])

    Source: Goodfellow et al., "Explaining and Harnessing Adversarial Examples", 2015,
    arXiv:1412.6572.
    """
    check_number("fgsm", "eps", eps)
    check_unit("fgsm", images)
    return step(images, loss_gradient(model, images, labels, loss), eps)


def step(images: Tensor, gradient: Tensor, eps: float) -> Tensor:
    """Take the step of ``fgsm`` along a known gradient, of which the signs alone are read."""
    return (images + eps * gradient.sign()).clamp(0, 1)
