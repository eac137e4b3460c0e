"""Per-sample losses that ``MixPlan.loss`` mixes; all are linear in the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from mixwright.arguments import check_settings

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Takes logits ``(B, K)`` and labels ``(B,)`` or ``(B, K)``; returns ``(B,)``."""

if TYPE_CHECKING:
    CriterionOrNone = Criterion  # once an objective is made
else:
    CriterionOrNone = Criterion | None
"""A field of an objective, in which None stands for the cross-entropy."""


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross-entropy, one value a sample, in nats.

    Args:
        label_smoothing: share of each target spread evenly over all classes, in [0, 1).

    Raises:
        ValueError: ``label_smoothing`` is out of range.

    Example:
        >>> each = CrossEntropy()(torch.zeros(2, 4), torch.tensor([0, 3]))
        >>> [round(loss, 4) for loss in each.tolist()]  # ln 4
        [1.3863, 1.3863]
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self)
        _check_smoothing("CrossEntropy", self.label_smoothing)

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return ``(B,)`` float32 losses of logits ``(B, K)`` and labels ``(B,)`` or ``(B, K)``."""
        return F.cross_entropy(
            logits.float(), labels, reduction="none", label_smoothing=self.label_smoothing
        )


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Sigmoid cross-entropy of each class against the rest, averaged over classes, in nats.

    The loss of "ResNet strikes back" (arXiv:2110.00476) and of most vision transformer recipes.
    timm averages likewise; sums over classes need a learning rate K times smaller.

    Args:
        label_smoothing: share of each target spread evenly over all classes, in [0, 1).

    Raises:
        ValueError: ``label_smoothing`` is out of range.

    Example:
        >>> each = BinaryCrossEntropy()(torch.zeros(1, 4), torch.tensor([2]))
        >>> [round(loss, 4) for loss in each.tolist()]  # ln 2
        [0.6931]
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self)
        _check_smoothing("BinaryCrossEntropy", self.label_smoothing)

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return ``(B,)`` float32 losses of logits ``(B, K)`` and labels ``(B,)`` or ``(B, K)``."""
        classes = logits.shape[1]
        targets = labels.float() if labels.ndim == 2 else F.one_hot(labels, classes).float()
        if self.label_smoothing:
            targets = torch.lerp(
                targets, torch.full_like(targets, 1 / classes), self.label_smoothing
            )
        each = F.binary_cross_entropy_with_logits(logits.float(), targets, reduction="none")
        return each.mean(dim=1)


def _check_smoothing(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"{name}: label_smoothing is {value!r}; expected a number in [0, 1).")
