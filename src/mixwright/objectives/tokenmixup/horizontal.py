"""Horizontal TokenMixup at one layer: which samples are easy, and their tokens replaced."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mixwright.objectives.criteria import CrossEntropy
from mixwright.objectives.tokenmixup.layers import Encoder
from mixwright.objectives.tokenmixup.pairs import TokenPairs, saliency_pairs

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
