"""The step of AutoMix and SAMix: pairs, and a mask network that works with the classifier."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.masknets import MaskLoss, mask_numbers
from mixwright.mixers.sources import masked_plan
from mixwright.objectives.learning import Learning
from mixwright.objectives.objective import Losses
from mixwright.plan import MixPlan


@dataclass(kw_only=True, eq=False, repr=False)
class LearnedPairs(Learning):
    """Two mixes a step, of draws of their own: one for the student, one for the mask network.

    Subclasses define ``make_network``, and ``network_loss`` where the network follows more than
    the teacher's loss.

    Args:
        mask_tolerance: distance of the masks' mean from the share that costs nothing, in [0, 1].
        mask_anneal: whether the penalty's weight falls to 0 along half a cosine; the authors do so
            everywhere but on CIFAR and Tiny-ImageNet.
    """

    mask_tolerance: float = 0.1
    mask_anneal: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mask_penalty = MaskLoss(self.mask_loss, tolerance=self.mask_tolerance)

    def network_loss(self, plan: MixPlan, logits: Tensor, labels: Tensor) -> Tensor:
        """Return what the mask network makes small: the teacher's loss on mixed images."""
        return plan.loss(self.criterion, logits, labels)

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
        players = self.begin(model, images, labels, progress)
        network, teacher = players.network, players.teacher
        size = (images.shape[2], images.shape[3])
        look = teacher.look(images, players.layer, whole=False)
        # The student's mixture carries no graph to the network, the network's mixture none to the
        # student (it goes through the teacher): so one backward over the sum of all terms gives
        # each player the gradient of its own terms alone.
        index, lam = self.draw(images, 2, generator=generator)
        with torch.no_grad():
            mask = network(look.features[index], lam, size=size)
        student_plan = masked_plan(index, lam, mask, margin=self.margin)
        index, lam = self.draw(images, 2, generator=generator)
        mask = network(look.features[index], lam, size=size)
        network_plan = masked_plan(index, lam, mask)
        own, (mixed,) = self.student(model, images, [student_plan.images(images)])
        assert own is not None
        logits = teacher.judge(network_plan.images(images))
        self.settle(0)
        terms = {
            "clean": self.criterion(own, labels).mean(),
            "mixed": student_plan.loss(self.criterion, mixed, labels),
            "teacher": self.network_loss(network_plan, logits, labels),
            "mask": self._mask_weight(progress) * self.mask_penalty(mask, lam),
        }
        return Losses(
            torch.stack(list(terms.values())).sum(),
            {name: term.detach() for name, term in terms.items()},
            mixed,
            student_plan,
            diagnostics=mask_numbers(mask, lam),
        )

    def _mask_weight(self, progress: float) -> float:
        share = 0.5 * (1 + math.cos(math.pi * progress)) if self.mask_anneal else 1.0
        return self.mask_weight * share
