"""Solar cells of the package elpv-dataset: its layout with made images, and that none is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lab.experiments.evaluations.test_measuring import candidate
from mixwright.lab.cli import main
from mixwright.lab.data import load_data
from mixwright.lab.data.errors import DataError
from mixwright.lab.evaluation.corruption.corruption import Corruption
from mixwright.lab.experiments.evaluations.measuring import measure_all, setting
from mixwright.lab.experiments.evaluations.recording import evaluation_findings
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.experiments.pictures import method_pictures

CHANCES = ("0.0", "0.3333333333333333", "0.6666666666666666", "1.0")  # as the list writes them


def cells(root: Path, count: int = 20) -> Path:
    """Made cells in grey, in the layout of the package's folder ``data``."""
    (root / "images").mkdir(parents=True)
    lines: list[str] = []
    for k in range(count):
        shade = np.full((12, 12), 10 * k, np.uint8)
        Image.fromarray(shade).save(root / "images" / f"cell{k:04}.png")
        lines.append(f"images/cell{k:04}.png  {CHANCES[k % 4]}                 mono")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.mark.parametrize("below", ["", "data", "elpv_dataset/data", "src/elpv_dataset/data"])
def test_cells_above_one_half_are_defective(tmp_path: Path, below: str) -> None:
    cells(tmp_path / below)
    said: list[str] = []
    data = load_data("elpv", data_dir=tmp_path, on_message=said.append)
    assert data.classes == ("functional", "defective")
    assert (len(data.train), len(data.test), data.train.shape) == (16, 4, (3, 64, 64))
    for part in (data.train, data.test):
        number = part.images[:, 0, 0, 0] // 10  # of the cell, by its shade
        assert part.labels.tolist() == [int(k % 4 >= 2) for k in number.tolist()]
    assert "CC BY-NC-SA 4.0" in data.note
    assert data.summary.endswith("pictures of them stay out of records, pages and figures.")
    assert any("2,099 and 525 were published" in message for message in said)
    assert load_data("elpv", data_dir=tmp_path, image_size=8).image_size == 8


def test_the_installed_package_is_found_and_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(DataError, match="elpv-dataset is not installed here"):
        load_data("elpv")
    cells(tmp_path / "site" / "elpv_dataset" / "data")
    (tmp_path / "site" / "elpv_dataset" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert len(load_data("elpv", image_size=8).test) == 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("images/cell0000.png 1.5 mono", r"line 21 is .*; expected a probability in \[0, 1\]"),
        ("images/cell0000.png nan mono", r"line 21 is .*; expected a probability in \[0, 1\]"),
        ("images/cell0000.png mono 1.0", r"line 21 is .*; expected a probability in \[0, 1\]"),
        ("images/cell0000.png 1.0", "line 21 is .*; expected 3 fields"),
        ("images/cell9999.png 1.0 mono", "1 of the 21 images that labels.csv names are not there"),
    ],
)
def test_lists_that_are_damaged(tmp_path: Path, line: str, message: str) -> None:
    file = cells(tmp_path) / "labels.csv"
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(DataError, match=message):
        load_data("elpv", data_dir=tmp_path)


def test_other_folders_and_one_kind_of_cells(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"does not hold labels\.csv of the package"):
        load_data("elpv", data_dir=tmp_path)
    file = cells(tmp_path) / "labels.csv"
    file.write_text("images/cell0000.png 1.0 mono\nimages/cell0001.png 1.0 mono\n")
    with pytest.raises(DataError, match="has defective cells alone; expected both kinds"):
        load_data("elpv", data_dir=tmp_path)


def test_no_picture_is_kept_or_shown(tmp_path: Path, capsys: Any) -> None:
    cells(tmp_path / "cells")
    data = load_data("elpv", data_dir=tmp_path / "cells", image_size=32)
    reason = "The images of elpv are under CC BY-NC-SA 4.0: pictures of them stay out of records"
    methods = parse_methods(["none", "mixup", "automix"])
    samples, arrays = method_pictures([(method, []) for method in methods], data)
    assert arrays == {}
    assert [(one.name, one.samples) for one in samples.methods] == [("MixUp", ()), ("AutoMix", ())]
    assert all(one.note.startswith(reason) for one in samples.methods)

    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))
    model = replace(candidate(), load=lambda _: network)
    corruption = Corruption(types=("contrast",), severities=(1,))
    for withheld, wanted in ((data.withheld, {"correct", "clean"}), ("", {"sample", "sheet"})):
        shared = replace(data, withheld=withheld)
        common = setting(shared, test_size=None, device="cpu", batch_size=4, seed=0)
        folder = tmp_path / f"of {bool(withheld)}"
        told = lambda *_: None  # noqa: E731
        (measured,) = measure_all([model], [corruption], common, folder, on_progress=told)  # pyright: ignore
        assert measured.found is not None
        assert wanted <= {*measured.found.arrays}
        assert bool(withheld) != ("sample" in measured.found.arrays)
        findings, kept = evaluation_findings(
            [measured], [corruption], common, command="", seconds=0.0
        )
        assert any(reason in sentence for sentence in findings.about.skipped) == bool(withheld)
        assert any("sample" in name for name in kept) != bool(withheld)
    words = ["gallery", "mixup", "--data", "elpv", "--data-dir", str(tmp_path / "cells")]
    assert main([*words, "--out", str(tmp_path / "gallery")]) == 2
    assert reason in " ".join(capsys.readouterr().err.split())
    assert not [*(tmp_path / "gallery").glob("*")]
