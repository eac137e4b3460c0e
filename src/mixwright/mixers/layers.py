"""Layers of masks, as MiAMix stacks them: drawn by many methods, augmented, merged.

Everything is drawn before a pixel is made, so that it is known how many planes there will be. A
changed mask gets a plane of its own, since writing into single planes of many takes longer than
turning or blurring them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.constants import steps
from mixwright.masks.augment import smoothed, turned
from mixwright.masks.mask_forms import DenseMask, MaskForm
from mixwright.masks.mask_ops import resolve
from mixwright.mixers.pair_mixer import MaskMethod

# The paper names the augmentations but not their ranges.
_MAX_SHEAR = 0.3
_MIN_SIGMA = 0.5  # pixels
_MAX_SIGMA = 1 / 16  # of the shorter side

_HOST = torch.device("cpu")


@dataclass(frozen=True, slots=True, eq=False)
class Turns:
    """Rotations and shears of some masks: ``places`` on the CPU, the others ``(n,)`` each."""

    places: Tensor
    angle: Tensor
    shear_x: Tensor
    shear_y: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Blurs:
    """Gaussian blurs of some masks: ``places`` on the CPU, ``sigma`` ``(n,)`` in pixels."""

    places: Tensor
    sigma: Tensor
    radius: int


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """What was drawn for several layers, L masks in all, method by method.

    Attributes:
        forms: the masks that are not constant, one form for each method that drew any.
        uneven: their places among the L, in the order of ``forms``; only they are augmented.
        levels: ``(L,)`` float32, the sample's own share of the masks that are constant, 1 of the
            others.
        rows: for each depth the samples that have such a layer; at the first depth, all.
        places: for each depth the places of the masks of its ``rows``.

    Rows and places are known on the host, so their number is too and nothing waits.
    """

    forms: list[MaskForm]
    uneven: Tensor
    levels: Tensor
    rows: list[Tensor]
    places: list[Tensor]

    def turns(self, *, p_rotate: float, p_shear: float, generator: Generator) -> Turns | None:
        """Draw rotations by any angle and shears by up to 0.3 on both axes, each by chance."""
        coins = sampling.uniform((2, len(self.uneven)), device=_HOST, generator=generator)
        rotated, sheared = coins[0] < p_rotate, coins[1] < p_shear
        some = (rotated | sheared).nonzero()[:, 0]
        if len(some) == 0:
            return None
        device = self.levels.device
        rotates, shears = (
            to_device(happened.index_select(0, some).float(), device)
            for happened in (rotated, sheared)
        )
        angle, shear_x, shear_y = sampling.uniform(
            (3, len(some)), low=-1.0, high=1.0, device=device, generator=generator
        )
        reach = shears * _MAX_SHEAR
        return Turns(
            self.uneven.index_select(0, some),
            angle * rotates * math.pi,
            shear_x * reach,
            shear_y * reach,
        )

    def blurs(self, *, p_smooth: float, size: Sequence[int], generator: Generator) -> Blurs | None:
        """Draw blurs by chance, of 0.5 pixels to 1/16 of the shorter side."""
        some = happens(p_smooth, len(self.uneven), generator=generator)
        if len(some) == 0:
            return None
        most = max(_MIN_SIGMA, min(size) * _MAX_SIGMA)
        sigma = sampling.uniform(
            (len(some),),
            low=_MIN_SIGMA,
            high=most,
            device=self.levels.device,
            generator=generator,
        )
        return Blurs(self.uneven.index_select(0, some), sigma, radius=math.ceil(3 * most))

    def merged(
        self, *, size: Sequence[int], turns: Turns | None, blurs: Blurs | None, product: bool
    ) -> Tensor:
        """Render, augment and merge the masks: ``(B, H, W)`` float32, the own share.

        With ``product`` one layer is pasted over the other, so that own shares multiply; else the
        partner's shares add up, to 1 at most. What a mask reveals by turning is the sample's own.
        """
        changed = sum(len(change.places) for change in (turns, blurs) if change is not None)
        deeper = sum(len(rows) for rows in self.rows[1:])
        planes = _Planes(self, tuple(size), free=changed + deeper)
        if turns is not None:
            planes.turn(turns)
        if blurs is not None:
            planes.smooth(blurs)
        # The weights of a smoothing sum to 1 but for rounding.
        return (planes.product() if product else planes.sum()).clamp_(0, 1)


class _Planes:
    """The masks of layers as pixels, ``(P, H, W)``, the partner's share of each.

    Plane 0 is all 0, for constant masks; those drawn follow, then free ones. It is the partner's
    share that is augmented: what turning reveals is then the sample's own, and a mask that gives
    nothing away does so exactly after a blur too.
    """

    def __init__(self, layers: Layers, size: tuple[int, ...], *, free: int) -> None:
        device = layers.levels.device
        self.layers = layers
        self.taken = 1 + len(layers.uneven)
        self.planes = torch.empty((self.taken + free, *size), device=device, dtype=torch.float32)
        self.planes[0] = 0
        start = 1
        for form in layers.forms:
            first = resolve(form.first(), size)[:, 0]
            out = self.planes[start : start + len(first)]
            start += len(first)
            if first.dtype == torch.bool:  # by way of its bytes, in a seventh of the time
                out.copy_((~first).view(torch.uint8))
            else:
                torch.sub(1, first, out=out)
        self.all = torch.arange(len(self.planes))
        self.plane = torch.zeros(len(layers.levels), dtype=torch.int64)
        self.plane.index_copy_(0, layers.uneven, self.all[1 : self.taken])  # of each of the L masks

    def turn(self, turns: Turns) -> None:
        after = turned(
            self._copy(self.plane.index_select(0, turns.places))[:, None],
            angle=turns.angle,
            shear_x=turns.shear_x,
            shear_y=turns.shear_y,
        )
        self._fresh(turns.places, self.plane).copy_(after[:, 0])

    def smooth(self, blurs: Blurs) -> None:
        before = self._copy(self.plane.index_select(0, blurs.places))
        after = self._fresh(blurs.places, self.plane)
        smoothed(before[:, None], sigma=blurs.sigma, radius=blurs.radius, out=after[:, None])

    def product(self) -> Tensor:
        """Multiply the own shares of all layers."""
        (plane, *deeper), (level, *levels) = self._by_depth()
        everything = torch.ones_like(self.planes[0])
        for rows, mine, share in zip(self.layers.rows[1:], deeper, levels, strict=True):
            above = self._copy(plane.index_select(0, rows))
            # What is left above goes to the partner as far as this mask says; exact at both ends.
            torch.lerp(above, everything, self._copy(mine), out=self._fresh(rows, plane))
            where = to_device(rows, level.device)
            level = level.index_copy(0, where, level.index_select(0, where) * share)
        covered = self._copy(plane)
        return torch.sub(1, covered, out=covered).mul_(level[:, None, None])

    def sum(self) -> Tensor:
        """Take the partner's shares of all layers from 1."""
        (plane, *deeper), (level, *levels) = self._by_depth()
        keep = torch.sub(level[:, None, None], self._copy(plane))
        for rows, mine, share in zip(self.layers.rows[1:], deeper, levels, strict=True):
            taken = self._copy(mine).add_((1 - share)[:, None, None])
            keep.index_add_(0, to_device(rows, keep.device), taken, alpha=-1)
        return keep

    def _by_depth(self) -> tuple[list[Tensor], list[Tensor]]:
        """Give for each depth the planes and the constant shares of its rows."""
        places = self.layers.places
        levels = [
            self.layers.levels.index_select(0, to_device(at, self.planes.device)) for at in places
        ]
        return [self.plane.index_select(0, at) for at in places], levels

    def _copy(self, planes: Tensor) -> Tensor:
        return self.planes.index_select(0, to_device(planes, self.planes.device))

    def _fresh(self, which: Tensor, plane: Tensor) -> Tensor:
        """Take free planes for ``which`` of ``plane``, and note that there."""
        start, self.taken = self.taken, self.taken + len(which)
        plane.index_copy_(0, which, self.all[start : self.taken])
        return self.planes[start : self.taken]


