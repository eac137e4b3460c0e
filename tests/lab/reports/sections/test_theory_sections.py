"""Sections of theory: moments, loss parts, first layer, designs, and sizes of objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from lab.reports.pages import cells, drawings, drawn, made_group, page_of, sections_of, tables
from mixwright.lab.analysis.findings import Group
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import MINUS, NONE
from mixwright.lab.reports.section import Section
from mixwright.lab.reports.sections import moments as moments_section
from mixwright.lab.theory.design import design_mixer, near

CLOSED = torch.tensor([[0.1, 0.2, 0.1], [0.2, 0.3, 0.2], [0.1, 0.2, 0.1]])


def measured(name: str, mode: str = "exact", draws: int = 2, **changes: Any) -> Group:
    summary = {
        "mode": mode, "size": [2, 2], "masks": 4096, "batches": 8, "a0": 0.31, "a0_error": 0.003,
        "near": 0.22, "far": 0.13, "near_pixels": 1.5, "far_pixels": 6.0, "mean": 0.166,
        "mean_error": 0.004, "mean_b": 0.177, "budget": 0.166, "weight": 1.0,
        "profile": [0.31, 0.16], "profile_b": [0.31, 0.16],
        "closed": {"rule": "x", "mean": 0.1111, "a0": 0.3, "deviation": 1.25},
    } | changes  # fmt: skip
    maps = {"a": CLOSED * 2, "diagonal": torch.full((2, 2), 0.4), "closed": CLOSED}
    return made_group(name, "", [summary] * draws, [maps] * draws)


def moments(*groups: Group, anchor: str = "moments") -> Section:
    page = page_of({anchor: groups})
    sections = moments_section.write(page.findings.parts[anchor], page)
    assert [*sections] == [anchor]
    return sections[anchor]


def test_each_column_of_moments_is_what_its_head_says() -> None:
    section = moments(
        measured("mixup"), measured("hmix", closed=None, a0_error=None), measured("x", masks=512)
    )
    (table,) = tables(section)
    # Of two draws the error is the one of each, divided by the root of two.
    assert cells(table)["Mixup"] == {
        "Method": "Mixup", "a(0, 0)": "0.3100 ± 0.0021", "near": "0.220", "far": "0.130",
        "all pairs": "0.1660 ± 0.0028", "exact": "0.1111", "off by, SE": "1.2",
        "between": "0.177",
    }  # fmt: skip
    hmix = cells(table)["Hmix"]
    assert (hmix["a(0, 0)"], hmix["exact"], hmix["off by, SE"]) == ("0.3100", NONE, NONE)
    assert "exact mode, plans and label weights as in training" in section.protocol
    assert "512 to 4,096 masks of 2 x 2 pixels a method, 2 times; near is up to 1.5 pixels apart, "
    assert "far from 6;" in section.protocol
    assert drawn(section) == ["maps-exact", "profiles-exact", "places-exact"]


def test_the_reading_says_where_the_assumption_holds_if_the_record_tells() -> None:
    told = moments(measured("mixup", expected_mask="each pixel"), measured("x", expected_mask=None))
    assert told.reading.endswith("It does at each pixel for Mixup; it is not known for X.")
    assert "assumes" not in moments(measured("mixup")).reading


def test_the_paper_mode_has_an_anchor_and_arrays_of_its_own() -> None:
    section = moments(measured("mixup", "paper", draws=1), anchor="moments-paper")
    assert section.title == "Second moments of masks, as published"
    assert drawings(section)["maps-paper"].needs == ("moments-paper/mixup/a",)
    assert drawings(section)["places-paper"].needs == ("moments-paper/mixup/diagonal",)
    assert drawn(section) == ["maps-paper", "profiles-paper", "places-paper"]


def test_profiles_and_maps_show_the_means_over_draws() -> None:
    section = moments(measured("mixup"))
    with styled():
        (axes,) = drawings(section)["profiles-exact"].make(6.6).axes
        around = drawings(section)["maps-exact"].make(6.6).axes[0]
        places = drawings(section)["places-exact"].make(6.6).axes[0]
    behind, dots, own = axes.get_lines()
    assert list(own.get_ydata()) == list(behind.get_ydata()) == pytest.approx([0.31, 0.16])
    assert list(dots.get_ydata()) == pytest.approx([0.3, 0.15])  # four of 0.1 and four of 0.2
    assert around.get_images()[0].get_array().max() == pytest.approx(0.6)
    assert places.get_images()[0].get_array().max() == pytest.approx(0.4)


def expanded(name: str, *, draws: int = 2, **changes: Any) -> Group:
    names = ("plain", "mixed", "labels", "r1", "r2", "r3", "remainder")
    values = (1.0, 1.5, 0.11, 0.12, 0.22, 0.0, 0.05)
    summary = {
        **dict(zip(names, values, strict=True)),
        **{f"{name}_error": 0.03 for name in names if name != "r3"}, "r3_error": 0.0,
        "path": [[0.0, 1.11, 0.1], [0.5, 1.2, 0.1], [1.0, 1.5, 0.1]],
        "images": 800, "batches": 8, "model": "a net",
    } | changes  # fmt: skip
    return made_group(name, "", [summary] * draws)


def test_each_column_of_the_expansion_is_what_its_head_says() -> None:
    groups = [expanded("mixup"), expanded("cutmix", draws=1, r1_error=None)]
    section = sections_of("decomposition", groups)["decomposition"]
    rows = cells(tables(section)[0])
    # 0.03 divided by the root of two draws; 0.45 of 0.5 are no remainder.
    assert rows["Mixup"] == {
        "Method": "Mixup", "plain": "1.000", "mixed": "1.500 ± 0.021", "labels": "0.110 ± 0.021",
        "R1": "0.120 ± 0.021", "R2": "0.220 ± 0.021", "R3": "0.000", "remainder": "0.050 ± 0.021",
        "explained, %": "90",
    }  # fmt: skip
    assert rows["Cutmix"]["R1"] == "0.120"
    assert "R3 is exactly 0" in section.reading
    assert "800 sources in 8 batches" in section.protocol
    bent = sections_of("decomposition", [expanded("mixup", r3=0.01)])["decomposition"]
    assert "R3 is exactly 0" not in bent.reading
    assert drawn(section) == ["terms", "path"]


def test_the_path_and_its_parabola() -> None:
    section = sections_of("decomposition", [expanded("mixup", r3=0.03)])["decomposition"]
    with styled():
        (axes,) = drawings(section)["path"].make(6.6).axes
        (bars,) = drawings(section)["terms"].make(6.6).axes
    start, parabola, path = axes.get_lines()
    assert start.get_ydata()[0] == pytest.approx(1.11)
    assert list(path.get_xdata()) == pytest.approx([0, 0.5, 1])
    assert list(path.get_ydata()) == pytest.approx([1.11, 1.2, 1.5])
    # Half the way: 1.11 + 0.12 / 2 + (0.22 + 0.03) / 4.
    assert parabola.get_ydata()[10] == pytest.approx(1.2325)
    assert bars.get_lines()[-1].get_xdata()[0] == pytest.approx(0.5)


def test_each_column_of_the_first_layer_is_what_its_head_says() -> None:
    def group(name: str, coefficient: Sequence[float], **changes: Any) -> Group:
        summary = {
            "model": "a net", "layer": "4 of 3 x 3 pixels", "r2_moments": 0.0123, "r2": 0.0234,
            "r2_error": 0.0045, "coefficient": list(coefficient), "roughness": [0.9, 0.1, 0.5, 0.3],
        } | changes  # fmt: skip
        return made_group(name, "", [summary])

    groups = [
        group("mixup", [0.4, 0.1, 0.3, 0.2]),
        group("hmix", [0.5] * 4, r2=None, r2_error=None, r2_moments=None),
    ]
    section = sections_of("first-layer", groups)["first-layer"]
    (table,) = tables(section)
    assert cells(table)["Mixup"] == {
        "Method": "Mixup", "least": "0.100", "median": "0.200", "most": "0.400",
        "R2 by moments": "0.0123", "R2 on plans": "0.0234 ± 0.0045",
    }  # fmt: skip
    assert table.rows[1][-2:] == (NONE, NONE)
    assert "(4 of 3 x 3 pixels) of a net" in section.protocol
    with styled():
        axes = drawings(section)["filters"].make(6.6).axes[0]
    median, dots = axes.get_lines()
    assert median.get_ydata()[0] == 0.2
    assert list(dots.get_xdata()) == [0.9, 0.1, 0.5, 0.3]
    assert list(dots.get_ydata()) == [0.4, 0.1, 0.3, 0.2]
    alone = sections_of("first-layer", groups[:1])["first-layer"]
    with styled():
        (axes,) = drawings(alone)["filters"].make(6.6).axes
    assert axes.get_ylim() == pytest.approx((0, 0.448))  # room above 0.4
    assert drawn(section) == ["filters"]


def test_a_design_is_shown_as_it_was_measured() -> None:
    made = design_mixer(near(), size=(8, 8), rounds=0, masks=256)
    summary = json.loads(json.dumps(made.summary(), allow_nan=False))
    section = sections_of("design", [made_group("near", "", [summary], [made.arrays()])])["design"]
    assert tables(section)[0].rows[0][:4] == ("Near", "1.00", "1.00", "0.00")
    assert drawn(section) == ["maps", "profiles"]


def test_each_column_of_a_design_is_what_its_head_says() -> None:
    summary = {
        "size": [2, 2], "alpha": 0.75, "depth": 0.5, "softness": 0.125, "budget": 0.15,
        "wanted_diagonal": 0.234, "achieved_diagonal": 0.345, "distance": 0.056, "noise": 0.012,
        "masks": 1024, "profile_wanted": [0.3, 0.1], "profile_achieved": [0.29, 0.11],
    }  # fmt: skip
    section = sections_of("design", [made_group("near", "", [summary])])["design"]
    assert cells(tables(section)[0])["Near"] == {
        "Design": "Near", "alpha": "0.75", "depth": "0.50", "softness": "0.12",
        "a(0, 0) wanted": "0.234", "achieved": "0.345", "off by, %": "5.6", "noise, %": "1.2",
    }  # fmt: skip
    assert "1,024 masks of 2 x 2 pixels" in section.protocol
    with styled():
        (axes,) = drawings(section)["profiles"].make(6.6).axes
    budget, achieved, wanted = axes.get_lines()
    assert budget.get_ydata()[0] == 0.15
    assert list(achieved.get_ydata()) == [0.29, 0.11]
    assert list(wanted.get_ydata()) == [0.3, 0.1]
    assert drawings(section)["maps"].needs == (
        "design/near/wanted", "design/near/achieved", "design/near/samples",
    )  # fmt: skip


def trained(**scores: Sequence[tuple[float, float]]) -> Section:
    """The section of made-up accuracies on small and on large objects, a pair a seed."""
    groups = [
        made_group(
            name,
            "",
            [
                {
                    "tasks": {
                        "texture": {
                            "small": {"top1": small, "object_share": 0.08},
                            "large": {"top1": large, "object_share": 0.77},
                        }
                    },
                    "pair": ["cutmix", "mixup"], "dataset_kind": "sprites", "model": "smallconv",
                    "train_size": 1, "test_size": 1, "epochs": 1, "optimizer": "adamw", "lr": 0.1,
                }
                for small, large in pairs
            ],
            baseline=name == "none",
        )
        for name, pairs in scores.items()
    ]  # fmt: skip
    return sections_of("scenarios", groups)["scenarios"]


def test_the_interaction_is_the_papers() -> None:
    section = trained(mixup=[(0.583, 0.677)], cutmix=[(0.644, 0.670)])
    scores, differences = tables(section)
    assert scores.rows == (("Mixup", "58.3", "67.7"), ("Cutmix", "64.4", "67.0"))
    assert differences.rows == ((f"Cutmix {MINUS} Mixup", "+6.1", f"{MINUS}0.7", "+6.8"),)
    assert "for texture: +6.8 points from one seed, which leaves chance open." in section.reading


def test_the_interaction_is_paired_by_seed() -> None:
    section = trained(
        none=[(0.1, 0.5), (0.3, 0.9), (0.2, 0.1)],
        mixup=[(0.50, 0.60), (0.30, 0.90), (0.70, 0.20)],
        cutmix=[(0.56, 0.61), (0.37, 0.92), (0.78, 0.23)],  # by seed 0.05, 0.05 and 0.05
    )
    assert section.protocol.startswith("Sprites: the same images with objects of 8 % (small)")
    scores, differences = tables(section)
    assert scores.head[1:] == ("texture, small", "texture, large")
    assert differences.head[1:] == ("texture, small", "texture, large", "texture, I")
    assert differences.rows[0][0] == f"Cutmix {MINUS} Mixup"
    assert differences.rows[0][-1] == "+5.0 ± 0.0"
    assert differences.keys == ("cutmix", "none")
    assert "texture: +5.0 ± 0.0 points." in section.reading
    drawing = drawings(section)["scenarios"]
    assert drawing.caption.startswith("Top-1 gained on None, paired by seed")
    with styled():
        (axes,) = drawing.make(6.6).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Mixup", "Cutmix"]
    marks = {
        round(float(line.get_ydata()[0]), 2): line
        for line in axes.get_lines()
        if line.get_marker() == "o"
    }
    # MixUp gains 40, 0 and 50 points on small, and 10, 0 and 10 on large objects.
    assert marks[0.13].get_xdata()[0] == pytest.approx(30)
    assert marks[-0.13].get_xdata()[0] == pytest.approx(20 / 3)
    assert marks[-0.13].get_markerfacecolor() == "white"
    assert drawn(section) == ["scenarios"]


def test_the_reading_names_a_wide_interval() -> None:
    section = trained(mixup=[(0.5, 0.6), (0.3, 0.9)], cutmix=[(0.6, 0.6), (0.3, 0.91)])
    assert "points, not told from chance." in section.reading
    assert trained(mixup=[(0.5, 0.6)], hmix=[(0.6, 0.6)]).reading == ""
