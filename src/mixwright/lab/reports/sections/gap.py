"""The generalisation gap: clean training images against test images."""

from __future__ import annotations

from collections.abc import Sequence

from mixwright.lab.reports.formatting import signed, spread
from mixwright.lab.reports.sections.section import Group, Section, Shades, Table


def gap(groups: Sequence[Group], shades: Shades) -> Section:
    """A row a group: accuracy and likelihood on both kinds of images, and their gaps.

    Args:
        groups: with findings of the part ``Gap``.
        shades: colour of each group.

    Returns:
        the section.
    """
    del shades  # a table alone
    first = groups[0].summaries[0]
    shown, of = first["train"]["images"], first["of"]
    which = f"all {of:,}" if shown == of else f"{shown:,} of the {of:,}"
    return Section(
        title="Generalisation gap",
        protocol=f"{which[0].upper()}{which[1:]} training images, neither cropped nor flipped nor "
        "mixed, against the test images; evaluation mode.",
        reading="A small gap is no merit by itself: a model that learned nothing has none.",
        tables=(
            Table(
                head=("", "train top-1, %", "test top-1, %", "gap, points", "train NLL",
                      "test NLL", "gap, nats"),
                rows=tuple(_row(group) for group in groups),
                keys=tuple(group.key for group in groups),
            ),
        ),
    )  # fmt: skip


def _row(group: Group) -> tuple[str, ...]:
    return (
        group.label,
        spread(group.interval(lambda found: found["train"]["top1"])),
        spread(group.interval(lambda found: found["test"]["top1"])),
        signed(group.interval(lambda found: found["top1_gap"])),
        spread(group.interval(lambda found: found["train"]["nll"]), digits=3, scale=1),
        spread(group.interval(lambda found: found["test"]["nll"]), digits=3, scale=1),
        spread(group.interval(lambda found: found["nll_gap"]), digits=3, scale=1),
    )
