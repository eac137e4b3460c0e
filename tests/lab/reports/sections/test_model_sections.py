"""Sections on how models react: attacks, occlusion, activation maps, gradients."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from lab.evaluation.judged import MEAN, STD, small, subject
from mixwright.lab.analysis.statistics import t_interval
from mixwright.lab.evaluation.attack.attack import Attack
from mixwright.lab.evaluation.cam import Cam
from mixwright.lab.evaluation.gradients.gradients import Gradients
from mixwright.lab.evaluation.occlusion import Occlusion
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import NONE, percent, spread
from mixwright.lab.reports.palette import method_shades
from mixwright.lab.reports.sections.attack import attack
from mixwright.lab.reports.sections.cam import cam
from mixwright.lab.reports.sections.gradients import gradients
from mixwright.lab.reports.sections.occlusion import occlusion
from mixwright.lab.reports.sections.section import Group, Section, Table
from mixwright.mixers import MixUp

ATTACK = Attack(epsilons=(4, 8), steps=2)
OCCLUSION = Occlusion(ratios=(0, 0.3, 0.5, 0.9, 1), seeds=2)
CAM = Cam(pairs=4, shown=2, layer="conv2")
GRADIENTS = Gradients(probes=1, traced=5)


def measured(part: Any, seeds: Sequence[int], *, mixer: Any = None, whole: bool = True) -> Any:
    return [_measured(part, seed, mixer, whole) for seed in seeds]


@functools.cache
def _measured(part: Any, seed: int, mixer: Any, whole: bool) -> Any:
    model = small(seed=seed)
    judge = subject(Normalised(model, MEAN, STD) if whole else model, count=12, mixer=mixer)
    return part.measure(judge)


def group(key: str, found: Sequence[Any], *, baseline: bool = False, arrays: bool = True) -> Group:
    return Group(
        key=key,
        label=key.title(),
        seeds=tuple(range(len(found))),
        summaries=tuple(json.loads(json.dumps(one.summary)) for one in found),
        arrays=tuple(one.arrays for one in found) if arrays else (),
        baseline=baseline,
    )


def two(part: Any, *, seeds: int = 2) -> list[Group]:
    return [
        group("none", measured(part, range(seeds)), baseline=True),
        group("mixup", measured(part, range(5, 5 + seeds), mixer=MixUp())),
    ]


def drawn(section: Section) -> int:
    """Draw all figures at both widths; how many there are."""
    with styled():
        for drawing in section.drawings:
            for width in (6.6, 3.7):
                figure = drawing.make(width)
                assert figure.get_size_inches()[0] == pytest.approx(width)
                figure.canvas.draw()
    return len(section.drawings)


def column(table: Table, name: str) -> list[str]:
    return [row[table.head.index(name)] for row in table.rows]


@pytest.mark.parametrize(
    ("write", "part", "figures"),
    [(attack, ATTACK, 1), (occlusion, OCCLUSION, 2), (cam, CAM, 2), (gradients, GRADIENTS, 2)],
)
@pytest.mark.parametrize("seeds", [1, 2])
def test_rows_are_whole_and_figures_can_be_drawn(
    write: Any, part: Any, figures: int, seeds: int
) -> None:
    groups = two(part, seeds=seeds)
    section = write(groups, method_shades(["none", "mixup"], "none"))
    assert drawn(section) == figures
    for table in section.tables:
        assert table.keys == ("none", "mixup")
        assert all(len(row) == len(table.head) for row in table.rows)
    assert ("±" in section.tables[0].rows[0][-2] + section.tables[0].rows[0][2]) == (seeds > 1)
    assert "nan" not in str(section.tables)
    alone = write(groups[1:], method_shades(["mixup"], None))
    assert len(alone.tables[0].rows) == 1
    assert not any(" to None" in one for one in alone.tables[0].head)


@pytest.mark.parametrize(
    ("write", "part", "figures"),
    [(attack, ATTACK, 1), (occlusion, OCCLUSION, 1), (cam, CAM, 0), (gradients, GRADIENTS, 1)],
)
def test_without_arrays_only_curves_are_drawn(write: Any, part: Any, figures: int) -> None:
    groups = [group("none", measured(part, [0]), arrays=False)]
    assert drawn(write(groups, method_shades(["none"], None))) == figures


def test_attacks_are_told_in_percent_with_their_error() -> None:
    groups = two(ATTACK)
    table, legacy = attack(groups, method_shades(["none", "mixup"], "none")).tables
    values = [one["pgd"] for one in groups[1].summaries]
    assert column(table, "PGD-2")[1] == spread(t_interval(values))
    assert column(table, "PGD-2 error")[1] == spread(t_interval([1 - one for one in values]))
    assert column(table, "PGD-2 to None")[0] == NONE
    clamped = [one["legacy"]["legacy-clamp-alone"] for one in groups[0].summaries]
    assert column(legacy, "its clamp, no attack")[0] == spread(t_interval(clamped))
    bare = [group("none", measured(ATTACK, [0], whole=False))]
    assert len(attack(bare, method_shades(["none"], None)).tables) == 1


def test_autoattack_has_a_table_where_it_was_run() -> None:
    groups = [group("none", measured(ATTACK, [0]))]
    found = {"count": 7, "robust": 0.25, "error": 0.75, "pgd": 0.5, "worst": 0.125}
    groups[0].summaries[0]["autoattack"] = found  # type: ignore[index]
    table = attack(groups, method_shades(["none"], None)).tables[1]
    assert table.rows[0][1:] == ("25.0", "75.0", "50.0", "12.5")
    assert "first 7 of these images" in table.caption


def test_the_floor_of_occlusion_is_named() -> None:
    groups = two(OCCLUSION, seeds=1)
    section = occlusion(groups, method_shades(["none", "mixup"], "none"))
    floor = groups[0].summaries[0]["floor"]
    assert column(section.tables[0], "floor")[0] == percent(floor)
    with styled():
        figure = section.drawings[0].make(6.6)
    heights = [line.get_ydata()[0] for line in figure.axes[0].get_lines()]
    assert 100 * floor in heights
    assert "12 x 12 patches of 1 x 1 pixels" in section.protocol


def test_maps_of_even_mixtures_have_no_energy_and_say_by_what_they_were_mixed() -> None:
    (table,) = cam(two(CAM), method_shades(["none", "mixup"], "none")).tables
    assert column(table, "mixed by") == ["CutMix", "MixUp"]
    assert column(table, "both")[1] == NONE
    assert column(table, "both")[0] != NONE


def test_near_far_is_set_against_the_baseline_over_images() -> None:
    groups = two(GRADIENTS)
    (table,) = gradients(groups, method_shades(["none", "mixup"], "none")).tables
    own, words = column(table, "divided by None's")
    assert own == NONE
    near, far = (
        torch.stack([one[name] for one in groups[1].arrays]).mean(dim=0).mean()
        for name in ("near", "far")
    )
    base_near, base_far = (
        torch.stack([one[name] for one in groups[0].arrays]).mean(dim=0).mean()
        for name in ("near", "far")
    )
    assert words.startswith(f"{float(near / far / (base_near / base_far)):.3f} [")
