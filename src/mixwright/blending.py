"""The pixels of a plan: the one place where images are mixed.

Three ways lead to the same numbers. On the CPU large pairs are mixed sample by sample, where a box
is a slice and a share one ``lerp``, in one pass over fresh memory; everything else is done for the
whole batch at once, which is what compilers and accelerators want; more than two sources are added
up in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mixwright.masks.held import Box, Held, Planes, Product
from mixwright.masks.joining import resolve
from mixwright.warps import Warp, round_to

# Below this many numbers a sample, one call for the batch costs less than one a sample.
_LARGE_SAMPLE = 16_384


def blend(
    images: Tensor,
    *,
    index: Tensor,
    held: Held,
    warp: tuple[Warp | None, ...] | None,
    fill: Tensor | None,
    own: bool = False,
) -> Tensor:
    """Mix the rows of a pool.

    Args:
        images: ``(pool, C, *spatial)``, uint8 or floating; not written.
        index: ``(B, N)`` int64 rows of the pool; -1 is ``fill``.
        held: the masks.
        warp: for each source its resampling.
        fill: what the source -1 shows, broadcast to ``(B, C, *spatial)``; None if there is none.
        own: whether source 0 of each output is the row of the same number, so that it need not
            be gathered.

    Returns:
        ``(B, C, *spatial)``, fresh memory, dtype and memory format of ``images``.
    """
    if held.sources == 1:
        done = _source(images, 0, index=index, warp=warp, fill=fill)
    elif held.sources == 2 and warp is None and fill is None and _slices_pay(images):
        return _by_sample(images, index, held)
    elif held.sources == 2:
        plain = own and (warp is None or warp[0] is None)
        first = images if plain else _source(images, 0, index=index, warp=warp, fill=fill)
        other = _source(images, 1, index=index, warp=warp, fill=fill)
        done = _batched(first, other, held, tuple(images.shape[2:]))
    else:
        done = _many(images, index=index, held=held, warp=warp, fill=fill)
    return done.contiguous(memory_format=_format(images))


def _source(
    images: Tensor,
    n: int,
    *,
    index: Tensor,
    warp: tuple[Warp | None, ...] | None,
    fill: Tensor | None,
) -> Tensor:
    rows = index[:, n]
    rows_found = rows if fill is None else rows.clamp_min(0)
    # Half the time of images[rows], but it forgets channels_last.
    found = images.index_select(0, rows_found) if images.is_contiguous() else images[rows_found]
    if warp is not None and (one := warp[n]) is not None:
        found = one.apply(found)
    if fill is not None:
        missing = (rows < 0).view(-1, *([1] * (images.ndim - 1)))
        value = round_to(fill.to(images.device, torch.float32), images.dtype)
        found = torch.where(missing, value.view(_fill_shape(value, images)), found)
    return found


def _fill_shape(fill: Tensor, images: Tensor) -> tuple[int, ...]:
    """A fill of (C,) stands for channels; more axes begin with the batch."""
    shape = (1, *fill.shape) if fill.ndim == 1 else tuple(fill.shape)
    return shape if fill.ndim == 0 else (*shape, *([1] * (images.ndim - len(shape))))


def _batched(own: Tensor, other: Tensor, held: Held, size: tuple[int, ...]) -> Tensor:
    keep = resolve(held.first(), size)
    if held.binary and not own.is_floating_point():
        # Bits chosen by bits: ``where`` is not vectorised on the CPU, and this is exact.
        chosen = keep.to(own.dtype).neg()
        return other ^ ((own ^ other) & chosen)
    kind = torch.promote_types(own.dtype, torch.float32)
    # Not other + keep * (own - other), which misses ``own`` by an ulp where keep is 1.
    return round_to(torch.lerp(other.to(kind), own.to(kind), keep.to(kind)), own.dtype)


def _many(
    images: Tensor,
    *,
    index: Tensor,
    held: Held,
    warp: tuple[Warp | None, ...] | None,
    fill: Tensor | None,
) -> Tensor:
    first = resolve(held.first(), tuple(images.shape[2:])).float()
    kind = torch.promote_types(images.dtype, torch.float32)
    left = (1 - first.sum(dim=1, keepdim=True)).clamp_min(0)
    total: Tensor | None = None
    for n in range(held.sources):
        share = first[:, n : n + 1] if n < first.shape[1] else left
        part = share.to(kind) * _source(images, n, index=index, warp=warp, fill=fill).to(kind)
        total = part if total is None else total.add_(part)
    assert total is not None
    return round_to(total, images.dtype)


def _slices_pay(images: Tensor) -> bool:
    """Whether to mix sample by sample, which reads values that only the CPU has at hand."""
    if torch.compiler.is_compiling() or images.device.type != "cpu" or len(images) == 0:
        return False
    return images[0].numel() >= _LARGE_SAMPLE


def _by_sample(images: Tensor, index: Tensor, held: Held) -> Tensor:
    size = tuple(images.shape[2:])
    count = len(index)
    shape = (count, *images.shape[1:])
    out = torch.empty(shape, dtype=images.dtype, memory_format=_format(images))
    pairs = index.tolist()
    if isinstance(held, Box):
        _boxes(images, out, pairs, held)
        return out
    if isinstance(held, Planes) and held.constant:
        for i, (own, other) in enumerate(pairs):
            _lerp(images[other], images[own], float(held.values[i].flatten()[0]), out[i])
        return out
    whole = None if isinstance(held, Product) else resolve(held.first(), size)
    for i, (own, other) in enumerate(pairs):
        keep = whole[i] if whole is not None else _one(held, i)
        if held.binary and not images.is_floating_point():
            torch.where(keep.bool(), images[own], images[other], out=out[i])
        else:
            _lerp(images[other], images[own], keep.float(), out[i])
    return out


def _one(held: Held, i: int) -> Tensor:
    """Render the mask of one sample; a whole batch of masks would be read from memory again."""
    assert isinstance(held, Product)
    row = (held.scale[i] * held.rows[i])[:, None]
    return torch.addcmul(held.base[i], row, held.columns[i][None])


def _boxes(images: Tensor, out: Tensor, pairs: list[list[int]], held: Box) -> None:
    edges = held.edges.tolist()
    inside = [0.0] * len(pairs) if held.inside is None else held.inside.tolist()
    outside = [1.0] * len(pairs) if held.outside is None else held.outside.tolist()
    for i, (own, other) in enumerate(pairs):
        _lerp(images[other], images[own], outside[i], out[i])
        window = (slice(None), *(slice(start, stop) for start, stop in edges[i]))
        if all(start < stop for start, stop in edges[i]):
            _lerp(images[other][window], images[own][window], inside[i], out[i][window])


def _lerp(other: Tensor, own: Tensor, keep: float | Tensor, out: Tensor) -> None:
    """Write ``keep`` of ``own`` and the rest of ``other`` into ``out``; exact at 0 and 1."""
    if isinstance(keep, float) and keep in (0.0, 1.0):
        out.copy_(own if keep else other)
    elif out.dtype in (torch.float32, torch.float64):
        weight = keep.to(out.dtype) if isinstance(keep, Tensor) else keep
        torch.lerp(other, own, weight, out=out)
    else:
        out.copy_(round_to(torch.lerp(other.float(), own.float(), keep), out.dtype))


def _format(images: Tensor) -> torch.memory_format:
    if images.ndim == 4 and images.is_contiguous(memory_format=torch.channels_last):
        if not images.is_contiguous():
            return torch.channels_last
    elif (
        images.ndim == 5
        and images.is_contiguous(memory_format=torch.channels_last_3d)
        and not images.is_contiguous()
    ):
        return torch.channels_last_3d
    return torch.contiguous_format
