"""A page of sections: one HTML file that needs nothing beside itself, and its figures as PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixwright.lab.reports.environment import environment
from mixwright.lab.reports.figures import styled, to_png, to_svg
from mixwright.lab.reports.palette import PAPER, Shade
from mixwright.lab.reports.sections.section import Drawing, Section, Table

_WIDE, _NARROW = 6.6, 3.7


@dataclass(frozen=True)
class _Drawn:
    caption: str
    svgs: tuple[str, str] | None
    pngs: tuple[str, str] | None


@dataclass(frozen=True)
class Shown:
    """A section with its figures drawn, for the template."""

    name: str
    title: str
    protocol: str
    reading: str
    tables: tuple[Table, ...]
    drawn: tuple[_Drawn, ...]


def write_page(
    folder: Path,
    *,
    title: str,
    lede: str,
    over: str,
    sections: Mapping[str, Section],
    facts: Sequence[tuple[str, str]],
    shades: Mapping[str, Shade],
    skipped: Sequence[str] = (),
) -> Path:
    """Write ``report.html``, and every figure as PNG under ``figures``.

    Args:
        folder: where; it is made.
        title: heading of the page.
        lede: what it says, in a sentence or two.
        over: a line of facts above it: when, how long, on what.
        sections: by name, which is their anchor and the beginning of their figures' names.
        facts: what was measured and how, word and sentence; ``Command`` is set as code.
        shades: colour of each group.
        skipped: what was asked for and not measured, each with its reason.

    Returns:
        the path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    colours = dict(shades)
    with styled():
        shown = [shown_section(*one, folder, colours) for one in sections.items()]
    text = (
        environment()
        .get_template("sections.html.j2")
        .render(
            title=title,
            lede=lede,
            over=over,
            sections=shown,
            facts=list(facts),
            skipped=list(skipped),
            shades=list(colours.values()),
            place={key: number for number, key in enumerate(colours)},
        )
    )
    path = folder / "report.html"
    path.write_text(text, encoding="utf-8")
    return path


def shown_section(name: str, section: Section, folder: Path, shades: dict[str, Shade]) -> Shown:
    """A section as the template ``section.html.j2`` shows it; draws its figures.

    Args:
        name: its anchor, and the beginning of its figures' names.
        section: what to show.
        folder: of the page; figures go below it as PNG.
        shades: colour of each group.

    Returns:
        text and drawn figures; call it within ``figures.styled``.
    """
    drawn = tuple(_drawn(name, drawing, folder, shades) for drawing in section.drawings)
    words = (section.title, section.protocol, section.reading)
    return Shown(name, *words, section.tables, drawn)


def _drawn(name: str, drawing: Drawing, folder: Path, shades: dict[str, Shade]) -> _Drawn:
    file = folder / "figures" / f"{name}-{drawing.name}.png"
    to_png(drawing.make(_WIDE), file)
    if not drawing.vector:
        small = io.BytesIO()
        drawing.make(_NARROW).savefig(small, dpi=200, facecolor=PAPER.light, transparent=False)
        return _Drawn(
            drawing.caption, None, (_inside(file.read_bytes()), _inside(small.getvalue()))
        )
    wide, narrow = (
        to_svg(drawing.make(width), shades, salt=f"{name}-{drawing.name}-{width}")
        for width in (_WIDE, _NARROW)
    )
    return _Drawn(drawing.caption, (wide, narrow), None)


def _inside(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
