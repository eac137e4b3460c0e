"""Memory while the bench runs: freed pages are kept, and peaks are read."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

_STATUS, _REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_PEAK = "5"  # what resets the peak of resident memory
_KIB = 1024
# Numbers of mallopt and what they usually are, from glibc's malloc.h and mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_USUAL_TRIM_THRESHOLD, _USUAL_MMAP_MAX = 2**26, 65_536
_LARGEST = 2**31 - 1


@contextlib.contextmanager
def kept_pages() -> Iterator[bool]:
    """Let this process keep the memory that it frees; gives whether the C library can.

    glibc gives a block above 32 MiB back to the system when it is freed, unless a gap between other
    blocks happened to hold it. A batch of 64 images of 224 pixels is such a block, and its fresh
    pages take three times as long as a lerp: the same call took 6 or 23 ms by luck. With every
    block on the heap, and the heap never cut, all turns reuse warm pages, as they do with CUDA's
    allocator and jemalloc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, or another system
        yield False
        return
    try:
        yield bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _LARGEST))
    finally:
        mallopt(_MMAP_MAX, _USUAL_MMAP_MAX)
        mallopt(_TRIM_THRESHOLD, _USUAL_TRIM_THRESHOLD)


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
