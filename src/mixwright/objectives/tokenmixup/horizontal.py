"""Horizontal TokenMixup at one layer: which samples are easy, and their tokens replaced."""

from __future__ import annotations

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

    Args:
        width: length of a token.
        num_classes: K.
        pooled: whether to classify the mean of all tokens by learned weights, for models without
            a class token; otherwise the first token is classified.
    """

    def __init__(self, *, width: int, num_classes: int, pooled: bool) -> None:
        super().__init__()
        self.pool = nn.Linear(width, 1) if pooled else None
        self.head = nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """Give logits ``(B, num_classes)`` of tokens ``(B, T, width)``."""
        if self.pool is None:
            return self.head(tokens[:, 0])
        share = self.pool(tokens).float().softmax(dim=1)
        return self.head((share * tokens).sum(dim=1))


class Horizontal:
    """What happens to the tokens that enter a layer, for one batch; given to ``entering``.

    Args:
        encoder: the layer.
        score: its ScoreNet.
        targets: ``(B, K)`` floating, of the images that the model sees.
        tau: difficulty up to which a sample is easy.
        rho: least difference of saliency.
        smoothing: label smoothing of the ScoreNet's loss.
        detached: whether to keep the ScoreNet's loss from the model.
        official: see ``saliency_pairs``.
        mixing: whether to mix; otherwise samples are scored alone.

    Attributes:
        losses: ``(B,)`` float32, the ScoreNet's; None before the layer has run.
        pairs: what was mixed; None where nothing was.
    """

    def __init__(
        self,
        encoder: Encoder,
        score: ScoreNet,
        targets: Tensor,
        *,
        tau: float,
        rho: float,
        smoothing: float,
        detached: bool,
        official: bool,
        mixing: bool,
    ) -> None:
        self.encoder = encoder
        self.score = score
        self.targets = targets
        self.tau = tau
        self.rho = rho
        self.criterion = CrossEntropy(smoothing)
        self.detached = detached
        self.official = official
        self.mixing = mixing
        self.losses: Tensor | None = None
        self.pairs: TokenPairs | None = None

    def __call__(self, tokens: Tensor, *more: Any, **named: Any) -> Tensor:
        """Score the tokens ``(B, T, D)`` that enter the layer, and mix those of easy samples."""
        scored = self.score(tokens.detach() if self.detached else tokens)
        self.losses = self.criterion(scored, self.targets)
        if not self.mixing:
            return tokens
        with torch.no_grad():
            easy = _DIFFICULTY * self.losses <= self.tau
            attended = self.encoder.attended(tokens.detach(), *more, **named)
            saliency = self.encoder.saliency(attended)
        self.pairs = saliency_pairs(saliency, easy, rho=self.rho, official=self.official)
        return self.pairs.tokens(tokens, prefix=self.encoder.prefix(tokens))

    def scored(self) -> Tensor:
        """Give the mean of the ScoreNet's losses, 0-d.

        Raises:
            ValueError: the layer has not run.
        """
        if self.losses is None:
            raise ValueError(
                f"TokenMixup: layer {self.encoder.name!r} did not run; expected a forward that "
                "runs it."
            )
        return self.losses.mean()
