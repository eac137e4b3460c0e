"""The bench on tiny batches and fake clocks: what the record holds."""

from __future__ import annotations

import itertools
import json
import sys
import types
from functools import partial
from pathlib import Path

import pytest
import torch

from mixwright.lab.bench import BenchRecord, run_bench, steps
from mixwright.lab.bench.benchmarks import COPY, LERP, default_mixers
from mixwright.lab.bench.budgets import LARGE, SMALL, Budget, budget_of
from mixwright.lab.bench.compiling import _first_sentence
from mixwright.lab.bench.mixing import measure_shape
from mixwright.lab.bench.peers import peer_benchmarks
from mixwright.lab.bench.recorded_times import RECORDED_TIMES, describe_times
from mixwright.lab.bench.solver import measure_solver
from mixwright.lab.bench.steps import StepModel, measure_steps
from mixwright.lab.experiments.methods import parse_method
from mixwright.mixers import CARDS, MIXERS, CutMix, MiAMix, MixUp
from mixwright.objectives import CrossEntropy, Mixed, Objective

TINY = (4, 3, 8, 8)
SMALL_STEP = StepModel("smallconv", TINY)
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


# ------------------------------------------------------------------ compiled


@pytest.mark.usefixtures("no_peers")
def test_compiled_mixers_stand_beside_themselves(monkeypatch):
    monkeypatch.setattr("mixwright.lab.bench.run.WARM_UP", 1)
    compiled = []
    true_compile = torch.compile

    def noting(function, **settings):
        compiled.append(settings["backend"])
        return true_compile(function, **settings)

    monkeypatch.setattr(torch, "compile", noting)
    # Turns of all, then the first compiled call, then lerp, copy, as it is, and compiled.
    first = [9.0] * 7 + [2.0, 1.0, 6.0, 3.0, 4.0, 1.5, 8.0]
    clock = iter([*first, 30.0] + [9.0] * 4 + [4.0, 2.0, 5.0, 3.0])

    def timer(call):
        call()
        return next(clock)

    record = run_bench(["cutmix"], shapes=[TINY], rounds=1, compile="eager", timer=timer)
    (shape,) = record.shapes
    assert [row.part for row in shape.rows if row.name == "cutmix"][-2:] == [
        "with targets", "compiled",
    ]  # fmt: skip
    row = shape.rows[-1]
    assert (row.cold, row.time.median, row.units, row.times_eager) == (30.0, 3.0, 0.75, 0.6)
    assert (row.times_copy, row.budget) == (1.5, None)
    assert shape.rows[-2].time.median == 8.0
    assert shape.not_compiled == {}
    assert compiled == ["eager"]
    assert next(clock, None) is None


@pytest.mark.usefixtures("no_peers")
def test_what_does_not_compile_says_why_and_nothing_else_breaks(tmp_path):
    def refuse(graph, inputs):
        raise RuntimeError("no working C++ compiler found\n\nSet ... for more")

    name = "refusing"
    if name not in torch.compiler.list_backends(exclude_tags=()):
        torch._dynamo.register_backend(refuse, name=name)
    names, given = ["mixup", "cutmix"], {"shapes": [TINY], "rounds": 1, "timer": counting()}
    record = run_bench(names, compile=name, **given)
    (shape,) = record.shapes
    why = "RuntimeError: no working C++ compiler found"
    assert shape.not_compiled == dict.fromkeys(names, why)
    assert "compiled" not in {row.part for row in shape.rows}
    record.write(tmp_path / "bench.json")
    assert BenchRecord.read(tmp_path / "bench.json") == record


@pytest.mark.usefixtures("no_peers")
def test_a_wrong_backend_loses_nothing_that_was_measured():
    record = run_bench(["mixup"], shapes=[TINY], rounds=1, compile="nonsense", timer=counting())
    (shape,) = record.shapes
    assert shape.not_compiled["mixup"].startswith("Mix: compile is 'nonsense'; expected True")
    assert shape.rows[-1].part == "with targets"


def test_the_sentence_of_a_compiler_is_that_which_says_what_is_wrong():
    torn = "backend='inductor' raised:\nInvalidCxxCompiler: No working C++ compiler\n\nSet ...\n"
    assert _first_sentence(RuntimeError(torn)) == "InvalidCxxCompiler: No working C++ compiler"
    assert _first_sentence(RuntimeError()) == "RuntimeError"


