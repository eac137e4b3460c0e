"""Equal time: epochs by hand from made-up costs, and the file from which they follow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from mixwright.lab.analysis.cost import StepCosts
from mixwright.lab.cli import shared_work
from mixwright.lab.cli.main import main
from mixwright.lab.data.identity import data_identity
from mixwright.lab.data.load import load_data
from mixwright.lab.experiments import step_costs
from mixwright.lab.experiments.equal_time import costs_before, equal_time, shortened
from mixwright.lab.experiments.executors import choice
from mixwright.lab.experiments.executors.base import Event, Job
from mixwright.lab.experiments.executors.local import Pool
from mixwright.lab.experiments.grid import Place, Planned, plan_runs
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.experiments.step_costs import step_cost
from mixwright.lab.training.recipe import Recipe

SETTINGS = {
    "data": "digits", "model": "smallconv", "train_size": 20, "batch_size": 10, "epochs": 80,
    "warmup_epochs": 5, "mix_off_epochs": 10,
}  # fmt: skip


def cost(ratio: float, before: float = 0.0) -> Any:
    """What a step costs; ``before`` in units of a training without mixing."""
    one = step_cost([1.0, 1.0], [ratio, ratio], start_seconds=before, steps=1)
    assert one.training == pytest.approx(ratio + before)
    return one


@pytest.mark.parametrize(
    ("ratio", "before", "epochs"),
    [
        (2.1, 0.0, 38),  # 80 / 2.1 = 38.1
        (1.6, 0.0, 50),  # to the last epoch
        (1.001, 0.0, 79),
        (1.0, 0.0, 80),
        (0.9, 0.0, 80),  # never more than without mixing
        (500.0, 0.0, 1),
        (2.0, 0.25, 30),  # what is left of the time after a quarter of it, 60 plain epochs, halved
        (1.2, 3.0, 1),  # a search that alone takes longer
    ],
)
def test_epochs_by_hand(ratio: float, before: float, epochs: int) -> None:
    recipe = Recipe.from_fields({**SETTINGS, "method": "puzzlemix"})
    found = shortened(recipe, cost(ratio, before))
    assert found.epochs == epochs
    assert found.warmup_epochs == pytest.approx(5 * epochs / 80)
    assert found.mix_off_epochs == epochs // 8  # 10 of 80
    same = {"epochs": 80, "warmup_epochs": 5.0, "mix_off_epochs": 10}
    assert replace(found, **same) == recipe  # and nothing else changes


class Fake:
    """A pool that measures nothing: costs are made up, and it notes what it was asked for."""

    asked: ClassVar[list[str]] = []
    ratio: ClassVar[float] = 2.1

    def __init__(self, **settings: object) -> None:
        assert settings["threads"] == settings["workers"] == 1

    def run(self, jobs: Sequence[Job]) -> list[Event]:
        Fake.asked += [job.name for job in jobs]
        return [
            Event("failed", job, {"error": "ValueError: no"})
            if job.name == "fmix"
            else Event("done", job, {"cost": asdict(cost(Fake.ratio))})
            for job in jobs
        ]


@pytest.fixture
def faked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_costs, "Pool", Fake)
    monkeypatch.setattr(Fake, "asked", [])
    monkeypatch.setattr(Fake, "ratio", 2.1)


PLACE = Place(
    data_dir=None,
    skip_unreadable=False,
    devices=("cpu",),
    identity=data_identity(load_data("digits", train_size=20)),
)


def planned(out: Path, *methods: str, **settings: Any) -> list[Planned]:
    return plan_runs(parse_methods(methods), {**SETTINGS, **settings}, seeds=2, out=out)


def epochs(
    out: Path, *methods: str, place: Place = PLACE, **settings: Any
) -> dict[str, tuple[int, ...]]:
    """Epochs of each method's runs as the command would plan them."""
    runs = planned(out, *methods, **settings)
    found: dict[str, tuple[int, ...]] = {}
    for run in equal_time(runs, costs_before(runs, place, out, say=lambda text: None), out):
        text = run.method.text
        found[text] = (*found.get(text, ()), run.recipe.epochs)
    return found


@pytest.mark.usefixtures("faked")
def test_dear_methods_train_for_fewer_epochs_in_folders_of_their_own(tmp_path: Path) -> None:
    runs = planned(tmp_path, "none", "mixup")
    costs = costs_before(runs, PLACE, tmp_path, say=lambda text: None)
    found = equal_time(runs, costs, tmp_path)
    assert [(run.method.text, run.recipe.seed) for run in found] == [
        ("none", 0), ("mixup", 0), ("none", 1), ("mixup", 1),
    ]  # fmt: skip
    assert [run.recipe.epochs for run in found] == [80, 38, 80, 38]
    assert found[0] == runs[0]  # no mixing is the run that it always was
    # A run of 38 epochs is that of --epochs 38, warm-up and last epochs given in proportion.
    short = {"epochs": 38, "warmup_epochs": 5 * 38 / 80, "mix_off_epochs": 4}
    assert found[1] == planned(tmp_path, "mixup", **short)[0]


