"""Mixers whose pixels are compiled: their first call, and then turns beside the same as it is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mixwright.lab.bench.benchmarks import Benchmark, compiled_benchmarks
from mixwright.lab.bench.record import MixingRow
from mixwright.lab.bench.timing import Timer
from mixwright.mixers.mixer import Mixer

# Graphs are made anew where a plan has another shape, as those with warps of some samples do.
_WARMING = 8


@dataclass(frozen=True, slots=True)
class Compiled:
    """Rows of compiled mixers by name, and why there is none of others."""

    rows: dict[str, MixingRow]
    refused: dict[str, str]

    def beside(self, rows: Iterable[MixingRow]) -> tuple[MixingRow, ...]:
        """Put each row behind that of the same call as it is."""
        out: list[MixingRow] = []
        for row in rows:
            out.append(row)
            if row.part == "with targets" and row.name in self.rows:
                out.append(self.rows[row.name])
        return tuple(out)


def measure_compiled(
    mixers: Mapping[str, Mixer],
    images: Tensor,
    labels: Tensor,
    *,
    backend: bool | str,
    timer: Timer,
    measured: Callable[[Sequence[Benchmark]], Sequence[MixingRow]],
) -> Compiled:
    """Time mixers compiled, one after the other.

    ``measured`` times benchmarks in turn, whose rows are the last that it returns. Each mixer is
    compiled as if there were no other: the graphs of one would make those of the next more general.
    """
    found = Compiled({}, {})
    for name, mixer in mixers.items():
        torch.compiler.reset()
        as_it_is, compiled = compiled_benchmarks(name, mixer, images, labels, backend=backend)
        try:
            cold = timer(compiled.call)
            for _ in range(_WARMING):
                compiled.call()
        except (RuntimeError, ValueError) as error:  # what a compiler raises, or a wrong name
            found.refused[name] = _first_sentence(error)
            continue
        *_, eager, row = measured((as_it_is, compiled))
        found.rows[name] = dataclasses.replace(
            row, cold=cold, times_eager=row.time.median / eager.time.median
        )
    return found


def _first_sentence(error: Exception) -> str:
    """Take the line that says what is wrong: below "backend raised:", above the advice."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.endswith("raised:")), type(error).__name__)
