"""Whether a method moves the input gradients where its second moments say so."""

from __future__ import annotations

import torch
from torch import Tensor


def rank_correlation(coefficients: Tensor, change: Tensor) -> float:
    """Return Spearman's correlation over offsets between two maps; a description, not a test.

    Meant for the map a(p) of a method and the change that it made to the mean product of input
    gradients p apart, relative to training without mixing (``map / map_of_none - 1``). The more a
    pair of pixels weighs in the regulariser, the more its product should fall: a correlation near
    -1 is what the analysis predicts; for MixUp, whose map is flat, it predicts nothing. Offsets
    depend on each other, so there is no honest p-value.

    Both maps are ``(2H - 1, 2W - 1)``; NaN in ``change`` leaves an offset out. Of two opposite
    offsets one counts, ties share their mean rank, and a map that is the same everywhere gives NaN.

    Example:
        >>> near = torch.tensor([[1.0, 2.0, 3.0, 2.0, 1.0]])
        >>> round(rank_correlation(near, -(near**2)), 6)
        -1.0
    """
    from scipy.stats import rankdata

    if coefficients.shape != change.shape or coefficients.ndim != 2:
        raise ValueError(
            f"rank_correlation: maps of shapes {tuple(coefficients.shape)} and "
            f"{tuple(change.shape)}; expected two of one shape (2H - 1, 2W - 1)."
        )
    half = coefficients.numel() // 2 + 1  # maps are symmetric: the rest says the same again
    first, second = (map_.flatten()[:half].double().cpu() for map_ in (coefficients, change))
    known = first.isfinite() & second.isfinite()
    ranks = (rankdata(values[known].numpy()) for values in (first, second))  # ties share the mean
    first, second = map(torch.from_numpy, ranks)
    first, second = first - first.mean(), second - second.mean()
    length = float(first.norm() * second.norm())
    return float(first @ second) / length if length else float("nan")
