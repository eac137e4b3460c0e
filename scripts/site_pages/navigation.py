"""The navigation: ``nav`` of ``mkdocs.yml``, with the pages that are there in place of folders."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mixwright.mixers import MIXERS
from mixwright.objectives import OBJECTIVES

Entry = Any
"""As in ``mkdocs.yml``: a page, or one title with a page or a list of entries."""


def filled(nav: list[Entry], pages: Path) -> list[Entry]:
    """Return the navigation with its folders filled in."""
    return [_filled(one, pages) for one in nav]


def _filled(entry: Entry, pages: Path) -> Entry:
    if isinstance(entry, str):
        return entry
    ((title, inside),) = entry.items()
    if isinstance(inside, list):
        return {title: filled(inside, pages)}
    if inside.endswith("/"):
        return {title: FOLDERS.get(inside, _all(inside))(pages)}
    return entry


def _all(folder: str) -> Callable[[Path], list[str]]:
    """All pages of a folder and of those in it: its index first, the rest by their names."""

    def listed(pages: Path) -> list[str]:
        found = sorted(str(file.relative_to(pages)) for file in (pages / folder).rglob("*.md"))
        return sorted(found, key=lambda page: not page.endswith("/index.md"))

    return listed


def _methods(names: dict[str, Any]) -> Callable[[Path], list[str]]:
    return lambda pages: [f"methods/{name}.md" for name in names]


FOLDERS: dict[str, Callable[[Path], list[str]]] = {
    "methods/mixers/": _methods(MIXERS),
    "methods/objectives/": _methods(OBJECTIVES),
}
"""Folders of ``nav`` that have an order of their own."""


def pages_in(nav: list[Entry]) -> Iterator[str]:
    """Every page of a navigation, in its order."""
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for inside in entry.values():
                yield from pages_in(inside) if isinstance(inside, list) else [inside]


def title_of(page: Path) -> str:
    """The first heading of a page."""
    found = re.search(r"^# (.+)$", page.read_text(), re.M)
    return found[1] if found else page.stem
