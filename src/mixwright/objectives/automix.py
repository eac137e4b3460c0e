"""AutoMix: a network of masks that learns, through an averaged teacher, to mix recognisably."""

from __future__ import annotations

from mixwright.masknets import MaskLoss, MaskLossName, MixBlock, Upsampling
from mixwright.mixers.mixer import Per
from mixwright.objectives.criteria import Criterion
from mixwright.objectives.learned_pairs import LearnedPairs
from mixwright.objectives.momentum import Statistics


class AutoMix(LearnedPairs):
    """Mix by masks that a small attention block makes so that the mixture shows both its labels.

    The block (``masknets.MixBlock``) reads the teacher's features of two images. Two mixes are
    made in a step, of shares and partners of their own: the student learns from one, whose mask is
    taken as it is; the block learns from the other, from the teacher's loss on it. The loss is the
    sum of four: the student on whole images, the student on mixed ones, the teacher on mixed
    ones, and a penalty on masks whose mean is far from the share.

    What is evaluated in the authors' tables is the teacher (``own_teacher``), not the student.

    Args:
        alpha: both parameters of the Beta law of the share; 0 turns mixing off for the student.
        margin: samples whose share is this near to 0 or 1, or nearer, the student sees as MixUp
            mixes them; in [0, 0.5].
        mask_weight: of the penalty, at least 0.
        mask_loss: which penalty; see ``masknets.MaskLoss``.
        mask_tolerance: distance from the share that costs nothing, in [0, 1].
        mask_anneal: whether the penalty's weight falls to 0 along half a cosine; the authors do so
            everywhere but on CIFAR and Tiny-ImageNet.
        encode_lam: whether the block is told the share, as a plane beside the features; the
            authors do so everywhere but on CIFAR and Tiny-ImageNet.
        upsample: of the mask, ``"nearest"`` or ``"bilinear"``.
        layer: the layer whose map is read; None takes the one before the last stage
            (``taps.sites.mask_stage``).
        image_size: side of the images in pixels, for models that do not tell and run at no common
            size; None otherwise.
        per: ``"batch"``, one share a batch, as the authors; or ``"sample"``.
        momentum: of the teacher at the beginning, in [0, 1].
        momentum_end: of the teacher at the end; the authors use 0.99999 for large images and
            0.99996 for transformers.
        momentum_hold: part of training before the momentum begins to rise; 0.25 for transformers.
        momentum_warmup: whether the teacher's t-th move, from 0, has a momentum of at most
            (1 + t) / (10 + t), so that short runs have a teacher worth asking: without it a
            momentum of 0.999 keeps a third of the first weights after 1,000 steps.
        statistics: the teacher's running statistics of batch normalisation; see ``Teacher``.
        mask_lr: learning rate of the block at its highest; None for the model's.
        mask_min_lr: rate that it falls to; None for the model's.
        batched: whether the student's passes are made as one, batch normalisation by groups:
            the same numbers, fewer and larger kernels. A compiled model runs as it was written
            then, as it does for mixed images in any case, whose features are read by a hook.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``.

    Attributes:
        network, teacher, head: made by ``build``.

    Raises:
        ValueError: an argument is out of range; in ``build``, the model has no stages or no Linear
            layer at its end; in a step, ``build`` was not called.

    Example:
        >>> import torch
        >>> from mixwright.lab.models.smallconv import SmallConv
        >>> model, objective = SmallConv(num_classes=5), AutoMix()
        >>> objective.build(model, 5)
        >>> batch = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> sorted(losses.terms)
        ['clean', 'mask', 'mixed', 'teacher']

    Source: Liu et al., "AutoMix: Unveiling the Power of Mixup for Stronger Classifiers",
    ECCV 2022, arXiv:2103.13027; numbers as in Westlake-AI/openmixup: configs for CIFAR-100.

    Departs from their code in the teacher's running statistics, which there are half of mixed
    images (``statistics="official"``), in its momentum at the beginning
    (``momentum_warmup=False``), and in partners, who there may be the sample itself.
    """

    def __init__(
        self,
        *,
        alpha: float = 2.0,
        margin: float = 0.08,
        mask_weight: float = 0.1,
        mask_loss: MaskLossName = "l1",
        mask_tolerance: float = 0.1,
        mask_anneal: bool = False,
        encode_lam: bool = False,
        upsample: Upsampling = "nearest",
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
        self.encode_lam = encode_lam
        self.upsample: Upsampling = upsample

    def make_network(self, channels: int) -> MixBlock:
        """See ``Learning.make_network``."""
        return MixBlock(channels, encode_lam=self.encode_lam, upsample=self.upsample)
