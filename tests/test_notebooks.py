"""The tutorials: what is kept in them is fit to be kept, and the code of the quick ones runs.

``scripts/run_notebooks --check`` executes all of them, with their commands, where the extra
``site`` is installed.
"""

from __future__ import annotations

import copy
import json
import sys
import types
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

from test_docs import LINK, headings

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
QUICK = ("own-loop", "own-mixer", "reading-a-report")  # seconds, and no commands
GOOD = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": 1,
            "outputs": [{"output_type": "display_data", "data": {"image/png": "iVBOR"}}],
        }
    ]
}


@pytest.fixture(scope="module")
def script() -> types.ModuleType:
    loader = SourceFileLoader("run_notebooks", str(ROOT / "scripts" / "run_notebooks"))
    spec = spec_from_loader(loader.name, loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def code_of(path: Path) -> list[str]:
    cells = json.loads(path.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_there_are_tutorials_and_all_quick_ones_are_among_them() -> None:
    assert {path.stem for path in TUTORIALS} > set(QUICK)


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_what_is_kept_of_a_tutorial_is_fit_to_be_kept(path: Path, script: Any) -> None:
    assert script.faults(path.read_text()) == []


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_links_of_a_tutorial_lead_somewhere(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    links = [link for link in LINK.findall(text) if not link[0].startswith("http")]
    assert links
    for target, heading in links:
        assert (path.parent / target).exists(), target
        assert not heading or heading in headings(path.parent / target), f"{target}#{heading}"


@pytest.mark.parametrize("name", QUICK)
def test_the_code_of_a_quick_tutorial_runs(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import matplotlib as mpl
    from matplotlib import pyplot

    folder = tmp_path / "docs" / "tutorials"
    folder.mkdir(parents=True)
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    monkeypatch.chdir(folder)
    page = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)  # where dataclasses look for their module
    with mpl.rc_context({"backend": "agg"}):
        for number, code in enumerate(code_of(ROOT / "docs" / "tutorials" / f"{name}.ipynb")):
            exec(compile(code, f"{name}, code cell {number + 1}", "exec"), page.__dict__)
        pyplot.close("all")


# ------------------------------------------------------------------ the rules themselves


def notebook(script: Any, **output: Any) -> str:
    """A notebook of one cell that is fit to be kept, but for what its second output says."""
    book = {"metadata": copy.deepcopy(script._METADATA), **copy.deepcopy(GOOD)}
    if output:
        book["cells"][0]["outputs"].append(output)
    return json.dumps(book)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ({}, []),
        ({"output_type": "stream", "name": "stdout", "text": "in runs/compare, 3/4 done"}, []),
        ({"output_type": "stream", "name": "stdout", "text": "https://example.org/tmp/x"}, []),
        (
            {"output_type": "stream", "name": "stdout", "text": ["written to ", "/tmp/x/report\n"]},
            ["a path of one machine is kept: '/tmp/x/report'"],
        ),
        (
            {"output_type": "execute_result", "data": {"text/plain": "Path('/home/me/a.png')"}},
            ['a path of one machine is kept: "/home/me/a.png\')"'],
        ),
        (
            {"output_type": "stream", "name": "stderr", "text": "UserWarning: old"},
            ["an error or a warning is kept: 'UserWarning: old'"],
        ),
        (
            {"output_type": "stream", "name": "stdout", "text": "FutureWarning: soon"},
            ["an error or a warning is kept: 'FutureWarning: soon'"],
        ),
        (
            {"output_type": "stream", "name": "stdout", "text": "\x1b[2Kall runs"},
            ["colours or moving bars are kept: '\\x1b[2Kall runs'"],
        ),
        (
            {"output_type": "error", "evalue": "no", "traceback": ["line 1"]},
            ["an error or a warning is kept: 'noline 1'"],
        ),
    ],
)
def test_outputs_that_are_not_fit_are_named(
    output: dict[str, Any], expected: list[str], script: Any
) -> None:
    assert script.faults(notebook(script, **output)) == expected


def test_large_unrun_and_pictureless_notebooks_are_named(script: Any) -> None:
    book = json.loads(notebook(script))
    book["cells"][0] |= {"execution_count": None, "outputs": []}
    book["metadata"]["language_info"]["version"] = "3.11.7"
    book["padding"] = "x" * 300_000
    assert [line.split(";")[0].split(":")[0] for line in script.faults(json.dumps(book))] == [
        f"{len(json.dumps(book))} bytes",
        "metadata of a machine",
        "not run from top to bottom",
        "no picture",
    ]


def test_outputs_of_other_kinds_than_todays_are_named(script: Any) -> None:
    kept = json.loads(notebook(script))
    fresh = json.loads(notebook(script, output_type="stream", name="stdout", text="new"))
    assert script.changes(kept, kept) == []
    assert script.changes(kept, fresh) == [
        "cell 0: ['display_data image/png'] is kept, today it gives "
        "['display_data image/png', 'stream']: scripts/run_notebooks"
    ]


def test_a_tutorial_that_is_not_there_is_the_users_mistake(
    script: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        script.main(["own-lop"])
    assert left.value.code == 2
    assert "no tutorial is called 'own-lop'; expected one of fine-tuning" in capsys.readouterr().err


def test_a_cell_that_raises_fails_with_its_error(
    script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any
) -> None:
    pytest.importorskip("nbclient", reason="the extra site is not installed")
    pytest.importorskip("ipykernel", reason="the extra site is not installed")
    book = json.loads(notebook(script)) | {"nbformat": 4, "nbformat_minor": 5}
    book["cells"][0] |= {"id": "a", "metadata": {}, "source": "print(1 / 0)", "outputs": []}
    path = tmp_path / "broken.ipynb"
    path.write_text(json.dumps(book))
    monkeypatch.setattr(script, "TUTORIALS", tmp_path)
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")  # the script sets it: given back after
    assert script.main(["--check"]) == 1
    said = capsys.readouterr().out
    assert "broken: failed" in said
    assert "ZeroDivisionError: division by zero" in said
    assert json.loads(path.read_text()) == book
