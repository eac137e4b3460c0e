"""What a comparison answers, from runs that never took place: choice and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import nct, t

from lab.analysis.finished import BASE, COMMAND, chosen, found, gained, method
from mixwright.lab.analysis.answer import Answer, answer
from mixwright.lab.analysis.comparison import FinishedMethod
from mixwright.lab.reports.sections.answer import answer_sentences, recommendation
from mixwright.lab.reports.verdict import verdict


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


@pytest.mark.parametrize(
    "methods", [[method("a", BASE)], [method("none", BASE)]], ids=["no baseline", "baseline alone"]
)
def test_nothing_to_compare_has_no_answer(methods: list[FinishedMethod]) -> None:
    findings = found(*methods)
    one: Answer = answer(findings)
    assert (one.recommendation.choice, one.steps, one.seeds_needed) == ("unknown", (), {})
    assert recommendation(findings).startswith("Cannot tell: it takes none and a method")


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
