"""The bench on tiny batches and fake clocks: what the record holds, and what it says."""

from __future__ import annotations

import itertools
import sys
import types

import pytest
import torch

from mixwright.bench import BenchRecord, run_bench
from mixwright.bench.budgets import LARGE, SMALL, Budget, budget_of
from mixwright.bench.candidates import COPY, LERP, default_mixers
from mixwright.bench.mixing import measure_shape
from mixwright.bench.peers import of_peers
from mixwright.bench.steps import measure_steps
from mixwright.mixers import MIXERS, CutMix, MixUp

TINY = (4, 3, 8, 8)
PEERS = ("torchvision", "timm", "kornia")


@pytest.fixture
def no_peers(monkeypatch):
    """Make every peer look as if it were not installed."""
    for name in PEERS:
        monkeypatch.setitem(sys.modules, name, None)


def counting():
    """Make a timer that runs the call and gives 1, 2, 3, ... seconds."""
    ticks = itertools.count(1)

    def timer(call):
        call()
        return float(next(ticks))

    return timer


@pytest.mark.usefixtures("no_peers")
def test_the_record_is_complete(tmp_path):
    record = run_bench(shapes=[TINY], rounds=2, timer=counting())
    (one,) = record.shapes
    rows = {(row.name, row.part): row for row in one.rows}
    for name in default_mixers():
        for part in ("all", "plan", "apply", "with targets"):
            assert rows[name, part].group == "mixwright"
    assert {row.name for row in one.rows if row.group == "floor"} == {LERP, COPY}
    assert set(MIXERS) <= set(default_mixers())
    assert "cutmix:per=batch" in default_mixers()
    assert (one.shape, one.dtype, one.rounds, one.warm_up) == (TINY, "float32", 2, 3)
    assert all(row.time.turns == 2 for row in one.rows)
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
    found, versions = of_peers(torch.zeros(TINY), torch.zeros(4, dtype=torch.int64))
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
    # Turns: lerp, copy, then four parts of cutmix. One warm-up round, then two that count.
    clock = iter([9.0] * 6 + [2.0, 1.0, 6.0, 3.0, 4.0, 8.0] + [4.0, 3.0, 5.0, 3.0, 4.0, 8.0])

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
    assert whole.budget is None  # no budget was set for this shape
    assert next(clock, None) is None


@pytest.mark.parametrize(("seconds", "within"), [(0.5e-3, True), (0.7e-3, False)])
@pytest.mark.usefixtures("no_peers")
def test_verdicts_follow_the_budget(seconds, within):
    def timer(call):
        call()
        return seconds

    record = run_bench(["cutmix"], shapes=[SMALL], rounds=1, timer=timer)
    verdicts = {row.part: row.within for row in record.shapes[0].rows if row.name == "cutmix"}
    assert verdicts == {"all": within, "plan": None, "apply": None, "with targets": None}


def test_budgets():
    assert budget_of("hmix", LARGE) == Budget(times_lerp=1.3)
    assert budget_of("gmix", LARGE) == Budget(times_lerp=3.0)
    assert budget_of("miamix", SMALL) == Budget(seconds=5e-3)
    assert budget_of("cutmix:per=batch", SMALL) is None
    assert budget_of("cutmix", TINY) is None
    assert Budget(times_lerp=1.3).allows(seconds=99.0, times_lerp=1.3)
    assert not Budget(times_lerp=1.3).allows(seconds=0.0, times_lerp=1.31)


def test_steps_state_both_shares():
    # Steps none, mixup; mixup's clock reads its mixing first. One warm-up round, two that count.
    clock = iter([9.0, 9.0, 9.0, 10.0, 2.0, 16.0, 8.0, 1.0, 10.0])

    def timer(call):
        call()
        return next(clock)

    record = measure_steps(
        {"mixup": MixUp()},
        device=torch.device("cpu"),
        timer=timer,
        rounds=2,
        model="smallconv",
        shape=TINY,
    )
    none, mixup = record.rows
    assert (none.name, none.share, none.difference, none.mixing.least) == ("none", 0.0, 0.0, 0.0)
    assert (mixup.step.least, mixup.mixing.least) == (10.0, 1.0)
    assert mixup.share == 0.1
    assert mixup.median_share == pytest.approx((2 / 16 + 1 / 10) / 2)
    assert mixup.difference == pytest.approx(10 / 8 - 1)
    assert next(clock, None) is None


def test_steps_train_in_both_precisions():
    for precision in ("fp32", "bf16"):
        record = measure_steps(
            {"miamix": MIXERS["miamix"]()},
            device=torch.device("cpu"),
            timer=counting(),
            rounds=1,
            precision=precision,
            model="smallconv",
            shape=TINY,
        )
        assert record.precision == precision
        assert [row.name for row in record.rows] == ["none", "miamix"]
        assert record.rows[1].budget == 0.03


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


def test_a_file_that_is_no_record_is_refused(tmp_path):
    for text in ("{", "[]", '{"format": 9}', '{"format": 1}'):
        (tmp_path / "bench.json").write_text(text)
        with pytest.raises(ValueError, match="no record of mixwright bench"):
            BenchRecord.read(tmp_path / "bench.json")
