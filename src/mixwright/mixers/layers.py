"""Layers of masks, as MiAMix stacks them: drawn by many methods, augmented, merged."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.masks.augment import smoothed, turned
from mixwright.masks.held import Planes
from mixwright.masks.joining import resolve
from mixwright.mixers.pairs import PairMixer

# The paper names the augmentations but not their ranges.
_MAX_SHEAR = 0.3
_MIN_SIGMA = 0.5  # pixels
_MAX_SIGMA = 1 / 16  # of the shorter side


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """The masks of several layers, one behind the other, all first layers first.

    Attributes:
        planes: ``(L, H, W)`` float32, the own share of each layer's pixels; written in place.
        rows: for each depth the samples that have such a layer; at the first depth, all.
        uneven: places in ``planes`` of masks that are not constant; only they are augmented.
    """

    planes: Tensor
    rows: list[list[int]]
    uneven: list[int]

    def turn(self, *, p_rotate: float, p_shear: float, generator: Generator) -> None:
        """Rotate by any angle and shear by up to 0.3 on both axes, each by chance.

        What a mask reveals by turning is the sample's own.
        """
        rotated = set(happens(p_rotate, self.uneven, generator=generator))
        sheared = set(happens(p_shear, self.uneven, generator=generator))
        some = sorted(rotated | sheared)
        if not some:
            return
        places = host_index(some, self.planes.device)
        happened = torch.tensor(
            [[place in group for place in some] for group in (rotated, sheared)]
        )
        angle, shear_x, shear_y = sampling.uniform(
            (3, len(some)), low=-1.0, high=1.0, like=self.planes, generator=generator
        )
        rotates, shears = happened.to(self.planes.device, non_blocking=True).float()
        coverage = turned(
            (1 - self.planes[places])[:, None],
            angle=angle * rotates * math.pi,
            shear_x=shear_x * shears * _MAX_SHEAR,
            shear_y=shear_y * shears * _MAX_SHEAR,
        )
        self.planes.index_copy_(0, places, 1 - coverage[:, 0])

    def smooth(self, *, p_smooth: float, generator: Generator) -> None:
        """Blur by chance, by 0.5 pixels to 1/16 of the shorter side."""
        some = happens(p_smooth, self.uneven, generator=generator)
        if not some:
            return
        places = host_index(some, self.planes.device)
        most = max(_MIN_SIGMA, min(self.planes.shape[1:]) * _MAX_SIGMA)
        sigma = sampling.uniform(
            (len(some),), low=_MIN_SIGMA, high=most, like=self.planes, generator=generator
        )
        # The coverage, not the share: what is the sample's own altogether stays exactly so.
        coverage = (1 - self.planes[places])[:, None]
        soft = smoothed(coverage, sigma=sigma, radius=math.ceil(3 * most))
        self.planes.index_copy_(0, places, 1 - soft[:, 0])

    def product(self) -> Tensor:
        """Paste one layer over the other: own shares multiply. ``(B, H, W)``."""
        keep, start = self.planes[: len(self.rows[0])], len(self.rows[0])
        for some in self.rows[1:]:
            rows = host_index(some, keep.device)
            more = self.planes[start : start + len(some)]
            keep.index_copy_(0, rows, keep[rows] * more)
            start += len(some)
        return keep.clamp_(0, 1)  # the weights of a smoothing sum to 1 but for rounding

    def sum(self) -> Tensor:
        """Add up the partner's shares, to 1 at most. ``(B, H, W)``, the own share."""
        keep, start = self.planes[: len(self.rows[0])], len(self.rows[0])
        for some in self.rows[1:]:
            coverage = 1 - self.planes[start : start + len(some)]
            keep.index_add_(0, host_index(some, keep.device), coverage, alpha=-1)
            start += len(some)
        return keep.clamp_(0, 1)


def draw_layers(
    shares: Tensor,
    depths: list[int],
    methods: Sequence[PairMixer],
    weights: Sequence[float],
    *,
    size: Sequence[int],
    generator: Generator,
) -> Layers:
    """Choose a method for each layer and draw its mask.

    Methods are chosen on the host, so each draws once, and only for layers that chose it.

    Args:
        shares: ``(B, D)``, the partner's share of each layer.
        depths: for each sample its number of layers, from 1 to D.
        methods: the mixers whose masks are used.
        weights: chance of each of them.
        size: height and width.
        generator: the CPU generator.
    """
    device, (height, width) = shares.device, size
    rows = [
        [row for row, depth in enumerate(depths) if depth > layer] for layer in range(max(depths))
    ]
    # Where the share of each layer lies in the flat ``shares``, in the order of the planes.
    wanted = [row * shares.shape[1] + layer for layer, some in enumerate(rows) for row in some]
    own = 1 - shares.flatten()[host_index(wanted, device)]
    planes = torch.empty((len(wanted), height, width), device=device)
    choice = sampling.choices(weights, len(wanted), generator=generator)
    uneven: list[int] = []
    for number, method in enumerate(methods):
        mine = [place for place, chosen in enumerate(choice) if chosen == number]
        if not mine:
            continue
        places = host_index(mine, device)
        held = method.keep(own[places], size=(height, width), generator=generator)
        keep = resolve(held.first(), (height, width))[:, 0].float()
        planes.index_copy_(0, places, keep.expand(-1, height, width))
        if not (isinstance(held, Planes) and held.constant):
            uneven += mine
    return Layers(planes, rows, uneven)


def happens(chance: float, places: Sequence[int], *, generator: Generator) -> list[int]:
    """Choose on the host those of ``places`` where something of this chance happens."""
    coins = sampling.choices([1 - chance, chance], len(places), generator=generator)
    return [place for place, coin in zip(places, coins, strict=True) if coin]


def host_index(places: list[int], device: torch.device) -> Tensor:
    """Bring positions known on the host to the device, without waiting for it."""
    return torch.tensor(places, dtype=torch.int64).to(device, non_blocking=True)
