"""The cells of a page's tables, and the numbers in a record, for tests that compare the two."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator
from html import unescape
from typing import Any

MINUS, DASH, TIMES = "\N{MINUS SIGN}", "\N{EN DASH}", "\N{MULTIPLICATION SIGN}"
NUMBER = re.compile(rf"[+{MINUS}]?\d[\d,]*(?:\.\d+)?")


def tables(page: str) -> list[tuple[list[str], list[list[str]]]]:
    """Heads and rows of every table of numbers, as text."""
    found: list[tuple[list[str], list[list[str]]]] = []
    for table in re.findall(r"<table>(.*?)</table>", page, re.DOTALL):
        head, _, body = table.partition("</thead>")
        heads = [_text(th) for th in re.findall(r"<th[^>]*>(.*?)</th>", _rows(head)[-1])]
        found.append((heads, [_cells(row) for row in _rows(body)]))
    return found


def _rows(markup: str) -> list[str]:
    return re.findall(r"<tr[^>]*>(.*?)</tr>", markup, re.DOTALL)


def _cells(row: str) -> list[str]:
    return [_text(cell) for cell in re.findall(r"<t[hd](?: [^>]*)?>(.*?)</t[hd]>", row, re.DOTALL)]


def _text(markup: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", markup)).strip()


def numbers_in(value: Any) -> Iterator[float]:
    """Every number in a record, however deep."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from numbers_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from numbers_in(inner)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)


def half_widths(value: Any) -> Iterator[float]:
    """Half of every interval in a record: what stands behind a plus-minus sign."""
    if isinstance(value, dict):
        if {"low", "high", "mean"} <= set(value) and value["low"] is not None:
            yield (value["high"] - value["low"]) / 2
        for inner in value.values():
            yield from half_widths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from half_widths(inner)


def missing(cell: str, stored: Iterable[float]) -> list[str]:
    """The numbers of a cell that no stored one gives when it is rounded alike.

    A number may stand as it is, in percent, or in thousandths (milliseconds).
    """
    values = sorted(abs(v) for v in stored if math.isfinite(v))
    gone: list[str] = []
    for text in NUMBER.findall(cell):
        bare = text.replace(",", "").lstrip("+" + MINUS)
        digits = len(bare.partition(".")[2])
        if not any(f"{scale * v:.{digits}f}" == bare for v in values for scale in (1, 100, 1000)):
            gone.append(text)
    return gone


def csv_rows(text: str) -> list[dict[str, str]]:
    """The rows of a tidy table."""
    return list(csv.DictReader(io.StringIO(text)))
