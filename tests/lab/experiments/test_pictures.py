"""Pictures of a comparison, drawn once, with a model of its runs where a method needs one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from lab.reports.fabricated import fabricate
from mixwright.checkpoint import CheckpointError
from mixwright.lab.data.load import load_data
from mixwright.lab.experiments import saved
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.experiments.pictures import method_pictures
from mixwright.lab.experiments.saved import Saved
from mixwright.lab.training.recipe import Recipe


class Even(nn.Module):
    """Ten classes, by a few features."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.fc = nn.Linear(4, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.conv(images).relu().mean(dim=(2, 3)))


def test_pictures_are_drawn_with_a_model_of_the_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fabricate(tmp_path, methods=("none", "mixup"), seeds=2)
    none, mixup, snapmix = parse_methods(("none", "mixup", "mixwright.mixers.snapmix:SnapMix"))
    folders = {name: sorted((tmp_path / "runs").glob(f"{name}-s?-*")) for name in ("none", "mixup")}
    runs = [(none, folders["none"]), (mixup, folders["mixup"]), (snapmix, [tmp_path / "gone"])]
    data = load_data("digits")
    found, arrays = method_pictures(runs, data)
    assert [one.name for one in found.methods] == ["MixUp", "SnapMix"]
    assert found.methods[0].note == ""
    assert "no run has one that can be read" in found.methods[1].note  # these runs are made up
    assert {name.partition("/")[0] for name in arrays} == {"mixup"}
    asked: list[str] = []

    def one_left(path: Path, *, image_size: int, channels: int) -> Saved:
        asked.append(path.name)
        if not path.name.startswith("mixup"):
            raise CheckpointError("gone")
        return Saved(Recipe(), data.classes, 1, {"raw": Even(), "ema": Even()})

    monkeypatch.setattr(saved, "load_saved", one_left)
    found, arrays = method_pictures(runs, data)
    assert found.methods[1].note == ""
    assert len(found.methods[1].samples) == 5
    assert arrays[f"{snapmix.text}/4/mixed"].shape == (3, 32, 32)
    # Its own run first, then those of the others, in their order.
    names = [folder.name for name in ("none", "mixup") for folder in folders[name]]
    assert asked == ["gone", *names[:3]]
