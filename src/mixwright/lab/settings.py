"""Typed settings: the one place that turns text and JSON into values of declared types.

``read_value`` takes what a user wrote, ``check_fields`` what Python gave, ``decode`` what
``json.loads`` gave.
"""

import dataclasses
import inspect
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache, reduce
from operator import or_
from pathlib import Path
from typing import Any, Literal, TypeVar

from mixwright.arguments import did_you_mean

T = TypeVar("T")

_NUMBERS = re.compile(r"[\d.]+(-[\d.]+)+")  # 2-6; not -1 and not 1e-3
_UNIONS = (typing.Union, types.UnionType)
_WORDS = {
    str: "text",
    int: "a whole number",
    float: "a finite number",
    bool: "true or false",
    Path: "a path",
    type(None): "null",
}


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the values of a field keep beside their type; ``expected`` says it in messages."""

    expected: str
    keeps: Callable[[Any], bool]


class _MisfitError(ValueError):
    """A value is none of a type; ``expected`` says what one is, without a full stop."""

    def __init__(self, expected: str, hint: str = "", *, value: object = "", at: str = "") -> None:
        super().__init__(f"expected {expected}.{hint}")
        self.expected, self.hint, self.value, self.at = expected, hint, value, at


class _PythonOnlyError(ValueError):
    """No text is a value of this type."""

    def __init__(self, kind: Any) -> None:
        name = getattr(kind, "__name__", str(kind))
        super().__init__(f"it takes a {name}, which can be given in Python only.")


class _FieldsError(ValueError):
    """A record has a field that its class lacks, or lacks one."""


def option(
    default: Any,
    about: str,
    *,
    metavar: str | None = None,
    group: str = "options",
    rule: Rule | None = None,
) -> Any:
    """Return a dataclass field that is an option of the command line.

    Args:
        default: its value when it is not given; True and False make plain switches.
        about: one line for ``--help``.
        metavar: what stands for the value; nothing for those with a few words to choose from.
        group: heading under which ``--help`` lists it.
        rule: what its values keep, for ``check_fields``; None, where it is allowed, passes.
    """
    metadata = {"about": about, "metavar": metavar, "group": group, "rule": rule}
    return dataclasses.field(default=default, metadata=metadata)


@cache
def field_types(cls: type) -> dict[str, Any]:
    """Return the fields that a dataclass is made of, and their types."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def without_none(kind: Any) -> Any:
    """Return a type without None, where a union has it."""
    if typing.get_origin(kind) not in _UNIONS:
        return kind
    return reduce(or_, (member for member in typing.get_args(kind) if member is not type(None)))


def choices(kind: Any) -> tuple[str, ...]:
    """Return the words of a ``Literal`` or of a truth value; of other types none."""
    if kind is bool:
        return "true", "false"
    return tuple(map(str, typing.get_args(kind))) if typing.get_origin(kind) is Literal else ()


def option_types(cls: type) -> dict[str, Any]:
    """The options of a class and the types of their values.

    Args:
        cls: a dataclass or a class whose ``__init__`` is annotated.

    Returns:
        name -> type, in the order of the signature; ``str`` where nothing is declared.

    Example:
        >>> class Blend:
        ...     def __init__(self, alpha: float = 1.0) -> None: ...
        >>> option_types(Blend)
        {'alpha': <class 'float'>}
    """
    # What a dataclass declares is known where it stands; another class's __init__ says more.
    if dataclasses.is_dataclass(cls):
        hints = _hints(cls.__init__) | _hints(cls)
    else:
        hints = _hints(cls) | _hints(cls.__init__)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: hints.get(name, str)
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind in kinds
    }


