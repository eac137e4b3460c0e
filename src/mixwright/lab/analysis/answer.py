"""What a comparison answers: which method to use, how it fits, and what to do next at what cost."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mixwright.lab.analysis.cost import Spent, lengths, read_cost
from mixwright.lab.analysis.curves import AllCurves
from mixwright.lab.analysis.diagnosis import Fit, fits
from mixwright.lab.analysis.findings import Findings, Group, Part
from mixwright.lab.analysis.next_command import OUT, Command, read_command
from mixwright.lab.analysis.statistics import Contrast
from mixwright.lab.analysis.statistics.dunnett import seeds_to_show
from mixwright.lab.models.names import own_model
from mixwright.lab.settings import decode, option_flag, write_value

CLAIM = 0.05
"""Adjusted p-values below it are called a difference."""

MATTERS = 0.01
"""A difference of accuracy that is worth another run: below a point few would change a recipe."""

MOST_SEEDS = 12
"""Seeds that a recommendation asks for at most."""

_CALIBRATED = 0.005  # ECE by which mixing has to beat temperature scaling, half a point
_LIKELIER = 0.01  # likelihood loss by which probabilities are worth a word: pages show hundredths
_LEVEL = 0.0005  # a difference of accuracy that a page calls level
_DEAR = 1.5  # trainings of no mixing, from which on it is worth asking what it does in that time
_TRIED = 3  # methods beside none that a longer training is tried with

LEARNED_MIN_LR = "--learned-min-lr"

OF_COMPARE = frozenset(
    {
        "--seeds", "--out", "--workers", "--dry-run", "--equal-time", "--executor", "--resources",
        "--part", "--collect", LEARNED_MIN_LR,
    }
)  # fmt: skip
"""Options of ``compare`` that ``train`` does not take, or that name its folder; a test looks."""

_OF_EVALUATE = ("--data-dir", "--skip-unreadable", "--device", "--trust")  # that a run keeps not

Choice = Literal["accuracy", "likely", "calibration", "scaling", "none", "early", "unknown"]

Reason = Literal["seeds", "epochs", "time", "calibration", "data", "train", "cheapest"]


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """Which method to use.

    Attributes:
        choice: ``accuracy``: ``method`` is surely more accurate; ``likely``: it was at every
            seed, which may be chance; ``calibration``: it is as accurate, and its probabilities
            are surely better; ``scaling``: so they are, but temperature scaling does as much for
            no mixing; ``none``: no mixing; ``early``: cannot be told before no mixing has learned
            its training images; ``unknown``: cannot be told.
        method: METHOD; of ``unknown`` the one that was ahead, if one was.
    """

    choice: Choice
    method: str = ""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do next.

    Attributes:
        reason: what for: more ``seeds``, more ``epochs``, as much ``time`` for no mixing as for
            the method, a closer look at ``calibration``, ``data`` of one's own, to ``train`` with
            what was chosen, or with no mixing as the ``cheapest`` where no number of seeds in
            reach would tell.
        command: to type.
        seconds: that its runs will take together, from the times of these; None where it trains
            nothing, or on data that nobody has seen.
        count: of seeds or epochs, where it is about them; of those of no mixing at equal time.
    """

    reason: Reason
    command: str
    seconds: float | None = None
    count: int | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a comparison answers.

    Attributes:
        recommendation: by accuracy, likelihood, calibration and cost.
        seeds_needed: seeds that would show the difference in top-1 that was seen, by key of the
            group of trained weights; None for more than anybody trains; methods that are shown, or
            whose spread is not known, are left out.
        fits: of the baseline first.
        steps: what to do next, the most useful first; none where the command is not known.
    """

    recommendation: Recommendation
    seeds_needed: dict[str, int | None]
    fits: tuple[Fit, ...]
    steps: tuple[Step, ...]


def with_answer(findings: Findings) -> Findings:
    """Return a comparison with its part ``answer``, before all others."""
    own = Part(groups=(), numbers=dataclasses.asdict(answer(findings)))
    return dataclasses.replace(findings, parts={"answer": own} | findings.parts)


def answer(findings: Findings) -> Answer:
    """Weigh what a comparison found."""
    scores = findings.parts["scores"]
    raw = [group for group in scores.groups if group.weights == "raw"]
    mixing = [group for group in raw if not group.baseline and "top1" in group.differences]
    base = next((group for group in raw if group.baseline), None)
    curves = decode(AllCurves, findings.parts["curves"].numbers, where="the curves").methods
    spent = {one.key: one for one in read_cost(findings.parts["cost"]).methods}
    found = fits(raw, curves)
    seeds_needed = _seeds_needed(mixing)
    choice = (
        Recommendation(choice="unknown")
        if base is None or not mixing
        else _recommended(mixing, base, found[0], spent)  # the baseline's fit comes first
    )
    return Answer(
        recommendation=choice,
        seeds_needed=seeds_needed,
        fits=found,
        steps=_steps(findings, choice, mixing, found, seeds_needed, spent),
    )


def _recommended(
    mixing: Sequence[Group], base: Group, fit: Fit, spent: Mapping[str, Spent]
) -> Recommendation:
    """Accuracy first, then likelihood among what is as accurate, then cost."""
    top1 = {group.key: group.differences["top1"] for group in mixing}
    sure = [
        group
        for group in mixing
        if _sure(top1[group.key], 1) and top1[group.key].interval.mean >= _LEVEL
    ]
    if sure:
        return Recommendation(choice="accuracy", method=_best(sure, spent).method)
    # One lucky seed must not stand before what others did at several.
    several = [group for group in mixing if top1[group.key].interval.count > 1]
    leader = max(several or mixing, key=lambda group: top1[group.key].interval.mean)
    ahead = top1[leader.key]
    if ahead.interval.count == 1:
        gain = ahead.interval.mean > 0
        return Recommendation(choice="unknown", method=leader.method if gain else "")
    if ahead.interval.mean >= MATTERS and ahead.above == ahead.interval.count:
        return Recommendation(choice="likely", method=leader.method)
    calm = [
        group
        for group in mixing
        if _sure(likelihood := group.differences.get("nll"), -1)
        and likelihood is not None
        and likelihood.interval.mean <= -_LIKELIER
        and not _sure(top1[group.key], -1)
        and top1[group.key].interval.mean > -MATTERS
    ]
    if calm:
        best = min(calm, key=lambda group: group.differences["nll"].interval.mean)
        kind: Choice = "scaling" if _scaling_does(best, base) else "calibration"
        return Recommendation(choice=kind, method=best.method)
    if ahead.interval.mean >= MATTERS:
        return Recommendation(choice="unknown", method=leader.method)
    if fit.unlearned and ahead.interval.mean >= 0:
        return Recommendation(choice="early")
    return Recommendation(choice="none")


def _sure(found: Contrast | None, sign: int) -> bool:
    return found is not None and found.p < CLAIM and found.interval.mean * sign > 0


def _best(sure: Sequence[Group], spent: Mapping[str, Spent]) -> Group:
    """Of methods within one standard error of the most accurate, by likelihood, then by cost."""
    top = max(sure, key=lambda group: group.differences["top1"].interval.mean)
    found = top.differences["top1"].interval
    near = found.mean - found.deviation / math.sqrt(found.count)
    level = [group for group in sure if group.differences["top1"].interval.mean >= near]
    least = min(group.intervals["nll"].mean for group in level)
    alike = [group for group in level if group.intervals["nll"].mean <= 1.05 * least]

    def rank(group: Group) -> tuple[float, float]:
        return _cost_of(spent.get(group.method)), -group.differences["top1"].interval.mean

    return min(alike, key=rank)


def _cost_of(spent: Spent | None) -> float:
    """In trainings without mixing; as much as anything where it was not measured."""
    return math.inf if spent is None or spent.cost is None else spent.cost


def _scaling_does(method: Group, base: Group) -> bool:
    """Whether no mixing is as well calibrated once its temperature is scaled."""
    scaled = base.intervals.get("ece_scaled")
    own = [method.intervals.get(name) for name in ("ece", "ece_scaled")]
    known = [one.mean for one in own if one is not None and math.isfinite(one.mean)]
    return scaled is not None and bool(known) and scaled.mean <= min(known) + _CALIBRATED


def _seeds_needed(mixing: Sequence[Group]) -> dict[str, int | None]:
    found = {group.key: group.differences["top1"] for group in mixing}
    methods = sum(not math.isnan(one.p) for one in found.values())
    return {
        key: seeds_to_show(
            one.interval.mean,
            deviation=one.interval.deviation / math.sqrt(2),
            methods=methods,
            pooled=one.pooled,
        )
        for key, one in found.items()
        if one.p >= CLAIM and one.interval.mean != 0
    }


def _steps(
    findings: Findings,
    choice: Recommendation,
    mixing: Sequence[Group],
    found: Sequence[Fit],
    seeds_needed: Mapping[str, int | None],
    spent: Mapping[str, Spent],
) -> tuple[Step, ...]:
    """What to do next: what makes the question a good one first, then what answers it."""
    command = read_command(findings.about.command)
    recipe = findings.about.recipe or {}
    if command is None or not mixing:
        return ()
    raw = [group for group in findings.parts["scores"].groups if group.weights == "raw"]
    seeds = max(len(group.seeds) for group in mixing)
    learning = _learning(findings)
    parallel = int(findings.about.details.get("parallel", 1))
    best = sorted(mixing, key=lambda group: -group.differences["top1"].interval.mean)
    steps: list[Step] = []
    if _too_short(choice, best, found):
        steps.append(_longer(command, best, recipe, seeds, spent, parallel, learning))
    if choice.choice in ("likely", "unknown"):
        have = {group.method: len(group.seeds) for group in raw}
        step = _more_seeds(command, choice, have, seeds_needed, spent, parallel, mixing)
        steps += [step] if step else []
    if choice.choice in ("accuracy", "likely") and recipe.get("data") != "digits":
        step = _same_time(command, choice.method, recipe, seeds, spent, parallel, learning)
        steps += [step] if step else []
    if choice.choice in ("calibration", "scaling"):
        steps.append(_calibrated(command, recipe, mixing))
    if recipe.get("data") == "digits":
        names = [choice.method] if choice.method else [group.method for group in best[:_TRIED]]
        # A folder of its own: it would take the place of this page and record.
        data = ("--data", ("folder:YOUR_IMAGES",))
        own = Command(("none", *names), (data, ("--out", ("runs/your-images",))))
        steps.append(Step(reason="data", command=own.text()))
    elif choice.choice == "accuracy" or (choice.choice in ("none", "likely") and not steps):
        steps.append(_training(command, choice.method or "none", recipe, spent, learning))
    elif choice.choice == "unknown" and not steps:
        alone = _training(command, "none", recipe, spent, learning)
        steps.append(dataclasses.replace(alone, reason="cheapest"))
    if command.value("--config") is not None:
        # A file may name the folder, and options that train does not take; it is not read here.
        steps = [step for step in steps if step.reason not in ("calibration", "train", "cheapest")]
    return tuple(steps[:2])


def _learning(findings: Findings) -> dict[str, float]:
    """Methods whose rate ends elsewhere than that of no mixing, since they learn a mixer."""
    own: dict[str, dict[str, Any]] = findings.about.details.get("own_fields", {})
    ends = {method: fields["min_lr"] for method, fields in own.items() if "min_lr" in fields}
    return {method: end for method, end in ends.items() if end != ends.get("none")}


def _calibrated(command: Command, recipe: Mapping[str, Any], mixing: Sequence[Group]) -> Step:
    """The calibration of the runs that are there, found and read as the comparison did."""
    out = command.value("--out") or OUT
    kept = [option for option in command.options if option[0] in _OF_EVALUATE]
    names = [str(recipe["model"]), *(group.method for group in mixing)]
    if any(own_model(":".join(name.split(":")[:2])) for name in names) and (
        ("--trust", ()) not in kept
    ):
        kept.append(("--trust", ()))  # in files alone their modules are not imported
    options = (("--only", ("accuracy calibration",)), *kept)
    return Step(reason="calibration", command=Command((out,), options).text("evaluate"))


def _training(
    command: Command,
    method: str,
    recipe: Mapping[str, Any],
    spent: Mapping[str, Spent],
    learning: Mapping[str, float],
) -> Step:
    """One run of a method under the same recipe; at equal time it had epochs of its own."""
    # Where nothing is mixed there are no last epochs without mixing.
    unused = OF_COMPARE | ({"--mix-off-epochs"} if method == "none" else set())
    kept = tuple(option for option in command.options if option[0] not in unused)
    alone = Command((method,), kept)
    if command.value(LEARNED_MIN_LR) is not None and method in learning:
        alone = alone.with_option("--min-lr", write_value(learning[method]))
    own = spent.get(method)
    if own is not None and own.epochs is not None:
        alone = _lasting(alone, recipe, own.epochs)
    return Step(reason="train", command=alone.text("train"), seconds=_seconds([method], spent))


def _lasting(command: Command, recipe: Mapping[str, Any], epochs: int) -> Command:
    """The command with other epochs, and with what follows from them."""
    for name, value in lengths(recipe, epochs).items():
        if name == "epochs" or value != recipe[name]:
            command = command.with_option(option_flag(name), write_value(value))
    return command


def _too_short(choice: Recommendation, best: Sequence[Group], found: Sequence[Fit]) -> bool:
    """Whether no mixing has not learned its images, or the best methods were still learning."""
    base, *others = found  # the baseline comes first
    if base.unlearned or base.state == "fits":
        return base.unlearned  # where little is to be won, no training is too short
    first = {group.method for group in best[:_TRIED]}
    still = any(one.rising for one in others if one.method in first)
    return still and not base.rising and choice.choice != "accuracy"


def _longer(
    command: Command,
    best: Sequence[Group],
    recipe: Mapping[str, Any],
    seeds: int,
    spent: Mapping[str, Spent],
    parallel: int,
    learning: Mapping[str, float],
) -> Step:
    """Twice the epochs, in a folder of its own, with the methods that did best."""
    epochs = 2 * int(recipe["epochs"])
    methods = ["none", *(group.method for group in best[:_TRIED])]
    there = re.sub(r"-\d+-epochs$", "", command.value("--out") or OUT)  # of an earlier step
    out = f"{there}-{epochs}-epochs"
    longer = command.with_methods(methods).with_option("--epochs", str(epochs))
    if learning.keys().isdisjoint(methods):  # it would be refused
        longer = longer.without_option(LEARNED_MIN_LR)
    return Step(
        reason="epochs",
        command=longer.with_option("--out", out).text(),
        seconds=_shared(dict.fromkeys(methods, seeds), spent, parallel, longer=2),
        count=epochs,
    )


def _same_time(
    command: Command,
    method: str,
    recipe: Mapping[str, Any],
    seeds: int,
    spent: Mapping[str, Spent],
    parallel: int,
    learning: Mapping[str, float],
) -> Step | None:
    """The method as it was trained, beside no mixing for as long; None where it costs little more.

    None too where they had the same time already, or the method's is not known.
    """
    own = spent.get(method)
    if own is None or own.epochs_needed is None or (own.cost or 0) < _DEAR:
        return None
    both = _lasting(command.with_methods(["none", method]), recipe, own.epochs_needed)
    if method not in learning:
        both = both.without_option(LEARNED_MIN_LR)
    both = both.with_option("--out", f"{command.value('--out') or OUT}-equal-time")
    return Step(
        reason="time",
        command=dataclasses.replace(both, options=(*both.options, ("--equal-time", ()))).text(),
        seconds=_shared({method: 2 * seeds}, spent, parallel),  # those of no mixing last as long
        count=own.epochs_needed,
    )


def _more_seeds(
    command: Command,
    choice: Recommendation,
    have: Mapping[str, int],
    seeds_needed: Mapping[str, int | None],
    spent: Mapping[str, Spent],
    parallel: int,
    mixing: Sequence[Group],
) -> Step | None:
    """As many seeds as would show the leader's difference; runs that are there are kept.

    ``have`` is how many seeds each method has. Three, where only one is shared with no mixing.
    """
    most = max(have.values())
    if max(group.differences["top1"].interval.count for group in mixing) == 1:
        wanted = max(3, most)
    else:
        needed = seeds_needed.get(f"{choice.method} raw")
        if needed is None or needed > MOST_SEEDS:
            return None
        wanted = max(needed, most + 1)
    return Step(
        reason="seeds",
        command=command.with_option("--seeds", str(wanted)).text(),
        seconds=_shared({text: wanted - own for text, own in have.items()}, spent, parallel),
        count=wanted,
    )


def _shared(
    runs: Mapping[str, int], spent: Mapping[str, Spent], parallel: int, *, longer: float = 1
) -> float | None:
    """Seconds that runs of methods take, so many of each, side by side as these were.

    ``longer`` is their length, in that of the runs that are there.
    """
    times = {method: _seconds([method], spent) for method in runs}
    known = [runs[method] * time for method, time in times.items() if time is not None]
    if len(known) < len(times):
        return None
    return longer * sum(known) / min(parallel, max(1, sum(runs.values())))


def _seconds(methods: Sequence[str], spent: Mapping[str, Spent]) -> float | None:
    """Seconds of a run of each: a run without mixing times measured cost, where that is known."""
    base = next((one for one in spent.values() if one.baseline), None)
    total = 0.0
    for method in methods:
        own = spent.get(method)
        if own is None:
            return None
        if base is not None and own.cost is not None:
            total += base.mean_seconds * own.cost
        else:
            total += own.mean_seconds
    return total
