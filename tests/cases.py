"""The table of mixers: every public one has a row, and facts in which they differ are columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Generator, Tensor

from mixwright.mixers import (
    AGMix,
    AttentiveCutMix,
    CoMixup,
    CutMix,
    Cutout,
    FieldMix,
    FMix,
    GMix,
    GridMix,
    GuidedMixup,
    HMix,
    MiAMix,
    Mixer,
    MixUp,
    PuzzleMix,
    ResizeMix,
    SaliencyGrafting,
    SaliencyMix,
    SmoothMix,
    SnapMix,
)
from mixwright.mixers.fieldmix import Design
from mixwright.plan import MixPlan
from probe import CLASSES, probe


@dataclass(frozen=True, kw_only=True)
class Case:
    """One mixer with settings, and what may be expected of it.

    Attributes:
        name: for test output.
        mixer: as most people would use it.
        binary: every mask is of 0 and 1, so every pixel is one of the sources', bit by bit.
        labels_follow_pixels: label weights are the means of the masks.
        partner: other samples are mixed in, so labels mix.
        lam: takes ``lam``, and at 1 nothing is mixed.
        lam_exact: label weights are ``lam``, to a pixel's share of an 8 x 8 image.
        alpha: takes ``alpha``, and at 0 nothing is mixed.
        dims: numbers of spatial dimensions that it takes.
        shared: with ``per="batch"`` all samples have one mask.
        distinct: 16 samples of 8 x 8 images have at least so many different masks.
        resampled: partners are warped, so their pixels are not copies.
        self_mixing: some samples are mixed with themselves.
        model: looks through a model, and at labels.
        random: another seed gives another plan.
    """

    name: str
    mixer: Mixer
    binary: bool = False
    labels_follow_pixels: bool = True
    partner: bool = True
    lam: bool = True
    lam_exact: bool = False
    alpha: bool = True
    dims: tuple[int, ...] = (2,)
    shared: bool = True
    distinct: int = 9
    resampled: bool = False
    self_mixing: bool = False
    model: bool = False
    random: bool = True

    def plan(
        self, images: Tensor, labels: Tensor | None = None, *, generator: Generator, **changes: Any
    ) -> MixPlan:
        """Plan a batch, with labels and a model for those who need them."""
        mixer = self.build(**changes) if changes else self.mixer
        if not self.model:
            return mixer.plan(images, labels, generator=generator)
        if labels is None:
            labels = torch.arange(len(images), device=images.device) % CLASSES
        model = probe(str(images.device))
        return mixer.plan(images, labels, generator=generator, model=model)

    def build(self, **changes: Any) -> Mixer:
        """Make the same mixer with other settings."""
        mixer: Any = self.mixer
        return dataclasses.replace(mixer, **changes)


_FREQUENCY = torch.fft.fftfreq(16, dtype=torch.float64)
FIELD = torch.exp(-36 * (_FREQUENCY[:, None].square() + _FREQUENCY.square()))
FIELD = FIELD / FIELD.mean()  # the spectrum of smooth fields, for images of 8 x 8

CASES = (
    Case(name="mixup", mixer=MixUp(), lam_exact=True, dims=(0, 1, 2, 3)),
    Case(name="cutmix", mixer=CutMix(), binary=True, dims=(1, 2, 3)),
    Case(name="cutmix-fit", mixer=CutMix(box="fit"), binary=True, dims=(1, 2, 3)),
    Case(name="cutmix-uniform", mixer=CutMix(box="uniform"), binary=True, dims=(1, 2, 3)),
    Case(
        name="cutmix-minmax",
        mixer=CutMix(minmax=(0.2, 0.8)),
        binary=True,
        alpha=False,
        dims=(1, 2, 3),
    ),
    Case(
        name="cutout",
        mixer=Cutout(),
        binary=True,
        labels_follow_pixels=False,
        partner=False,
        lam=False,
        alpha=False,
        dims=(1, 2, 3),
    ),
    Case(
        name="cutout-holes",
        mixer=Cutout(holes=3, length=0.4, fill=0.5),
        binary=True,
        labels_follow_pixels=False,
        partner=False,
        lam=False,
        alpha=False,
        dims=(1, 2, 3),
    ),
    Case(name="fmix", mixer=FMix(), binary=True, lam_exact=True),
    Case(name="fmix-soft", mixer=FMix(max_soft=0.2), lam_exact=True),
    Case(name="fmix-official", mixer=FMix(spectrum="official"), binary=True, lam_exact=True),
    Case(
        name="fmix-one-label", mixer=FMix(reformulate=True), binary=True, labels_follow_pixels=False
    ),
    Case(
        name="fieldmix",
        mixer=FieldMix(design=Design.of(FIELD, alpha=1.0)),
        binary=True,
        lam_exact=True,
    ),
    Case(
        name="fieldmix-soft",
        mixer=FieldMix(design=Design.of(FIELD, alpha=1.0, depth=0.7, softness=0.1)),
        lam_exact=True,
    ),
    Case(name="gridmix", mixer=GridMix(), binary=True),
    Case(name="gridmix-phase", mixer=GridMix(phase=True), binary=True),
    Case(name="gridmix-range", mixer=GridMix(lam_range=(0.1, 0.9)), binary=True, alpha=False),
    Case(name="gridmix-cells", mixer=GridMix(variant="cells"), binary=True),
    Case(name="hmix", mixer=HMix(), lam_exact=True),
    Case(name="gmix", mixer=GMix()),
    Case(name="gmix-calibrated", mixer=GMix(calibrate=True), lam_exact=True),
    Case(name="agmix", mixer=AGMix()),
    Case(name="agmix-wide", mixer=AGMix(variant="wide", normalise_area=False)),
    Case(
        name="resizemix", mixer=ResizeMix(), binary=True, alpha=False, shared=False, resampled=True
    ),
    Case(
        name="resizemix-clip",
        mixer=ResizeMix(placement="official-clip", law="beta", interpolation="bilinear"),
        binary=True,
        alpha=False,
        shared=False,
        resampled=True,
    ),
    Case(name="smoothmix", mixer=SmoothMix(), lam_exact=True, alpha=False),
    Case(
        name="smoothmix-inverted",
        mixer=SmoothMix(invert_labels=True),
        labels_follow_pixels=False,
        alpha=False,
    ),
    Case(name="miamix", mixer=MiAMix(), self_mixing=True),
    Case(name="miamix-sum", mixer=MiAMix(merge="sum", k_max=3, p_self=0.5), self_mixing=True),
    Case(
        name="miamix-wide",
        mixer=MiAMix(methods=(AGMix(variant="wide", normalise_area=False),), weights=(1.0,)),
        self_mixing=True,
    ),
    Case(name="saliencymix", mixer=SaliencyMix(), binary=True, model=True),
    Case(name="saliencymix-fine", mixer=SaliencyMix(saliency="fine_grained"), binary=True),
    Case(name="attentivecutmix", mixer=AttentiveCutMix(), binary=True, shared=False, model=True),
    Case(
        name="attentivecutmix-six",
        mixer=AttentiveCutMix(top_k=6, saliency="spectral"),
        binary=True,
        alpha=False,
        shared=False,
    ),
    Case(
        name="snapmix",
        mixer=SnapMix(),
        binary=True,
        labels_follow_pixels=False,
        alpha=False,
        resampled=True,
        model=True,
    ),
    Case(
        name="puzzlemix",
        mixer=PuzzleMix(iterations=30),
        shared=False,
        distinct=2,
        resampled=True,
        model=True,
    ),
    Case(
        name="puzzlemix-cut",
        mixer=PuzzleMix(saliency="spectral", n_labels=2, transport=False, blocks=(4,)),
        binary=True,
        shared=False,
        distinct=2,
    ),
    Case(
        name="comixup",
        mixer=CoMixup(group=4),
        lam=False,
        alpha=False,
        shared=False,
        distinct=2,
        self_mixing=True,
        model=True,
    ),
    Case(
        name="comixup-hard",
        mixer=CoMixup(half_labels=False, set_resolve=False, saliency="spectral"),
        lam=False,
        alpha=False,
        shared=False,
        distinct=1,
        self_mixing=True,
    ),
    Case(
        name="saliencygrafting",
        mixer=SaliencyGrafting(),
        binary=True,
        labels_follow_pixels=False,
        shared=False,
        model=True,
    ),
    Case(
        name="saliencygrafting-spectral",
        mixer=SaliencyGrafting(saliency="spectral"),
        binary=True,
        labels_follow_pixels=False,
        shared=False,
    ),
    Case(
        name="guidedmixup",
        mixer=GuidedMixup(),
        lam=False,
        alpha=False,
        shared=False,
        random=False,
    ),
    Case(
        name="guidedmixup-gradient",
        mixer=GuidedMixup(saliency="gradient", pairing="cycle"),
        lam=False,
        alpha=False,
        shared=False,
        model=True,
    ),
)


def cases(**facts: object) -> Callable[..., Any]:
    """Run a test for every row with these facts."""
    rows = [row for row in CASES if all(getattr(row, fact) == facts[fact] for fact in facts)]
    assert rows, f"no case with {facts}"
    return pytest.mark.parametrize("case", rows, ids=[row.name for row in rows])
