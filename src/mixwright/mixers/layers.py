"""Layers of masks, as MiAMix stacks them: drawn by many methods, augmented, merged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.masks.augment import smoothed, turned
from mixwright.masks.mask_forms import DenseMask
from mixwright.masks.mask_ops import resolve
from mixwright.mixers.pair_mixer import MaskMethod
from mixwright.precision import to_float

# The paper names the augmentations but not their ranges.
_MAX_SHEAR = 0.3
_MIN_SIGMA = 0.5  # pixels
_MAX_SIGMA = 1 / 16  # of the shorter side


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """The masks of several layers, in the order in which they were drawn: method by method.

    Attributes:
        coverage: ``(L, H, W)`` float32, the partner's share of each pixel; written in place.
        rows: for each depth the samples that have such a layer; at the first depth, all.
        places: for each depth where in ``coverage`` the masks of its ``rows`` are.
        uneven: places in ``coverage`` of masks that are not constant; only they are augmented.

    Rows and places are known on the host, so their number is too and nothing waits.
    """

    coverage: Tensor
    rows: list[Tensor]
    places: list[Tensor]
    uneven: Tensor

    def turn(self, *, p_rotate: float, p_shear: float, generator: Generator) -> None:
        """Rotate by any angle and shear by up to 0.3 on both axes, each by chance.

        What a mask reveals by turning is the sample's own.
        """
        coins = sampling.uniform(
            (2, len(self.uneven)), device=self.uneven.device, generator=generator
        )
        happened = coins < torch.tensor([[p_rotate], [p_shear]], dtype=torch.float32)
        some = happened.any(dim=0)
        if not some.any():
            return
        places = to_device(self.uneven[some], self.coverage.device)
        rotates, shears = to_device(happened[:, some].float(), self.coverage.device)
        angle, shear_x, shear_y = sampling.uniform(
            (3, len(places)), low=-1.0, high=1.0, device=self.coverage.device, generator=generator
        )
        shears = shears * _MAX_SHEAR
        after = turned(
            self.coverage.index_select(0, places)[:, None],
            angle=angle * rotates * math.pi,
            shear_x=shear_x * shears,
            shear_y=shear_y * shears,
        )
        self.coverage.index_copy_(0, places, after[:, 0])

    def smooth(self, *, p_smooth: float, generator: Generator) -> None:
        """Blur by chance, by 0.5 pixels to 1/16 of the shorter side."""
        some = happens(p_smooth, self.uneven, generator=generator)
        if len(some) == 0:
            return
        places = to_device(some, self.coverage.device)
        most = max(_MIN_SIGMA, min(self.coverage.shape[1:]) * _MAX_SIGMA)
        sigma = sampling.uniform(
            (len(places),),
            low=_MIN_SIGMA,
            high=most,
            device=self.coverage.device,
            generator=generator,
        )
        after = smoothed(
            self.coverage.index_select(0, places)[:, None], sigma=sigma, radius=math.ceil(3 * most)
        )
        self.coverage.index_copy_(0, places, after[:, 0])

    def product(self) -> Tensor:
        """Paste one layer over the other: own shares multiply. ``(B, H, W)``."""
        keep = self._left(0)
        for depth, some in enumerate(self.rows[1:], start=1):
            rows = to_device(some, keep.device)
            left = self._left(depth).mul_(keep.index_select(0, rows))
            keep.index_copy_(0, rows, left)
        return keep.clamp_(0, 1)  # the weights of a smoothing sum to 1 but for rounding

    def sum(self) -> Tensor:
        """Add up the partner's shares, to 1 at most. ``(B, H, W)``, the own share."""
        keep = self._left(0)
        for depth, some in enumerate(self.rows[1:], start=1):
            keep.index_add_(0, to_device(some, keep.device), self._at(depth), alpha=-1)
        return keep.clamp_(0, 1)

    def _left(self, depth: int) -> Tensor:
        """Give what the masks of a depth leave of the samples."""
        covered = self._at(depth)
        return torch.sub(1, covered, out=covered)

    def _at(self, depth: int) -> Tensor:
        """Copy the masks of a depth, in the order of its rows."""
        return self.coverage.index_select(0, to_device(self.places[depth], self.coverage.device))


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
    height, width = size
    most = shares.shape[1]
    rows = [(depths > layer).nonzero()[:, 0] for layer in range(most)]
    # Where the share of each layer lies in the flat ``shares``, first layers first.
    wanted = torch.cat([some * most + layer for layer, some in enumerate(rows)])
    choice = sampling.host_choices(weights, len(wanted), generator=generator)
    by_method = choice.argsort(stable=True)
    counts: list[int] = choice.bincount(minlength=len(methods)).tolist()
    place = torch.empty_like(by_method).scatter_(0, by_method, torch.arange(len(by_method)))

    asked = 1 - shares.flatten().index_select(0, to_device(wanted[by_method], shares.device))
    coverage = torch.empty((len(asked), height, width), device=shares.device, dtype=torch.float32)
    uneven = [place[:0]]
    masks = zip(methods, asked.split(counts), coverage.split(counts), strict=True)
    stop = 0
    for method, share, out in masks:
        start, stop = stop, stop + len(share)
        if start == stop:
            continue
        mask = method.keep(share, size=(height, width), generator=generator)
        first = to_float(resolve(mask.first(), (height, width))[:, 0])
        torch.sub(1, first.expand(-1, height, width), out=out)
        if not (isinstance(mask, DenseMask) and mask.constant):
            uneven.append(torch.arange(start, stop))
    return Layers(
        coverage, rows, list(place.split([len(some) for some in rows])), torch.cat(uneven)
    )


def happens(chance: float, places: Tensor, *, generator: Generator) -> Tensor:
    """Choose on the host those of ``places``, a CPU tensor, where something of a chance happens."""
    return places[
        sampling.uniform(places.shape, device=places.device, generator=generator) < chance
    ]


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Bring values known on the host to a device, without waiting for it."""
    return values.to(device, non_blocking=True)
