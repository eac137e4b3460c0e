"""Memory that is freed in one step is kept for the next."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Generator

import torch

# Numbers of mallopt and what they usually are, from glibc's malloc.h and mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_USUAL_TRIM_THRESHOLD, _USUAL_MMAP_MAX = 2**26, 65_536
_LARGEST = 2**31 - 1
_VARIABLES = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


@contextlib.contextmanager
def kept_pages(device: torch.device) -> Generator[bool]:
    """Let this process keep the memory that it frees, where ``device`` is the CPU.

    Gives whether the C library does; only glibc can be told. What the environment has told it
    already, by variables of mallopt(3) or by tunables, stays as it is.

    glibc gives blocks above 32 MiB back to the system when they are freed, and the free end of the
    heap above twice that, so that each step is given its memory anew, page by page. With every
    block on the heap, and the heap never cut, steps reuse warm pages, as with CUDA's allocator and
    with jemalloc. Of EfficientNet-Lite0 at 64 pixels that takes a training step from 0.45 to 0.38 s
    of processor time and a batch of 256 in evaluation from 0.73 to 0.37, for 1 and 17 % more memory
    at the peak.
    """
    told = any(os.environ.get(name) for name in _VARIABLES)
    told = told or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if told or device.type != "cpu":
        yield os.environ.get("MALLOC_MMAP_MAX_") == "0"
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # another C library, or another system
        yield False
        return
    try:
        yield bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _LARGEST))
    finally:
        mallopt(_MMAP_MAX, _USUAL_MMAP_MAX)
        mallopt(_TRIM_THRESHOLD, _USUAL_TRIM_THRESHOLD)
