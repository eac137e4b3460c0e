"""What every record says of where it comes from: data set, time, machine and versions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mixwright import __version__
from mixwright.lab.analysis.findings import About, Dataset
from mixwright.lab.data.identity import data_identity
from mixwright.lab.training.machine import commit, machine

if TYPE_CHECKING:
    import torch

    from mixwright.lab.data import sets


def now() -> str:
    """Return the time in UTC, as records have it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def about_data(data: sets.Dataset, *, train: int | None = None, test: int | None = None) -> Dataset:
    """Return what a record keeps about a data set; counts are those of all its images."""
    return Dataset(
        name=data.name,
        note=data.note,
        classes=tuple(data.classes),
        train=len(data.train) if train is None else train,
        test=len(data.test) if test is None else test,
        shape=tuple(data.train.shape),
        validation=0 if data.validation is None else len(data.validation),
        digest=data_identity(data).digest,
    )


def about_now(data: Dataset, device: torch.device, *, command: str, **more: Any) -> About:
    """Return where findings come from that were made here and now."""
    import torch

    return About(
        command=command,
        finished=now(),
        machine=machine(device),
        commit=commit(),
        versions={"mixwright": __version__, "torch": torch.__version__},
        data=data,
        **more,
    )
