"""What to do after a comparison, and what it takes, from runs that never took place."""

from __future__ import annotations

from typing import Any

import pytest

from lab.analysis.finished import BASE, COMMAND, found, gained, method
from mixwright.lab.analysis.answer import answer
from mixwright.lab.reports.sections.answer import answer_sentences, next_steps


def test_a_dear_method_is_asked_for_its_time_first() -> None:
    """It costs 2.5 trainings of 100 s: no mixing has 300 epochs in that time, warm-up in step.

    Three runs of each take 250 s, three at a time.
    """
    methods = method("none", BASE, clean=1.0), method("a", gained(0.040), clean=1.0)
    command = f"{COMMAND} --warmup-epochs 5"
    own: dict[str, Any] = {"command": command, "parallel": 3, "warmup_epochs": 5.0}
    one = answer(found(*methods, ratios={"a": 2.5}, **own))
    assert (one.recommendation.choice, one.recommendation.method) == ("accuracy", "a")
    assert [(step.reason, step.count, step.seconds) for step in one.steps] == [
        ("time", 300, pytest.approx(500)), ("train", None, pytest.approx(250)),
    ]  # fmt: skip
    assert one.steps[0].command == (
        "mixwright compare none a --data cifar10 --seeds 2 --epochs 300 --warmup-epochs 12.5 --out "
        "runs/here-equal-time --equal-time"
    )
    ((sentence, _), _) = next_steps(one)
    assert sentence.startswith(
        "What to do next: give no mixing the same time, 300 epochs, from which it might gain as "
        "much. That takes about 8 minutes"
    )
    cheap = answer(found(*methods, ratios={"a": 1.4}, **own))
    assert [step.reason for step in cheap.steps] == ["train"]
    unmeasured = answer(found(*methods, **own))
    assert [step.reason for step in unmeasured.steps] == ["train"]
    fair = answer(found(*methods, ratios={"a": 2.5}, own_epochs={"none": 120, "a": 48}, **own))
    assert [step.reason for step in fair.steps] == ["train"]
    toy = answer(found(*methods, ratios={"a": 2.5}, **own, data="digits"))
    assert [step.reason for step in toy.steps] == ["data"]


def test_a_dear_method_that_is_likely_needs_seeds_first() -> None:
    methods = method("none", (0.60, 0.61), clean=1.0), method("a", (0.63, 0.66), clean=1.0)
    one = answer(found(*methods, ratios={"a": 2.5}))
    assert one.recommendation.choice == "likely"
    assert [step.reason for step in one.steps] == ["seeds", "time"]


def test_seeds_that_only_one_side_has_are_asked_for_again() -> None:
    """Of no mixing one run is left: three seeds of it take two more, and one of the method."""
    one = answer(found(method("none", (0.60,)), method("a", (0.65, 0.66))))
    (step,) = one.steps
    assert (step.reason, step.count, step.seconds) == ("seeds", 3, pytest.approx(300))


def test_what_seeds_in_reach_do_not_show_may_still_be_trained_with() -> None:
    one = answer(found(method("none", (0.60, 0.66)), method("hmix", (0.611, 0.83))))
    assert one.recommendation.choice == "likely"
    needed = one.seeds_needed["hmix raw"]
    assert needed is not None
    assert needed > 12  # gains of 1.1 and 17 points
    assert [(step.reason, step.command) for step in one.steps] == [
        ("train", "mixwright train hmix --data cifar10 --epochs 120")
    ]


def test_what_seeds_in_reach_do_not_tell_costs_least_without_mixing() -> None:
    """Gains of 4, -1 and 0.3 points: 1.1 with a deviation of 2.6, ahead at two seeds of three."""
    gains = zip(BASE, (0.04, -0.01, 0.003), strict=True)
    hmix = method("hmix", [top1 + gain for top1, gain in gains])
    findings = found(method("none", BASE, clean=1.0), hmix)
    one = answer(findings)
    assert (one.recommendation.choice, one.recommendation.method) == ("unknown", "hmix")
    needed = one.seeds_needed["hmix raw"]
    assert needed is not None
    assert needed > 12
    assert [(step.reason, step.command) for step in one.steps] == [
        ("cheapest", "mixwright train none --data cifar10 --epochs 120")
    ]
    ((sentence, _),) = next_steps(one)
    assert sentence == (
        "What to do next: more than 12 seeds of each would tell; until then train without mixing, "
        "which costs least. That takes about 2 minutes on the machine of these runs."
    )


