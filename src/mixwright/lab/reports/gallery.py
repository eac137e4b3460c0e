"""What methods do to images: a few samples of each, as pictures and label shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mixwright.lab.reports.palette import INK, LINE, SOURCES
from mixwright.lab.reports.samples import Sample, draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch.nn import Module

    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.methods import Method
    from mixwright.mixers import Mixer


_LEARNED = "Drawn by the mixer that the first of its runs has learned."
_OWN = "Drawn by its mixer alone; in training it may weigh the labels otherwise."


@dataclass(frozen=True)
class Exhibit:
    """The samples of one method.

    Args:
        text: its METHOD.
        label: its name for people.
        samples: none for no mixing, and where ``note`` says why.
        note: why there are no pictures, or what they do not show, or nothing.
    """

    text: str
    label: str
    samples: tuple[Sample, ...]
    note: str = ""


def choose_images(data: "Dataset", count: int) -> tuple[Tensor, Tensor]:
    """The first training images of ``count`` classes, of each class in turn.

    Args:
        data: where from.
        count: how many, at least 2.

    Returns:
        images ``(count, C, H, W)`` float32 in [0, 1] and labels ``(count,)``.
    """
    labels = data.train.labels
    rows: list[int] = []
    turn = 0
    while len(rows) < min(count, len(labels)):
        for label in range(data.num_classes):
            found = (labels == label).nonzero().flatten()
            if turn < len(found):
                rows.append(int(found[turn]))
        turn += 1
    chosen = torch.tensor(rows[:count])
    return data.train.take(chosen).float() / 255, labels[chosen]


def exhibit(
    method: "Method",
    images: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    *,
    count: int,
    seed: int,
    model: "Module | None" = None,
    mixer: "Mixer | None" = None,
) -> Exhibit:
    """Draw one plan of a method and show what it does.

    Args:
        method: what mixes.
        images: ``(B, C, H, W)`` float32 in [0, 1].
        labels: ``(B,)``.
        classes: their names.
        count: samples to show, the first of the batch.
        seed: of the draw, the same for every method.
        model: for the methods that look through one.
        mixer: what a run of the method has learned, to be drawn instead of the method's own.

    Returns:
        the exhibit; a method that cannot be drawn says why in its note.
    """
    note = _LEARNED if mixer is not None else ""
    mixer = method.mixer() if mixer is None else mixer
    if mixer is None:
        note = _nothing_to_draw(method)
        return Exhibit(method.text, method.label, (), note)
    try:
        samples = draw(mixer, images, labels, classes, seed=seed, model=model)[:count]
    except Exception as error:  # a picture must not cost hours of training their report
        return Exhibit(method.text, method.label, (), f"{type(error).__name__}: {error}")
    note = note or (_OWN if method.parts[0].learns else "")
    return Exhibit(method.text, method.label, tuple(samples), note)


def _nothing_to_draw(method: "Method") -> str:
    """Why a method has no pictures."""
    if not method.parts:
        return ""
    if getattr(method.parts[0].cls, "make_network", None) is not None:
        return "It has learned nothing yet; draw the mixer of a run, trained:run=PATH."
    return "What it does to images hangs on training; there is no plan to draw."


def png(image: Tensor, *, side: int = 96) -> bytes:
    """A small picture as PNG; larger ones are reduced to ``side`` pixels, smaller ones kept.

    Args:
        image: ``(C, H, W)`` in [0, 1], one or three channels (of others the first is shown).
        side: longest side, in pixels.

    Returns:
        the bytes of the file.
    """
    import io

    from PIL import Image

    picture = Image.fromarray(_bytes(image).numpy())
    picture.thumbnail((side, side))
    file = io.BytesIO()
    picture.save(file, format="PNG", optimize=True)
    return file.getvalue()


def gallery_figure(exhibits: Sequence[Exhibit]) -> "Figure":
    """All exhibits in one picture: own, partners, mask, mixed, labels; a method a row.

    Args:
        exhibits: those without samples are left out.

    Returns:
        the figure; draw it within ``figures.styled``.
    """
    from matplotlib.figure import Figure

    rows = [one for one in exhibits if one.samples]
    columns = max(len(one.samples) for one in rows)
    figure = Figure(figsize=(0.4 + 2.3 * columns, 0.35 + 1.05 * len(rows)))
    for r, one in enumerate(rows):
        top = 1 - (r + 1) / len(rows)
        high = 1 / len(rows)
        figure.text(0.008, top + 0.86 * high, one.label, fontsize=9, fontweight="bold", va="center")
        if one.note:
            figure.text(0.992, top + 0.86 * high, one.note, fontsize=6.5, ha="right", va="center")
        for c, sample in enumerate(one.samples):
            _place(figure, sample, left=0.008 + 0.992 * c / columns, bottom=top + 0.02 * high,
                   width=0.97 / columns, height=0.76 * high)  # fmt: skip
    return figure


def _place(
    figure: "Figure", sample: Sample, *, left: float, bottom: float, width: float, height: float
) -> None:
    each = width / 4.12
    columns = ((sample.own,), sample.partners, (sample.mask,), (sample.mixed,))
    for n, pictures in enumerate(columns):
        for m, picture in enumerate(pictures):  # several partners share one place
            wide = 0.95 * each / len(pictures)
            place = (left + n * each + m * wide, bottom + 0.26 * height, wide, 0.74 * height)
            axes = figure.add_axes(place)
            axes.imshow(_bytes(picture).numpy(), cmap="gray", interpolation="nearest")
            axes.set_anchor("S")
            axes.axis("off")
    axes = figure.add_axes((left, bottom + 0.14 * height, 3.95 * each, 0.09 * height))
    axes.axis("off")
    axes.set_xlim(0, 1)
    axes.barh(0, 1, color=LINE.light)
    start = 0.0
    for label in sample.labels:
        axes.barh(0, label.weight, left=start, color=SOURCES[label.source % len(SOURCES)])
        start += label.weight
    words = "  ".join(f"{label.name} {100 * label.weight:.0f} %" for label in sample.labels[:3])
    axes.text(0, -0.75, words, fontsize=6.5, va="top", color=INK.light)


def _bytes(image: Tensor) -> Tensor:
    if len(image) not in (1, 3):
        image = image[:1]
    flat = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    return flat[0] if len(flat) == 1 else flat.permute(1, 2, 0).contiguous()
