"""What each method does: mixed images with their sources, masks and labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mixwright.lab.analysis.findings import Part
from mixwright.lab.experiments.samples import AllSamples, MethodSamples
from mixwright.lab.reports.gallery import gallery_figure, samples_of
from mixwright.lab.reports.section import Block, Drawing, Page, Section
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from mixwright.lab.reports.section import Samples


def write(part: Part, page: Page) -> dict[str, Section]:
    """Write samples of every method; none where nothing mixes."""
    found = decode(AllSamples, part.numbers, where="the samples").methods
    methods = [(method, _samples(method, page)) for method in found]
    drawn = [samples for _, samples in methods if samples.samples]
    # Why a method had no pictures is said; those whose pictures are gone are named together.
    shown = [samples for method, samples in methods if samples.samples or not method.samples]
    gone = [method for method, samples in methods if method.samples and not samples.samples]
    if not methods:
        return {}
    blocks: list[Block] = [replace(one, explained=one in drawn[:1]) for one in shown]
    if drawn:
        blocks.append(Drawing("all", "", lambda _: gallery_figure(drawn), on_page=False))
    reading = ""
    if gone:
        names = ", ".join(method.name for method in gone)
        reading = f"Pictures are not kept with this record: {names}. mixwright gallery draws such."
    title = "What each method does"
    return {"samples": Section(title=title, reading=reading, blocks=tuple(blocks))}


def _samples(method: MethodSamples, page: Page) -> Samples:
    place = f"samples/{method.method}/"
    arrays = {
        name.removeprefix(place): array
        for name, array in page.arrays.items()
        if name.startswith(place)
    }
    return samples_of(method, arrays)
