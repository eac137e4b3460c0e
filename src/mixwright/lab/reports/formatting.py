"""Numbers for people: rounding, percent, signs and units."""

import math
from collections.abc import Sequence

from mixwright.lab.analysis.statistics import Interval

TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as a percentage without its sign.

    Args:
        fraction: in [0, 1]; None and NaN give a dash.
        digits: behind the point.

    Returns:
        e.g. ``86.9``.

    Example:
        >>> percent(0.8694), percent(None)
        ('86.9', '–')
    """
    return number(None if fraction is None else 100 * fraction, digits)


def number(value: float | None, digits: int) -> str:
    """A number with a fixed count of digits behind the point.

    Args:
        value: any number; None and NaN give a dash.
        digits: behind the point.

    Returns:
        its text, with a true minus sign.
    """
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def spread(interval: Interval | None, *, digits: int = 1, scale: float = 100) -> str:
    """A mean and half the width of its interval.

    Args:
        interval: over seeds; None gives a dash.
        digits: behind the point.
        scale: 100 for percent, 1 for plain numbers.

    Returns:
        e.g. ``86.9 ± 1.2``; the mean alone where one seed gives no interval.

    Example:
        >>> spread(Interval(0.869, 0.857, 0.881, 3, 0.01))
        '86.9 ± 1.2'
    """
    if interval is None:
        return NONE
    mean = number(scale * interval.mean, digits)
    half = scale * interval.half_width
    return mean if math.isnan(half) else f"{mean} ± {number(half, digits)}"


def signed(interval: Interval | None, *, digits: int = 1) -> str:
    """A difference in percentage points, with its sign.

    Args:
        interval: of fractions; None gives a dash.
        digits: behind the point.

    Returns:
        e.g. ``+2.1 ± 1.7``.
    """
    text = spread(interval, digits=digits)
    positive = interval is not None and not text.startswith((MINUS, NONE))
    return f"+{text}" if positive else text


def points(fraction: float, digits: int = 2) -> str:
    """A difference in percentage points, without an interval, with its sign.

    Args:
        fraction: any; NaN gives a dash.
        digits: behind the point.

    Returns:
        e.g. ``+0.63``.

    Example:
        >>> points(0.0063), points(0.0)
        ('+0.63', '0.00')
    """
    text = number(100 * fraction, digits)
    return f"+{text}" if fraction > 0 and text.strip("0.") else text


def duration(seconds: float) -> str:
    """A time span in the unit that suits it.

    Args:
        seconds: at least 0.

    Returns:
        e.g. ``42 s``, ``3 min 5 s``, ``2 h 10 min``.

    Example:
        >>> duration(0.0123), duration(185), duration(7800)
        ('12.3 ms', '3 min 5 s', '2 h 10 min')
    """
    if seconds < 1:
        return f"{1000 * seconds:.1f} ms"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def times(ratio: float | None) -> str:
    """A ratio of times, e.g. ``1.04×``."""
    return NONE if ratio is None else f"{number(ratio, 2)}{TIMES}"


def p_value(p: float | None, *, least: float = 0.001) -> str:
    """A p-value with the digits that matter.

    Args:
        p: in [0, 1]; None and NaN give a dash.
        least: below it only that is said.

    Returns:
        e.g. ``0.21``, ``0.012``, ``< 0.001``.

    Example:
        >>> p_value(0.2149), p_value(0.0124), p_value(1e-9), p_value(None)
        ('0.21', '0.012', '< 0.001', '–')
    """
    if p is None or math.isnan(p):
        return NONE
    return f"< {least:g}" if p < least else number(p, 3 if p < 0.0995 else 2)


def p_equals(p: float, name: str = "p") -> str:
    """A p-value in a sentence, e.g. ``p = 0.21`` or ``p < 0.001``."""
    text = p_value(p)
    return f"{name} {text}" if text.startswith("<") else f"{name} = {text}"


def joined(names: Sequence[str]) -> str:
    """Names in a sentence, e.g. ``MixUp, CutMix and FMix``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
