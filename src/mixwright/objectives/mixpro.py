"""MixPro: random cells of two images, labels between area and attention by confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_arguments, check_number, check_whole
from mixwright.masks.cells import cell_grid, cell_planes
from mixwright.masks.mask_forms import DenseMask
from mixwright.masks.ranks import highest
from mixwright.mixers.cards import Card
from mixwright.mixers.combine import OneOf
from mixwright.mixers.cutmix import CutMix
from mixwright.mixers.mixer import Mixer, Per
from mixwright.mixers.mixup import MixUp
from mixwright.mixers.pair_mixer import PairDraw, PairMixer, check_pair, draw_lam
from mixwright.objectives.attention_shares import keep_at, own_share, with_own_weight
from mixwright.objectives.criteria import Criterion
from mixwright.objectives.objective import Losses
from mixwright.objectives.switching import Switching
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.sampling import Pairing
from mixwright.taps.attention import attending, attention_name
from mixwright.taps.sites import patch_side


@dataclass(frozen=True, kw_only=True)
class MaskMix(PairMixer):
    """Take each cell of a coarse grid from one of two images, at random.

    Of ``g`` cells ``ceil(lam g)`` are the sample's own, others for each sample. The label weighs
    by the pixels.

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. The
            paper uses 1.
        patch: side of a cell in pixels, at least 1; cells at the border may be cut. None for a
            quarter of the shorter side of the image, rounded to whole patches of the model where
            it has any (the paper takes 56 of 224 pixels, four patches of 14).
        lam: a fixed share in [0, 1] instead of a draw.
        per: ``"sample"``, a share for each sample; ``"batch"``, one for all (the authors' code).
        pairing: see ``sampling.partners``; the authors use ``"perm"``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> mixer = MaskMix(lam=0.75)
        >>> mixer.plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator()).weight.tolist()
        [[0.75, 0.25], [0.75, 0.25]]
    """

    alpha: float = 1.0
    patch: int | None = None
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        if self.patch is not None:
            check_whole("MaskMix", "patch", self.patch, low=1)

    def mix(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """See ``PairMixer.mix``; of the model the side of its patches is read, if it is given."""
        with drawing(images):
            # One share may serve the batch; which cells it is, is each sample's own.
            lam = draw_lam(self, images, generator=generator).expand(len(images))
            size = (images.shape[2], images.shape[3])
            side = self.patch or _quarter(size, patch_side(model))
            mask = replace(self, patch=side).keep(lam, size=size, generator=generator)
            draw = PairDraw(mask=mask, lam=lam)
            return draw.with_partners(images, pairing=self.pairing, generator=generator)

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> DenseMask:
        """See ``MaskMethod.keep``."""
        height, width = size
        side = self.patch or _quarter((height, width), None)
        grid = cell_grid((height, width), side)
        scores = sampling.uniform((len(lam), *grid), device=lam.device, generator=generator)
        cells = grid[0] * grid[1]
        # A share that is whole but for rounding is no cell more.
        kept = (lam * cells - 1e-4).ceil().clamp(0, cells).long()
        return cell_planes(highest(scores, kept), side=side, size=(height, width))


class MixPro(Switching):
    """Mix cells by ``MaskMix``, weigh labels by attention as far as the model can be trusted.

    A sample's label weighs ``c lam_attention + (1 - c) lam_area``: the share of its own tokens in
    the last attention (``Attended.class_row``) and the share of its own pixels. The confidence
    ``c`` is the cosine of prediction and area-mixed target, each sample's own. All of it comes
    from the training forward itself.

    Args:
        alpha: see ``MaskMix``.
        patch: side of a cell in pixels; see ``MaskMix``. A multiple of the model's patch keeps
            cells and tokens aligned; where they are not, a token counts by the share of its
            pixels.
        p: chance in [0, 1] of this method, batch by batch; the authors use 0.5.
        otherwise: the mixer of the other batches; None for ``MixUp(alpha=0.8)`` or ``CutMix()``,
            one of them a batch.
        pal: whether attention counts (progressive attention labelling); False weighs by area, and
            then any model will do.
        pal_detach: whether the confidence is a number and no path for gradients.
        smoothing: label smoothing of the target that the confidence is measured by, in [0, 1); the
            authors use 0.1.
        layer: the attention layer, or the block that holds it; None for the last.
        lam: a fixed share in [0, 1] instead of a draw.
        per: ``"sample"``, a share for each sample; ``"batch"``, one for all (the authors' code).
        pairing: see ``sampling.partners``; the authors use ``"perm"``.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``.

    Attributes:
        mixer: the ``MaskMix``, whose weights are those of area.

    Raises:
        ValueError: an argument is out of range; in ``build``, the model has no attention that can
            be read, or none of that name.

    Example:
        >>> class ViT(torch.nn.Sequential):
        ...     def forward(self, images):
        ...         tokens = self[0](images).flatten(2).transpose(1, 2)
        ...         return self[2](self[1](tokens, tokens, tokens)[0].mean(dim=1))
        >>> attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        >>> model = ViT(torch.nn.Conv2d(3, 8, 8, stride=8), attention, torch.nn.Linear(8, 5))
        >>> objective = MixPro(p=1.0)
        >>> batch = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape, losses.logits.shape
        (torch.Size([]), torch.Size([4, 5]))

    Source: Zhao et al., "MixPro: Data Augmentation with MaskMix and Progressive Attention
    Labeling for Vision Transformer", 2023, arXiv:2304.12043; fistyee/MixPro: main.py, utils.py.

    Departs from the authors' code, where one share serves a batch, samples may meet themselves,
    and gradients flow through the confidence into the label weights, which rewards the model for
    moving weight to the easier label: ``MixPro(per="batch", pairing="perm", pal_detach=False)``.
    Their configurations leave attention out unless a flag asks for it (``pal=False``).
    """

    card = Card(
        title="MixPro",
        paper="Zhao et al., ICLR 2023",
        link="https://arxiv.org/abs/2304.12043",
        needs="model",
        cost="small kernels",
        note="Random cells of a grid, labels between area and attention by the model's own "
        "confidence; for transformers.",
        labels="content",
        formula="lam ~ Beta(alpha, alpha)\n"
        "M = 1 at a share lam of the cells of a grid; else 0\n"
        "x~ = M x + (1 - M) x'\n"
        "c = cosine of prediction and area label,  a = share of attention on x\n"
        "y~ = w y + (1 - w) y',  w = c a + (1 - c) mean(M)",
        limits="Transformers only. Cells are scattered over the image, so objects come to pieces; "
        "as long as the model is not confident the labels are those of area, and nothing is gained "
        "over the plain mask.",
        cites=("zhao2023mixpro",),
    )

    @check_arguments
    def __init__(
        self,
        *,
        alpha: float = 1.0,
        patch: int | None = None,
        p: float = 0.5,
        otherwise: Mixer | None = None,
        pal: bool = True,
        pal_detach: bool = True,
        smoothing: float = 0.1,
        layer: str | None = None,
        lam: float | None = None,
        per: Per = "sample",
        pairing: Pairing = "cycle",
        criterion: Criterion | None = None,
    ) -> None:
        try:
            mixer = MaskMix(alpha=alpha, patch=patch, lam=lam, per=per, pairing=pairing)
        except ValueError as error:
            raise ValueError(f"MixPro, in its {error}") from error
        usual = OneOf(
            MixUp(alpha=0.8, per=per, pairing=pairing),
            CutMix(per=per, pairing=pairing),
            per="batch",
        )
        super().__init__(
            p=p, otherwise=usual if otherwise is None else otherwise, criterion=criterion
        )
        check_number("MixPro", "smoothing", smoothing, high=1.0)
        self.mixer = mixer
        self.pal, self.pal_detach, self.smoothing, self.layer = pal, pal_detach, smoothing, layer

    def build(self, model: Module, num_classes: int) -> None:
        """See ``Objective.build``; looks the attention layer up."""
        if self.pal:
            attention_name(model, self.layer)

    def own(self, model: Module, images: Tensor, labels: Tensor, *, generator: Generator) -> Losses:
        """See ``Switching.own``."""
        plan = self.mixer.plan(images, labels, generator=generator, model=model)
        if not self.pal:
            logits = self._logits(model, plan.images(images))
        else:
            with attending(model, self.layer) as attention:
                logits = self._logits(model, plan.images(images))
            attended = own_share(attention.class_row(), keep_at(plan, attention.grid))
            trust = confidence(
                logits.detach() if self.pal_detach else logits,
                plan.targets(labels, logits.shape[1]),
                smoothing=self.smoothing,
            )
            plan = with_own_weight(plan, torch.lerp(plan.weight[:, 0], attended, trust))
        total = plan.loss(self.criterion, logits, labels)
        plan = plan.replace(weight=plan.weight.detach())
        return Losses(total, {"loss": total.detach()}, logits, plan)


def confidence(logits: Tensor, targets: Tensor, *, smoothing: float) -> Tensor:
    """Return the cosine of predictions and smoothed targets, ``(B,)`` in [0, 1]."""
    with torch.autocast(logits.device.type, enabled=False):
        smooth = torch.lerp(
            targets.float(), torch.full_like(targets, 1 / targets.shape[1]).float(), smoothing
        )
        return F.cosine_similarity(smooth, logits.float().softmax(dim=1), dim=1).clamp(0, 1)


def _quarter(size: tuple[int, int], patch: int | None) -> int:
    """Return the side of a cell: a quarter of the shorter side, in whole patches."""
    step = patch or 1
    return max(1, int(min(size) / 4 / step + 0.5)) * step
