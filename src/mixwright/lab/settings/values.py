"""Values of settings as Python or JSON gives them, brought to their declared types."""

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

from mixwright.arguments import UNIONS, did_you_mean, of_type, shown, with_article
from mixwright.lab.settings.declared import MisfitError, choices, field_types
from mixwright.lab.settings.text import read_value

T = TypeVar("T")

_LONGEST = 40  # letters of a number in a message

_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    Path: "a path",
    type(None): "null",
}


class DecodeError(ValueError):
    """A record that was read does not fit its class."""


class _FieldsError(ValueError):
    """A record has a field that its class lacks, or lacks one."""


def check_value(value: Any, kind: Any) -> Any:
    """Return a value of Python in its declared type; whole numbers become floats.

    Numbers are finite, also those within tuples and mappings; only a record that is decoded has
    null for NaN.
    """
    found = _fit(value, kind, "")
    if not _finite(found):
        raise MisfitError(_WORDS[float], value=value)
    return found


def displayed(value: object) -> str:
    """Return a number or another value that is no text, as messages show it: not too long.

    Example:
        >>> displayed(10**400)
        '1000000000000000000000000000000000000000...'
    """
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        return "a whole number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _finite(value: object) -> bool:
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def check_fields(record: Any, *, where: str, error: type[ValueError] = ValueError) -> None:
    """Bring every field of a frozen dataclass to its declared type, and check its rule.

    For ``__post_init__``. Records of 1 and of 1.0 are then written alike. ``error`` is raised for a
    value that does not fit.
    """
    kinds = field_types(type(record))
    for field in dataclasses.fields(record):
        name, rule = field.name, field.metadata.get("rule")
        value = getattr(record, name)
        try:
            value = check_value(value, kinds[name])
            if rule and value is not None and not rule.keeps(value):
                also = ", or null" if type(None) in typing.get_args(kinds[name]) else ""
                raise MisfitError(rule.expected + also)
        except MisfitError as misfit:
            misfit.value, misfit.at = value, name
            raise error(_misfit_text(where, misfit)) from None
        object.__setattr__(record, name, value)


def decode(cls: type[T], raw: Any, *, where: str, error: type[ValueError] = DecodeError) -> T:
    """Rebuild a dataclass from what ``json.loads`` made of it.

    Dataclasses within it, tuples, lists, mappings, unions, ``Literal`` and ``Path`` are rebuilt as
    declared; null in place of a float is NaN, which JSON lacks; fields that are missing take their
    defaults; ``Any`` takes all.

    Args:
        cls: the dataclass; all types that it names can be imported.
        raw: the object of fields.
        where: what messages call it: a file, or the kind of record.
        error: raised where ``raw`` does not fit.

    Returns:
        the record.

    Raises:
        DecodeError: as ``error``: a field is unknown, missing or of another type.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Score:
        ...     mean: float
        ...     seeds: tuple[int, ...] = ()
        >>> decode(Score, {"mean": None, "seeds": [0, 1]}, where="score.json")
        Score(mean=nan, seeds=(0, 1))
        >>> decode(Score, {"mean": 1, "seeds": [0, "1"]}, where="score.json", error=ValueError)
        Traceback (most recent call last):
        ...
        ValueError: score.json: seeds[1] is '1'; expected a whole number.
    """
    try:
        return _fit_record(raw, cls, "")
    except MisfitError as misfit:
        raise error(_misfit_text(where, misfit)) from None
    except _FieldsError as fields:
        raise error(f"{where}: {fields}") from None


def _misfit_text(where: str, misfit: MisfitError) -> str:
    value = misfit.value
    several = isinstance(value, Mapping | list)  # of a file, may be long: its type says enough
    if isinstance(value, str):
        display = repr(value)
    elif isinstance(value, tuple):
        display = shown(value)
    else:
        display = of_type(value) if several else displayed(value)
    found = f"{misfit.at} is {display}" if misfit.at else f"JSON holds {display}"
    return f"{where}: {found}; expected {misfit.expected}.{misfit.hint}"


