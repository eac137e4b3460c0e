"""GridMix: a lattice of small holes, or whole cells of a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.arguments import check_number, check_range, check_whole
from mixwright.constants import lengths
from mixwright.masks.blocks import upsample_blocks
from mixwright.masks.lattice import lattice_factors
from mixwright.masks.mask_forms import DenseMask, MaskForm, SeparableMask
from mixwright.masks.ranks import highest
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairDraw, RandomPairMixer, check_pair, count_draws, draw_lam
from mixwright.sampling import Pairing

Variant = Literal["lattice", "cells"]


@dataclass(frozen=True, kw_only=True)
class GridMix(RandomPairMixer):
    """Paste the partner into a regular grid.

    Two methods share this name. The lattice tiles a random crop with patches; the top left part
    of each, ``sqrt(1 - lam)`` of its sides, is the partner's. Cells cut the whole image into
    ``cells * cells`` blocks and give each as a whole to one of the two. The label weight is the
    share of own pixels that is left; with the lattice it is larger than ``lam``, for the crop is
    smaller than the image.

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off.
        variant: ``"lattice"`` or ``"cells"``.
        holes: lattice: least and most patches across the crop's width, at least 1 (never more
            than half of its pixels).
        hole_aspect: lattice: height of a patch divided by its width, above 0.
        crop_area: lattice: least and most share of the image that the crop takes, in (0, 1].
        crop_aspect: lattice: least and most height of the crop divided by its width, above 0;
            brought to what fits into the image.
        phase: lattice: let the first patch begin anywhere in a patch, not at the crop's corner.
        cells: cells: number of cells along each side, at least 2; the masks are blocks where
            both sides of the image are multiples of it.
        lam_range: draw ``lam`` from U(low, high) instead of the Beta law; GridMixup's library
            uses (0.1, 0.9).
        lam: a fixed share in [0, 1] instead of a draw, for figures.
        per: ``"sample"``, a grid for each sample; ``"batch"``, one for all (both sources).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> mixer = GridMix(variant="cells", lam=0.75)
        >>> mixer.plan(torch.zeros(2, 3, 8, 8), generator=torch.Generator()).weight.tolist()
        [[0.75, 0.25], [0.75, 0.25]]

    Source: IlyaDobrynin/GridMixup and Westlake-AI/openmixup for the lattice; Baek, Bang and Shim,
    "GridMix: Strong regularization through local context mapping", Pattern Recognition 109, 2021,
    for the cells, without its local loss.

    Departs from openmixup: there a crop that exceeds the image wraps around to a wrong mask in 23
    of 100 draws at 32 pixels, and none but a full crop reaches the last row and column; here
    every crop fits, is cut to whole pixels once, and every position is as likely. At ``lam`` 1 no
    hole is left, there one pixel is.
    """

    card: ClassVar[Card] = Card(
        title="GridMix",
        paper="Baek, Bang and Shim, Pattern Recognition 2021",
        link="https://github.com/IlyaDobrynin/GridMixup",
        note="A lattice of the partner's holes, or whole cells of a grid.",
        formula="lam ~ Beta(alpha, alpha)\n"
        "a random crop is tiled by patches, n across its width, n drawn from holes\n"
        "M = 0 in the top left corner of each patch, sqrt(1 - lam) of its sides; else 1\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = w y + (1 - w) y',  w = mean(M)",
        limits="The crop is smaller than the image, so the sample keeps far more than was asked "
        "for (see the measured shares); variant='cells' keeps the share. Straight borders at "
        "regular distances are something a network can learn to see.",
        cites=("baek2021gridmix",),
    )

    alpha: float = 1.0
    variant: Variant = "lattice"
    holes: tuple[int, int] = (2, 6)
    hole_aspect: float = 1.0
    crop_area: tuple[float, float] = (0.5, 1.0)
    crop_aspect: tuple[float, float] = (0.5, 2.0)
    phase: bool = False
    cells: int = 4
    lam_range: tuple[float, float] | None = None
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        check_range("GridMix", "holes", self.holes, low=1)
        check_number("GridMix", "hole_aspect", self.hole_aspect, open_low=True)
        check_range("GridMix", "crop_area", self.crop_area, high=1.0, open_low=True)
        check_range("GridMix", "crop_aspect", self.crop_aspect, open_low=True)
        check_whole("GridMix", "cells", self.cells, low=2)
        if self.lam_range is not None:
            check_range("GridMix", "lam_range", self.lam_range, high=1.0)
        for number in self.holes:
            check_whole("GridMix", "holes", number, low=1)

    def draw(self, images: Tensor, *, generator: Generator) -> PairDraw:
        """See ``RandomPairMixer.draw``."""
        if self.lam_range is None or self.lam is not None:
            lam = draw_lam(self, images, generator=generator)
        else:
            low, high = self.lam_range
            shape = (count_draws(self.per, images),)
            lam = sampling.uniform(
                shape, low=low, high=high, device=images.device, generator=generator
            )
        mask = self.keep(lam, size=images.shape[2:], generator=generator)
        return PairDraw(mask=mask, lam=lam)

    def keep(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> MaskForm:
        """See ``MaskMethod.keep``."""
        if self.variant == "cells":
            return self._cells(lam, size=size, generator=generator)
        return self._lattice(lam, size=size, generator=generator)

    def _cells(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> DenseMask:
        height, width = size
        side = self.cells
        draws = sampling.uniform(
            (len(lam), side * side + 1), device=lam.device, generator=generator
        )
        kept = (lam * side**2 + draws[:, -1]).floor().long().clamp_max(side**2)
        keep = highest(draws[:, :-1].view(-1, side, side), kept)
        if height % side or width % side:
            keep = upsample_blocks(keep, (height, width))
        return DenseMask(keep)

    def _lattice(self, lam: Tensor, *, size: Sequence[int], generator: Generator) -> SeparableMask:
        height, width = size
        draws = sampling.uniform((7, len(lam)), device=lam.device, generator=generator)
        # Both axes at once, rows first: half as many calls.
        pixels = lengths((height, width), lam.device)[:, None]
        crop = self._crop(draws[0], draws[1], height=height, width=width)
        wide = crop[1]
        least, most = self.holes
        across = least + (draws[2] * (most - least + 1)).long().clamp_max(most - least)
        across = torch.minimum(across, wide // 2).clamp_min_(1)
        patch = self._patch((wide + across - 1) // across)
        scale = (1 - lam).sqrt()
        room = pixels - crop
        hole = (patch * scale).long().clamp_min_(1).minimum(patch - 1)
        holes = lattice_factors(
            start=((room + 1) * draws[3:5]).long().minimum(room).flatten(),
            length=crop.flatten(),
            period=patch.flatten(),
            hole=(hole * (lam < 1)).flatten(),
            phase=(patch * draws[5:7]).long().flatten() if self.phase else None,
            size=max(height, width),
        )
        rows, columns = holes.float().view(2, len(lam), -1)
        ones = torch.ones_like(lam)
        return SeparableMask(
            rows=rows[:, :height],
            columns=columns[:, :width],
            base=ones,
            scale=-ones,
            binary=True,
        )

    def _crop(self, area_draw: Tensor, aspect_draw: Tensor, *, height: int, width: int) -> Tensor:
        """Sides of a crop of some area and aspect that fits into the image, ``(2, B)`` pixels."""
        (low, high), (flat, steep) = self.crop_area, self.crop_aspect
        area = (low + (high - low) * area_draw) * (height * width)
        aspect = flat + (steep - flat) * aspect_draw
        aspect = aspect.clamp(area / width**2, height**2 / area)
        exact = (area / aspect).sqrt()
        # Rounding must not take a pixel from a crop that is the whole image.
        sides = (torch.stack([exact * aspect, exact]) + 1e-3).long().clamp_min_(1)
        return sides.minimum(lengths((height, width), area.device)[:, None])

    def _patch(self, wide: Tensor) -> Tensor:
        """Rows and columns of a patch, ``(2, B)``, from its columns."""
        if self.hole_aspect == 1:
            return wide.expand(2, -1)
        return torch.stack([(wide.float() * self.hole_aspect).long().clamp_min_(1), wide])
