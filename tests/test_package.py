"""What is published: one version, addresses that lead somewhere, and archives that hold it all."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import mixwright

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REPOSITORY = PROJECT["urls"]["Repository"]
PAGES = f"{REPOSITORY}/blob/main/"
PICTURES = REPOSITORY.replace("github.com", "raw.githubusercontent.com") + "/main/"


def test_the_version_stands_in_one_place_and_others_agree() -> None:
    assert "version" in PROJECT["dynamic"]  # read from __init__.py
    cited = re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.M)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert cited
    assert newest
    assert cited[1] == newest[1] == mixwright.__version__


def test_the_command_says_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("jsonargparse")
    from mixwright.lab.cli import main

    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mixwright {mixwright.__version__}\n"


def addresses(text: str) -> list[str]:
    """The addresses of links and pictures, in the line or below the text."""
    inline = re.findall(r"\]\(([^)\s]+)\)", text)
    return [*inline, *re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.M)]


def test_every_address_of_the_readme_is_absolute_and_of_a_file_here() -> None:
    # The page of a published package shows the README alone, where no other address leads on.
    found = addresses(README)
    assert len(found) > 10
    for address in found:
        base = PICTURES if address.endswith(".png") else PAGES
        assert address.startswith(base), f"README.md: {address}; expected {base}..."
        path, _, heading = address.removeprefix(base).partition("#")
        assert (ROOT / path).is_file(), f"README.md: {address}"
        lines = re.findall(r"^#+ (.*)$", (ROOT / path).read_text(), re.M) if heading else []
        named = [re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines]
        assert not heading or heading in named, f"README.md: {address}"


def test_every_link_of_the_readme_is_defined_and_used() -> None:
    defined = re.findall(r"^\[([^\]]+)\]: ", README, re.M)
    assert sorted(re.findall(r"\]\[([^\]]+)\]", README)) == sorted(defined)


def test_the_addresses_of_the_project_are_of_one_repository() -> None:
    citation = (ROOT / "CITATION.cff").read_text()
    urls = [
        *PROJECT["urls"].values(),
        *re.findall(r"^(?:url|repository-code): (.*)$", citation, re.M),
    ]
    assert len(urls) == 7
    for url in urls:
        assert url == REPOSITORY or url.startswith(f"{REPOSITORY}/"), url
        path = url.removeprefix(REPOSITORY).split("/main/")
        assert len(path) == 1 or (ROOT / path[1]).exists(), url


def test_the_public_workflow_runs_scripts_that_are_here() -> None:
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    if not workflow.exists():
        pytest.skip("source archives hold no workflow")
    scripts = re.findall(r"(scripts/\w+)", workflow.read_text())
    assert {"scripts/check", "scripts/check_oldest", "scripts/check_integrations"} <= {*scripts}
    missing = {name for name in scripts if not (ROOT / name).is_file()}
    assert missing == set()


def build(what: str, source: Path, out: Path) -> Path:
    """Build a wheel or an sdist of a folder, by the backend that pip uses."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", what, "-d", str(out)],
        cwd=source,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (built,) = out.iterdir()
    return built


def test_the_archives_hold_the_same_and_what_the_tests_need(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    files = contents(build("wheel", ROOT, tmp_path / "wheel"))
    assert f"mixwright-{mixwright.__version__}.dist-info/METADATA" in files
    home = ROOT / "src"
    assert {name: text for name, text in files.items() if name.startswith("mixwright/")} == {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in (home / "mixwright").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    with tarfile.open(build("sdist", ROOT, tmp_path / "sdist")) as sdist:
        sdist.extractall(tmp_path, filter="data")
    source = tmp_path / f"mixwright-{mixwright.__version__}"
    assert contents(build("wheel", source, tmp_path / "again")) == files
    needed = "tests/cases.py docs/images/gallery.png CHANGELOG.md CITATION.cff constraints.txt"
    for name in (*needed.split(), "benchmarks/results/README.md", "scripts/check_gpu", "LICENSE"):
        assert (source / name).read_bytes() == (ROOT / name).read_bytes()


def contents(wheel: Path) -> dict[str, bytes]:
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
