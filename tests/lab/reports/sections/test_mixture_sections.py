"""Sections on what mixers do: diversity of mixtures, and masks and labels as asked for."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
import torch

from lab.evaluation.small import small_subject
from lab.reports.pages import cells, drawings, drawn, made_group, sections_of, tables
from mixwright.lab.analysis.findings import Group
from mixwright.lab.evaluation.mixtures.diversity import Diversity
from mixwright.lab.evaluation.mixtures.fidelity import Fidelity
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import NONE
from mixwright.lab.reports.section import Section
from mixwright.mixers import CutMix, MiAMix, MixUp

MIXERS = {"mixup": MixUp(), "cutmix": CutMix(), "miamix": MiAMix()}


@pytest.mark.parametrize(
    ("evaluation", "figures"),
    [
        (Diversity(pairs=4, draws=3), ["scores", "mixtures"]),
        (Fidelity(count=60, distances=20), ["shares", "distance"]),
    ],
    ids=["diversity", "fidelity"],
)
def test_what_was_measured_is_shown_whole(evaluation: Any, figures: list[str]) -> None:
    groups = [measured_group(name, evaluation) for name in MIXERS]
    name = evaluation.name
    section = sections_of(name, groups, pictures=evaluation.pictures)[name]
    assert drawn(section) == figures
    assert tables(section)[0].keys == tuple(MIXERS)
    assert "nan" not in str(tables(section))


def measured_group(name: str, evaluation: Any) -> Group:
    subject = small_subject(mixer=MIXERS[name])
    found = [evaluation.measure(dataclasses.replace(subject, seed=seed)) for seed in range(2)]
    summaries = [json.loads(json.dumps(run.summary)) for run in found]
    return made_group(name, "", summaries, [run.arrays for run in found])


def states(names: list[int], **changes: Any) -> dict[str, Any]:
    return {
        "states": names, "mixtures": 4, "mask": 0.125, "iou": 0.25, "pixels": 0.0625,
        "cosine": 0.5, "vendi": 2.375, "pair_accuracy": 0.75,
    } | changes  # fmt: skip


def diverse(name: str, runs: int = 1, **changes: Any) -> Group:
    summaries = [
        {
            "lam": 0.5, "reference": "its own model",
            "draws": states([0, 1, 2], vendi=2.375 + 0.02 * seed), "epochs": None,
        } | changes
        for seed in range(runs)
    ]  # fmt: skip
    arrays = {
        f"{over}.{what}": values
        for over, names in (("draws", [0, 1, 2]), ("epochs", [1, 2, 4]))
        for what, values in (
            ("mixed", torch.zeros(3, 2, 1, 4, 4, dtype=torch.uint8)),
            ("shown", torch.tensor(names)),
        )
    }
    return made_group(name, "", summaries, [arrays] * runs)


def diversity(*groups: Group) -> Section:
    return sections_of("diversity", groups, pictures=Diversity.pictures)["diversity"]


def test_each_column_of_diversity_is_what_its_head_says() -> None:
    section = diversity(diverse("mixup", runs=2), diverse("cutmix", runs=2))
    (table,) = tables(section)
    # Of two values d apart half the interval is 12.706 d / 2.
    assert cells(table)["Mixup"] == {
        "Method": "Mixup", "states": "3 draws", "masks": "0.125 ± 0.000",
        "1 \N{MINUS SIGN} IoU": "0.250 ± 0.000", "pixels": "0.062 ± 0.000",
        "features": "0.500 ± 0.000", "Vendi": "2.38 ± 0.13", "both known, %": "75.0 ± 0.0",
    }  # fmt: skip
    assert section.protocol == (
        "4 groups of test images of different classes, each mixed 3 times by independent draws at "
        "an own share of 0.5; features and guesses of its own model."
    )
    assert "name one run as reference" in section.reading
    assert "name one run as reference" not in diversity(diverse("mixup")).reading


def test_epochs_of_a_mixer_that_learned_have_a_row_of_their_own() -> None:
    epochs = states([1, 2, 4], pair_accuracy=None, mask=0.375)
    section = diversity(diverse("mixup", epochs=epochs, lam=None), diverse("cutmix"))
    (table,) = tables(section)
    assert [row[:3] for row in table.rows] == [
        ("Mixup", "3 draws", "0.125"),
        ("Mixup", "epochs 1 to 4", "0.375"),
        ("Cutmix", "3 draws", "0.125"),
    ]
    assert table.keys == ("mixup", "mixup", "cutmix")
    assert table.rows[1][-1] == NONE
    assert "Over epochs" in section.protocol
    assert "own share" not in section.protocol
    assert drawings(section)["mixtures"].needs == (
        "diversity/mixup/epochs.mixed", "diversity/mixup/epochs.shown",
        "diversity/cutmix/draws.mixed", "diversity/cutmix/draws.shown",
    )  # fmt: skip
    with styled():
        figure = drawings(section)["mixtures"].make(6.6)
        left, right = drawings(section)["scores"].make(6.6).axes
    learned, other = figure.axes
    assert [label.get_text() for label in learned.get_xticklabels()] == ["1", "2", "4"]
    assert learned.get_title(loc="left") == "Mixup, by epoch"
    assert other.get_title(loc="left") == "Cutmix, by draw"
    marks = [line for line in left.get_lines() if line.get_marker() in ("o", "D")]
    assert [float(line.get_xdata()[0]) for line in marks] == [2.375] * 3
    marks = [line for line in right.get_lines() if line.get_marker() in ("o", "D")]
    assert [float(line.get_xdata()[0]) for line in marks] == [75, 75]  # unknown over epochs


def numbers(**changes: Any) -> dict[str, Any]:
    return {
        "area": 0.011, "label": 0.022, "label_sum": 0.0, "degenerate": 0.033, "ks_realised": 0.044,
    } | changes  # fmt: skip


def faithful(name: str, **changes: Any) -> Group:
    summary = {
        "count": 2048, "law": "Beta(1, 1)", "ks_noise": 0.03, "degenerate_below": 0.05,
        **numbers(), "histogram": [0.25, 0.75], "expected": [0.5, 0.5], "stages": {},
        "distance": {"count": 20, "reals": 40, "reference": "its own model", "nearest": 0.75,
                     "nearest_other": 1.25},
    } | changes  # fmt: skip
    return made_group(name, "", [summary])


def fidelity(*groups: Group) -> Section:
    return sections_of("fidelity", groups)["fidelity"]


def test_each_column_of_fidelity_is_what_its_head_says() -> None:
    stage = numbers(moved=0.055, area=0.066, degenerate=0.077, ks_realised=0.088)
    stages = dict.fromkeys(("before", "smoothed", "rotated", "sheared", "after"), stage)
    section = fidelity(faithful("mixup"), faithful("miamix", stages=stages))
    table, staged = tables(section)
    assert cells(table)["Mixup"] == {
        "Method": "Mixup", "law": "Beta(1, 1)", "area, %": "1.1", "label, %": "2.2",
        "labels sum to": "1", "hardly mixed, %": "3.3", "KS": "0.044", "nearest": "0.75",
        "nearest other": "1.25",
    }  # fmt: skip
    assert [row[1] for row in staged.rows] == [
        "before augmentation", "all smoothed", "all rotated", "all sheared", "as trained with",
    ]  # fmt: skip
    assert staged.head == ("Method", "masks", "moved, %", "area, %", "hardly mixed, %", "KS")
    assert staged.rows[0] == ("Miamix", "before augmentation", "5.5", "6.6", "7.7", "0.088")
    assert staged.keys == ("miamix",) * 5
    assert "2,048 mixtures" in section.protocol
    assert "more than 95 % of the pixels" in section.protocol
    assert "20 mixtures to 40 test images" in section.protocol
    assert "below 0.030 it cannot be told from chance" in section.reading
    with styled():
        (axes,) = drawings(section)["distance"].make(6.6).axes
    marks = [float(line.get_xdata()[0]) for line in axes.get_lines() if line.get_marker() == "o"]
    assert marks == [0.75, 1.25] * 2


def test_what_cannot_be_measured_is_a_dash() -> None:
    bare = {"distance": None, "law": None, "expected": None, **numbers(area=None, label_sum=0.25)}
    section = fidelity(faithful("mixup", **bare))
    (table,) = tables(section)
    row = cells(table)["Mixup"]
    assert [row[head] for head in ("law", "area, %", "nearest", "nearest other")] == [NONE] * 4
    assert row["labels sum to"] == "1 ± 0.25"
    assert drawn(section) == ["shares"]
