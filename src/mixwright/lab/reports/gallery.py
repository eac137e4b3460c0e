"""What methods do to images: a few samples of each, on a page and in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.files import write_whole
from mixwright.lab.experiments.samples import MethodSamples
from mixwright.lab.reports import figure_text
from mixwright.lab.reports.environment import environment
from mixwright.lab.reports.figures import styled, to_png
from mixwright.lab.reports.formatting import percent
from mixwright.lab.reports.palette import INK, LINE, SOURCES
from mixwright.lab.reports.pictures import displayed, paint
from mixwright.lab.reports.plain_text import beside
from mixwright.lab.reports.section import Sample, Samples

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

_BAR = 0.045, 0.91
"""Where the bar of the labels begins in its place, and how much of it it takes."""


def samples_of(found: MethodSamples, arrays: Mapping[str, Tensor]) -> Samples:
    """Return the samples of a method as a page shows them; those without pictures are left out."""
    samples = [
        Sample(
            own=arrays[f"{row}/own"],
            partners=tuple(arrays[f"{row}/partners"]),
            mask=paint(arrays[f"{row}/mask"], sample.fills),
            mixed=arrays[f"{row}/mixed"],
            labels=sample.labels,
        )
        for row, sample in enumerate(found.samples)
        if f"{row}/own" in arrays
    ]
    return Samples(title=found.name, key=found.method, samples=tuple(samples), note=found.note)


def write_gallery(found: Sequence[Samples], folder: Path, *, title: str, note: str) -> Path:
    """Write ``gallery.html`` and ``gallery.png``; return the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    with styled(names_in(found)):
        to_png(gallery_figure(found), folder / "gallery.png")
    template = environment().get_template("gallery.html.j2")
    path = folder / "gallery.html"
    page = template.render(samples=found, title=title, note=note, shades=[])
    write_whole(path, lambda file: file.write(page.encode()))
    return path


def names_in(found: Sequence[Samples]) -> set[str]:
    """Return the text of a picture of these samples."""
    classes = {label.name for method in found for one in method.samples for label in one.labels}
    return classes | {text for method in found for text in (method.title, method.note)}


def gallery_figure(found: Sequence[Samples]) -> Figure:
    """Draw all samples in one picture: own, partners, mask, mixed, labels; a method a row."""
    from matplotlib.figure import Figure

    rows = [method for method in found if method.samples]
    columns = max(len(method.samples) for method in rows)
    figure = Figure(figsize=(0.4 + 2.3 * columns, 0.35 + 1.05 * len(rows)))
    # One pair of axes for all pictures: to make a pair for each would take most of the time.
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(0, 1), autoscale_on=False)
    axes.axis("off")
    high = 1 / len(rows)
    for r, method in enumerate(rows):
        top = 1 - (r + 1) * high
        title = figure_text.label(method.title, 20 * columns)
        figure.text(
            0.008,
            top + 0.86 * high,
            title,
            fontsize=9,
            fontweight="bold",
            va="center",
        )
        if method.note:
            figure.text(
                0.992,
                top + 0.86 * high,
                figure_text.label(method.note, max(16, int(44 * columns - 1.7 * len(title)))),
                fontsize=6.5,
                ha="right",
                va="center",
            )
        for c, sample in enumerate(method.samples):
            _draw(axes, sample, left=0.008 + 0.992 * c / columns, bottom=top + 0.02 * high,
                  width=0.97 / columns, height=0.76 * high)  # fmt: skip
    return figure


def _draw(
    axes: Axes, sample: Sample, *, left: float, bottom: float, width: float, height: float
) -> None:
    from matplotlib.patches import Rectangle

    each = width / 4.12
    columns = ((sample.own,), sample.partners, (sample.mask,), (sample.mixed,))
    for n, pictures in enumerate(columns):
        for m, picture in enumerate(pictures):  # several partners share one place
            wide = 0.95 * each / len(pictures)
            place = (left + n * each + m * wide, bottom + 0.26 * height, wide, 0.74 * height)
            _show(axes, displayed(picture).numpy(), place)
    # A bar of the labels' shares.
    low, high, length = bottom + 0.14 * height, 0.09 * height, 3.95 * each
    spans = [(0.0, 1.0, LINE.light)]
    start = 0.0
    for label in sample.labels:
        spans.append((start, label.weight, SOURCES[label.source % len(SOURCES)]))
        start += label.weight
    for start, share, colour in spans:
        corner = (left + start * length, low + _BAR[0] * high)
        axes.add_patch(Rectangle(corner, share * length, _BAR[1] * high, color=colour, lw=0))
    shares = sample.labels[:3]
    room = max(11, 36 // max(1, len(shares)) - 4)  # letters of a name, below four pictures
    words = "  ".join(
        beside(figure_text.label(label.name, room), f"{percent(label.weight, 0)} %")
        for label in shares
    )
    axes.text(left, low - 0.35 * high, words, fontsize=6.5, va="top", color=INK.light)


def _show(axes: Axes, picture: Any, place: tuple[float, float, float, float]) -> None:
    """Show a picture as large as its place allows, at the bottom of it, in the middle."""
    from matplotlib.image import AxesImage

    left, bottom, width, height = place
    across, up = axes.get_window_extent().size  # the axes are the figure's
    scale = min(width * across / picture.shape[1], height * up / picture.shape[0])
    wide, high = scale * picture.shape[1] / across, scale * picture.shape[0] / up
    left += (width - wide) / 2
    image = AxesImage(
        axes,
        cmap="gray",
        interpolation="nearest",
        origin="upper",
        extent=(left, left + wide, bottom, bottom + high),
    )
    image.set_data(picture)
    axes.add_image(image)
