"""Which of the processes of a distributed run this one is."""

from __future__ import annotations

import os

import torch


def known_rank() -> int | None:
    """Give the rank of an initialised ``torch.distributed``, or of the variable ``RANK``."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank()
    rank = os.environ.get("RANK")  # torchrun's, before the group is made
    return None if rank is None else int(rank)
