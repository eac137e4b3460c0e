"""Whether masks are on average what was asked for: what is said, against what is measured."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cases import CASES, Case
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.theory.assumption import assumption_note, expected_mask
from mixwright.mixers import (
    CARDS,
    CutMix,
    GMix,
    GridMix,
    HMix,
    Mixer,
    MixUp,
    OneOf,
    PuzzleMix,
    Scheduled,
    SmoothMix,
    Sometimes,
)
from mixwright.plan import MixPlan
from mixwright.sampling import stream

POLICY = [
    case for case in CASES if case.lam and not case.model and not hasattr(case.mixer, "saliency")
]
WITHIN = ("cutmix-fit", "resizemix")  # boxes within the image: as large as asked, to whole pixels
FIELDS = ("fieldmix", "fieldmix-soft")  # a design is made for one size, here 8 x 8


def _own(plan: MixPlan, side: int) -> Tensor:
    """The own share of each pixel of each mask, ``(B, side, side)``."""
    mask = plan.mask[:, 0].float()
    if mask.shape[-1] not in (1, side):  # cells
        mask = mask.repeat_interleave(side // mask.shape[-1], dim=1)
        mask = mask.repeat_interleave(side // mask.shape[-1], dim=2)
    return mask.expand(-1, side, side)


def _holds(mixer: Any, lam: float, *, side: int, masks: int, rounding: float) -> str:
    """Measure where the mean of masks of one ``lam`` is ``lam``, to five standard errors."""
    images = torch.zeros(500, 1, side, side)
    fixed = dataclasses.replace(mixer, lam=lam)
    mean, square, shares = torch.zeros(side, side), torch.zeros(side, side), list[Tensor]()
    for seed in range(masks // 500):
        own = _own(fixed.plan(images, generator=stream(seed)), side)
        mean += own.mean(dim=0) * 500 / masks
        square += own.square().mean(dim=0) * 500 / masks
        shares.append(own.mean(dim=(1, 2)))
    error = ((square - mean.square()).clamp_min(0) / masks).sqrt()
    if ((mean - lam).abs() <= 5 * error + 1e-4).all():
        return "each pixel"
    share = torch.cat(shares)
    near = 5 * float(share.std()) / masks**0.5 + rounding + 1e-4
    return "on average" if abs(float(share.mean()) - lam) <= near else "neither"


@pytest.mark.parametrize("case", POLICY, ids=[case.name for case in POLICY])
def test_what_is_said_of_a_mixer_is_what_its_masks_show(case: Case) -> None:
    mixer: Any = case.mixer
    said = expected_mask(mixer)
    if said is None:  # nothing is said of it
        return
    settings: dict[str, Any] = {"side": 16, "masks": 3000, "rounding": 0.0}
    if case.name in FIELDS:
        settings = {"side": 8, "masks": 16_000, "rounding": 0.0}
    elif case.name in WITHIN:
        settings = {"side": 64, "masks": 500, "rounding": 2 / 64}
    order = ["each pixel", "on average", "neither"]
    found = [_holds(mixer, lam, **settings) for lam in (0.1, 0.65)]
    assert max(found, key=order.index) == said


ROWS = [
    [cell.strip(" `") for cell in line.strip("|").split("|")]
    for line in (Path(__file__).parents[3] / "docs" / "theory.md").read_text().splitlines()
    if line.startswith(("| each pixel", "| on average", "| neither"))
]


@pytest.mark.parametrize("row", ROWS, ids=[row[1] for row in ROWS])
def test_the_table_of_the_documentation_is_right(row: list[str]) -> None:
    holds, text, *means, _ = row
    mixer: Any = parse_method(text).mixer()
    assert expected_mask(mixer) == holds
    for lam, mean in zip((0.25, 0.5, 0.75), means, strict=True):
        fixed = dataclasses.replace(mixer, lam=lam)
        own = fixed.plan(torch.zeros(800, 1, 32, 32), generator=stream(5)).mask[:, 0]
        assert float(own.float().mean()) == pytest.approx(float(mean), abs=0.03)


def test_every_mixer_with_a_share_is_in_the_table_or_follows_the_images() -> None:
    named = {row[1].partition(":")[0] for row in ROWS}
    assert len(ROWS) == 16
    assert set(CARDS) - named == {
        "cutout", "smoothmix",  # no share is drawn
        "saliencymix", "attentivecutmix", "snapmix", "puzzlemix", "comixup", "saliencygrafting",
        "guidedmixup",
    }  # fmt: skip


def test_shares_that_are_drawn_are_as_fixed_ones() -> None:
    """Within the half of small shares, and of large ones, the mean mask is the mean share."""
    images = torch.zeros(4000, 1, 16, 16)
    for mixer in (MixUp(), GridMix(variant="cells"), HMix(), GMix(calibrate=True), GMix()):
        plan = mixer.plan(images, generator=stream(3))
        assert plan.lam is not None
        for half in (plan.lam < 0.5, plan.lam >= 0.5):
            off = (_own(plan, 16)[half] - plan.lam[half][:, None, None]).mean(dim=0)
            if expected_mask(mixer) == "each pixel":
                assert off.abs().max() < 0.03
            elif expected_mask(mixer) == "on average":
                assert abs(float(off.mean())) < 0.01
                assert off.abs().max() > 0.03
            else:
                assert abs(float(off.mean())) > 0.05


class _Own:
    """A mixer of a user's."""

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: torch.Generator,
        model: nn.Module | None = None,
    ) -> MixPlan:
        return MixPlan.identity(images)


@pytest.mark.parametrize(
    ("mixer", "said"),
    [
        (HMix(ratio=0.0), "each pixel"),
        (OneOf(MixUp(), HMix()), "on average"),
        (OneOf(MixUp(), HMix(), CutMix()), "neither"),
        (OneOf(CutMix(), PuzzleMix()), None),
        (Sometimes(GMix(calibrate=True), p=0.5), "on average"),
        (Scheduled(lambda progress: MixUp()), None),
        (SmoothMix(), None),
        (SmoothMix(lam=0.5), "on average"),
        (CutMix(minmax=(0.2, 0.8)), None),
        (PuzzleMix(), None),
        (_Own(), None),
    ],
)
def test_settings_and_wrappers_count(mixer: Mixer, said: str | None) -> None:
    assert expected_mask(mixer) == said


def test_the_note_names_all_methods_once() -> None:
    found = {"A": "neither", "B": "each pixel", "C": None, "D": "on average", "E": "neither"}
    assert assumption_note(found).endswith(
        "asked for. It does at each pixel for B; on average over the image only, for D; it does "
        "not for A, E; it is not known for C."
    )
