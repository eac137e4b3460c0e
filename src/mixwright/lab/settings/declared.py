"""What a class declares of its settings: fields, types, rules and lines of help."""

import dataclasses
import inspect
import typing
from collections.abc import Callable
from functools import cache, reduce
from operator import or_
from typing import Any, Literal

from mixwright.arguments import UNIONS, type_hints


class MisfitError(ValueError):
    """A value is none of a type; ``expected`` says what one is, without a full stop."""

    def __init__(self, expected: str, hint: str = "", *, value: object = "", at: str = "") -> None:
        super().__init__(f"expected {expected}.{hint}")
        self.expected, self.hint, self.value, self.at = expected, hint, value, at


@dataclasses.dataclass(frozen=True)
class Rule:
    """What the values of a field keep beside their type; ``expected`` says it in messages."""

    expected: str
    keeps: Callable[[Any], bool]


def option(
    default: Any,
    about: str,
    *,
    metavar: str | None = None,
    group: str = "options",
    rule: Rule | None = None,
    default_text: str | None = None,
) -> Any:
    """Return a dataclass field that is an option of the command line; True and False make switches.

    ``about`` is its line for ``--help``, ``metavar`` stands for the value where it is not one of a
    few words, ``group`` is its heading there, and ``rule`` what ``check_fields`` asks of its
    values. ``default_text`` stands behind the word default in ``--help``, where ``about`` does not
    say it and the value itself says too little.
    """
    metadata = {
        "about": about,
        "metavar": metavar,
        "group": group,
        "rule": rule,
        "default": default_text,
    }
    return dataclasses.field(default=default, metadata=metadata)


@cache
def field_types(cls: type) -> dict[str, Any]:
    """Return the fields that a dataclass is made of, and their types."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def without_none(kind: Any) -> Any:
    """Return a type without None, where a union has it."""
    if typing.get_origin(kind) not in UNIONS:
        return kind
    return reduce(or_, (member for member in typing.get_args(kind) if member is not type(None)))


def choices(kind: Any) -> tuple[str, ...]:
    """Return the words of a ``Literal`` or of a truth value; of other types none."""
    if kind is bool:
        return "true", "false"
    return tuple(map(str, typing.get_args(kind))) if typing.get_origin(kind) is Literal else ()


def option_types(cls: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of the options of a class or function, ``str`` where none is declared.

    Example:
        >>> class Blend:
        ...     def __init__(self, alpha: float = 1.0) -> None: ...
        >>> option_types(Blend)
        {'alpha': <class 'float'>}
    """
    # What a dataclass declares is known where it stands; another class's __init__ says more.
    if not isinstance(cls, type):
        hints = type_hints(cls)
    elif dataclasses.is_dataclass(cls):
        hints = type_hints(cls.__init__) | type_hints(cls)
    else:
        hints = type_hints(cls) | type_hints(cls.__init__)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: hints.get(name, str)
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind in kinds
    }
