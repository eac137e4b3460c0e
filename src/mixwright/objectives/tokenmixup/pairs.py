"""Tokens of one sample replaced by more salient ones of another: who, which, and whose label."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from mixwright.masks.assignment import assignment
from mixwright.masks.mask_forms import DenseMask
from mixwright.plan import MixPlan
from mixwright.precision import drawing


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
