"""The record of a run of the bench: what was measured, on what, and how."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mixwright.files import read_json, write_json
from mixwright.lab.bench.budgets import Budget
from mixwright.lab.bench.overhead import Overhead
from mixwright.lab.bench.timing import Timing
from mixwright.lab.settings import decode

FORMAT = 3


@dataclass(frozen=True, kw_only=True)
class MixingRow:
    """One benchmark on one shape.

    Attributes:
        group: ``"floor"``, ``"mixwright"`` or ``"peer"``.
        name: METHOD, or what another library calls it.
        part: see ``benchmarks.Benchmark``.
        times_lerp: ``time.least`` in those of an out-of-place lerp of two such batches.
        median_times_lerp: the same of the medians.
        times_copy: ``time.least`` in those of a copy of the batch.
        units: ``time.median`` in that of the shape's unit; None where this was not measured, and
            in older records.
        within: whether ``units`` keep the ``budget``; None without either. In older records it is
            the part ``"all"`` that was held, by its fastest turn.
        cold: seconds of the first call, which compiles; for the part ``"compiled"``.
        times_eager: ``time.median`` in that of the same call as it is, in the same rounds;
            likewise.
    """

    group: str
    name: str
    part: str
    time: Timing
    times_lerp: float
    median_times_lerp: float
    times_copy: float
    units: float | None = None
    budget: Budget | None = None
    within: bool | None = None
    cold: float | None = None
    times_eager: float | None = None


@dataclass(frozen=True, kw_only=True)
class ShapeRecord:
    """All benchmarks on one shape (B, C, H, W), timed in turn; warm-up rounds do not count.

    Attributes:
        unit: what counts as 1 here; None in older records.
        not_compiled: mixers that do not compile, and why.
    """

    shape: tuple[int, ...]
    dtype: str
    warm_up: int
    rounds: int
    rows: tuple[MixingRow, ...]
    unit: str | None = None
    not_compiled: dict[str, str] = dataclasses.field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class StepRow:
    """One method in a training step.

    Attributes:
        name: METHOD, or ``"none"``.
        step: the whole step: forward, loss, backward, SGD, and all that the method adds.
        times: ``step.mean`` in that of ``none``; what a loss of several labels costs is in it,
            and so is chance. It is the mean since some methods draw how much they do (PuzzleMix
            its grid, TokenMix and SMMix whether they look first), and an epoch pays for all.
        least_times: the same of the least: for such methods, of the steps that do least.
        exact: the passes through the model in those of ``none``, counted; None where not known.
        mixing: within those steps drawing the plan, with its passes through the model, and
            mixing the images; None for training objectives, which do not mix by themselves.
        share: ``mixing.mean / step.mean``, or None; ``share_budget`` is the largest that is wanted.
        within: whether the step keeps its budgets, by ``times`` and ``share``; None without one.
        overhead: what the step takes beyond that of ``none``, with its interval, from the same
            turns; None for ``none`` itself, and in older records.
        memory: most bytes in use during a step: of the process on the CPU, of tensors on CUDA;
            None where the system does not report it, and in older records.
    """

    name: str
    step: Timing
    times: float
    least_times: float
    exact: float | None
    mixing: Timing | None = None
    share: float | None = None
    share_budget: float | None = None
    times_budget: float | None = None
    within: bool | None = None
    overhead: Overhead | None = None
    memory: int | None = None


@dataclass(frozen=True, kw_only=True)
class SolverRow:
    """The part of PuzzleMix's step that finds which blocks to show.

    Attributes:
        grid: blocks along a side.
        time: of a batch.
        share: ``time.mean`` in the mean of PuzzleMix's whole step, grids as it draws them.
    """

    grid: int
    time: Timing
    share: float


@dataclass(frozen=True, kw_only=True)
class StepRecord:
    """Methods in the training step of one network; warm-up steps do not count.

    Attributes:
        precision: ``"fp32"`` or ``"bf16"``.
        rows: one a method, the first ``none``.
        refused: methods that do not work with this network, and why.
        solver: PuzzleMix's solver; empty where PuzzleMix was not measured.
        load: processes that wanted a core in the minute before the steps and in the last minute
            of them, as the system reports; empty where it does not, and in older records.
    """

    model: str
    shape: tuple[int, ...]
    precision: str
    warm_up: int
    rounds: int
    rows: tuple[StepRow, ...]
    refused: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    solver: tuple[SolverRow, ...] = ()
    load: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BenchRecord:
    """One run of the bench. Times are seconds, shares and ratios plain numbers.

    Attributes:
        started: time of day, UTC, ISO 8601.
        commit: of mixwright; None where it was not a git checkout, ``+`` at the end if changed.
        machine: see ``training.machine``.
        threads: torch's, on the CPU.
        pages_kept: whether turns reuse memory that the process has, see ``pages.kept_pages``; in
            older records a large batch may or may not have had fresh pages.
        libraries: for each peer its version, or why it was not measured.
        steps: one a network and precision; empty where training was not asked for.
    """

    format: int = FORMAT
    started: str
    mixwright: str
    commit: str | None
    torch: str
    machine: dict[str, str | int]
    device: str
    threads: int
    libraries: dict[str, str]
    shapes: tuple[ShapeRecord, ...]
    steps: tuple[StepRecord, ...] = ()
    pages_kept: bool = False

    def write(self, path: str | Path) -> None:
        """Write the record as JSON, whole or not at all; folders are made."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, dataclasses.asdict(self))

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """Read what ``write`` wrote."""
        try:
            raw = read_json(Path(path))
            there = raw.get("format") if isinstance(raw, dict) else None
            if there != FORMAT:
                raise ValueError(f"its format is {there}; expected {FORMAT}")
            return decode(cls, raw, where="its fields")
        except ValueError as error:
            raise ValueError(
                f"{path} is no record of mixwright bench: {error}. Measure anew."
            ) from error
