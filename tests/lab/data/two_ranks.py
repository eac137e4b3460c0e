"""A set that two processes train on together, and what each of them reads of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from lab.training.ranks import fork, wait_for
from mixwright.lab.data import Batches, Dataset, LazyImages

EPOCHS = 2


def read_by_two(
    load: Callable[[int], Dataset], seen: list[int], folder: Path
) -> list[list[list[int]]]:
    """Read each epoch in two real processes; return by epoch what rank 0 and rank 1 read.

    ``load`` is given the rank; ``seen`` grows by what this process reads while it reads it.
    """

    def read(rank: int) -> None:
        data = load(rank)
        assert isinstance(data.train, LazyImages)
        data.train.workers = 0
        batches = Batches(
            data.train, batch_size=2, device="cpu", augment=None, shuffle=True, rank=rank, world=2
        )
        for epoch in range(EPOCHS):
            seen.clear()
            shown = [x for x, _ in batches.epoch(torch.Generator().manual_seed(epoch))]
            assert len(torch.cat(shown)) == len(seen)
            (folder / f"{rank}-{epoch}").write_text(json.dumps(seen))

    children = [fork(lambda rank=rank: read(rank), {}) for rank in range(2)]
    assert [wait_for(child) for child in children] == [0, 0]
    return [
        [json.loads((folder / f"{rank}-{epoch}").read_text()) for rank in range(2)]
        for epoch in range(EPOCHS)
    ]
