"""How many cores a process may use, and how many threads its user asks for."""

import os
from pathlib import Path

_LIMIT = Path("/sys/fs/cgroup/cpu.max")
_NO_LIMIT = 2**31


def usable_cores() -> int:
    """Return how many cores this process may use, which in a container are not all there are."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return min(len(os.sched_getaffinity(0)), _limit())
    return os.cpu_count() or 1


def threads_asked_for() -> int | None:
    """Return the threads that ``OMP_NUM_THREADS`` names, those of the outermost level; or None."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) or None if first.isascii() and first.isdigit() else None


def _limit() -> int:
    """Read what Docker and Kubernetes set: microseconds of processor time a period, or "max"."""
    try:
        quota, period = _LIMIT.read_text().split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):  # no limit, or an older kind of control group
        return _NO_LIMIT
