"""An evaluation with its section is two files and one row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mixwright.lab.evaluation as evaluations
import mixwright.lab.reports.sections as sections
from mixwright.lab.cli import main
from mixwright.lab.experiments.evaluations.parts import PARTS

EVALUATION = '''
from dataclasses import dataclass
from typing import ClassVar

from mixwright.lab.evaluation.subject import Measurement


@dataclass(frozen=True, kw_only=True)
class Brightness:
    """How bright the test images are."""

    times: int = 1

    name: ClassVar[str] = "brightness"
    about: ClassVar[str] = "how bright the test images are"
    pictures: ClassVar[tuple[str, ...]] = ("first",)

    def measure(self, subject):
        images = subject.data.test.take(subject.rows())
        mean = float(images.float().mean()) / 255
        return Measurement(summary={"mean": self.times * mean}, arrays={"first": images[0]})
'''
SECTION = """
from mixwright.lab.reports.formatting import number
from mixwright.lab.reports.section import Section, Table


def write(part, page):
    rows = tuple((group.label, number(group.intervals["mean"].mean, 3)) for group in part.groups)
    shape = tuple(page.array("brightness", part.groups[0], "first").shape)
    table = Table(head=("", "brightness"), rows=rows, caption=f"The first has the shape {shape}.")
    return {"brightness": Section(title="Brightness", blocks=(table,))}
"""


def test_an_evaluation_is_two_files_and_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package, text in ((evaluations, EVALUATION), (sections, SECTION)):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "brightness.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    monkeypatch.setitem(PARTS, "brightness", "brightness:Brightness")
    short = ["--epochs", "1", "--train-size", "20", "--batch-size", "10", "--model", "smallconv"]
    assert main(["train", "mixup", *short, "--out", str(tmp_path / "run")]) == 0
    out = tmp_path / "out"
    words = ["evaluate", str(tmp_path / "run"), "--only", "brightness:times=2", "--weights", "raw"]
    assert main([*words, "--test-size", "20", "--out", str(out)]) == 0

    part = json.loads((out / "evaluation.json").read_text())["parts"]["brightness"]
    assert part["options"] == {"times": 2}
    (group,) = part["groups"]
    mean = group["summaries"][0]["mean"]
    assert group["intervals"]["mean"]["mean"] == mean > 0
    assert f",mean,{mean!r}\n" in (out / "evaluation.csv").read_text()
    page = (out / "report.html").read_text()
    assert f"<td>{mean:.3f}</td>" in page
    assert "The first has the shape (3, 32, 32)." in page
