"""The step of AutoMix and SAMix: pairs, and a mask network that works with the classifier."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import check_number
from mixwright.masknets import MaskLoss, mask_numbers
from mixwright.mixers.sources import masked_plan
from mixwright.objectives.learning import Learning
from mixwright.objectives.objective import Losses
from mixwright.plan import MixPlan


class LearnedPairs(Learning):
    """Two mixes a step, of draws of their own: one for the student, one for the mask network.

    Subclasses define ``make_network``, and ``judged`` where the network follows more than the
    teacher's loss.

    Args:
        mask_weight: of the penalty on masks, at least 0.
        mask_loss: the penalty.
        mask_anneal: whether its weight falls to 0 along half a cosine.
        **common: see ``Learning``.
    """

    def __init__(
        self, *, mask_weight: float, mask_loss: MaskLoss, mask_anneal: bool, **common: Any
    ) -> None:
        super().__init__(sources=2, margin_of="largest", **common)
        check_number(type(self).__name__, "mask_weight", mask_weight)
        self.mask_weight, self.mask_loss, self.mask_anneal = mask_weight, mask_loss, mask_anneal

    def judged(self, plan: MixPlan, logits: Tensor, labels: Tensor) -> Tensor:
        """Give the teacher's loss on mixed images, which the mask network makes small."""
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
        index, lam = self.draw(images, 2, generator=generator)
        with torch.no_grad():
            mask = network(look.features[index], lam, size=size)
        seen_by_student = masked_plan(index, lam, mask, margin=self.margin)
        index, lam = self.draw(images, 2, generator=generator)
        mask = network(look.features[index], lam, size=size)
        plan = masked_plan(index, lam, mask)
        own, (mixed,) = self.student(model, images, [seen_by_student.images(images)])
        assert own is not None
        logits = teacher.judge(plan.images(images))
        self.settle(0)
        terms = {
            "clean": self.criterion(own, labels).mean(),
            "mixed": seen_by_student.loss(self.criterion, mixed, labels),
            "teacher": self.judged(plan, logits, labels),
            "mask": self._weight(progress) * self.mask_loss(mask, lam),
        }
        return Losses(
            torch.stack(list(terms.values())).sum(),
            {name: term.detach() for name, term in terms.items()},
            mixed,
            seen_by_student,
            diagnostics=mask_numbers(mask, lam),
        )

    def _weight(self, progress: float) -> float:
        """Give the weight of the penalty at this moment."""
        share = 0.5 * (1 + math.cos(math.pi * progress)) if self.mask_anneal else 1.0
        return self.mask_weight * share
