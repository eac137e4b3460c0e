"""The speed of mixing itself: every candidate on one shape, beside the floors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mixwright.lab.bench.benchmarks import CLASSES, COPY, LERP, Candidate, floors, of_mixers
from mixwright.lab.bench.budgets import budget_of
from mixwright.lab.bench.peers import of_peers
from mixwright.lab.bench.record import Row, ShapeRecord
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
    """Time mixers, floors and peers on float32 images, in turn.

    Args:
        mixers: by name.
        shape: (B, C, H, W).
        device: where.
        timer: makes a call and gives its seconds.
        warm_up: see ``timing.in_turn``.
        rounds: see ``timing.in_turn``.

    Returns:
        The record, and for each peer its version or why it is missing.
    """
    images, labels = batch(shape, device)
    peers, libraries = of_peers(images, labels)
    candidates = [*floors(images), *of_mixers(mixers, images, labels), *peers]
    turns = in_turn([one.call for one in candidates], timer=timer, warm_up=warm_up, rounds=rounds)
    record = ShapeRecord(
        shape=tuple(shape),
        dtype="float32",
        warm_up=warm_up,
        rounds=len(turns[0]),
        rows=_rows(candidates, turns, shape=tuple(shape), limited=device.type == "cpu"),
    )
    return record, libraries


def batch(shape: Sequence[int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Make float32 images in [0, 1] and class indices, the same ones each time."""
    like, generator = torch.empty(0, device=device), stream(0)
    images = uniform(tuple(shape), like=like, generator=generator)
    return images, integers(0, CLASSES, (len(images),), like=like, generator=generator)


def _rows(
    candidates: Sequence[Candidate],
    turns: Sequence[Sequence[float]],
    *,
    shape: tuple[int, ...],
    limited: bool,
) -> tuple[Row, ...]:
    times = [Timing.of(one) for one in turns]
    floor = {
        one.name: time for one, time in zip(candidates, times, strict=True) if one.group == "floor"
    }
    rows: list[Row] = []
    for one, time in zip(candidates, times, strict=True):
        times_lerp = time.least / floor[LERP].least
        budget = None
        if limited and (one.group, one.part) == ("mixwright", "all"):
            budget = budget_of(one.name, shape)
        rows.append(
            Row(
                group=one.group,
                name=one.name,
                part=one.part,
                time=time,
                times_lerp=times_lerp,
                median_times_lerp=time.median / floor[LERP].median,
                times_copy=time.least / floor[COPY].least,
                budget=budget,
                within=budget and budget.allows(seconds=time.least, times_lerp=times_lerp),
            )
        )
    return tuple(rows)
