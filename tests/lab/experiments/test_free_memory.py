"""Memory that may still be taken, from the files in which Linux says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixwright.lab.experiments.free_memory import free_memory

GIB = 2**30
MACHINE = {"proc/meminfo": f"MemTotal: {16 << 20} kB\nMemAvailable: {8 << 20} kB\nHugePages: 0\n"}
CGROUP = "sys/fs/cgroup"


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({}, None),  # not Linux
        (MACHINE, 8 * GIB),
        # The job around this step allows 4 GiB; of 3 taken, half a GiB are cached files.
        (
            MACHINE
            | {
                "proc/self/cgroup": "0::/job/step\n",
                f"{CGROUP}/job/step/memory.max": "max\n",
                f"{CGROUP}/job/step/memory.current": f"{GIB}\n",
                f"{CGROUP}/job/memory.max": f"{4 * GIB}\n",
                f"{CGROUP}/job/memory.current": f"{3 * GIB}\n",
                f"{CGROUP}/job/memory.stat": f"anon 5\ninactive_file {GIB // 2}\n",
            },
            1.5 * GIB,
        ),
        # Version 1, in a container that sees its own group where the top of the tree would be.
        (
            MACHINE
            | {
                "proc/self/cgroup": "7:cpu,cpuacct:/docker/x\n5:memory:/docker/x\n",
                f"{CGROUP}/memory/memory.limit_in_bytes": f"{2 * GIB}",
                f"{CGROUP}/memory/memory.usage_in_bytes": f"{GIB}",
                f"{CGROUP}/memory/memory.stat": f"inactive_file 9\ntotal_inactive_file {GIB // 4}",
            },
            1.25 * GIB,
        ),
        # A group that allows more than the machine has.
        (
            MACHINE
            | {
                "proc/self/cgroup": "0::/\n",
                f"{CGROUP}/memory.max": f"{64 * GIB}",
                f"{CGROUP}/memory.current": "0",
            },
            8 * GIB,
        ),
        # More is taken than is allowed now.
        (
            MACHINE
            | {
                "proc/self/cgroup": "0::/\n",
                f"{CGROUP}/memory.max": f"{GIB}",
                f"{CGROUP}/memory.current": f"{2 * GIB}",
            },
            0,
        ),
    ],
)
def test_the_smallest_room_counts(tmp_path: Path, files: dict[str, str], free: int | None) -> None:
    assert free_memory(written(tmp_path, files)) == free


def test_this_machine_has_some() -> None:
    free = free_memory()
    assert free is None or 2**20 < free < 2**50
