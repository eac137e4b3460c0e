"""Pages that somebody wrote: their place in the site, their links, notebooks, the navigation."""

from __future__ import annotations

import base64
import doctest
import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import site_pages
from site_pages import gather, places
from site_pages.navigation import filled, pages_in
from site_pages.notebooks import notebook_page
from site_pages.places import moved_links, page_of

ROOT = Path(__file__).parents[2]


MODULES = {one.name for one in pkgutil.iter_modules(site_pages.__path__)}


@pytest.mark.parametrize("name", sorted(MODULES - {"example_sections"}))  # needs the site's griffe
def test_the_examples_of_the_generator_run(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"site_pages.{name}")).failed == 0


@pytest.mark.parametrize(
    ("source", "target", "moved"),
    [
        ("docs/a.md", "methods.md", "methods.md"),
        ("docs/a.md", "../benchmarks/results/README.md#digits", "records/index.md#digits"),
        ("docs/a.md", "images/theory.png", "images/theory.png"),
        ("docs/tutorials/one.ipynb", "../own-loop.md", "../own-loop.md"),
        ("docs/a.md", "tutorials/one.ipynb", "tutorials/one.md"),
        ("docs/a.md", "integrations/README.md#b", "integrations/index.md#b"),
        ("docs/a.md", "#here", "#here"),
        ("docs/a.md", "https://example.org/a.md", "https://example.org/a.md"),
        ("CONTRIBUTING.md", "docs/design.md", "design.md"),
        ("benchmarks/results/README.md", "digits/comparison.json", "digits/comparison.json"),
        ("benchmarks/results/README.md", "../../docs/theory.md", "../theory.md"),
        ("benchmarks/results/README.md", "cifar10-resnet8/runs", "cifar10-resnet8.md"),
    ],
)
def test_links_lead_to_the_same_from_the_place_in_the_site(
    source: str, target: str, moved: str
) -> None:
    page = page_of(source)
    assert page is not None
    assert moved_links(f"a [b]({target}) c", source=source, page=page) == f"a [b]({moved}) c"


def test_links_out_of_the_site_lead_to_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "see [the code](../src/mixwright/plan) here"
    monkeypatch.setattr(places, "repository", lambda: "https://example.org/me/it")
    address = "https://example.org/me/it/tree/main/src/mixwright/plan"
    assert moved_links(text, source="docs/a.md", page="a.md") == f"see [the code]({address}) here"
    monkeypatch.setattr(places, "repository", lambda: "")
    assert moved_links(text, source="docs/a.md", page="a.md") == "see the code here"


def test_code_is_left_as_it_is() -> None:
    text = "```python\nx = table[0](../a.md)\n```\n[a](../CONTRIBUTING.md)\n"
    moved = moved_links(text, source="docs/a.md", page="a.md")
    assert moved == "```python\nx = table[0](../a.md)\n```\n[a](contributing.md)\n"


def cell(kind: str, source: str, outputs: tuple[Any, ...] = (), count: int | None = 1) -> Any:
    found: dict[str, Any] = {"cell_type": kind, "source": source.splitlines(keepends=True)}
    return found | ({"outputs": outputs, "execution_count": count} if kind == "code" else {})


def notebook(folder: Path, *cells: Any) -> Path:
    file = folder / "one.ipynb"
    file.write_text(json.dumps({"cells": cells}))
    return file


def test_a_notebook_becomes_a_page(tmp_path: Path) -> None:
    printed = {"output_type": "stream", "text": ["1 %\r2 %\r\x1b[1mdone\x1b[0m\n"]}
    drawn = {
        "output_type": "display_data",
        "data": {"image/png": base64.b64encode(b"PNG").decode(), "text/plain": "<Figure>"},
    }
    value = {"output_type": "execute_result", "data": {"text/plain": ["tensor(1)"]}}
    file = notebook(
        tmp_path,
        cell("markdown", "# One\n\ntext"),
        cell("code", "print(1)\nx", (printed, value)),
        cell("code", "draw()", (drawn,)),
        cell("code", ""),
    )
    page = tmp_path / "pages" / "one.md"
    assert notebook_page(file, page) == (
        "# One\n\ntext\n\n```python\nprint(1)\nx\n```\n\n```text\ndone\n```\n\n"
        "```text\ntensor(1)\n```\n\n```python\ndraw()\n```\n\n"
        "![What the code above draws](one-2-0.png)\n"
    )
    assert (page.parent / "one-2-0.png").read_bytes() == b"PNG"


def test_commands_of_a_notebook_are_shown_as_commands(tmp_path: Path) -> None:
    page = notebook_page(
        notebook(tmp_path, cell("code", "%%bash\nls \\\n  -l")), tmp_path / "one.md"
    )
    assert page == "```bash\nls \\\n  -l\n```\n"


def test_a_notebook_that_was_not_run_or_failed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"one\.ipynb: cell 0 was not run\. Run the notebook"):
        notebook_page(notebook(tmp_path, cell("code", "x", count=None)), tmp_path / "one.md")
    error = {"output_type": "error", "ename": "NameError", "evalue": "x"}
    with pytest.raises(ValueError, match="a cell failed with NameError: x"):
        notebook_page(notebook(tmp_path, cell("code", "x", (error,))), tmp_path / "one.md")


def test_the_navigation_is_filled_with_the_pages_of_folders(tmp_path: Path) -> None:
    for page in ("records/index.md", "records/b.md", "records/a.md"):
        (tmp_path / page).parent.mkdir(exist_ok=True)
        (tmp_path / page).write_text("# x")
    nav = [{"Start": ["index.md", {"Two": "two.html"}]}, {"Records": "records/"}]
    assert filled(nav, tmp_path) == [
        {"Start": ["index.md", {"Two": "two.html"}]},
        {"Records": ["records/index.md", "records/a.md", "records/b.md"]},
    ]
    (methods,) = filled([{"Mixers": "methods/mixers/"}], tmp_path)
    assert methods["Mixers"][:2] == ["methods/mixup.md", "methods/cutmix.md"]
    assert len(methods["Mixers"]) == 18


def test_every_written_page_is_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    listed = list(pages_in(nav))
    folders = tuple(entry for entry in listed if entry.endswith("/"))
    for source in gather.written_pages():
        page = page_of(source)
        assert page is not None
        assert page in listed or page.startswith(folders), f"{source}: add it to nav of mkdocs.yml"


def test_pages_and_navigation_have_to_agree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    (tmp_path / "mkdocs.yml").write_text(yaml.safe_dump(found | {"nav": ["index.md", "two.md"]}))
    monkeypatch.setattr(gather, "SETTINGS", tmp_path / "mkdocs.yml")
    pages = tmp_path / "pages"
    pages.mkdir()
    for name in ("index.md", "two.md"):
        (pages / name).write_text("# x")
    assert gather.settings(pages)["nav"] == ["index.md", "two.md"]
    (pages / "lost.md").write_text("# x")
    with pytest.raises(ValueError, match=r"no navigation leads to lost\.md; .* Add it there\."):
        gather.settings(pages)
    (pages / "lost.md").unlink()
    (pages / "two.md").unlink()
    with pytest.raises(ValueError, match=r"the navigation leads to two\.md, which is not there"):
        gather.settings(pages)
