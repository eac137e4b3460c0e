"""What executors give a run: ``--executor`` and ``--resources`` as people write them.

Nothing is imported here, so that a wrong word is told at once.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from mixwright.arguments import did_you_mean
from mixwright.lab.settings import field_types, option_pairs, read_value

Name = Literal["local", "ray", "slurm"]


@dataclass(frozen=True, kw_only=True)
class RayResources:
    """What Ray gives a run.

    Attributes:
        cpus: processors, or a share of one; also the threads of a run, at least one.
        gpus: GPUs, or a share of one, such as 0.5: two runs on a GPU.
        memory: GiB; None for what is there.
        address: of the cluster; None for that of RAY_ADDRESS, the one that runs on this machine, or
            a new one on this machine alone.
    """

    cpus: float = 1.0
    gpus: float = 0.0
    memory: float | None = None
    address: str | None = None


@dataclass(frozen=True, kw_only=True)
class SlurmResources:
    """What SLURM gives a run.

    Attributes:
        cpus: processors; also the threads of a run.
        gpus: whole GPUs.
        memory: GiB; None for the partition's default.
        time: minutes, ``H:MM:SS`` or ``D-HH:MM:SS``; None for 60 minutes. A run that needs longer
            goes on in another job.
        partition, account, qos, constraint: as sbatch has them.
        cluster: ``local`` for processes on this machine in SLURM's place, to try it out.
    """

    cpus: int = 1
    gpus: int = 0
    memory: float | None = None
    time: str | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    cluster: Literal["slurm", "local"] = "slurm"

    @property
    def minutes(self) -> int:
        """The time of a job, in whole minutes."""
        return 60 if self.time is None else _minutes(self.time)


Resources = RayResources | SlurmResources
_TAKES: dict[str, type[Any]] = {"ray": RayResources, "slurm": SlurmResources}


def read_resources(executor: Name, text: str | None) -> Resources | None:
    """Read ``--resources`` for an executor; None for the local pool, which takes none.

    Raises:
        ValueError: the text is not understood, or asks for what the executor cannot use.

    Example:
        >>> read_resources("ray", "cpus=2,gpus=0.5")
        RayResources(cpus=2.0, gpus=0.5, memory=None, address=None)
    """
    if executor not in get_args(Name):
        raise ValueError(f"--executor is {executor}; expected {', '.join(get_args(Name))}.")
    if executor == "local":
        if text is not None:
            raise ValueError(
                "--resources does nothing with --executor local, whose runs share this machine; "
                "give --workers, or another --executor."
            )
        return None
    cls = _TAKES[executor]
    kinds = field_types(cls)
    try:
        pairs = option_pairs("--resources", text or "")
    except ValueError as error:
        told, form, _ = str(error).partition("; options are written")
        expected = "; expected NAME=VALUE, several with commas between them, such as cpus=2,gpus=1."
        raise ValueError(f"{told}{expected if form else ''}") from None
    values: dict[str, Any] = {}
    for name, value in pairs.items():
        if name not in kinds:
            hint = did_you_mean(name, kinds)
            raise ValueError(
                f"--resources: {executor} cannot use {name}.{hint} It takes {', '.join(kinds)}."
            )
        try:
            values[name] = read_value(value, kinds[name])
        except ValueError as error:
            raise ValueError(f"--resources: {name}={value}: {error}") from None
    found = cls(**values)
    _check(found)
    return found


def _check(found: Resources) -> None:
    for field in fields(found):
        value = getattr(found, field.name)
        if not isinstance(value, int | float):
            continue
        least = 0 if field.name == "gpus" else 1 if isinstance(found, SlurmResources) else None
        if not math.isfinite(value) or (value <= 0 if least is None else value < least):
            expected = "a number above 0" if least is None else f"at least {least}"
            raise ValueError(f"--resources: {field.name}={value:g}: expected {expected}.")
    if found.gpus > 1 and found.gpus != int(found.gpus):
        raise ValueError(
            f"--resources: gpus={found.gpus:g}: expected a share of one GPU or whole ones."
        )
    if isinstance(found, SlurmResources) and found.time is not None:
        _minutes(found.time)


def _minutes(text: str) -> int:
    days = re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d)(?::(\d\d))?", text)
    minutes = 0
    if re.fullmatch(r"\d+", text):
        minutes = int(text)
    elif days:
        day, hours, whole, seconds = (int(part or 0) for part in days.groups())
        minutes = (24 * day + hours) * 60 + whole + math.ceil(seconds / 60)
    if not 1 <= minutes <= 1_000_000:
        raise ValueError(
            f"--resources: time={text}: expected minutes, hours as H:MM or H:MM:SS, or days as "
            "D-HH:MM."
        )
    return minutes
