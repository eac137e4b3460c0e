"""The speed of mixing itself: every benchmark on one shape, beside the floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mixwright.lab.bench.benchmarks import (
    CLASSES,
    COPY,
    LERP,
    Benchmark,
    floor_benchmarks,
    mixer_benchmarks,
)
from mixwright.lab.bench.budgets import SMALL, Budget, budget_of
from mixwright.lab.bench.compiling import measure_compiled
from mixwright.lab.bench.peers import UNIT, peer_benchmarks
from mixwright.lab.bench.record import MixingRow, ShapeRecord
from mixwright.lab.bench.timing import Timer, Timing, in_turn
from mixwright.mixers.mixer import Mixer
from mixwright.sampling import integers, stream, uniform

AT_ONCE = 5
"""Calls of a turn, where they are brief."""

_ROUNDS: dict[tuple[int, ...], int] = {SMALL: 60}  # elsewhere as many as fill half a minute


def unit_of(shape: Sequence[int]) -> str:
    """Name what counts as 1 on a shape.

    On large images that is a lerp, which reads and writes what mixing must; on small ones, where
    calls are what costs, the cheapest mixing of another library.

    Example:
        >>> unit_of((128, 3, 32, 32)), unit_of((64, 3, 224, 224))
        ('torchvision MixUp, per batch', 'lerp of two batches')
    """
    return UNIT if tuple(shape) == SMALL else LERP


def measure_shape(
    mixers: Mapping[str, Mixer],
    shape: Sequence[int],
    *,
    device: torch.device,
    timer: Timer,
    warm_up: int,
    rounds: int | None,
    backend: bool | str = False,
) -> tuple[ShapeRecord, dict[str, str]]:
    """Time mixers, floors and peers in turn; also return peers' versions, or why they lack.

    With a ``backend`` of ``torch.compile`` each mixer is measured compiled too, beside itself.
    """
    shape = tuple(shape)
    images, labels = batch(shape, device)
    peers, libraries = peer_benchmarks(images, labels)
    floors = floor_benchmarks(images)
    unit = unit_of(shape)
    limited = device.type == "cpu"

    def measured(benchmarks: Sequence[Benchmark], rounds: int | None) -> list[MixingRow]:
        turns = in_turn(
            [benchmark.call for benchmark in benchmarks],
            timer=timer,
            warm_up=warm_up,
            rounds=rounds,
            at_once=AT_ONCE,
        )
        return _rows(benchmarks, turns, shape=shape, unit=unit, limited=limited)

    rows = measured(
        [*floors, *mixer_benchmarks(mixers, images, labels), *peers], rounds or _ROUNDS.get(shape)
    )
    rounds = rows[0].time.turns
    found = measure_compiled(
        mixers if backend is not False else {},
        images,
        labels,
        backend=backend,
        timer=timer,
        measured=lambda both: measured(
            [*floors, *(peer for peer in peers if peer.name == unit), *both], rounds
        ),
    )
    record = ShapeRecord(
        shape=shape,
        dtype="float32",
        warm_up=warm_up,
        rounds=rounds,
        rows=found.beside(rows),
        unit=unit,
        not_compiled=found.refused,
    )
    return record, libraries


def batch(shape: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return float32 images in [0, 1] and class indices, the same ones each time."""
    generator = stream(0)
    images = uniform(tuple(shape), device=device, generator=generator)
    return images, integers(0, CLASSES, (len(images),), device=device, generator=generator)


def _rows(
    benchmarks: Sequence[Benchmark],
    turns: Sequence[Sequence[float]],
    *,
    shape: tuple[int, ...],
    unit: str,
    limited: bool,
) -> list[MixingRow]:
    timed = [(b, Timing.of(seconds)) for b, seconds in zip(benchmarks, turns, strict=True)]
    others = {benchmark.name: time for benchmark, time in timed if benchmark.group != "mixwright"}
    rows: list[MixingRow] = []
    for benchmark, time in timed:
        units = time.median / others[unit].median if unit in others else None
        budget = None
        if limited and (benchmark.group, benchmark.part) == ("mixwright", "with targets"):
            budget = budget_of(benchmark.name, shape)
        rows.append(
            MixingRow(
                group=benchmark.group,
                name=benchmark.name,
                part=benchmark.part,
                time=time,
                times_lerp=time.least / others[LERP].least,
                median_times_lerp=time.median / others[LERP].median,
                times_copy=time.least / others[COPY].least,
                units=units,
                budget=budget,
                within=_is_within(units, budget),
            )
        )
    return rows


def _is_within(units: float | None, budget: Budget | None) -> bool | None:
    if units is None or budget is None or budget.units is None:
        return None
    return units <= budget.units
