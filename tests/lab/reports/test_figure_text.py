"""Names in figures: literal, short, in a font that has them, and never a warning."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.lines import Line2D

from mixwright.lab.reports import figure_text
from mixwright.lab.reports.figure_text import fonts_for, label, legend
from mixwright.lab.reports.figures import canvas, row_labels, styled, to_svg

DOG = "\N{CJK UNIFIED IDEOGRAPH-72D7}"
GEOMANTIC = "\N{TAG LATIN CAPITAL LETTER A}"  # in no font that draws text
FORMULAS = ("$5", "a_b$", r"\alpha", "$", "$$", r"$\frac{", "_hidden", "x^{2", "%d", "{x}")


@pytest.mark.parametrize(
    ("name", "most", "want"),
    [
        ("CutMix", 6, "CutMix"),
        ("abcdefghij", 10, "abcdefghij"),
        ("abcdefghij", 9, "abcd…ghij"),
        ("abcdefghij", 8, "abcd…hij"),
        ("a\x1b[0m\nb", 40, r"a\x1b[0m\nb"),
        ("caf\udce9", 40, r"caf\xe9"),
        ("abc" + "\U000e0041" * 2 + "xyz", 10, "abc…xyz"),  # an escape is cut as a whole
    ],
)
def test_labels_are_plain_and_short(name: str, most: int, want: str) -> None:
    assert label(name, most) == want


def test_what_no_font_has_is_escaped() -> None:
    assert label(GEOMANTIC) == r"\U000e0041"


@pytest.fixture
def dog_font(tmp_path: Path) -> Iterator[str]:
    """A font that has one character of Chinese, installed for the length of a test."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 700), (700, 700), (700, 0)):
        pen.lineTo(point)
    pen.closePath()
    glyph = pen.glyph()
    font = FontBuilder(1000)
    font.setupGlyphOrder([".notdef", "dog"])
    font.setupCharacterMap({ord(DOG): "dog"})
    font.setupGlyf({".notdef": glyph, "dog": glyph})
    font.setupHorizontalMetrics({".notdef": (800, 0), "dog": (800, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Dog CJK", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    file = tmp_path / "dog.ttf"
    font.save(file)
    before = list(fontManager.ttflist)
    fontManager.addfont(file)
    figure_text.families_with.cache_clear()
    yield "Dog CJK"
    fontManager.ttflist[:] = before
    figure_text.families_with.cache_clear()


def test_a_font_that_has_the_characters_is_taken(dog_font: str) -> None:
    assert fonts_for(["cat"]) == []
    assert dog_font in fonts_for([DOG])
    with styled([DOG]):
        assert label(DOG) == DOG
        figure, axes = canvas(3, 2)
        axes.set_title(label(DOG))
        row_labels(axes, [DOG])
        for kind in ("png", "svg"):
            figure.savefig(io.BytesIO(), format=kind)  # a missing glyph is a warning, an error here
    with mpl.rc_context({"font.family": ["sans-serif"]}):
        assert label(DOG) in (DOG, r"\u72d7")  # by what this machine has


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_names_are_no_formulas(kind: str) -> None:
    with mpl.rc_context({"text.usetex": True}), styled(FORMULAS):  # a user's matplotlibrc
        figure, axes = canvas(4, 4)
        axes.set_title(label(FORMULAS[0]))
        axes.set_xlabel(label(FORMULAS[1]))
        row_labels(axes, FORMULAS)
        legend(figure, [Line2D([], []) for _ in FORMULAS], FORMULAS, loc="outside right upper")
        figure.savefig(io.BytesIO(), format=kind)
    shown = [text.get_text() for text in figure.legends[0].get_texts()]
    assert shown == list(FORMULAS)  # the one with an underscore too


def test_svg_keeps_the_words_of_names() -> None:
    name = '#1d2430 fill: white font: 9px x; id="q" xlink:href <b>'
    with styled():
        figure = Figure()
        figure.text(0, 0, label(name, 80))
        svg = to_svg(figure, (), salt="caf\udce9")
    (text,) = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert text == name.replace("<", "&lt;").replace(">", "&gt;")
    assert "var(--ink)" in svg
