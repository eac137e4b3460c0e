"""TransMix: CutMix whose labels weigh by what the class token attends to."""

from __future__ import annotations

from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import check_arguments
from mixwright.mixers.cards import Card
from mixwright.mixers.cutmix import CutMix
from mixwright.mixers.mixer import Mixer, Per
from mixwright.mixers.mixup import MixUp
from mixwright.objectives.attention_shares import (
    Resize,
    keep_at,
    own_share,
    with_own_weight,
)
from mixwright.objectives.criteria import Criterion
from mixwright.objectives.objective import Losses
from mixwright.objectives.switching import Switching
from mixwright.plan import MixPlan
from mixwright.sampling import Pairing
from mixwright.taps.attention import Attended, attending, attention_name


class TransMix(Switching):
    """Mix by CutMix, weigh labels half by area and half by attention.

    A sample's label weighs the mean of two shares: of the pixels that are its own, and of the
    attention that its own tokens get from the class token, in the last block, averaged over the
    heads. The attention is that of the training forward itself, so nothing runs twice; it has no
    gradient. Without a class token the image tokens' mean attention counts (``class_row``).

    Args:
        alpha: both parameters of the Beta law of CutMix's ``lam``, at least 0; the paper uses 1.
        p: chance in [0, 1] of this method, batch by batch; the authors use 0.8.
        otherwise: the mixer of the other batches; None for ``MixUp(alpha=0.8)`` with the same
            ``per`` and ``pairing``.
        layer: the attention layer, or the block that holds it; None for the last.
        resize: how the box is brought to the grid of tokens: ``"nearest"``, a token is whose its
            first pixel is (the authors); ``"area"``, by the share of its pixels.
        lam: a fixed share for CutMix, instead of a draw.
        per: ``"sample"``, a box for each sample; ``"batch"``, one for all (the authors' code).
        pairing: see ``sampling.partners``; the authors use ``"flip"``.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``; the authors smooth
            labels by 0.1.

    Attributes:
        mixer: the ``CutMix``, whose weights are those of area.

    Raises:
        ValueError: an argument is out of range; in ``build``, the model has no attention that can
            be read, or none of that name.

    Example:
        >>> import torch
        >>> class ViT(torch.nn.Sequential):
        ...     def forward(self, images):
        ...         tokens = self[0](images).flatten(2).transpose(1, 2)
        ...         return self[2](self[1](tokens, tokens, tokens)[0].mean(dim=1))
        >>> attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        >>> model = ViT(torch.nn.Conv2d(3, 8, 8, stride=8), attention, torch.nn.Linear(8, 5))
        >>> objective = TransMix(p=1.0)
        >>> batch = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape, losses.logits.shape
        (torch.Size([]), torch.Size([4, 5]))

    Source: Chen et al., "TransMix: Attend to Mix for Vision Transformers", 2022,
    arXiv:2111.09833; Beckschen/TransMix: transmix.py.

    Departs from the authors' code, which draws one box a batch and pairs it with its mirror image,
    so that batches of one order always meet in the same pairs: ``TransMix(per="batch",
    pairing="flip")``.
    """

    card = Card(
        title="TransMix",
        paper="Chen et al., CVPR 2022",
        link="https://arxiv.org/abs/2111.09833",
        needs="model",
        cost="small kernels",
        note="CutMix whose labels weigh by the attention of the class token; for transformers.",
        labels="content",
        formula="M, x~ = those of CutMix\n"
        "a = share of the class token's attention that goes to tokens of x\n"
        "y~ = w y + (1 - w) y',  w = (mean(M) + a) / 2",
        limits="Transformers only, and only those whose last attention can be read. Early in "
        "training attention says nothing yet, and half of each label follows it.",
        cites=("chen2022transmix",),
    )

    @check_arguments
    def __init__(
        self,
        *,
        alpha: float = 1.0,
        p: float = 0.8,
        otherwise: Mixer | None = None,
        layer: str | None = None,
        resize: Resize = "nearest",
        lam: float | None = None,
        per: Per = "sample",
        pairing: Pairing = "cycle",
        criterion: Criterion | None = None,
    ) -> None:
        try:
            mixer = CutMix(alpha=alpha, lam=lam, per=per, pairing=pairing)
        except ValueError as error:
            raise ValueError(f"TransMix, in its {error}") from error
        other = MixUp(alpha=0.8, per=per, pairing=pairing) if otherwise is None else otherwise
        super().__init__(p=p, otherwise=other, criterion=criterion)
        self.mixer = mixer
        self.layer = layer
        self.resize: Resize = resize

    def build(self, model: Module, num_classes: int) -> None:
        """See ``Objective.build``; looks the attention layer up."""
        attention_name(model, self.layer)

    def own(self, model: Module, images: Tensor, labels: Tensor, *, generator: Generator) -> Losses:
        """See ``Switching.own``."""
        plan = self.mixer.plan(images, labels, generator=generator)
        with attending(model, self.layer) as attention:
            logits = self._logits(model, plan.images(images))
        plan = self.weighted(plan, attention)
        total = plan.loss(self.criterion, logits, labels)
        return Losses(total, {"loss": total.detach()}, logits, plan)

    def weighted(self, plan: MixPlan, attention: Attended) -> MixPlan:
        """Weigh a plan of pairs half by area and half by the attention on the mixed images."""
        keep = keep_at(plan, attention.grid, self.resize)
        return with_own_weight(
            plan, (plan.weight[:, 0] + own_share(attention.class_row(), keep)) / 2
        )
