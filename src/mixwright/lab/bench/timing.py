"""How time is taken: calls in turn, round after round, on one timer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

Call = Callable[[], object]
Timer = Callable[[Call], float]
"""Makes one call and gives the seconds it took."""

PartTimer = Callable[[Call], Callable[[], float]]
"""Makes one call within another that is timed; the callable it returns gives the seconds of the
inner one, once the outer one is done."""

# A longer call does not feel what the call before it left in the caches.
_SHORT = 0.01

BRIEF = 0.002
"""Seconds below which a turn is several calls where that is asked for."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What one call took, in seconds.

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
        """Sum up turns, at least one.

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
    """Return the timer of a device: the wall clock, or on CUDA the device's own events."""
    return partial(_on_cuda, device) if device.type == "cuda" else wall


def part_timer_for(device: torch.device, timer: Timer) -> PartTimer:
    """Return what times a part of a call: on CUDA by events, elsewhere by ``timer``."""

    def time_part(call: Call) -> Callable[[], float]:
        seconds = timer(call)
        return lambda: seconds

    return partial(_between_events, device) if device.type == "cuda" else time_part


def _between_events(device: torch.device, call: Call) -> Callable[[], float]:
    """Time a call on the device; to be read when all is done, so that nothing waits meanwhile."""
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record(torch.cuda.current_stream(device))
    call()
    end.record(torch.cuda.current_stream(device))
    return lambda: start.elapsed_time(end) / 1000


def wall(call: Call) -> float:
    """Time a call by the wall clock; its result is dropped after the clock is read."""
    return _by(time.perf_counter, call)


def processor(call: Call) -> float:
    """Time a call by what it takes of the processor, whatever else is at work on the machine."""
    return _by(time.process_time, call)


def _by(clock: Callable[[], float], call: Call) -> float:
    started = clock()
    result = call()
    seconds = clock() - started
    del result
    return seconds


def _on_cuda(device: torch.device, call: Call) -> float:
    results: list[object] = []  # dropped after the clock is read
    torch.cuda.synchronize(device)
    seconds = _between_events(device, lambda: results.append(call()))
    torch.cuda.synchronize(device)
    return seconds()


def in_turn(
    calls: Sequence[Call],
    *,
    timer: Timer,
    warm_up: int,
    rounds: int | None,
    seconds: float = 30.0,
    fewest: int = 10,
    most: int = 300,
    at_once: int = 1,
) -> list[list[float]]:
    """Time several calls in turn, so that a disturbance of the machine hits all alike.

    In each round every call has one turn. Short calls are made once more before it, untimed, to
    bring their own code and data back into the caches.

    ``warm_up`` rounds, at least 1, are not counted; ``rounds`` are, or None for as many as fill
    ``seconds``, ``fewest`` to ``most``. With ``at_once`` above 1, a turn of a call below 2 ms is so
    many calls after one another, of which the first is timed too, and counts by their mean.
    Returns for each call the seconds of its counted turns.

    Example:
        >>> turns = in_turn([int, str], timer=lambda call: 0.5, warm_up=1, rounds=3)
        >>> [len(seconds) for seconds in turns]
        [3, 3]
    """
    warmed = [[timer(call) for call in calls] for _ in range(warm_up)]
    # On a busy machine the least is nearest to the work itself.
    least = [min(times) for times in zip(*warmed, strict=True)]
    many = [at_once if took < BRIEF else 1 for took in least]
    short = [took < _SHORT and count == 1 for took, count in zip(least, many, strict=True)]
    if rounds is None:
        made = [count + again for count, again in zip(many, short, strict=True)]
        a_round = sum(took * count for took, count in zip(least, made, strict=True))
        rounds = min(most, max(fewest, int(seconds / max(a_round, 1e-9))))
    turns: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, again, count, taken in zip(calls, short, many, turns, strict=True):
            if again:
                call()
            taken.append(timer(_after_one_another(call, count)) / count)
    return turns


def _after_one_another(call: Call, count: int) -> Call:
    def calls() -> object:
        for _ in range(count - 1):
            call()
        return call()  # dropped after the clock is read

    return call if count == 1 else calls
