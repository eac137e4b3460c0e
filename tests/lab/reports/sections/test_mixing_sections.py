"""Sections on what mixers do and what they cost: numbers as told, figures that can be drawn."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from lab.evaluation.small import small_subject
from lab.reports.fabricated import fabricate
from mixwright.lab.analysis.statistics import t_interval
from mixwright.lab.evaluation.mixtures.diversity import Diversity
from mixwright.lab.evaluation.mixtures.fidelity import Fidelity
from mixwright.lab.reports import figures
from mixwright.lab.reports.formatting import NONE, TIMES
from mixwright.lab.reports.palette import method_shades
from mixwright.lab.reports.sections.cost import Spent, cost, equal_time, pareto, spending
from mixwright.lab.reports.sections.diversity import diversity
from mixwright.lab.reports.sections.fidelity import fidelity
from mixwright.lab.reports.sections.section import Group
from mixwright.lab.reports.sections.sweep import sweep
from mixwright.mixers import CutMix, MiAMix, MixUp

MIXERS = {"mixup": MixUp(), "cutmix": CutMix(), "miamix": MiAMix()}


def groups(part, seeds=2):
    """Findings on the same model twice, a bit changed, as read back from JSON."""
    made = []
    for name, mixer in MIXERS.items():
        found = [
            part.measure(dataclasses.replace(small_subject(mixer=mixer), seed=seed))
            for seed in range(seeds)
        ]
        made.append(
            Group(
                key=name,
                label=type(mixer).__name__,
                seeds=tuple(range(seeds)),
                summaries=tuple(json.loads(json.dumps(one.summary)) for one in found),
                arrays=tuple(one.arrays for one in found),
            )
        )
    return made, method_shades(list(MIXERS), None)


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


def test_diversity():
    made, shades = groups(Diversity(pairs=4, draws=3))
    section = diversity(made, shades)
    table = section.tables[0]
    assert [row[0] for row in table.rows] == ["MixUp", "CutMix", "MiAMix"]
    assert table.rows[0][1:3] == ("3 draws", "0.000 ± 0.000")
    mean = t_interval([one["draws"]["vendi"] for one in made[1].summaries])
    assert table.rows[1][6] == f"{mean.mean:.2f} ± {mean.half_width:.2f}"
    assert table.keys == tuple(MIXERS)
    assert "4 groups" in section.protocol
    assert "an own share of 0.5" in section.protocol
    assert "name one run as reference" in section.reading
    drawn(section, shades)


def test_diversity_over_epochs_and_of_unknown_labels():
    made, shades = groups(Diversity(pairs=4, draws=3), seeds=1)
    over = made[0].summaries[0]["draws"] | {"states": [1, 2, 4], "pair_accuracy": None}
    summary = {**made[0].summaries[0], "epochs": over, "lam": None}
    arrays = made[0].arrays[0]
    arrays |= {name.replace("draws", "epochs"): one for name, one in arrays.items()}
    learned = dataclasses.replace(made[0], summaries=(summary,), arrays=(arrays,))
    section = diversity([learned, *made[1:]], shades)
    assert [row[1] for row in section.tables[0].rows][:2] == ["3 draws", "epochs 1 to 4"]
    assert section.tables[0].rows[1][-1] == NONE
    assert "Over epochs" in section.protocol
    drawn(section, shades)


def test_fidelity():
    made, shades = groups(Fidelity(count=60, distances=20))
    section = fidelity(made, shades)
    table, stages = section.tables
    assert table.rows[0][:5] == ("MixUp", "Beta(1, 1)", "0.0 ± 0.0", "0.0 ± 0.0", "1")
    assert [row[1] for row in stages.rows] == [
        "before augmentation", "all smoothed", "all rotated", "all sheared", "as trained with",
    ]  # fmt: skip
    assert stages.rows[0][2] == "0.0 ± 0.0"
    assert "20 mixtures to 40 test images" in section.protocol
    drawn(section, shades)
    summaries = [dict(one) for one in made[1].summaries]
    for one in summaries:
        one.update(distance=None, area=None, law=None, expected=None, label_sum=0.25)
    plain = fidelity([dataclasses.replace(made[1], summaries=tuple(summaries))], shades)
    assert plain.tables[0].rows[0][1:5] == (NONE, NONE, "0.0 ± 0.0", "1 ± 0.25")
    assert plain.tables[0].rows[0][-1] == NONE
    drawn(plain, shades)


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
