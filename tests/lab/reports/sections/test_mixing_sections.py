"""Sections on what methods cost and on sweeps: their numbers, and figures that can be drawn."""

from __future__ import annotations

import dataclasses
import math

import pytest

from lab.reports.fabricated import fabricate
from mixwright.lab.analysis.statistics import t_interval
from mixwright.lab.reports import figures
from mixwright.lab.reports.formatting import NONE, TIMES
from mixwright.lab.reports.palette import method_shades
from mixwright.lab.reports.sections.cost import Spent, cost, equal_time, pareto, spending
from mixwright.lab.reports.sections.sweep import sweep


def drawn(section, shades):
    """Draw every figure wide and narrow; the markup of those that are lines."""
    assert section.drawings
    for drawing in section.drawings:
        for width in (6.6, 3.7):
            with figures.styled():
                figure = drawing.make(width)
                assert figure.get_size_inches()[0] == pytest.approx(width)
                if drawing.vector:
                    assert "<svg" in figures.to_svg(figure, dict(shades), salt=drawing.name)
                else:
                    figure.canvas.draw()


def test_the_front_is_what_nothing_beats():
    points = [(3.0, 0.9), (1.0, 0.8), (2.0, 0.8), (1.0, 0.7), (4.0, 0.9), (3.0, 0.9)]
    assert pareto(points) == [1, 0, 5]
    assert pareto([]) == []


def spent(seconds, key="none"):
    return Spent(key=key, label=key, seconds=seconds, top1=t_interval([0.8, 0.9]))


def test_a_baseline_of_equal_time_is_the_nearest_within_a_tenth():
    bases = [spent(100.0), spent(150.0), spent(160.0)]
    assert equal_time(spent(152.0, "mixup"), bases) is bases[1]
    assert equal_time(spent(158.0, "mixup"), bases) is bases[2]
    assert equal_time(spent(111.0, "mixup"), bases) is bases[0]
    assert equal_time(spent(112.0, "mixup"), bases) is None
    assert equal_time(spent(112.0, "mixup"), []) is None


def timed(record, **seconds):
    """The record with runs of other lengths."""
    return dataclasses.replace(
        record,
        methods=tuple(
            dataclasses.replace(
                method,
                runs=tuple(
                    dataclasses.replace(run, seconds=seconds[method.text] + run.seed)
                    for run in method.runs
                ),
            )
            for method in record.methods
        ),
    )


def test_cost(tmp_path):
    record = timed(fabricate(tmp_path, methods=("none", "mixup", "cutmix")), none=99.0, mixup=104.0,
                   cutmix=149.0)  # fmt: skip
    shades = method_shades(["none", "mixup", "cutmix"], "none")
    assert [one.seconds for one in spending(record)] == [100.0, 105.0, 150.0]
    section = cost(record, shades)
    rows = {row[0]: row for row in section.tables[0].rows}
    assert rows["No mixing"][1:3] == ("1 min 40 s", "1.00" + TIMES)
    assert rows["CutMix"][2] == "1.50" + TIMES
    assert rows["MixUp"][5].startswith("No mixing: ")
    assert rows["CutMix"][5:] == (NONE, "30")  # of 20 epochs
    assert "mixwright compare none --epochs 30" in section.reading
    assert "Up to 2 runs shared the machine" in section.reading
    drawn(section, shades)
    # The baseline of another comparison that took as long.
    other = timed(fabricate(tmp_path, methods=("none",), epochs=31), none=147.0)
    section = cost(record, shades, [other])
    rows = {row[0]: row for row in section.tables[0].rows}
    assert rows["CutMix"][5].startswith("No mixing, 31 epochs: ")
    assert "No mixing, 31 epochs" in rows
    assert "The table names that run" in section.reading
    drawn(section, shades)
    foreign = dataclasses.replace(other, recipe={**other.recipe, "model": "resnet8"})
    with pytest.raises(ValueError, match="the model 'resnet8', this one 'smallconv'"):
        cost(record, shades, [foreign])


def test_cost_without_baseline_and_of_one_seed(tmp_path):
    record = fabricate(tmp_path, methods=("mixup", "cutmix"), seeds=1)
    assert math.isnan(record.methods[0].raw["top1"].low)
    section = cost(record, method_shades(["mixup", "cutmix"], None))
    assert "none of equal time" in section.reading
    assert section.tables[0].rows[0][2] == NONE
    drawn(section, method_shades(["mixup", "cutmix"], None))


def test_sweep(tmp_path):
    texts = ("none", "miamix:p_self=0.2", "miamix:p_self=0", "miamix:p_self=0.1")
    record = fabricate(tmp_path, methods=texts)
    shades = method_shades(texts, "none")
    section = sweep(record, shades)
    assert [row[0] for row in section.tables[0].rows] == ["0", "0.1", "0.2"]
    assert section.tables[0].keys == (texts[2], texts[3], texts[1])
    assert "chosen on them" in section.reading
    drawn(section, shades)
    assert sweep(fabricate(tmp_path, methods=("none", "mixup")), shades) is None
    alone = fabricate(tmp_path, methods=texts[1:], seeds=1)
    section = sweep(alone, method_shades(texts[1:], None))
    assert section.tables[0].head == ("p_self", "top-1, %")
    drawn(section, method_shades(texts[1:], None))
