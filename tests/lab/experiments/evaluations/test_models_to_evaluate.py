"""What a word on the command line means as a model, and which models are judged together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from mixwright.lab.cli import main
from mixwright.lab.data.load import load_data
from mixwright.lab.experiments.evaluations.model_checks import check_models
from mixwright.lab.experiments.evaluations.models_to_evaluate import ModelToEvaluate, find_models
from mixwright.lab.models.normalised import Normalised

MODULE = """
from torch import nn

class Flat(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))

ready = Flat()

def number():
    return 7
"""


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("comparison")
    short = ["--epochs", "1", "--train-size", "20", "--batch-size", "10", "--seeds", "2"]
    assert main(["compare", "none", "mixup", *short, "--workers", "1", "--out", str(out)]) == 0
    return out


def find(word: object, weights: str = "all", normalise: str = "inside", say=lambda sentence: None):
    return find_models(str(word), weights=weights, normalise=normalise, say=say)


def test_a_comparison_is_all_its_runs_grouped_by_method(comparison: Path) -> None:
    many = find(comparison)
    assert len(many) == 8
    groups = {one.group: [] for one in many}
    for one in many:
        groups[one.group].append(one.seed)
    assert {key: sorted(seeds) for key, seeds in groups.items()} == {
        "none raw": [0, 1],
        "none ema": [0, 1],
        "mixup raw": [0, 1],
        "mixup ema": [0, 1],
    }
    assert {one.label for one in many if one.baseline} == {
        "No mixing, trained weights",
        "No mixing, EMA",
    }
    assert len({one.slug for one in many}) == 8


@pytest.mark.parametrize("recorded", [True, False], ids=["recorded", "no record"])
def test_runs_that_are_left_out_are_named(comparison: Path, tmp_path: Path, recorded: bool) -> None:
    """One is damaged, one has not finished; and one is of another command, where a record says."""
    shutil.copytree(comparison, tmp_path / "out")
    if not recorded:
        (tmp_path / "out" / "comparison.json").unlink()
    runs = tmp_path / "out" / "runs"
    (damaged,) = runs.glob("mixup-s0-*")
    (damaged / "last.pt").write_bytes((damaged / "last.pt").read_bytes()[:1000])
    (whole,) = runs.glob("none-s1-*")
    shutil.copytree(whole, runs / "halfway")
    (runs / "halfway" / "result.json").write_text('{"format": 2')
    said: list[str] = []
    found = find(tmp_path / "out", say=said.append)
    assert {one.name for one in found} == {"none-s0", "none-s1", "mixup-s1"}
    assert said[0] == f"{runs / 'halfway'} is left out: it has not finished."
    assert said[1].startswith(f"{damaged} is left out: checkpoint {damaged / 'last.pt'} cannot be")
    assert len(said) == 2
    if recorded:
        (runs / "halfway").rename(runs / "gone")
        shutil.copy(whole / "result.json", runs / "gone")
        find(tmp_path / "out", say=said.append)
        assert said[2] == f"{runs / 'gone'} is left out: it is not in comparison.json."
    for run in runs.iterdir():
        (run / "last.pt").unlink()
    with pytest.raises(ValueError, match="no finished run to evaluate"):
        find(tmp_path / "out")


def test_a_run_is_its_weights_and_knows_its_mixer(comparison: Path) -> None:
    folder = next((comparison / "runs").glob("mixup-s1-*"))
    (one,) = find(folder, weights="ema")
    assert (one.label, one.seed, one.weights, one.folder) == ("MixUp", 1, "ema", folder)
    assert type(one.mixer()).__name__ == "MixUp"
    data = load_data("digits")
    (raw,) = find(folder / "last.pt", weights="raw")
    images = torch.rand(2, 3, 32, 32)
    assert not torch.equal(one.load(data)(images), raw.load(data)(images))
    assert raw.slug != one.slug


def test_weights_that_are_not_there(comparison: Path) -> None:
    with pytest.raises(ValueError, match="no run has weights of the kind 'teacher'"):
        find(comparison, weights="teacher")


def test_models_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ownnets.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    data = load_data("digits")
    (one,) = find("ownnets:Flat")
    assert isinstance(one.load(data), nn.Sequential)
    assert one.doubted
    assert one.mixer() is None
    (ready,) = find("ownnets:ready", normalise="data")
    model = ready.load(data)
    assert isinstance(model, Normalised)
    assert model.mean.flatten().tolist() == pytest.approx(data.mean)
    assert not find("ownnets:ready", normalise="unchecked")[0].doubted
    with pytest.raises(ValueError, match=r"gave an int; expected a torch\.nn\.Module"):
        find("ownnets:number")[0].load(data)
    with pytest.raises(ValueError, match="module ownnets has no Flaz"):
        find("ownnets:Flaz")
    with pytest.raises(ValueError, match="there is no module nowhere here"):
        find("nowhere:Flat")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("runs/nowhere", "there is no runs/nowhere"),
        ("gone.pt", "there is no gone.pt"),
        ("resnet8", "a network without weights"),
    ],
)
def test_words_that_mean_nothing(word: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        find(word)


def test_runs_of_several_data_sets_are_not_mixed_up(comparison: Path) -> None:
    import dataclasses

    one, other, *_ = find(comparison)
    assert one.recipe is not None
    assert check_models([one, other]) == [one, other]
    moved = dataclasses.replace(other, recipe=dataclasses.replace(one.recipe, data="folder:x"))
    assert check_models([one, moved]) == [one, moved]  # the same images by another name
    foreign = dataclasses.replace(
        other, recipe=dataclasses.replace(one.recipe, data="cifar10"), trained_on="another"
    )
    with pytest.raises(
        ValueError, match=r"differ in data \('digits', 'cifar10'\).*expected one recipe"
    ):
        check_models([one, foreign])
    changed = dataclasses.replace(other, trained_on="another")
    with pytest.raises(ValueError, match=r"were trained on other data: digest .* and digest anot"):
        check_models([one, changed])
    renamed = dataclasses.replace(other, classes=("a", "b"))
    with pytest.raises(ValueError, match=r"trained on other classes: 'zero', .* and 'a', 'b'; exp"):
        check_models([one, renamed])
    unknown = dataclasses.replace(other, trained_on="")
    assert check_models([one, unknown]) == [one, unknown]


def test_left_over_runs_of_another_recipe_are_no_seeds(comparison: Path) -> None:
    other = ["--epochs", "2", "--train-size", "20", "--batch-size", "10", "--seeds", "1"]
    out = ["--workers", "1", "--out", str(comparison)]
    record = (comparison / "comparison.json").read_bytes()
    assert main(["compare", "none", *other, *out]) == 0
    old = next((comparison / "runs").glob("none-s0-*"))
    (comparison / "comparison.json").write_bytes(record)
    folders = {one.folder.name for one in find(comparison) if one.folder}
    assert len(folders) == 4  # those of the record, without the run of two epochs
    (comparison / "comparison.json").unlink()
    try:
        with pytest.raises(ValueError, match=r"these runs differ in epochs \(1, 2\)"):
            check_models(find(comparison))
    finally:
        (comparison / "comparison.json").write_bytes(record)
    assert len(check_models([*find(old), *find(old)])) == 2


def test_the_best_epoch_is_another_model_than_the_last(comparison: Path) -> None:
    folder = next((comparison / "runs").glob("mixup-s0-*"))
    last, best = find(folder, weights="raw")[0], find(folder / "best.pt", weights="raw")[0]
    assert last.group != best.group
    assert last.slug != best.slug
    assert best.label == "MixUp (best.pt)"


def test_learned_mixers_may_have_a_floor_of_their_own(comparison: Path) -> None:
    import dataclasses

    one, other, *_ = find(comparison)
    assert one.recipe is not None

    def with_floor(method: str, floor: float) -> ModelToEvaluate:
        assert one.recipe is not None
        recipe = dataclasses.replace(one.recipe, method=method, min_lr=floor, lr=0.1)
        return dataclasses.replace(other, recipe=recipe, group=method, identity=method)

    plain, learned = with_floor("mixup", 0.0), with_floor("automix", 0.05)
    assert check_models([plain, learned]) == [plain, learned]
    for odd in (with_floor("cutmix", 0.05), with_floor("adautomix", 0.02)):
        with pytest.raises(ValueError, match=r"these runs differ in min_lr"):
            check_models([plain, learned, odd])
    with pytest.raises(ValueError, match=r"these runs differ in min_lr"):
        check_models([plain, with_floor("cutmix", 0.05)])


def test_methods_at_equal_time_are_evaluated_together(comparison: Path, tmp_path: Path) -> None:
    """Their epochs differ, by a record that says so; without one they are no comparison."""
    import json

    out = tmp_path / "out"
    shutil.copytree(comparison, out)
    for run in (out / "runs").glob("none-*"):
        file = torch.load(run / "last.pt", weights_only=True)
        recipe = json.loads(file["recipe"])
        file["recipe"] = json.dumps({**recipe, "epochs": 2, "warmup_epochs": 0.4})
        torch.save(file, run / "last.pt")
    with pytest.raises(ValueError, match=r"these runs differ in epochs \(2, 1\)"):
        check_models(find(out))
    record = json.loads((out / "comparison.json").read_text())
    for spent in record["parts"]["cost"]["numbers"]["methods"]:
        spent["epochs"] = 2 if spent["baseline"] else 1
    (out / "comparison.json").write_text(json.dumps(record))
    assert len(check_models(find(out))) == 8
    with pytest.raises(ValueError, match=r"these runs differ in epochs"):  # one is not of it
        check_models([*find(out), *find(next((comparison / "runs").glob("mixup-s0-*")))])