def read_options(cls: type, pairs: dict[str, str]) -> dict[str, Any]:
    """Turn the text of options into values of the types that ``cls`` declares.

    Args:
        cls: the class they are meant for.
        pairs: option -> text.

    Returns:
        keyword arguments for ``cls``.

    Raises:
        ValueError: there is no such option, or its text does not fit its type.

    Example:
        >>> class Blend:
        ...     def __init__(self, alpha: float = 1, layers: int | tuple[int, int] = 2): ...
        >>> read_options(Blend, {"alpha": "0.2", "layers": "2-4"})
        {'alpha': 0.2, 'layers': (2, 4)}
    """
    known = option_types(cls)
    values: dict[str, Any] = {}
    for name, text in pairs.items():
        if name not in known:
            has = f"It has {', '.join(known)}." if known else "It has none."
            raise ValueError(
                f'{cls.__name__} has no option "{name}".{did_you_mean(name, known)} {has}'
            )
        try:
            values[name] = read_value(text, known[name])
        except ValueError as error:
            raise ValueError(f"{cls.__name__}: option {name}={text}: {error}") from None
    return values


def read_value(text: str, kind: Any) -> Any:
    """Read one value of a declared type from its text.

    Numbers as Python writes them; ``true`` and ``false``; ``none``; several numbers as ``2-6`` or
    ``2;6``, several words as ``a;b``; one of the words of a ``Literal``; a path; the short name of
    a mixer, which then has its defaults. Of a union the first type that fits is taken; types that
    can be given in Python only, such as a callable, are passed over where there are others.

    Args:
        text: what the user wrote behind ``=``.
        kind: a type, as ``typing.get_type_hints`` gives it.

    Returns:
        the value.

    Raises:
        ValueError: the text does not fit, with what was expected.

    Example:
        >>> read_value("2;6", tuple[int, int]), read_value("none", int | None)
        ((2, 6), None)
    """
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in _UNIONS:
        return _read_union(text, inner)
    if origin is Literal:
        return _read_literal(text, inner)
    if origin in (tuple, list) or kind in (tuple, list):
        return _read_many(text, inner)
    if kind is type(None):
        if text.lower() == "none":
            return None
        raise _MisfitError("none")
    if kind is bool:
        if text.lower() in ("true", "yes", "on", "1", "false", "no", "off", "0"):
            return text.lower() in ("true", "yes", "on", "1")
        raise _MisfitError("true or false")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            raise _MisfitError("a whole number" if kind is int else "a number") from None
    if kind in (str, Any):
        return text
    if kind is Path:
        return Path(text)
    if getattr(kind, "__name__", "") == "Mixer":
        return _read_mixer(text, kind)
    raise _PythonOnlyError(kind)


def write_value(value: object) -> str:
    """The shortest text that ``read_value`` reads as the same value.

    Args:
        value: a number, truth value, text, None, path, a mixer with its defaults, or a tuple of
            them.

    Returns:
        its text; of anything else ``str(value)``, which cannot be read.

    Example:
        >>> write_value(1.0), write_value((2, 6)), write_value(True)
        ('1', '2;6', 'true')
    """
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ";".join(write_value(one) for one in typing.cast("tuple[object, ...]", value))
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e6 else repr(value)
    if callable(getattr(value, "plan", None)):
        return _mixer_name(value)
    return str(value)


def _read_union(text: str, kinds: tuple[Any, ...]) -> Any:
    # None and numbers before text, since text fits anything; several words before one.
    def rank(kind: Any) -> tuple[bool, bool, bool]:
        words = kind is str
        several = typing.get_origin(kind) in (tuple, list) and str in typing.get_args(kind)
        return kind is not type(None), words or several, words if ";" in text else several

    misfits: list[_MisfitError] = []
    python_only: _PythonOnlyError | None = None
    for kind in sorted(kinds, key=rank):
        try:
            return read_value(text, kind)
        except _PythonOnlyError as error:
            python_only = error
        except _MisfitError as error:
            misfits.append(error)
    if python_only is not None and all(one.expected == "none" for one in misfits):
        raise python_only
    hint = "".join(one.hint for one in misfits)
    raise _MisfitError(" or ".join(one.expected for one in misfits), hint)


def _read_literal(text: str, words: tuple[Any, ...]) -> Any:
    for word in words:
        if text == str(word):
            return word
    choices = [str(word) for word in words]
    raise _MisfitError(f"one of {', '.join(choices)}", did_you_mean(text, choices))


