"""What stands around the sections of an evaluation: heading, and what was not measured."""

from __future__ import annotations

from dataclasses import dataclass

from mixwright.lab.analysis.families import families
from mixwright.lab.analysis.findings import Findings, Group, Part
from mixwright.lab.reports.formatting import (
    NONE,
    joined,
    listed,
    number,
    percent,
    points,
    spread,
    when,
)
from mixwright.lab.reports.page import Heading
from mixwright.lab.reports.section import Notes, Page, Section
from mixwright.lab.reports.verdict import of_weights, stands


@dataclass(frozen=True)
class Headline:
    """One number of an evaluation that stands for it in the table of all.

    Attributes:
        part: the evaluation.
        head: of the column.
        path: of the number in a summary; words in braces are taken from the summary.
        scale: 100 for shares shown in percent.
        digits: behind the point.
        better: 1 where more is better, -1 where less is.
    """

    part: str
    head: str
    path: str
    scale: float = 100
    digits: int = 1
    better: int = 1

    def of(self, group: Group) -> str:
        """The path of the number for a group."""
        return self.path.format_map(group.first)


HEADLINES: tuple[Headline, ...] = (
    Headline("accuracy", "top-1 %", "top1"),
    Headline("calibration", "ECE %", "bins.{headline_bins}.ece", better=-1),
    Headline("calibration", "NLL", "nll", scale=1, digits=3, better=-1),
    Headline("gap", "gap points", "top1_gap", better=-1),
    Headline("corruption", "corrupted %", "mean"),
    Headline("attack", "FGSM %", "fgsm"),
    Headline("attack", "PGD %", "pgd"),
    Headline("occlusion", "occluded %", "auc"),
    Headline("probe", "probe %", "top1"),
)
"""Columns of the table of all, where their part was measured."""


def headline_table(findings: Findings) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return heads and rows of the table of all: one row a group, one column a headline number."""
    columns = [column for column in HEADLINES if column.part in findings.parts]
    labels = {group.key: group.label for part in findings.parts.values() for group in part.groups}
    rows = [
        (label, *(_cell(column, findings.parts[column.part], key) for column in columns))
        for key, label in labels.items()
    ]
    return ("", *(column.head for column in columns)), rows


def _cell(column: Headline, part: Part, key: str) -> str:
    group = part.group(key)
    interval = None if group is None else group.intervals.get(column.of(group))
    if interval is None:
        return NONE
    return spread(interval, digits=column.digits, scale=column.scale)


def heading(page: Page) -> Heading:
    """Return title, summary and metadata of an evaluation."""
    findings = page.findings
    about = findings.about
    data = about.data
    labels = list({group.label: None for part in findings.parts.values() for group in part.groups})
    size = " x ".join(str(side) for side in data.shape[1:])
    on = about.machine
    machine = f"{on.get('cpu')}, {on.get('cores')} cores, device {on.get('device')}"
    return Heading(
        title=labels[0] if len(labels) == 1 else f"{len(labels)} sets of weights, evaluated",
        subtitle=f"{data.name} · {data.test:,} test images · {when(about.finished)}",
        summary=summary(findings),
        metadata=(
            ("Models", ", ".join(labels)),
            (
                "Images",
                f"{data.test:,} test images of {data.name}, {size} pixels, {len(data.classes)} "
                "classes",
            ),
            ("Origin", data.note),
            (
                "Seed",
                f"{about.details.get('seed')} of everything that is drawn, the same for all models",
            ),
            ("Machine", f"{machine}; {listed(about.versions)}"),
            ("Command", about.command),
        ),
        about="What was measured",
    )


def closing(page: Page) -> dict[str, Section]:
    """Return what was asked for and not measured; nothing where all was."""
    skipped = page.findings.about.skipped
    if not skipped:
        return {}
    notes = Notes(tuple(("", sentence) for sentence in skipped))
    return {"skipped": Section(title="What was not measured", blocks=(notes,))}


def summary(findings: Findings) -> str:
    """Return what the numbers say; differences only where an adjusted p-value bears them."""
    accuracy = findings.parts.get("accuracy")
    if accuracy is None or not accuracy.groups:
        return "Every section says what was done and what can be told from it."
    groups = accuracy.groups
    if len(groups) == 1:
        images = f"{groups[0].first['images']:,} test images"
        top1 = percent(groups[0].intervals["top1"].mean)
        words = f"{groups[0].label} is right on {top1} % of {images}"
        robust = findings.parts.get("corruption")
        if robust is not None and robust.groups:
            mean = percent(robust.groups[0].intervals["mean"].mean)
            words += f", and on {mean} % of them when they are corrupted"
        return words + "."
    if not any(group.baseline for group in groups):
        means = [group.intervals["top1"].mean for group in groups]
        return (
            f"{len(groups)} sets of weights are right on {percent(min(means))} to "
            f"{percent(max(means))} % of the test images. None of them is a baseline, so their "
            "differences are not judged here."
        )
    return _against_baseline(findings)


def _against_baseline(findings: Findings) -> str:
    """How far accuracy is from that of the baseline, and what else differs beyond chance."""
    groups = findings.parts["accuracy"].groups
    first = next((group.weights for group in groups if group.differences), "")
    text = [of_weights(groups, first)]
    claims = [
        claim
        for column in HEADLINES
        if column.part in findings.parts
        and column.part != "accuracy"
        and (claim := _claims(column, findings))
    ]
    if claims:
        text.append(f"Beyond chance, measure by measure: {'; '.join(claims)}.")
    elif len(findings.parts) > 1 and any(len(group.seeds) > 1 for group in groups):
        text.append("In no measure of the table is a difference beyond chance at these seeds.")
    return " ".join(sentence for sentence in text if sentence)


def _claims(column: Headline, findings: Findings) -> str:
    """Methods that differ in one measure, like weights compared with like.

    A model that knows less can be better calibrated: calibration has accuracy beside it.
    """
    named: list[str] = []
    for family in families(findings.parts[column.part].groups):
        for own, _ in family:
            found = own.differences.get(column.of(own))
            if found is not None and stands(found):
                better = "better" if found.interval.mean * column.better > 0 else "worse"
                size = number(column.scale * found.interval.mean, column.digits)
                top1 = _top1(own, findings) if column.part == "calibration" else ""
                named.append(f"{own.label} {better} ({size}{top1})")
    return f"{column.head.removesuffix(' %')}: {joined(named)}" if named else ""


def _top1(own: Group, findings: Findings) -> str:
    group = findings.parts["accuracy"].group(own.key)
    found = None if group is None else group.differences.get("top1")
    return "" if found is None else f" at {points(found.interval.mean, 1)} points of top-1"
