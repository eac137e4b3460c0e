"""Methods that files name: no module is imported for them unless the user says so."""

from __future__ import annotations

import dataclasses
import shutil
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch

import mixwright as mw
from lab.training.tiny import tiny_data
from mixwright.checkpoint import load_checkpoint, save_checkpoint
from mixwright.lab.cli import main
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.training.learner import build_criterion
from mixwright.lab.training.loop import train
from mixwright.lab.training.recipe import Recipe

EVIL = """
from pathlib import Path
from mixwright.mixers import CutMix as M
from mixwright.objectives import AutoMix as Learner

Path(__file__).with_name("imported").touch()
net = M
"""
SHORT = ["--epochs", "1", "--train-size", "20", "--batch-size", "10", "--workers", "1"]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that learned a mixer."""
    folder = tmp_path_factory.mktemp("learned")
    torch.manual_seed(0)
    data = tiny_data()
    net = build_model("smallconv", num_classes=data.num_classes, image_size=data.image_size)
    recipe = Recipe(model="smallconv", method="automix:layer=layer2", epochs=1, batch_size=20)
    train(
        recipe,
        model=Normalised(net, data.mean, data.std),
        objective=parse_method(recipe.method).objective(build_criterion(recipe)),
        data=data,
        evaluate=evaluate,
        folder=folder,
    )
    return folder


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one run on the digits."""
    out = tmp_path_factory.mktemp("compared")
    assert main(["compare", "cutmix", *SHORT, "--seeds", "1", "--out", str(out)]) == 0
    (run,) = (out / "runs").iterdir()
    return run


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path, None, None]:
    """A module ``evil_mod`` within reach, and the file that it writes when it is imported."""
    (tmp_path / "evil_mod.py").write_text(EVIL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "evil_mod", raising=False)
    yield tmp_path / "imported"
    sys.modules.pop("evil_mod", None)


def forged(run: Path, folder: Path, **changes: Any) -> Path:
    """A copy of a run's checkpoint whose recipe says something else."""
    state = load_checkpoint(run / "last.pt")
    recipe = dataclasses.replace(Recipe.from_json(state["recipe"]), **changes)
    folder.mkdir()
    save_checkpoint(folder / "last.pt", {**state, "recipe": recipe.to_json()})
    return folder


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command says that ends with a mistake of the user's."""
    capsys.readouterr()
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def explains(said: str, file: Path) -> None:
    assert f"{file} names the module evil_mod" in said
    assert "is not imported" in said
    assert "import evil_mod" in said
    assert "--trust" in said
    assert "trust=True" in said


