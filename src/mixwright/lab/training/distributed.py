"""One process or many: their ranks, and what they send each other."""

from __future__ import annotations

import atexit
import contextlib
import gc
import logging
import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from mixwright.lab.training.folder import RunError

_TIMEOUT = timedelta(minutes=15)  # of meeting, and of waiting for each other later
_PATIENCE = 60.0  # seconds until a process that waits for the others says so

_LOG = logging.getLogger(__name__)

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

    Raises:
        RunError: the launcher's variables do not say who this is, or the others were not met.
    """
    if not dist.is_available():
        return World()
    if not dist.is_initialized():
        if launched() < 2:
            return World()
        _meet(torch.device(device))
        atexit.register(_leave)
    return World(rank=dist.get_rank(), size=dist.get_world_size(), local_rank=_local_rank())


def launched() -> int:
    """Return how many processes ``torchrun`` or ``srun`` started, before they have met.

    Raises:
        RunError: the launcher's variable is no such number.
    """
    map_slurm(os.environ)
    return _whole(os.environ, "WORLD_SIZE", low=1) if "WORLD_SIZE" in os.environ else 1


@contextlib.contextmanager
def others_may_be_lost() -> Generator[None]:
    """Say it in a sentence where another process of the run is gone: all must be started again.

    Raises:
        RunError: in place of what the backend raised.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, dist.DistError) and "gloo" not in str(error).lower():
            raise
        raise RunError(
            f"another process of this run was lost ({_line(error)}); expected all of them to the "
            "end. Look at what it printed, then start all of them again: the run goes on after the "
            "last epoch that it finished."
        ) from error


def _meet(device: torch.device) -> None:
    """Make the group of all processes.

    Raises:
        RunError: see ``join``.
    """
    size, here = launched(), os.environ
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in here]
    if missing:
        raise RunError(
            f"WORLD_SIZE is {size}, and there is no {', '.join(missing)}; expected what torchrun "
            "or srun sets in each process. Start them with one of these, or unset WORLD_SIZE for "
            "a single process."
        )
    rank = _whole(here, "RANK", low=0, high=size - 1)
    master, port = here["MASTER_ADDR"], _whole(here, "MASTER_PORT", low=1, high=65535)
    if not _resolves(master):
        raise RunError(
            f"MASTER_ADDR is {master}, a name that this host cannot look up; expected the host of "
            f"rank 0. Give its IP address instead: MASTER_ADDR=10.0.0.1, say, in all {size} "
            "processes."
        )
    if device.type == "cuda":
        torch.cuda.set_device(_local_rank())
    late = threading.Timer(
        _PATIENCE,
        _LOG.warning,
        args=(
            "rank %d is waiting at %s:%d for the other processes, %d in all; each needs to be "
            "started (a batch script of SLURM does that with srun).", rank, master, port, size,
        ),
    )  # fmt: skip
    late.daemon = True
    late.start()
    try:
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=_TIMEOUT)
    except RuntimeError as error:
        raise RunError(
            f"rank {rank} did not meet the other processes, {size} in all, at {master}:{port} "
            f"({_line(error)}). Start all of them within {_TIMEOUT.seconds // 60} minutes, each "
            "with a number of its own, where they can reach that address; GLOO_SOCKET_IFNAME or "
            "NCCL_SOCKET_IFNAME names the network to take."
        ) from error
    finally:
        late.cancel()


def _local_rank() -> int:
    return _whole(os.environ, "LOCAL_RANK", low=0) if "LOCAL_RANK" in os.environ else 0


def _whole(variables: Mapping[str, str], name: str, *, low: int, high: int | None = None) -> int:
    """Return the whole number in a variable of the launcher.

    Raises:
        RunError: it holds something else.
    """
    text = variables[name]
    value = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else -1
    if value < low or (high is not None and value > high):
        most = "" if high is None else f" to {high}" if high > low else ""
        least = "at least " if high is None else ""
        raise RunError(
            f"{name} is {text!r}; expected a whole number, {least}{low}{most}, as torchrun and "
            "srun set it. Unset it where they did not."
        )
    return value


