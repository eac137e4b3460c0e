"""Methods that differ in one number alone: what a grid of METHODs found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Options = Mapping[str, str]
"""The options of a METHOD as text, under ``name.option``, defaults included."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Methods of one name that differ in one option.

    Attributes:
        name: of the method.
        option: that differs.
        values: in rising order.
        methods: the METHOD of each value.
    """

    name: str
    option: str
    values: tuple[float, ...]
    methods: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Sweeps:
    """All sweeps of a comparison."""

    sweeps: tuple[Sweep, ...]


def find_sweeps(options: Mapping[str, Options]) -> Sweeps:
    """Find methods of one name that differ in exactly one option, which is a number in all.

    Args:
        options: of each METHOD that is not joined by ``+``, by its text.

    Returns:
        one sweep a name at most, with at least two values.
    """
    by_name: dict[str, list[str]] = {}
    for text, own in options.items():
        names = {option.rpartition(".")[0] for option in own}
        if len(names) == 1:
            by_name.setdefault(names.pop(), []).append(text)
    found = [_sweep(name, texts, options) for name, texts in by_name.items()]
    return Sweeps(sweeps=tuple(sweep for sweep in found if sweep is not None))


def _sweep(name: str, texts: Sequence[str], options: Mapping[str, Options]) -> Sweep | None:
    every = dict.fromkeys(option for text in texts for option in options[text])
    differing = [
        option for option in every if len({options[text].get(option) for text in texts}) > 1
    ]
    if len(differing) != 1:
        return None
    numbers = [_number(options[text].get(differing[0])) for text in texts]
    points = sorted(
        (value, text) for value, text in zip(numbers, texts, strict=True) if value is not None
    )
    if len({value for value, _ in points}) < len(texts):
        return None
    return Sweep(
        name=name,
        option=differing[0].removeprefix(f"{name}."),
        values=tuple(value for value, _ in points),
        methods=tuple(text for _, text in points),
    )


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
