"""The most memory that a call holds at a time."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch

_STATUS, _REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_PEAK = "5"  # what resets the peak of resident memory
_KIB = 1024


def peak_memory(call: Callable[[], object], device: torch.device) -> int | None:
    """Make a call, and return the most memory in bytes that was in use meanwhile.

    On CUDA, what tensors of the device held is counted; on the CPU, all resident memory of the
    process, libraries included, as Linux reports it; None on other systems.

    Example:
        >>> peak_memory(lambda: torch.ones(1 << 20), torch.device("meta")) is None
        True
    """
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    if device.type != "cpu" or not _reset():
        call()
        return None
    call()
    return _resident_peak()


def _reset() -> bool:
    # Memory that earlier calls freed is still resident until the C library gives it back; the
    # peak would be theirs. Other libraries than glibc have no such call.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    try:
        _REFERENCES.write_text(_PEAK)
    except OSError:
        return False
    return True


def _resident_peak() -> int | None:
    for line in _STATUS.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * _KIB
    return None
