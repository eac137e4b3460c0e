"""Running statistics of batch normalisation: what a batch brings, and how they are made of it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from mixwright.taps import hooked

BatchNorm = _BatchNorm
"""All batch normalisation of torch, synchronised or not, and what is derived from it."""

# One kernel for all tensors; torch's own optimisers are built on them, under these names.
_add = torch._foreach_add_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
_lerp = torch._foreach_lerp_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
_times = torch._foreach_mul  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


@dataclass(frozen=True)
class BatchStatistics:
    """The statistics of one batch, norm by norm."""

    means: Sequence[Tensor]  # (C,) each
    variances: Sequence[Tensor]  # (C,) each, divided by n - 1, as running ones are
    runs: Sequence[Tensor]  # 0-d int64 each: how often the norm ran


def tracking(model: nn.Module) -> list[BatchNorm]:
    """Find the norms that keep running statistics and update them."""
    return [
        norm
        for norm in model.modules()
        if isinstance(norm, BatchNorm)
        and norm.track_running_stats
        and norm.running_mean is not None
    ]


@contextlib.contextmanager
def measuring(norms: Sequence[BatchNorm]) -> Generator[BatchStatistics]:
    """Measure the batch that is run inside; running statistics stay as they were.

    A norm that does not run has measured its running statistics; one that runs more than once, its
    last run.
    """
    # The norms, in training mode, write into other tensors, with a momentum of 1, so that what is
    # there afterwards is what the batch had: torch measures in its own fused kernel, and nothing
    # is computed twice. No graph holds the running statistics themselves, which may change before
    # the backward.
    kept = [_buffers(norm) for norm in norms]
    momenta = [norm.momentum for norm in norms]
    means, variances, counts = _columns(kept)
    with torch.no_grad():  # times 1 is a copy, in one kernel
        measured = BatchStatistics(_times(means, 1.0), _times(variances, 1.0), _times(counts, 0))
    try:
        columns = zip(measured.means, measured.variances, measured.runs, strict=True)
        for norm, buffers in zip(norms, columns, strict=True):
            _put(norm, buffers)
            norm.momentum = 1.0
        yield measured
    finally:
        for norm, buffers, momentum in zip(norms, kept, momenta, strict=True):
            _put(norm, buffers)
            norm.momentum = momentum


@contextlib.contextmanager
def passing(norms: Sequence[BatchNorm]) -> Generator[None]:
    """Leave running statistics alone in the forwards made inside, and measure nothing."""
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


@torch.no_grad()
def update(norms: Sequence[BatchNorm], measured: BatchStatistics, *, times: int = 1) -> None:
    """Bring running statistics to where ``times`` passes over a measured batch would take them.

    A pass makes ``r = (1 - mu) r + mu s`` of the running ``r`` and the batch's ``s``, so ``n``
    passes make ``(1 - mu)^n r + (1 - (1 - mu)^n) s``. Without momentum the running statistics are
    the average of all batches. Nothing is read back from the device.
    """
    groups: dict[float, tuple[list[Tensor], list[Tensor]]] = {}
    counts, runs = list[Tensor](), list[Tensor]()
    for norm, mean, variance, ran in zip(
        norms, measured.means, measured.variances, measured.runs, strict=True
    ):
        own = _buffers(norm)
        if norm.momentum is None:
            for _ in range(times):
                own[2].add_(ran)
                share = ran.to(mean.dtype) / own[2].clamp(min=1)
                own[0].lerp_(mean, share)
                own[1].lerp_(variance, share)
            continue
        running, targets = groups.setdefault(norm.momentum, ([], []))
        running += own[:2]
        targets += [mean, variance]
        counts.append(own[2])
        runs.append(ran)
    for momentum, (running, targets) in groups.items():
        _lerp(running, targets, 1.0 - (1.0 - momentum) ** times)
    if counts:
        _add(counts, runs, alpha=times)


class Population:
    """Mean and variance of all that norms are given, batch after batch.

    Parts are put together as if all rows had been one batch: within each part by its variance,
    between parts by their means.
    """

    def __init__(self, norms: Sequence[BatchNorm]) -> None:
        self._norms = norms
        self._batches = 0
        self._parts: dict[BatchNorm, tuple[int, Tensor, Tensor]] = {}  # n, mean, sum of squares

    @contextlib.contextmanager
    def watching(self) -> Generator[None]:
        """Take in the forward made inside; norms are in training mode."""
        values: dict[BatchNorm, int] = {}  # of a channel

        def count(module: BatchNorm, inputs: tuple[Tensor, ...]) -> None:
            values[module] = inputs[0].numel() // inputs[0].shape[1]

        with contextlib.ExitStack() as stack:
            for norm in self._norms:
                stack.callback(norm.register_forward_pre_hook(count).remove)
            measured = stack.enter_context(measuring(self._norms))
            stack.enter_context(hooked())
            yield
        self._batches += 1
        for norm, mean, variance in zip(
            self._norms, measured.means, measured.variances, strict=True
        ):
            if norm in values:
                self._take(norm, values[norm], mean, variance * (values[norm] - 1))

    @torch.no_grad()
    def write(self) -> None:
        """Put what was found into the running statistics."""
        for norm, (number, mean, squares) in self._parts.items():
            own = _buffers(norm)
            own[0].copy_(mean)
            own[1].copy_(squares / (number - 1))
            own[2].fill_(self._batches)

    def _take(self, norm: BatchNorm, number: int, mean: Tensor, squares: Tensor) -> None:
        if norm in self._parts:
            before, middle, around = self._parts[norm]
            apart = mean - middle
            mean = middle + apart * (number / (before + number))
            between = apart.square() * (before * number / (before + number))
            number, squares = before + number, squares + around + between
        self._parts[norm] = number, mean, squares


def _buffers(norm: BatchNorm) -> tuple[Tensor, Tensor, Tensor]:
    mean, variance, count = norm.running_mean, norm.running_var, norm.num_batches_tracked
    assert mean is not None
    assert variance is not None
    assert count is not None
    return mean, variance, count


def _put(norm: BatchNorm, buffers: tuple[Tensor, Tensor, Tensor]) -> None:
    norm.running_mean, norm.running_var, norm.num_batches_tracked = buffers


def _columns(
    rows: Sequence[tuple[Tensor, Tensor, Tensor]],
) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    return [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
