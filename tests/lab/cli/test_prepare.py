"""What options become before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mixwright.lab.cli import main
from mixwright.lab.cli.errors import UsageError
from mixwright.lab.cli.options import CompareOptions
from mixwright.lab.cli.prepare import out_folder, prepare_runs, recipe_settings
from mixwright.lab.experiments.defaults import recipe_defaults
from mixwright.lab.experiments.grid import Planned, plan_runs
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.models.smallconv import SmallConv


@pytest.mark.parametrize(
    ("given", "warmup"),
    [
        ({"epochs": 5}, 1.0),  # a fifth of the run
        ({"epochs": 2}, 0.4),
        ({"epochs": 200}, 5.0),  # the default of CIFAR-10
        ({"epochs": 25}, 5.0),
        ({"epochs": 24}, 4.8),
        ({"epochs": 2, "warmup_epochs": 3.0}, 3.0),  # what was asked for stays
    ],
)
def test_a_warm_up_shrinks_with_short_runs(given: dict[str, Any], warmup: float) -> None:
    assert recipe_defaults("cifar10", None)["warmup_epochs"] == 5
    settings = recipe_settings(CompareOptions(data="cifar10", **given))
    assert settings["warmup_epochs"] == pytest.approx(warmup)
    assert settings["epochs"] == given["epochs"]


def test_weights_of_a_run_take_the_place_of_published_ones() -> None:
    settings = recipe_settings(CompareOptions(data="cub200", init="runs/x"))
    assert settings["pretrained"] is False
    assert recipe_settings(CompareOptions(data="cub200"))["pretrained"] is True


@pytest.mark.parametrize("data", ["folder:birds", "csv:birds.csv", "parquet:birds", "hub:birds"])
def test_published_weights_are_fine_tuned_on_images_of_ones_own(data: str) -> None:
    settings = recipe_settings(CompareOptions(data=data, pretrained=True, lr=0.01))
    told = {
        "epochs": 60,
        "batch_size": 50,
        "warmup_epochs": 18.0,
        "channels_last": True,
        "lr": 0.01,
    }
    assert {name: settings[name] for name in told} == told
    assert settings["model"] == "efficientnet_lite0"
    short = recipe_settings(CompareOptions(data=data, pretrained=True, epochs=20))
    assert short["warmup_epochs"] == pytest.approx(6)
    scratch = recipe_settings(CompareOptions(data="folder:birds", pretrained=False))
    assert (scratch["lr"], scratch["epochs"], scratch["warmup_epochs"]) == (0.05, 100, 5)
    assert recipe_settings(CompareOptions(data="cub200", pretrained=True))["lr"] == 1e-3


@pytest.mark.parametrize(
    ("processes", "given", "size"),
    [
        (1, {}, 20),  # the default of the digits
        (2, {}, 20),
        (3, {}, 18),
        (2, {"accumulate": 3}, 18),
        (8, {}, 16),
        (3, {"batch_size": 21}, 21),
    ],
)
def test_a_batch_that_nobody_asked_for_is_one_that_all_processes_share(
    processes: int,
    given: dict[str, Any],
    size: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    (method,) = parse_methods(["mixup"])

    def plan(settings: dict[str, Any]) -> list[Planned]:
        return plan_runs([method], settings, seeds=1, out=tmp_path)

    (run,), _, _ = prepare_runs(plan, CompareOptions(**given), device="cpu")
    assert run.recipe.batch_size == size
    note = f"{processes} processes cannot share batches of 20 images evenly, so they have {size};"
    assert (note in capsys.readouterr().err) is (size in (18, 16))


def test_a_batch_that_was_asked_for_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    (method,) = parse_methods(["mixup"])
    with pytest.raises(ValueError, match="batch_size 20 cannot be shared by 3 processes"):
        prepare_runs(
            lambda settings: plan_runs([method], settings, seeds=1, out=tmp_path),
            CompareOptions(batch_size=20),
            device="cpu",
        )


@pytest.mark.parametrize(("name", "told"), [("resnet18", True), ("timm:resnet18", False)])
def test_a_network_for_photographs_is_told_of_ours_for_small_images(
    name: str,
    told: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def of_timm(name: str, *, num_classes: int, channels: int, **_: Any) -> SmallConv:
        return SmallConv(num_classes=num_classes, channels=channels)

    monkeypatch.setattr("mixwright.lab.models.build.build_timm", of_timm)
    words = ["train", "none", "--model", name, "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main([*words, "--dry-run"]) == 0
    assert ("ours is resnet18_cifar. timm:resnet18 says" in capsys.readouterr().err) is told


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", r"--out is empty; expected a folder\."),
        ("b" * 300, r"--out is 300 letters long; expected a folder: "),
        ("a\0b", r"--out is 'a\\x00b'; expected a folder"),
    ],
)
def test_a_folder_that_cannot_be_is_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        out_folder(name)


def test_the_folder_one_is_in_can_be_named() -> None:
    assert out_folder(".") == Path()
