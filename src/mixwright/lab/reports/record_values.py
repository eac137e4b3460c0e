"""Tells a value that a record lacks from a fault of ours: both are lookups that fail."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

T = TypeVar("T")


class MissingError(LookupError):
    """A record has no such value."""


class _Object(dict[Any, Any]):
    def __missing__(self, key: object) -> Any:
        raise MissingError(f"{key!r} is not there")


class _Row:
    """A list or tuple; a class of each below."""

    def __getitem__(self, place: Any) -> Any:
        values: Any = super()
        try:
            return values.__getitem__(place)
        except IndexError:
            raise MissingError(f"entry {place} is not there") from None


class _List(_Row, list[Any]):
    pass


class _Tuple(_Row, tuple[Any, ...]):
    pass


def watched(value: T) -> T:
    """Return what was read from a record, in which a failing lookup is a ``MissingError``."""
    found: Any = value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: watched(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
        found = dataclasses.replace(value, **fields)
    elif isinstance(value, Mapping):
        found = _Object({key: watched(item) for key, item in value.items()})
    elif type(value) in (tuple, list):
        found = (_List if type(value) is list else _Tuple)(map(watched, found))
    return found
