"""From ``--executor`` and ``--resources`` to what does the runs."""

from __future__ import annotations

from pathlib import Path

from mixwright.lab.data.cores import threads_asked_for, usable_cores
from mixwright.lab.experiments.executors.base import Executor
from mixwright.lab.experiments.executors.resources import RayResources, Resources
from mixwright.lab.experiments.grid import Place, worker_pool


def executor_for(
    resources: Resources | None, place: Place, *, workers: int | None, out: Path
) -> Executor:
    """Return what does runs with such resources; None is worker processes here.

    ``workers`` run at a time; None leaves that to the executor. ``out`` is the comparison's folder.

    Raises:
        ImportError: its library is not installed.
    """
    if resources is None:
        return worker_pool(place, workers=workers or usable_cores())
    # A user's word comes first, as for the workers here; else one a processor.
    threads = threads_asked_for() or max(1, int(resources.cpus))
    device = place.devices[0]
    if isinstance(resources, RayResources):
        from mixwright.lab.experiments.executors.ray_tasks import RayTasks

        return RayTasks(resources, device=device, threads=threads, most=workers)
    from mixwright.lab.experiments.executors.slurm import SlurmJobs

    folder = out.resolve() / "logs" / "slurm"
    return SlurmJobs(resources, folder=folder, device=device, threads=threads, most=workers)