def test_calibration_is_measured_where_the_data_are_and_as_they_were_read() -> None:
    one = answer(
        found(
            method("none", BASE, nll=(1.83, 1.82, 1.84), ece=0.245, clean=1.0),
            method("cutmix", gained(0.002), nll=(1.22, 1.23, 1.21), ece=0.02, clean=1.0),
            command=f"{COMMAND} --data-dir /there --skip-unreadable --device cpu --trust --lr 0.1",
        )
    )
    assert [step.command for step in one.steps] == [
        "mixwright evaluate runs/here --only 'accuracy calibration' --data-dir /there "
        "--skip-unreadable --device cpu --trust"
    ]


OWN_FIELDS = {
    "none": {"min_lr": 0.0}, "cutmix": {"min_lr": 0.0}, "automix": {"min_lr": 0.05}
}  # fmt: skip


@pytest.mark.parametrize(
    ("gains", "command"),
    [
        ((0.01, 0.05), "mixwright train automix --min-lr 0.05"),
        ((0.05, 0.01), "mixwright train cutmix"),
    ],
)
def test_the_rate_of_learned_mixers_is_that_of_a_run_alone(
    gains: tuple[float, float], command: str
) -> None:
    """``train`` has no --learned-min-lr: the rate is the run's own, or none of its business."""
    findings = found(
        method("none", BASE, clean=1.0),
        method("cutmix", gained(gains[0], 0), clean=1.0),
        method("automix", gained(gains[1], 1), clean=1.0),
        command="mixwright compare none cutmix automix --learned-min-lr 0.05",
        own_fields=OWN_FIELDS,
    )
    assert [step.command for step in answer(findings).steps] == [command]


@pytest.mark.parametrize(
    ("last", "end"),
    [
        ("automix", "none cutmix fmix --epochs"),
        ("cutmix", "none automix fmix --learned-min-lr 0.1"),
    ],
)
def test_a_rate_of_learned_mixers_stays_with_them(last: str, end: str) -> None:
    """A command without a method that learns a mixer refuses it."""
    others = [name for name in ("automix", "cutmix") if name != last]
    findings = found(
        method("none", BASE, clean=0.6),
        *(method(name, gained(-0.01, 0), clean=0.5) for name in others),
        *(method(name, gained(-0.02, place + 1), clean=0.5) for place, name in enumerate(
            ("fmix", "hmix"))),
        method(last, gained(-0.05, 3), clean=0.5),
        command="mixwright compare --learned-min-lr 0.1",
        own_fields={**OWN_FIELDS, "fmix": {"min_lr": 0.0}, "hmix": {"min_lr": 0.0}},
    )  # fmt: skip
    (step,) = answer(findings).steps
    assert step.command.startswith(f"mixwright compare {end.replace('fmix', 'fmix hmix')}")


def test_an_underfitting_baseline_asks_for_longer_training() -> None:
    findings = found(
        method("none", BASE, clean=0.67),
        method("a", gained(-0.06), clean=0.60),
        method("b", gained(-0.05, 1), clean=0.61),
        method("c", gained(-0.04, 2), clean=0.62),
        method("d", gained(-0.03, 3), clean=0.66),
        ratios={"a": 1.0, "b": 1.5, "c": 1.0, "d": 1.0},
        command="mixwright compare none a b c d --epochs 120 --seeds 3",
        parallel=2,
    )
    one = answer(findings)
    assert one.recommendation.choice == "none"
    (step,) = one.steps
    assert (step.reason, step.count) == ("epochs", 240)
    assert step.command == (
        "mixwright compare none d c b --seeds 3 --epochs 240 --out runs/compare-240-epochs"
    )
    # Three seeds, twice as long, costs 1 + 1 + 1 + 1.5 of 100 seconds, two at a time.
    assert step.seconds == pytest.approx(3 * 2 * 450 / 2)
    words = answer_sentences(findings)
    assert words["Recommendation"] == (
        "At this length of training do not mix: every method was less accurate."
    )
    assert words["Diagnosis"] == (
        "No mixing underfits: 67.0 % of clean training images are right and 64.1 % of test images, "
        "a gap of 2.9 points. Mixing makes training harder still: train longer, take a larger "
        "model, or do not mix. A, B, C and D underfit: 60.0 to 66.0 % of clean training images are "
        "right."
    )
    ((sentence, _),) = next_steps(one)
    assert sentence == (
        "What to do next: train longer, for 240 epochs, without mixing and with the best three "
        "methods at most. That takes about 22 minutes on the machine of these runs."
    )


