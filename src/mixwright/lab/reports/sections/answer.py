"""The answer of a comparison: effect, how sure, diagnosis, recommendation, and what to do next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from mixwright.arguments import counted
from mixwright.lab.analysis.answer import Answer
from mixwright.lab.analysis.cost import Spent, read_cost
from mixwright.lab.analysis.diagnosis import FITTED, Fit
from mixwright.lab.analysis.findings import Findings, Group, Part
from mixwright.lab.analysis.next_steps import MOST_SEEDS, Step
from mixwright.lab.analysis.recommendation import Recommendation
from mixwright.lab.reports.formatting import about_time, joined, number, percent, points, times
from mixwright.lab.reports.section import Command, Notes, Page, Section
from mixwright.lab.reports.verdict import distance, judgement
from mixwright.lab.settings import decode


def write(_: Part, page: Page) -> dict[str, Section]:
    """Write what a comparison answers, before all that it rests on."""
    found = read_answer(page.findings)
    sentences = Notes(tuple(answer_sentences(page.findings).items()))
    steps = [Command(sentence, command) for sentence, command in next_steps(found)]
    return {"answer": Section(title="Answer", blocks=(sentences, *steps))}


def read_answer(findings: Findings) -> Answer:
    """Return the answer that is stored with a comparison."""
    return decode(Answer, findings.parts["answer"].numbers, where="the answer")


def answer_sentences(findings: Findings) -> dict[str, str]:
    """Return what stands in the answer, by the word before it; what to do next comes after."""
    found, scores = read_answer(findings), findings.parts["scores"]
    return {
        **judgement(scores, found.seeds_needed),
        "Diagnosis": diagnosis(found.fits, scores),
        "Recommendation": recommendation(findings),
    }


def recommendation(findings: Findings) -> str:
    """Return which method to use, with the numbers that speak for it."""
    found = read_answer(findings)
    choice, scores = found.recommendation, findings.parts["scores"]
    group = scores.group(f"{choice.method} raw")
    base = next((one for one in scores.groups if one.baseline and one.weights == "raw"), None)
    if choice.choice == "none" or group is None or base is None:
        return _without_method(choice, found.fits, scores)
    spent = {one.key: one for one in read_cost(findings.parts["cost"]).methods}
    words = _WITH_METHOD[choice.choice](group, base) + _cost(spent.get(choice.method))
    if choice.choice == "accuracy":
        words += _why_not_the_best(group, scores, spent)
    return f"{words}."


def diagnosis(found: Sequence[Fit], scores: Part) -> str:
    """Return whether the training underfits or overfits, with its numbers."""
    names = {group.method: group.name for group in scores.groups}
    base = next((one for one in found if _is_baseline(one, scores)), None)
    if base is None:
        return "Without a run without mixing it cannot be told whether the training overfits."
    text = [_of_baseline(base)]
    others = [one for one in found if one is not base]
    short = [
        one for one in others if one.clean and one.state == "underfits" and one.test < base.test
    ]
    if short:
        low, high = (percent(f(one.train for one in short)) for f in (min, max))
        several = len(short) > 1
        share = f"{low} to {high}" if low != high else low
        text.append(
            f"{_some([names[one.method] for one in short])} underfit{'' if several else 's'}: "
            f"{share} % of clean training images are right."
        )
    rising = [one for one in others if one.rising and not base.rising and base.state != "fits"]
    if rising:
        most = max(rising, key=lambda one: one.rise)
        text.append(
            f"It still rose for {_some([names[one.method] for one in rising])} (by up to "
            f"{number(100 * most.rise, 1)} points): longer training would help there."
        )
    return " ".join(text)


def next_steps(found: Answer) -> list[tuple[str, str]]:
    """Return what to do next, as a sentence with its cost, and the command."""
    words = ("What to do next", "After that")
    return [
        (f"{word}: {_what(step)} {_time(step)}", step.command)
        for word, step in zip(words, found.steps, strict=False)
    ]


def _is_baseline(found: Fit, scores: Part) -> bool:
    return any(group.baseline and group.method == found.method for group in scores.groups)


def _some(names: Sequence[str]) -> str:
    return joined(names) if len(names) <= 5 else f"{', '.join(names[:3])} and {len(names) - 3} more"


_STATES = {
    "overfits": "No mixing overfits: {numbers}. Mixing has something to do here.",
    "fits": "No mixing fits its training images and, nearly as well, the test images: {numbers}. "
    "That leaves mixing little to win.",
    "begins": "No mixing has begun to overfit but has not learned its training images yet: "
    "{numbers}. Train longer, to {fitted} % of them, before you judge mixing.",
    "underfits": "No mixing underfits: {numbers}. Mixing makes training harder still: train "
    "longer, take a larger model, or do not mix.",
    "unknown": "Whether no mixing overfits cannot be told: its accuracy on training images was not "
    "kept.",
}


def _of_baseline(base: Fit) -> str:
    what = "clean training images" if base.clean else "images in its last training batches"
    numbers = (
        f"{percent(base.train)} % of {what} are right and {percent(base.test)} % of test images, a "
        f"gap of {number(100 * base.gap, 1)} points"
    )
    text = [_STATES[base.state].format(numbers=numbers, fitted=percent(FITTED, 0))]
    if base.train < FITTED and not base.clean:
        text.append(
            "Those batches are cropped and flipped; clean images, which these runs did not "
            "measure, would be right a little more often."
        )
    if base.state != "fits" and not math.isnan(base.rise):
        how = "still rose" if base.rising else "hardly rose"
        text.append(
            f"Test accuracy {how} over the last fifth of the epochs ({points(base.rise, 1)} "
            "points)."
        )
    return " ".join(text)


def _without_method(choice: Recommendation, fits: Sequence[Fit], scores: Part) -> str:
    found = [
        group.differences["top1"].interval.mean
        for group in scores.groups
        if group.weights == "raw" and "top1" in group.differences
    ]
    if not found:
        return "Cannot tell: it takes none and a method that mixes, with a seed that both have."
    if choice.choice == "unknown":
        return "Cannot tell: no method was ahead, and one seed says little."
    if max(found) < 0:
        several = "every method was" if len(found) > 1 else "mixing was"
        if any(_is_baseline(one, scores) and one.unlearned for one in fits):
            return f"At this length of training do not mix: {several} less accurate."
        return f"Train without mixing: {several} less accurate."
    if choice.choice == "early":
        return (
            "Cannot tell yet: no method was ahead by a point, and no mixing has not learned its "
            "training images."
        )
    return (
        "Train without mixing: no method was ahead by a point, and at the same accuracy none has "
        "an NLL that is surely lower by 0.01."
    )


def _accuracy(group: Group, base: Group) -> str:
    return (
        f"Use {group.name}: {distance(group.differences['top1'])} no mixing in accuracy; "
        f"{_probabilities(group, base)}"
    )


def _why_not_the_best(group: Group, scores: Part, spent: Mapping[str, Spent]) -> str:
    """Another method may have had a slightly higher mean, and worse probabilities or cost."""
    others = [one for one in scores.groups if one.weights == "raw" and "top1" in one.differences]
    best = max(others, key=lambda one: one.differences["top1"].interval.mean)
    if best.key == group.key:
        return ""
    level = f"; {best.name} is as accurate within chance, but "
    mine, other = (spent.get(one.method) for one in (group, best))
    if mine is not None and mine.cost is not None:
        if other is None or other.cost is None:
            return f"{level}what its training costs was not measured"
        if other.cost > mine.cost:
            return f"{level}costs {times(other.cost)}"
    return f"{level}its NLL is {number(best.intervals['nll'].mean, 2)}"


def _likely(group: Group, base: Group) -> str:
    return (
        f"Probably {group.name}: {distance(group.differences['top1'])} no mixing at every seed, "
        f"though chance is not ruled out; {_probabilities(group, base)}"
    )


def _calibration(group: Group, base: Group) -> str:
    return (
        f"For accuracy alone no mixing will do; where probabilities count use {group.name}: "
        f"{distance(group.differences['top1'])} no mixing in accuracy; "
        f"{_probabilities(group, base)}"
    )


def _scaling(group: Group, base: Group) -> str:
    return (
        "Train without mixing and scale the temperature, which does for calibration what mixing "
        f"does. The best of the others, {group.name}: {distance(group.differences['top1'])} no "
        f"mixing in accuracy; {_probabilities(group, base)}"
    )


def _unknown(group: Group, base: Group) -> str:
    found = group.differences["top1"]
    seeds = (
        "at one seed, which says little"
        if found.interval.count == 1
        else f"but at {found.above} of {found.interval.count} seeds only"
    )
    return (
        f"Cannot tell: {group.name} was {distance(found)} no mixing {seeds}; "
        f"{_probabilities(group, base)}"
    )


_WITH_METHOD: dict[str, Callable[[Group, Group], str]] = {
    "accuracy": _accuracy,
    "likely": _likely,
    "calibration": _calibration,
    "scaling": _scaling,
    "unknown": _unknown,
}


def _probabilities(group: Group, base: Group) -> str:
    """NLL and ECE of both, as they are and with their temperature scaled."""

    def both(path: str, digits: int, scale: float) -> str:
        own, other = (one.intervals.get(path) for one in (group, base))
        if own is None or other is None or math.isnan(own.mean + other.mean):
            return ""
        return f"{number(scale * own.mean, digits)} against {number(scale * other.mean, digits)}"

    scaled = both("ece_scaled", 1, 100)
    return f"NLL {both('nll', 2, 1)}, ECE {both('ece', 1, 100)} %" + (
        f" ({scaled} % with its temperature scaled)" if scaled else ""
    )


def _cost(spent: Spent | None) -> str:
    if spent is None or spent.baseline:
        return ""
    if spent.cost is None:
        return "; what its training costs was not measured"
    return f"; its training costs {times(spent.cost)} that of no mixing"


def _what(step: Step) -> str:
    many = step.count or 0
    return {
        "epochs": f"train longer, for {counted(many, 'epoch')}, without mixing and with the "
        "best three methods at most.",
        "seeds": f"train {counted(many, 'seed')} of each; runs that are there are kept.",
        "time": f"give no mixing the same time, {counted(many, 'epoch')}, from which it might gain "
        "as much.",
        "calibration": "measure calibration in full, on the runs that are there.",
        "data": "digits are a toy, so ask the same of your own images, in a folder for each class.",
        "train": "train a model that way.",
        "cheapest": f"more than {MOST_SEEDS} seeds of each would tell; until then train without "
        "mixing, which costs least.",
    }[step.reason]


def _time(step: Step) -> str:
    if step.reason == "calibration":
        return "That trains nothing and takes minutes."
    if step.seconds is None:
        return "How long that takes depends on them."
    return f"That takes about {about_time(step.seconds)} on the machine of these runs."
