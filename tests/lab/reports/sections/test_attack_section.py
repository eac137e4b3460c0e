"""The section of attacks: accuracies and errors, AutoAttack, the published variant, curves."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.evaluation.judged import MEAN, STD, small, subject
from lab.reports.pages import cells, drawings, drawn, made_group, sections_of, tables
from mixwright.lab.analysis.findings import Group
from mixwright.lab.experiments.evaluations.parts import part_class
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import MINUS, NONE
from mixwright.lab.reports.section import Section

NONE_RAW, MIXUP = "None, trained weights", "Mixup, trained weights"


def summary(gain: float, **changes: Any) -> dict[str, Any]:
    """A summary as the evaluation writes it, every number another."""
    return {
        "count": 1200, "conditions": [], "clean": 0.9 + gain, "fgsm": 0.5 + gain,
        "fgsm_error": 0.5 - gain, "fgsm_success": 0.44, "pgd": 0.3 + gain, "pgd_error": 0.7 - gain,
        "pgd_success": 0.66, "worst": 0.29, "no_gradient": 0.01,
        "curve": {"eps": [4, 8], "fgsm": [0.6 + gain, 0.5 + gain], "pgd": [0.4 + gain, 0.3 + gain]},
        "legacy": {"legacy": 0.21, "legacy-clamp-alone": 0.35, "legacy-without-clamp": 0.8},
        "legacy_note": "", "autoattack": None, "eps": 8.0, "alpha": 2.0, "steps": 10, "restarts": 1,
        "loss": "ce", "batch_size": 250, "seed": 3,
    } | changes  # fmt: skip


def groups(**changes: Any) -> list[Group]:
    return [
        made_group(
            "none", "raw", [summary(0.0, **changes), summary(0.02, **changes)], baseline=True
        ),
        made_group("mixup", "raw", [summary(-0.1, **changes), summary(-0.06, **changes)]),
    ]


def section(many: list[Group]) -> Section:
    return sections_of("attack", many)["attack"]


def test_attacks_are_shown_in_percent_with_their_error() -> None:
    found = section(groups())
    table, legacy = tables(found)
    # Two runs 2 points apart: 12.706 * 1.4142 / sqrt(2); 4 points apart twice that.
    assert cells(table)[NONE_RAW] == {
        "Method": NONE_RAW, "clean": "91.0 ± 12.7", "FGSM": "51.0 ± 12.7",
        "FGSM error": "49.0 ± 12.7", "PGD-10": "31.0 ± 12.7", "PGD-10 error": "69.0 ± 12.7",
        "fooled by PGD": "66.0 ± 0.0", "no gradient": "1.0 ± 0.0", f"PGD-10 to {NONE_RAW}": NONE,
    }  # fmt: skip
    own = cells(table)[MIXUP]
    assert own["PGD-10"] == "22.0 ± 25.4"
    assert own[f"PGD-10 to {NONE_RAW}"] == f"{MINUS}9.0 ± 12.7"  # 10 and 8 points
    assert cells(legacy)[NONE_RAW] == {
        "Method": NONE_RAW, "as published": "21.0 ± 0.0", "its clamp, no attack": "35.0 ± 0.0",
        "its step, no clamp": "80.0 ± 0.0", "FGSM": "51.0 ± 12.7",
    }  # fmt: skip
    assert "1,200 test images" in found.protocol
    assert "PGD-10: 10 steps of 2/255 from 1 random start (seed 3" in found.protocol
    assert "over seeds" in found.reading
    assert drawn(found) == ["sizes"]


def test_one_model_without_its_legacy_and_with_nothing_to_fool() -> None:
    alone = [made_group("mixup", "raw", [summary(0.0, legacy=None, pgd_success=None)])]
    found = section(alone)
    (table,) = tables(found)
    assert table.rows[0][1:] == ("90.0", "50.0", "50.0", "30.0", "70.0", NONE, "1.0")
    assert "over seeds" not in found.reading


def test_autoattack_has_a_table_where_it_was_run() -> None:
    scores = {"count": 7, "robust": 0.25, "error": 0.75, "pgd": 0.5, "worst": 0.125}
    _, table, _ = tables(section([made_group("none", "raw", [summary(0.0, autoattack=scores)])]))
    assert table.rows[0][1:] == ("25.0", "75.0", "50.0", "12.5")
    assert "first 7 of these images" in table.caption


def test_curves_begin_with_the_images_as_they_are() -> None:
    with styled():
        fgsm, pgd = drawings(section(groups()))["sizes"].make(6.6).axes
    assert list(fgsm.get_lines()[0].get_xdata()) == [0, 4, 8]
    assert list(fgsm.get_lines()[0].get_ydata()) == pytest.approx([91, 61, 51])
    assert list(pgd.get_lines()[0].get_ydata()) == pytest.approx([91, 41, 31])
    assert list(pgd.get_lines()[1].get_ydata()) == pytest.approx([82, 32, 22])
    assert (fgsm.get_title(loc="left"), pgd.get_title(loc="left")) == ("FGSM", "PGD-10")


def test_what_the_evaluation_measures_fills_every_cell() -> None:
    attack: Any = part_class("attack")(epsilons=(4, 8), steps=2)
    many = [
        made_group(
            name,
            "raw",
            [
                json.loads(json.dumps(attack.measure(
                    subject(Normalised(small(seed=seed), MEAN, STD), count=12)
                ).summary))
                for seed in seeds
            ],
            baseline=name == "none",
        )
        for name, seeds in (("none", (0, 1)), ("mixup", (5, 6)))
    ]  # fmt: skip
    found = section(many)
    for table in tables(found):
        assert table.keys == ("none raw", "mixup raw")
        assert all("±" in str(cell) for cell in table.rows[1][1:])
    assert drawn(found) == ["sizes"]
