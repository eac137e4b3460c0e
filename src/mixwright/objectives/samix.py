"""SAMix: AutoMix with a network that sees both images in its keys, and a loss on other classes."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from mixwright.arguments import check_number
from mixwright.masknets import PairBlock
from mixwright.mixers.cards import Card
from mixwright.objectives.learned_pairs import LearnedPairs
from mixwright.plan import MixPlan


@dataclass(kw_only=True, eq=False, repr=False)
class SAMix(LearnedPairs):
    """Mix by learned masks, of a block that reads both images, multiplied by a curve of the share.

    The step is AutoMix's. The block is ``masknets.PairBlock``: features are multiplied by a curve
    of the share, keys and queries are made of both images side by side, values by two layers. The
    penalty asks masks to vary, too. What the block follows is balanced between the two mixed
    classes and all others: the teacher's loss plus ``eta`` times how much the teacher believes in
    classes that are in neither image.

    Settings that the learned mixers share are those of ``objectives.learned_pairs.LearnedPairs``
    and ``objectives.learning.Learning``.

    Args:
        eta: of the term on all other classes, at least 0.
        residual: bends the curve of the share, above -1/3 (0.25 on CIFAR and Tiny-ImageNet); None
            for the share itself.
        dropout: of the block's values, in [0, 1); 0.1 for large images.

    Raises:
        ValueError: see ``objectives.learning.Learning``.

    Example:
        >>> import torch
        >>> conv = [torch.nn.Conv2d(i, o, 3, 2, padding=1) for i, o in ((3, 8), (8, 8), (8, 16))]
        >>> stages = [torch.nn.Sequential(c, torch.nn.BatchNorm2d(c.out_channels)) for c in conv]
        >>> model = torch.nn.Sequential(*stages, torch.nn.Flatten(), torch.nn.Linear(16 * 16, 5))
        >>> objective = SAMix(image_size=32)
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

    card = Card(
        title="SAMix",
        paper="Li et al., 2021",
        link="https://arxiv.org/abs/2111.15454",
        needs="model",
        cost="a block of attention on one map, twice",
        forwards=4,
        backwards=2,
        input_backwards=1,
        note="AutoMix with a block that reads both images and gets the share as a factor.",
        labels="share",
        formula="lam ~ Beta(alpha, alpha),  z, z' = the teacher's features times a curve of lam "
        "and 1 - lam\n"
        "M = mask network(z, z'), enlarged\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = lam y + (1 - lam) y'\n"
        "loss = AutoMix's, where the network also learns eta times the belief in classes of "
        "neither image",
        limits="Costs as AutoMix, and is judged by its teacher as AutoMix is; the weight of "
        "classes that are in neither image is one more to set.",
        cites=("li2021samix",),
    )

    eta: float = 0.5
    residual: float | None = 0.25
    dropout: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_number("SAMix", "eta", self.eta)

    def make_network(self, channels: int) -> PairBlock:
        """See ``Learning.make_network``."""
        return PairBlock(channels, k=self.residual, dropout=self.dropout, upsample=self.upsample)

    def network_loss(self, plan: MixPlan, logits: Tensor, labels: Tensor) -> Tensor:
        """See ``LearnedPairs.network_loss``; adds the term on all other classes."""
        local = super().network_loss(plan, logits, labels)
        if self.eta == 0:
            return local
        return local + self.eta * absent_class_loss(logits, plan.targets(labels, logits.shape[1]))


def absent_class_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return how much a model believes in classes that neither image shows, in nats, 0-d.

    It is the mean over samples, and over classes of weight 0 in ``targets`` ``(B, K)``, of
    ``-log(1 - sigmoid(logit))``.

    Example:
        >>> import torch
        >>> logits, targets = torch.zeros(1, 3), torch.tensor([[0.4, 0.6, 0.0]])
        >>> round(float(absent_class_loss(logits, targets)), 4)  # ln 2
        0.6931
    """
    absent = (targets == 0).float()
    each = F.softplus(logits.float()) * absent
    return (each.sum(dim=1) / absent.sum(dim=1).clamp_min(1)).mean()
