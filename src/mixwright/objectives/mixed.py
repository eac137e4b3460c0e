"""The common objective: mix the batch, classify it, mix the loss."""

from __future__ import annotations

from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import check_arguments
from mixwright.mixers.combine import set_progress
from mixwright.mixers.mixer import Mixer
from mixwright.objectives.criteria import Criterion, CrossEntropy
from mixwright.objectives.objective import Losses, Objective
from mixwright.tensors import check_tensor


class Mixed(Objective):
    """Train on batches that a mixer has mixed.

    Args:
        mixer: what to draw; None trains on the images as they are.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``.

    Example:
        >>> import torch
        >>> from mixwright.mixers import MixUp
        >>> objective = Mixed(MixUp())
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
        >>> batch = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape, losses.logits.shape
        (torch.Size([]), torch.Size([4, 5]))
    """

    @check_arguments
    def __init__(self, mixer: Mixer | None = None, criterion: Criterion | None = None) -> None:
        super().__init__()
        self.mixer = mixer
        self.criterion: Criterion = CrossEntropy() if criterion is None else criterion

    def forward(
        self,
        model: Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: Generator,
        progress: float,
    ) -> Losses:
        """See ``Objective.forward``."""
        check_tensor("Mixed", "images", images)
        if self.mixer is None:
            logits = self._logits(model, images)
            total = self.criterion(logits, labels).mean()
            return Losses(total, {"loss": total.detach()}, logits)
        set_progress(self.mixer, progress)
        plan = self.mixer.plan(images, labels, generator=generator, model=model)
        logits = self._logits(model, plan.images(images))
        total = plan.loss(self.criterion, logits, labels)
        return Losses(total, {"loss": total.detach()}, logits, plan)
