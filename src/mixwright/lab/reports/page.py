"""The page of any findings: one HTML file that needs nothing beside itself, its figures as PNG."""

from __future__ import annotations

import base64
import io
import re
import traceback
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
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
from mixwright.lab.reports.figures import garbage_kept, styled, to_png, to_svg
from mixwright.lab.reports.palette import Shade, shades_of
from mixwright.lab.reports.pictures import png, sheet
from mixwright.lab.reports.record_values import MissingError, watched
from mixwright.lab.reports.section import Block, Cards, Drawing, Logs, Page, Pictures, Section
from mixwright.lab.settings import DecodeError

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


class SectionError(Exception):
    """A page is written, but for sections or figures that failed by faults of ours."""


def write_report(path: Path, out: Path | None = None) -> Path:
    """Write ``report.html`` beside a stored record, and every figure as PNG under ``figures``.

    ``path`` is the record or its folder, ``out`` another folder for the page. Where several records
    share a folder, or the record's file has a name of its own, the page has the record's name.
    Return its path.

    Raises:
        ValueError: there is no such record, or it is damaged.
        SectionError: the page is there, but for what it names.
    """
    record = find_record(path)
    folder = record.parent
    there = [name for name in NAMES.values() if (folder / name).is_file()]
    page = (out or folder) / ("report.html" if there == [record.name] else f"{record.stem}.html")
    arrays = read_arrays(arrays_beside(record)) or {}
    findings = read_findings(record)
    try:
        write_page(watched(findings), arrays, page, stored=folder / "figures")
    except _DAMAGE as error:
        raise damaged(record, error) from error
    return page


def write_page(findings: Findings, arrays: Arrays, path: Path, *, stored: Path) -> None:
    """Write the page of findings, and every figure as PNG under ``figures`` beside it.

    Where arrays are gone, figures are taken from the folder ``stored``.

    Raises:
        SectionError: the page is there, but for what it names.
    """
    page = Page(findings=findings, shades=shades_of(findings), arrays=arrays)
    kind = import_module(f"mixwright.lab.reports.{findings.kind}_page")
    writers = {name: writer_of(name) for name in findings.parts}
    faults = _Faults()
    sections: dict[str, Section] = {}
    for name, part in findings.parts.items():
        with faults.of(name) as fault:
            sections |= writers[name](part, page)
        if fault:
            sections[name] = Section(title=name, blocks=(fault[0],))
    with faults.of("the closing sections") as fault:
        sections |= kind.closing(page)
    if fault:
        sections["closing"] = Section(title="Closing sections", blocks=(fault[0],))
    heading = Heading(f"A {findings.kind}", "", "", (("Command", findings.about.command),), "About")
    with faults.of("the heading"):
        heading = kind.heading(page)
    _write(path, heading, sections, page, faults, stored)
    faults.tell(path)


_DAMAGE = (MissingError, DecodeError)
"""What reading a record raises that lacks a value, or has one of another type."""


class _Faults:
    """What failed on a page by faults of ours: the rest is written, since it took hours."""

    def __init__(self) -> None:
        self._found: dict[str, Exception] = {}

    @contextmanager
    def of(self, name: str) -> Generator[list[Logs]]:
        """Keep a fault of the lines within; the list that is given then holds what to show."""
        shown: list[Logs] = []
        try:
            yield shown
        except (*_DAMAGE, OSError, ModuleNotFoundError):  # of the record, the disk, what is there
            raise
        except Exception as error:
            self._found[name] = error
            words = f"{name} failed, by a fault of mixwright. Its numbers stand in the record."
            shown.append(Logs(((words, "".join(traceback.format_exception(error))),)))

    def tell(self, page: Path) -> None:
        """Raise the first fault, if there is one."""
        if self._found:
            names, first = ", ".join(self._found), next(iter(self._found.values()))
            raise SectionError(
                f"{page} is written, but for {names}, which failed by a fault of mixwright. The "
                "record is whole."
            ) from first


def writer_of(name: str) -> Callable[[Part, Page], dict[str, Section]]:
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


