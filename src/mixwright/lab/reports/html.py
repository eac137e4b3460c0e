"""The report: one HTML file that needs nothing beside itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.lab.experiments.probe_model import looks_through_model
from mixwright.lab.reports import figures, tables
from mixwright.lab.reports.caveats import caveats
from mixwright.lab.reports.curves import Curves, read_curves
from mixwright.lab.reports.environment import environment
from mixwright.lab.reports.formatting import p_equals
from mixwright.lab.reports.gallery import (
    Exhibit,
    choose_images,
    exhibit,
    gallery_figure,
    png,
)
from mixwright.lab.reports.masks import MaskRow, mask_rows, mask_sheet
from mixwright.lab.reports.page import shown_section
from mixwright.lab.reports.palette import Shade, method_shades
from mixwright.lab.reports.ranks_figure import ranking_figure
from mixwright.lab.reports.sections.cost import cost
from mixwright.lab.reports.sections.sweep import sweep
from mixwright.lab.reports.verdict import verdict
from mixwright.lab.reports.warnings import alarm_rows

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

    from mixwright.lab.analysis.comparison import Comparison, MethodRecord
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.methods import Method
    from mixwright.mixers import Mixer

SHOWN = 5
"""Samples of each method in the report."""


@dataclass(frozen=True)
class _Card:
    label: str
    text: str
    svg: str


@dataclass(frozen=True)
class _Seen:
    label: str
    text: str
    cards: list[_Card]
    masks: list[MaskRow]


def write_report(record: "Comparison", folder: Path, *, data: "Dataset") -> Path:
    """Write ``report.html`` and the figures as PNG files beside it.

    Args:
        record: of the comparison.
        folder: of the comparison; its run folders hold the curves.
        data: for the sample pictures.

    Returns:
        the path of the report.
    """
    images, labels = choose_images(data, 8)
    exhibits = [
        _exhibit(method, record, folder, data, images, labels)
        for method in record.methods
        if method.text != record.baseline
    ]
    page = render_report(record, folder, exhibits)
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _exhibit(
    method: "MethodRecord",
    record: "Comparison",
    folder: Path,
    data: "Dataset",
    images: "Tensor",
    labels: "Tensor",
) -> Exhibit:
    """Samples of a method, drawn with a model of one of its runs where it looks through one."""
    from mixwright.lab.experiments.methods import parse_method

    known = parse_method(method.text, file=folder)
    mixer = _learned(folder / method.runs[0].folder, known)
    if mixer is not None:
        return exhibit(known, images, labels, data.classes, count=SHOWN, seed=0, mixer=mixer)
    model = None
    if looks_through_model(known):
        others = [other for other in record.methods if other.text != method.text]
        runs = [run.folder for one in (method, *others) for run in one.runs]
        model = _model([folder / run for run in runs], data)
        if model is None:
            note = (
                "It looks through a model, and no run folder has one that can be read: no pictures."
            )
            return Exhibit(known.text, known.label, (), note)
    return exhibit(known, images, labels, data.classes, count=SHOWN, seed=0, model=model)


def _learned(run: Path, method: "Method") -> "Mixer | None":
    """The mixer that a run has learned, if its method learns one."""
    from mixwright.lab.experiments.trained import learns_mixer
    from mixwright.mixers.mixer_file import load_mixer

    if not method.parts or not learns_mixer(method.parts[0].cls):
        return None
    try:
        return load_mixer(run)
    except ValueError:  # a checkpoint that was removed: the method is shown without pictures
        return None


def _model(runs: Sequence[Path], data: "Dataset") -> "Module | None":
    """The trained model of the first run folder that has one."""
    from mixwright.lab.experiments.saved import load_saved

    for run in runs:
        try:
            return load_saved(run, image_size=data.image_size, channels=data.channels).raw
        except ValueError:  # a checkpoint that was removed or does not fit: the next one
            continue
    return None


def render_report(record: "Comparison", folder: Path, exhibits: Sequence[Exhibit]) -> str:
    """The page as text; figures go to ``folder/figures``.

    Args:
        record: of the comparison.
        folder: of the comparison.
        exhibits: sample pictures by method.

    Returns:
        HTML without any address outside itself.
    """
    shades = method_shades([method.text for method in record.methods], record.baseline)
    with figures.styled():
        drawn = _draw(record, folder, shades)
        if any(one.samples for one in exhibits):
            figures.to_png(gallery_figure(exhibits), folder / "figures" / "samples.png")
        sections = {"cost": cost(record, shades), "sweep": sweep(record, shades)}
        shown = [shown_section(n, one, folder, shades) for n, one in sections.items() if one]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            record=record,
            rows=tables.headline(record),
            verdict=verdict(record),
            runs=tables.run_rows(record),
            facts=tables.facts(record),
            caveats=caveats(record),
            alarms=alarm_rows(record),
            teachers=tables.has_teachers(record),
            ranks_p=p_equals(record.ranking.p) if record.ranking else "",
            exhibits=exhibits,
            sections=shown,
            shades=list(shades.values()),
            place={text: n for n, text in enumerate(shades)},
            **drawn,
        )
    )


def write_gallery(exhibits: Sequence[Exhibit], folder: Path, *, title: str, note: str) -> Path:
    """Write ``gallery.html`` and ``gallery.png``.

    Args:
        exhibits: what to show.
        folder: where; it is made.
        title: heading of the page.
        note: about the data, below it.

    Returns:
        the path of the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with figures.styled():
        figures.to_png(gallery_figure(exhibits), folder / "gallery.png")
    page = (
        environment()
        .get_template("gallery.html.j2")
        .render(exhibits=exhibits, title=title, note=note, shades=[])
    )
    path = folder / "gallery.html"
    path.write_text(page, encoding="utf-8")
    return path


