"""Numbers for people: rounding, percent, signs and units."""

from __future__ import annotations

import math

import pytest

from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports.formatting import (
    MINUS,
    NONE,
    TIMES,
    duration,
    joined,
    number,
    p_equals,
    p_value,
    percent,
    signed,
    spread,
    times,
)

NO_END = Interval(0.5, math.nan, math.nan, 1, math.nan)


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 3, 0.0)


def test_numbers() -> None:
    assert percent(0.86949) == "86.9"
    assert percent(1.0) == "100.0"
    assert number(-0.04, 1) == "0.0"
    assert number(-2.25, 2) == f"{MINUS}2.25"
    assert number(math.nan, 1) == number(None, 3) == NONE
    assert spread(interval(0.85, 0.87)) == "86.0 ± 1.0"
    assert spread(interval(0.5, 0.6), digits=3, scale=1) == "0.550 ± 0.050"
    assert spread(NO_END) == "50.0"
    assert spread(None) == NONE
    assert signed(interval(0.01, 0.03)) == "+2.0 ± 1.0"
    assert signed(interval(-0.03, -0.01)) == f"{MINUS}2.0 ± 1.0"
    assert signed(None) == NONE
    assert times(1.0449) == f"1.04{TIMES}"
    assert [p_value(p) for p in (1.0, 0.0996, 0.0994, 0.00100)] == [
        "1.00",
        "0.10",
        "0.099",
        "0.001",
    ]
    assert p_value(math.nan) == NONE
    assert (p_equals(0.2), p_equals(1e-5)) == ("p = 0.20", "p < 0.001")
    assert joined(["a"]) == "a"
    assert joined(["a", "b", "c"]) == "a, b and c"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0123, "12.3 ms"),
        (4.24, "4.2 s"),
        (59.4, "59 s"),
        (185, "3 min 5 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
