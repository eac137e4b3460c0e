"""AlignMix: bring the parts of one feature map to the places of another's, then average."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_number, check_settings, check_whole
from mixwright.masks.sinkhorn import early_stopped_transport, square_distances, transport
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.mixup import MixUp
from mixwright.objectives.criteria import CriterionOrNone, CrossEntropy
from mixwright.objectives.manifoldmix import mixed_features
from mixwright.objectives.objective import Losses, Objective
from mixwright.plan import MixPlan
from mixwright.sampling import Pairing
from mixwright.taps import classifier, last_map, named_layer, replacing

Moved = Literal["partner", "own"]

Solver = Literal["annealed", "official"]


@dataclass(kw_only=True, eq=False, repr=False)
class AlignMix(Objective):
    """Average the last feature maps of two samples, after one was rearranged to match the other.

    Optimal transport finds for each place of the one map the most similar places of the other.
    Each batch draws which is rearranged: the partner's features to the sample's layout, or the
    sample's to the partner's. The assignment itself is not differentiated; both samples'
    features are. With chance ``p_input`` a batch is mixed by plain ``MixUp`` of the images
    instead. Where ``alpha`` is 0, or ``lam`` is 1, and in a batch of one, nothing is mixed or
    rearranged.

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. The
            paper uses 2.0.
        eps: weight of the entropy of the assignment, above 0, in the scale of squared distances
            of features. The paper uses 0.1, far below the usual distances, so that nearly every
            place takes one place of the other map.
        iters: iterations for the assignment, at least 1; the authors allow 100.
        solver: ``"annealed"``, the assignment of the paper: all places of the rearranged map are
            used alike, and each place of the other is a weighted mean of them; see
            ``masks.sinkhorn.transport`` for how near it comes. ``"official"``, that of the
            authors' code, which stops early: some places are used five times, some hardly.
        p_input: chance in [0, 1] that a batch is mixed as images; the authors use 0.5.
        layer: name of the layer whose maps ``(B, C, h, w)`` or ``(B, h, w, C)``, or tokens
            ``(B, T, C)``, are aligned; None for the last one before the last Linear. Tokens
            beside the largest square of them, which stand for no place, stay where they are.
        lam: a fixed share in [0, 1] instead of a draw.
        per: ``"sample"``, a share for each sample; ``"batch"``, one for all (the authors' code).
        pairing: see ``sampling.partners``.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``.

    Attributes:
        mixer: the ``MixUp`` that draws shares and partners.

    Raises:
        ValueError: an argument is out of range; in ``build``, the model has no such layer.

    Example:
        >>> import torch
        >>> objective = AlignMix(p_input=0.0)
        >>> pooled = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), *pooled, torch.nn.Linear(8, 5))
        >>> batch = torch.rand(4, 3, 6, 6), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape, losses.logits.shape
        (torch.Size([]), torch.Size([4, 5]))

    Source: Venkataramanan et al., "AlignMixup: Improving Representations By Interpolating Aligned
    Features", 2022, arXiv:2103.15375; shashankvkt/AlignMixup_CVPR22:
    cifar10_100/models/resnet18_classifier.py.

    Departs from the authors' code, which draws one share a batch, lets samples meet themselves,
    and ends its iterations at 100 or when the mean change of the prices is below 0.1, which on
    features is before they have converged. On 4 x 4 maps of a ResNet18 at the start of training on
    CIFAR-10 the places of the partner's map get weights that add up to 1, those of the sample's
    to 0.14 to 5, and what is moved is 59 % away from what the converged assignment moves (0.01 %
    here). ``AlignMix(per="batch", pairing="perm", solver="official")`` is theirs.
    """

    card = Card(
        title="AlignMix",
        paper="Venkataramanan et al., CVPR 2022",
        link="https://arxiv.org/abs/2103.15375",
        needs="model",
        cost="Sinkhorn iterations on the positions of the last map",
        note="A weighted mean of last features, one laid out as the other; half of the steps are "
        "plain MixUp.",
        formula="lam ~ Beta(alpha, alpha),  A, A' = last maps of x and x'\n"
        "R = transport of the places of A' to those of A, weights eps entropy\n"
        "h~ = lam A + (1 - lam) A' R^T, or the other way round; with chance p_input MixUp of the "
        "images instead\n"
        "y~ = lam y + (1 - lam) y'",
        limits="Needs a model whose last features are maps or tokens. With the small eps of the "
        "paper each place takes one place of the other map, so where objects do not correspond "
        "features are laid out at random.",
        cites=("venkataramanan2022alignmix",),
    )

    alpha: float = 2.0
    eps: float = 0.1
    iters: int = 100
    solver: Solver = "annealed"
    p_input: float = 0.5
    layer: str | None = None
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"
    criterion: CriterionOrNone = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_settings(self)
        check_number("AlignMix", "eps", self.eps, open_low=True)
        check_whole("AlignMix", "iters", self.iters, low=1, high=100_000)
        check_number("AlignMix", "p_input", self.p_input, high=1.0)
        try:
            self.mixer = MixUp(alpha=self.alpha, lam=self.lam, per=self.per, pairing=self.pairing)
        except ValueError as error:
            raise ValueError(f"AlignMix, in its {error}") from error
        self.criterion = self.criterion or CrossEntropy()  # None stands for it

    def build(self, model: Module, num_classes: int) -> None:
        """See ``Objective.build``; looks the layer up."""
        if self.layer is not None:
            named_layer(model, self.layer)

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
        plan = self.mixer.plan(images, labels, generator=generator)
        at_input = sampling.choices([self.p_input, 1 - self.p_input], 1, generator=generator)[0]
        moved: Moved = ("partner", "own")[sampling.choices([1, 1], 1, generator=generator)[0]]
        if at_input == 0 or self._off(images):
            logits = self._logits(model, plan.images(images))
        else:
            layer = last_map(model, images) if self.layer is None else self.layer
            width = classifier(model).in_features

            def change(features: Tensor) -> Tensor:
                return aligned(
                    plan,
                    features,
                    layer,
                    moved,
                    width=width,
                    eps=self.eps,
                    iters=self.iters,
                    solver=self.solver,
                )

            with replacing(model, layer, change):
                logits = self._logits(model, images)
        total = plan.loss(self.criterion, logits, labels)
        return Losses(total, {"loss": total.detach()}, logits, plan)

    def _off(self, images: Tensor) -> bool:
        """Whether every share is known to be 1: a rearranged sample would not be itself."""
        lam, alpha = self.mixer.lam, self.mixer.alpha
        return len(images) == 1 or (alpha == 0 if lam is None else lam == 1)


def aligned(
    plan: MixPlan,
    features: Tensor,
    layer: str,
    moved: Moved,
    *,
    width: int | None,
    eps: float,
    iters: int,
    solver: Solver = "annealed",
) -> Tensor:
    """Mix features with their partners', one of the two rearranged to the places of the other.

    Features are ``(B, C, h, w)``, ``(B, h, w, C)`` or ``(B, T, C)``, the result is like them, and
    gradients reach both samples'. ``moved`` says whose are rearranged; ``width`` is C, where it is
    known, which tells the two kinds of maps apart; for ``eps``, ``iters`` and ``solver`` see
    ``AlignMix``.
    """
    if features.ndim not in (3, 4) or len(features) != plan.pool:
        raise ValueError(
            f"AlignMix: layer {layer!r} gives shape {tuple(features.shape)}; expected maps "
            f"(B, C, h, w) or (B, h, w, C), or tokens (B, T, C), of the {plan.pool} samples of "
            "the batch. Name another layer."
        )
    own, other = features, features[plan.index[:, 1]]

    def shares(target: Tensor, source: Tensor) -> Tensor:
        if solver == "annealed":
            # Where the middle of each map lies costs all plans the same; far apart, float32 would
            # lose the digits of what is between places.
            target, source = (part - part.mean(dim=1, keepdim=True) for part in (target, source))
            return transport(square_distances(target, source), eps=eps, iters=iters)
        # The authors' rows are the sample's places and come first, whichever is moved.
        if moved == "partner":
            return early_stopped_transport(square_distances(target, source), eps=eps, iters=iters)
        cost = square_distances(source, target)
        return early_stopped_transport(cost, eps=eps, iters=iters).transpose(1, 2)

    if moved == "partner":
        other = rearranged(other, like=own, width=width, shares=shares)
    else:
        own = rearranged(own, like=other, width=width, shares=shares)
    count = len(features)
    me = torch.arange(count, device=features.device)
    pairs = plan.replace(index=torch.stack([me, me + count], dim=1), pool=2 * count)
    return mixed_features(pairs, torch.cat([own, other]), layer)


def rearranged(
    features: Tensor, *, like: Tensor, width: int | None, shares: Callable[[Tensor, Tensor], Tensor]
) -> Tensor:
    """Bring each place of ``like`` the features that resemble it most; see ``aligned``.

    ``shares`` takes the places of ``like`` and of ``features``, ``(B, P, C)`` float32 or wider, and
    says what of each of the former comes from which of the latter, ``(B, P, P)``. It is found
    without a graph: its iterations would cost as much memory as there are, and the authors do not
    differentiate it. Gradients flow to ``features``, none to ``like``.
    """
    source, target = _places(features, width), _places(like, width)
    skipped = 0
    if features.ndim == 3:
        count = source.shape[1]
        skipped = count - math.isqrt(count) ** 2
    kind = torch.promote_types(features.dtype, torch.float32)
    moving = source[:, skipped:].to(kind)
    with torch.autocast(features.device.type, enabled=False):
        with torch.no_grad():
            found = shares(target[:, skipped:].to(kind), moving)
        moved = (found.to(kind) @ moving).to(features.dtype)
    done = torch.cat([source[:, :skipped], moved], dim=1)
    if features.ndim == 3:
        return done
    if _channels_last(features, width):
        return done.view(features.shape)
    return done.transpose(1, 2).reshape(features.shape)


def _places(features: Tensor, width: int | None) -> Tensor:
    """Return features by place, ``(B, P, C)``."""
    if features.ndim == 3:
        return features
    if _channels_last(features, width):
        return features.flatten(1, 2)
    return features.flatten(2).transpose(1, 2)


def _channels_last(features: Tensor, width: int | None) -> bool:
    """Whether the last of four axes alone is as long as there are channels."""
    return features.shape[1] != width and features.shape[3] == width
