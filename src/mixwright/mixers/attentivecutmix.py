"""AttentiveCutMix: the cells that a network looks at, laid over the partner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import check_whole
from mixwright.masks.blocks import upsample_blocks
from mixwright.masks.mask_forms import DenseMask
from mixwright.masks.ranks import highest
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairDraw, PairMixer, check_pair, draw_lam
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.saliency import FeatureMean, Saliency, SaliencyWord, check_saliency, salience
from mixwright.sampling import Pairing


@dataclass(frozen=True, kw_only=True)
class AttentiveCutMix(PairMixer):
    """Keep the most attentive cells of the sample; all others come from the partner.

    A map of what matters is averaged over the cells of a grid and the highest are kept. The label
    weight is the share of pixels that is kept. Needs a model, or a teacher.

    Args:
        top_k: how many cells are kept; 6 is the paper's. None draws the number anew,
            ``clip(floor(cells * lam), 1, cells)`` (openmixup's "AttentiveMix+"). Where an image is
            too small for the grid, at most all its cells.
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. Read
            for ``top_k=None`` only.
        grid: cells in a row and in a column, at least 1; the paper uses 7. An image of fewer
            pixels has a cell for each. Cells are unequal where the image's side is no multiple.
        teacher: a trained network whose last map is looked at, on the images' device, taking
            images in their scale; None for the model itself. The paper uses a ResNet trained on
            ImageNet.
        teacher_size: side in pixels to which images are brought for that network; None leaves
            them. The paper uses 224.
        saliency: what is looked at; see ``mixwright.saliency``. ``teacher`` and ``teacher_size``
            go with ``"features"``.
        lam: a fixed share in [0, 1] instead of a draw, for figures; overrides ``top_k``.
        per: ``"sample"``, a number of cells for each sample; ``"batch"``, one for all (openmixup).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range, or a teacher goes with another saliency.

    Example:
        >>> import torch
        >>> left = torch.zeros(2, 14, 14)
        >>> left[:, :, :7] = 1.0
        >>> mixer = AttentiveCutMix(lam=0.5, grid=2, saliency=lambda *_, **__: left)
        >>> plan = mixer.plan(torch.zeros(2, 3, 14, 14), generator=torch.Generator())
        >>> plan.mask[0, 0].tolist()
        [[1.0, 0.0], [1.0, 0.0]]

    Source: Walawalkar et al., "Attentive CutMix: An Enhanced Data Augmentation Approach for Deep
    Learning Based Image Classification", 2020, arXiv:2003.13048; Westlake-AI/openmixup:
    openmixup/models/augments/attentivemix.py.

    Departs from both in measuring unequal cells for the label, and in ranking means over cells of
    the map at the images' size, which are smoother than the teacher's own cells.
    """

    card: ClassVar[Card] = Card(
        title="AttentiveCutMix",
        paper="Walawalkar et al., ICASSP 2020",
        link="https://arxiv.org/abs/2003.13048",
        needs="model",
        forwards=2,
        note="The cells of a grid that the model attends to most, pasted on the partner.",
        formula="lam ~ Beta(alpha, alpha)\n"
        "a = what the model attends to in x, averaged over grid x grid cells\n"
        "M = 1 at the floor(lam grid^2) cells of largest a, at least one; else 0\n"
        "x~ = M x + (1 - M) x'\n"
        "y~ = w y + (1 - w) y',  w = mean(M)",
        limits="Only the sample's object is kept on purpose, the partner gives whatever is left, "
        "often background with the label of its object. The paper looks through a network trained "
        "before; through the model that is being trained the first epochs see noise.",
        cites=("walawalkar2020attentive",),
    )

    top_k: int | None = None
    alpha: float = 2.0
    grid: int = 7
    teacher: Module | None = None
    teacher_size: int | None = None
    saliency: Saliency | SaliencyWord = "features"
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        check_pair(self)
        check_whole("AttentiveCutMix", "grid", self.grid, low=1)
        check_saliency("AttentiveCutMix", self.saliency)
        if self.top_k is not None:
            check_whole("AttentiveCutMix", "top_k", self.top_k, low=1)
            if self.top_k > self.grid**2:
                raise ValueError(
                    f"AttentiveCutMix: top_k is {self.top_k}; expected at most {self.grid**2}, the "
                    f"cells of a grid of {self.grid} by {self.grid}."
                )
        if self.teacher_size is not None:
            check_whole("AttentiveCutMix", "teacher_size", self.teacher_size, low=1, high=10_000)
        if self.saliency != "features" and (self.teacher, self.teacher_size) != (None, None):
            raise ValueError(
                f"AttentiveCutMix: saliency is {self.saliency!r} beside a teacher or its size; "
                "expected saliency='features', the only one that looks at them."
            )

    def mix(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """See ``PairMixer.mix``; the model is needed without teacher, labels where saliency is."""
        maps = salience(self._looks(), images, labels, model=model, name="AttentiveCutMix")
        size = tuple(images.shape[2:])
        shape = [min(self.grid, length) for length in size]
        cells = shape[0] * shape[1]
        with drawing(images):
            lam = self._lam(images, cells, generator=generator)
            # A share of whole cells must not lose one to rounding.
            kept = (lam * cells + 1e-4).floor().long().clamp(1, cells)
            own = highest(cell_means(maps, shape), kept.expand(len(images)))
            # Along a side that is a multiple a cell stays one number.
            compact = [new if new % old else old for new, old in zip(size, shape, strict=True)]
            draw = PairDraw(mask=DenseMask(upsample_blocks(own, compact)), lam=lam)
            return draw.with_partners(images, pairing=self.pairing, generator=generator)

    def _lam(self, images: Tensor, cells: int, *, generator: Generator) -> Tensor:
        """Give the shares of cells that are asked for, ``(B,)`` or ``(1,)``."""
        if self.lam is None and self.top_k is not None:
            return torch.full(
                (1,), min(self.top_k, cells) / cells, device=images.device, dtype=torch.float32
            )
        return draw_lam(self, images, generator=generator)

    def _looks(self) -> Saliency | SaliencyWord:
        if self.saliency == "features":
            return FeatureMean(teacher=self.teacher, size=self.teacher_size)
        return self.saliency


def cell_means(maps: Tensor, shape: Sequence[int]) -> Tensor:
    """Average maps ``(B, H, W)`` over the very pixels that ``upsample_blocks`` gives to each cell.

    Example:
        >>> cell_means(torch.tensor([[[1.0, 2.0, 6.0]]]), (1, 2)).tolist()
        [[[1.5, 6.0]]]
    """
    for axis, cells in enumerate(shape, start=1):
        length = maps.shape[axis]
        cell = torch.arange(length, device=maps.device) * cells // length
        inside = (cell == torch.arange(cells, device=maps.device)[:, None]).float()
        means = inside / inside.sum(dim=1, keepdim=True)
        maps = (maps.movedim(axis, -1) @ means.T).movedim(-1, axis)
    return maps
