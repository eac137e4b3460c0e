"""FieldMix: designs in files, and masks of the shares and levels that a design asks for."""

from __future__ import annotations

import json
import math

import pytest
import torch

from cases import FIELD
from mixwright.mixers.fieldmix import Design, FieldMix
from mixwright.sampling import stream


def test_shares_are_exact_and_masks_two_levels():
    soft = Design.of(FIELD, alpha=1.0, depth=0.7, softness=0.1)
    plan = FieldMix(design=soft).plan(torch.zeros(64, 1, 8, 8), generator=stream(0))
    kept = plan.weight[:, 0] * 64
    torch.testing.assert_close(kept, kept.round(), atol=1e-4, rtol=0)
    deep = FieldMix(design=Design.of(FIELD, alpha=1.0, depth=0.5), lam=0.25)
    mask = deep.plan(torch.zeros(4, 1, 8, 8), generator=stream(0)).mask[:, 0]
    assert mask.unique().tolist() == [0.125, 0.625]


def test_the_mask_is_a_field_of_that_spectrum_cut_at_a_rank():
    """One frequency alone is a wave: 2 cycles on the torus of 16 rows are one on 8."""
    power = torch.zeros(16, 16, dtype=torch.float64)
    power[2, 0] = power[-2, 0] = 128  # mean 1
    wave = FieldMix(design=Design.of(power, alpha=1.0), lam=0.5)
    mask = wave.plan(torch.zeros(16, 1, 8, 8), generator=stream(0)).mask[:, 0]
    assert (mask == mask[:, :, :1]).all()  # rows are of one value: it varies down alone
    turns = (mask[:, :, 0].diff(dim=1) != 0).sum(dim=1)
    assert (mask.mean(dim=(1, 2)) == 0.5).all()
    assert set(turns.tolist()) <= {1, 2}  # half a wave is above its median, in one piece or two


def test_the_law_of_lam_is_the_designs_own_unless_it_is_given():
    quarter = Design.of(FIELD, alpha=0.25)
    assert FieldMix(design=quarter).alpha == 0.25
    assert FieldMix(design=quarter, alpha=0.0).alpha == 0


def test_a_design_comes_back_from_its_file(tmp_path):
    path = tmp_path / "design.json"
    made = Design.of(FIELD, alpha=1.0, depth=0.7, softness=0.1)
    made.save(path)
    assert Design.load(path) == made
    assert Design.of(FIELD.float(), alpha=1.0, depth=0.7, softness=0.1) == made
    assert FieldMix(design=path) == FieldMix(design=made)
    assert len(repr(FieldMix(design=made))) < 300
    half = json.loads(path.read_text())["power"]
    assert half == pytest.approx(FIELD[:, :9].flatten().tolist(), rel=1e-6)


def test_files_without_a_design_are_refused(tmp_path):
    path = tmp_path / "design.json"
    with pytest.raises(ValueError, match="cannot be read"):
        FieldMix(design=path)
    for text in ("{}", "[", json.dumps({"kind": "mixwright-design", "version": 1, "size": [2, 2]})):
        path.write_text(text)
        with pytest.raises(ValueError, match="holds no design"):
            FieldMix(design=path)
    with pytest.raises(ValueError, match="bytes of spectrum"):
        Design(size=(4, 4), alpha=1.0, depth=1.0, softness=0.0, power=b"1234")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"depth": 1.5}, "depth is 1.5"),
        ({"softness": 0.6}, "softness is 0.6"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"alpha": math.nan}, "alpha is nan"),
    ],
)
def test_numbers_of_a_design_out_of_range_are_refused(changes, words):
    with pytest.raises(ValueError, match=f"Design: {words}"):
        Design.of(FIELD, **({"alpha": 1.0} | changes))