def draw_layers(
    shares: Tensor,
    depths: Tensor,
    methods: Sequence[MaskMethod],
    weights: Sequence[float],
    *,
    size: Sequence[int],
    generator: Generator,
) -> Layers:
    """Choose a method for each layer and draw its mask.

    ``shares`` ``(B, D)`` are the partner's in each layer, ``depths`` ``(B,)`` on the CPU how many
    layers each sample has. Methods are chosen on the host, so each draws once, and only for layers
    that chose it.
    """
    rows = [steps(len(depths), _HOST)]
    rows += [(depths > layer).nonzero()[:, 0] for layer in range(1, shares.shape[1])]
    own = (1 - shares).unbind(1)
    asked = [own[0]]
    asked += [
        share.index_select(0, to_device(some, shares.device))
        for share, some in zip(own[1:], rows[1:], strict=True)
    ]
    sizes = [len(some) for some in rows]
    choice = sampling.host_choices(weights, sum(sizes), generator=generator)
    by_method = choice.argsort(stable=True)
    counts: list[int] = choice.bincount(minlength=len(methods)).tolist()
    place = torch.empty_like(by_method).scatter_(0, by_method, steps(len(by_method), _HOST))

    wanted = torch.cat(asked).index_select(0, to_device(by_method, shares.device))
    levels = torch.ones_like(wanted)
    forms: list[MaskForm] = []
    uneven: list[int] = []
    stop = 0
    for method, share in zip(methods, wanted.split(counts), strict=True):
        start, stop = stop, stop + len(share)
        if start == stop:
            continue
        mask = method.keep(share, size=size, generator=generator)
        if isinstance(mask, DenseMask) and mask.constant:
            levels[start:stop] = mask.first().view(-1)
        else:
            forms.append(mask)
            uneven += range(start, stop)
    return Layers(
        forms,
        torch.tensor(uneven, dtype=torch.int64),
        levels,
        rows,
        list(place.split(sizes)),
    )


def happens(chance: float, count: int, *, generator: Generator) -> Tensor:
    """Choose on the host those of ``count`` numbers from 0 where something of a chance happens."""
    coins = sampling.uniform((count,), device=_HOST, generator=generator)
    return (coins < chance).nonzero()[:, 0]


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Bring values known on the host to a device, without waiting for it."""
    return values.to(device, non_blocking=True)