def _fit(value: Any, kind: Any, at: str) -> Any:
    """The value in a declared type; ``at`` is its place, for messages."""
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if kind is Any:
        return value
    if origin in UNIONS:
        return _fit_union(value, inner, at)
    if origin is Literal:
        return _fit_literal(value, kind, at)
    if dataclasses.is_dataclass(kind):
        return _fit_record(value, kind, at)
    if origin in (tuple, list, Sequence):
        return _fit_several(value, origin, inner, at)
    if origin in (dict, Mapping):
        return _fit_mapping(value, inner, at)
    if kind is float and (value is None or type(value) in (int, float)):
        try:
            return math.nan if value is None else float(value)
        except OverflowError:  # a whole number beyond the largest float
            raise MisfitError(_WORDS[float], value=value, at=at) from None
    if kind is Path and isinstance(value, str):
        return Path(value)
    if type(value) is kind:  # not isinstance: True is no number
        return value
    raise MisfitError(_WORDS.get(kind, with_article(kind.__name__)), value=value, at=at)


def _fit_union(value: Any, kinds: tuple[Any, ...], at: str) -> Any:
    if type(value) in kinds:  # 3 of int | float stays an int, None is no NaN
        return value
    others = [kind for kind in kinds if kind is not type(None)]
    if value is None:  # stands for NaN where a float alone is declared, as in records
        expected = " or ".join(_WORDS.get(kind, with_article(kind.__name__)) for kind in others)
        raise MisfitError(expected, value=value, at=at)
    if len(others) == 1 and dataclasses.is_dataclass(others[0]):
        return _fit(value, others[0], at)  # its own message says more
    misfits: list[MisfitError] = []
    for kind in kinds:
        try:
            return _fit(value, kind, at)
        except MisfitError as misfit:
            misfits.append(misfit)
    expected = " or ".join(misfit.expected for misfit in misfits)
    raise MisfitError(expected, "".join(misfit.hint for misfit in misfits), value=value, at=at)


def _fit_literal(value: Any, kind: Any, at: str) -> Any:
    for word in typing.get_args(kind):
        if type(value) is type(word) and value == word:
            return value
    hint = did_you_mean(str(value), choices(kind), quote="'")
    raise MisfitError(f"one of {', '.join(choices(kind))}", hint, value=value, at=at)


def _fit_record(value: Any, cls: Any, at: str) -> Any:
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise MisfitError("an object of fields", value=value, at=at)
    raw: Mapping[str, Any] = value
    kinds, of = field_types(cls), f" of {at}" if at else ""
    for name in raw:
        if name not in kinds:
            hint = did_you_mean(str(name), kinds, quote="'") or f" Known: {', '.join(kinds)}."
            raise _FieldsError(f"field {name!r}{of} is not known.{hint}")
    for field in dataclasses.fields(cls):
        needed = field.default is field.default_factory is dataclasses.MISSING
        if field.init and needed and field.name not in raw:
            raise _FieldsError(f"field {field.name!r}{of} is missing.")
    inside = f"{at}." if at else ""
    return cls(**{name: _fit(raw[name], kinds[name], f"{inside}{name}") for name in raw})


def _fit_several(value: Any, origin: Any, kinds: tuple[Any, ...], at: str) -> Any:
    if not isinstance(value, list | tuple):
        raise MisfitError("a list", value=value, at=at)
    values: Sequence[Any] = value
    if not kinds or origin is not tuple or kinds[-1] is Ellipsis:
        kinds = (kinds[0] if kinds else Any,) * len(values)
    if len(kinds) != len(values):
        raise MisfitError(f"a list of {len(kinds)}", value=value, at=at)
    pairs = enumerate(zip(values, kinds, strict=True))
    found = [_fit(item, kind, f"{at}[{place}]") for place, (item, kind) in pairs]
    return found if origin is list else tuple(found)


def _fit_mapping(value: Any, kinds: tuple[Any, ...], at: str) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise MisfitError("an object", value=value, at=at)
    raw: Mapping[Any, Any] = value
    key_kind, kind = kinds or (Any, Any)
    found: dict[Any, Any] = {}
    for key, item in raw.items():  # keys are text in JSON, whatever they were
        try:
            known = read_value(key, key_kind) if isinstance(key, str) else key
        except MisfitError as misfit:
            raise _FieldsError(f"{at} has the key {key!r}; expected {misfit.expected}.") from None
        found[known] = _fit(item, kind, f"{at}[{key!r}]")
    return found
