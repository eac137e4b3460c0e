"""Rows of a set that are kept, the same in every run."""

import torch
from torch import Tensor

from mixwright.lab.data.errors import DataError

SUBSET_SEED = 20_180_216
"""Seed of every choice of rows; a run's own seed never changes which images it sees."""


def stratified_rows(labels: Tensor, size: int, *, seed: int = SUBSET_SEED) -> Tensor:
    """Return ``(size,)`` rows, rising, among which each class keeps its share.

    Each class gives its share of ``size``, rounded so that the sum is right (largest remainder;
    of equal ones the larger class, then the lower label, comes first), and at least one row where
    ``size`` allows it. Within a class, rows are drawn at random; a larger part of the same labels
    holds the smaller one where the classes' numbers do.

    Example:
        >>> labels = torch.tensor([0, 0, 0, 0, 1, 1])
        >>> labels[stratified_rows(labels, 3)].tolist()
        [0, 0, 1]
    """
    if not 1 <= size <= len(labels):
        raise DataError(
            f"train_size is {size}; expected between 1 and {len(labels)}, the number of images "
            "there are to choose from."
        )
    counts = labels.bincount().tolist()
    shares = _shares(counts, size)
    rng = torch.Generator().manual_seed(seed)
    chosen: list[Tensor] = []
    for label, share in enumerate(shares):
        rows = (labels == label).nonzero()[:, 0]
        chosen.append(rows[torch.randperm(len(rows), generator=rng)[:share]])
    return torch.cat(chosen).sort().values


def train_rows(labels: Tensor, size: int | None) -> tuple[Tensor, str]:
    """Return the rows to train on, ``size`` of them or all, and a clause for the note."""
    if size is None:
        return torch.arange(len(labels)), ""
    rows = stratified_rows(labels, size)
    return rows, f", {len(rows):,} of {len(labels):,} images to train on, a fixed choice"


def class_turns(labels: Tensor) -> Tensor:
    """Return all ``(M,)`` rows in an order in which the classes take turns, each in its own order.

    The first rows of it are a fair part of any set, also of one that lies sorted by class, and a
    longer part holds every shorter one.

    Example:
        >>> class_turns(torch.tensor([0, 0, 0, 1, 1])).tolist()
        [0, 3, 1, 4, 2]
    """
    by_class = labels.argsort(stable=True)
    counts = labels.bincount()
    first = counts.cumsum(0) - counts
    turn = torch.empty_like(labels)
    turn[by_class] = torch.arange(len(labels)) - first[labels[by_class]]
    return (turn * len(counts) + labels).argsort(stable=True)


def split_rows(labels: Tensor, *, test_share: float = 0.2) -> tuple[Tensor, Tensor]:
    """Return rows to train on and rows to test on, rising; together they are all rows.

    ``test_share`` of each class, in (0, 1), is held out. A class of two images or more has at
    least one on either side.

    Example:
        >>> train, test = split_rows(torch.zeros(10, dtype=torch.int64))
        >>> len(train), len(test)
        (8, 2)
    """
    rng = torch.Generator().manual_seed(SUBSET_SEED)
    held = torch.zeros(len(labels), dtype=torch.bool)
    for label in range(int(labels.max()) + 1):
        rows = (labels == label).nonzero()[:, 0]
        count = round(len(rows) * test_share)
        if len(rows) > 1:
            count = min(max(count, 1), len(rows) - 1)
        held[rows[torch.randperm(len(rows), generator=rng)[:count]]] = True
    return (~held).nonzero()[:, 0], held.nonzero()[:, 0]


def _shares(counts: list[int], size: int) -> list[int]:
    """Return how many rows each class gives: whole numbers in proportion to ``counts``."""
    total = sum(counts)
    shares = [size * count // total for count in counts]
    if size >= sum(count > 0 for count in counts):
        shares = [max(share, min(count, 1)) for share, count in zip(shares, counts, strict=True)]
    while sum(shares) != size:
        # How far each class is from its exact share; integers, so that ties are ties.
        lack = [size * count - share * total for share, count in zip(shares, counts, strict=True)]
        if sum(shares) < size:
            pick = max(range(len(counts)), key=lambda k: (lack[k], counts[k], -k))
            shares[pick] += 1
        else:
            spare = [k for k in range(len(counts)) if shares[k] > 1]
            pick = min(spare, key=lambda k: (lack[k], -counts[k], k))
            shares[pick] -= 1
    return shares
