"""SAMix: AutoMix with a network that sees both images in its keys, and a loss on other classes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mixwright.arguments import check_number
from mixwright.masknets import MaskLoss, MaskLossName, PairBlock, Upsampling
from mixwright.mixers.mixer import Per
from mixwright.objectives.criteria import Criterion
from mixwright.objectives.learned_pairs import LearnedPairs
from mixwright.objectives.momentum import Statistics
from mixwright.plan import MixPlan


class SAMix(LearnedPairs):
    """Mix by learned masks, of a block that reads both images and is told the share by a factor.

    The step is AutoMix's. The block is ``masknets.PairBlock``: features are multiplied by a curve
    of the share, keys and queries are made of both images side by side, values by two layers. The
    penalty asks masks to vary, too. What the block follows is balanced between the two mixed
    classes and all others: the teacher's loss plus ``eta`` times how much the teacher believes in
    classes that are in neither image.

    Args:
        alpha: both parameters of the Beta law of the share; 0 turns mixing off for the student.
        margin: see ``AutoMix``.
        eta: of the term on all other classes, at least 0.
        residual: bends the curve of the share, above -1/3 (0.25 on CIFAR and Tiny-ImageNet); None
            for the share itself.
        dropout: of the block's values, in [0, 1); 0.1 for large images.
        mask_weight: of the penalty, at least 0.
        mask_loss: which penalty; see ``masknets.MaskLoss``.
        mask_tolerance: distance from the share that costs nothing, in [0, 1].
        mask_anneal: whether the penalty's weight falls to 0 along half a cosine; the authors do so
            everywhere but on CIFAR and Tiny-ImageNet.
        upsample: of the mask, ``"bilinear"`` or ``"nearest"``.
        layer: see ``AutoMix``.
        image_size: see ``AutoMix``.
        per: see ``AutoMix``.
        momentum: see ``AutoMix``.
        momentum_end: see ``AutoMix``.
        momentum_hold: see ``AutoMix``.
        momentum_warmup: see ``AutoMix``.
        statistics: see ``AutoMix``.
        mask_lr: see ``AutoMix``.
        mask_min_lr: see ``AutoMix``.
        batched: see ``AutoMix``.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``.

    Raises:
        ValueError: see ``AutoMix``.

    Example:
        >>> import torch
        >>> from mixwright.lab.models.smallconv import SmallConv
        >>> model, objective = SmallConv(num_classes=5), SAMix()
        >>> objective.build(model, 5)
        >>> batch = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape
        torch.Size([])

    Source: Li et al., "Boosting Discriminative Visual Representation Learning with
    Scenario-Agnostic Mixup", 2021, arXiv:2111.15454; numbers as in Westlake-AI/openmixup: configs
    for CIFAR-100.

    Departs from their code as ``AutoMix`` does, and in ``eta``: there a weight of 0.5 multiplies
    terms that are 0 in a softmax cross-entropy, so that it has no effect; ``eta=0`` is what it
    does. Here the term is a binary cross-entropy of the other classes, as the paper words it.
    """

    def __init__(
        self,
        *,
        alpha: float = 2.0,
        margin: float = 0.08,
        eta: float = 0.5,
        residual: float | None = 0.25,
        dropout: float = 0.0,
        mask_weight: float = 0.1,
        mask_loss: MaskLossName = "l1+variance",
        mask_tolerance: float = 0.1,
        mask_anneal: bool = False,
        upsample: Upsampling = "bilinear",
        layer: str | None = None,
        image_size: int | None = None,
        per: Per = "batch",
        momentum: float = 0.999,
        momentum_end: float = 0.999999,
        momentum_hold: float = 0.1,
        momentum_warmup: bool = True,
        statistics: Statistics = "clean",
        mask_lr: float | None = None,
        mask_min_lr: float | None = None,
        batched: bool = False,
        criterion: Criterion | None = None,
    ) -> None:
        super().__init__(
            alpha=alpha,
            margin=margin,
            mask_weight=mask_weight,
            mask_loss=MaskLoss(mask_loss, tolerance=mask_tolerance),
            mask_anneal=mask_anneal,
            per=per,
            layer=layer,
            image_size=image_size,
            statistics=statistics,
            momentum=momentum,
            momentum_end=momentum_end,
            momentum_hold=momentum_hold,
            momentum_warmup=momentum_warmup,
            mask_lr=mask_lr,
            mask_min_lr=mask_min_lr,
            batched=batched,
            criterion=criterion,
        )
        check_number("SAMix", "eta", eta)
        self.eta, self.residual, self.dropout = eta, residual, dropout
        self.upsample: Upsampling = upsample

    def make_network(self, channels: int) -> PairBlock:
        """See ``Learning.make_network``."""
        return PairBlock(channels, k=self.residual, dropout=self.dropout, upsample=self.upsample)

    def judged(self, plan: MixPlan, logits: Tensor, labels: Tensor) -> Tensor:
        """See ``LearnedPairs.judged``; adds the term on all other classes."""
        local = super().judged(plan, logits, labels)
        if self.eta == 0:
            return local
        return local + self.eta * others(logits, plan.targets(labels, logits.shape[1]))


def others(logits: Tensor, targets: Tensor) -> Tensor:
    """Give how much a model believes in classes that are not there.

    Args:
        logits: ``(B, K)``.
        targets: ``(B, K)`` mixed labels; classes of weight 0 are not there.

    Returns:
        0-d, the mean over samples and those classes of ``-log(1 - sigmoid(logit))``, in nats.

    Example:
        >>> import torch
        >>> round(float(others(torch.zeros(1, 3), torch.tensor([[0.4, 0.6, 0.0]]))), 4)  # ln 2
        0.6931
    """
    absent = (targets == 0).float()
    each = F.softplus(logits.float()) * absent
    return (each.sum(dim=1) / absent.sum(dim=1).clamp_min(1)).mean()
