"""Runs as jobs of SLURM, submitted as one array by submitit."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from mixwright.lab.data.cores import usable_cores
from mixwright.lab.experiments.executors.base import SubmitError
from mixwright.lab.experiments.executors.local import last_lines
from mixwright.lab.experiments.executors.remote import Messages, Remote, Task, carry_out
from mixwright.lab.experiments.executors.resources import SlurmResources
from mixwright.requirements import require

MINIMUM = "1.5.3"

_ASK_EVERY = 5.0  # seconds between two questions to the scheduler; files are looked at more often
_TIMEOUTS = 1000  # times that a job may reach its time limit and go on in another
_UNDER_WAY = (  # states of jobs that will end, go on or start; all others are ends
    *("PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "SUSPENDED", "STOPPED", "RESIZING"),
    *("REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "STAGE_OUT", "SIGNALING"),
)


def import_submitit() -> Any:
    """Import submitit, or raise an ImportError that names version and extra."""
    return require("submitit", MINIMUM, "slurm")


class CarryOut:
    """``carry_out`` as submitit wants it; preempted or out of time, it is started again."""

    def __call__(self, request: dict[str, Any]) -> Messages:
        """Do a job; the request stays as it is for another start."""
        return carry_out({**request})

    def checkpoint(self, request: dict[str, Any]) -> Any:
        """Say what is to be started again: the same, which goes on from the run's checkpoint."""
        return import_submitit().helpers.DelayedSubmission(self, request)


class SlurmJobs(Remote):
    """Does every job as one of SLURM; what is handed over together is an array.

    ``most`` jobs of an array are at work at a time; None leaves that to SLURM.
    """

    # Two questions to the scheduler: a job that is put back into the queue has ended for a moment.
    patience: ClassVar[float] = 2.5 * _ASK_EVERY

    def __init__(
        self,
        resources: SlurmResources,
        *,
        folder: Path,
        device: str,
        threads: int,
        most: int | None,
    ) -> None:
        if resources.cluster == "local" and most is None:
            most = usable_cores()
        # SLURM itself sees to how many of an array are at work.
        super().__init__(
            device=device, threads=threads, most=most if resources.cluster == "local" else None
        )
        self._resources, self._slots = resources, most or 256
        self._submitit = import_submitit()
        self._folder = folder  # of submitit's own files
        self._asked = 0.0
        self._states: dict[str, str] = {}

    @property
    def slots(self) -> int:
        """See ``Executor``; how many SLURM starts at a time is not known before."""
        return self._slots

    def __exit__(self, *error: object) -> None:
        """Leave nothing behind but submitit's files."""

    def hand_over(self, tasks: Sequence[Task]) -> None:
        """See ``Remote``."""
        try:
            executor = self._executor()
            # It prints what sbatch says beside raising it.
            with contextlib.redirect_stderr(io.StringIO()), executor.batch():
                for task in tasks:
                    task.handle = executor.submit(CarryOut(), task.request)
        except (OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise SubmitError(f"--executor slurm: sbatch refuses: {reason[-400:]}") from None

    def _executor(self) -> Any:
        of = self._resources
        if of.cluster == "slurm" and shutil.which("sbatch") is None:
            raise SubmitError(
                "--executor slurm: there is no sbatch here; give the command on a machine that "
                "submits to SLURM, or --resources cluster=local to try it without."
            )
        executor = self._submitit.AutoExecutor(
            folder=self._folder, cluster=of.cluster, slurm_max_num_timeout=_TIMEOUTS
        )
        given: dict[str, Any] = {
            "name": "mixwright",
            "timeout_min": of.minutes,
            "cpus_per_task": of.cpus,
            "gpus_per_node": of.gpus or None,
            "mem_gb": of.memory,
            "slurm_partition": of.partition,
            "slurm_account": of.account,
            "slurm_qos": of.qos,
            "slurm_constraint": of.constraint,
            "slurm_array_parallelism": self.slots,
        }
        executor.update_parameters(**{k: v for k, v in given.items() if v is not None})
        return executor

    def gone(self, tasks: Sequence[Task]) -> dict[Task, str | Messages]:
        """See ``Remote``."""
        if self._resources.cluster == "local":
            states = {task.handle.job_id: _local_state(task.handle) for task in tasks}
        else:
            states = self._slurm_states([task.handle.job_id for task in tasks])
        return {
            task: _last_word(task.handle, states[task.handle.job_id])
            for task in tasks
            if states.get(task.handle.job_id, "PENDING") not in _UNDER_WAY
        }

    def _slurm_states(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the states of jobs by id, asked for now and then; none where nobody answers.

        By ``squeue``, which knows the jobs of the last minutes too: ``sacct``, which submitit asks,
        needs a database that small clusters do not have.
        """
        if time.monotonic() - self._asked < _ASK_EVERY:
            return self._states
        self._asked = time.monotonic()
        arrays = sorted({number.partition("_")[0] for number in ids})
        command = ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T"]
        try:
            done = subprocess.run(
                [*command, f"--jobs={','.join(arrays)}"],
                capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return self._states
        if done.returncode and "nvalid job id" not in done.stderr:  # the controller is away
            return self._states
        there = dict(line.split("|", 1) for line in done.stdout.splitlines() if "|" in line)
        self._states = {number: there.get(number, "gone") for number in ids}
        return self._states

    def end(self, tasks: Iterable[Task]) -> None:
        """See ``Remote``."""
        for task in tasks:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                task.handle.cancel(check=False)


def _last_word(job: Any, state: str) -> str:
    """What is known of a job that ended, with the end of what it wrote outside of a run's log."""
    return f"its SLURM job {job.job_id} ended ({state})\n{last_lines(job.paths.stderr)}".strip()


def _local_state(job: Any) -> str:
    """The state of a process that stands for a job of SLURM."""
    return job.state if job.done() else "RUNNING"
