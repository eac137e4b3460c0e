"""How different the mixtures are that a mixer makes of one and the same images.

States are what is compared: epochs of a mixer that learns, or independent draws of one that does
not. Everything else, the images and the share asked for, is held fixed.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def mask_diversity(masks: Tensor) -> Tensor:
    """Return how much of a mixture belongs to another source in another state, ``(P,)`` in [0, 1].

    The mean over all pairs of states of ``sum_n |M_n - M'_n| / 2``, averaged over pixels: for two
    sources that is the mean of ``|M - M'|``. Masks ``(T, P, N, *spatial)`` in [0, 1] are T states,
    at least 2, of P mixtures of N sources, the n-th source the same in each state.

    Example:
        >>> mask = torch.rand(3, 8, 8)
        >>> both = torch.stack([mask, 1 - mask], dim=1)  # two sources of three mixtures
        >>> turned = mask_diversity(torch.stack([both, both.flip(1)]))
        >>> torch.allclose(turned, (2 * mask - 1).abs().double().mean(dim=(1, 2)))
        True

    Source: the comparison over epochs of Qin et al., "Adversarial AutoMixup", ICLR 2024,
    arXiv:2312.11954, which shows pictures and gives no number.
    """
    _check("mask_diversity", masks, least=4, expected="(T, P, N, *spatial)")
    return _pairwise(masks, lambda a, b: (a - b).abs().sum(dim=1).flatten(1).mean(dim=1) / 2)


def iou_diversity(masks: Tensor, *, threshold: float = 0.5) -> Tensor:
    """Return one minus the mean IoU of the first source's regions, ``(P,)`` in [0, 1].

    A region is where its mask, see ``mask_diversity``, is above ``threshold`` in [0, 1). Two empty
    regions count as the same, an empty and another as wholly different.

    Example:
        >>> left, right = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0]] * 2)
        >>> states = torch.stack([left, right, left, left])[:, None, None]
        >>> iou_diversity(states).tolist()  # three of six pairs of states have nothing in common
        [0.5]
    """
    _check("iou_diversity", masks, least=4, expected="(T, P, N, *spatial)")
    if not 0 <= threshold < 1:
        raise ValueError(f"iou_diversity: threshold is {threshold}; expected it in [0, 1).")
    regions = (masks[:, :, 0] > threshold).flatten(2)

    def apart(a: Tensor, b: Tensor) -> Tensor:
        union = (a | b).sum(dim=1).double()
        shared = (a & b).sum(dim=1).double()
        return torch.where(union > 0, 1 - shared / union.clamp_min(1), 0.0)

    return _pairwise(regions, apart)


def pixel_diversity(images: Tensor) -> Tensor:
    """Return mean distances of pixels of ``(T, P, C, H, W)`` between states, ``(P,)``, [0, 1]."""
    _check("pixel_diversity", images, least=3, expected="(T, P, C, H, W)")
    return _pairwise(images, lambda a, b: (a - b).abs().flatten(1).mean(dim=1))


def cosine_diversity(features: Tensor) -> Tensor:
    """Return the mean cosine distance of features ``(T, P, D)`` in two states, ``(P,)`` in [0, 2].

    Features of length 0 are at distance 1 from all others.

    Example:
        >>> cosine_diversity(torch.eye(3)[:, None])
        tensor([1.], dtype=torch.float64)
    """
    _check("cosine_diversity", features, least=3, expected="(T, P, D)")
    unit = F.normalize(features.double(), dim=2)
    return _pairwise(unit, lambda a, b: (1 - (a * b).sum(dim=1)).clamp_min(0))


def vendi_score(features: Tensor) -> Tensor:
    """Return the effective number of different samples among m, from 1 to m (all orthogonal).

    The exponential of the entropy of the eigenvalues of ``K / m``, K the cosines of all pairs;
    features ``(..., m, D)`` give ``(...)`` float64.

    Example:
        >>> [round(float(vendi_score(x)), 6) for x in (torch.eye(5), torch.ones(5, 3))]
        [5.0, 1.0]

    Source: Friedman and Dieng, "The Vendi Score: A Diversity Evaluation Metric for Machine
    Learning", 2022, arXiv:2210.02410.
    """
    if features.ndim < 2 or features.shape[-2] < 1:
        raise ValueError(
            f"vendi_score: features have shape {tuple(features.shape)}; expected (..., m, D) with "
            "m at least 1."
        )
    unit = F.normalize(features.double(), dim=-1)
    kernel = unit @ unit.transpose(-2, -1) / features.shape[-2]
    values = torch.linalg.eigvalsh(kernel).clamp_min(0)
    values = values / values.sum(dim=-1, keepdim=True).clamp_min(1e-300)
    return torch.special.entr(values).sum(dim=-1).exp()


def pair_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """Return ``(M,)`` bool, where a classifier's first guesses are the classes that were mixed.

    For a mixture of two classes: whether its two first guesses are these two. It guards numbers of
    diversity, which noise would win. Ties go to the lower class index; classes with a weight above
    0 in ``targets`` ``(M, K)`` were mixed.

    Example:
        >>> logits, targets = torch.tensor([[2.0, 0.0, 1.0]]), torch.tensor([[0.5, 0.0, 0.5]])
        >>> pair_accuracy(logits, targets).item()
        True
    """
    mixed = targets > 0
    if logits.shape != targets.shape or logits.ndim != 2 or not bool(mixed.any(dim=1).all()):
        raise ValueError(
            f"pair_accuracy: logits are {tuple(logits.shape)} and targets {tuple(targets.shape)}; "
            "expected both (M, K), and at least one class of weight above 0 in each row."
        )
    order = logits.argsort(dim=1, descending=True, stable=True)
    ranked = mixed.gather(1, order)
    count = mixed.sum(dim=1, keepdim=True)
    first = torch.arange(logits.shape[1], device=logits.device) < count
    return (ranked == first).all(dim=1)


def _pairwise(states: Tensor, distance: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Average a distance of two states, ``(P,)``, over all pairs of them."""
    count = len(states)
    total = torch.zeros(states.shape[1], dtype=torch.float64, device=states.device)
    for first in range(count):
        for second in range(first + 1, count):
            total += distance(states[first], states[second]).double()
    return total / (count * (count - 1) / 2)


def _check(name: str, states: Tensor, *, least: int, expected: str) -> None:
    if states.ndim < least or len(states) < 2:
        raise ValueError(
            f"{name}: got {tuple(states.shape)}; expected {expected} with at least two states."
        )
