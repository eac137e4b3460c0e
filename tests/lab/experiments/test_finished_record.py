"""What makes a stored record and page stale: each file and word that went in, and what came out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mixwright.lab.experiments import finished_record
from mixwright.lab.experiments.finished_record import (
    FILE,
    Inputs,
    note_inputs,
    request_digest,
    unchanged,
)


@dataclass(frozen=True)
class Options:
    seeds: int = 3


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder as a finished comparison leaves it, on photographs that lie beside it."""
    for name in ("cats/a.png", "dogs/b.png"):
        write(tmp_path / "photos" / name, name)
    folder = tmp_path / "out"
    for name in ("comparison.json", "comparison.csv", "report.html", "figures/a.png", "cost.json",
                 "runs/none-s0-1/result.json", "runs/none-s0-1/last.pt", "logs/none-s0-1.log",
                 "runs/other-s0-2/result.json", ".lock"):  # fmt: skip
        write(folder / name, name)
    note_inputs(
        folder,
        request="r",
        data_name=f"folder:{tmp_path / 'photos'}",
        data_dir=None,
        data="d",
        runs=[folder / "runs/none-s0-1"],
        page=folder / "report.html",
        heading="three words here",
    )
    return folder


def asked(out: Path, *, request: str = "r", data: str | None = None) -> Inputs | None:
    name = f"folder:{out.parent / 'photos'}"
    return unchanged(out, request=request, data_name=name, data_dir=None, data=data)


def later(file: Path) -> None:
    os.utime(file, ns=(file.stat().st_atime_ns, file.stat().st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "a damaged record": lambda out: (out / "comparison.json").write_text("{"),
    "no table": lambda out: (out / "comparison.csv").unlink(),
    "no page": lambda out: (out / "report.html").unlink(),
    "another page": lambda out: (out / "report.html").write_text("by somebody else"),
    "a figure gone": lambda out: (out / "figures/a.png").unlink(),
    "a second record": lambda out: (out / "evaluation.json").write_text("{}"),
    "other costs": lambda out: (out / "cost.json").write_text("{}"),
    "another result": lambda out: (out / "runs/none-s0-1/result.json").write_text("{}"),
    "a run that went on": lambda out: (out / "runs/none-s0-1/metrics.jsonl").write_text("{}"),
    "another checkpoint": lambda out: later(out / "runs/none-s0-1/last.pt"),
    "no run": lambda out: (out / "runs/none-s0-1/result.json").unlink(),
    "a new photograph": lambda out: write(out.parent / "photos/cats/c.png", "c"),
    "a changed photograph": lambda out: later(out.parent / "photos/cats/a.png"),
    "no photographs": lambda out: (out.parent / "photos").rename(out.parent / "gone"),
    "nothing known": lambda out: (out / FILE).unlink(),
    "no JSON": lambda out: (out / FILE).write_text("{"),
    "another format": lambda out: (out / FILE).write_text('{"request": "r"}'),
}


def test_while_nothing_has_changed_it_is_as_it_was(out: Path) -> None:
    found = asked(out)
    assert found is not None
    assert (found.heading, found.page, found.runs) == (
        "three words here", "report.html", ("runs/none-s0-1",),
    )  # fmt: skip
    write(out / "logs/none-s0-1.log", "more")  # neither is any part of the record
    write(out / "runs/other-s0-2/result.json", "changed")
    write(out / ".lock", "held")
    assert asked(out) == found


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_makes_the_record_stale(out: Path, what: str) -> None:
    CHANGES[what](out)
    assert asked(out) is None


def test_another_request_is_another_record(out: Path) -> None:
    assert asked(out, request="s") is None
    requests = {
        request_digest("compare none", Options()),
        request_digest("compare none", Options(seeds=4)),
        request_digest("compare none cutmix", Options()),
    }
    assert len(requests) == 3
    assert request_digest("compare none", Options()) in requests


def test_data_of_the_same_content_are_the_same_wherever_and_whenever(out: Path) -> None:
    """Where the data were read anyway, their content decides."""
    later(out.parent / "photos/cats/a.png")
    assert asked(out) is None
    assert asked(out, data="d") is not None
    assert asked(out, data="e") is None


def test_another_version_of_the_code_makes_it_anew(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = out.parent / "package"
    write(package / "__init__.py", "")
    monkeypatch.setattr("mixwright.__file__", str(package / "__init__.py"))
    assert asked(out) is None


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("digits", True),
        ("folder:photos", True),
        ("folder:photos:val", True),
        ("csv:photos/labels.csv:label=kind", True),
        ("csv:photos/labels.csv:root=elsewhere", False),
        ("parquet:photos", True),
        ("hub:owner/name", False),
        ("folder:nowhere", False),
        ("cifar10", True),
    ],
)
def test_data_whose_files_are_not_known_are_read(
    name: str, known: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "photos/labels.csv", "image,kind")
    write(tmp_path / "files/cifar-10.tar.gz", "...")
    write(tmp_path / "out/comparison.json", "{}")
    options = {"data_name": name, "data_dir": "files"}
    note_inputs(Path("out"), request="r", data="d", runs=[], page=Path("out/report.html"),
                heading="", **options)  # fmt: skip
    assert (unchanged(Path("out"), request="r", **options) is not None) is known
    assert unchanged(Path("out"), request="r", data="d", **options) is not None
    assert bool(json.loads((tmp_path / "out" / FILE).read_text())["found"]) is known


def test_too_many_files_are_not_looked_up(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished_record, "_MOST", 1)
    assert asked(out) is None
    assert asked(out, data="d") is not None
