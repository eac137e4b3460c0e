"""The critical-difference figure: mean ranks of methods, and which of them cannot be told apart."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mixwright.lab.analysis.ranking import Ranking
from mixwright.lab.reports.figures import canvas, row_labels
from mixwright.lab.reports.palette import FAINT, INK, Shade

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TICKS = 17  # more would run into each other


def ranks_figure(
    ranking: Ranking, names: Mapping[str, str], shades: Mapping[str, Shade], *, width: float
) -> "Figure":
    """Draw a row a method, the best on top; bars on the right join what cannot be told apart."""
    order = sorted(range(len(ranking.keys)), key=ranking.mean.__getitem__)
    row = {method: -place for place, method in enumerate(order)}
    figure, axes = canvas(width, 1.05 + 0.3 * len(order))
    row_labels(axes, [names[ranking.keys[method]] for method in order])
    axes.set_ylim(-len(order) + 0.45, 1.55)
    axes.set_xlim(0.75, len(order) + 0.25)
    axes.set_xticks(range(1, len(order) + 1, -(-len(order) // _TICKS)))
    for method, mean in enumerate(ranking.mean):
        colour = shades[ranking.keys[method]].light
        axes.plot([1, mean], [row[method]] * 2, color=colour, lw=1.1, alpha=0.4)
        axes.plot(mean, row[method], "o", ms=6.5, color=colour)
    for place, group in enumerate(ranking.alike):
        ends = [row[method] for method in group]
        _bar(axes, 1.025 + place * 0.13 / width, min(ends), max(ends))
    _ruler(axes, ranking.distance, len(order))
    axes.set_xlabel("mean rank, 1 is best")
    return figure


def _bar(axes: "Axes", x: float, low: float, high: float) -> None:
    axes.plot(
        [x, x],
        [low - 0.2, high + 0.2],
        color=INK.light,
        lw=2.6,
        solid_capstyle="butt",
        transform=axes.get_yaxis_transform(),
        clip_on=False,
    )


def _ruler(axes: "Axes", distance: float, methods: int) -> None:
    """The critical difference above the rows; an arrow where it is longer than the axis."""
    end, limit = 1 + distance, methods + 0.25
    axes.plot([1, min(end, limit)], [0.95, 0.95], color=FAINT.light, lw=1.1)
    axes.plot(1, 0.95, "|", color=FAINT.light, ms=6, mew=1.1)
    axes.plot(min(end, limit), 0.95, "|" if end <= limit else ">", color=FAINT.light, ms=6 if
              end <= limit else 4, mew=1.1, clip_on=False)  # fmt: skip
    axes.text(1, 1.12, f"critical difference {distance:.2f}", color=FAINT.light, fontsize=8.5,
              va="bottom")  # fmt: skip