class Looking:
    """A mixer that looks through the model, and counts on being given labels."""

    def plan(self, images, labels=None, *, generator, model=None):
        assert model(images).shape == (len(images), 100)
        assert labels.shape == (len(images),)
        return MixUp().plan(images, generator=generator)


class Headed(Objective):
    """A way of training with a head of its own."""

    def build(self, model, num_classes):
        self.head = torch.nn.Linear(num_classes, 1)

    def forward(self, model, images, labels, *, generator, progress):
        losses = Mixed()(model, images, labels, generator=generator, progress=progress)
        return type(losses)(losses.total + self.head(losses.logits).mean(), {}, losses.logits)


class Refusing(Objective):
    """A way of training for other networks than ours."""

    def forward(self, model, images, labels, *, generator, progress):
        raise ValueError("Refusing: the model has no attention; expected a transformer.")


def measure(learners, **more):
    given = {"device": torch.device("cpu"), "timer": counting(), "rounds": 1, "model": SMALL_STEP}
    return measure_steps(learners, **(given | more))


@pytest.mark.usefixtures("no_peers")
def test_mixers_that_look_are_given_a_model():
    record = run_bench({"mine": Looking()}, shapes=[TINY], rounds=1, timer=counting())
    parts = [row.part for row in record.shapes[0].rows if row.name == "mine"]
    assert parts == ["all", "plan", "apply", "targets", "with targets"]


def test_steps_state_both_shares():
    # Steps none, mixup; mixup's clock reads its plan and its images first. It is tried out once
    # before; one warm-up round, two that count.
    rounds = [9.0, 9.0, 9.0, 9.0], [10.0, 1.5, 0.5, 16.0], [8.0, 0.25, 0.75, 10.0]
    clock = itertools.chain.from_iterable(rounds)

    def timer(call):
        call()
        return next(clock)

    record = measure({"mixup": partial(Mixed, MixUp())}, timer=timer, rounds=2)
    none, mixup = record.rows
    assert (none.name, none.share, none.times, none.exact) == ("none", 0.0, 1.0, 1.0)
    assert none.mixing is not None
    assert none.mixing.least == 0.0
    assert (mixup.step.mean, mixup.mixing.mean) == (13.0, 1.5)
    assert mixup.share == 1.5 / 13
    assert mixup.times == 13 / 9
    assert mixup.least_times == 10 / 8
    assert mixup.exact == 1.0
    assert next(clock, None) is None


def test_a_step_of_two_views_has_as_many_outputs_as_images():
    model, rows = SMALL_STEP.build(), []
    model.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))

    def time_part(call):
        call()
        return lambda: 0.0

    step = steps.TrainingStep(
        model,
        torch.optim.SGD(model.parameters(), 0.1),
        Mixed(MiAMix(views=2)),
        images=torch.rand(TINY),
        labels=torch.arange(4),
        precision="fp32",
        time_part=time_part,
    )
    step()
    assert rows == [4]
    record = run_bench({"two": MiAMix(views=2)}, shapes=[TINY], rounds=1, timer=counting())
    assert "two" in {row.name for row in record.shapes[0].rows}


def test_a_step_with_whole_images_sees_both():
    model, rows = SMALL_STEP.build(), []
    model.register_forward_pre_hook(lambda _, given: rows.append(len(given[0])))
    learner = parse_method("mixup:clean=1").objective(CrossEntropy())
    step = steps.TrainingStep(
        model,
        torch.optim.SGD(model.parameters(), 0.1),
        learner,
        images=torch.rand(TINY),
        labels=torch.arange(4),
        precision="fp32",
        time_part=lambda call: call() or float,
    )
    step()
    assert rows == [8]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_kind_of_method_is_measured(precision, tmp_path):
    learners = {
        "miamix": partial(Mixed, MIXERS["miamix"]()),
        "mine": partial(Mixed, Looking()),
        "headed": Headed,
        "refusing": Refusing,
    }
    record = measure(learners, precision=precision)
    assert (record.precision, record.model, record.shape) == (precision, "smallconv", TINY)
    assert [row.name for row in record.rows] == ["none", "miamix", "mine", "headed"]
    assert record.refused == {
        "refusing": "Refusing: the model has no attention; expected a transformer."
    }
    _, miamix, mine, headed = record.rows
    assert (miamix.exact, mine.exact, headed.exact) == (1.0, None, None)
    assert (headed.mixing, headed.share, headed.within) == (None, None, None)


