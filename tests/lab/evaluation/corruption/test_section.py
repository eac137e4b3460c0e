"""The section of a report: its numbers, its stars, and figures that can be drawn."""

from __future__ import annotations

import pytest
import torch

from mixwright.lab.evaluation.corruption.constants import SEVERITIES, TYPES
from mixwright.lab.evaluation.corruption.corruption import Corruption
from mixwright.lab.evaluation.corruption.corruption_error import mean_accuracy
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.formatting import NONE
from mixwright.lab.reports.palette import method_shades
from mixwright.lab.reports.sections.corruption import corruption, corruption_sheet
from mixwright.lab.reports.sections.section import Group

IMAGE = torch.randint(256, (3, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def summary(gain: float, types=TYPES, **changes):
    """A summary as the evaluation writes it."""
    accuracy = {
        name: [0.9 + gain - 0.01 * k - 0.05 * s for s in SEVERITIES] for k, name in enumerate(types)
    }
    found = Corruption(types=types)._summary(_Given(), accuracy, 0.95)
    return found | changes


class _Given:
    """As much of a subject as a summary reads."""

    seed = 3

    class data:  # noqa: N801
        num_classes = 10

        class test:  # noqa: N801
            shape = (3, 32, 32)

            def __len__(self) -> int:
                return 50

        test = test()


def groups(*gains: float, seeds: int = 2, baseline: bool = True, types=TYPES) -> list[Group]:
    return [
        Group(
            key=f"m{place}",
            label=f"method {place}",
            seeds=tuple(range(seeds)),
            summaries=tuple(summary(gain + 0.001 * seed, types) for seed in range(seeds)),
            arrays=({"sample": IMAGE},) * seeds,
            baseline=baseline and place == 0,
        )
        for place, gain in enumerate(gains)
    ]


def section(many: list[Group]):
    return corruption(many, method_shades([one.key for one in many], "m0"))


def test_tables_show_percent_and_paired_differences() -> None:
    found = section(groups(0.0, 0.02))
    by_method, by_type = found.tables
    mean = 100 * (mean_accuracy(summary(0.0)["accuracy"]) + 0.0005)
    assert by_method.rows[0][2].startswith(f"{mean:.1f} ± ")
    assert by_method.rows[0][-1] == NONE
    assert by_method.rows[1][-1] == "+2.0 ± 0.0"
    assert by_method.keys == ("m0", "m1")
    assert by_method.head[2:4] == ("mean of 19", "of 15")
    assert len(by_type.rows) == 19
    assert by_type.rows[0][:2] == ("Gaussian noise", "noise")
    assert [len(row) == len(table.head) for table in found.tables for row in table.rows]
    names = [row[0] for row in by_type.rows]
    assert "Frost*" in names
    assert "regenerated" in found.protocol
    assert "Frost*" in found.reading


def test_official_files_and_pictures_bear_no_star() -> None:
    many = groups(0.0)
    official = {"regenerated": False, "source": "official", "frost": None}
    many = [
        Group(key="m0", label="one", seeds=(0,), summaries=(summary(0.0, **official),)),
    ]
    found = section(many)
    assert "official files" in found.protocol
    assert "regenerated" not in found.protocol
    assert "Frost" in [row[0] for row in found.tables[1].rows]
    assert "*" not in found.reading
    assert [one.name for one in found.drawings] == ["severities", "types"]


@pytest.mark.parametrize("gains", [(0.0,), (0.0, 0.02, -0.03)])
@pytest.mark.parametrize("baseline", [True, False])
def test_figures_can_be_drawn(gains: tuple[float, ...], baseline: bool) -> None:
    found = section(groups(*gains, seeds=3 if baseline else 1, baseline=baseline))
    with styled():
        for drawing in found.drawings[:2]:
            figure = drawing.make(3.7)
            figure.canvas.draw()
            assert figure.get_figwidth() == pytest.approx(3.7)


def test_the_matrix_says_what_the_table_says() -> None:
    with styled():
        figure = section(groups(0.0, 0.02, -0.03)).drawings[1].make(6.6)
    said = [text.get_text() for text in figure.axes[0].texts]
    assert said[:2] == ["+2.0", "\N{MINUS SIGN}3.0"]
    assert said[-5:] == ["noise", "blur", "weather", "digital", "extra"]
    assert len(said) == 19 * 2 + 5


def test_few_types_at_one_severity() -> None:
    few = ("fog", "contrast")
    found = section(groups(0.0, 0.01, types=few))
    assert found.tables[0].head[2] == "mean of 2"
    assert len(found.tables[1].rows) == 2
    with styled():
        for drawing in found.drawings[:2]:
            drawing.make(6.6).canvas.draw()


def test_sheet_has_a_strip_a_type() -> None:
    with styled():
        figure = corruption_sheet(IMAGE, width=3.7)
        shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 20
    titles = [axes.get_title(loc="left") for axes in shown]
    assert titles[0] == "Clean"
    assert "Frost*" in titles
    assert shown[1].images[0].get_array().shape == (16, 5 * 18 - 2, 3)