def _read_mixer(text: str, kind: Any) -> Any:
    from mixwright.mixers import MIXERS
    from mixwright.mixers.mixer import Mixer

    if kind is not Mixer and not issubclass(kind, _Unresolved):
        raise _PythonOnlyError(kind)
    if text in MIXERS:
        return MIXERS[text]()
    hint = did_you_mean(text, MIXERS)
    raise _MisfitError(f"the name of a mixer without options ({', '.join(MIXERS)})", hint)


def _mixer_name(mixer: object) -> str:
    """The short name of a mixer with its defaults, which ``read_value`` reads as that mixer."""
    from mixwright.mixers import MIXERS

    return next((name for name, cls in MIXERS.items() if mixer == cls()), str(mixer))


def _read_many(text: str, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    parts = text.strip("()[]").split(";")
    if len(parts) == 1 and _NUMBERS.fullmatch(parts[0]):
        parts = parts[0].split("-")
    parts = [part for part in parts if part]
    if len(kinds) < 2 or kinds[1] is Ellipsis:
        return tuple(read_value(part, kinds[0] if kinds else float) for part in parts)
    if len(parts) != len(kinds):
        raise _MisfitError(f"{len(kinds)} values, as in {';'.join(['1'] * len(kinds))}")
    return tuple(read_value(part, kind) for part, kind in zip(parts, kinds, strict=True))


class _Unresolved:
    """Stands for a type whose name is known to type checkers only."""

    def __class_getitem__(cls, inner: object) -> type:
        return cls


def _hints(of: Any) -> dict[str, Any]:
    """Types by name; names imported under ``TYPE_CHECKING`` alone stand for Python-only types."""
    known: dict[str, Any] = {}
    while True:
        try:
            return typing.get_type_hints(of, localns=known or None)
        except NameError as error:
            if not error.name or error.name in known:
                return {}
            known[error.name] = type(error.name, (_Unresolved,), {})
        except TypeError:
            return {}


def check_value(value: Any, kind: Any) -> Any:
    """Return a value of Python in its declared type; whole numbers become floats.

    Raises:
        ValueError: it is of another type, or a float that is not finite.
    """
    found = _fit(value, kind, "")
    if isinstance(found, float) and not math.isfinite(found):
        raise _MisfitError(_WORDS[float], value=value)
    return found


def check_fields(record: Any, *, where: str, error: type[ValueError] = ValueError) -> None:
    """Bring every field of a frozen dataclass to its declared type, and check its rule.

    For ``__post_init__``. Records of 1 and of 1.0 are then written alike; see ``check_value``.

    Args:
        record: the dataclass.
        where: what messages call it.
        error: raised for a value that does not fit.
    """
    kinds = field_types(type(record))
    for field in dataclasses.fields(record):
        name, rule = field.name, field.metadata.get("rule")
        value = getattr(record, name)
        try:
            value = check_value(value, kinds[name])
            if rule and value is not None and not rule.keeps(value):
                also = ", or null" if type(None) in typing.get_args(kinds[name]) else ""
                raise _MisfitError(rule.expected + also)
        except _MisfitError as misfit:
            misfit.value, misfit.at = value, name
            raise error(_misfit_text(where, misfit)) from None
        object.__setattr__(record, name, value)


def decode(cls: type[T], raw: Any, *, where: str, error: type[ValueError] = ValueError) -> T:
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
        ValueError: as ``error``: a field is unknown, missing or of another type.

    Example:
        >>> @dataclasses.dataclass(frozen=True)
        ... class Score:
        ...     mean: float
        ...     seeds: tuple[int, ...] = ()
        >>> decode(Score, {"mean": None, "seeds": [0, 1]}, where="score.json")
        Score(mean=nan, seeds=(0, 1))
        >>> decode(Score, {"mean": 1, "seeds": [0, "1"]}, where="score.json")
        Traceback (most recent call last):
        ...
        ValueError: score.json: seeds[1] is '1'; expected a whole number.
    """
    try:
        return _fit_record(raw, cls, "")
    except _MisfitError as misfit:
        raise error(_misfit_text(where, misfit)) from None
    except _FieldsError as fields:
        raise error(f"{where}: {fields}") from None


def _misfit_text(where: str, misfit: _MisfitError) -> str:
    value = misfit.value
    several = isinstance(value, Mapping | list | tuple)  # may be long: its type says enough
    shown = f"a {type(value).__name__}" if several else repr(value)
    found = f"{misfit.at} is {shown}" if misfit.at else f"JSON holds {shown}"
    return f"{where}: {found}; expected {misfit.expected}.{misfit.hint}"


def _fit(value: Any, kind: Any, at: str) -> Any:
    """The value in a declared type; ``at`` is its place, for messages."""
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if kind is Any:
        return value
    if origin in _UNIONS:
        return _fit_union(value, inner, at)
    if origin is Literal:
        return _fit_literal(value, inner, at)
    if dataclasses.is_dataclass(kind):
        return _fit_record(value, kind, at)
    if origin in (tuple, list, Sequence):
        return _fit_several(value, origin, inner, at)
    if origin in (dict, Mapping):
        return _fit_mapping(value, inner, at)
    if kind is float and (value is None or type(value) in (int, float)):
        return math.nan if value is None else float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if type(value) is kind:  # not isinstance: True is no number
        return value
    raise _MisfitError(_WORDS.get(kind, f"a {kind.__name__}"), value=value, at=at)


def _fit_union(value: Any, kinds: tuple[Any, ...], at: str) -> Any:
    if type(value) in kinds:  # 3 of int | float stays an int, None is no NaN
        return value
    others = [kind for kind in kinds if kind is not type(None)]
    if len(others) == 1 and dataclasses.is_dataclass(others[0]):
        return _fit(value, others[0], at)  # its own message says more
    misfits: list[_MisfitError] = []
    for kind in kinds:
        try:
            return _fit(value, kind, at)
        except _MisfitError as misfit:
            misfits.append(misfit)
    expected = " or ".join(misfit.expected for misfit in misfits)
    raise _MisfitError(expected, "".join(misfit.hint for misfit in misfits), value=value, at=at)


def _fit_literal(value: Any, words: tuple[Any, ...], at: str) -> Any:
    for word in words:
        if type(value) is type(word) and value == word:
            return value
    choices = [str(word) for word in words]
    hint = did_you_mean(str(value), choices, quote="'")
    raise _MisfitError(f"one of {', '.join(choices)}", hint, value=value, at=at)


def _fit_record(value: Any, cls: Any, at: str) -> Any:
    if isinstance(value, cls):
        return value
    if not isinstance(value, Mapping):
        raise _MisfitError("an object of fields", value=value, at=at)
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
        raise _MisfitError("a list", value=value, at=at)
    values: Sequence[Any] = value
    if not kinds or origin is not tuple or kinds[-1] is Ellipsis:
        kinds = (kinds[0] if kinds else Any,) * len(values)
    if len(kinds) != len(values):
        raise _MisfitError(f"a list of {len(kinds)}", value=value, at=at)
    pairs = enumerate(zip(values, kinds, strict=True))
    found = [_fit(one, kind, f"{at}[{place}]") for place, (one, kind) in pairs]
    return found if origin is list else tuple(found)


def _fit_mapping(value: Any, kinds: tuple[Any, ...], at: str) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _MisfitError("an object", value=value, at=at)
    raw: Mapping[Any, Any] = value
    key_kind, kind = kinds or (Any, Any)
    found: dict[Any, Any] = {}
    for key, one in raw.items():  # keys are text in JSON, whatever they were
        try:
            known = read_value(key, key_kind) if isinstance(key, str) else key
        except _MisfitError as misfit:
            raise _FieldsError(f"{at} has the key {key!r}; expected {misfit.expected}.") from None
        found[known] = _fit(one, kind, f"{at}[{key!r}]")
    return found
