"""The bench on tiny batches and fake clocks: what the record holds."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import pytest
import torch

from lab.bench.clocks import PEERS, TINY, counting
from mixwright.lab.bench import BenchRecord, run_bench
from mixwright.lab.bench.benchmarks import COPY, LERP, default_mixers
from mixwright.lab.bench.budgets import LARGE, SMALL, Budget, budget_of
from mixwright.lab.bench.mixing import measure_shape
from mixwright.lab.bench.peers import peer_benchmarks
from mixwright.lab.bench.recorded_times import RECORDED_TIMES, describe_times
from mixwright.lab.bench.steps import StepModel
from mixwright.mixers import CARDS, MIXERS, CutMix

SMALL_STEP = StepModel("smallconv", TINY)


@pytest.mark.usefixtures("no_peers")
def test_the_record_is_complete(tmp_path, monkeypatch):
    monkeypatch.setattr("mixwright.lab.bench.run.WARM_UP", 1)  # less of what takes its time
    monkeypatch.setattr("mixwright.lab.bench.benchmarks._PLANS", 1)
    record = run_bench(shapes=[TINY], rounds=2, timer=counting())
    (shape,) = record.shapes
    rows = {(row.name, row.part): row for row in shape.rows}
    for name in default_mixers():
        if CARDS[name.partition(":")[0]].needs == "model":
            assert f"{name}:per=batch" not in default_mixers()
        for part in ("all", "plan", "apply", "targets", "with targets"):
            assert rows[name, part].group == "mixwright"
    assert {row.name for row in shape.rows if row.group == "floor"} == {LERP, COPY}
    assert set(MIXERS) <= set(default_mixers())
    assert "cutmix:per=batch" in default_mixers()
    assert (shape.shape, shape.dtype, shape.rounds, shape.warm_up) == (TINY, "float32", 2, 1)
    assert all(row.time.turns == 2 for row in shape.rows)
    assert (record.torch, record.threads, record.device) == (torch.__version__, 1, "cpu")
    assert record.machine["threads"] == 1
    assert record.mixwright
    record.write(tmp_path / "new" / "bench.json")
    assert BenchRecord.read(tmp_path / "new" / "bench.json") == record


@pytest.mark.usefixtures("no_peers")
def test_missing_peers_are_listed():
    record = run_bench([], shapes=[TINY], rounds=1, timer=counting())
    assert record.libraries == dict.fromkeys(PEERS, "not installed")
    assert {row.group for row in record.shapes[0].rows} == {"floor"}


def test_a_peer_that_cannot_be_imported_says_why(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    monkeypatch.setitem(sys.modules, "kornia", None)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)

    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "torchvision":
                raise RuntimeError("operator torchvision::nms does not exist\nmore")

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    found, versions = peer_benchmarks(torch.zeros(TINY), torch.zeros(4, dtype=torch.int64))
    assert found == []
    assert versions["torchvision"] == "not usable: operator torchvision::nms does not exist"


def test_an_installed_peer_is_called_as_its_users_call_it(monkeypatch):
    calls = []

    class Mix:
        def __init__(self, *, num_classes):
            self.num_classes = num_classes

        def __call__(self, images, labels):
            calls.append((self.num_classes, images.shape, labels.shape))

    library = types.ModuleType("torchvision")
    library.__version__ = "0.99"
    transforms = types.ModuleType("torchvision.transforms.v2")
    transforms.MixUp = transforms.CutMix = Mix
    monkeypatch.setitem(sys.modules, "torchvision", library)
    monkeypatch.setitem(sys.modules, "torchvision.transforms.v2", transforms)
    for name in ("timm", "kornia"):
        monkeypatch.setitem(sys.modules, name, None)
    record = run_bench([], shapes=[TINY], rounds=1, timer=counting())
    assert record.libraries["torchvision"] == "0.99"
    assert [row.name for row in record.shapes[0].rows if row.group == "peer"] == [
        "torchvision MixUp, per batch",
        "torchvision CutMix, per batch",
    ]
    assert set(calls) == {(100, torch.Size(TINY), torch.Size([4]))}


@pytest.mark.usefixtures("no_peers")
def test_ratios_are_to_the_floors_of_the_same_run():
    # Turns: lerp, copy, then five parts of cutmix. One warm-up round, then two that count.
    clock = iter(
        [9.0] * 7 + [2.0, 1.0, 6.0, 3.0, 4.0, 1.5, 8.0] + [4.0, 3.0, 5.0, 3.0, 4.0, 1.5, 8.0]
    )

    def timer(call):
        call()
        return next(clock)

    record, _ = measure_shape(
        {"cutmix": CutMix()},
        TINY,
        device=torch.device("cpu"),
        timer=timer,
        warm_up=1,
        rounds=2,
    )
    rows = {(row.name, row.part): row for row in record.rows}
    lerp, whole = rows[LERP, "all"], rows["cutmix", "all"]
    assert (lerp.times_lerp, lerp.times_copy) == (1.0, 2.0)
    assert rows[COPY, "all"].times_lerp == 0.5
    assert (whole.time.least, whole.time.median) == (5.0, 5.5)
    assert (whole.times_lerp, whole.times_copy) == (2.5, 5.0)
    assert whole.median_times_lerp == 5.5 / 3.0
    # Here one lerp is the unit.
    assert (record.unit, lerp.units, whole.units) == (LERP, 1.0, 5.5 / 3.0)
    assert rows["cutmix", "targets"].units == 0.5
    assert whole.budget is None  # no budget was set for this shape
    assert next(clock, None) is None


def fake_torchvision(monkeypatch, mix):
    library = types.ModuleType("torchvision")
    library.__version__ = "0.99"
    transforms = types.ModuleType("torchvision.transforms.v2")
    transforms.MixUp = transforms.CutMix = lambda *, num_classes: mix
    monkeypatch.setitem(sys.modules, "torchvision", library)
    monkeypatch.setitem(sys.modules, "torchvision.transforms.v2", transforms)


@pytest.mark.parametrize(("seconds", "within"), [(1.25, True), (1.5, False)])
@pytest.mark.usefixtures("no_peers")
def test_small_images_are_counted_in_mixes_of_torchvision(monkeypatch, seconds, within):
    fake_torchvision(monkeypatch, lambda images, labels: None)
    # Lerp, copy, five parts of cutmix, torchvision's MixUp and CutMix; 1 of the goal's units is
    # 1.25 in the middle round, and not what it is in the fastest.
    one = [5.0, 1.0, 0.5, 0.25, 0.125, 0.0625]
    clock = iter(
        [9.0] * 9
        + [*one, seconds, 1.25, 7.0]
        + [*one, 0.1, 0.1, 7.0]
        + [*one, seconds, 1.25, 7.0]
    )  # fmt: skip

    def timer(call):
        call()
        return next(clock)

    monkeypatch.setattr("mixwright.lab.bench.run.WARM_UP", 1)
    record = run_bench(["cutmix"], shapes=[SMALL], rounds=3, timer=timer)
    (shape,) = record.shapes
    assert shape.unit == "torchvision MixUp, per batch"
    assert {row.part: row.units for row in shape.rows if row.name == "cutmix"} == {
        "all": 0.4, "plan": 0.2, "apply": 0.1, "targets": 0.05, "with targets": seconds / 1.25,
    }  # fmt: skip
    verdicts = {row.part: row.within for row in shape.rows if row.name == "cutmix"}
    assert verdicts == dict.fromkeys(("all", "plan", "apply", "targets")) | {"with targets": within}
    budgets = {row.part: row.budget for row in shape.rows if row.budget}
    assert budgets == {"with targets": Budget(units=1.0)}


@pytest.mark.usefixtures("no_peers")
def test_without_torchvision_small_images_have_no_unit():
    record = run_bench(["cutmix"], shapes=[SMALL], rounds=1, timer=counting())
    (shape,) = record.shapes
    assert shape.unit == "torchvision MixUp, per batch"
    assert all(row.units is None and row.within is None for row in shape.rows)
    assert next(row for row in shape.rows if row.part == "with targets").budget == Budget(units=1.0)


@pytest.mark.usefixtures("no_peers")
def test_small_images_get_sixty_rounds_and_brief_calls_turns_of_five(monkeypatch):
    made = {"mixes": 0}

    def mix(images, labels):
        made["mixes"] += 1

    fake_torchvision(monkeypatch, mix)
    monkeypatch.setattr("mixwright.lab.bench.run.WARM_UP", 1)

    def timer(call):
        return 0.001 if call() is None else 0.5  # torchvision's calls are brief

    (shape,) = run_bench([], shapes=[SMALL], timer=timer).shapes
    assert shape.rounds == 60
    assert made["mixes"] == 2 * (1 + 5 * 60)
    brief = next(row for row in shape.rows if row.name == shape.unit)
    assert brief.time.median == 0.001 / 5


def test_goals():
    goals = {name: budget_of(name, SMALL) for name in MIXERS}
    assert {name: goal.units for name, goal in goals.items() if goal} == {
        "mixup": 0.7, "cutmix": 1.0, "cutout": 0.7, "hmix": 1.0, "gmix": 0.9, "smoothmix": 0.9,
        "gridmix": 1.2, "agmix": 1.2, "resizemix": 1.5, "fmix": 2.5, "miamix": 4.0,
    }  # fmt: skip
    goals = {name: budget_of(name, LARGE) for name in MIXERS}
    assert {name: goal.units for name, goal in goals.items() if goal} == {
        "mixup": 1.15, "cutmix": 1.15, "hmix": 1.15, "gmix": 1.15, "gridmix": 1.15,
        "smoothmix": 1.15, "agmix": 1.3, "resizemix": 1.3, "fmix": 3.2, "miamix": 3.5,
        "guidedmixup": 4.0, "cutout": 3.0,
    }  # fmt: skip
    assert budget_of("cutmix:per=batch", SMALL) is None
    assert budget_of("puzzlemix", LARGE) is None  # its passes through the model are what it costs
    assert budget_of("cutmix", TINY) is None


@pytest.mark.usefixtures("no_peers")
def test_nothing_of_the_process_changes():
    torch.manual_seed(3)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    run_bench(["mixup"], shapes=[TINY], rounds=1, threads=threads + 1, timer=counting())
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mixers": ["cutmx"]}, "no mixer 'cutmx'; expected names of MIXERS: mixup, cutmix"),
        ({"mixers": {"mine": 3}}, "3 is no mixer"),
        ({"shapes": [(1, 3, 8, 8)]}, r"a shape is \(1, 3, 8, 8\); expected"),
        ({"shapes": [(8, 8)]}, r"a shape is \(8, 8\); expected"),
        ({"threads": 0}, "threads is 0; expected at least 1"),
        ({"rounds": 0}, "rounds is 0; expected at least 1"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        run_bench(**arguments)


def test_records_from_before_units_are_read(tmp_path):
    record = run_bench(["cutmix"], shapes=[TINY], rounds=1, timer=counting())
    record.write(tmp_path / "bench.json")
    raw = json.loads((tmp_path / "bench.json").read_text())
    (shape,) = raw["shapes"]
    for name in ("unit", "not_compiled"):
        del shape[name]
    for row in shape["rows"]:
        for name in ("units", "cold", "times_eager"):
            del row[name]
        row["budget"] = {"times_lerp": None, "seconds": 0.0006}
        row["within"] = True
    (tmp_path / "bench.json").write_text(json.dumps(raw))
    (shape,) = BenchRecord.read(tmp_path / "bench.json").shapes
    assert (shape.unit, shape.rows[2].units, shape.rows[2].cold) == (None, None, None)
    assert (shape.rows[2].budget, shape.rows[2].within) == (Budget(seconds=0.0006), True)


def test_a_file_that_is_no_record_is_refused(tmp_path):
    for text in ("{", "[]", '{"format": 9}', '{"format": 1}'):
        (tmp_path / "bench.json").write_text(text)
        with pytest.raises(ValueError, match="no record of mixwright bench"):
            BenchRecord.read(tmp_path / "bench.json")


def test_what_list_says_was_measured_is_what_the_record_holds() -> None:
    path = Path(__file__).parents[3] / "benchmarks" / "results" / "bench" / "steps.json"
    steps = json.loads(path.read_text())["steps"]
    assert [record["model"] for record in steps] == list(RECORDED_TIMES)
    for record in steps:
        plain, *rows = record["rows"]
        times = RECORDED_TIMES[record["model"]]
        assert [row["name"] for row in rows] == list(times)
        for row in rows:
            assert times[row["name"]] == round(row["step"]["median"] / plain["step"]["median"], 2)
    assert describe_times("puzzlemix") == "1.53 x (resnet18_cifar), 1.80 x (deit_tiny_patch16_224)"
    assert describe_times("fmix") == ""
