"""What steps cost: ratios by hand with a made-up clock, real steps, and what is kept of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from lab.reports.fabricated import finish, scores
from mixwright.lab.analysis.cost import StepCost
from mixwright.lab.bench.timing import processor
from mixwright.lab.data.load import load_data
from mixwright.lab.experiments import step_costs as module
from mixwright.lab.experiments.executors.base import Event, Job
from mixwright.lab.experiments.grid import Place, Planned, plan_runs
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.experiments.step_costs import FILE, measure_step, step_cost, step_costs
from mixwright.lab.training.recipe import Recipe

CPU = torch.device("cpu")
SETTINGS = {
    "data": "digits", "model": "smallconv", "train_size": 20, "batch_size": 10, "epochs": 4,
}  # fmt: skip


def recipe(method: str, **more: Any) -> Recipe:
    return Recipe.from_fields(
        {**SETTINGS, "lr": 1e-6, "warmup_epochs": 0, "method": method, **more}
    )


def busy(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_the_processors_time_does_not_count_waiting() -> None:
    assert processor(lambda: time.sleep(0.2)) < 0.1
    assert processor(lambda: busy(0.02)) >= 0.02


def test_ratios_by_hand() -> None:
    """Plain steps of 1, 1, 2 and 4 s; a method that doubles two of them and leaves two alone."""
    found = step_cost([1.0, 1.0, 2.0, 4.0], [2.0, 1.0, 4.0, 4.0], start_seconds=8.0, steps=40)
    assert found.ratio == pytest.approx(11 / 8)
    assert (found.median, found.low, found.high) == (1.5, 1.0, 2.0)  # of 2, 1, 2 and 1
    assert found.training == pytest.approx(11 / 8 + 8 / (40 * 2))
    assert (found.seconds, found.least, found.plain_seconds, found.rounds) == (3.0, 1.0, 1.5, 4)
    assert (step_cost([2.0], [3.0], start_seconds=0, steps=1).low) == 1.5


class Clock:
    """Calls what it times; seconds are made up: 0.1 a step, 0.3 for every third one."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def __call__(self, call: Callable[[], object]) -> float:
        call()
        self.calls.append(call)
        if not isinstance(call, module.Steps):
            return 0.5  # what comes before the first epoch
        if call.session.recipe.method == "none":
            return 0.1
        return 0.3 if len(self.calls) % 3 == 0 else 0.1


def test_steps_of_the_method_are_taken_in_turn_with_plain_ones() -> None:
    clock = Clock()
    found = measure_step(recipe("mixup"), load_data("digits", train_size=20), device=CPU,
                         seeds=8, timer=clock)  # fmt: skip
    taken = [call.session.recipe.method for call in clock.calls[1:]
             if isinstance(call, module.Steps)]  # fmt: skip
    assert taken == ["none", "mixup"] * 9  # 2 rounds to warm up and 7: of 1.5 s, 0.2 s a round
    # Calls count from 1, and the start is the first: rounds 3 to 9 end at calls 7, 9, ..., 19.
    own = [0.3 if number % 3 == 0 else 0.1 for number in range(7, 20, 2)]
    assert found.ratio == pytest.approx(sum(own) / 0.7)
    assert found.training == pytest.approx(sum(own) / 0.7 + 0.5 / (4 * 2 * 0.1))
    assert found.rounds == 7


