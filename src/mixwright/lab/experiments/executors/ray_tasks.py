"""Runs as tasks of Ray, on a cluster or on this machine alone."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterable, Sequence
from typing import Any

from mixwright.lab.experiments.executors.base import SubmitError
from mixwright.lab.experiments.executors.remote import Messages, Remote, Task, carry_out
from mixwright.lab.experiments.executors.resources import RayResources
from mixwright.requirements import require

MINIMUM = "2.50"
_GIB = 2**30


def import_ray() -> Any:
    """Import Ray, or raise an ImportError that names version and extra."""
    # Ray tells its makers of every use unless it is told not to, before it is imported.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else a warning a task
    return require("ray", MINIMUM, "ray")


class RayTasks(Remote):
    """Does every job as a task of Ray; tries are ours, so Ray makes none."""

    def __init__(
        self, resources: RayResources, *, device: str, threads: int, most: int | None
    ) -> None:
        super().__init__(device=device, threads=threads, most=most)
        self._resources = resources
        self._ray = import_ray()
        self._connected = self._started = False
        self._task: Any = None

    def _connect(self) -> None:
        """Connect to the cluster, or start one on this machine.

        Raises:
            SubmitError: there is no such cluster, or no machine in it that would do.
        """
        if self._connected:
            return
        try:
            if not self._ray.is_initialized():
                self._started = True
                self._ray.init(
                    address=self._resources.address,
                    log_to_driver=False,
                    logging_level="error",
                    include_dashboard=False,
                )
        except Exception as error:  # Ray raises that itself, where it does not come up
            self.__exit__()  # of what came up
            where = self._resources.address or os.environ.get("RAY_ADDRESS") or "on this machine"
            raise SubmitError(
                f"--executor ray: no Ray cluster at {where}: {_line(error)}"
            ) from None
        self._check_fits()
        self._connected = True

    def __exit__(self, *error: object) -> None:
        """Leave the cluster, and end it where it was started here."""
        if self._started:
            self._connected = self._started = False
            self._task = None
            self._ray.shutdown()

    @property
    def slots(self) -> int:
        """See ``Executor``: as many as the cluster has room for now."""
        self._connect()
        whole = self._ray.cluster_resources()
        places = [
            whole.get(kind, 0.0) / wanted for kind, wanted in self._wanted().items() if wanted > 0
        ]
        room = max(1, math.floor(min(places)))
        return room if self._most is None else min(room, self._most)

    def _wanted(self) -> dict[str, float]:
        of = self._resources
        return {"CPU": of.cpus, "GPU": of.gpus, "memory": (of.memory or 0.0) * _GIB}

    def _check_fits(self) -> None:
        """Refuse what no machine of the cluster has: Ray would wait for one without a word."""
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        for kind, wanted in self._wanted().items():
            most = max((machine.get(kind, 0.0) for machine in machines), default=0.0)
            if wanted > most:
                unit = _GIB if kind == "memory" else 1
                name = {"CPU": "cpus", "GPU": "gpus", "memory": "GiB of memory"}[kind]
                self.__exit__()
                raise SubmitError(
                    f"--resources: no machine of the Ray cluster has {wanted / unit:g} {name}; the "
                    f"most is {most / unit:.3g}."
                )

    def hand_over(self, tasks: Sequence[Task]) -> None:
        """See ``Remote``."""
        self._connect()
        if self._task is None:
            of = self._resources
            # mixwright and modules of the user's are found as they are here.
            names = {"OMP_NUM_THREADS": str(self._threads)}
            if "PYTHONPATH" in os.environ:
                names["PYTHONPATH"] = os.environ["PYTHONPATH"]
            options: dict[str, Any] = {
                "num_cpus": of.cpus,
                "num_gpus": of.gpus,
                "max_retries": 0,
                "runtime_env": {"env_vars": names},
            }
            if of.memory is not None:
                options["memory"] = int(of.memory * _GIB)
            self._task = self._ray.remote(**options)(carry_out)
        for task in tasks:
            task.handle = self._task.remote(task.request)

    def gone(self, tasks: Sequence[Task]) -> dict[Task, str | Messages]:
        """See ``Remote``."""
        handles = [task.handle for task in tasks]
        try:
            ended, _ = self._ray.wait(
                handles, num_returns=len(handles), timeout=0, fetch_local=False
            )
        except (self._ray.exceptions.RayError, ConnectionError, RuntimeError) as error:
            raise SubmitError(f"the Ray cluster is gone: {_line(error)}") from None
        there = set(ended)
        return {task: self._last_word(task) for task in tasks if task.handle in there}

    def _last_word(self, task: Task) -> str | Messages:
        try:
            return self._ray.get(task.handle)
        except self._ray.exceptions.RayTaskError as error:  # it would raise again
            cause = getattr(error, "cause", error)
            text = f"its Ray task raised {type(cause).__name__}: {_line(cause)}"
            return {"failed": {"error": text}}
        except self._ray.exceptions.RayError as error:
            return f"its Ray task ended ({type(error).__name__}: {_line(error)})"

    def end(self, tasks: Iterable[Task]) -> None:
        """See ``Remote``."""
        for task in tasks:
            with contextlib.suppress(self._ray.exceptions.RayError, RuntimeError):
                self._ray.cancel(task.handle, force=True)


def _line(error: BaseException) -> str:
    """What an error says, on one line and not without end."""
    return " ".join(str(error).split())[:300]
