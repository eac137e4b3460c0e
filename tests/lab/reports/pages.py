"""Pages of findings that were made up: analysed, stored, and read back, as a page reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import matplotlib.pyplot as plt
import torch

from mixwright.lab.analysis.analyse import analyse
from mixwright.lab.analysis.findings import WEIGHTS, About, Dataset, Findings, Group
from mixwright.lab.analysis.store import arrays_beside, read_arrays, read_findings, write_findings
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.palette import shades_of
from mixwright.lab.reports.section import Drawing, Page, Section, Table

ABOUT = About(
    command="mixwright evaluate runs",
    finished="2026-11-21T02:40:00+00:00",
    seconds=3.0,
    machine={"device": "cpu", "cpu": "a processor", "cores": 2},
    commit="0123456789abcdef",
    versions={"mixwright": "0.1.0", "torch": "2.13.0"},
    data=Dataset(
        name="digits", note="Made.", classes=tuple("abcdef"), train=100, test=400, shape=(3, 32, 32)
    ),
)


def made_group(
    method: str,
    weights: str,
    summaries: Sequence[dict[str, Any]],
    arrays: Sequence[Mapping[str, torch.Tensor]] = (),
    *,
    seeds: Sequence[int | None] | None = None,
    baseline: bool = False,
) -> Group:
    """A group as ``evaluate`` makes it, one seed a summary."""
    return Group(
        key=f"{method} {weights}".strip(),
        name=method.title(),
        label=f"{method.title()}, {WEIGHTS[weights]}" if weights else method.title(),
        method=method,
        slug=method,
        weights=weights,
        baseline=baseline,
        seeds=tuple(range(len(summaries)) if seeds is None else seeds),
        summaries=tuple(summaries),
        arrays=tuple(arrays),
    )


def page_of(
    parts: Mapping[str, Sequence[Group]], *, pictures: Mapping[str, Sequence[str]] | None = None
) -> Page:
    """Analyse, store and read back."""
    found, arrays = analyse(parts, pictures=pictures)
    with TemporaryDirectory() as folder:
        findings = Findings(kind="evaluation", about=ABOUT, parts=found)
        path = write_findings(Path(folder), findings, arrays)
        stored = read_arrays(arrays_beside(path)) or {}
        findings = read_findings(path)
    return Page(findings=findings, shades=shades_of(findings), arrays=stored)


def sections_of(
    name: str, groups: Sequence[Group], *, pictures: Sequence[str] = ()
) -> dict[str, Section]:
    """The sections of a part, by their anchors."""
    page = page_of({name: groups}, pictures={name: pictures})
    module = import_module(f"mixwright.lab.reports.sections.{name.replace('-', '_')}")
    return module.write(page.findings.parts[name], page)


def tables(section: Section) -> list[Table]:
    """Tables of a section, each with a key a row and a cell a column."""
    found = [block for block in section.blocks if isinstance(block, Table)]
    for table in found:
        assert all(len(row) == len(table.head) for row in table.rows)
        assert len(table.keys) in (0, len(table.rows))
    return found


def cells(table: Table) -> dict[str, dict[str, str]]:
    """Row -> head -> cell."""
    return {str(row[0]): dict(zip(table.head, map(str, row), strict=True)) for row in table.rows}


def drawings(section: Section) -> dict[str, Drawing]:
    """Drawings of a section by name."""
    return {block.name: block for block in section.blocks if isinstance(block, Drawing)}


def drawn(section: Section) -> list[str]:
    """Draw all figures of a section at both widths; their names."""
    with styled():
        for drawing in drawings(section).values():
            for width in (6.6, 3.7):
                figure = drawing.make(width)
                figure.canvas.draw()
                assert figure.get_figwidth() == width
    assert not plt.get_fignums()  # nothing goes through matplotlib's global state
    return [*drawings(section)]
