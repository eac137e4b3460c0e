"""Horizontal TokenMixup at one layer: which samples are easy, and their tokens replaced."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mixwright.masks.assignment import assignment
from mixwright.masks.mask_forms import DenseMask
from mixwright.objectives.criteria import CrossEntropy
from mixwright.objectives.tokenmixup.layers import Encoder
from mixwright.plan import MixPlan
from mixwright.precision import drawing

_DIFFICULTY = 0.1
"""A sample's difficulty is this times its cross-entropy; ``tau`` is in its unit."""


class ScoreNet(nn.Module):
    """A small classifier of a layer's tokens, which says which samples are easy.

    It reads the first token; where ``pooled``, for models without a class token, the mean of all by
    learned weights.
    """

    def __init__(self, *, width: int, num_classes: int, pooled: bool) -> None:
        super().__init__()
        self.pool = nn.Linear(width, 1) if pooled else None
        self.head = nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` of tokens ``(B, T, width)``."""
        if self.pool is None:
            return self.head(tokens[:, 0])
        share = self.pool(tokens).float().softmax(dim=1)
        return self.head((share * tokens).sum(dim=1))


@dataclass(frozen=True, slots=True, eq=False)
class TokenPairs:
    """Who gives tokens to whom."""

    partner: Tensor  # (B,) int64, a permutation of the batch
    taken: Tensor  # (B, T) bool, which tokens come from the partner
    weight: Tensor  # (B,) float32 in [0, 1], of the sample's own label

    def tokens(self, tokens: Tensor, *, prefix: int) -> Tensor:
        """Replace those of ``(B, prefix + T, D)`` tokens that are taken; the prefix stays."""
        still = self.taken.new_zeros((len(tokens), prefix))
        taken = torch.cat([still, self.taken], dim=1)[..., None]
        return torch.where(taken, tokens[self.partner], tokens)

    def plan(self) -> MixPlan:
        """Return the same as a plan, of tokens as 1-D images."""
        return MixPlan.pair(self.partner, DenseMask(~self.taken[:, None]), weight=self.weight)


def saliency_pairs(
    saliency: Tensor, easy: Tensor, *, rho: float, official: bool = False
) -> TokenPairs:
    """Pair easy samples with others that have more salient tokens, and say which they take.

    Sample j would give to i ``sum_t max(0, a_j(t) - a_i(t) - rho)`` of saliencies a ``(B, T)``.
    Everyone who is ``easy`` gets a partner of its own such that the sum of these gains is large,
    and takes from it the tokens with ``a_j(t) - a_i(t) > rho``; with ``official``, those that are
    more salient than the first easy sample's. Its label weighs by the saliency that is left of its
    own.

    Example:
        >>> saliency = torch.tensor([[0.2, 0.0], [0.1, 0.8]])
        >>> pairs = saliency_pairs(saliency, torch.tensor([True, True]), rho=0.05)
        >>> pairs.taken.tolist(), [round(weight, 3) for weight in pairs.weight.tolist()]
        ([[False, True], [True, False]], [0.2, 0.8])
    """
    with drawing(saliency):
        own = saliency.detach().float()
        # Summed over tokens, max(0, u) is (u + |u|) / 2: a distance, with no (B, B, T) in memory.
        least = own + rho
        gap = own.sum(dim=1) - least.sum(dim=1)[:, None]
        gain = (gap + torch.cdist(least, own, p=1)).div(2).clamp_min(0)
        partner = assignment(gain * easy[:, None])
        other = own[partner]
        rival = own[easy.long().argmax(keepdim=True)] if official else own
        taken = (other - rival > rho) & easy[:, None]
        mine = own.masked_fill(taken, 0).sum(dim=1)
        theirs = other.masked_fill(~taken, 0).sum(dim=1)
        whole = mine + theirs
        weight = torch.where(whole > 0, mine / whole.clamp_min(1e-30), 1.0)
    return TokenPairs(partner, taken, weight)


@dataclass(eq=False)
class Horizontal:
    """What happens to the tokens that enter a layer, for one batch; given to ``changing_input``."""

    encoder: Encoder
    score: ScoreNet
    targets: Tensor  # (B, K) floating, of the images that the model sees
    _: KW_ONLY
    tau: float  # difficulty up to which a sample is easy
    rho: float  # least difference of saliency
    smoothing: float  # label smoothing of the ScoreNet's loss
    detached: bool  # whether to keep the ScoreNet's loss from the model
    official: bool  # see ``saliency_pairs``
    mixing: bool  # whether to mix; otherwise samples are scored alone
    losses: Tensor | None = field(init=False, default=None)  # (B,) of the ScoreNet, once it ran
    pairs: TokenPairs | None = field(init=False, default=None)  # None where nothing was mixed

    def __call__(self, tokens: Tensor, *more: Any, **named: Any) -> Tensor:
        """Score the tokens ``(B, T, D)`` that enter the layer, and mix those of easy samples."""
        scored = self.score(tokens.detach() if self.detached else tokens)
        self.losses = CrossEntropy(self.smoothing)(scored, self.targets)
        if not self.mixing:
            return tokens
        with torch.no_grad():
            easy = _DIFFICULTY * self.losses <= self.tau
            attended = self.encoder.attended(tokens.detach(), *more, **named)
            saliency = self.encoder.saliency(attended)
        self.pairs = saliency_pairs(saliency, easy, rho=self.rho, official=self.official)
        return self.pairs.tokens(tokens, prefix=self.encoder.prefix(tokens))

    def scored(self) -> Tensor:
        """Return the mean of the ScoreNet's losses, 0-d."""
        if self.losses is None:
            raise ValueError(
                f"TokenMixup: layer {self.encoder.name!r} did not run; expected a forward that "
                "runs it."
            )
        return self.losses.mean()
