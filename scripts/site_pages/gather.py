"""Gather the pages of the site in one folder, written ones and generated ones, and its settings.

    python -m site_pages.gather FOLDER

``scripts/site`` calls it, and has Zensical build the site from what is in FOLDER then.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import yaml

from mixwright.lab.reports.playground import write_playground
from site_pages.methods import write_method_pages
from site_pages.navigation import filled, pages_in
from site_pages.notebooks import notebook_page
from site_pages.places import ALONE, RECORDS, ROOT, moved_links, page_of
from site_pages.record_pages import write_record_pages
from site_pages.reference import write_reference

SETTINGS = ROOT / "mkdocs.yml"
STYLE = Path(__file__).with_name("site.css")


def written_pages() -> list[str]:
    """Pages that somebody wrote, and notebooks, relative to the repository."""
    docs = [*ROOT.glob("docs/**/*.md"), *ROOT.glob("docs/**/*.ipynb")]
    records = ROOT.glob(f"{RECORDS}/*.md")
    alone = [ROOT / path for path in ALONE]
    return sorted({str(file.relative_to(ROOT)) for file in (*docs, *records, *alone)})


def copy_written_pages(pages: Path) -> None:
    """Copy all written pages to their places, their links with them, and what they show."""
    for source in written_pages():
        page = page_of(source)
        assert page is not None, source
        place = pages / page
        place.parent.mkdir(parents=True, exist_ok=True)
        file = ROOT / source
        text = notebook_page(file, place) if file.suffix == ".ipynb" else file.read_text()
        place.write_text(moved_links(text, source=source, page=page))
    for file in (ROOT / "docs").rglob("*"):
        if file.is_file() and file.suffix not in (".md", ".ipynb"):
            place = pages / file.relative_to(ROOT / "docs")
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, place)


def settings(pages: Path) -> dict[str, Any]:
    """The settings of ``mkdocs.yml`` with the pages that are there, for the folder around them.

    Raises:
        ValueError: a page stands nowhere in the navigation, or there only.
    """
    found: dict[str, Any] = yaml.safe_load(SETTINGS.read_text())
    found["nav"] = filled(found["nav"], pages)
    listed = set(pages_in(found["nav"]))
    missing = [page for page in sorted(listed) if not (pages / page).is_file()]
    if missing:
        raise ValueError(
            f"the navigation leads to {', '.join(missing)}, which is not there; expected pages. "
            "Take it out of nav of mkdocs.yml, or write it."
        )
    lost = [page for page in map(str, _written(pages)) if page not in listed]
    if lost:
        raise ValueError(
            f"no navigation leads to {', '.join(lost)}; expected every page in nav of mkdocs.yml. "
            "Add it there."
        )
    found |= {"docs_dir": pages.name, "site_dir": "html"}
    python = found["plugins"][-1]["mkdocstrings"]["handlers"]["python"]
    python["paths"] = [str(ROOT / path) for path in python["paths"]]
    options = python["options"]
    options["extensions"] = [str(ROOT / path) for path in options["extensions"]]
    return found


def _written(pages: Path) -> list[Path]:
    return sorted(file.relative_to(pages) for file in pages.rglob("*.md"))


def gather(folder: Path, *, pictures: bool = True) -> Path:
    """Fill a folder with all pages and the settings that build them; return the settings."""
    pages = folder / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    copy_written_pages(pages)
    write_method_pages(pages, pictures=pictures)
    write_record_pages(pages)
    write_reference(pages)
    write_playground(pages / "playground.html")
    shutil.copyfile(STYLE, pages / STYLE.name)
    file = folder / "mkdocs.yml"
    file.write_text(yaml.safe_dump(settings(pages), sort_keys=False))
    return file


if __name__ == "__main__":
    gather(Path(sys.argv[1]).resolve())
