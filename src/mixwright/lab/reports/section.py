"""What a section of a page is made of; sections only format what the findings hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from mixwright.lab.reports.palette import Shade

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

    from mixwright.lab.analysis.findings import Findings, Group
    from mixwright.lab.experiments.samples import ClassShare

Shades = Mapping[str, Shade]
"""Colour of each group, by its key."""


class Cell(NamedTuple):
    """A cell of a table that stands out (``clear``), or is set as code, at the left."""

    text: str
    clear: bool = False
    code: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text; the first cell names the row.

    ``keys`` are of the rows' groups, for coloured dots; ``spans`` are heads above the heads, each
    with the number of columns that it spans; ``words`` are places of columns that hold words, which
    stand at the left, where numbers stand at the right.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str | Cell, ...], ...]
    caption: str = ""
    keys: tuple[str | None, ...] = ()
    spans: tuple[tuple[str, int], ...] = ()
    words: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Drawing:
    """A figure that is drawn at the width that is asked for.

    Args:
        name: of its file, letters, digits and dashes.
        caption: what is seen, in a sentence or two.
        make: from a width in inches (6.6 for wide pages, 3.7 for narrow ones) to the figure.
        vector: False for figures made of pixels (maps, heat maps), which go into the page as PNG.
        needs: arrays of the findings that ``make`` reads, by their full names; where one is
            missing the page takes the PNG that was stored, or leaves the figure out.
        on_page: False for one that is only a file beside the page.
    """

    name: str
    caption: str
    make: Callable[[float], Figure]
    vector: bool = True
    needs: tuple[str, ...] = ()
    on_page: bool = True


class Card(NamedTuple):
    """A small figure among others; the key is of its group, for its colour.

    What ``make`` returns holds until another card of the same block is made.
    """

    title: str
    key: str
    make: Callable[[], Figure]


@dataclass(frozen=True, eq=False)
class Cards:
    """Small figures side by side.

    ``key``, of a group, is for a dot before the title; ``legend`` has styles of lines, as
    ``templates/blocks.html.j2`` draws them; ``sheet`` is all of them in one file beside the page.
    """

    cards: tuple[Card, ...]
    title: str = ""
    key: str = ""
    legend: tuple[tuple[str, str], ...] = ()
    caption: str = ""
    sheet: Drawing | None = None


class Sample(NamedTuple):
    """One mixed image and how it came about; pictures are ``(C, H, W)`` uint8.

    Args:
        own: the sample itself; the heaviest source where it has no share.
        partners: the other sources with a share, the heaviest first.
        mask: whose pixel it is, in the colours of ``palette.SOURCES``.
        mixed: what the model sees.
        labels: shares of the classes, by source.
    """

    own: Tensor
    partners: tuple[Tensor, ...]
    mask: Tensor
    mixed: Tensor
    labels: tuple[ClassShare, ...]


@dataclass(frozen=True, eq=False)
class Samples:
    """Mixed images of one method; ``note`` says what pictures do not show, or why there are none.

    Where ``explained`` is set, the parts of a sample are explained before them.
    """

    title: str
    key: str
    samples: tuple[Sample, ...]
    note: str = ""
    explained: bool = False


@dataclass(frozen=True, eq=False)
class Pictures:
    """Rows of small pictures, ``(C, H, W)`` uint8, with the name of each row.

    ``name`` is of the file that shows them on one sheet.
    """

    rows: tuple[tuple[str, tuple[Tensor, ...]], ...]
    name: str
    caption: str = ""


@dataclass(frozen=True)
class Notes:
    """A list of sentences, each with a word before it that stands out, or an empty one."""

    sentences: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Command:
    """A command to copy, and the sentence before it."""

    sentence: str
    text: str


@dataclass(frozen=True)
class Logs:
    """Titles and texts of programs, such as the last lines of runs that failed."""

    texts: tuple[tuple[str, str], ...]


Block = Table | Drawing | Cards | Samples | Pictures | Notes | Command | Logs


@dataclass(frozen=True, eq=False)
class Section:
    """One part of the findings on the page.

    Args:
        title: its heading.
        protocol: what was done, in one sentence with all its numbers.
        reading: what can and what cannot be concluded from it, in a sentence or two; may be empty.
        blocks: tables, figures and pictures, in order.
    """

    title: str
    protocol: str = ""
    reading: str = ""
    blocks: tuple[Block, ...] = ()


@dataclass(frozen=True, eq=False)
class Page:
    """What sections know of the page that they are on.

    ``shades`` are by key of a group, ``arrays`` by ``part/group key/name``.
    """

    findings: Findings
    shades: Shades
    arrays: Mapping[str, Tensor]

    def array(self, part: str, group: Group, name: str) -> Tensor | None:
        """A map or picture of a group; None where it was not stored."""
        return self.arrays.get(f"{part}/{group.key}/{name}")
