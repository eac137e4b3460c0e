"""The report of an evaluation: its sections, its headline numbers, and what they say in a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.statistics import holm, paired_t
from mixwright.lab.reports.formatting import NONE, joined, number, percent, spread
from mixwright.lab.reports.page import write_page
from mixwright.lab.reports.palette import Shade, method_shades
from mixwright.lab.reports.sections.pairing import common, families, weights_of
from mixwright.lab.reports.sections.section import Group, Section, Write
from mixwright.lab.reports.verdict import CLAIM

if TYPE_CHECKING:
    from mixwright.lab.experiments.evaluations.measuring import Measured

SECTIONS: dict[str, str] = {
    "accuracy": "accuracy:accuracy",
    "calibration": "calibration:calibration",
    "gap": "gap:gap",
    "corruption": "corruption:corruption",
    "attack": "attack:attack",
    "occlusion": "occlusion:occlusion",
    "cam": "cam:cam",
    "gradients": "gradients:gradients",
    "diversity": "diversity:diversity",
    "fidelity": "fidelity:fidelity",
    "probe": "probe:probe",
}
"""For each evaluation the function that writes its section."""


@dataclass(frozen=True)
class Headline:
    """One number of an evaluation that stands for it in the table of all.

    Args:
        part: the evaluation.
        head: of the column.
        read: the number in a summary.
        scale: 100 for shares shown in percent.
        digits: behind the point.
        better: 1 where more is better, -1 where less is.
    """

    part: str
    head: str
    read: Callable[[Mapping[str, Any]], float]
    scale: float = 100
    digits: int = 1
    better: int = 1


HEADLINES: tuple[Headline, ...] = (
    Headline("accuracy", "top-1 %", lambda found: found["top1"]),
    Headline("calibration", "ECE %", lambda found: _ece(found), better=-1),
    Headline("calibration", "NLL", lambda found: found["nll"], scale=1, digits=3, better=-1),
    Headline("gap", "gap points", lambda found: found["top1_gap"], better=-1),
    Headline("corruption", "corrupted %", lambda found: found["mean"]),
    Headline("attack", "FGSM %", lambda found: found["fgsm"]),
    Headline("attack", "PGD %", lambda found: found["pgd"]),
    Headline("occlusion", "occluded %", lambda found: found["auc"]),
    Headline("probe", "probe %", lambda found: found["top1"]),
)
"""Columns of the table of all, where their part was measured."""


def _ece(found: Mapping[str, Any]) -> float:
    return found["bins"][str(found["headline_bins"])]["ece"]


def groups_of(measured: Sequence[Measured]) -> dict[str, list[Group]]:
    """Findings by evaluation, the seeds of each method together.

    Args:
        measured: all findings; those without numbers are left out.

    Returns:
        name of the evaluation -> groups, in the order in which they came.
    """
    found: dict[str, dict[str, list[Measured]]] = {}
    for one in measured:
        if one.found is not None:
            by_group = found.setdefault(one.part.name, {})
            by_group.setdefault(one.candidate.group, []).append(one)
    return {
        part: [_group(key, members) for key, members in by_group.items()]
        for part, by_group in found.items()
    }


def _group(key: str, members: Sequence[Measured]) -> Group:
    first = members[0].candidate
    whole = [one.found for one in members if one.found is not None]
    return Group(
        key=key,
        label=first.label,
        seeds=tuple(one.candidate.seed for one in members),
        summaries=tuple(found.summary for found in whole),
        arrays=tuple(found.arrays for found in whole),
        baseline=first.baseline,
    )


def shades_of(groups: Mapping[str, Sequence[Group]]) -> dict[str, Shade]:
    """A colour for each method, the same for all its weights; the baseline is grey."""
    found = {group.key: group for many in groups.values() for group in many}
    methods = {key: key.removesuffix(f" {weights_of(group)}") for key, group in found.items()}
    baseline = next((methods[key] for key, group in found.items() if group.baseline), None)
    names = list(dict.fromkeys(methods.values()))
    if len(names) == 1:  # one method: its weights are what is told apart
        return method_shades(list(found), None)
    shades = method_shades(names, baseline)
    return {key: shades[method] for key, method in methods.items()}


def sections_of(
    groups: Mapping[str, Sequence[Group]], shades: Mapping[str, Shade]
) -> dict[str, Section]:
    """The section of each evaluation that found something."""
    return {
        name: _writer(name)(groups[name], shades) for name in SECTIONS if groups.get(name)
    } | _significance(groups, shades)


def _writer(name: str) -> Write:
    module, _, function = SECTIONS[name].partition(":")
    return getattr(import_module(f"mixwright.lab.reports.sections.{module}"), function)


def _significance(
    groups: Mapping[str, Sequence[Group]], shades: Mapping[str, Shade]
) -> dict[str, Section]:
    """What differs from the baseline: in accuracy, and over the types of corruption."""
    from mixwright.lab.reports.sections.over_types import over_types
    from mixwright.lab.reports.sections.significance import significance

    found: dict[str, Section] = {}
    for name, part, write in (
        ("significance", "accuracy", significance),
        ("types", "corruption", over_types),
    ):
        many = groups.get(part, ())
        if len(many) > 1 and any(group.baseline for group in many):
            section = write(many, shades)
            found |= {name: section} if section.tables else {}
    return found


def headline_table(
    groups: Mapping[str, Sequence[Group]],
) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The table of all: one row a group, one column a headline number.

    Returns:
        heads, and rows of text; the first cell names the group.
    """
    columns = [one for one in HEADLINES if groups.get(one.part)]
    labels = {group.key: group.label for many in groups.values() for group in many}
    rows: list[tuple[str, ...]] = []
    for key, label in labels.items():
        cells = [_cell(column, groups[column.part], key) for column in columns]
        rows.append((label, *cells))
    return ("", *(one.head for one in columns)), rows


