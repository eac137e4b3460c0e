"""Memory that is kept: fresh pages are counted by the system's own page faults."""

from __future__ import annotations

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
    print(usual, least(), kept)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="page faults are counted as Linux does")
def test_no_page_is_fresh_while_pages_are_kept():
    found = subprocess.run(
        [sys.executable, "-c", _FAULTS], capture_output=True, text=True, check=True
    )
    usual, inside, kept = found.stdout.split()
    if kept == "False":
        pytest.skip("this C library cannot be told to keep memory; only glibc can")
    assert int(usual) > 9_000
    assert int(inside) < 100