def test_evaluate_imports_no_module_that_a_run_names(
    compared: Path, imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forged(compared, imported.parent / "run", method="evil_mod:M")
    words = ["evaluate", "run", "--only", "accuracy", "--test-size", "20", "--out", "out"]
    explains(refused(words, capsys), Path("run/last.pt"))
    assert not imported.exists()
    assert main([*words, "--trust"]) == 0
    assert imported.exists()


def test_evaluate_of_a_comparison_looks_at_every_run(
    compared: Path, imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = imported.parent / "whole"
    (whole / "runs").mkdir(parents=True)
    run = forged(compared, whole / "runs" / "one", method="mixup+evil_mod:M:alpha=0.5")
    shutil.copy(compared / "result.json", run)
    words = ["evaluate", "whole", "--only", "accuracy", "--test-size", "20", "--out", "out"]
    explains(refused(words, capsys), Path("whole/runs/one/last.pt"))
    assert not imported.exists()


def test_load_mixer_imports_no_module_that_a_run_names(learned: Path, imported: Path) -> None:
    run = forged(learned, imported.parent / "run", method="evil_mod:Learner:layer=layer2")
    for path in (run, run / "last.pt"):
        with pytest.raises(ValueError) as caught:
            mw.load_mixer(path)
        explains(str(caught.value), run / "last.pt")
    assert not imported.exists()
    assert mw.load_mixer(run, trust=True).layer == "layer2"
    assert imported.exists()


def test_a_module_that_is_imported_already_is_taken(learned: Path, imported: Path) -> None:
    run = forged(learned, imported.parent / "run", method="evil_mod:Learner:layer=layer2")
    __import__("evil_mod")
    assert mw.load_mixer(run).layer == "layer2"


def test_a_file_puts_no_folder_on_the_path(
    learned: Path, imported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a module there would stand before one that is imported later."""
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(imported.parent)])
    method = "mixwright.objectives.automix:AutoMix:layer=layer2"
    run = forged(learned, imported.parent / "run", method=method)
    before = list(sys.path)
    assert mw.load_mixer(run).layer == "layer2"  # our own modules need no trust
    assert sys.path == before


def test_a_method_that_names_a_file_imports_nothing_for_it(
    learned: Path, imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = forged(learned, imported.parent / "run", method="evil_mod:Learner:layer=layer2")
    with pytest.raises(ValueError) as caught:
        parse_method("trained:run=run")
    explains(str(caught.value), run / "last.pt")
    for command in ("compare", "train", "gallery", "theory", "bench"):
        words = [command, "mixup+trained:run=run", "--out", "out"]
        explains(refused(words, capsys), run / "last.pt")
    # A recipe may name a file that names the module.
    forged(learned, imported.parent / "second", method="trained:run=run")
    explains(refused(["evaluate", "second"], capsys), run / "last.pt")
    assert not imported.exists()
    method = parse_method("trained:run=run", trust=True)
    assert imported.exists()
    assert type(method.mixer()).__name__ == "LearnedMixer"


def test_a_report_imports_no_module_that_its_record_names(compared: Path, imported: Path) -> None:
    """What a METHOD means was stored when it was recorded."""
    shutil.copytree(compared.parent.parent, imported.parent / "out")
    record = imported.parent / "out" / "comparison.json"
    text = record.read_text()
    assert text.count('"method": "cutmix"') >= 3
    record.write_text(
        text.replace('"cutmix"', '"evil_mod:M"').replace("cutmix raw", "evil_mod:M raw")
    )
    assert main(["report", "out"]) == 0
    assert not imported.exists()
    assert "CutMix" in (record.parent / "report.html").read_text()


def test_trust_reaches_the_processes_that_train(learned: Path, imported: Path) -> None:
    forged(learned, imported.parent / "run", method="evil_mod:Learner:layer=layer2")
    words = ["compare", "trained:run=run", *SHORT, "--seeds", "1", "--out", "out"]
    assert main([*words, "--trust"]) == 0


def test_compare_goes_on_with_a_class_that_the_user_names(imported: Path) -> None:
    words = ["compare", "evil_mod:M", *SHORT, "--seeds", "1", "--out", "out"]
    assert main(words) == 0
    sys.modules.pop("evil_mod")
    (run,) = (imported.parent / "out" / "runs").iterdir()
    (run / "result.json").unlink()
    assert main(words) == 0
    assert (run / "result.json").exists()


def test_a_module_of_a_network_that_a_file_names_is_not_imported(
    compared: Path, learned: Path, imported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forged(compared, imported.parent / "run", model="evil_mod:net")
    words = ["--test-size", "20", "--out", "out"]
    explains(refused(["evaluate", "run", *words], capsys), Path("run/last.pt"))
    for command in ("gallery", "theory"):
        said = refused([command, "saliencymix", "--run", "run", "--out", "out"], capsys)
        explains(said, Path("run"))
    forged(learned, imported.parent / "mixer", model="evil_mod:net")
    with pytest.raises(ValueError, match=r"names the module evil_mod.*encoder=net") as caught:
        mw.load_mixer("mixer")
    explains(str(caught.value), Path("mixer/last.pt"))
    explains(refused(["train", "trained:run=mixer"], capsys), Path("mixer/last.pt"))
    mixer = mw.load_mixer(learned)
    mw.save_mixer(mixer, "mixer.pt")
    state = load_checkpoint(Path("mixer.pt"))
    state["about"]["encoder"]["name"] = "evil_mod:net"
    save_checkpoint(Path("mixer.pt"), state)
    with pytest.raises(ValueError, match=r"names the module evil_mod.*encoder=net"):
        mw.load_mixer("mixer.pt")
    assert not imported.exists()
