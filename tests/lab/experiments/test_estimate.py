"""What runs will take: sums by hand, needs of a network by hand, real steps."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.reports.fabricated import finish, scores
from mixwright.lab.data.load import load_data
from mixwright.lab.experiments import measured_run as module
from mixwright.lab.experiments.estimate import makespan, run_seconds, summed
from mixwright.lab.experiments.grid import Planned, plan_runs
from mixwright.lab.experiments.measured_run import ImageNeeds, Measured, image_needs, measure_run
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.training.recipe import Recipe

CPU = torch.device("cpu")
SETTINGS = {
    "data": "digits", "model": "smallconv", "train_size": 20, "batch_size": 10, "epochs": 10,
    "eval_every": 4, "warmup_epochs": 0,
}  # fmt: skip
PLAIN = Measured(
    ready=4.0, start=1.0, step=0.5, epoch=10.0, evaluation=3.0, end=0.0, save=0.5, better=0.2,
    snapshot=0.0, checkpoints=1000, snapshot_bytes=0, memory=300,
)  # fmt: skip
LEARNED = replace(PLAIN, epoch=20.0, snapshot=2.0, snapshot_bytes=10, memory=500)
FAST = ImageNeeds(bytes=0.0, seconds=1e-6, fixed=0)


def planned(out: Path, *methods: str, seeds: int = 1, **more: Any) -> list[Planned]:
    return plan_runs(parse_methods(methods), SETTINGS | more, seeds=seeds, out=out)


def begin(run: Planned, epochs: int) -> None:
    """Leave what a run leaves that was stopped."""
    run.folder.mkdir(parents=True)
    lines = [{"epoch": epoch, "train": {}, "test": None, "warnings": []} for epoch in
             range(1, epochs + 1)]  # fmt: skip
    (run.folder / "metrics.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (run.folder / "last.pt").touch()


def test_a_run_by_hand(tmp_path: Path) -> None:
    """10 epochs: 4, 8 and 10 are evaluated, masks are left in 1, 2, 4, 8 and 10."""
    (run,) = planned(tmp_path, "none")
    assert run_seconds(run, PLAIN) == pytest.approx(1 + 10 * 10.5 + 3 * (3 + 0.1))
    assert run_seconds(run, LEARNED) == pytest.approx(1 + 10 * 20.5 + 3 * 3.1 + 5 * 2)
    assert run_seconds(run, replace(PLAIN, end=7.0)) == run_seconds(run, PLAIN) + 7


def test_what_is_left_of_a_run_by_hand(tmp_path: Path) -> None:
    """Of a run that was stopped in its eighth epoch, 8 to 10 are left."""
    (run,) = planned(tmp_path, "none")
    begin(run, 7)
    assert run_seconds(run, LEARNED) == pytest.approx(1 + 3 * 20.5 + 2 * 3.1 + 2 * 2)
    (run.folder / "last.pt").unlink()  # then it begins anew
    assert run_seconds(run, PLAIN) == pytest.approx(1 + 10 * 10.5 + 3 * 3.1)


def test_sums_by_hand(tmp_path: Path) -> None:
    """Runs are taken in turn by two workers: none 0, automix 0, none 1, automix 1."""
    runs = planned(tmp_path, "none", "automix", seeds=2)
    measured = {"none": PLAIN, "automix": LEARNED}
    none, auto = 115.3, 225.3  # as above
    found = summed(runs, measured, workers=2, compared=False)
    assert found.runs == pytest.approx((none, auto, none, auto))
    assert found.seconds == pytest.approx(2 * auto)  # none 1 follows none 0 and ends before
    assert (found.memory, found.disk) == (500, 2 * 1000 + 2 * 1050)
    assert summed(runs, measured, workers=1, compared=False).seconds == pytest.approx(
        2 * none + 2 * auto
    )
    # What is finished takes nothing, and a method that could not be measured counts as the others.
    finish(runs[1], scores(0.5), scores(0.5))
    found = summed(runs, {"none": PLAIN}, workers=2, compared=False)
    assert found.runs == pytest.approx((none, none, none))


def test_a_comparison_also_measures_costs_and_makes_a_page(tmp_path: Path) -> None:
    """Steps of 0.5 s, 20 an epoch, 200 a run: 1 round fills the time, but 5 are the fewest."""
    runs = planned(tmp_path, "none", "mixup")
    alone = summed(runs, {"none": PLAIN, "mixup": PLAIN}, workers=1, compared=False)
    found = summed(runs, {"none": PLAIN, "mixup": PLAIN}, workers=1, compared=True)
    costs = 2 * 1.0 + (2 + 5) * (0.5 + 0.5)  # two starts; two rounds to warm up
    page = 4.0 * (0.4 + 2 * 0.05)
    assert found.seconds - alone.seconds == pytest.approx(costs + page + 4.0)


def test_rarer_evaluations_are_named_where_they_spare_much(tmp_path: Path) -> None:
    """A run evaluated after each of 100 epochs: 1 + 150 + 310; ten times in all: 1 + 150 + 31."""
    quick = replace(PLAIN, epoch=1.0)
    runs = planned(tmp_path, "none", "mixup", epochs=100, eval_every=1)
    measured = {"none": quick, "mixup": quick}
    found = summed(runs, measured, workers=2, compared=False)
    assert found.seconds == pytest.approx(461)
    assert found.sparser is not None
    assert found.sparser.eval_every == 10
    assert found.sparser.seconds == pytest.approx(182)
    # With epochs of 7.5 s 279 of 1,111 s are a fourth, with those of 7.6 s they are less.
    slow = {text: replace(quick, epoch=7.5) for text in measured}
    assert summed(runs, slow, workers=2, compared=False).sparser is not None
    slow = {text: replace(quick, epoch=7.6) for text in measured}
    assert summed(runs, slow, workers=2, compared=False).sparser is None
    rare = planned(tmp_path, "none", epochs=100, eval_every=10)
    assert summed(rare, measured, workers=2, compared=False).sparser is None
    brief = planned(tmp_path, "none", epochs=20, eval_every=1)  # spares 31 s of 93
    assert summed(brief, measured, workers=2, compared=False).sparser is None
    begin(runs[1], 1)  # it would begin anew
    assert summed(runs, measured, workers=2, compared=False).sparser is None


def test_a_slower_wall_clock_counts(tmp_path: Path) -> None:
    """While 4 s of the processor passed it ran for 6; what the disk takes is by it already."""
    runs = planned(tmp_path, "none", "mixup")
    measured = {"none": replace(PLAIN, wall=4, busy=3), "mixup": replace(PLAIN, wall=2, busy=1)}
    found = summed(runs, measured, workers=1, compared=False)
    assert found.runs == pytest.approx([1.5 * (1 + 100 + 9) + 5 + 0.3] * 2)


@pytest.mark.parametrize(
    ("seconds", "workers", "end"),
    [([], 2, 0.0), ([1.0, 2.0], 1, 3.0), ([5.0, 1.0, 1.0, 1.0], 2, 5.0), ([1, 1, 1], 2, 2)],
)
def test_workers_take_runs_in_turn(seconds: list[float], workers: int, end: float) -> None:
    assert makespan(seconds, workers) == end


@pytest.mark.parametrize("free", [None, 0])  # with memory for two images, and without
def test_the_needs_of_a_network_by_hand(free: int | None) -> None:
    """Of an image of 12 numbers, a Linear keeps them all, and the loss its 5 outputs."""
    found = image_needs(nn.Sequential(nn.Flatten(), nn.Linear(12, 5)), (3, 2, 2), free=free)
    assert found.bytes == 4 * (12 + 5)
    assert found.fixed == 4 * 4 * (12 * 5 + 5)  # weights, gradients, momentum, average
    assert (found.seconds == math.inf) == (free == 0)


@pytest.mark.parametrize("free", [None, 0])
def test_the_needs_of_a_network_whose_logits_have_their_name(free: int | None) -> None:
    class Named(nn.Sequential):
        def forward(self, images: Tensor) -> dict[str, Tensor]:  # type: ignore[override]
            return {"logits": super().forward(images)}

    found = image_needs(Named(nn.Flatten(), nn.Linear(12, 5)), (3, 2, 2), free=free)
    assert found.bytes == 4 * (12 + 5)


def recipe(method: str, **more: Any) -> Recipe:
    return Recipe.from_fields({**SETTINGS, "method": method, **more})


def test_a_run_is_measured_and_leaves_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(module.tempfile, "tempdir", None)
    before = torch.get_rng_state()
    data = load_data("digits", train_size=20)
    found = measure_run(recipe("automix:layer=layer2"), data, device=CPU, needs=FAST)
    assert torch.equal(torch.get_rng_state(), before)
    assert list(tmp_path.iterdir()) == []
    assert found.epoch == pytest.approx(2 * found.step)  # 20 images, 10 a step
    assert min(found.start, found.step, found.evaluation, found.save, found.better) > 0
    assert min(found.snapshot, found.snapshot_bytes, found.checkpoints) > 0
    assert found.memory is None or 2**20 < found.memory < 2**35


def test_a_slow_network_is_measured_on_fewer_images(monkeypatch: Any) -> None:
    """0.5 s an image: 4 of them take the 2 s that a step may; 20 take five times as long."""
    seen: list[Recipe] = []

    class Slow(module.Steps):
        def __init__(self, short: Recipe, *rest: Any, **more: Any) -> None:
            seen.append(short)
            super().__init__(short, *rest, **more)

        def __call__(self) -> None:
            until = time.process_time() + 0.05
            while time.process_time() < until:
                pass

    monkeypatch.setattr(module, "Steps", Slow)
    needs = ImageNeeds(bytes=1e9, seconds=0.5, fixed=0)
    data = load_data("digits", train_size=60)
    found = measure_run(recipe("none", batch_size=20), data, device=CPU, needs=needs)
    assert [short.batch_size for short in seen] == [4]
    assert found.step == pytest.approx(5 * 0.05, rel=0.3)
    assert found.epoch == pytest.approx(3 * found.step)
    whole = measure_run(recipe("none", batch_size=20), data, device=CPU, needs=FAST)
    assert [short.batch_size for short in seen] == [4, 20]
    if found.memory is not None and whole.memory is not None:  # 16 images more
        assert found.memory - whole.memory == pytest.approx(16e9, rel=0.05)
