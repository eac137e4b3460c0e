"""Records rebuilt from JSON, and what is said about those that do not fit."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from mixwright.lab.settings import check_fields, check_value, decode
from mixwright.lab.settings.declared import MisfitError
from mixwright.lab.training.recipe import Recipe, RecipeError


@dataclass(frozen=True)
class Interval:
    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Row:
    name: str
    scores: dict[str, Interval]
    kind: Literal["raw", "ema", "teacher"] = "raw"
    difference: Interval | None = None
    limit: float | None = None
    pair: tuple[str, int] = ("none", 0)
    free: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Record:
    rows: tuple[Row, ...]
    notes: list[str] = field(default_factory=list[str])
    seeds: dict[int, tuple[float, ...]] = field(default_factory=dict[int, tuple[float, ...]])
    file: Path | None = None
    commit: str | int | float | None = None
    whole: bool = True


INTERVAL = {"mean": 1, "low": None, "high": 2.5, "count": 3}
ROW = {"name": "mixup", "scores": {"top1": INTERVAL}}


def test_every_kind_of_field_comes_back() -> None:
    record = Record(
        rows=(
            Row("none", {"top1": Interval(0.5, 0.25, 0.75, 3)}),
            Row(
                "mixup", {}, "ema", Interval(1.0, 0.5, 2.0, 2), 3.0, ("a", 2), {"x": [1, {"y": 2}]}
            ),
        ),
        notes=["first"],
        seeds={0: (1.0, 2.0), 7: ()},
        file=Path("a/b"),
        commit="c0ffee",
        whole=False,
    )
    text = json.dumps(asdict(record), default=str)
    assert decode(Record, json.loads(text), where="r") == record


def test_whole_numbers_become_floats_and_null_nan_where_floats_are_declared() -> None:
    found = decode(Record, {"rows": [ROW | {"limit": None}], "commit": 3}, where="r")
    interval = found.rows[0].scores["top1"]
    assert type(interval.mean) is float
    assert math.isnan(interval.low)
    assert (interval.mean, interval.high, interval.count) == (1.0, 2.5, 3)
    assert found.rows[0].limit is None  # None is a value of its own there
    assert type(found.commit) is int
    assert (found.notes, found.whole, found.rows[0].pair) == ([], True, ("none", 0))


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "r: JSON holds a list; expected an object of fields."),
        ({}, "r: field 'rows' is missing."),
        ({"rows": [], "note": 1}, "r: field 'note' is not known. Did you mean 'notes'?"),
        (
            {"rows": [], "zzz": 1},
            "r: field 'zzz' is not known. Known: rows, notes, seeds, file, commit, whole.",
        ),
        ({"rows": {}}, "r: rows is a dict; expected a list."),
        ({"rows": [3]}, "r: rows[0] is 3; expected an object of fields."),
        ({"rows": [{"name": "a"}]}, "r: field 'scores' of rows[0] is missing."),
        (
            {"rows": [ROW | {"nme": 1}]},
            "r: field 'nme' of rows[0] is not known. Did you mean 'name'?",
        ),
        ({"rows": [ROW | {"name": 1}]}, "r: rows[0].name is 1; expected text."),
        (
            {"rows": [ROW, ROW | {"kind": "emma"}]},
            "r: rows[1].kind is 'emma'; expected one of raw, ema, teacher. Did you mean 'ema'?",
        ),
        ({"rows": [ROW | {"pair": ["a"]}]}, "r: rows[0].pair is a list; expected a list of 2."),
        ({"rows": [ROW | {"pair": [1, 2]}]}, "r: rows[0].pair[0] is 1; expected text."),
        (
            {"rows": [ROW | {"limit": "x"}]},
            "r: rows[0].limit is 'x'; expected a finite number or null.",
        ),
        ({"rows": [ROW | {"scores": []}]}, "r: rows[0].scores is a list; expected an object."),
        (
            {"rows": [ROW | {"scores": {"top1": INTERVAL | {"count": True}}}]},
            "r: rows[0].scores['top1'].count is True; expected a whole number.",
        ),
        (
            {"rows": [ROW | {"difference": INTERVAL | {"count": 2.0}}]},
            "r: rows[0].difference.count is 2.0; expected a whole number.",
        ),
        ({"rows": [], "seeds": {"x": []}}, "r: seeds has the key 'x'; expected a whole number."),
        ({"rows": [], "whole": 1}, "r: whole is 1; expected true or false."),
        ({"rows": [], "file": 1}, "r: file is 1; expected a path or null."),
        (
            {"rows": [], "commit": True},
            "r: commit is True; expected text or a whole number or a finite number or null.",
        ),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(raw: Any, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        decode(Record, raw, where="r")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, float),
        (None, int | float),
        ([1, None], tuple[float, ...]),
        ([1, None], tuple[int | float, ...]),
        ({"a": None}, dict[str, float]),
        (math.inf, int | float),
        (10**400, float),
    ],
    ids=str,
)
def test_null_and_numbers_beyond_floats_are_no_settings(value: Any, kind: Any) -> None:
    with pytest.raises(MisfitError, match="a finite number"):
        check_value(value, kind)


@dataclass(frozen=True)
class Either:
    size: int | float


def test_null_is_nan_only_where_a_float_alone_is_declared() -> None:
    with pytest.raises(ValueError, match="size is None; expected a whole number or a finite"):
        decode(Either, {"size": None}, where="r")
    assert type(decode(Either, {"size": 3}, where="r").size) is int


def test_a_number_beyond_floats_is_shown_short() -> None:
    with pytest.raises(OwnError) as caught:
        Checked(rate=10**400)
    assert str(caught.value) == f"checked: rate is 1{'0' * 39}...; expected a finite number."
    with pytest.raises(OwnError, match="a whole number of thousands of digits"):
        Checked(rate=10**6000)  # which Python does not write
    with pytest.raises(RecipeError, match="not valid JSON"):
        Recipe.from_json('{"lr": 1' + "0" * 5000 + "}")


class OwnError(ValueError):
    pass


def test_a_caller_names_its_error() -> None:
    for raw in ({}, [], {"rows": 1}):
        with pytest.raises(OwnError):
            decode(Record, raw, where="r", error=OwnError)


@dataclass(frozen=True)
class Checked:
    size: int | None = None
    rate: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, where="checked", error=OwnError)


def test_fields_are_checked_where_a_record_is_made() -> None:
    assert type(Checked(rate=2).rate) is float
    for wrong, message in (
        ({"rate": math.inf}, "checked: rate is inf; expected a finite number."),
        ({"rate": None}, "checked: rate is None; expected a finite number."),
        ({"rate": True}, "checked: rate is True; expected a finite number."),
        ({"size": 1.5}, "checked: size is 1.5; expected a whole number or null."),
    ):
        with pytest.raises(OwnError) as caught:
            Checked(**wrong)
        assert str(caught.value) == message
