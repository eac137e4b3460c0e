"""One process or many: their ranks, and what they send each other."""

from __future__ import annotations

import atexit
import gc
import os
import re
import sys
from collections.abc import Callable, Iterable, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The processes of a run, seen from one of them; rank 0 writes and reports.

    Every method must be called by all processes alike; with one process none of them does
    anything. ``local_rank``, the number on its machine, decides the accelerator.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def gather(self, value: T) -> list[T]:
        """Return the values of all processes, by rank."""
        if self.size == 1:
            return [value]
        values: list[T | None] = [None] * self.size
        dist.all_gather_object(values, value)
        return values  # pyright: ignore[reportReturnType]

    def share(self, value: T) -> T:
        """Return the value that rank 0 has."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def first_does(self, action: Callable[[], T]) -> T:
        """Let rank 0 act; all processes receive what it returned, or raise what it raised."""
        if self.size == 1:
            return action()
        outcome: tuple[T] | Exception | None = None
        if self.first:
            try:
                outcome = (action(),)
            except Exception as error:
                outcome = error
        outcome = self.share(outcome)
        if not isinstance(outcome, tuple):
            raise outcome or RuntimeError("rank 0 returned nothing")
        return outcome[0]

    def sum(self, vector: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size > 1:
            vector = vector.clone()
            dist.all_reduce(vector)
        return vector

    def equalise(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite tensors with those of rank 0."""
        if self.size > 1:
            for tensor in tensors:  # in place: the model keeps its tensors
                dist.broadcast(tensor, src=0)

    def device(self, name: torch.device | str) -> torch.device:
        """Return the device of this process: each process of a machine has a CUDA device."""
        device = torch.device(name)
        if str(device) == "cuda":
            return torch.device("cuda", self.local_rank)
        return device


def join(device: torch.device | str) -> World:
    """Join the other processes, where ``torchrun`` or SLURM's ``srun`` started several.

    A group that exists already is used; one that is made here stays until the process ends, since
    launchers let each process meet the others only once. ``cuda`` communicates through NCCL,
    anything else through gloo.
    """
    if not dist.is_available():
        return World()
    if not dist.is_initialized():
        if launched() < 2:
            return World()
        cuda = torch.device(device).type == "cuda"
        if cuda:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(minutes=15))
        atexit.register(_leave)
    local = int(os.environ.get("LOCAL_RANK", "0"))
    return World(rank=dist.get_rank(), size=dist.get_world_size(), local_rank=local)


def launched() -> int:
    """Return how many processes ``torchrun`` or ``srun`` started, before they have met."""
    map_slurm(os.environ)
    return int(os.environ.get("WORLD_SIZE", "1"))


def map_slurm(variables: MutableMapping[str, str]) -> None:
    """Add torch's variables to those of SLURM, where ``srun`` started several processes.

    Variables of torch that are there already stay as they are, so that ``torchrun`` within a
    SLURM job, or an own MASTER_ADDR, is respected. A batch script has SLURM's variables too: start
    the processes with ``srun`` there, or unset SLURM_NTASKS for a single one.

    Example:
        >>> here = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1",
        ...         "SLURM_JOB_NODELIST": "node[07-08]", "SLURM_JOB_ID": "12"}
        >>> map_slurm(here)
        >>> here["RANK"], here["WORLD_SIZE"], here["LOCAL_RANK"], here["MASTER_ADDR"]
        ('3', '4', '1', 'node07')
    """
    needed = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_JOB_NODELIST")
    if "WORLD_SIZE" in variables or any(name not in variables for name in needed):
        return
    if int(variables["SLURM_NTASKS"]) < 2:
        return
    port = 15000 + int(variables.get("SLURM_JOB_ID", "0")) % 15000  # one for each job
    for name, value in {
        "RANK": variables["SLURM_PROCID"],
        "WORLD_SIZE": variables["SLURM_NTASKS"],
        "LOCAL_RANK": variables["SLURM_LOCALID"],
        "MASTER_ADDR": first_host(variables["SLURM_JOB_NODELIST"]),
        "MASTER_PORT": str(port),
    }.items():
        variables.setdefault(name, value)


def first_host(nodes: str) -> str:
    """Return the first name of a SLURM list of nodes.

    Example:
        >>> first_host("gpu[007-009,012],login"), first_host("a1,a2")
        ('gpu007', 'a1')
    """
    first = re.match(r"([^\[,]+)(?:\[([^\],-]+)[^\]]*\]([^,]*))?", nodes)
    return "".join(part or "" for part in first.groups()) if first else nodes


def _leave() -> None:
    """Take the group down at the end of the process."""
    # DDP modules must be gone before: freed after their group, they can wait for a thread of it
    # forever. After an error its traceback still holds them, and the group is left to the system.
    if dist.is_initialized() and getattr(sys, "last_value", None) is None:
        gc.collect()
        dist.destroy_process_group()