@pytest.mark.parametrize(
    ("seeds", "epochs", "seconds", "rounds"),
    [
        (1, 4, 10.0, 5),
        (25, 50, 10.0, 25),  # of 2,500 steps one in fifty
        (100, 50, 10.0, 40),
        (1, 50, 0.001, 12),  # of 100 steps one in four
        (4, 50, 0.001, 40),
    ],
)
def test_the_share_of_the_training_decides_the_rounds(
    seeds: int, epochs: int, seconds: float, rounds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load_data("digits", train_size=20)
    monkeypatch.setattr(module.Steps, "__call__", lambda self: None)
    found = measure_step(recipe("mixup", epochs=epochs), data, device=CPU, seeds=seeds,
                         timer=lambda call: (call(), seconds)[1])  # fmt: skip
    assert found.rounds == rounds


def test_steps_are_spread_over_the_epochs_and_take_full_batches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[tuple[float, int, int]] = []

    def step(session: object, group: list, *rest: object) -> float:
        _, _, progress, epoch = rest
        seen.append((progress, epoch, len(group[0][1])))
        return 0.0

    monkeypatch.setattr(module, "train_step", step)
    data = load_data("digits", train_size=30)
    steps = module.Steps(recipe("mixup", batch_size=20), data, CPU, trust=False)
    steps.begin()
    for _ in range(20):
        steps()
    assert {size for _, _, size in seen} == {20}  # and never the 10 that are left over
    by_epoch = [sum(epoch == wanted for _, epoch, _ in seen) for wanted in (1, 2, 3, 4)]
    assert all(4 <= count <= 6 for count in by_epoch)
    assert all(4 * progress < epoch <= 4 * progress + 1 for progress, epoch, _ in seen)


def test_real_steps_cost_what_their_order_says() -> None:
    """PuzzleMix needs a gradient of the images and a solver beside what a plain step does."""
    data = load_data("digits", train_size=20)
    before = torch.get_rng_state()
    costs = {
        name: measure_step(recipe(name), data, device=CPU, seeds=10)
        for name in ("none", "puzzlemix")
    }
    assert torch.equal(torch.get_rng_state(), before)
    assert 0.6 < costs["none"].ratio < 1.6
    assert costs["puzzlemix"].ratio > 1.7
    assert costs["puzzlemix"].low > costs["none"].high


def finished(out: Path, *methods: str) -> list[Planned]:
    runs = plan_runs(parse_methods(methods), SETTINGS, seeds=1, out=out)
    for run in runs:
        finish(run, scores(0.5), scores(0.5))
    return runs


PLACE = Place(data_dir=None, skip_unreadable=False, devices=("cpu",))


class Fake:
    """A pool that measures nothing; it notes what it was asked for."""

    asked: ClassVar[list[str]] = []

    def __init__(self, **settings: object) -> None:
        assert settings["threads"] == settings["workers"] == 1

    def run(self, jobs: list[Job]) -> list[Event]:
        Fake.asked += [job.name for job in jobs]
        one = step_cost([1.0, 1.0], [1.5, 1.5], start_seconds=0, steps=1)
        return [
            Event("failed", job, {"error": "ValueError: no\nmore"})
            if job.name == "fmix"
            else Event(
                "done", job, {"cost": {n: getattr(one, n) for n in one.__dataclass_fields__}}
            )
            for job in jobs
        ]


def test_what_is_known_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Pool", Fake)
    said: list[str] = []

    def asked(*methods: str, folder: Path = tmp_path) -> list[str]:
        Fake.asked = []
        known = step_costs(finished(folder, *methods), PLACE, folder, say=said.append)
        assert known is None or set(known.methods) >= set(methods) - {"none", "fmix"}
        return Fake.asked

    assert asked("none") == []
    assert not (tmp_path / FILE).exists()
    assert asked("none", "mixup") == ["mixup"]
    kept = json.loads((tmp_path / FILE).read_text())
    assert (kept["clock"], kept["threads"], kept["torch"]) == (
        "processor time", 1, torch.__version__,
    )  # fmt: skip
    assert kept["methods"]["mixup"]["ratio"] == 1.5
    assert asked("none", "mixup") == []
    assert asked("none", "mixup", "cutmix") == ["cutmix"]
    assert asked("cutmix", "mixup") == []  # costs are to no mixing, whether that is there or not
    assert asked("none", "fmix") == ["fmix"]
    assert said[-1] == "fmix: its cost could not be measured: ValueError: no"
    assert asked("fmix") == ["fmix"]
    for damaged in ('{"clock": ', "[" * 100_000 + "]" * 100_000):
        (tmp_path / FILE).write_text(damaged)
        assert asked("mixup") == ["mixup"]
    (tmp_path / FILE).write_text(json.dumps({**kept, "torch": "1.0"}))
    assert asked("mixup") == ["mixup"]  # another torch, other costs
    monkeypatch.setitem(SETTINGS, "batch_size", 20)
    assert asked("mixup") == ["mixup"]  # likewise another recipe


def test_costs_that_cannot_be_kept_are_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Pool", Fake)
    (tmp_path / FILE).mkdir()
    said: list[str] = []
    known = step_costs(finished(tmp_path, "none", "mixup"), PLACE, tmp_path, say=said.append)
    assert known is not None
    assert known.methods["mixup"].ratio == 1.5
    assert said[-1].startswith("what steps cost could not be kept: ")


def test_a_process_of_its_own_measures(tmp_path: Path) -> None:
    said: list[str] = []
    runs = finished(tmp_path, "none", "mixup", "cutmix:alpha=0.2")
    known = step_costs(runs, PLACE, tmp_path, say=said.append)
    assert known is not None
    assert set(known.methods) == {"mixup", "cutmix:alpha=0.2"}
    assert all(0.5 < one.ratio < 4 for one in known.methods.values())
    assert said == ["measuring what a training step costs with 2 of the methods"]
    assert (tmp_path / "logs" / "cost.log").exists()


def test_first_weights_are_no_part_of_it(tmp_path: Path) -> None:
    """A run from weights that are gone by now can be measured all the same."""
    bare = module.bare(recipe("mixup", lr=0.1, init="gone/last.pt", init_weights="ema"))
    assert (bare.init, bare.init_weights, bare.pretrained, bare.lr) == (None, "raw", False, 1e-6)
    found = measure_step(bare, load_data("digits", train_size=20), device=CPU,
                         timer=lambda call: (call(), 1.0)[1])  # fmt: skip
    assert isinstance(found, StepCost)
    assert replace(found, rounds=5) == found
