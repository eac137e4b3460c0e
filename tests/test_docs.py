"""The documentation: its code runs, its links lead somewhere, and it names all that is public."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import pytest

import mixwright

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
PAGES_OF_CODE = (
    "own-loop.md",
    "own-mixer.md",
    "model-aware.md",
    "learned-mixers.md",
    "data.md",
    "theory.md",
    "evaluation.md",
)


@pytest.mark.parametrize("name", PAGES_OF_CODE)
def test_the_blocks_of_a_page_run_one_after_another(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # some write a file
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(), re.S)
    assert blocks
    page = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)  # where dataclasses look for their module
    for block in blocks:
        exec(compile(block, name, "exec"), page.__dict__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_public_name_is_on_a_page() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    missing = [name for name in mixwright.__all__ if not re.search(rf"\b{name}\b", text)]
    assert missing == []
