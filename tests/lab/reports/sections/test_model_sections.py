"""Sections on how models react: occlusion, activation maps, gradients."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from lab.evaluation.judged import MEAN, STD, small, subject
from lab.reports.pages import cells, drawings, drawn, made_group, page_of, sections_of, tables
from mixwright.lab.analysis.findings import Group
from mixwright.lab.evaluation.cam import Cam
from mixwright.lab.evaluation.gradients.gradients import Gradients
from mixwright.lab.evaluation.occlusion import Occlusion
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import NONE
from mixwright.lab.reports.sections.cam import _border
from mixwright.mixers import MixUp

EVALUATIONS = (
    Occlusion(ratios=(0, 0.3, 0.5, 0.9, 1), seeds=2),
    Cam(pairs=4, shown=2, layer="conv2"),
    Gradients(probes=1, traced=5),
)


@functools.cache
def measured(evaluation: Any, seed: int, mixer: Any) -> Any:
    model = Normalised(small(seed=seed), MEAN, STD)
    return evaluation.measure(subject(model, count=12, mixer=mixer))


def measured_group(
    name: str, evaluation: Any, seeds: Sequence[int], *, mixer: Any = None, arrays: bool = True
) -> Group:
    found = [measured(evaluation, seed, mixer) for seed in seeds]
    return made_group(
        name,
        "",
        [json.loads(json.dumps(run.summary)) for run in found],
        [run.arrays for run in found] if arrays else (),
        baseline=name == "none",
    )


@pytest.mark.parametrize("evaluation", EVALUATIONS, ids=lambda part: part.name)
@pytest.mark.parametrize("seeds", [1, 2])
def test_what_was_measured_is_shown_whole(evaluation: Any, seeds: int) -> None:
    groups = [
        measured_group("none", evaluation, range(seeds)),
        measured_group("mixup", evaluation, range(5, 5 + seeds), mixer=MixUp()),
    ]
    name = evaluation.name
    section = sections_of(name, groups, pictures=evaluation.pictures)[name]
    assert len(drawn(section)) == 2
    (table,) = tables(section)
    assert table.keys == ("none", "mixup")
    assert ("±" in str(table.rows)) == (seeds > 1)
    assert "nan" not in str(table)
    (alone,) = tables(sections_of(name, groups[1:])[name])
    assert len(alone.rows) == 1
    assert not any(" to " in head or "divided" in head for head in alone.head)


@pytest.mark.parametrize("evaluation", EVALUATIONS, ids=lambda part: part.name)
def test_pictures_name_the_arrays_that_they_need(evaluation: Any) -> None:
    whole = measured_group("none", evaluation, [0])
    bare = measured_group("none", evaluation, [0], arrays=False)
    for group, there in ((whole, True), (bare, False)):
        page = page_of({evaluation.name: [group]}, pictures={evaluation.name: evaluation.pictures})
        (section,) = sections_of(evaluation.name, [group], pictures=evaluation.pictures).values()
        needed = [array for drawing in drawings(section).values() for array in drawing.needs]
        assert needed
        assert all((array in page.arrays) == there for array in needed)


def occluded(name: str, area: float, *, runs: int = 2, **changes: Any) -> Group:
    """Accuracies rise by 0.2 points from seed to seed, all else stays."""
    return made_group(
        name,
        "",
        [
            {
                "count": 100, "ratios": [0.0, 0.2, 0.3, 0.5, 1.0],
                "accuracy": [value + 0.002 * seed for value in (0.8, 0.7, 0.6, 0.3, 0.1)],
                "deviation": [0.0, 0.004, 0.007, 0.012, 0.001], "auc": area, "half": 0.45,
                "floor": 0.25, "patch": 2, "grid": [16, 8], "fill": "mean", "orders": 5,
                "per_batch": False, "seed": 3,
            } | changes
            for seed in range(runs)
        ],
        baseline=name == "none",
    )  # fmt: skip


def test_each_column_of_occlusion_is_what_its_head_says() -> None:
    groups = [occluded("none", 0.5), occluded("mixup", 0.56)]
    section = sections_of("occlusion", groups)["occlusion"]
    (table,) = tables(section)
    # Of two values d apart half the interval is 12.706 d / 2, here 1.3 points.
    assert cells(table)["Mixup"] == {
        "Method": "Mixup", "whole": "80.1 ± 1.3", "30 % hidden": "60.1 ± 1.3",
        "50 % hidden": "30.1 ± 1.3", "area": "56.0 ± 0.0", "half at, % hidden": "45.0 ± 0.0",
        "floor": "25.0", "area to None": "+6.0",
    }  # fmt: skip
    assert cells(table)["None"]["area"] == "50.0 ± 0.0"
    assert cells(table)["None"]["area to None"] == NONE
    assert table.caption == (
        "Accuracy in percent, ± half the 95 % t interval over seeds. From one order of hiding to "
        "another it varies by 1.2 points at most (deviation, None)."
    )
    assert section.protocol == (
        "100 test images (classes in turn), cut into 16 x 8 patches of 2 x 2 pixels; a share of "
        "them hidden behind the mean colour; each image has its own, the same for all models, and "
        "what is hidden stays hidden; 5 orders of hiding, seed 3."
    )


def test_curves_of_occlusion_and_their_floor() -> None:
    section = sections_of("occlusion", [occluded("none", 0.5)])["occlusion"]
    with styled():
        (axes,) = drawings(section)["occlusion"].make(6.6).axes
    floor, curve = axes.get_lines()
    assert list(floor.get_ydata()) == [25, 25]
    assert list(curve.get_xdata()) == pytest.approx([0, 20, 30, 50, 100])
    assert list(curve.get_ydata()) == pytest.approx([80.1, 70.1, 60.1, 30.1, 10.1])


def test_a_curve_that_never_halves_has_no_such_point() -> None:
    group = occluded("none", 0.5, runs=1, half=None, deviation=None, per_batch=True, floor=None)
    section = sections_of("occlusion", [group])["occlusion"]
    row = cells(tables(section)[0])["None"]
    assert (row["whole"], row["half at, % hidden"], row["floor"]) == ("80.0", NONE, NONE)
    assert tables(section)[0].caption == "Accuracy in percent."
    assert "all images of a hundred share their patches" in section.protocol
    assert "dashed" not in drawings(section)["occlusion"].caption


def activated(name: str, **changes: Any) -> Group:
    summary = {
        "pairs": 7, "lam": 0.5, "mixer": "CutMix", "layer": "conv2", "map": [4, 5],
        "energy_a": 0.61, "energy_b": 0.42, "energy": 0.55, "chance_a": 0.51, "chance_b": 0.49,
        "pair_accuracy": 0.33, "empty": 0.02, "seed": 3,
    } | changes  # fmt: skip
    return made_group(name, "", [summary])


def test_each_column_of_activation_maps_is_what_its_head_says() -> None:
    groups = [activated("none"), activated("mixup", mixer="MixUp", energy=None, layer="conv3")]
    section = sections_of("cam", groups)["cam"]
    rows = cells(tables(section)[0])
    assert rows["None"] == {
        "Method": "None", "mixed by": "CutMix", "energy, first": "61.0", "its pixels": "51.0",
        "energy, second": "42.0", "its pixels ": "49.0", "both": "55.0", "both guessed": "33.0",
        "empty maps": "2.0",
    }  # fmt: skip
    assert (rows["Mixup"]["mixed by"], rows["Mixup"]["both"]) == ("MixUp", NONE)
    assert "Grad-CAM of the layer conv2 and conv3, maps of 4 x 5 places" in section.protocol
    assert "7 mixtures of two test images of different classes, share 0.5, by" in section.protocol
    groups = [activated("none"), activated("smoothmix", lam=None)]
    protocol = sections_of("cam", groups)["cam"].protocol
    assert "share 0.5 (Smoothmix: at shares of their own), by the mixer" in protocol


def test_the_border_of_a_region_lies_where_the_mask_steps() -> None:
    upper = torch.tensor([[255, 255], [0, 0]], dtype=torch.uint8)
    for mask, edges in ((upper, 1), (upper.T, 1), (torch.full((2, 2), 255, dtype=torch.uint8), 0)):
        border = _border(mask)
        assert border.shape == (96, 96)  # 48 pixels a value
        assert int(border.sum()) == 96 * edges
    assert _border(upper)[48].all()
    assert _border(upper.T)[:, 48].all()


def differentiated(name: str, near: Sequence[float], far: Sequence[float], runs: int = 1) -> Group:
    summary = {
        "count": 2, "of": "true", "colour": "l2", "size": [2, 2], "size_of_maxima": [2, 2],
        "near": 4, "far": 12, "near_far": 1.234, "near_far_highest": 5.67, "near_far_q99": 8.9,
        "l1": 10.5, "l2": 2.25, "trace": None, "traced": 0, "probes": 0, "no_gradient": 0.125,
        "profile_mean": [1.0, 0.6], "profile_highest": [1.0, 0.8],
    }  # fmt: skip
    arrays: dict[str, Tensor] = {
        "near": torch.tensor(near),
        "far": torch.tensor(far),
        "profiles": torch.tensor([[1.0, 0.5], [1.0, 0.7], [9.0, 9.0]]),
        "used": torch.tensor([True, True, False]),
        "mean": torch.full((3, 3), 2.0),
        "highest": torch.full((3, 3), 3.0),
    }
    return made_group(name, "", [summary] * runs, [arrays] * runs, baseline=name == "none")


def test_each_column_of_gradients_is_what_its_head_says() -> None:
    groups = [
        differentiated("none", [2.0, 2.0], [2.0, 2.0]),
        differentiated("mixup", [2.0, 4.0], [1.0, 1.0]),
    ]
    section = sections_of("gradients", groups)["gradients"]
    rows = cells(tables(section)[0])
    # Near over far is 3 / 1 to 1. Of two images those that are drawn have 2, 3 or 4.
    assert rows["Mixup"] == {
        "Method": "Mixup", "near / far": "1.234", "divided by None's": "3.000 [2.000, 4.000]",
        "of largest": "5.67", "of 99 %": "8.90", "l1": "10.5", "l2": "2.25", "trace": NONE,
        "no gradient, %": "12.5",
    }  # fmt: skip
    assert rows["None"]["divided by None's"] == NONE
    assert section.reading.startswith("Near: offsets up to 4 pixels; far: from 12. A lower ratio")
    assert "Trace" not in section.protocol


def test_profiles_of_gradients_and_where_near_and_far_begin() -> None:
    section = sections_of("gradients", [differentiated("none", [1.0], [1.0])])["gradients"]
    with styled():
        mean, largest = drawings(section)["profiles"].make(6.6).axes
    assert [list(line.get_ydata()) for line in mean.get_lines()[:1]] == [[1.0, 0.6]]
    assert [list(line.get_ydata()) for line in largest.get_lines()] == [[1.0, 0.8]]
    assert {text.get_text(): text.get_position()[0] for text in mean.texts} == pytest.approx(
        {"near": 3.7, "far": 12.3}
    )
    (band,) = mean.collections  # 1.96 * 0.1 * sqrt(2) / sqrt(2) around 0.6
    ends = band.get_paths()[0].vertices
    assert ends[:, 1].min() == pytest.approx(0.404)
    assert not largest.collections
    assert "95 % over images" in drawings(section)["profiles"].caption
