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

# The paper names the augmentations but not their ranges.
_MAX_SHEAR = 0.3
_MIN_SIGMA = 0.5  # pixels
_MAX_SIGMA = 1 / 16  # of the shorter side


@dataclass(frozen=True, slots=True, eq=False)
class Layers:
    """The masks of several layers, one behind the other, all first layers first.

    Attributes:
        coverage: ``(L, H, W)`` float32, the partner's share of each pixel; written in place.
        rows: for each depth the samples that have such a layer; at the first depth, all.
        uneven: places in ``coverage`` of masks that are not constant; only they are augmented.

    Rows and places are known on the host, so their number is too and nothing waits.
    """

    coverage: Tensor
    rows: list[Tensor]
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
            self.coverage[places][:, None],
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
        after = smoothed(self.coverage[places][:, None], sigma=sigma, radius=math.ceil(3 * most))
        self.coverage.index_copy_(0, places, after[:, 0])

    def product(self) -> Tensor:
        """Paste one layer over the other: own shares multiply. ``(B, H, W)``."""
        keep, start = 1 - self.coverage[: len(self.rows[0])], len(self.rows[0])
        for some in self.rows[1:]:
            left = 1 - self.coverage[start : start + len(some)]
            rows = to_device(some, keep.device)
            keep.index_copy_(0, rows, left.mul_(keep[rows]))
            start += len(some)
        return keep.clamp_(0, 1)  # the weights of a smoothing sum to 1 but for rounding

    def sum(self) -> Tensor:
        """Add up the partner's shares, to 1 at most. ``(B, H, W)``, the own share."""
        keep, start = 1 - self.coverage[: len(self.rows[0])], len(self.rows[0])
        for some in self.rows[1:]:
            more = self.coverage[start : start + len(some)]
            keep.index_add_(0, to_device(some, keep.device), more, alpha=-1)
            start += len(some)
        return keep.clamp_(0, 1)


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
    # Where the share of each layer lies in the flat ``shares``, in the order of the masks.
    wanted = torch.cat([some * most + layer for layer, some in enumerate(rows)])
    own = 1 - shares.flatten()[to_device(wanted, shares.device)]
    coverage = torch.empty((len(own), height, width), device=shares.device, dtype=torch.float32)
    choice = torch.tensor(sampling.choices(weights, len(own), generator=generator))
    uneven = [choice[:0]]
    for number, method in enumerate(methods):
        mine = (choice == number).nonzero()[:, 0]
        if len(mine) == 0:
            continue
        places = to_device(mine, shares.device)
        mask = method.keep(own[places], size=(height, width), generator=generator)
        part = 1 - resolve(mask.first(), (height, width))[:, 0].float()
        coverage.index_copy_(0, places, part.expand(-1, height, width))
        if not (isinstance(mask, DenseMask) and mask.constant):
            uneven.append(mine)
    return Layers(coverage, rows, torch.cat(uneven))


def happens(chance: float, places: Tensor, *, generator: Generator) -> Tensor:
    """Choose on the host those of ``places``, a CPU tensor, where something of a chance happens."""
    return places[
        sampling.uniform(places.shape, device=places.device, generator=generator) < chance
    ]


def to_device(values: Tensor, device: torch.device) -> Tensor:
    """Bring values known on the host to a device, without waiting for it."""
    return values.to(device, non_blocking=True)
