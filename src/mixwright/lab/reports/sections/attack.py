"""What is left of the accuracy under attack: tables, and curves over sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixwright.arguments import counted
from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.reports.figures import WIDE, panels, percent_axis
from mixwright.lab.reports.section import Drawing, Page, Section, Shades, Table
from mixwright.lab.reports.sections.lines import (
    interval_line,
    legend,
    spread_table,
    with_differences,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_LOSSES = {
    "ce": "the cross-entropy",
    "margin": "the margin of the logits",
    "dlr": "the difference-of-logits ratio",
}


def write(part: Part, page: Page) -> dict[str, Section]:
    """Tables of all attacks that were run, and accuracies over sizes."""
    groups, first = part.groups, part.groups[0].first
    legacy = [group for group in groups if all(run["legacy"] for run in group.summaries)]
    strong = [group for group in groups if all(run["autoattack"] for run in group.summaries)]
    tables = [_table(groups)]
    tables += [_strong(strong)] if strong else []
    tables += [_legacy(legacy)] if legacy else []
    steps, restarts = first["steps"], first["restarts"]
    curves = Drawing(
        name="sizes",
        caption="Accuracy under attacks of growing size, in levels of 255; at 0 the images as they "
        "are. Left FGSM, right PGD; above one another on narrow pages.",
        make=lambda width: _curves(groups, page.shades, width),
    )
    section = Section(
        title="Attacks",
        protocol=(
            f"{first['count']:,} test images (classes in turn), attacked through the model itself "
            f"with their true labels; no pixel changes by more than {first['eps']:g}/255. FGSM: "
            f"one step. PGD-{steps}: {counted(steps, 'step')} of {first['alpha']:g}/255 from "
            f"{counted(restarts, 'random start')} (seed {first['seed']}, batches of "
            f"{first['batch_size']}), on {_LOSSES[first['loss']]}; robust where the model is right "
            "on the image as it is and after every start."
        ),
        reading=(
            "Robust accuracy and error add up to 100. A model that stands FGSM and falls to PGD is "
            "not robust: it bends its gradient away (mixing often does). PGD of few steps is an "
            "upper bound, too; what stays above 0 wants AutoAttack before it is believed."
            + (" ± is half the 95 % t interval over seeds." if part.several_seeds else "")
        ),
        blocks=(*tables, curves),
    )
    return {"attack": section}


def _table(groups: Sequence[Group]) -> Table:
    first = groups[0].first
    pgd = f"PGD-{first['steps']}"
    columns = {
        "clean": "clean",
        "FGSM": "fgsm",
        "FGSM error": "fgsm_error",
        pgd: "pgd",
        f"{pgd} error": "pgd_error",
        "fooled by PGD": "pgd_success",
        "no gradient": "no_gradient",
    }
    table = spread_table(
        columns,
        groups,
        caption=f"Percent of images, at {first['eps']:g}/255. Fooled: of those that were right "
        "before. No gradient: images on which nothing pulls, where an attack can do nothing.",
    )
    return with_differences(table, groups, "pgd", name=pgd)


def _strong(groups: Sequence[Group]) -> Table:
    found = groups[0].first["autoattack"]
    columns = {
        "AutoAttack": "autoattack.robust",
        "its error": "autoattack.error",
        "PGD, same images": "autoattack.pgd",
        "worst of all": "autoattack.worst",
    }
    return spread_table(
        columns,
        groups,
        caption="AutoAttack in its standard version on the first "
        f"{found['count']:,} of these images, percent of them.",
    )


def _legacy(groups: Sequence[Group]) -> Table:
    columns = {
        "as published": "legacy.legacy",
        "its clamp, no attack": "legacy.legacy-clamp-alone",
        "its step, no clamp": "legacy.legacy-without-clamp",
        "FGSM": "fgsm",
    }
    return spread_table(
        columns,
        groups,
        caption="What the published code of AdAutoMix measures as FGSM: it steps in normalised "
        "space, a quarter of the size in pixels, and cuts the normalised image off at 0 and 1, "
        "which alone destroys most of it. Accuracy in percent; not an attack, shown for comparison "
        "with published numbers.",
    )


def _curves(groups: Sequence[Group], shades: Shades, width: float) -> Figure:
    wide = width >= WIDE
    figure, both = panels(width, 2.5 if wide else 2.1, 2)
    steps = groups[0].first["steps"]
    for axes, name, title in zip(both, ("fgsm", "pgd"), ("FGSM", f"PGD-{steps}"), strict=True):
        for group in groups:
            sizes = group.first["curve"]["eps"]
            paths = ["clean", *(f"curve.{name}.{place}" for place in range(len(sizes)))]
            intervals = [group.intervals[path] for path in paths]
            colour = shades[group.key].light
            interval_line(axes, [0, *sizes], intervals, colour, marker="o", ms=3.5)
        axes.set_title(title, loc="left", fontsize=9.5)
        axes.set_xlabel("largest change of a pixel, levels of 255")
        axes.set_xticks([0, *groups[0].first["curve"]["eps"]])
        axes.grid(axis="y")
        axes.set_ylim(bottom=-2)
        percent_axis(axes, "y")
    both[0].set_ylabel("accuracy, %")
    if not wide:
        both[1].set_ylabel("accuracy, %")
    legend(figure, groups, shades, wide=wide)
    return figure
