"""Objectives that take turns with a mixer: drawn with a chance, for each batch."""

from __future__ import annotations

from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_number
from mixwright.mixers.combine import needs_partner, set_progress, views_of
from mixwright.mixers.mixer import Mixer
from mixwright.objectives.criteria import Criterion, CrossEntropy
from mixwright.objectives.objective import Losses, Objective


class Switching(Objective):
    """A method of its own with chance ``p``, a mixer ``otherwise``; subclasses define ``own``."""

    def __init__(self, *, p: float, otherwise: Mixer, criterion: Criterion | None) -> None:
        super().__init__()
        name = type(self).__name__
        check_number(name, "p", p, high=1.0)
        if views_of(otherwise) > 1:
            raise ValueError(
                f"{name}: otherwise takes {views_of(otherwise)} views of each image; expected a "
                "mixer of one, since this method's own steps take one. Set its views to 1."
            )
        self.p, self.otherwise = p, otherwise
        self.criterion: Criterion = CrossEntropy() if criterion is None else criterion

    def needs_partner(self) -> bool:
        """See ``Objective.needs_partner``; its own steps do."""
        return self.p > 0 or needs_partner(self.otherwise)

    def own(self, model: Module, images: Tensor, labels: Tensor, *, generator: Generator) -> Losses:
        """Make the method's own step; see ``Objective.forward``."""
        raise NotImplementedError(f"{type(self).__name__} defines no step of its own")

    def other(
        self, model: Module, images: Tensor, labels: Tensor, *, generator: Generator
    ) -> Losses:
        """Make the step of the mixer; see ``Objective.forward``."""
        plan = self.otherwise.plan(images, labels, generator=generator, model=model)
        logits = self._logits(model, plan.images(images))
        total = plan.loss(self.criterion, logits, labels)
        return Losses(total, {"loss": total.detach()}, logits, plan)

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
        set_progress(self.otherwise, progress)
        drawn = sampling.choices([self.p, 1 - self.p], 1, generator=generator)[0]
        step = self.own if drawn == 0 else self.other
        return step(model, images, labels, generator=generator)
