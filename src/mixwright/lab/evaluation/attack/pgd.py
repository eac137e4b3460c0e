"""Projected gradient descent: many small steps inside the ball of allowed changes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator, Tensor, nn

from mixwright.arguments import check_arguments, check_number, check_unit, check_whole
from mixwright.lab.evaluation.attack.losses import Loss, loss_gradient
from mixwright.lab.evaluation.predictions import correct_on
from mixwright.sampling import uniform


@dataclass(frozen=True, eq=False)
class Adversarial:
    """What an attack made of images ``(B, C, H, W)`` in [0, 1].

    Of an image that was taken wrongly after some restart the first such, of others that of the last
    restart; ``robust`` ``(B,)`` bool where it was taken rightly as it was and after each restart.
    """

    images: Tensor
    robust: Tensor


@check_arguments
def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    alpha: float,
    steps: int,
    generator: Generator,
    restarts: int = 1,
    random_start: bool = True,
    skip_wrong: bool = False,
    loss: Loss = "ce",
) -> Adversarial:
    """Search the ball of ``eps`` around each image for one that is taken wrongly.

    From ``clip(x + U(-eps, eps))``, ``steps`` times ``x' = clip(project(x' + alpha * sign(g)))``.
    The ball is that around the image as it was, in the largest absolute change of a pixel. All
    images are attacked once, those that survive again at each restart; the random starts are drawn
    for all of them, so that they do not depend on the model.

    Args:
        model: see ``fgsm``.
        images: ``(B, C, H, W)`` floating in [0, 1]; not written.
        labels: ``(B,)`` integers in ``[0, K)``.
        eps: largest change of a pixel in the scale of the images, such as ``8 / 255``.
        alpha: size of a step, above 0; a quarter of ``eps`` is usual for 10 steps.
        steps: at least 1.
        generator: the CPU generator, source of the random starts.
        restarts: random starts, at least 1; more than one want ``random_start``.
        random_start: whether to start somewhere in the ball, or at the image itself.
        skip_wrong: whether to leave alone what is taken wrongly as it is; ``robust`` is the same.
        loss: what is raised; see ``attack_loss``.

    Raises:
        ValueError: an argument or images are out of range, or what ``loss_gradient`` refuses.

    Example:
        >>> import torch
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
        >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -1.0], [0.0, 0.0]]))
        >>> images, rng = torch.tensor([[[[0.75, 0.5]]]]), torch.Generator().manual_seed(0)
        >>> found = pgd(model, images, torch.tensor([0]), eps=0.25, alpha=0.1, steps=9,
        ...             generator=rng)
        >>> found.images.flatten().tolist(), found.robust.tolist()
        ([0.5, 0.75], [False])

    Source: Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", 2018,
    arXiv:1706.06083.
    """
    check_number("pgd", "eps", eps)
    check_unit("pgd", images)
    check_number("pgd", "alpha", alpha, open_low=True)
    check_whole("pgd", "steps", steps, low=1)
    check_whole("pgd", "restarts", restarts, low=1)
    if restarts > 1 and not random_start:
        raise ValueError(
            f"pgd: restarts is {restarts} without random_start; expected 1, since each would go "
            "the same way."
        )
    found = images.detach().clone()
    robust = correct_on(model, images, labels)
    for turn in range(restarts):
        start = images
        if random_start:
            noise = uniform(
                images.shape, low=-eps, high=eps, device=images.device, generator=generator
            )
            start = (images + noise.to(images.dtype)).clamp(0, 1)
        every = turn == 0 and not skip_wrong
        rows = (robust | every).nonzero().flatten()
        if len(rows) == 0:
            break
        moved = _climb(
            model, images[rows], labels[rows], start[rows], eps=eps, alpha=alpha, steps=steps,
            loss=loss,
        )  # fmt: skip
        found[rows] = moved
        robust[rows] &= correct_on(model, moved, labels[rows])
    return Adversarial(found, robust)


def _climb(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    start: Tensor,
    *,
    eps: float,
    alpha: float,
    steps: int,
    loss: Loss,
) -> Tensor:
    low, high = images - eps, images + eps
    moved = start
    for _ in range(steps):
        slope = loss_gradient(model, moved, labels, loss)
        moved = (moved + alpha * slope.sign()).clamp(low, high).clamp(0, 1)
    return moved