@pytest.mark.usefixtures("faked")
def test_the_same_command_plans_the_same_runs_whatever_would_be_measured_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert epochs(tmp_path, "none", "mixup") == {"none": (80, 80), "mixup": (38, 38)}
    assert Fake.asked == ["mixup"]
    (file,) = tmp_path.glob("equal-time-*.json")
    monkeypatch.setattr(Fake, "ratio", 4.0)
    # Another machine and version measured what is there; it counts all the same.
    other = json.loads(file.read_text()) | {"torch": "1.0", "processor": "slow", "device": "gpu"}
    file.write_text(json.dumps(other))
    assert epochs(tmp_path, "none", "mixup")["mixup"] == (38, 38)
    # A method more is measured, and the others stay.
    assert epochs(tmp_path, "none", "mixup", "cutmix") == {
        "none": (80, 80), "mixup": (38, 38), "cutmix": (20, 20),
    }  # fmt: skip
    assert Fake.asked == ["mixup", "cutmix"]
    # The same images under another name are the same data.
    assert epochs(tmp_path, "none", "mixup", data="folder:elsewhere")["mixup"] == (38, 38)
    # Another recipe has costs of its own.
    assert epochs(tmp_path, "none", "mixup", epochs=40)["mixup"] == (10, 10)
    assert len([*tmp_path.glob("equal-time-*.json")]) == 2
    # And a comparison at equal epochs has its own file.
    assert not (tmp_path / step_costs.FILE).exists()


@pytest.mark.usefixtures("faked")
def test_what_cannot_be_planned_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="steps cannot be timed on mps; expected cpu or cuda"):
        epochs(tmp_path, "none", "mixup", place=replace(PLACE, devices=("mps",)))
    with pytest.raises(ValueError, match="a step costs with fmix could not be measured"):
        epochs(tmp_path, "none", "mixup", "fmix")
    (file,) = tmp_path.glob("equal-time-*.json")  # mixup's is kept
    assert set(json.loads(file.read_text())["methods"]) == {"mixup"}
    whole = file.read_bytes()
    for damaged in (whole[:40], b"[]", b""):
        file.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"equal-time-.*json cannot be read"):
            epochs(tmp_path, "none", "mixup")
        assert file.read_bytes() == damaged  # what runs were planned by is the user's to bring back
    file.unlink()

    def full(path: Path, value: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(step_costs, "write_json", full)
    with pytest.raises(ValueError, match=r"equal-time-.*json could not be written"):
        epochs(tmp_path, "none", "mixup")


def test_an_executor_is_left_when_costs_are_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What Ray started for the costs ends before the runs, which start their own."""
    told: list[str] = []

    class Elsewhere(Pool):
        def __enter__(self) -> Self:
            told.append("enter")
            return super().__enter__()

        def __exit__(self, *error: object) -> None:
            told.append("exit")
            super().__exit__(*error)

        def run(self, jobs: Sequence[Job], **settings: Any) -> list[Event]:
            told.append(" ".join(job.name for job in jobs))
            return [Event("done", job, {"cost": asdict(cost(9.0)), "machine": {}}) for job in jobs]

    monkeypatch.setattr(
        choice, "executor_for", lambda *_, **__: Elsewhere(workers=1, threads=1, devices=("cpu",))
    )
    monkeypatch.setattr(shared_work, "check_installed", lambda executor: None)
    command = [
        "compare", "none", "mixup", "--equal-time", "--epochs", "9", "--train-size", "20",
        "--batch-size", "10", "--seeds", "1", "--executor", "ray", "--out", str(tmp_path),
    ]  # fmt: skip
    assert main(command) == 1  # these runs are none
    assert told == ["enter", "mixup", "exit", "enter", "none, seed 0 mixup, seed 0", "exit"]
    assert "epochs none 9, mixup 1" in capsys.readouterr().out


def test_no_mixing_alone_needs_no_costs(tmp_path: Path) -> None:
    runs = planned(tmp_path, "none")
    costs = costs_before(runs, PLACE, tmp_path, say=lambda text: None)
    assert isinstance(costs, StepCosts)
    assert costs.methods == {}
    assert equal_time(runs, costs, tmp_path) == runs
    assert not [*tmp_path.iterdir()]


@pytest.mark.usefixtures("faked")
def test_the_command_measures_first_and_goes_on_with_the_same_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Real runs in processes of their own, of made-up costs: 6 epochs, and 6 / 2.1."""
    monkeypatch.setattr("mixwright.lab.reports.page.write_report", lambda record: record)
    command = [
        "compare", "none", "puzzlemix", "--equal-time", "--epochs", "6", "--train-size", "20",
        "--batch-size", "10", "--seeds", "1", "--workers", "1", "--out", str(tmp_path),
    ]  # fmt: skip
    results, shown, runs = list[dict[str, bytes]](), "", list[Path]()
    for _ in range(2):
        assert main(command) == 0
        shown = " ".join(capsys.readouterr().out.split())
        # Before it starts, and below the table.
        assert shown.count("equal processor time: epochs none 6, puzzlemix 2") == 2
        runs = [*(tmp_path / "runs").iterdir()]
        results.append({run.name: (run / "result.json").read_bytes() for run in runs})
        monkeypatch.setattr(Fake, "ratio", 3.1)  # what would be measured now
    assert results[0] == results[1]
    assert "2 of 2 runs are there already" in shown
    recipes = [json.loads((run / "recipe.json").read_text()) for run in runs]
    assert {one["method"]: one["epochs"] for one in recipes} == {"none": 6, "puzzlemix": 2}
    assert {one["method"]: one["warmup_epochs"] for one in recipes} == {
        "none": 1.2, "puzzlemix": pytest.approx(0.4),
    }  # fmt: skip
    record = json.loads((tmp_path / "comparison.json").read_text())
    assert (record["about"]["recipe"]["epochs"], record["about"]["recipe"]["warmup_epochs"]) == (
        6, 1.2,
    )  # fmt: skip
    assert not (tmp_path / step_costs.FILE).exists()  # steps are not measured twice
