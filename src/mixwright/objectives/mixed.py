"""The common objective: mix the batch, classify it, mix the loss; whole images beside on demand."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import check_arguments, check_number
from mixwright.mixers.cards import Card
from mixwright.mixers.combine import set_progress
from mixwright.mixers.mixer import Mixer
from mixwright.objectives.criteria import Criterion, CrossEntropy
from mixwright.objectives.objective import Losses, Objective
from mixwright.tensors import check_tensor


class Mixed(Objective):
    """Train on batches that a mixer has mixed, and with ``clean`` on the whole images too.

    With a weight w = ``clean`` above 0 the loss is ``(mixed + w * whole) / (1 + w)``, where
    ``whole`` is the mean loss of the images as they are (of several views the first), and its two
    parts are the terms ``mixed`` and ``clean``. That costs one more forward and backward of the
    model. Both batches are one for the model, which is run once: batch normalisation sees their
    common statistics, DDP one forward. Logits, and with them the accuracy of training, are those of
    the mixed images, as without ``clean``. At 0 there is no second batch.

    Args:
        mixer: what to draw; None trains on the images as they are.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``.
        clean: weight of the loss on whole images, finite and at least 0; or a callable that gives
            it at a progress in [0, 1]. Without a mixer it changes nothing.

    Raises:
        ValueError: ``clean`` is out of range; of a callable, in the step whose weight it is.

    Example:
        >>> import torch
        >>> from mixwright.mixers import MixUp
        >>> objective = Mixed(MixUp(), clean=1.0)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
        >>> batch = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape, losses.logits.shape, list(losses.terms)
        (torch.Size([]), torch.Size([4, 5]), ['mixed', 'clean'])

    Source of ``clean``: RegMixup, Pinto et al., NeurIPS 2022, arXiv:2206.14502, which is
    ``Mixed(MixUp(alpha=20.0, per="batch", pairing="perm"), clean=1.0)`` on CIFAR. The paper adds
    eta times the mixed loss to that of whole images: at w = 1 / eta its loss is ours times
    (1 + eta). The authors' code (FrancescoPinto/RegMixup: models/regmixup.py) runs both as one
    batch, and takes the mean over it, which is ours at w = 1: no learning rate need change.
    """

    card = Card(
        title="Mixed",
        paper="our own; its clean weight is RegMixup, Pinto et al., NeurIPS 2022",
        link="https://arxiv.org/abs/2206.14502",
        dims="any",
        cost="that of its mixer",
        note="Any mixer with its mixed loss, and on request a loss on the whole images beside it.",
        formula="x~, y~ = those of the mixer\n"
        "loss = (L(f(x~), y~) + clean L(f(x), y)) / (1 + clean)",
        limits="Mixing alone never shows the model a whole image, which costs accuracy where "
        "training is too short to learn its images; clean=1 shows them beside, for twice the time.",
        cites=("pinto2022regmixup",),
    )

    @check_arguments
    def __init__(
        self,
        mixer: Mixer | None = None,
        criterion: Criterion | None = None,
        clean: float | Callable[[float], float] = 0.0,
    ) -> None:
        super().__init__()
        self.mixer = mixer
        self.criterion: Criterion = CrossEntropy() if criterion is None else criterion
        if not callable(clean):
            check_number("Mixed", "clean", clean)
        self.clean = clean

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
        weight = self._clean_weight(progress)
        plan = self.mixer.plan(images, labels, generator=generator, model=model)
        mixed = plan.images(images)
        if weight == 0:
            logits = self._logits(model, mixed)
            total = plan.loss(self.criterion, logits, labels)
            return Losses(total, {"loss": total.detach()}, logits, plan)
        rows = len(plan)  # fewer than images where the mixer takes several views of each
        own, logits = self._logits(model, torch.cat([images[:rows], mixed])).split(rows)
        share = weight / (1 + weight)
        terms = {
            "mixed": plan.loss(self.criterion, logits, labels) * (1 - share),
            "clean": self.criterion(own, labels[:rows]).mean() * share,
        }
        total = terms["mixed"] + terms["clean"]
        return Losses(total, {name: term.detach() for name, term in terms.items()}, logits, plan)

    def _clean_weight(self, progress: float) -> float:
        if not callable(self.clean):
            return self.clean
        weight = self.clean(progress)
        check_number("Mixed", "clean", weight)
        return weight
