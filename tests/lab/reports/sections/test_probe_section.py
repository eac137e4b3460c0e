"""The section of the linear probe: what it says, and its figure at both widths."""

from __future__ import annotations

from typing import Any

import pytest

from lab.reports.pages import drawings, drawn, made_group, sections_of, tables
from mixwright.lab.analysis.findings import Group
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import NONE
from mixwright.lab.reports.section import Section


def summary(top1: float, **more: Any) -> dict[str, Any]:
    return {
        "data": "eurosat", "classes": 10, "train_images": 500, "images": 1000, "width": 64,
        "top1": top1, "train_top1": 0.9, "chance": 0.1, "largest_class": 0.12, "strength": 0.01,
        "strengths": [1e-5, 1.0], "held_out": [0.5, 0.6], "converged": True, "iterations": 9,
        **more,
    }  # fmt: skip


def groups(*, seeds: int = 3, **more: Any) -> list[Group]:
    values = {"none": (0.70, 0.71, 0.72), "cutmix": (0.74, 0.75, 0.76)}
    return [
        made_group(
            name, "", [summary(value, **more) for value in tops[:seeds]], baseline=name == "none"
        )
        for name, tops in values.items()
    ]


def probe(many: list[Group]) -> Section:
    return sections_of("probe", many)["probe"]


def test_what_is_said():
    found = probe(groups())
    assert "64 numbers an image" in found.protocol
    assert "500 images of eurosat and is judged on 1,000 others in 10 classes" in found.protocol
    assert "chosen among 1e-05 to 1 on a fifth of them" in found.protocol
    assert "Guessing gives 10.0 %, always naming the most frequent class 12.0 %" in found.reading
    assert "Not converged" not in found.reading
    (table,) = tables(found)
    # By hand: deviation 1 point, t of two degrees of freedom 4.303, so 4.303 / sqrt(3) = 2.5.
    assert table.rows[0][1:3] == ("71.0 ± 2.5", NONE)
    assert table.rows[1][1:3] == ("75.0 ± 2.5", "+4.0")
    assert table.rows[1][3:] == ("90.0 ± 0.0", "0.01")
    assert table.keys == ("none", "cutmix")


def test_a_given_strength_and_a_fit_that_did_not_end():
    found = probe(groups(strengths=None, strength=0.3, converged=False))
    assert "regression, of strength 0.3." in found.protocol
    assert "Not converged, and so a little too low perhaps: None, Cutmix." in found.reading


@pytest.mark.parametrize("seeds", [1, 3])
@pytest.mark.parametrize(("chance", "lines"), [(0.1, 0), (0.5, 1)])
def test_the_figure(seeds: int, chance: float, lines: int):
    section = probe(groups(seeds=seeds, chance=chance))
    assert drawn(section) == ["probe"]
    with styled():
        (axes,) = drawings(section)["probe"].make(6.6).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["None", "Cutmix"]
    dashed = [line for line in axes.lines if line.is_dashed()]
    assert len(dashed) == lines
    marks = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"]
    assert marks == pytest.approx([71, 75] if seeds == 3 else [70, 74])
