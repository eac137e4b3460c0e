"""Look a built site over, without a network: links, anchors, pictures, lost pages, other hosts.

    python -m site_pages.check FOLDER

Prints every fault and ends with 1 where there is one.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

WORDS = (
    *("saliency", "callback", "criterion", "mixup for segmentation", "label smoothing"),
    *("learning rate", "checkpoint", "calibration", "ImageNet", "Vision Transformer", "collate"),
)
"""What people search for; the search must lead somewhere."""

_FETCHED = {"img", "script", "iframe", "source", "video", "audio", "embed", "object"}
_APART = ("404.html",)  # served by the host of the site, and linked from nowhere


@dataclass
class _Page(HTMLParser):
    """What a page links to, shows, and is linked by."""

    links: list[str] = field(default_factory=list[str])
    fetched: list[str] = field(default_factory=list[str])
    anchors: set[str] = field(default_factory=set[str])
    nameless: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See ``HTMLParser``."""
        given = {name: value or "" for name, value in attrs}
        self.anchors.update(given[name] for name in ("id", "name") if name in given)
        if tag in ("a", "area") and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and "href" in given:
            self.fetched.append(given["href"])
        elif tag in _FETCHED:
            self.fetched += [given[name] for name in ("src", "data", "poster") if given.get(name)]
            sources = given.get("srcset", "").split(",")
            self.fetched += [one.split()[0] for one in sources if one.strip()]
        if tag == "img" and not given.get("alt"):
            self.nameless.append(given.get("src", ""))


def read_page(file: Path) -> _Page:
    """Read one page."""
    page = _Page()
    page.feed(file.read_text())
    return page


def faults(site: Path) -> Iterator[str]:
    """Every fault of a built site, a sentence each."""
    pages = {file: read_page(file) for file in sorted(site.rglob("*.html"))}
    if not pages:
        yield f"{site} holds no page; build the site first: bash scripts/site."
        return
    for file, page in pages.items():
        name = file.relative_to(site)
        for target in [*page.links, *page.fetched]:
            if fault := _broken(target, file, site, pages):
                yield f"{name}: {fault}"
        for target in page.fetched:
            if urlsplit(target).scheme in ("http", "https") or target.startswith("//"):
                yield f"{name}: {target} is fetched from another host"
        for picture in page.nameless:
            yield f"{name}: the picture {picture} has no text for those who do not see it"
    for style in sorted(site.rglob("*.css")):
        for target in re.findall(
            r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]+)", style.read_text()
        ):
            yield f"{style.relative_to(site)}: {target} is fetched from another host"
    yield from _lost(site, pages)
    yield from _unfound(site)


def _broken(target: str, file: Path, site: Path, pages: dict[Path, _Page]) -> str | None:
    """What is wrong with a link, or None."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or file.name in _APART:
        return None
    place = file
    if parts.path:
        base = site if parts.path.startswith("/") else file.parent
        place = (base / unquote(parts.path).lstrip("/")).resolve()
        place = place / "index.html" if place.is_dir() else place
    if not place.is_file():
        return f"{target} leads nowhere"
    anchor = unquote(parts.fragment)
    if anchor and place in pages and anchor not in pages[place].anchors:
        return f"{target}: that page has no such heading"
    return None


def _lost(site: Path, pages: dict[Path, _Page]) -> Iterator[str]:
    """Pages that no link from the first page leads to, over other pages or straight."""
    found, todo = set[Path](), [site / "index.html"]
    while todo:
        file = todo.pop()
        if file in found or file not in pages:
            continue
        found.add(file)
        for target in pages[file].links:
            parts = urlsplit(target)
            if not parts.scheme and not parts.netloc and parts.path:
                todo.append((file.parent / unquote(parts.path)).resolve())
    for file in pages:
        if file not in found and file.name not in _APART:
            yield f"{file.relative_to(site)}: no link leads there from the first page"


def _unfound(site: Path) -> Iterator[str]:
    """Words that people look for and the search does not know."""
    index = site / "search.json"
    if not index.is_file():
        yield "search.json is missing: the site cannot be searched"
        return
    text = json.dumps(json.loads(index.read_text()), ensure_ascii=False).lower()
    plain = " ".join(re.sub(r"<[^>]*>", "", text).split())
    for words in WORDS:
        if words.lower() not in plain:
            yield f"search: nothing is found for {words!r}"


def main(site: Path) -> int:
    """Print all faults of a site; return how many kinds of end there are: 0, or 1 with faults."""
    found = list(faults(site.resolve()))
    for fault in found:
        print(fault)
    count = sum(1 for _ in site.rglob("*.html"))
    print(f"{count} pages looked over, {len(found)} fault{'' if len(found) == 1 else 's'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