def _write(
    path: Path,
    heading: Heading,
    sections: Mapping[str, Section],
    page: Page,
    faults: _Faults,
    stored: Path,
) -> None:
    folder, colours = path.parent / "figures", list(dict.fromkeys(page.shades.values()))
    path.parent.mkdir(parents=True, exist_ok=True)
    prepared: dict[str, dict[str, Any]] = {}
    with styled(_names(page.findings)), garbage_kept() as collect:
        for name, section in sections.items():
            place = _Place(name, folder, stored, page, colours)
            prepared[name] = _shown(section, place, faults)
            collect()
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


def _names(findings: Findings) -> set[str]:
    """Text in figures that is not ours."""
    groups = [group for part in findings.parts.values() for group in part.groups]
    names = {name for group in groups for name in (group.label, group.name)}
    return names | set(findings.about.data.classes)


@dataclass(frozen=True, eq=False)
class _Place:
    """Where a section's figures go, and what they are drawn with.

    PNGs are written to ``folder``; those whose arrays are gone are taken from ``stored``.
    """

    section: str
    folder: Path
    stored: Path
    page: Page
    colours: Sequence[Shade]

    def file(self, name: str) -> Path:
        """The PNG of a figure. A name may come from a record of others: it stays in the folder."""
        return self.folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '-', f'{self.section}-{name}')}.png"


def _shown(section: Section, place: _Place, faults: _Faults) -> dict[str, Any]:
    """A section for the template; draws its figures."""
    blocks: list[tuple[str, Any] | None] = []
    for block in section.blocks:
        name = getattr(block, "name", "") or type(block).__name__.lower()
        with faults.of(f"{place.section}: {name}") as fault:
            blocks.append(_block(block, place))
        blocks += [("logs", logs) for logs in fault]
    return {
        "title": section.title,
        "protocol": section.protocol,
        "reading": section.reading,
        "blocks": [block for block in blocks if block is not None],
    }


def _block(block: Block, place: _Place) -> tuple[str, Any] | None:
    """Kind and content of a block; None for a figure whose arrays and picture are gone."""
    if isinstance(block, Drawing):
        figure = _drawn(block, place)
        return None if figure is None else ("figure", figure)
    if isinstance(block, Cards):
        svgs = [
            to_svg(card.make(), place.colours, salt=f"{place.section} {card.key} {card.title}")
            for card in block.cards
        ]
        if block.sheet is not None:
            to_png(block.sheet.make(WIDE), place.file(block.sheet.name))
        return "cards", {"cards": block, "svgs": svgs}
    if isinstance(block, Pictures):
        place.folder.mkdir(exist_ok=True)
        place.file(block.name).write_bytes(png(sheet([pictures for _, pictures in block.rows])))
    return type(block).__name__.lower(), block


def _drawn(drawing: Drawing, place: _Place) -> _Figure | None:
    """Draw a figure for wide and narrow pages, and write it as PNG.

    Where the arrays that it needs were not stored, the PNG that was drawn when they were there is
    shown in both.
    """
    file = place.file(drawing.name)
    if any(array not in place.page.arrays for array in drawing.needs):
        kept = place.stored / file.name
        if not kept.is_file() or not drawing.on_page:
            return None
        picture = _embedded(kept.read_bytes())
        return _Figure(drawing.caption, pictures=(picture, picture))
    made = drawing.make(WIDE)
    if not (drawing.vector and drawing.on_page):
        to_png(made, file)
        if not drawing.on_page:
            return None
        small = io.BytesIO()
        to_png(drawing.make(NARROW), small)
        pictures = _embedded(file.read_bytes()), _embedded(small.getvalue())
        return _Figure(drawing.caption, pictures=pictures)
    salt = f"{place.section}-{drawing.name}-"
    wide = to_svg(made, place.colours, salt=f"{salt}{WIDE}")
    to_png(made, file)
    narrow = to_svg(drawing.make(NARROW), place.colours, salt=f"{salt}{NARROW}")
    return _Figure(drawing.caption, svgs=(wide, narrow))


def _embedded(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