def _cell(column: Headline, many: Sequence[Group], key: str) -> str:
    group = next((one for one in many if one.key == key), None)
    if group is None:
        return NONE
    return spread(group.interval(column.read), digits=column.digits, scale=column.scale)


def lede(groups: Mapping[str, Sequence[Group]]) -> str:
    """What the numbers say, in a sentence or two; differences only where an interval bears them."""
    accurate = groups.get("accuracy")
    if not accurate:
        return "Every section says what was done and what can be told from it."
    if len(accurate) == 1:
        summary = accurate[0].summaries[0]
        top1 = accurate[0].interval(lambda found: found["top1"])
        images = f"{summary['images']:,} test images"
        words = f"{accurate[0].label} is right on {percent(top1.mean)} % of {images}"
        robust = groups.get("corruption")
        if robust:
            mean = robust[0].interval(lambda found: found["mean"]).mean
            words += f", and on {percent(mean)} % of them when they are corrupted"
        return words + "."
    if not any(group.baseline for group in accurate):
        means = [group.interval(lambda found: found["top1"]).mean for group in accurate]
        return (
            f"{len(accurate)} sets of weights are right on {percent(min(means))} to "
            f"{percent(max(means))} % of the test images. None of them is a baseline, so their "
            "differences are not judged here."
        )
    return _against(groups)


def _against(groups: Mapping[str, Sequence[Group]]) -> str:
    """Where methods differ from their baseline, measure by measure, adjusted within each."""
    told = [said for column in HEADLINES if (said := _clear(column, groups.get(column.part, ())))]
    if not told:
        return (
            "Against no mixing, no difference can be told from chance at these seeds, in any "
            "measure of the table."
        )
    return (
        f"Against no mixing, differences with p_Holm below {CLAIM} within a measure: "
        + "; ".join(told)
        + ". Everything else cannot be told from chance at these seeds."
    )


def _clear(column: Headline, many: Sequence[Group]) -> str:
    """Methods that differ in one measure, like weights compared with like."""
    said: list[str] = []
    for family in families(many):
        rows = [(own, base, common(own, base)) for own, base in family]
        rows = [row for row in rows if len(row[2]) > 1]
        tests = [
            paired_t(
                [own.values(column.read)[a] for a, _ in places],
                [base.values(column.read)[b] for _, b in places],
            )
            for own, base, places in rows
        ]
        for (own, _, _), test, p in zip(rows, tests, holm([one.p for one in tests]), strict=True):
            if p < CLAIM:
                better = "better" if test.interval.mean * column.better > 0 else "worse"
                size = number(column.scale * test.interval.mean, column.digits)
                said.append(f"{own.label} {better} ({size})")
    return f"{column.head.removesuffix(' %')}: {joined(said)}" if said else ""


def write_evaluation_report(
    measured: Sequence[Measured], record: Mapping[str, Any], folder: Path
) -> Path:
    """Write the page of an evaluation, with its figures beside it.

    Args:
        measured: all findings.
        record: of the evaluation; see ``experiments.evaluations.record``.
        folder: of the evaluation.

    Returns:
        the path of the page.
    """
    groups = groups_of(measured)
    shades = shades_of(groups)
    labels = list({group.label: None for many in groups.values() for group in many})
    skipped = {
        f"{one.candidate.label}: {one.part.name}, because {one.reason}": None
        for one in measured
        if one.found is None
    }
    images, classes = record["test_images"], len(record["classes"])
    size = " x ".join(str(side) for side in record["shape"][1:])
    facts = [
        ("Models", ", ".join(labels)),
        ("Images", f"{images:,} test images of {record['data']}, {size} pixels, {classes} classes"),
        ("Origin", record["note"]),
        ("Seed", f"{record['seed']} of everything that is drawn, the same for all models"),
        ("Machine", _machine(record)),
        ("Command", record["command"]),
    ]
    finished = record["finished"].replace("T", " ").replace("+00:00", " UTC")
    return write_page(
        folder,
        title=labels[0] if len(labels) == 1 else f"{len(labels)} sets of weights, evaluated",
        lede=lede(groups),
        over=f"{record['data']} · {images:,} test images · {finished}",
        sections=sections_of(groups, shades),
        facts=facts,
        shades=shades,
        skipped=list(skipped),
    )


def _machine(record: Mapping[str, Any]) -> str:
    machine, versions = record["machine"], record["versions"]
    return (
        f"{machine['cpu']}, {machine['cores']} cores, device {machine['device']}; torch "
        f"{versions['torch']}, mixwright {versions['mixwright']}, commit {record['commit']}"
    )
