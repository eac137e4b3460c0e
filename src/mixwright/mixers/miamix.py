"""MiAMix: several layers of several methods, their masks augmented and merged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_choice, check_number, check_whole
from mixwright.constants import once
from mixwright.masks.mask_forms import DenseMask
from mixwright.mixers.agmix import AGMix
from mixwright.mixers.cards import Card
from mixwright.mixers.cutmix import CutMix
from mixwright.mixers.fmix import FMix
from mixwright.mixers.gridmix import GridMix
from mixwright.mixers.layers import draw_layers, happens, to_device
from mixwright.mixers.mixer import Per, check_batch, check_step
from mixwright.mixers.mixup import MixUp
from mixwright.mixers.pair_mixer import (
    MaskMethod,
    check_pair,
    count_draws,
    draw_partners,
    singleton_plan,
)
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.sampling import Pairing
from mixwright.warps import Rect, whole_image

Merge = Literal["sequential", "sum"]

MOST_LAYERS = 100
"""Of masks over one another: each takes the memory of a mask a sample."""

_MAX_SHIFT = 8  # a self-mix is shifted by at most one part in so many of a side


@dataclass(frozen=True, kw_only=True)
class MiAMix:
    """Mix each sample with one partner in one or more layers of randomly chosen methods.

    Four stages. Pairing: a partner, or with ``p_self`` another view of the sample itself.
    Sampling: the number of layers, their shares from a Dirichlet law, a method for each. Masks:
    each method draws its own, which then are rotated, sheared and smoothed by chance; where a
    turned mask reveals something, it is the sample's own, and MixUp's constant masks are left as
    they are. Merging: one mask from all layers, and the label weight measured from it.

    Args:
        methods: the pair mixers to choose from; only their masks are used, drawn for the layer's
            share. ``MixUp``, ``CutMix``, ``FMix``, ``GridMix``, ``HMix``, ``GMix`` and ``AGMix``
            are such, and anything with their ``keep``. With ``AGMix(variant="wide",
            normalise_area=False)``, another reading of the paper, 0.56 of an image is its own.
        weights: chance of each method, at least 0, not all 0; they need not sum to 1.
        alpha: parameter of the Dirichlet law, at least 0; 0 turns mixing off. With k layers the
            law is Dir(alpha, ..., alpha, k * alpha), the last for the sample itself. That asks for
            half of an image as its own on average; 0.59 of it is, since layers lie over each other,
            boxes and lattices are cut at the border, and turned masks reveal the sample (0.63 of
            the label, with what is mixed with itself).
        k_max: most layers; their number is uniform on 1 to k_max.
        layers: a fixed number of layers instead.
        p_self: chance that a sample is mixed with itself, in [0, 1]. Its label stays one class.
        p_smooth: chance of each layer to be smoothed, in [0, 1].
        p_rotate: chance of each layer to be rotated, in [0, 1].
        p_shear: chance of each layer to be sheared, in [0, 1].
        merge: ``"sequential"``, one layer is pasted over the other, so that own shares multiply;
            ``"sum"``, partner shares add up, to 1 at most.
        views: 1, and a self-mix takes the sample mirrored and shifted at random; or 2, where
            images and labels have 2 B rows, a second view of the whole batch behind the first,
            and partners come from the second. ``mixwright train`` makes the two views itself.
        self_flip: whether a self-mix may mirror the sample, of itself with ``views=1``; false for
            digits and whatever else is not the same in a mirror. None mirrors, unless a training
            of the laboratory, which knows its data, says that they do not allow it.
        lam: a fixed share in [0, 1] instead of a draw, for figures; layers share the rest. As
            drawn shares, it is what is left of the sample where layers do not overlap.
        per: ``"sample"``, own layers for each sample; ``"batch"``, the same for all. Partners are
            always drawn for each.
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> mixer = MiAMix(methods=(MixUp(),), weights=(1,), layers=1, lam=0.75, p_self=0.0)
        >>> mixer.plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator()).weight.tolist()
        [[0.75, 0.25], [0.75, 0.25]]

    Source: Liang et al., "MiAMix: Enhancing Image Classification through a Multi-stage Augmented
    Mixed Sample Data Augmentation Method", 2023, arXiv:2308.02804. No code is public.

    Departs from the paper where it is silent: the chances and ranges of the mask augmentations
    (rotation by any angle, shear up to 0.3 on both axes, smoothing by 0.5 pixels to 1/16 of the
    side), one partner for all layers of a sample, and a self-mix without a second loaded view.
    """

    card: ClassVar[Card] = Card(
        title="MiAMix",
        paper="Liang et al., 2023",
        link="https://arxiv.org/abs/2308.02804",
        cost="one or two masks a sample, a part of them rotated and smoothed",
        note="Layers of several methods with augmented masks, and some self-mixing.",
        formula="k ~ U{1 .. k_max},  (a_1, .., a_k, lam) ~ Dirichlet(alpha, .., alpha, k alpha)\n"
        "M_j = mask of a method drawn by weights that gives the share a_j away, then turned, "
        "sheared or smoothed by chance\n"
        "M = M_1 M_2 .. M_k\n"
        "x~ = M x + (1 - M) x',  x' another sample or, with chance p_self, x itself resampled\n"
        "y~ = w y + (1 - w) y',  w = mean(M)",
        limits="The authors' code is not public: chances and ranges of the mask augmentation are "
        "readings, and published figures are not known to be reachable. With five methods and a "
        "dozen settings it is hard to say which part did what. Its masks cost ten times those of "
        "MixUp on 32 pixels, though less than 1 % of a training step.",
        cites=("liang2023miamix",),
    )

    methods: tuple[MaskMethod, ...] = (MixUp(), CutMix(), FMix(), GridMix(), AGMix())
    weights: tuple[float, ...] = (2.0, 1.0, 1.0, 1.0, 1.0)
    alpha: float = 1.0
    k_max: int = 2
    layers: int | None = None
    p_self: float = 0.1
    p_smooth: float = 0.5
    p_rotate: float = 0.25
    p_shear: float = 0.25
    merge: Merge = "sequential"
    views: int = 1
    self_flip: bool | None = None
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        if not self.methods:
            raise ValueError(
                f"MiAMix: methods is {self.methods!r}; expected mixers of pairs with a keep "
                "method, such as MixUp() or CutMix()."
            )
        for weight in self.weights:
            check_number("MiAMix", "weights", weight)
        if len(self.weights) != len(self.methods) or sum(self.weights) == 0:
            raise ValueError(
                f"MiAMix: weights is {self.weights!r} for {len(self.methods)} methods; expected "
                "one weight a method, not all 0."
            )
        for argument in ("p_self", "p_smooth", "p_rotate", "p_shear"):
            check_number("MiAMix", argument, getattr(self, argument), high=1.0)
        for argument in ("k_max", "layers"):
            value = getattr(self, argument)
            if (argument, value) != ("layers", None):
                check_whole("MiAMix", argument, value, low=1, high=MOST_LAYERS)
        check_choice("MiAMix", "views", self.views, (1, 2))

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; labels and model are not read."""
        check_step("MiAMix", images, generator=generator, model=model)
        check_batch("MiAMix", images, labels, dims=2)
        count = len(images) // self.views
        if count * self.views != len(images):
            raise ValueError(
                f"MiAMix: {len(images)} images for two views; expected an even number, the second "
                "view of each sample half a batch behind the first. Or set views=1."
            )
        if len(images) == 1:
            return singleton_plan(images)
        with drawing(images):
            partner, warp = self._pair(images[:count], generator=generator)
            lam, keep = self._merged(images[:count], generator=generator)
            return MixPlan.pair(
                partner,
                DenseMask(keep[:, None]).expand(count),
                warp=None if warp is None else (None, warp),
                lam=lam.expand(count),
                pool=len(images),
            )

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> DenseMask:
        """See ``MaskMethod.keep``; all layers together leave the share ``lam``."""
        shares, depths = self._shares(len(lam), lam.device, generator=generator, lam=lam)
        return DenseMask(self._masks(shares, depths, size=size, generator=generator)[:, None])

    def _masks(
        self, shares: Tensor, depths: Tensor, *, size: Sequence[int], generator: Generator
    ) -> Tensor:
        """Draw, augment and merge the masks of all layers: ``(rows, H, W)``, the own share."""
        layers = draw_layers(
            shares, depths, self.methods, self.weights, size=size, generator=generator
        )
        turns = layers.turns(p_rotate=self.p_rotate, p_shear=self.p_shear, generator=generator)
        blurs = layers.blurs(p_smooth=self.p_smooth, size=size, generator=generator)
        product = self.merge == "sequential"
        return layers.merged(size=size, turns=turns, blurs=blurs, product=product)

    # ------------------------------------------------------------------ pairing

    def _pair(self, images: Tensor, *, generator: Generator) -> tuple[Tensor, Rect | None]:
        """Draw partners, as rows of the pool, and the warp of those that meet themselves."""
        count = len(images)
        partner = draw_partners(images, self.pairing, generator=generator)
        selves = happens(self.p_self, count, generator=generator)
        warp = None
        if len(selves) > 0:
            rows = to_device(selves, partner.device)
            partner = partner.index_copy(0, rows, rows)
            if self.views == 1:
                flips = self.self_flip is not False
                warp = _other_view(rows, images.shape[2:], flips=flips, generator=generator)
        return (partner if self.views == 1 else partner + count), warp

    # ------------------------------------------------------------------ sampling

    def _merged(self, images: Tensor, *, generator: Generator) -> tuple[Tensor, Tensor]:
        rows = count_draws(self.per, images)
        lam = None
        if self.lam is not None:
            lam = torch.full((rows,), float(self.lam), device=images.device, dtype=torch.float32)
        shares, depths = self._shares(rows, images.device, generator=generator, lam=lam)
        asked = (1 - shares.sum(dim=1)).clamp_min(0) if lam is None else lam
        return asked, self._masks(shares, depths, size=images.shape[2:], generator=generator)

    def _shares(
        self, rows: int, device: torch.device, *, generator: Generator, lam: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Draw how many layers each row has, on the CPU, and the partner's share of each."""
        if self.layers is not None:
            depths = torch.full((rows,), self.layers)
        else:
            depths = sampling.host_choices([1.0] * self.k_max, rows, generator=generator) + 1
        most = int(depths.max())
        if self.alpha == 0 and lam is None:
            return torch.zeros((rows, most), device=device, dtype=torch.float32), depths
        table = _concentrations(most, sampling.limited(self.alpha or 1.0), lam is None)
        concentration = to_device(table.index_select(0, depths), device)
        shares = sampling.dirichlet(concentration, generator=generator)[:, :most]
        return (shares if lam is None else shares * (1 - lam)[:, None]), depths


@once
def _concentrations(most: int, alpha: float, own: bool) -> Tensor:
    """Give the law of the shares for each number k of layers, ``(most + 1, most + 1)``, on the CPU.

    That is k times ``alpha``, and last that of the sample itself: k times ``alpha`` or, if its
    share is set, 0, which leaves it out.
    """
    rows = [[alpha] * k + [0.0] * (most - k) + [k * alpha if own else 0.0] for k in range(most + 1)]
    return torch.tensor(rows, dtype=torch.float32)


def _other_view(rows: Tensor, size: Sequence[int], *, flips: bool, generator: Generator) -> Rect:
    """Shift these rows at random, and mirror them with ``flips``, never not at all."""
    height, width = size
    shape = (len(rows),)
    dy, dx = (
        sampling.integers(
            -max(1, length // _MAX_SHIFT),
            max(1, length // _MAX_SHIFT) + 1,
            shape,
            device=rows.device,
            generator=generator,
        )
        for length in (height, width)
    )
    # Drawn also where it is not wanted, so that what follows does not depend on it.
    flip = sampling.integers(0, 2, shape, device=rows.device, generator=generator)
    flip = flip if flips else torch.zeros_like(flip)
    dx = dx + ((dx | dy | flip) == 0)
    mirrored = flip * width  # left and right change places
    ends = torch.stack([dy, dy + height, dx + mirrored, dx + width - mirrored], dim=1)
    return Rect(
        source=ends.float().view(-1, 2, 2),
        target=whole_image((height, width), rows.device).expand(len(rows), 2, 2),
        size=(height, width),
        rows=rows,
    )
