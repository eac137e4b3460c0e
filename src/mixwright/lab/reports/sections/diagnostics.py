"""What learned mixers did: numbers that methods show about themselves, and masks over epochs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mixwright.lab.analysis.curves import AllCurves, Curve
from mixwright.lab.analysis.findings import Part
from mixwright.lab.experiments.pictures import MaskHistories, MaskHistory
from mixwright.lab.reports.figures import WIDE, canvas
from mixwright.lab.reports.palette import Shade
from mixwright.lab.reports.pictures import paint
from mixwright.lab.reports.section import Block, Card, Cards, Drawing, Page, Pictures, Section
from mixwright.lab.reports.sections.picture_rows import colours, picture_rows
from mixwright.lab.reports.sections.scores import methods_of
from mixwright.lab.settings import decode

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(part: Part, page: Page) -> dict[str, Section]:
    """Write diagnostics and masks of the methods that have any; none without any."""
    histories = decode(MaskHistories, part.numbers, where="the masks").methods
    curves = decode(AllCurves, page.findings.parts["curves"].numbers, where="the curves").methods
    by_method = {history.method: history for history in histories}
    blocks: list[Block] = []
    for method, groups in methods_of(page.findings.parts["scores"]).items():
        shade, diagnostics = page.shades[method], curves[method].diagnostics
        cards = tuple(
            Card(name, method, lambda curve=curve, shade=shade: diagnostic_figure(curve, shade))
            for name, curve in diagnostics.items()
        )
        rows = _rows(by_method[method], page) if method in by_method else ()
        if cards or rows:
            blocks.append(Cards(cards=cards, title=groups["raw"].name, key=method))
        if rows:
            blocks.append(
                Pictures(
                    rows=rows,
                    name=groups["raw"].slug,
                    caption="Masks of the same test images over the epochs of the first run: the "
                    "colour says whose pixel it is, the mixture of colours in which shares.",
                )
            )
    if not blocks:
        return {}
    several = [history for history in histories if _kept(history, page) is not None]
    if len(several) > 1:
        blocks.append(
            Drawing(
                "masks",
                "One mixture of each method: its first image, its masks after some epochs in the "
                "colours of above, and what the last of them makes of it.",
                lambda width: _beside(several, page, width),
                vector=False,
            )
        )
    return {
        "diagnostics": Section(
            title="What the mixer did",
            reading="Numbers that a method shows about itself while it trains, each in its own "
            "unit: mean over the images of an epoch, with the range of seeds. Of masks: spread is "
            "how much a mask varies over an image (standard deviation; near 0 it is flat, and the "
            "images are plainly averaged), largest the share of an image that its largest mask "
            "covers, follows lam the correlation, -1 to 1, of areas and the shares asked for. "
            "Mixed loss and teacher loss are those of student and teacher on mixed images, in "
            "nats; cosine is the similarity, -1 to 1, of the teacher's logits of a mixture and of "
            "the images in it.",
            blocks=tuple(blocks),
        )
    }


def diagnostic_figure(curve: Curve, shade: Shade) -> Figure:
    """Draw one of the numbers that an objective shows, over epochs, with the range of seeds."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = canvas(3.1, 1.5)
    axes.fill_between(curve.epochs, curve.low, curve.high, color=shade.light, alpha=0.16, lw=0)
    axes.plot(curve.epochs, curve.mean, color=shade.light, lw=1.6)
    axes.grid(axis="y")
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    return figure


def _kept(history: MaskHistory, page: Page) -> tuple[Tensor, ...] | None:
    """Images, index, masks and mixtures of a method, where all of them were kept."""
    names = ("images", "index", "mask", "mixed")
    found = [page.arrays.get(f"diagnostics/{history.method}/{name}") for name in names]
    kept = tuple(array for array in found if array is not None)
    return kept if len(kept) == len(names) else None


def _rows(history: MaskHistory, page: Page) -> tuple[tuple[str, tuple[Tensor, ...]], ...]:
    """What was mixed, whose pixel it was in some epochs, and the last mixtures."""
    kept = _kept(history, page)
    if kept is None:
        return ()
    images, index, mask, mixed = kept
    sources = [
        (f"source {n + 1}", tuple(images[index[:, n].clamp_min(0)])) for n in range(index.shape[1])
    ]
    epochs = [
        (f"epoch {epoch}", tuple(paint(shares) for shares in masks))
        for epoch, masks in zip(history.epochs, mask, strict=True)
    ]
    return (*sources, *epochs, ("mixed", tuple(mixed)))


def _most_mixed(index: Tensor) -> int:
    """The first mixture of as many different images as any: one image twice shows no border."""
    different = [len(set(row)) for row in index.tolist()]
    return different.index(max(different))


def _beside(histories: Sequence[MaskHistory], page: Page, width: float) -> Figure:
    """A row a method: the first image, its masks by epoch, and its last mixture, of one sample."""
    groups = methods_of(page.findings.parts["scores"])
    lines, titles = list[list[Tensor]](), list[list[str]]()
    for history in histories:
        *sources, (_, mixed) = _rows(history, page)
        place = _most_mixed(page.arrays[f"diagnostics/{history.method}/index"])
        epochs = sources[-len(history.epochs) :]
        if width < WIDE:  # the first, one of the middle and the last
            epochs = [epochs[0], epochs[len(epochs) // 2], epochs[-1]]
        named = [sources[0], *epochs, ("mixed", mixed)]
        lines.append([colours(pictures[place][None])[0] for _, pictures in named])
        titles.append(["first image", *(name for name, _ in named[1:])])
    longest = max(map(len, lines))
    for line in lines:
        line += [torch.ones_like(line[0])] * (longest - len(line))
    names = [groups[history.method]["raw"].name for history in histories]
    inks = [page.shades[history.method].light for history in histories]
    return picture_rows(lines, names, inks, titles, width, together=1)
