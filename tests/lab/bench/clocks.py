"""What tests of the bench share: a tiny batch, the names of peers, a fake clock."""

from __future__ import annotations

import itertools

TINY = (4, 3, 8, 8)
PEERS = ("torchvision", "timm", "kornia")


def counting():
    """Make a timer that runs the call and gives 1, 2, 3, ... seconds."""
    ticks = itertools.count(1)

    def timer(call):
        call()
        return float(next(ticks))

    return timer
