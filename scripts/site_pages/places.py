"""Where files of the repository stand in the site, and links between pages brought there."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]

RECORDS = "benchmarks/results"
ALONE = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    f"{RECORDS}/README.md": "records/index.md",
}
"""Pages outside ``docs`` that are pages of the site under another name."""

LINK = re.compile(r"(!?\[(?:[^\]\[]|\[[^\]]*\])*\]\()([^)\s]+)(\))")
FENCE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.M | re.S)


def repository() -> str:
    """The address of the public repository, or nothing where ``pyproject.toml`` names none."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project.get("urls", {}).get("Repository", "").rstrip("/")


def source_link(path: str, text: str | None = None) -> str:
    """A file of the repository in Markdown: a link to it where there is a public address."""
    address = repository()
    kind = "tree" if (ROOT / path).is_dir() else "blob"
    name = text or f"`{path}`"
    return f"[{name}]({address}/{kind}/main/{path})" if address else name


def page_of(path: str) -> str | None:
    """The page, picture or download of the site that a file of the repository is; None for none.

    Example:
        >>> page_of("docs/own-loop.md"), page_of("benchmarks/results/digits/comparison.json")
        ('own-loop.md', 'records/digits/comparison.json')
        >>> page_of("docs/tutorials/own-loop.ipynb"), page_of("src/mixwright/plan")
        ('tutorials/own-loop.md', None)
    """
    if path in ALONE:
        return ALONE[path]
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        page = re.sub(r"\.ipynb$", ".md", path.removeprefix("docs/"))
        return re.sub(r"(^|/)README\.md$", r"\1index.md", page)  # the first page of its folder
    if path.startswith(f"{RECORDS}/"):
        inside = path.removeprefix(f"{RECORDS}/")
        if (ROOT / path).is_dir():
            return f"records/{inside.split('/')[0]}.md"  # the page of the record shows its runs
        return f"records/{inside}"
    return None


def moved_links(text: str, *, source: str, page: str) -> str:
    """Return a page's Markdown with its relative links as they are from its place in the site.

    Args:
        text: Markdown.
        source: its file, relative to the repository.
        page: its place in the site.

    Links to files that are no part of the site lead to the public repository, where there is one,
    and else lose their link.

    Example:
        >>> moved_links("[x](../CONTRIBUTING.md#a-mixer)", source="docs/a.md", page="a.md")
        '[x](contributing.md#a-mixer)'
    """
    # What stands in fences and between backticks is no link.
    pieces, end = list[str](), 0
    for fence in [*FENCE.finditer(text), None]:
        until = len(text) if fence is None else fence.start()
        pieces.append(_moved(text[end:until], source, page))
        if fence is not None:
            pieces.append(fence[0])
            end = fence.end()
    return "".join(pieces)


def _moved(text: str, source: str, page: str) -> str:
    def moved(match: re.Match[str]) -> str:
        target, _, heading = match[2].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = os.path.normpath(f"{PurePosixPath(source).parent}/{target}")
        found = page_of(path)
        anchor = f"#{heading}" if heading else ""
        if found is not None:
            return f"{match[1]}{relative(found, page)}{anchor}{match[3]}"
        label = match[1].lstrip("!")[1:-2]
        return source_link(path, label)

    return LINK.sub(moved, text)


def relative(target: str, page: str) -> str:
    """The link from one page of the site to another.

    Example:
        >>> relative("records/index.md", "methods/cutmix.md")
        '../records/index.md'
    """
    return os.path.relpath(target, PurePosixPath(page).parent or ".").replace(os.sep, "/")
