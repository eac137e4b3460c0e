"""Training steps on tiny batches and fake clocks: what they state of a method."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
import torch

from lab.bench.clocks import TINY, counting
from mixwright.lab.bench import BenchRecord, run_bench, steps
from mixwright.lab.bench.solver import measure_solver
from mixwright.lab.bench.steps import StepModel, measure_steps
from mixwright.lab.experiments.methods import parse_method
from mixwright.mixers import MIXERS, MiAMix, MixUp
from mixwright.objectives import CrossEntropy, Mixed, Objective

SMALL_STEP = StepModel("smallconv", TINY)


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
