"""DecoupledMix: be sure of both mixed classes, each as if the other were not there."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import check_arguments, check_number
from mixwright.mixers.cards import Card
from mixwright.mixers.combine import set_progress
from mixwright.mixers.mixer import Mixer
from mixwright.mixers.mixup import MixUp
from mixwright.objectives.criteria import Criterion, CrossEntropy
from mixwright.objectives.objective import Losses, Objective
from mixwright.plan import MixPlan

Mode = Literal["both", "less", "more"]

_SEEN = 1e-3  # a class with less of the label cannot be told from a rounded 0


class DecoupledMix(Objective):
    """Add to the mixed loss one term a mixed class in which the other mixed classes are left out.

    The usual loss of mixed samples makes the two classes compete: to be surer of the one is to be
    less sure of the other. For each class c that was mixed in, the added term is the cross-entropy
    of c against all classes but the other mixed ones, whatever their shares:

        loss = mixed loss + mean_b sum_n eta_n (logsumexp_{k not mixed, or k = c_n} l_k - l_{c_n})

    Samples that show one class only have the mixed loss alone. Any mixer will do, with any number
    of sources.

    Args:
        mixer: what to draw; None for ``MixUp()``.
        eta: factor of the added terms, at least 0; 0 gives the mixed loss. The paper uses 0.1.
        mode: ``"both"``, terms of all mixed classes; ``"less"``, only of those whose share of the
            label is below ``threshold``; ``"more"``, only of the others.
        threshold: share in [0, 1], see ``mode``.
        power: the factor of a class is ``eta * share ** power``, at least 0; None for ``eta``.
        criterion: per-sample loss that is mixed, ``(B, K)`` logits and labels to ``(B,)``; without
            label smoothing, which asks for what the added terms forbid.

    Raises:
        ValueError: an argument is out of range, or the criterion smooths labels.

    Example:
        >>> import torch
        >>> objective = DecoupledMix(MixUp(lam=0.5), eta=0.5)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
        >>> batch = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> sorted(losses.terms)
        ['decoupled', 'mixed']

    Source: Liu et al., "Harnessing Hard Mixed Samples with Decoupled Regularizer", 2022,
    arXiv:2203.10761; Westlake-AI/openmixup: openmixup/models/losses/cross_entropy_loss.py.

    Departs from the authors' code, which finds the two classes by the value of one ``lam`` for the
    batch (and so drops the terms where it is one half), chooses one slot by ``lam < threshold``
    in the modes "less" and "more", and adds the mean over samples of one class to the mean over
    the others. Here classes are told apart by their numbers, ``lam`` is each sample's own, and
    the mean is over the batch.
    """

    card = Card(
        title="DecoupledMix",
        paper="Liu et al., NeurIPS 2023",
        link="https://arxiv.org/abs/2203.10761",
        cost="that of its mixer, and small kernels",
        note="Any mixer with a loss that sees each of the mixed classes without the others.",
        formula="x~, y~ = those of the mixer\n"
        "loss = L(f(x~), y~) + eta sum over mixed classes c of CE(f(x~) without the other mixed "
        "classes, c)",
        limits="For one label an image: classes must be numbers, and label smoothing asks for what "
        "the added terms forbid. The added terms make predictions surer again, which takes back "
        "some of the calibration that mixing brings.",
        cites=("liu2023decoupled",),
    )

    @check_arguments
    def __init__(
        self,
        mixer: Mixer | None = None,
        *,
        eta: float = 0.1,
        mode: Mode = "both",
        threshold: float = 0.5,
        power: float | None = None,
        criterion: Criterion | None = None,
    ) -> None:
        super().__init__()
        check_number("DecoupledMix", "eta", eta)
        check_number("DecoupledMix", "threshold", threshold, high=1.0)
        if power is not None:
            check_number("DecoupledMix", "power", power)
        smoothing = getattr(criterion, "label_smoothing", 0.0)
        if smoothing > 0:
            raise ValueError(
                f"DecoupledMix: criterion has label_smoothing={smoothing!r}; expected none, since "
                "smoothing asks for less certainty and this loss for more. Set it to 0."
            )
        self.mixer: Mixer = MixUp() if mixer is None else mixer
        self.eta, self.mode, self.threshold, self.power = eta, mode, threshold, power
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
        """See ``Objective.forward``; labels are class numbers, ``(B,)`` int64."""
        if labels.ndim != 1 or labels.is_floating_point():
            raise ValueError(
                f"DecoupledMix: labels have shape {tuple(labels.shape)} and dtype {labels.dtype}; "
                "expected class numbers (B,) int64: it leaves whole classes out. Give "
                "labels.argmax(dim=1), or train soft labels with Mixed."
            )
        set_progress(self.mixer, progress)
        plan = self.mixer.plan(images, labels, generator=generator, model=model)
        logits = self._logits(model, plan.images(images))
        mixed = plan.loss(self.criterion, logits, labels)
        apart = self.decoupled(logits, labels, plan).mean()
        terms = {"mixed": mixed.detach(), "decoupled": apart.detach()}
        return Losses(mixed + apart, terms, logits, plan)

    def decoupled(self, logits: Tensor, labels: Tensor, plan: MixPlan) -> Tensor:
        """Return the sum of the added terms of each sample, factors included, ``(B,)``."""
        sources = plan.labels(labels)
        share, counted = _shares(sources, plan.weight)
        chosen = counted & (counted.sum(dim=1, keepdim=True) > 1)
        if self.mode != "both":
            chosen = chosen & ((share < self.threshold) == (self.mode == "less"))
        with torch.autocast(logits.device.type, enabled=False):
            term = _alone(logits.float(), sources, counted)
            # Clamped, for the root of a share of 0 has no gradient.
            power = 0.0 if self.power is None else self.power
            factor = self.eta * share.clamp_min(_SEEN) ** power
            return torch.where(chosen, factor * term, 0.0).sum(dim=1)


def _shares(sources: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return each source's class share, and whether it is the first of its class that has any."""
    same = sources[:, :, None] == sources[:, None, :]
    share = (same * weight[:, None, :]).sum(dim=2)
    again = same.tril(diagonal=-1).any(dim=2)
    return share, ~again & (share > _SEEN)


def _alone(logits: Tensor, sources: Tensor, counted: Tensor) -> Tensor:
    """Return ``(B, N)`` cross-entropies of each source's class, other mixed classes left out."""
    own = sources[..., None] == torch.arange(logits.shape[1], device=logits.device)
    mixed = (own & counted[..., None]).any(dim=1, keepdim=True)
    left = logits[:, None].masked_fill(mixed & ~own, -torch.inf)
    return left.logsumexp(dim=2) - logits.gather(1, sources)
