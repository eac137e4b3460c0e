"""The documentation: its code runs, its links lead somewhere, and it names all that is public."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

import mixwright

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")])
FOLDERS = (ROOT / "docs" / "integrations", ROOT / "benchmarks" / "results")
LINKING = sorted([*PAGES, ROOT / "CHANGELOG.md", *(p for f in FOLDERS for p in f.glob("*.md"))])
LINK = re.compile(r"\]\(([^)#\s]*)#?([^)\s]*)\)")  # a target and a heading in it
# Those in folders below need other libraries: tests/integration runs them.
PAGES_OF_CODE = sorted(page.name for page in DOCS.glob("*.md") if "```python\n" in page.read_text())


@pytest.mark.parametrize("name", PAGES_OF_CODE)
def test_the_blocks_of_a_page_run_one_after_another(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # some write a file
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")  # some read a record of ours
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "compare").symlink_to(ROOT / "tests" / "lab" / "fixtures" / "run-format-1")
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(), re.S)
    assert blocks
    page = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)  # where dataclasses look for their module
    for block in blocks:
        exec(compile(block, name, "exec"), page.__dict__)


@pytest.mark.parametrize("page", LINKING, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, heading in LINK.findall(page.read_text()):
        if target.startswith("http"):
            continue
        file = page.parent / target if target else page
        assert file.exists(), f"{page.name}: {target}"
        if heading:
            assert heading in headings(file), f"{page.name}: {target}#{heading}"


def headings(page: Path) -> set[str]:
    """The headings of a page as links name them: lower case, dashes for blanks, no other signs."""
    found = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_public_name_is_on_a_page() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    missing = [name for name in mixwright.__all__ if not re.search(rf"\b{name}\b", text)]
    assert missing == []