def _line(error: BaseException) -> str:
    """The first line of an error, as short as can be."""
    return str(error).strip().partition("\n")[0].rstrip(". ")


def _resolves(host: str) -> bool:
    """Whether a name can be looked up; a name server that is too busy is asked again."""
    for wait in (1.0, 2.0, 0.0):
        try:
            socket.getaddrinfo(host, None)
        except socket.gaierror as error:
            if error.errno != socket.EAI_AGAIN:
                return False
            time.sleep(wait)
        else:
            return True
    return False


def map_slurm(variables: MutableMapping[str, str]) -> None:
    """Add torch's variables to those of SLURM, where ``srun`` started several processes.

    Variables of torch that are there already stay as they are, so that ``torchrun`` within a
    SLURM job, or an own MASTER_ADDR, is respected. Rank 0 is on the first host of the step, or,
    where its name cannot be looked up, at the address from which the step was started. A batch
    script has SLURM's variables too: start the processes with ``srun`` there, or unset
    SLURM_NTASKS for a single one.

    Raises:
        RunError: a variable that should be a number is none.

    Example:
        >>> here = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4", "SLURM_LOCALID": "1",
        ...         "SLURM_JOB_NODELIST": "node[07-08]", "SLURM_JOB_ID": "12"}
        >>> map_slurm(here)
        >>> here["RANK"], here["WORLD_SIZE"], here["LOCAL_RANK"], here["MASTER_ADDR"]
        ('3', '4', '1', 'node07')
    """
    needed = ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID")
    if "WORLD_SIZE" in variables or any(name not in variables for name in needed):
        return
    if _whole(variables, "SLURM_NTASKS", low=1) < 2:
        return
    job, step = variables.get("SLURM_JOB_ID", "0"), variables.get("SLURM_STEP_ID", "0")
    # One for each job, and for each step of a job: several may run side by side on a host.
    port = 15000 + (int(job) + 997 * int(step)) % 15000 if (job + step).isdigit() else 15000
    for name, value in {
        "RANK": variables["SLURM_PROCID"],
        "WORLD_SIZE": variables["SLURM_NTASKS"],
        "LOCAL_RANK": variables["SLURM_LOCALID"],
        "MASTER_PORT": str(port),
    }.items():
        variables.setdefault(name, value)
    if "MASTER_ADDR" not in variables and (host := _rank_0(variables)):
        variables["MASTER_ADDR"] = host


def _rank_0(variables: Mapping[str, str]) -> str:
    """The host of rank 0 as SLURM tells it; empty where it does not."""
    # A step may run on a part of the job's hosts.
    nodes = variables.get("SLURM_STEP_NODELIST") or variables.get("SLURM_JOB_NODELIST", "")
    launcher = variables.get("SLURM_LAUNCH_NODE_IPADDR", "")
    host = first_host(nodes) if nodes else ""
    return launcher if launcher and not (host and _resolves(host)) else host


def first_host(nodes: str) -> str:
    """Return the first name of a SLURM list of nodes.

    Example:
        >>> first_host("gpu[007-009,012],login"), first_host("a1,a2")
        ('gpu007', 'a1')
    """
    first = next(iter(re.split(r",(?![^\[]*\])", nodes)))  # a comma that is in no brackets
    return re.sub(r"\[([^\],-]+)[^\]]*\]", r"\1", first).strip()


def _leave() -> None:
    """Take the group down at the end of the process."""
    # DDP modules must be gone before: freed after their group, they can wait for a thread of it
    # forever. After an error its traceback still holds them, and the group is left to the system.
    if dist.is_initialized() and getattr(sys, "last_value", None) is None:
        gc.collect()
        dist.destroy_process_group()