def _draw(record: "Comparison", folder: Path, shades: dict[str, Shade]) -> dict[str, Any]:
    """All figures, as SVG for the page and as PNG beside it."""
    wide, narrow = 6.6, 3.7
    differs = any(method.difference_raw for method in record.methods)
    kinds = {"accuracy": figures.accuracy_figure}
    kinds |= {"difference": figures.difference_figure} if differs else {}
    kinds |= {"ranks": ranking_figure} if record.ranking else {}
    svgs: dict[str, Any] = {"difference": None, "ranks": None}
    for name, make in kinds.items():
        figures.to_png(make(record, shades, width=wide), folder / "figures" / f"{name}.png")
        svgs[name] = [
            figures.to_svg(make(record, shades, width=width), shades, salt=f"{name}{width}")
            for width in (wide, narrow)
        ]
    by_method = {method.text: read_curves(method, folder) for method in record.methods}
    return svgs | {
        "curves": _curves(record, folder, shades, by_method),
        "seen": _seen(record, folder, shades, by_method),
    }


def _seen(
    record: "Comparison", folder: Path, shades: dict[str, Shade], by_method: dict[str, Curves]
) -> list[_Seen]:
    """What objectives showed beside their losses: a small plot a number, and learned masks."""
    shown: list[_Seen] = []
    for method in record.methods:
        cards: list[_Card] = []
        for name, curve in by_method[method.text].seen.items():
            figure = figures.seen_figure(curve, shades[method.text])
            svg = figures.to_svg(figure, shades, salt=f"seen {method.text} {name}")
            cards.append(_Card(name, method.text, svg))
        masks = mask_rows(folder / method.runs[0].folder)
        if masks:
            path = folder / "figures" / f"masks-{method.slug}.png"
            path.write_bytes(png(mask_sheet(masks)))
        if cards or masks:
            shown.append(_Seen(method.label, method.text, cards, masks))
    return shown


def _curves(
    record: "Comparison", folder: Path, shades: dict[str, Shade], by_method: dict[str, Curves]
) -> list[_Card]:
    if not any(one.raw.epochs for one in by_method.values()):
        return []
    base = by_method.get(record.baseline or "")
    floor = figures.lowest(list(by_method.values()))
    panels = [(m.label, by_method[m.text], shades[m.text]) for m in record.methods]
    whole = figures.all_curves_figure(panels, base, floor=floor)
    figures.to_png(whole, folder / "figures" / "curves.png")
    cards: list[_Card] = []
    for method in record.methods:
        own = by_method[method.text]
        figure = figures.curve_figure(
            own, None if own is base else base, shades[method.text], floor=floor
        )
        svg = figures.to_svg(figure, shades, salt=f"curve {method.text}")
        cards.append(_Card(method.label, method.text, svg))
    return cards
