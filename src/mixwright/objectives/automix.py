"""AutoMix: a mask network that learns, through an averaged teacher, to mix recognisably."""

from __future__ import annotations

from dataclasses import dataclass

from mixwright.masknets import MaskLossName, MixBlock, Upsampling
from mixwright.mixers.cards import Card
from mixwright.objectives.learned_pairs import LearnedPairs


@dataclass(kw_only=True, eq=False, repr=False)
class AutoMix(LearnedPairs):
    """Mix by masks that a small attention block makes so that the mixture shows both its labels.

    The block (``masknets.MixBlock``) reads the teacher's features of two images. Two mixes are
    made in a step, of shares and partners of their own: the student learns from one, whose mask is
    taken as it is; the block learns from the other, from the teacher's loss on it. The loss is the
    sum of four: the student on whole images, the student on mixed ones, the teacher on mixed
    ones, and a penalty on masks whose mean is far from the share.

    What is evaluated in the authors' tables is the teacher (``own_teacher``), not the student. Its
    learning rate does not end near 0 there: on CIFAR-100 their cosine falls from 0.1 to a floor of
    0.05, on Tiny-ImageNet from 0.2 to 0.05, which ``min_lr`` of a run sets. It is 1e-4 for
    transformers on CIFAR-100, and 0 on ImageNet and fine-grained sets.

    Settings that the learned mixers share are those of ``objectives.learned_pairs.LearnedPairs``
    and ``objectives.learning.Learning``.

    Args:
        encode_lam: whether the block reads the share, as a plane beside the features; the
            authors do so everywhere but on CIFAR and Tiny-ImageNet.

    Raises:
        ValueError: see ``objectives.learning.Learning``.

    Example:
        >>> import torch
        >>> conv = [torch.nn.Conv2d(i, o, 3, 2, padding=1) for i, o in ((3, 8), (8, 8), (8, 16))]
        >>> stages = [torch.nn.Sequential(c, torch.nn.BatchNorm2d(c.out_channels)) for c in conv]
        >>> model = torch.nn.Sequential(*stages, torch.nn.Flatten(), torch.nn.Linear(16 * 16, 5))
        >>> objective = AutoMix(image_size=32)
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

    card = Card(
        title="AutoMix",
        paper="Liu et al., ECCV 2022",
        link="https://arxiv.org/abs/2103.13027",
        needs="model",
        cost="a block of attention on one map, twice",
        forwards=4,
        backwards=2,
        input_backwards=1,
        note="Pairs by masks of a network that learns, through an averaged teacher, to keep both "
        "labels recognisable.",
        labels="share",
        formula="lam ~ Beta(alpha, alpha),  z, z' = the teacher's features of x and x'\n"
        "M = mask network(z, z', lam), enlarged\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = lam y + (1 - lam) y'\n"
        "loss = student on x + student on x~ + teacher on x~ (for the network) + |mean(M) - lam| "
        "beyond a margin",
        limits="Three plain steps a step, with a network and a teacher beside the model; at equal "
        "time more epochs of a simple method were worth more in our record, where the masks stayed "
        "nearly flat. Published figures are of the teacher, not of the student: compare with the "
        "averaged weights of other methods.",
        cites=("liu2022automix",),
    )

    mask_loss: MaskLossName = "l1"
    upsample: Upsampling = "nearest"
    encode_lam: bool = False

    def make_network(self, channels: int) -> MixBlock:
        """See ``Learning.make_network``."""
        return MixBlock(channels, encode_lam=self.encode_lam, upsample=self.upsample)
