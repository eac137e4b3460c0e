"""The pixels of a plan: the one place where images are mixed.

Three ways lead to the same numbers. On the CPU large pairs are mixed sample by sample, where a box
is a slice and a share one ``lerp``, in one pass over fresh memory; everything else is done for the
whole batch at once, which is what compilers and accelerators want; more than two sources are added
up in float32.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from mixwright.masks.mask_forms import Box, DenseMask, MaskForm, SeparableMask
from mixwright.masks.mask_ops import resolve
from mixwright.plan.autograd import is_tracked, is_transformed
from mixwright.precision import to_float
from mixwright.warps import Warp, Window, round_to

SourceReader = Callable[[int, Window | None], Tensor]
"""Gives one source of an output, by its number: a part of it, or with None the whole."""

# Below this many numbers a sample, one call for the batch costs less than one a sample.
_LARGE_SAMPLE = 40_000


class _Sources(NamedTuple):
    """What the sources of outputs are: rows of a pool, resampled, or a fill; see ``blend``."""

    images: Tensor
    rows: Tensor
    warp: tuple[Warp | None, ...] | None
    fill: Tensor | None

    def gather(self, n: int) -> Tensor:
        """Gather the rows of source ``n`` into fresh memory."""
        rows = self.rows[:, n]
        if self.fill is None and _readable(self.images):
            try:
                found = _take_rows(self.images, rows)
            except IndexError:
                # Not looked at before, which would take as long as a small draw.
                if bool((rows < 0).any()):
                    raise _no_fill() from None
                raise
        else:
            found = _take_rows(self.images, rows if self.fill is None else rows.clamp_min(0))
        if self.warp is not None and (warp := self.warp[n]) is not None:
            found = warp.apply(found, reuse=True)
        if self.fill is not None:
            missing = (rows < 0).view(-1, *([1] * (self.images.ndim - 1)))
            found = torch.where(missing, self.fill_value(self.fill), found)
        return found

    def blank(self, n: int) -> Tensor | None:
        """Give the fill by itself, not repeated, where it is all that a source shows."""
        readable = self.fill is not None and _readable(self.images)
        if not readable or not bool((self.rows[:, n] < 0).all()):
            return None
        assert self.fill is not None
        return self.fill_value(self.fill)

    def fill_value(self, fill: Tensor) -> Tensor:
        """Bring a fill to the images' dtype and axes: (C,) is channels, else the batch is first."""
        value = round_to(fill.to(self.images.device, torch.float32), self.images.dtype)
        value = value[None] if value.ndim == 1 else value
        return value.view(*value.shape, *([1] * (self.images.ndim - value.ndim)))

    def reader(self, n: int) -> SourceReader:
        """Prepare to read source ``n`` of single outputs, wholly or in part."""
        images, rows = self.images, self.rows[:, n].tolist()
        warp = None if self.warp is None else self.warp[n]
        warped = None if warp is None else warp.one_by_one()
        blank: Tensor | None = None
        if min(rows) < 0:
            if self.fill is None:
                raise _no_fill()
            blank = self.fill_value(self.fill).expand(len(rows), *images.shape[1:])

        def read(i: int, window: Window | None) -> Tensor:
            image = images[rows[i]] if rows[i] >= 0 or blank is None else blank[i]
            if warped is not None and rows[i] >= 0:
                return warped(image, i, window)
            return image if window is None else image[window]

        return read


def blend(
    images: Tensor,
    *,
    index: Tensor,
    form: MaskForm,
    warp: tuple[Warp | None, ...] | None,
    fill: Tensor | None,
    self_first: bool = False,
) -> Tensor:
    """Mix the rows of a pool, ``(B, C, *spatial)`` in fresh memory; see ``MixPlan.images``.

    ``index`` -1 shows ``fill``, which is broadcast; with ``self_first`` source 0 of each output is
    the row of the same number, so that it need not be gathered.
    """
    sources = _Sources(images, index, warp, fill)
    learned = is_tracked(images, form)
    count = index.shape[1]
    if count == 1:
        mixed = sources.gather(0)
    elif count == 2 and not learned and _slices_pay(images):
        return _by_sample(sources, form)
    elif count == 2:
        plain = self_first and (warp is None or warp[0] is None)
        first = images if plain else sources.gather(0)
        second = sources.blank(1)
        if second is None:
            second = sources.gather(1)
        fresh = not learned and second.shape == first.shape  # a fill may be smaller
        mixed = _batched(first, second, form, tuple(images.shape[2:]), in_place=fresh)
    else:
        mixed = _many(sources, form, learned=learned)
    if is_transformed(images):  # vmap knows no memory formats
        return mixed
    return mixed.contiguous(memory_format=_format(images))


def _take_rows(images: Tensor, rows: Tensor) -> Tensor:
    """Gather rows, in half the time of ``images[rows]`` and refusing negative ones on the CPU."""
    if images.is_contiguous() or _format(images) is torch.contiguous_format:
        return images.index_select(0, rows)
    # The result of index_select is contiguous, so that channels have to be last before and after.
    return images.movedim(1, -1).index_select(0, rows).movedim(-1, 1)


def _no_fill() -> ValueError:
    return ValueError(
        "plan.images: index names the null source, -1, and the plan has no fill; expected what it "
        "shows. Give fill=torch.tensor(0.0), or another number or one a channel."
    )


