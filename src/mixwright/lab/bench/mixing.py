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
from mixwright.lab.bench.budgets import budget_of
from mixwright.lab.bench.peers import peer_benchmarks
from mixwright.lab.bench.record import MixingRow, ShapeRecord
from mixwright.lab.bench.timing import Timer, Timing, in_turn
from mixwright.mixers.mixer import Mixer
from mixwright.sampling import integers, stream, uniform


def measure_shape(
    mixers: Mapping[str, Mixer],
    shape: Sequence[int],
    *,
    device: torch.device,
    timer: Timer,
    warm_up: int,
    rounds: int | None,
) -> tuple[ShapeRecord, dict[str, str]]:
    """Time mixers, floors and peers in turn; also return peers' versions, or why they lack."""
    images, labels = batch(shape, device)
    peers, libraries = peer_benchmarks(images, labels)
    benchmarks = [*floor_benchmarks(images), *mixer_benchmarks(mixers, images, labels), *peers]
    calls = [benchmark.call for benchmark in benchmarks]
    turns = in_turn(calls, timer=timer, warm_up=warm_up, rounds=rounds)
    record = ShapeRecord(
        shape=tuple(shape),
        dtype="float32",
        warm_up=warm_up,
        rounds=len(turns[0]),
        rows=_rows(benchmarks, turns, shape=tuple(shape), limited=device.type == "cpu"),
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
    limited: bool,
) -> tuple[MixingRow, ...]:
    timed = [(b, Timing.of(seconds)) for b, seconds in zip(benchmarks, turns, strict=True)]
    floor = {benchmark.name: time for benchmark, time in timed if benchmark.group == "floor"}
    rows: list[MixingRow] = []
    for benchmark, time in timed:
        times_lerp = time.least / floor[LERP].least
        budget = None
        if limited and (benchmark.group, benchmark.part) == ("mixwright", "all"):
            budget = budget_of(benchmark.name, shape)
        rows.append(
            MixingRow(
                group=benchmark.group,
                name=benchmark.name,
                part=benchmark.part,
                time=time,
                times_lerp=times_lerp,
                median_times_lerp=time.median / floor[LERP].median,
                times_copy=time.least / floor[COPY].least,
                budget=budget,
                within=budget and budget.allows(seconds=time.least, times_lerp=times_lerp),
            )
        )
    return tuple(rows)