@pytest.mark.parametrize(
    ("name", "model"),
    [("cutmix", "my.nets:small"), ("my.mixers:SideMix:alpha=0.2", "resnet20")],
)
def test_runs_with_code_of_ones_own_are_evaluated_with_trust(name: str, model: str) -> None:
    one = answer(
        found(
            method("none", BASE, nll=(1.83, 1.82, 1.84), ece=0.245, clean=1.0),
            method(name, gained(0.002), nll=(1.22, 1.23, 1.21), ece=0.02, clean=1.0),
            model=model,
        )
    )
    assert [step.command for step in one.steps] == [
        "mixwright evaluate runs/here --only 'accuracy calibration' --trust"
    ]


def test_the_folder_of_an_earlier_step_is_not_named_after_both() -> None:
    one = answer(
        found(
            method("none", BASE, clean=0.6),
            method("a", gained(-0.05), clean=0.5),
            command="mixwright compare none a --epochs 120 --out runs/mine-120-epochs",
        )
    )
    assert (
        one.steps[0].command == "mixwright compare none a --epochs 240 --out runs/mine-240-epochs"
    )


def test_times_of_runs_stand_in_where_costs_were_not_measured() -> None:
    one = answer(
        found(method("none", BASE, clean=0.6), method("a", gained(-0.05), seconds=150, clean=0.5))
    )
    assert one.steps[0].seconds == pytest.approx(3 * 2 * 250)


def test_where_mixing_does_not_help_the_next_command_trains_without() -> None:
    one = answer(
        found(method("none", BASE, clean=1.0), method("a", gained(-0.05), clean=1.0, seconds=150))
    )
    assert one.recommendation.choice == "none"
    assert [(step.reason, step.command, step.seconds) for step in one.steps] == [
        ("train", "mixwright train none --data cifar10 --epochs 120", pytest.approx(100))
    ]


def test_digits_lead_to_data_of_ones_own() -> None:
    one = answer(
        found(method("none", BASE), method("a", gained(0.05)), data="digits",
              command="mixwright compare")
    )  # fmt: skip
    assert [(step.reason, step.command, step.seconds) for step in one.steps] == [
        ("data", "mixwright compare none a --data folder:YOUR_IMAGES --out runs/your-images", None)
    ]


def test_a_command_of_others_is_not_made_up() -> None:
    assert answer(found(method("none", BASE), method("a", gained(0.05)), command="")).steps == ()


def test_a_method_at_equal_time_is_trained_alone_by_its_whole_recipe() -> None:
    """Warm-up and the end without mixing were shorter too: half of 120 epochs, so half of each."""
    findings = found(
        method("none", BASE, clean=1.0),
        method("hmix", gained(0.041), clean=1.0),
        command=f"{COMMAND} --equal-time --mix-off-epochs 9 --executor slurm --resources gpus=1",
        ratios={"hmix": 2.0},
        own_epochs={"none": 120, "hmix": 60},
        warmup_epochs=5.0,
        mix_off_epochs=9,
    )
    (step,) = answer(findings).steps
    assert step.command == (
        "mixwright train hmix --data cifar10 --epochs 60 --warmup-epochs 2.5 --mix-off-epochs 4"
    )


def test_no_mixing_is_trained_alone_without_an_end_without_mixing() -> None:
    level = method("none", BASE, clean=1.0), method("hmix", gained(0.0), clean=1.0)
    (step,) = answer(found(*level, command=f"{COMMAND} --mix-off-epochs 9")).steps
    assert step.command == "mixwright train none --data cifar10 --epochs 120"


def test_a_file_of_options_may_name_the_folder_so_no_command_is_guessed() -> None:
    sure = method("none", BASE, clean=1.0), method("hmix", gained(0.041), clean=1.0)
    assert answer(found(*sure, command="mixwright compare --config c.yaml")).steps == ()
    level = method("none", BASE, clean=1.0), method("hmix", gained(0.0), clean=1.0)
    assert answer(found(*level, command="mixwright compare --config c.yaml")).steps == ()
    unsure = method("none", BASE[:1], clean=1.0), method("hmix", [0.7], clean=1.0)
    (step,) = answer(found(*unsure, command="mixwright compare --config c.yaml")).steps
    assert step.command == "mixwright compare --config c.yaml --seeds 3"  # words beside it win
