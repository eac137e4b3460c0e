"""Where a run was trained: machine, versions, commit."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from pathlib import Path

import torch


def machine(device: torch.device) -> dict[str, str | int]:
    """Return platform, processor, cores, torch's threads, Python and the name of a device."""
    cuda = device.type == "cuda"
    return {
        "platform": platform.platform(),
        "cpu": _processor(),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if cuda else device.type,
    }


@functools.cache
def commit() -> str | None:
    """Return the commit of the mixwright that runs, ``+`` if changed since; None outside of git."""
    return commit_of(Path(__file__).resolve().parents[2])


def commit_of(package: Path) -> str | None:
    """Return the commit of the checkout that a package belongs to; see ``commit``."""
    # A package installed below somebody else's checkout must not take that one's commit.
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    head = _git(package, "rev-parse", "HEAD")
    changed = _git(package, "status", "--porcelain", "--", ".")
    return None if head is None else head + ("+" if changed else "")


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _processor() -> str:
    try:
        with Path("/proc/cpuinfo").open() as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
