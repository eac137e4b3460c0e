"""Panels that share their rows: side by side on wide pages, one above the other on narrow ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDE = 5.0  # inches


def panels(width: float, height: float, count: int) -> tuple[Figure, list[Axes]]:
    """An empty figure with several pairs of axes.

    Args:
        width: in inches.
        height: of one panel, in inches.
        count: panels, at least 1.

    Returns:
        figure and axes, from left to right or from top to bottom.
    """
    from matplotlib.figure import Figure

    wide = width >= _WIDE
    figure = Figure(figsize=(width, height if wide else height * count), layout="constrained")
    shape = (1, count) if wide else (count, 1)
    grid = figure.subplots(*shape, squeeze=False, sharey=wide)
    return figure, list(grid.flat)
