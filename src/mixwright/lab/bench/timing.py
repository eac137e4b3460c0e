"""How time is taken: candidates in turn, round after round, on one timer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator

Call = Callable[[], object]
Timer = Callable[[Call], float]
"""Makes one call and gives the seconds it took."""

Meter = Callable[[Call], Callable[[], float]]
"""Makes one call within another that is timed, and gives what tells its seconds after that one."""

# A longer call does not feel what the candidate before it left in the caches.
_SHORT = 0.01


@dataclass(frozen=True, slots=True)
class Timing:
    """What one candidate took, in seconds.

    Attributes:
        least: the fastest turn. On a busy machine this is what the work itself costs, if it is the
            same work in each turn.
        median: the turn in the middle.
        mean: of all turns: what many cost, where turns draw how much they do.
        spread: from the first to the third quartile.
        turns: how many were taken.
    """

    least: float
    median: float
    mean: float
    spread: float
    turns: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Timing:
        """Sum up turns.

        Args:
            seconds: one number a turn, at least one.

        Example:
            >>> Timing.of([0.4, 0.1, 0.2, 0.3])
            Timing(least=0.1, median=0.25, mean=0.25, spread=0.25, turns=4)
        """
        spread = 0.0
        if len(seconds) > 1:
            first, _, third = statistics.quantiles(seconds, n=4)
            spread = third - first
        return cls(
            least=min(seconds),
            median=statistics.median(seconds),
            mean=statistics.fmean(seconds),
            spread=round(spread, 12),
            turns=len(seconds),
        )


def timer_for(device: torch.device) -> Timer:
    """Give the timer of a device: the wall clock, or on CUDA the device's own events."""
    return _on_cuda(device) if device.type == "cuda" else wall


def meter_for(device: torch.device, timer: Timer) -> Meter:
    """Give what times a part of a call, without making a CUDA device wait in the midst of it.

    Args:
        device: where; on CUDA its own events are set, and read when the whole call is done.
        timer: what times the part elsewhere.
    """
    return _marked(device) if device.type == "cuda" else partial(_told_at_once, timer)


def _told_at_once(timer: Timer, call: Call) -> Callable[[], float]:
    seconds = timer(call)
    return lambda: seconds


def _marked(device: torch.device) -> Meter:
    def metered(call: Call) -> Callable[[], float]:
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record(torch.cuda.current_stream(device))
        call()
        end.record(torch.cuda.current_stream(device))
        return lambda: start.elapsed_time(end) / 1000

    return metered


def wall(call: Call) -> float:
    """Time a call by the wall clock; its result is dropped after the clock is read."""
    started = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - started
    del result
    return seconds


def _on_cuda(device: torch.device) -> Timer:
    def timed(call: Call) -> float:
        torch.cuda.synchronize(device)
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record(torch.cuda.current_stream(device))
        result = call()
        end.record(torch.cuda.current_stream(device))
        torch.cuda.synchronize(device)
        del result
        return start.elapsed_time(end) / 1000

    return timed


def in_turn(
    calls: Sequence[Call],
    *,
    timer: Timer,
    warm_up: int,
    rounds: int | None,
    seconds: float = 30.0,
    order: Generator | None = None,
) -> list[list[float]]:
    """Time several calls in turn, so that a disturbance of the machine hits all alike.

    In each round every call has one turn. Short calls are made once more before it, untimed, to
    bring their own code and data back into the caches.

    Args:
        calls: what to time.
        timer: makes a call and gives its seconds.
        warm_up: rounds that are not counted, at least 1.
        rounds: rounds that are counted; None for as many as fill ``seconds``, 10 to 300.
        seconds: see ``rounds``.
        order: draws who goes first in each counted round; None for the order of ``calls``.

    Returns:
        For each call its counted turns, in seconds.

    Example:
        >>> turns = in_turn([int, str], timer=lambda call: 0.5, warm_up=1, rounds=3)
        >>> [len(one) for one in turns]
        [3, 3]
    """
    last: list[float] = []
    for _ in range(warm_up):
        last = [timer(call) for call in calls]
    short = [one < _SHORT for one in last]
    if rounds is None:
        a_round = sum(2 * one if again else one for one, again in zip(last, short, strict=True))
        rounds = min(300, max(10, int(seconds / max(a_round, 1e-9))))
    turns: list[list[float]] = [[] for _ in calls]
    places = list(range(len(calls)))
    for _ in range(rounds):
        if order is not None:
            places = torch.randperm(len(calls), generator=order).tolist()
        for place in places:
            if short[place]:
                calls[place]()
            turns[place].append(timer(calls[place]))
    return turns
