"""TokenMix: blocks of tokens of the partner, labels by what each part activates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import (
    check_arguments,
    check_number,
    check_settings,
    check_whole,
)
from mixwright.masks.cells import cell_grid, cell_planes
from mixwright.masks.token_blocks import block_tokens, random_tokens
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Mixer
from mixwright.mixers.mixup import MixUp
from mixwright.mixers.pair_mixer import PairDraw, PairMixer
from mixwright.objectives.criteria import BinaryCrossEntropy, Criterion
from mixwright.objectives.objective import Losses
from mixwright.objectives.switching import Switching
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.saliency import Saliency, SaliencyWord, blocks_of, check_saliency, salience
from mixwright.sampling import Pairing
from mixwright.taps import deep_copy
from mixwright.taps.sites import patch_side

Kind = Literal["block", "random"]


@dataclass(frozen=True, kw_only=True)
class TokenBlocks(PairMixer):
    """Replace blocks of tokens by the partner's, the same ones in the whole batch.

    The label weighs by the pixels.

    Args:
        lam: share of tokens asked to be the sample's own, in [0, 1]; of T tokens, then,
            ``int((1 - lam) T) + T // 14`` are the partner's (14 of 196 is the authors' extra),
            blocks being what they are perhaps a few less. 1 turns mixing off.
        patch: side of a token in pixels, at least 1. None for the model's own, and for models
            without patches a fourteenth of the image's shorter side, at least 4 pixels.
        kind: ``"block"``, a union of random blocks; ``"random"``, tokens independent of one
            another.
        pairing: see ``sampling.partners``; the authors use ``"flip"``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> mixer = TokenBlocks(kind="random")
        >>> mixer.plan(torch.zeros(2, 3, 56, 56), generator=torch.Generator()).weight[0]
        tensor([0.4286, 0.5714])
    """

    lam: float = 0.5
    patch: int | None = None
    kind: Kind = "block"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_settings(self)
        check_number("TokenBlocks", "lam", self.lam, high=1.0)
        if self.patch is not None:
            check_whole("TokenBlocks", "patch", self.patch, low=1)

    def mix(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """See ``PairMixer.mix``; of the model the side of its patches is read, if it is given."""
        with drawing(images):
            size = (images.shape[2], images.shape[3])
            side = self.patch or patch_side(model) or max(4, round(min(size) / 14))
            grid = cell_grid(size, side)
            total = grid[0] * grid[1]
            # Decimal fractions fall a hair short of whole numbers of tokens.
            count = int((1 - self.lam) * total + 1e-6) + total // 14 if self.lam < 1 else 0
            tokens = block_tokens if self.kind == "block" else random_tokens
            taken = tokens(grid, min(count, total), generator=generator)
            keep = ~taken[None, None].to(images.device, non_blocking=True)
            lam = torch.full((1,), float(self.lam), device=images.device)
            draw = PairDraw(mask=cell_planes(keep, side=side, size=size), lam=lam)
            return draw.with_partners(images, pairing=self.pairing, generator=generator)


class TokenMix(Switching):
    """Mix blocks of tokens, weigh labels by what they show of their class.

    Each unmixed image has an activation map of its own class, of sum 1. A label weighs the part
    of its map that is seen in the mixed image, so the two weights need not sum to 1: two halves
    without the objects show little of either class.

    Args:
        teacher: whose maps count. None for the class activation of the classifier itself, which
            looks at the unmixed images once more, in evaluation mode and without gradients. A
            network (copied, and frozen), for its class activation; or anything of
            ``mixwright.saliency``, by object or word.
        lam: see ``TokenBlocks``.
        p: chance in [0, 1] of this method, batch by batch; the authors use 0.5.
        otherwise: the mixer of the other batches; None for ``MixUp(alpha=0.8)`` with the same
            ``pairing``.
        patch: see ``TokenBlocks``.
        kind: see ``TokenBlocks``.
        smoothing: taken off the two labels in equal halves and spread over all classes, in
            [0, 1); the authors use 0.1. Leave the criterion's own at 0 then.
        pairing: see ``sampling.partners``; the authors use ``"flip"``.
        criterion: per-sample loss, ``(B, K)`` logits and targets to ``(B,)``; None for
            ``BinaryCrossEntropy()``, the authors', to which targets of any sum are natural.

    Attributes:
        mixer: the ``TokenBlocks``, whose weights are those of area.

    Raises:
        ValueError: an argument is out of range; in a step, the maps cannot be made.

    Example:
        >>> layers = torch.nn.Conv2d(3, 8, 4, stride=4), torch.nn.AdaptiveAvgPool2d(1)
        >>> model = torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8, 5))
        >>> objective = TokenMix(p=1.0)
        >>> batch = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape, losses.logits.shape
        (torch.Size([]), torch.Size([4, 5]))

    Source: Liu et al., "TokenMix: Rethinking Image Mixing for Data Augmentation in Vision
    Transformers", 2022, arXiv:2207.08409; Sense-X/TokenMix: tokenmix.py.

    Departs from the authors' code, which reads score maps of a large network from files: give
    that network as ``teacher``. Targets stay in [0, 1], where theirs fall below 0 by smoothing and
    exceed 1 if two images of one class show both objects, which makes the loss fall for ever.
    They pair a batch with its mirror image: ``pairing="flip"``.
    """

    card = Card(
        title="TokenMix",
        paper="Liu et al., ECCV 2022",
        link="https://arxiv.org/abs/2207.08409",
        needs="model",
        cost="small kernels",
        forwards=1.5,
        note="Blocks of tokens of the partner, labels by activation; without offline maps half of "
        "the steps look at the unmixed images first; for transformers.",
        labels="content",
        formula="M = 0 on blocks of tokens, about a share 1 - lam of them; else 1\n"
        "x~ = M x + (1 - M) x'\n"
        "S, S' = class activation of x and x', each of sum 1\n"
        "y~ = (sum of M S) y + (sum of (1 - M) S') y'",
        limits="The paper's maps are of a large network, computed beforehand; without a teacher "
        "the model's own are used, which say little at first and cost a forward in half of the "
        "steps. Label weights need not sum to 1: use a loss that allows it, as the default does.",
        cites=("liu2022tokenmix",),
    )

    @check_arguments
    def __init__(
        self,
        *,
        teacher: Module | Saliency | SaliencyWord | None = None,
        lam: float = 0.5,
        p: float = 0.5,
        otherwise: Mixer | None = None,
        patch: int | None = None,
        kind: Kind = "block",
        smoothing: float = 0.0,
        pairing: Pairing = "cycle",
        criterion: Criterion | None = None,
    ) -> None:
        try:
            mixer = TokenBlocks(lam=lam, patch=patch, kind=kind, pairing=pairing)
        except ValueError as error:
            raise ValueError(f"TokenMix, in its {error}") from error
        other = MixUp(alpha=0.8, pairing=pairing) if otherwise is None else otherwise
        loss = BinaryCrossEntropy() if criterion is None else criterion
        super().__init__(p=p, otherwise=other, criterion=loss)
        check_number("TokenMix", "smoothing", smoothing, high=1.0)
        self.mixer, self.smoothing = mixer, smoothing
        self.teacher: Module | None = None
        self.saliency: Saliency | SaliencyWord = "cam"
        if isinstance(teacher, Module):
            self.teacher = deep_copy(teacher).eval().requires_grad_(False)
        elif teacher is not None:
            check_saliency("TokenMix", teacher)
            self.saliency = teacher

    def own(self, model: Module, images: Tensor, labels: Tensor, *, generator: Generator) -> Losses:
        """See ``Switching.own``."""
        plan = self.mixer.plan(images, labels, generator=generator, model=model)
        looking = model if self.teacher is None else self.teacher
        maps = salience(self.saliency, images, labels, model=looking, name="TokenMix")
        plan = with_activation_weights(plan, maps)
        logits = self._logits(model, plan.images(images))
        targets = smoothed(plan.targets(labels, logits.shape[1]), plan, labels, self.smoothing)
        total = self.criterion(logits, targets).mean()
        return Losses(total, {"loss": total.detach()}, logits, plan)


def with_activation_weights(plan: MixPlan, maps: Tensor) -> MixPlan:
    """Weigh a plan of pairs by the parts that the mixed images show of the unmixed images' maps.

    The weights of a sample need not sum to 1.
    """
    keep = plan.mask_form.first()[:, 0].float()
    masses = blocks_of(maps, keep.shape[1:]) if keep.shape[1:] != maps.shape[1:] else maps
    own = (masses * keep).sum(dim=(1, 2))
    other = (masses[plan.index[:, 1]] * (1 - keep)).sum(dim=(1, 2))
    return plan.replace(weight=torch.stack([own, other], dim=1).clamp(0, 1))


def smoothed(targets: Tensor, plan: MixPlan, labels: Tensor, smoothing: float) -> Tensor:
    """Take ``smoothing / 2`` off each of the two labels and spread ``smoothing`` over all classes.

    Targets are cut to [0, 1], since both images may be of one class.
    """
    if smoothing:
        classes = targets.shape[1]
        halves = plan.replace(weight=torch.full_like(plan.weight, smoothing / 2))
        targets = targets - halves.targets(labels, classes) + smoothing / classes
    return targets.clamp(0, 1)
