"""Values of options, read from text by the types a class declares for them."""

import inspect
import re
import types
import typing
from typing import Any, Literal

from mixwright.experiments.suggest import did_you_mean

_NUMBERS = re.compile(r"[\d.]+(-[\d.]+)+")  # 2-6; not -1 and not 1e-3


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
    hints = _hints(cls.__init__) | _hints(cls)
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
    ``2;6``; one of the words of a ``Literal``. Of a union the first type that fits is taken.

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
    if origin in (typing.Union, types.UnionType):
        return _read_union(text, inner)
    if origin is Literal:
        return _read_literal(text, inner)
    if origin in (tuple, list) or kind in (tuple, list):
        return _read_many(text, inner)
    if kind is type(None):
        if text.lower() == "none":
            return None
        raise ValueError("expected none.")
    if kind is bool:
        if text.lower() in ("true", "yes", "on", "1", "false", "no", "off", "0"):
            return text.lower() in ("true", "yes", "on", "1")
        raise ValueError("expected true or false.")
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            what = "a whole number" if kind is int else "a number"
            raise ValueError(f"expected {what}.") from None
    if kind in (str, Any):
        return text
    name = getattr(kind, "__name__", str(kind))
    raise ValueError(f"it takes a {name}, which can be given in Python only.")


def write_value(value: object) -> str:
    """The shortest text that ``read_value`` reads as the same value.

    Args:
        value: a number, truth value, text, None or a tuple of them.

    Returns:
        its text.

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
    return str(value)


def _read_union(text: str, kinds: tuple[Any, ...]) -> Any:
    # None and numbers before text, since text fits anything.
    order = sorted(kinds, key=lambda kind: (kind is str, kind is not type(None)))
    reasons: list[str] = []
    for kind in order:
        try:
            return read_value(text, kind)
        except ValueError as error:
            reasons.append(str(error).removeprefix("expected ").rstrip("."))
    raise ValueError(f"expected {' or '.join(reasons)}.")


def _read_literal(text: str, words: tuple[Any, ...]) -> Any:
    for word in words:
        if text == str(word):
            return word
    choices = [str(word) for word in words]
    raise ValueError(f"expected one of {', '.join(choices)}.{did_you_mean(text, choices)}")


def _read_many(text: str, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    parts = text.strip("()[]").split(";")
    if len(parts) == 1 and _NUMBERS.fullmatch(parts[0]):
        parts = parts[0].split("-")
    parts = [part for part in parts if part]
    if len(kinds) < 2 or kinds[1] is Ellipsis:
        return tuple(read_value(part, kinds[0] if kinds else float) for part in parts)
    if len(parts) != len(kinds):
        raise ValueError(f"expected {len(kinds)} values, as in {';'.join(['1'] * len(kinds))}.")
    return tuple(read_value(part, kind) for part, kind in zip(parts, kinds, strict=True))


def _hints(of: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(of)
    except (NameError, TypeError):  # names known to type checkers only
        return {}
