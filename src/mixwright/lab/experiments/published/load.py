"""Published items by name, from the files that are shipped, or from a file of the user's."""

from __future__ import annotations

import functools
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

from mixwright.arguments import did_you_mean
from mixwright.lab.experiments.published.item import PublishedItem, check_item, one_of
from mixwright.lab.settings import decode

PAPERS = ("miamix", "hmix", "adautomix")
"""Folders of ``items``, in the order in which they are listed."""


@functools.cache
def item_names() -> tuple[str, ...]:
    """Return the name of every item that is shipped: ``miamix:layers``, ``adautomix:table1``."""
    home = files("mixwright.lab.experiments.published") / "items"
    return tuple(
        f"{paper}:{name}"
        for paper in PAPERS
        for name in sorted(
            (
                file.name.removesuffix(".toml")
                for file in (home / paper).iterdir()
                if file.name.endswith(".toml")
            ),
            key=_in_order,
        )
    )


def _in_order(name: str) -> tuple[str, int]:
    """``table10`` stands behind ``table9``."""
    word = name.rstrip("0123456789")
    return word, int(name[len(word) :] or 0)


def is_own_file(name: str) -> bool:
    """Whether an ITEM is a file of the user's.

    Example:
        >>> is_own_file("mine/Table.TOML"), is_own_file("miamix:layers")
        (True, False)
    """
    return name.lower().endswith(".toml")


def find_item(name: str) -> PublishedItem:
    """Return an item by its name, or that of a file of the user's, which ends in ``.toml``.

    Raises:
        ValueError: there is none of this name, or the file is damaged or contradicts itself.

    Example:
        >>> find_item("adautomix:figure2").diagram
        True
    """
    if is_own_file(name):
        try:
            text = Path(name).expanduser().read_text(encoding="utf-8")
        # Not there, not UTF-8 or with a null in its name, or of an unknown user.
        except (OSError, ValueError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ValueError(f"{name} cannot be read: {reason}; expected a file of a table.") from (
                None
            )
        return read_item(text, where=name)
    if name not in item_names():
        raise ValueError(
            f"there is no published table {name}.{did_you_mean(name, item_names())} "
            "mixwright reproduce --list shows all; a file of your own ends in .toml."
        )
    return _shipped(name)


@functools.cache
def _shipped(name: str) -> PublishedItem:
    paper, _, own = name.partition(":")
    file = files("mixwright.lab.experiments.published") / "items" / paper / f"{own}.toml"
    return read_item(file.read_text(encoding="utf-8"), where=f"items/{paper}/{own}.toml")


def read_item(text: str, *, where: str) -> PublishedItem:
    """Read the text of a file; ``where`` is what messages call it.

    Raises:
        ValueError: it is no TOML, a field is unknown or missing, or it contradicts itself.
    """
    try:
        raw: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:  # lists in lists without end
        reason = str(error).splitlines()[0]
        raise ValueError(f"{where}: not TOML ({reason}). docs/reproduce.md shows a file.") from None
    item = decode(PublishedItem, raw, where=where, error=ValueError)
    try:
        check_item(item)
        if item.same_as:
            one_of(item.same_as, item_names(), "same_as")
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    return item
