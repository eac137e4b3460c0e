"""Rows of small pictures under each other, a method a row, with the names of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mixwright.lab.reports.figure_text import TITLE, label
from mixwright.lab.reports.figures import WIDE
from mixwright.lab.reports.palette import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_GAP = 2  # pixels between pictures
_BETWEEN = 8  # between groups of them
_LEAST = 96  # pixels of a picture's side; smaller ones are enlarged, so that maps are smooth
_NAMES = 1.3  # inches for the names of methods, on wide pages


def picture_rows(
    lines: Sequence[Sequence[Tensor]],
    names: Sequence[str],
    inks: Sequence[str],
    titles: Sequence[Sequence[str]],
    width: float,
    *,
    together: int,
) -> Figure:
    """Draw rows of as many pictures ``(H, W, 3)`` each, named at the left (above on narrow pages).

    ``titles`` are over the pictures of each row, none or one each; ``together`` pictures make one
    group, with more room to the next.
    """
    from matplotlib.figure import Figure

    wide = width >= WIDE
    strips = [_strip(line, together) for line in lines]
    room = width - (_NAMES if wide else 0)
    high = room * max(strip.shape[0] / strip.shape[1] for strip, _ in strips)
    extra = [0.17 * bool(title) + (0.05 if wide else 0.27) for title in titles]
    total = sum(extra) + high * len(lines)
    figure = Figure(figsize=(width, total))
    top = total
    for (strip, middles), name, ink, title, more in zip(
        strips, names, inks, titles, extra, strict=True
    ):
        left = (_NAMES if wide else 0) / width
        axes = figure.add_axes((left, (top - more - high) / total, 1 - left, high / total))
        axes.imshow(strip.numpy(), interpolation="nearest", aspect="auto")
        axes.set_axis_off()
        _write(axes, title, middles)
        if wide:
            figure.text(0, (top - more - high / 2) / total, _broken(label(name, TITLE)), color=ink,
                        fontsize=8, va="center", fontweight="bold")  # fmt: skip
        else:
            above = 0.17 * bool(title) + 0.03
            figure.text(0, (top - more + above) / total, label(name), color=ink, fontsize=8,
                        va="bottom", fontweight="bold")  # fmt: skip
        top -= more + high
    return figure


def _write(axes: Axes, titles: Sequence[str], middles: Sequence[float]) -> None:
    for words, middle in zip(titles, middles, strict=False):
        axes.text(
            middle, -3, label(words, 16), ha="center", va="bottom", fontsize=7, color=INK.light
        )


def _broken(name: str) -> str:
    """A long name on two lines."""
    cut = name.rfind(" ", 0, 15)
    return name if len(name) <= 15 or cut < 0 else f"{name[:cut]}\n{name[cut + 1 :]}"


def _strip(pictures: Sequence[Tensor], together: int) -> tuple[Tensor, list[float]]:
    """Pictures side by side on white, and the middle of each."""
    parts, middles, start = list[Tensor](), list[float](), 0
    for n, picture in enumerate(pictures):
        if n:
            gap = _GAP if n % together or together == 1 else _BETWEEN
            parts.append(torch.ones(picture.shape[0], gap, 3))
            start += gap
        parts.append(picture)
        middles.append(start + picture.shape[1] / 2)
        start += picture.shape[1]
    return torch.cat(parts, dim=1), middles


def colours(images: Tensor) -> Tensor:
    """Bytes ``(B, C, H, W)`` as ``(B, H', W', 3)`` in [0, 1], enlarged to a whole multiple."""
    found = images.float() / 255
    if found.shape[1] != 3:
        found = found[:, :1].expand(-1, 3, -1, -1)
    return enlarged(found, "nearest").permute(0, 2, 3, 1)


def enlarged(pictures: Tensor, mode: str) -> Tensor:
    """Enlarge ``(B, C, H, W)`` to a whole multiple, where they are smaller than a picture is."""
    times = max(1, -(-_LEAST // max(pictures.shape[2:])))
    size = [side * times for side in pictures.shape[2:]]
    return torch.nn.functional.interpolate(pictures, size, mode=mode)