def _batched(
    first: Tensor, second: Tensor, form: MaskForm, size: tuple[int, ...], *, in_place: bool
) -> Tensor:
    """Mix whole batches; ``second`` is fresh memory and, with ``in_place``, is written."""
    keep = resolve(form.first(), size)
    if form.binary and first.device.type != "cpu":
        return torch.where(keep.bool(), first, second)
    if form.binary and not first.is_floating_point():
        # Bits chosen by bits: ``where`` is not vectorised on the CPU, and this is exact. The
        # negative of 1 has all bits set, that of 0 none.
        bits = keep.to(first.dtype).neg()
        return (first ^ second).bitwise_and_(bits).bitwise_xor_(second)
    kind = torch.promote_types(first.dtype, torch.float32)
    first_wide, wide, keep = first.to(kind), second.to(kind), to_float(keep, kind)
    # Not second + keep * (first - second), which misses ``first`` by an ulp where keep is 1. In
    # place, because fresh memory costs as much as mixing.
    mixed = wide.lerp_(first_wide, keep) if in_place else torch.lerp(wide, first_wide, keep)
    return round_to(mixed, first.dtype)


def _many(sources: _Sources, form: MaskForm, *, learned: bool) -> Tensor:
    """Add up any number of sources in float32, masks written out one source at a time.

    Of many sources an output mostly shows two or three. Where nothing is resampled or filled, and
    masks of 0 need no gradient, the others are left out of each sum; finding them reads the masks,
    so this is for the CPU.
    """
    images, size = sources.images, tuple(sources.images.shape[2:])
    kind = torch.promote_types(images.dtype, torch.float32)
    first = form.first().to(kind)
    left = (1 - first.sum(dim=1, keepdim=True)).clamp_min(0)
    plain = sources.warp is None and sources.fill is None
    sparse = _readable(images) and not learned and plain
    if sparse and bool((sources.rows < 0).any()):
        raise _no_fill()
    total: Tensor | None = None
    for n in range(form.sources):
        share = first[:, n : n + 1] if n < first.shape[1] else left
        if sparse and total is not None:
            _add_where_seen(total, share, images, sources.rows[:, n])
            continue
        part = resolve(share, size) * sources.gather(n).to(kind)
        total = part if total is None else total.add_(part)
    assert total is not None
    return round_to(total, images.dtype)


def _add_where_seen(total: Tensor, share: Tensor, images: Tensor, rows: Tensor) -> None:
    """Add a source to those outputs that show any of it."""
    seen = share.flatten(1).any(dim=1).nonzero()[:, 0]
    if len(seen):
        source = images.index_select(0, rows.index_select(0, seen)).to(total.dtype)
        mask = resolve(share.index_select(0, seen), tuple(images.shape[2:]))
        total.index_add_(0, seen, mask * source)


def _readable(images: Tensor) -> bool:
    """Whether values may be read: only the CPU has them at hand, and compilers have none."""
    return images.device.type == "cpu" and not torch.compiler.is_compiling()


def _slices_pay(images: Tensor) -> bool:
    """Whether to mix sample by sample."""
    return _readable(images) and images.numel() >= _LARGE_SAMPLE * images.shape[0] > 0


def _by_sample(sources: _Sources, form: MaskForm) -> Tensor:
    """Mix pairs one output at a time, from the pool straight into the result.

    Large images do not fit into the caches together, so passes over memory are what costs: here
    each pixel is read and written once, without a gathered copy of the sources or a written out
    mask, and of a box only its slice is touched twice.
    """
    images = sources.images
    shape = (len(sources.rows), *images.shape[1:])
    out = torch.empty(shape, dtype=images.dtype, memory_format=_format(images))
    first, second = sources.reader(0), sources.reader(1)
    if isinstance(form, Box):
        _boxes(out, first, second, form)
        return out
    if isinstance(form, DenseMask) and form.constant:
        for i, keep in enumerate(form.values[:, 0].flatten().tolist()):
            _mix(out[i], first, second, keep, i)
        return out
    separable = isinstance(form, SeparableMask)
    masks = None if separable else resolve(form.first(), tuple(images.shape[2:]))
    for i in range(len(out)):
        keep = _separable_mask(form, i) if masks is None else masks[i]
        if form.binary and not images.is_floating_point():
            torch.where(keep.bool(), first(i, None), second(i, None), out=out[i])
        else:
            _mix(out[i], first, second, to_float(keep), i)
    return out


def _separable_mask(form: MaskForm, i: int) -> Tensor:
    """Render the mask of one sample; a whole batch of masks would be read from memory again."""
    assert isinstance(form, SeparableMask)
    row = (form.scale[i] * form.rows[i])[:, None]
    return (row * form.columns[i]).add_(form.base[i])


def _boxes(out: Tensor, first: SourceReader, second: SourceReader, form: Box) -> None:
    count = len(out)
    inside = [0.0] * count if form.inside is None else form.inside.tolist()
    outside = [1.0] * count if form.outside is None else form.outside.tolist()
    for i, edges in enumerate(form.edges.tolist()):
        _mix(out[i], first, second, outside[i], i)
        if all(start < stop for start, stop in edges):
            window = (slice(None), *(slice(start, stop) for start, stop in edges))
            _mix(out[i][window], first, second, inside[i], i, window)


def _mix(
    out: Tensor,
    first: SourceReader,
    second: SourceReader,
    keep: float | Tensor,
    i: int,
    window: Window | None = None,
) -> None:
    """Write ``keep`` of ``first`` and the rest of ``second``; exact at 0 and 1."""
    if isinstance(keep, float) and keep in (0.0, 1.0):
        out.copy_((first if keep else second)(i, window))
    else:
        _lerp(second(i, window), first(i, window), keep, out)


def _lerp(second: Tensor, first: Tensor, keep: float | Tensor, out: Tensor) -> None:
    if out.dtype in (torch.float32, torch.float64):
        weight = keep.to(out.dtype) if isinstance(keep, Tensor) else keep
        torch.lerp(second, first, weight, out=out)
    else:
        out.copy_(round_to(torch.lerp(second.float(), first.float(), keep), out.dtype))


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
