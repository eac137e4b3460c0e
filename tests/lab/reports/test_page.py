"""A page of sections: whole in itself, safe against markup, with its figures beside it."""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.figure import Figure
from mixwright.lab.reports.sections.section import Drawing, Group, Section, Table

from mixwright.lab.reports.page import write_page
from mixwright.lab.reports.palette import BASELINE, Shade

WIDTHS: list[float] = []


def draw(width: float) -> Figure:
    WIDTHS.append(width)
    figure = Figure(figsize=(width, 1))
    figure.add_subplot().plot([0, 1], color=BASELINE.light)
    return figure


def page(folder: Path) -> str:
    section = Section(
        title="A <title>",
        protocol="What was done.",
        reading="What it says.",
        tables=(Table(("", "top-1 %"), (("<b>none</b>", "64.0"),), "a caption", ("none",)),),
        drawings=(
            Drawing("lines", "Lines.", draw),
            Drawing("map", "A map.", draw, vector=False),
        ),
    )
    path = write_page(
        folder,
        title="Models & more",
        lede="All in all.",
        over="digits",
        sections={"first": section},
        facts=[("Command", "mixwright evaluate <x>")],
        shades={"none": Shade("#7b8290", "#a3abb9")},
        skipped=["CutMix: cam, because <reason>"],
    )
    return path.read_text()


def test_everything_is_there_and_nothing_from_elsewhere(tmp_path: Path) -> None:
    text = page(tmp_path)
    for said in ("A &lt;title&gt;", "What was done.", "&lt;b&gt;none&lt;/b&gt;", "64.0",
                 "a caption", "Models &amp; more", "mixwright evaluate &lt;x&gt;",
                 "because &lt;reason&gt;", 'id="first"'):  # fmt: skip
        assert said in text
    assert not re.search(r'(src|href)="(?!data:|#)', text)
    assert (tmp_path / "figures" / "first-lines.png").stat().st_size > 500
    assert (tmp_path / "figures" / "first-map.png").stat().st_size > 500


def test_lines_are_drawn_for_both_widths_and_take_the_colours_of_the_page(tmp_path: Path) -> None:
    WIDTHS.clear()
    text = page(tmp_path)
    assert {round(width, 1) for width in WIDTHS} == {6.6, 3.7}
    assert text.count("<svg") == 2
    assert "var(--m0)" in text
    assert text.count("data:image/png;base64,") == 2


def test_groups_pair_by_seed() -> None:
    def group(key: str, seeds: tuple[int, ...], values: tuple[float, ...]) -> Group:
        return Group(key, key, seeds, tuple({"top1": value} for value in values))

    ours, base = group("a", (0, 1, 2), (0.5, 0.6, 0.9)), group("b", (2, 0), (0.8, 0.3))
    gap = ours.difference(base, lambda found: found["top1"])
    assert gap is not None
    assert gap.count == 2
    assert abs(gap.mean - 0.15) < 1e-12
    assert ours.difference(group("c", (7,), (0.1,)), lambda found: found["top1"]) is None
    assert abs(ours.interval(lambda found: found["top1"]).mean - 2 / 3) < 1e-12
