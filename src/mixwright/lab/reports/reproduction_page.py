"""What stands around the sections of a published table made again."""

from __future__ import annotations

from mixwright.lab.reports.formatting import duration, listed, when
from mixwright.lab.reports.page import Heading
from mixwright.lab.reports.section import Page, Section
from mixwright.lab.reports.sections.published import read_outcome


def heading(page: Page) -> Heading:
    """Return title, summary and metadata; the title says the scale."""
    about = page.findings.about
    found = read_outcome(page.findings.parts["published"])
    scale = "" if found.scale == "paper" else f", {found.scale} scale"
    machine = ", ".join(
        str(about.machine[name]) for name in ("cpu", "device") if name in about.machine
    )
    return Heading(
        title=f"{found.item}{scale}",
        subtitle=f"{found.title} · {when(about.finished)}",
        summary=found.caution
        or "The protocol as published: the published numbers beside ours, and whether the interval "
        "of ours covers them.",
        metadata=(
            ("Paper", found.paper),
            ("Time", f"{duration(about.seconds)} of training and measuring"),
            *((("Machine", machine),) if machine else ()),
            ("Software", listed(about.versions)),
            ("Command", about.command),
        ),
        about="About",
    )


def closing(page: Page) -> dict[str, Section]:
    """Return nothing: all stands in the sections."""
    del page
    return {}
