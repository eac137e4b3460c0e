"""Memory that is kept: fresh pages are counted by the system's own page faults."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# 40 MB are 9,766 pages of 4 KiB; glibc has a block of its own for them, unless all are on the heap.
_FAULTS = """
import resource, torch
from mixwright.lab.training.pages import kept_pages

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.empty(40_000_000, dtype=torch.uint8).zero_()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def least():  # the heap takes a few turns to have a gap that is large enough
    return min(faults() for _ in range(20))

usual = least()
with kept_pages(torch.device("cpu")) as kept:
    print(usual, least(), kept, end=" ")
print(least())
"""


def _faults(**variables: str) -> tuple[int, int, str, int]:
    """Count fresh pages before, while and after pages are kept, in a process of its own."""
    plain = {name: value for name, value in os.environ.items() if "MALLOC" not in name.upper()}
    found = subprocess.run(
        [sys.executable, "-c", _FAULTS],
        capture_output=True,
        text=True,
        check=True,
        env=plain | variables,
    )
    usual, inside, kept, after = found.stdout.split()
    return int(usual), int(inside), kept, int(after)


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted as Linux does")
def test_no_page_is_fresh_while_pages_are_kept():
    usual, inside, kept, _ = _faults()
    if kept == "False":
        pytest.skip("this C library cannot be told to keep memory; only glibc can")
    assert usual > 9_000
    assert inside < 100


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted as Linux does")
def test_what_the_environment_told_the_c_library_stays():
    usual, inside, kept, after = _faults(
        MALLOC_MMAP_MAX_="0", MALLOC_TRIM_THRESHOLD_="100000000000"
    )
    assert (max(usual, inside, after) < 100, kept) == (True, "True")
    usual, inside, kept, after = _faults(MALLOC_MMAP_THRESHOLD_="1000000")
    assert (min(usual, inside, after) > 9_000, kept) == (True, "False")