def test_the_whole_step_has_a_budget_too(monkeypatch):
    solved = []
    monkeypatch.setattr(steps, "measure_solver", lambda *_, step, **__: solved.append(step) or ())
    learners = {"puzzlemix": partial(Mixed, MixUp()), "miamix": partial(Mixed, MixUp())}
    for row in measure(learners).rows:
        assert (row.share_budget, row.times_budget, row.within) == (None, None, None)
    monkeypatch.setattr(steps, "STEP_MODEL", SMALL_STEP)  # where budgets hold
    assert measure(learners).rows[2].share_budget == 0.03
    # PuzzleMix in name alone: its budget is 2.1 times none.
    for seconds, within in ((2.1, True), (2.2, False)):
        clock = iter([1.0, 1.0, 1.0, 1.0, 1.0, 0.1, 0.1, seconds])

        def timer(call, clock=clock):
            call()
            return next(clock)

        row = measure({"puzzlemix": partial(Mixed, MixUp())}, timer=timer).rows[1]
        assert (row.times, row.times_budget, row.within) == (seconds, 2.1, within)
        assert solved[-1] == seconds


def test_a_method_that_seldom_does_much_is_held_against_its_mean(monkeypatch):
    solved = []
    monkeypatch.setattr(steps, "measure_solver", lambda *_, step, **__: solved.append(step) or ())
    monkeypatch.setattr(steps, "STEP_MODEL", SMALL_STEP)
    # Two of three steps are cheap: neither the least nor the median keeps a secret.
    clock = iter([1.0] * 4 + [1.0, 0.1, 0.1, 1.5] * 2 + [1.0, 0.1, 0.1, 4.5])

    def timer(call):
        call()
        return next(clock)

    row = measure({"puzzlemix": partial(Mixed, MixUp())}, timer=timer, rounds=3).rows[1]
    assert (row.times, row.least_times, row.within) == (2.5, 1.5, False)
    assert solved == [2.5]


def test_the_solver_is_timed_on_each_grid():
    rows = measure_solver(
        torch.rand(3, 3, 32, 48), step=10.0, timer=counting(), warm_up=1, rounds=2
    )
    assert [row.grid for row in rows] == [2, 4, 8, 16]
    assert [row.time.least for row in rows] == [5.0, 6.0, 7.0, 8.0]
    assert [row.share for row in rows] == [0.7, 0.8, 0.9, 1.0]


@pytest.mark.parametrize(
    ("text", "name", "shape"),
    [
        ("resnet18_cifar", "resnet18_cifar", (128, 3, 32, 32)),
        (" deit_tiny_patch16_224", "deit_tiny_patch16_224", (32, 3, 224, 224)),
        ("smallconv@4x1x8x8", "smallconv", (4, 1, 8, 8)),
    ],
)
def test_a_network_is_written_with_its_batch(text, name, shape):
    assert StepModel.read(text) == StepModel(name, shape)


@pytest.mark.parametrize("text", ["smallconv@4x8x8", "smallconv@0x3x8x8", "@4x3x8x8", ""])
def test_a_network_that_cannot_be_read(text):
    with pytest.raises(ValueError, match="expected NAME, or NAME@BxCxHxW"):
        StepModel.read(text)


@pytest.mark.usefixtures("no_peers")
def test_training_measures_mixers_and_objectives(tmp_path):
    given = {"shapes": [], "training": True, "rounds": 1, "timer": counting()}
    record = run_bench(
        ["cutmix"],
        objectives={"headed": Headed, "refusing": Refusing},
        step_models=[SMALL_STEP, StepModel("resnet8", TINY)],
        **given,
    )
    pairs = [(found.model, found.precision) for found in record.steps]
    assert pairs == [(m, p) for m in ("smallconv", "resnet8") for p in ("fp32", "bf16")]
    for found in record.steps:
        assert {"none", "cutmix", "headed"} <= {row.name for row in found.rows}
        assert list(found.refused) == ["refusing"]
    record.write(tmp_path / "bench.json")
    assert BenchRecord.read(tmp_path / "bench.json") == record
    with pytest.raises(ValueError, match="no objective 'mixd'; expected names of OBJECTIVES"):
        run_bench([], objectives=["mixd"], **given)


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
