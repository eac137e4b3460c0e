"""What stands around the sections of a theory run: heading, and what was not measured."""

from __future__ import annotations

from mixwright.lab.analysis.findings import Findings, Group
from mixwright.lab.reports.evaluation_page import closing as closing
from mixwright.lab.reports.formatting import duration, listed
from mixwright.lab.reports.page import Heading
from mixwright.lab.reports.section import Page


def heading(page: Page) -> Heading:
    """Return title, summary and metadata of a theory run."""
    findings = page.findings
    about = findings.about
    keys = {group.key for part in findings.parts.values() for group in part.groups}
    height, width = about.data.shape[1:]
    on = about.machine
    machine = (
        f"{on.get('cpu')}, {on.get('cores')} cores, {on.get('threads')} threads, Python "
        f"{on.get('python')}, device {on.get('device')}"
    )
    model = about.details.get("model")
    return Heading(
        title="What masks do to gradients",
        subtitle=f"{about.finished.replace('T', ' ')[:16]} UTC, {duration(about.seconds)}, "
        f"{len(keys)} {'method' if len(keys) == 1 else 'methods'}",
        summary=_summary(findings),
        metadata=(
            ("Data", f"{about.data.name}: {about.data.train:,} training images. {about.data.note}"),
            *([("Model", str(model))] if model else []),
            ("Images", f"{height} x {width} pixels"),
            ("Machine", machine),
            ("Software", listed(about.versions)),
            ("Command", about.command),
        ),
        about="What was measured",
    )


def _summary(findings: Findings) -> str:
    groups = next(
        (part.groups for name, part in findings.parts.items() if name.startswith("moments")), ()
    )
    if len(groups) < 2:
        return "How strongly mixing ties the gradients of each two pixels."

    def peak(group: Group) -> float:
        return float(group.first["near"]) - float(group.first["far"])

    flat, steep = min(groups, key=peak), max(groups, key=peak)
    return (
        "Up to second order, mixing weighs each product of input gradients by a coefficient of the "
        f"two pixels: {steep.label} weighs near pixels most against far ones, {flat.label} least."
    )
