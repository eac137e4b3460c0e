"""Names in figures: literal, on one line, short enough, in a font that has their characters."""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from mixwright.lab.reports.plain_text import escape, printable

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.figure import Figure

TITLE = 28
"""Characters that fit over a small panel."""

_LIKELY = ("CJK", "Gothic", "Hei", "Emoji", "Unicode", "Symbol")  # in names of fonts with many


def label(text: str, most: int = 40) -> str:
    """Return a name as figures show it: plain, at most about ``most`` letters wide.

    A longer one loses its middle, since options that tell methods apart stand at the end. What
    no font of the figure has is escaped. Tables and headings have the whole name.
    """
    import matplotlib as mpl

    there = _glyphs(tuple(mpl.rcParams["font.family"]))
    letters = [one if ord(one) in there else escape(one) for one in printable(text)]
    widths = [2 if east_asian_width(one[0]) in "WF" else len(one) for one in letters]
    if sum(widths) <= most:
        return "".join(letters)
    head, tail = _fitting(widths, most // 2), _fitting(widths[::-1], most - 1 - most // 2)
    return "".join([*letters[:head], "…", *letters[len(letters) - tail :]])


def _fitting(widths: Sequence[int], room: int) -> int:
    """How many of the first letters fit."""
    count = 0
    while count < len(widths) and sum(widths[: count + 1]) <= room:
        count += 1
    return count


def legend(figure: "Figure", marks: "Sequence[Artist]", names: Sequence[str], **look: Any) -> None:
    """Name marks; ``look`` is of ``Figure.legend``.

    Names are put in afterwards: matplotlib leaves out those that begin with an underscore.
    """
    made = figure.legend(list(marks), [str(place) for place in range(len(names))], **look)
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set_text(label(name))


def fonts_for(names: Iterable[str]) -> list[str]:
    """Return families of installed fonts for the characters that the usual font lacks."""
    letters = {ord(one) for name in names for one in printable(name)}
    return list(families_with(frozenset(letters - _glyphs(("sans-serif",)))))


@cache
def _glyphs(families: tuple[str, ...]) -> frozenset[int]:
    """Characters that these families draw, in regular and in bold."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    found: set[int] = set()
    for family in families:
        regular, bold = (
            set(get_font(findfont(FontProperties(family=[family], weight=weight))).get_charmap())
            for weight in ("normal", "bold")
        )
        found |= regular & bold
    return frozenset(found)


@cache
def families_with(letters: frozenset[int]) -> tuple[str, ...]:
    """Families that draw these characters, as few as come first; some may stay without."""
    from matplotlib.font_manager import fontManager

    fonts = [
        font
        for font in fontManager.ttflist
        if font.style == "normal" and not font.name.startswith("Last Resort")  # boxes
    ]
    fonts.sort(key=lambda font: (not any(word in font.name for word in _LIKELY), font.name))
    missing, found = set(letters), list[str]()
    for font in fonts:
        if not missing:
            break
        drawn = missing & _glyphs((font.name,)) if _draws(font.fname, missing) else set[int]()
        if drawn and font.name not in found:
            found.append(font.name)
            missing -= drawn
    return tuple(found)


def _draws(file: str, letters: set[int]) -> bool:
    """Whether a font has one of these characters as an outline; fonts of bitmaps are not drawn."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(file)
        own = letters & font.get_charmap().keys()
        if own:
            font.set_size(9, 72)
            font.load_char(min(own))
    except (OSError, RuntimeError):  # not readable, or without outlines
        return False
    return bool(own)
