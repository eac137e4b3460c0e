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
    methods = [_samples(method, page, explained=place == 0) for place, method in enumerate(found)]
    if not methods:
        return {}
    blocks: list[Block] = list(methods)
    drawn = [method for method in methods if method.samples]
    if drawn:
        blocks.append(Drawing("all", "", lambda _: gallery_figure(drawn), on_page=False))
    return {"samples": Section(title="What each method does", blocks=tuple(blocks))}


def _samples(method: MethodSamples, page: Page, *, explained: bool) -> Samples:
    place = f"samples/{method.method}/"
    arrays = {
        name.removeprefix(place): array
        for name, array in page.arrays.items()
        if name.startswith(place)
    }
    return replace(samples_of(method, arrays), explained=explained)
