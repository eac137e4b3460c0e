"""Samples of methods on a page whose pictures were not kept."""

from __future__ import annotations

from pathlib import Path

from lab.reports.fabricated import fabricate, page_of
from mixwright.lab.reports.section import Page, Samples
from mixwright.lab.reports.sections.samples import write


def test_methods_whose_pictures_are_gone_are_named_alone(tmp_path: Path) -> None:
    page = page_of(fabricate(tmp_path, methods=("none", "mixup", "cutmix"), seeds=2))
    part = page.findings.parts["samples"]
    (section,) = write(part, page).values()
    assert [block.title for block in section.blocks if isinstance(block, Samples)] == [
        "MixUp", "CutMix",
    ]  # fmt: skip
    assert section.reading == ""
    kept = {name: array for name, array in page.arrays.items() if "/mixup/" not in name}
    (section,) = write(part, Page(page.findings, page.shades, kept)).values()
    (shown,) = (block for block in section.blocks if isinstance(block, Samples))
    assert (shown.title, shown.explained) == ("CutMix", True)
    assert section.reading.startswith("Pictures are not kept with this record: MixUp.")
    (section,) = write(part, Page(page.findings, page.shades, {})).values()
    assert section.blocks == ()
    assert "record: MixUp, CutMix." in section.reading
