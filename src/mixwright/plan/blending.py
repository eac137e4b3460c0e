"""The pixels of a plan: the one place where images are mixed.

Three ways lead to the same numbers. On the CPU large pairs are mixed sample by sample, where a box
is a slice and a share one ``lerp``, in one pass over fresh memory; everything else is done for the
whole batch at once, which is what compilers and accelerators want; more than two sources are added
up in float32.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mixwright.masks.mask_forms import Box, DenseMask, MaskForm, SeparableMask
from mixwright.masks.mask_ops import resolve
from mixwright.warps import Warp, Window, round_to

Shown = Callable[[int, Window | None], Tensor]
"""Gives one source of an output, by its number: a part of it, or with None the whole."""

# Below this many numbers a sample, one call for the batch costs less than one a sample.
_LARGE_SAMPLE = 40_000


def blend(
    images: Tensor,
    *,
    index: Tensor,
    held: MaskForm,
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
    learned = _differentiated(images, held)
    if held.sources == 1:
        done = _source(images, 0, index=index, warp=warp, fill=fill)
    elif held.sources == 2 and not learned and _slices_pay(images):
        return _by_sample(images, index=index, held=held, warp=warp, fill=fill)
    elif held.sources == 2:
        plain = own and (warp is None or warp[0] is None)
        first = images if plain else _source(images, 0, index=index, warp=warp, fill=fill)
        other = _blank(images, index[:, 1], fill)
        if other is None:
            other = _source(images, 1, index=index, warp=warp, fill=fill)
        fresh = not learned and other.shape == first.shape  # a fill may be smaller
        done = _batched(first, other, held, tuple(images.shape[2:]), in_place=fresh)
    else:
        done = _many(images, index=index, held=held, warp=warp, fill=fill, learned=learned)
    return done.contiguous(memory_format=_format(images))


def _source(
    images: Tensor,
    n: int,
    *,
    index: Tensor,
    warp: tuple[Warp | None, ...] | None,
    fill: Tensor | None,
) -> Tensor:
    """Gather the rows of one source into fresh memory."""
    rows = index[:, n]
    if fill is None and _readable(images) and bool((rows < 0).any()):
        raise _no_fill()
    value = None if fill is None else _fill_value(fill, images)
    rows_found = rows if fill is None else rows.clamp_min(0)
    # Half the time of images[rows], but it forgets channels_last.
    found = images.index_select(0, rows_found) if images.is_contiguous() else images[rows_found]
    if warp is not None and (one := warp[n]) is not None:
        found = one.apply(found, reuse=True)
    if value is not None:
        missing = (rows < 0).view(-1, *([1] * (images.ndim - 1)))
        found = torch.where(missing, value, found)
    return found


def _no_fill() -> ValueError:
    return ValueError(
        "plan.images: index names the null source, -1, and the plan has no fill; expected what it "
        "shows. Give fill=torch.tensor(0.0), or another number or one a channel."
    )


def _blank(images: Tensor, rows: Tensor, fill: Tensor | None) -> Tensor | None:
    """Give the fill by itself, not repeated, where it is all that a source shows."""
    if fill is None or not _readable(images) or not bool((rows < 0).all()):
        return None
    return _fill_value(fill, images)


def _fill_value(fill: Tensor, images: Tensor) -> Tensor:
    """Bring a fill to the images' dtype and number of axes.

    A fill of (C,) stands for channels; more axes begin with the batch.
    """
    value = round_to(fill.to(images.device, torch.float32), images.dtype)
    value = value[None] if value.ndim == 1 else value
    return value.view(*value.shape, *([1] * (images.ndim - value.ndim)))


def _batched(
    own: Tensor, other: Tensor, held: MaskForm, size: tuple[int, ...], *, in_place: bool
) -> Tensor:
    """Mix whole batches; ``other`` is fresh memory and, with ``in_place``, is written."""
    keep = resolve(held.first(), size)
    if held.binary and not _readable(own):
        return torch.where(keep.bool(), own, other)
    if held.binary and not own.is_floating_point():
        # Bits chosen by bits: ``where`` is not vectorised on the CPU, and this is exact.
        chosen = keep.to(own.dtype).neg()
        return (own ^ other).bitwise_and_(chosen).bitwise_xor_(other)
    kind = torch.promote_types(own.dtype, torch.float32)
    own_wide, wide, keep = own.to(kind), other.to(kind), keep.to(kind)
    # Not other + keep * (own - other), which misses ``own`` by an ulp where keep is 1. In place,
    # because fresh memory costs as much as mixing.
    mixed = wide.lerp_(own_wide, keep) if in_place else torch.lerp(wide, own_wide, keep)
    return round_to(mixed, own.dtype)


def _many(
    images: Tensor,
    *,
    index: Tensor,
    held: MaskForm,
    warp: tuple[Warp | None, ...] | None,
    fill: Tensor | None,
    learned: bool,
) -> Tensor:
    size = tuple(images.shape[2:])
    kind = torch.promote_types(images.dtype, torch.float32)
    first = held.first().to(kind)  # written out at full size for one source at a time
    left = (1 - first.sum(dim=1, keepdim=True)).clamp_min(0)
    # A mask of 0 shows nothing, but it may still have a gradient.
    seldom = _readable(images) and not learned and warp is None and fill is None
    if seldom and bool((index < 0).any()):
        raise _no_fill()
    total: Tensor | None = None
    for n in range(held.sources):
        share = first[:, n : n + 1] if n < first.shape[1] else left
        if seldom and total is not None:
            _add_where_seen(total, share, images, index[:, n])
            continue
        source = _source(images, n, index=index, warp=warp, fill=fill).to(kind)
        part = resolve(share, size) * source
        total = part if total is None else total.add_(part)
    assert total is not None
    return round_to(total, images.dtype)


def _add_where_seen(total: Tensor, share: Tensor, images: Tensor, rows: Tensor) -> None:
    """Add a source to those outputs that show any of it: of many sources most show few."""
    seen = share.flatten(1).any(dim=1).nonzero()[:, 0]
    if len(seen):
        source = images.index_select(0, rows.index_select(0, seen)).to(total.dtype)
        shown = resolve(share.index_select(0, seen), tuple(images.shape[2:]))
        total.index_add_(0, seen, shown * source)


def _differentiated(images: Tensor, held: MaskForm) -> bool:
    """Whether gradients are wanted of the pixels or of a learned mask."""
    masks = [getattr(held, name) for name in held.__dataclass_fields__]
    tensors = [images, *(mask for mask in masks if isinstance(mask, Tensor))]
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _readable(images: Tensor) -> bool:
    """Whether values may be read: only the CPU has them at hand, and compilers have none."""
    return images.device.type == "cpu" and not torch.compiler.is_compiling()


def _slices_pay(images: Tensor) -> bool:
    """Whether to mix sample by sample."""
    return _readable(images) and len(images) > 0 and images[0].numel() >= _LARGE_SAMPLE


def _by_sample(
    images: Tensor,
    *,
    index: Tensor,
    held: MaskForm,
    warp: tuple[Warp | None, ...] | None,
    fill: Tensor | None,
) -> Tensor:
    shape = (len(index), *images.shape[1:])
    out = torch.empty(shape, dtype=images.dtype, memory_format=_format(images))
    own, other = (_shown(images, n, index=index, warp=warp, fill=fill) for n in (0, 1))
    if isinstance(held, Box):
        _boxes(out, own, other, held)
        return out
    if isinstance(held, DenseMask) and held.constant:
        for i, keep in enumerate(held.values[:, 0].flatten().tolist()):
            _mix(out[i], own, other, keep, i)
        return out
    whole = (
        None if isinstance(held, SeparableMask) else resolve(held.first(), tuple(images.shape[2:]))
    )
    for i in range(len(out)):
        keep = _one(held, i) if whole is None else whole[i]
        if held.binary and not images.is_floating_point():
            torch.where(keep.bool(), own(i, None), other(i, None), out=out[i])
        else:
            _mix(out[i], own, other, keep.float(), i)
    return out


def _shown(
    images: Tensor,
    n: int,
    *,
    index: Tensor,
    warp: tuple[Warp | None, ...] | None,
    fill: Tensor | None,
) -> Shown:
    """Prepare to show source ``n`` of single outputs, wholly or in part."""
    rows: list[int] = index[:, n].tolist()
    one = None if warp is None else warp[n]
    warped = None if one is None else one.one_by_one()
    blank: Tensor | None = None
    if min(rows) < 0:
        if fill is None:
            raise _no_fill()
        blank = _fill_value(fill, images).expand(len(rows), *images.shape[1:])

    def show(i: int, window: Window | None) -> Tensor:
        image = images[rows[i]] if rows[i] >= 0 or blank is None else blank[i]
        if warped is not None and rows[i] >= 0:
            return warped(image, i, window)
        return image if window is None else image[window]

    return show


def _one(held: MaskForm, i: int) -> Tensor:
    """Render the mask of one sample; a whole batch of masks would be read from memory again."""
    assert isinstance(held, SeparableMask)
    row = (held.scale[i] * held.rows[i])[:, None]
    return (row * held.columns[i]).add_(held.base[i])


def _boxes(out: Tensor, own: Shown, other: Shown, held: Box) -> None:
    count = len(out)
    inside = [0.0] * count if held.inside is None else held.inside.tolist()
    outside = [1.0] * count if held.outside is None else held.outside.tolist()
    for i, edges in enumerate(held.edges.tolist()):
        _mix(out[i], own, other, outside[i], i)
        if all(start < stop for start, stop in edges):
            window = (slice(None), *(slice(start, stop) for start, stop in edges))
            _mix(out[i][window], own, other, inside[i], i, window)


def _mix(
    out: Tensor,
    own: Shown,
    other: Shown,
    keep: float | Tensor,
    i: int,
    window: Window | None = None,
) -> None:
    """Write ``keep`` of ``own`` and the rest of ``other``; exact at 0 and 1."""
    if isinstance(keep, float) and keep in (0.0, 1.0):
        out.copy_((own if keep else other)(i, window))
    else:
        _lerp(other(i, window), own(i, window), keep, out)


def _lerp(other: Tensor, own: Tensor, keep: float | Tensor, out: Tensor) -> None:
    if out.dtype in (torch.float32, torch.float64):
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
