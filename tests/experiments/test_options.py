"""Values of options, read from text by their types."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from mixwright.experiments.options import read_value, write_value


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("3", int, 3),
        ("-1", int, -1),
        ("1e-3", float, 0.001),
        ("true", bool, True),
        ("off", bool, False),
        ("none", int | None, None),
        ("3", int | tuple[int, int], 3),
        ("2-6", int | tuple[int, int], (2, 6)),
        ("2;6;9", tuple[int, ...], (2, 6, 9)),
        ("(0.5;1)", tuple[float, float], (0.5, 1.0)),
        ("b", Literal["a", "b"], "b"),
        ("2", Literal[1, 2] | None, 2),
        ("layer4", str | None, "layer4"),
        ("none", str | None, None),
    ],
)
def test_values(text: str, kind: Any, value: object) -> None:
    got = read_value(text, kind)
    assert got == value
    assert type(got) is type(value)
    assert read_value(write_value(got), kind) == got


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("3.5", int, "a whole number"),
        ("yess", bool, "true or false"),
        ("x", int | None, "a whole number"),
        ("x", Literal["a", "b"], "one of a, b"),
        ("1;2", tuple[int, int, int], "3 values"),
        ("x", object, "in Python only"),
    ],
)
def test_what_does_not_fit(text: str, kind: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_value(text, kind)
