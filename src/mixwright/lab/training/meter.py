"""Means and times of an epoch, gathered without making the device wait."""

from __future__ import annotations

import time
from collections.abc import Mapping
from statistics import median

import torch
from torch import Tensor

from mixwright.lab.training.distributed import World


class MeanMeter:
    """Means over images, accumulated on the device and read when asked for."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], tuple[Tensor, int]] = {}

    @torch.no_grad()
    def add(self, values: Mapping[str, Tensor], count: int) -> None:
        """Add 0-d means over ``count`` images; the names may differ from batch to batch."""
        names = tuple(values)
        wide = torch.float32 if values[names[0]].device.type == "mps" else torch.float64
        new = torch.stack([value.detach().to(wide) for value in values.values()]).mul_(count)
        # One stacked tensor for each set of names: adding is two kernels, whatever their number.
        if names in self._sums:
            total, before = self._sums[names]
            self._sums[names] = total.add_(new), before + count
        else:
            self._sums[names] = new, count

    def means(self, world: World) -> dict[str, float]:
        """Return the means over the images of all processes so far; the host waits once."""
        sums: dict[str, tuple[float, int]] = {}
        for own in world.gather({names: (t.tolist(), n) for names, (t, n) in self._sums.items()}):
            for names, (values, count) in own.items():
                for name, value in zip(names, values, strict=True):
                    total, before = sums.get(name, (0.0, 0))
                    sums[name] = total + value, before + count
        return {name: total / count for name, (total, count) in sums.items()}


class StepTimer:
    """Times of steps: by events on CUDA, which the host need not wait for, else by the clock."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._events: list[torch.cuda.Event] = []
        self._clock: list[float] = []

    def lap(self) -> None:
        """Mark the end of a step; the first call marks the start of the first one."""
        if self._cuda:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            self._events.append(event)
        else:
            self._clock.append(time.perf_counter())

    def median(self) -> float:
        """Return the median seconds of a step; the host waits on CUDA."""
        if self._cuda:
            self._events[-1].synchronize()
            pairs = zip(self._events, self._events[1:], strict=False)
            return median(start.elapsed_time(end) / 1000 for start, end in pairs)
        return median(b - a for a, b in zip(self._clock, self._clock[1:], strict=False))
