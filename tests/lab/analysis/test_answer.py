"""What a comparison answers, from runs that never took place: choice, seeds, steps, cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import nct, t

from lab.reports.fabricated import costs
from lab.reports.pages import ABOUT
from mixwright.lab.analysis.answer import Answer, answer, with_answer
from mixwright.lab.analysis.comparison import FinishedMethod, FinishedRun, comparison_parts
from mixwright.lab.analysis.findings import Findings
from mixwright.lab.reports.sections.answer import answer_sentences, next_steps, recommendation
from mixwright.lab.reports.verdict import verdict

COMMAND = "mixwright compare none hmix --data cifar10 --epochs 120 --seeds 2 --out runs/here"
BASE = (0.640, 0.644, 0.638)
WOBBLE = ((0.001, -0.001, 0.0), (-0.001, 0.001, 0.0), (0.0, 0.001, -0.001), (0.001, 0.0, -0.001))


def run(
    seed: int, top1: float, *, seconds: float, clean: float | None, **more: float
) -> FinishedRun:
    scores = {"top1": top1, "nll": 1.0, "ece": 0.1} | more
    return FinishedRun(
        seed=seed,
        folder=f"runs/{seed}",
        scores={"raw": scores},
        best={},
        protocols={},
        step_seconds=0.01,
        seconds=seconds,
        warnings=(),
        epochs=(),
        clean_train=None if clean is None else {"top1": clean, "nll": 0.1, "images": 500},
    )


def method(
    text: str,
    tops: Sequence[float],
    *,
    seconds: float = 100.0,
    clean: float | None = None,
    nll: Sequence[float] = (),
    **more: float,
) -> FinishedMethod:
    """A method with a run a score; ``more`` are scores that all its runs share."""
    runs = [
        run(seed, top1, seconds=seconds, clean=clean, **more, **({"nll": nll[seed]} if nll else {}))
        for seed, top1 in enumerate(tops)
    ]
    return FinishedMethod(
        text=text, label=text.upper(), slug=text, baseline=text == "none", runs=runs
    )


def found(
    *methods: FinishedMethod,
    command: str = COMMAND,
    ratios: Mapping[str, float] | None = None,
    data: str = "cifar10",
    parallel: int = 1,
    own_epochs: Mapping[str, int] | None = None,
    own_fields: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Findings:
    lasts = {"epochs": 120, "warmup_epochs": 0.0, "mix_off_epochs": 0}
    recipe = {"data": data, "model": "resnet20", **lasts, **fields}
    numbers: dict[str, dict[str, Any]] = {
        "sweep": {"sweeps": ()}, "samples": {"methods": ()}, "diagnostics": {"methods": ()},
    }  # fmt: skip
    measured = None if ratios is None else costs(ratios)
    parts, _ = comparison_parts(
        methods, recipe=recipe, numbers=numbers, measured=measured, own_epochs=own_epochs
    )
    about = dataclasses.replace(
        ABOUT,
        command=command,
        recipe=recipe,
        details={"parallel": parallel, **({"own_fields": own_fields} if own_fields else {})},
    )
    return with_answer(Findings(kind="comparison", about=about, parts=parts))


def gained(gain: float, place: int = 0) -> list[float]:
    return [top1 + gain + wobble for top1, wobble in zip(BASE, WOBBLE[place], strict=True)]


def chosen(*methods: FinishedMethod, **more: Any) -> tuple[str, str]:
    one = answer(found(*methods, **more)).recommendation
    return one.choice, one.method


def test_the_most_accurate_method_is_chosen_where_that_is_sure() -> None:
    findings = found(
        method("none", BASE, clean=1.0, nll=(1.83, 1.82, 1.84), ece=0.245),
        method("cutmix", gained(0.012), clean=0.99, nll=(1.05, 1.06, 1.04)),
        method("hmix", gained(0.041, 1), clean=0.98, nll=(0.96, 0.97, 0.95), ece=0.013),
        ratios={"cutmix": 1.02, "hmix": 1.05},
    )
    one = answer(findings)
    assert (one.recommendation.choice, one.recommendation.method) == ("accuracy", "hmix")
    assert recommendation(findings) == (
        "Use HMIX: 4.1 points above no mixing in accuracy; NLL 0.96 against 1.83, ECE 1.3 against "
        "24.5 %; its training costs 1.05\N{MULTIPLICATION SIGN} that of no mixing."
    )
    assert answer_sentences(findings)["Diagnosis"] == (
        "No mixing overfits: 100.0 % of clean training images are right and 64.1 % of test images, "
        "a gap of 35.9 points. Mixing has something to do here."
    )
    (step,) = one.steps
    assert (step.reason, step.command) == (
        "train", "mixwright train hmix --data cifar10 --epochs 120",
    )  # fmt: skip
    assert step.seconds == pytest.approx(105)  # a run without mixing, times what hmix costs


def test_of_methods_as_accurate_the_better_likelihood_and_then_the_cheaper_wins() -> None:
    base = method("none", BASE)
    likelier = [
        method("a", gained(0.040, 0), nll=(0.9, 0.9, 0.9)),
        method("b", gained(0.0401, 1), nll=(1.2, 1.2, 1.2)),
    ]
    assert chosen(base, *likelier) == ("accuracy", "a")
    unmeasured = "; what its training costs was not measured"
    assert recommendation(found(base, *likelier)).endswith(
        f"{unmeasured}; B is as accurate within chance, but its NLL is 1.20."
    )
    # B is the cheaper one too, which is no reason against it.
    assert recommendation(found(base, *likelier, ratios={"a": 3.0, "b": 1.1})).endswith(
        "3.00\N{MULTIPLICATION SIGN} that of no mixing; B is as accurate within chance, but its "
        "NLL is 1.20."
    )
    alike = [method("a", gained(0.040, 0)), method("b", gained(0.0401, 1), nll=(0.97,) * 3)]
    assert chosen(base, *alike, ratios={"a": 3.0, "b": 1.1}) == ("accuracy", "b")
    assert chosen(base, *alike, ratios={"a": 1.1, "b": 3.0}) == ("accuracy", "a")
    # A's NLL is 1.00: B is a little likelier as well, and still too dear.
    assert recommendation(found(base, *alike, ratios={"a": 1.1, "b": 3.0})).endswith(
        "; B is as accurate within chance, but costs 3.00\N{MULTIPLICATION SIGN}."
    )
    assert chosen(base, *alike) == ("accuracy", "b")  # the more accurate, where costs are unknown
    assert recommendation(found(base, *alike)).endswith(f"{unmeasured}.")
    clear = [method("a", gained(0.040, 0)), method("b", gained(0.060, 1))]
    assert chosen(base, *clear, ratios={"a": 1.1, "b": 3.0}) == ("accuracy", "b")


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


def test_what_is_level_is_no_reason_to_mix_however_sure() -> None:
    level = method("a", [top1 + 0.0004 for top1 in BASE])
    other = method("b", [top1 - 0.05 - wobble for top1, wobble in zip(BASE, (0, 1e-5, -1e-5),
                                                                     strict=True)])  # fmt: skip
    findings = found(method("none", BASE, clean=1.0), level, other)
    difference = findings.parts["scores"].group("a raw")
    assert difference is not None
    assert difference.differences["top1"].p < 0.05
    assert answer(findings).recommendation.choice == "none"


def test_one_lucky_seed_does_not_hide_what_others_did_at_several() -> None:
    base = method("none", (0.60, 0.61, 0.60))
    steady = method("mixup", (0.63, 0.62, 0.66))
    lucky = method("cutmix", (0.65,))
    findings = found(base, lucky, steady)
    one = answer(findings)
    assert (one.recommendation.choice, one.recommendation.method) == ("likely", "mixup")
    # Gains of 3, 1 and 6: their deviation is 2.52, and the only test there is asks about one
    # method. Seven seeds have an error of 0.95, six degrees of freedom a quantile of 2.45; 0.92 of
    # power more make 3.2, and with six seeds 3.6: 3.33 was seen.
    assert one.seeds_needed["mixup raw"] == 7
    (step,) = one.steps
    assert (step.reason, step.count) == ("seeds", 7)
    assert step.seconds == pytest.approx(100 * (4 + 4 + 6))  # CutMix has six to go


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


def test_a_method_judged_apart_needs_the_seeds_of_its_own_test() -> None:
    """Gains of 6, 1 and 8 points: 5 with a deviation of 3.61, beside methods that hardly vary.

    Of three questions each is asked at 1.67 %. Noncentral t has 76 % of its values beyond the
    quantile 3.13 of eight seeds, and 84 % beyond the 3.02 of nine.
    """
    still = [method(name, gained(0.01, place)) for place, name in enumerate("ab")]
    wild = method("w", [top1 + gain for top1, gain in zip(BASE, (0.06, 0.01, 0.08), strict=True)])
    findings = found(method("none", BASE), *still, wild)
    assert answer(findings).seeds_needed["w raw"] == 9
    critical, noncentral = t.isf(0.05 / 3 / 2, [7, 8]), 5 / (13 / np.array([8, 9])) ** 0.5
    short, enough = nct.sf(critical, [7, 8], noncentral)
    assert short < 0.8 < enough


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


def test_two_seeds_that_agree_make_it_likely_and_ask_for_more() -> None:
    """The figures of ResNet-20 on 2,000 images: 64.2 and 63.4 against 67.7 and 68.5."""
    findings = found(
        method("none", (0.642, 0.634), clean=1.0),
        method("hmix", (0.677, 0.685), clean=1.0, seconds=120),
        parallel=2,
    )
    one = answer(findings)
    assert (one.recommendation.choice, one.recommendation.method) == ("likely", "hmix")
    # Differences of 3.5 and 5.1: their deviation is 1.13 points. Three pairs have two degrees of
    # freedom: 4.303 standard errors of 0.65 are 2.8 points, and 1.06 of power more make 4.1.
    assert one.seeds_needed == {"hmix raw": 3}
    (step,) = one.steps
    assert (step.reason, step.count) == ("seeds", 3)
    assert step.command == (
        "mixwright compare none hmix --data cifar10 --epochs 120 --out runs/here --seeds 3"
    )
    assert step.seconds == pytest.approx(110)  # one more run of each, side by side
    assert verdict(findings.parts["scores"], one.seeds_needed).startswith(
        "HMIX 68.1 against 63.8: 4.3 points above no mixing, at both seeds. Chance is not "
        "ruled out (p = 0.12)."
    )
    assert recommendation(findings).startswith(
        "Probably HMIX: 4.3 points above no mixing at every seed, though chance is not ruled out"
    )


def test_one_seed_cannot_tell_and_asks_for_three() -> None:
    one = answer(found(method("none", (0.642,)), method("hmix", (0.677,)), command=COMMAND))
    assert (one.recommendation.choice, one.recommendation.method) == ("unknown", "hmix")
    (step,) = one.steps
    assert (step.reason, step.count, step.seconds) == ("seeds", 3, pytest.approx(400))
    assert chosen(method("none", (0.642,)), method("hmix", (0.6,))) == ("unknown", "")


def test_calibration_counts_where_accuracy_is_level() -> None:
    base = method("none", BASE, nll=(1.83, 1.82, 1.84), ece=0.245, clean=1.0)
    level = method("cutmix", gained(0.002), nll=(1.22, 1.23, 1.21), ece=0.02, clean=1.0)
    findings = found(base, level)
    one = answer(findings)
    assert (one.recommendation.choice, one.recommendation.method) == ("calibration", "cutmix")
    assert [(step.reason, step.command) for step in one.steps] == [
        ("calibration", "mixwright evaluate runs/here --only 'accuracy calibration'"),
    ]  # fmt: skip
    assert "0.2 points above no mixing in accuracy; NLL 1.22 against 1.83" in recommendation(
        findings
    )
    far = method("cutmix", gained(-0.03), nll=(1.22, 1.23, 1.21), clean=1.0)
    assert chosen(base, far) == ("none", "")  # probabilities are no reason to be wrong more often
    unsure = method("cutmix", (0.590, 0.664, 0.623), nll=(1.22, 1.23, 1.21), clean=1.0)
    assert chosen(base, unsure) == ("none", "")  # 1.5 points less, which chance may explain


def test_likelihoods_that_a_page_shows_as_equal_recommend_nothing() -> None:
    """Networks at chance, whose probabilities differ surely and by nothing."""
    base = method("none", BASE, nll=(2.330, 2.331, 2.329), ece=0.036, clean=1.0)
    nll = (2.3270, 2.3281, 2.3259)
    level = method("cutmix", gained(0.002), nll=nll, ece=0.035, clean=1.0)
    findings = found(base, level)
    group = findings.parts["scores"].group("cutmix raw")
    assert group is not None
    assert group.differences["nll"].p < 0.05
    assert answer(findings).recommendation.choice == "none"
    assert recommendation(findings) == (
        "Train without mixing: no method was ahead by a point, and at the same accuracy none has "
        "an NLL that is surely lower by 0.01."
    )


def test_what_temperature_scaling_does_needs_no_mixing() -> None:
    base = method("none", BASE, nll=(1.83, 1.82, 1.84), ece=0.245, ece_scaled=0.021, clean=1.0)
    level = method("cutmix", gained(0.002), nll=(1.22, 1.23, 1.21), ece=0.020, ece_scaled=0.018,
                   clean=1.0)  # fmt: skip
    findings = found(base, level)
    assert answer(findings).recommendation.choice == "scaling"
    words = recommendation(findings)
    assert words.startswith("Train without mixing and scale the temperature")
    assert "(1.8 against 2.1 % with its temperature scaled)" in words
    worse = method("none", BASE, nll=(1.83, 1.82, 1.84), ece=0.245, ece_scaled=0.05, clean=1.0)
    assert answer(found(worse, level)).recommendation.choice == "calibration"


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


@pytest.mark.parametrize(
    "methods", [[method("a", BASE)], [method("none", BASE)]], ids=["no baseline", "baseline alone"]
)
def test_nothing_to_compare_has_no_answer(methods: list[FinishedMethod]) -> None:
    findings = found(*methods)
    one: Answer = answer(findings)
    assert (one.recommendation.choice, one.steps, one.seeds_needed) == ("unknown", (), {})
    assert recommendation(findings).startswith("Cannot tell: it takes none and a method")


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


def test_nothing_is_recommended_while_no_mixing_has_not_learned_its_images() -> None:
    findings = found(
        method("none", BASE, clean=0.67), method("a", [0.645, 0.640, 0.641], clean=0.66)
    )
    assert answer(findings).recommendation.choice == "early"
    assert recommendation(findings) == (
        "Cannot tell yet: no method was ahead by a point, and no mixing has not learned its "
        "training images."
    )


def test_seeds_that_could_show_no_difference_are_called_too_few() -> None:
    # Two pairs, 30 points below and 40 above: one degree of freedom, an error of 35 points.
    words = answer_sentences(found(method("none", [0.5, 0.5]), method("a", [0.2, 0.9])))
    assert "These 2 seeds are too few to show any difference" in words["How sure"]
    assert "points four times in five" not in words["How sure"]
