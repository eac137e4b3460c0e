"""What all figures share."""

from __future__ import annotations

import io

from mixwright.lab.reports.figures import canvas, row_labels, styled, to_png, to_svg


def test_a_name_of_an_axis_is_broken_where_the_figure_would_cut_it() -> None:
    """It stands in the middle of the axes, which names of rows push to the right."""
    name = "difference to no mixing, percentage points"
    for width, lines in ((6.6, 1), (3.0, 2)):
        with styled():
            figure, axes = canvas(width, 2)
            row_labels(axes, ["a method with a rather long name", "another"])
            axes.set_xlabel(name)
            to_svg(figure, (), salt="a")
            text = axes.xaxis.get_label()
            box = text.get_window_extent()
        assert " ".join(text.get_text().split("\n")) == name
        assert len(text.get_text().split("\n")) >= lines
        assert (len(text.get_text().split("\n")) == 1) == (lines == 1)
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y0 >= 0  # there is room below for all lines


def test_names_that_fit_stay_on_one_line() -> None:
    with styled():
        figure, axes = canvas(3.7, 2)
        axes.set_xlabel("epoch")
        to_png(figure, io.BytesIO())
    assert axes.get_xlabel() == "epoch"
