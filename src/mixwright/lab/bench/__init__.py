"""How fast mixers are: alone, beside other libraries, and in a training step."""

from __future__ import annotations

from mixwright.lab.bench.record import BenchRecord as BenchRecord
from mixwright.lab.bench.run import run_bench as run_bench

__all__ = ["BenchRecord", "run_bench"]
