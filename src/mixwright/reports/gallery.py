"""What methods do to images: plans drawn for a few samples, as pictures and label shares."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from mixwright.reports.palette import FAINT, INK, LINE, SOURCES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mixwright.data.sets import Dataset
    from mixwright.experiments.methods import Method
    from mixwright.mixers import Mixer


@dataclass(frozen=True)
class Label:
    """One class of a mixed label.

    Args:
        name: of the class.
        weight: its share.
        source: which of the sources it came from; decides the colour.
    """

    name: str
    weight: float
    source: int


@dataclass(frozen=True)
class Sample:
    """One mixed image and how it came about.

    Args:
        own: ``(C, H, W)`` float32 in [0, 1], the sample itself.
        partner: the other source with the largest weight; None where there is none.
        mask: ``(3, H, W)``, whose pixel it is, in the colours of ``palette.SOURCES``.
        mixed: ``(C, H, W)``.
        labels: shares of the classes, by source.
    """

    own: Tensor
    partner: Tensor | None
    mask: Tensor
    mixed: Tensor
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Exhibit:
    """The samples of one method.

    Args:
        text: its METHOD.
        label: its name for people.
        samples: none for no mixing, and where ``note`` says why.
        note: why there are no pictures, or nothing.
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
) -> Exhibit:
    """Draw one plan of a method and show what it does.

    Args:
        method: what mixes.
        images: ``(B, C, H, W)`` float32 in [0, 1].
        labels: ``(B,)``.
        classes: their names.
        count: samples to show, the first of the batch.
        seed: of the draw, the same for every method.

    Returns:
        the exhibit; a method that cannot be drawn from images alone says so in its note.
    """
    mixer = method.mixer()
    if mixer is None:
        note = "It mixes within training; there is no plan to draw." if method.parts else ""
        return Exhibit(method.text, method.label, (), note)
    try:
        samples = draw(mixer, images, labels, classes, seed=seed)[:count]
    except Exception as error:  # a picture must not cost hours of training their report
        return Exhibit(method.text, method.label, (), f"{type(error).__name__}: {error}")
    return Exhibit(method.text, method.label, tuple(samples))


def draw(
    mixer: "Mixer", images: Tensor, labels: Tensor, classes: Sequence[str], *, seed: int
) -> list[Sample]:
    """One plan for a batch, taken apart into samples.

    Args:
        mixer: any.
        images: ``(B, C, H, W)`` float32 in [0, 1].
        labels: ``(B,)``.
        classes: their names.
        seed: of the draw.

    Returns:
        B samples.
    """
    plan = mixer.plan(images, labels, generator=torch.Generator().manual_seed(seed))
    mixed = plan.images(images)
    masks = _full(plan.mask, images)
    painted = torch.einsum("bnhw,bnc->bchw", masks, _colours(plan.index))
    samples: list[Sample] = []
    for b in range(len(mixed)):
        index, weight = plan.index[b].tolist(), plan.weight[b].tolist()
        shares = [
            Label(classes[int(labels[i])], share, n)
            for n, (i, share) in enumerate(zip(index, weight, strict=True))
            if i >= 0 and share > 0.005
        ]
        others = [(share, i) for i, share in zip(index[1:], weight[1:], strict=True) if i >= 0]
        samples.append(
            Sample(
                own=images[index[0]],
                partner=images[max(others)[1]] if others else None,
                mask=painted[b],
                mixed=mixed[b].clamp(0, 1),
                labels=tuple(shares),
            )
        )
    return samples


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
    """All exhibits in one picture: own, partner, mask, mixed, labels; a method a row.

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
        for c, sample in enumerate(one.samples):
            _place(figure, sample, left=0.008 + 0.992 * c / columns, bottom=top + 0.02 * high,
                   width=0.97 / columns, height=0.76 * high)  # fmt: skip
    return figure


def write_figure(figure: "Figure", path: Path) -> None:
    """Write the picture; see ``figures.to_png``."""
    from mixwright.reports.figures import to_png

    to_png(figure, path)


def _place(
    figure: "Figure", sample: Sample, *, left: float, bottom: float, width: float, height: float
) -> None:
    pictures = [sample.own, sample.partner, sample.mask, sample.mixed]
    each = width / 4.12
    for n, picture in enumerate(pictures):
        if picture is None:
            continue
        axes = figure.add_axes(
            (left + n * each, bottom + 0.26 * height, 0.95 * each, 0.74 * height)
        )
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


def _full(mask: Tensor, images: Tensor) -> Tensor:
    """A mask on every pixel: shares are spread, block grids enlarged."""
    size = images.shape[-2:]
    if mask.shape[-2:] == size:
        return mask
    return F.interpolate(mask, size=size, mode="nearest")


def _colours(index: Tensor) -> Tensor:
    """``(B, N, 3)``: a colour for each source, grey for a fill, which is nobody's."""
    names = [SOURCES[n % len(SOURCES)] for n in range(index.shape[1])]
    known = torch.tensor([_rgb(name) for name in names])
    return torch.where(index[..., None] < 0, torch.tensor(_rgb(FAINT.light)), known)


def _rgb(name: str) -> list[float]:
    return [int(name[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def _bytes(image: Tensor) -> Tensor:
    if len(image) not in (1, 3):
        image = image[:1]
    flat = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    return flat[0] if len(flat) == 1 else flat.permute(1, 2, 0).contiguous()
