"""The generalisation gap: clean training images against test images."""

from __future__ import annotations

from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.reports.formatting import signed, spread
from mixwright.lab.reports.section import Page, Section
from mixwright.lab.reports.sections.lines import group_table


def write(part: Part, page: Page) -> dict[str, Section]:
    """A row a group: accuracy and likelihood on both kinds of images, and their gaps."""
    first = part.groups[0].first
    count, of = first["train"]["images"], first["of"]
    which = f"all {of:,}" if count == of else f"{count:,} of the {of:,}"
    head = ("", "train top-1, %", "test top-1, %", "gap, points", "train NLL", "test NLL",
            "gap, nats")  # fmt: skip
    section = Section(
        title="Generalisation gap",
        protocol=f"{which[0].upper()}{which[1:]} training images, neither cropped nor flipped nor "
        "mixed, against the test images; evaluation mode.",
        reading="A small gap is no merit by itself: a model that learned nothing has none.",
        blocks=(group_table(head, part.groups, _cells),),
    )
    return {"gap": section}


def _cells(group: Group) -> tuple[str, ...]:
    found = group.intervals
    return (
        spread(found["train.top1"]),
        spread(found["test.top1"]),
        signed(found["top1_gap"]),
        spread(found["train.nll"], digits=3, scale=1),
        spread(found["test.nll"], digits=3, scale=1),
        spread(found["nll_gap"], digits=3, scale=1),
    )
