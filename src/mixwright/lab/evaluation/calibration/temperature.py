"""Temperature scaling: one number that makes a classifier more or less sure of everything."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mixwright.arguments import check_arguments
from mixwright.lab.evaluation.calibration.reliability import ece, nll
from mixwright.lab.evaluation.predictions import check_logits

LOWEST, HIGHEST = 0.01, 100.0
"""Temperatures are looked for between these."""


@check_arguments
def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature under which held-out labels are most likely.

    Logits are divided by it: above 1 where the model is too sure, below 1 where it is not sure
    enough. It changes no guess, so accuracy stays. To judge it, take other images than those it
    was fitted on.

    Args:
        logits: ``(M, K)`` finite, of images the model was not trained on.
        labels: ``(M,)`` integers in ``[0, K)``.

    Returns:
        The minimum of the mean negative log-likelihood, in [0.01, 100]; at an end of that range
        for a model that is always right, or no better than chance; 1 where none is likelier.

    Raises:
        ValueError: what ``check_logits`` refuses.

    Example:
        >>> sure = torch.tensor([[2.0, 0.0]]).repeat(4, 1)  # 88 % sure, 75 % right
        >>> round(fit_temperature(sure, torch.tensor([0, 0, 0, 1])), 4) == round(2 / math.log(3), 4)
        True

    Source: Guo et al. 2017, arXiv:1706.04599.
    """
    from scipy.optimize import brentq

    check_logits(logits, labels)
    scores = logits.detach().double()
    right = scores.gather(1, labels.long()[:, None]).mean()

    def slope(warmth: float) -> float:
        """Of the likelihood loss by the inverse temperature, in which it is convex."""
        likely = (scores * math.exp(-warmth)).softmax(dim=1)
        return float((likely * scores).sum(dim=1).mean() - right)

    # The slope changes its sign once, so the search cannot be led astray; in logarithms, since the
    # range has four orders of magnitude.
    low, high = math.log(LOWEST), math.log(HIGHEST)
    if slope(low) <= 0:
        best = LOWEST
    elif slope(high) >= 0:
        best = HIGHEST
    else:
        found: Any = brentq(slope, low, high, xtol=1e-13)
        best = math.exp(float(found))
    return min(1.0, best, key=lambda value: nll(scores / value, labels))


@dataclass(frozen=True)
class Rescaled:
    """What temperature scaling makes of a model's test images; None where nothing can be fitted.

    Attributes:
        ece_scaled: expected calibration error of the scaled logits, in [0, 1].
        temperature: that they were divided by; of two halves the geometric mean of theirs.
    """

    ece_scaled: float | None
    temperature: float | None


@check_arguments
def rescale(
    logits: Tensor,
    labels: Tensor,
    *,
    held_out: tuple[Tensor, Tensor] | None = None,
    bins: int = 15,
) -> Rescaled:
    """Return the calibration error after temperature scaling, and the temperature.

    The temperature is fitted on ``held_out``. Without such images the judged ones are fitted on
    in two folds: each half is scaled by the temperature of the other one, and all are judged
    together. Every other image of a class is in the other half, in the order given.

    Args:
        logits: ``(M, K)`` finite, of the images that are judged.
        labels: ``(M,)`` integers in ``[0, K)``.
        held_out: logits and labels of other images that the model was not trained on.
        bins: of the error; see ``ece``.

    Returns:
        the error of the same definition as ``ece`` of the logits as they are. Both are None for a
        single image and no others.

    Raises:
        ValueError: what ``check_logits`` refuses, or ``bins`` below 1.

    Example:
        >>> sure = torch.tensor([[2.0, 0.0]]).repeat(8, 1)  # 88 % sure, 75 % right
        >>> labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
        >>> round(ece(sure, labels), 4), round(rescale(sure, labels).ece_scaled, 4)
        (0.1308, 0.0)

    Source: Guo et al. 2017, arXiv:1706.04599.
    """
    check_logits(logits, labels)
    if held_out is not None:
        temperature = fit_temperature(*held_out)
        return Rescaled(ece(logits.double() / temperature, labels, bins=bins), temperature)
    if len(labels) < 2:
        return Rescaled(None, None)
    by_class = labels.argsort(stable=True)
    one, other = by_class[::2], by_class[1::2]
    found = [fit_temperature(logits[half], labels[half]) for half in (one, other)]
    scaled = torch.empty_like(logits, dtype=torch.float64)
    scaled[other] = logits[other].double() / found[0]
    scaled[one] = logits[one].double() / found[1]
    return Rescaled(ece(scaled, labels, bins=bins), math.sqrt(found[0] * found[1]))
