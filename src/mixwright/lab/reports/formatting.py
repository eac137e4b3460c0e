"""Numbers for people: rounding, percent, signs and units."""

import math
from collections.abc import Iterable, Mapping, Sequence

from mixwright.lab.analysis.statistics import Interval

TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """Return a fraction as a percentage without its sign; None and NaN give a dash.

    Example:
        >>> percent(0.8694), percent(None)
        ('86.9', '–')
    """
    return number(None if fraction is None else 100 * fraction, digits)


def number(value: float | None, digits: int) -> str:
    """Return a number rounded to ``digits``, with a true minus; None and NaN give a dash."""
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def spread(interval: Interval | None, *, digits: int = 1, scale: float = 100) -> str:
    """Return a mean and half the width of its interval, alone where one seed gives no interval.

    ``scale`` is 100 for percent, 1 for plain numbers.

    Example:
        >>> spread(Interval(0.869, 0.857, 0.881, 3, 0.01))
        '86.9 ± 1.2'
    """
    if interval is None:
        return NONE
    mean = number(scale * interval.mean, digits)
    half = scale * interval.half_width
    return mean if math.isnan(half) else f"{mean} ± {number(half, digits)}"


def signed(interval: Interval | None, *, digits: int = 1, scale: float = 100) -> str:
    """Return a difference in points with its sign, e.g. ``+2.1 ± 1.7``; None gives a dash."""
    text = spread(interval, digits=digits, scale=scale)
    positive = interval is not None and not text.startswith((MINUS, NONE))
    return f"+{text}" if positive else text


def points(fraction: float, digits: int = 2) -> str:
    """Return a difference in percentage points, without an interval, with its sign.

    Example:
        >>> points(0.0063), points(0.0)
        ('+0.63', '0.00')
    """
    text = number(100 * fraction, digits)
    return f"+{text}" if fraction > 0 and text.strip("0.") else text


def duration(seconds: float) -> str:
    """Return a time span in the unit that suits it.

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


_DAY = 86400.0
_UNITS = (
    *((1.0, "second"), (60.0, "minute"), (3600.0, "hour")),
    *((_DAY, "day"), (365.25 / 12 * _DAY, "month"), (365.25 * _DAY, "year")),
)


def about_time(seconds: float) -> str:
    """Return a time in words, with no more digits than an estimate deserves.

    Example:
        >>> [about_time(seconds) for seconds in (0.04, 41, 100, 1100, 7200, 8000, 200_000)]
        ['1 second', '41 seconds', '2 minutes', '18 minutes', '2 hours', '2.2 hours', '2.3 days']
        >>> [about_time(days * 86400) for days in (45, 73, 365.25, 730.5, 29714)]
        ['45 days', '2.4 months', '12 months', '2 years', '81 years']
    """
    size, unit = [(size, unit) for size, unit in _UNITS if size == 1 or seconds >= 1.5 * size][-1]
    amount = max(1.0, seconds / size)
    text = f"{amount:.1f}" if size > 60 and amount < 10 else f"{amount:.0f}"
    text = text.removesuffix(".0")
    return f"{text} {unit}{'' if text == '1' else 's'}"


def times(ratio: float | None) -> str:
    """A ratio of times, e.g. ``1.04×``."""
    return NONE if ratio is None else f"{number(ratio, 2)}{TIMES}"


def p_value(p: float | None, *, least: float = 0.001) -> str:
    """Return a p-value with the digits that matter; below ``least`` only that is written.

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


def capital(words: str) -> str:
    """Return words as they begin a sentence.

    Example:
        >>> capital("own teacher"), capital("EMA, mixed head")
        ('Own teacher', 'EMA, mixed head')
    """
    return words[:1].upper() + words[1:]


def count_range(counts: Iterable[int]) -> str:
    """Return the lowest and the highest of counts, e.g. ``3 to 5``; one where they are equal."""
    low, *_, high = sorted(counts) * 2
    return str(low) if low == high else f"{low} to {high}"


def when(finished: str) -> str:
    """Return an ISO time in UTC as pages show it, e.g. ``2024-05-01 12:00:00 UTC``."""
    return finished.replace("T", " ").replace("+00:00", " UTC")


def listed(versions: Mapping[str, str]) -> str:
    """Return versions of software in a line."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
