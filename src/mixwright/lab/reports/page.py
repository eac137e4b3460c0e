"""The page of any findings: one HTML file that needs nothing beside itself, its figures as PNG."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.files import write_whole
from mixwright.lab.analysis.convert import damaged
from mixwright.lab.analysis.store import (
    NAMES,
    arrays_beside,
    find_record,
    read_arrays,
    read_findings,
)
from mixwright.lab.reports.environment import environment
from mixwright.lab.reports.figures import styled, to_png, to_svg
from mixwright.lab.reports.palette import PAPER, Shade, shades_of
from mixwright.lab.reports.pictures import png, sheet
from mixwright.lab.reports.section import Block, Cards, Drawing, Page, Pictures, Section

if TYPE_CHECKING:
    from collections.abc import Callable

    from mixwright.lab.analysis.findings import Arrays, Findings, Part

WIDE, NARROW = 6.6, 3.7
"""Inches of figures on wide and on narrow pages."""


@dataclass(frozen=True)
class Heading:
    """What stands above the sections of a page, and its last list.

    ``subtitle`` says when, how long, on what; ``metadata`` is word and sentence, ``Command`` set as
    code; ``about`` is its heading.
    """

    title: str
    subtitle: str
    summary: str
    metadata: Sequence[tuple[str, str]]
    about: str


@dataclass(frozen=True)
class _Figure:
    """A figure as the template shows it: two SVG elements, or two pictures."""

    caption: str
    svgs: tuple[str, str] | None = None
    pictures: tuple[str, str] | None = None


def write_report(path: Path) -> Path:
    """Write ``report.html`` beside a stored record, and every figure as PNG under ``figures``.

    ``path`` is the record or its folder. Where several records share a folder, or the record's
    file has a name of its own, the page has the record's name. Return its path.

    Raises:
        ValueError: there is no such record, or it is damaged.
    """
    record = find_record(path)
    folder = record.parent
    there = [name for name in NAMES.values() if (folder / name).is_file()]
    page = folder / ("report.html" if there == [record.name] else f"{record.stem}.html")
    arrays = read_arrays(arrays_beside(record)) or {}
    findings = read_findings(record)
    try:
        write_page(findings, arrays, page)
    except (KeyError, IndexError) as error:  # a number, a group or a part that is not there
        raise damaged(record, error) from error
    return page


def write_page(findings: Findings, arrays: Arrays, path: Path) -> None:
    """Write the page of findings, and every figure as PNG under ``figures`` beside it."""
    page = Page(findings=findings, shades=shades_of(findings), arrays=arrays)
    kind = import_module(f"mixwright.lab.reports.{findings.kind}_page")
    sections: dict[str, Section] = {}
    for name, part in findings.parts.items():
        sections |= _writer(name)(part, page)
    sections |= kind.closing(page)
    _write(path, kind.heading(page), sections, page)


def _writer(name: str) -> Callable[[Part, Page], dict[str, Section]]:
    """The function that writes the sections of a part: ``write`` of the file of its name."""
    file = name.partition("-")[0] if name.startswith("moments") else name.replace("-", "_")
    module = f"mixwright.lab.reports.sections.{file}"
    try:
        return import_module(module).write
    except ModuleNotFoundError as error:
        if error.name != module:  # a library that is not installed
            raise
        raise ValueError(
            f"the record has a part {name!r}, which this version cannot show. A later version of "
            "mixwright may."
        ) from error


def _write(path: Path, heading: Heading, sections: Mapping[str, Section], page: Page) -> None:
    folder, colours = path.parent, list(dict.fromkeys(page.shades.values()))
    with styled():
        prepared = {
            name: _shown(name, section, folder, page, colours) for name, section in sections.items()
        }
    text = (
        environment()
        .get_template("page.html.j2")
        .render(
            heading=heading,
            sections=prepared,
            shades=colours,
            place={key: colours.index(shade) for key, shade in page.shades.items()},
        )
    )
    write_whole(path, lambda file: file.write(text.encode()))


def _shown(
    name: str, section: Section, folder: Path, page: Page, colours: Sequence[Shade]
) -> dict[str, Any]:
    """A section for the template; draws its figures."""
    blocks = [_block(name, block, folder, page, colours) for block in section.blocks]
    return {
        "title": section.title,
        "protocol": section.protocol,
        "reading": section.reading,
        "blocks": [block for block in blocks if block is not None],
    }


def _block(
    name: str, block: Block, folder: Path, page: Page, colours: Sequence[Shade]
) -> tuple[str, Any] | None:
    """Kind and content of a block; None for a figure whose arrays and picture are gone."""
    if isinstance(block, Drawing):
        figure = _drawn(name, block, folder, page, colours)
        return None if figure is None else ("figure", figure)
    if isinstance(block, Cards):
        svgs = [
            to_svg(card.make(), colours, salt=f"{name} {card.key} {card.title}")
            for card in block.cards
        ]
        if block.sheet is not None:
            to_png(block.sheet.make(WIDE), _figure_file(folder, name, block.sheet.name))
        return "cards", {"cards": block, "svgs": svgs}
    if isinstance(block, Pictures):
        file = _figure_file(folder, name, block.name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(sheet([pictures for _, pictures in block.rows])))
    return type(block).__name__.lower(), block


def _figure_file(folder: Path, section: str, name: str) -> Path:
    """The PNG of a figure. A name may come from a record of others: it never leaves the folder."""
    return folder / "figures" / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', f'{section}-{name}')}.png"


def _drawn(
    name: str, drawing: Drawing, folder: Path, page: Page, colours: Sequence[Shade]
) -> _Figure | None:
    """Draw a figure for wide and narrow pages, and write it as PNG.

    Where the arrays that it needs were not stored, the PNG that was drawn when they were there is
    shown in both.
    """
    file = _figure_file(folder, name, drawing.name)
    if any(array not in page.arrays for array in drawing.needs):
        if not file.is_file() or not drawing.on_page:
            return None
        picture = _embedded(file.read_bytes())
        return _Figure(drawing.caption, pictures=(picture, picture))
    to_png(drawing.make(WIDE), file)
    if not drawing.on_page:
        return None
    if not drawing.vector:
        small = io.BytesIO()
        drawing.make(NARROW).savefig(small, dpi=200, facecolor=PAPER.light, transparent=False)
        pictures = _embedded(file.read_bytes()), _embedded(small.getvalue())
        return _Figure(drawing.caption, pictures=pictures)
    wide, narrow = (
        to_svg(drawing.make(width), colours, salt=f"{name}-{drawing.name}-{width}")
        for width in (WIDE, NARROW)
    )
    return _Figure(drawing.caption, svgs=(wide, narrow))


def _embedded(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
