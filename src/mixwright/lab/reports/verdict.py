"""The one paragraph of judgement: how large effects are, and then how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from mixwright.lab.analysis.families import AGAINST
from mixwright.lab.analysis.findings import WEIGHTS, Group, Part
from mixwright.lab.analysis.recommendation import CLAIM
from mixwright.lab.analysis.statistics import Contrast
from mixwright.lab.analysis.statistics.interval import NO_SPREAD
from mixwright.lab.reports.formatting import count_range, joined, number, p_equals, p_value

MOST_NAMED = 6
"""Methods that are named one by one; of more, the best three and the worst two."""

Judged = tuple[Group, Contrast]


def verdict(scores: Part, seeds_needed: Mapping[str, int | None] | None = None) -> str:
    """Return one paragraph about top-1 after the last epoch; see ``judgement``."""
    return " ".join(judgement(scores, seeds_needed or {}).values())


def judgement(scores: Part, seeds_needed: Mapping[str, int | None]) -> dict[str, str]:
    """Return what can be said of top-1 after the last epoch: effects first, then how sure they are.

    Claims rest on p-values that hold for all methods at once. ``seeds_needed`` are those that would
    show a method's difference, by the key of its group. Averaged weights are named where they say
    otherwise, or are the best.
    """
    raw = [group for group in scores.groups if group.weights == "raw"]
    if not any(group.baseline for group in raw):
        return {
            "Effect": "No run without mixing is among them, so there are no differences to judge."
        }
    if all(group.baseline for group in raw):
        return {"Effect": "Only the baseline was run, so there is nothing to compare it with."}
    judged = _judged(scores.groups, "raw")
    if not judged:
        return {
            "Effect": "No method shares a seed with no mixing: there are no differences to judge."
        }
    found = {"Effect": effects(judged), "How sure": how_sure(judged, seeds_needed)}
    others = _disagreements(scores, judged)
    best = max(scores.groups, key=lambda group: group.intervals["top1"].mean)
    if best.weights != "raw":
        top1 = number(100 * best.intervals["top1"].mean, 1)
        others.append(f"The highest mean top-1 of all weights is {top1}: {best.label}.")
    return found | ({"Other weights": " ".join(others)} if others else {})


def of_weights(groups: Sequence[Group], weights: str) -> str:
    """Return effects in top-1 of one kind of weights and how sure they are; empty where none."""
    judged = _judged(groups, weights)
    if not judged:
        return ""
    kind = f"With {_said(weights)}: " if weights else ""
    return f"{kind}{effects(judged)} {how_sure(judged, {})}"


def stands(difference: Contrast | None) -> str:
    """Return ``ahead`` or ``behind`` the baseline, nothing where p is not below ``CLAIM``."""
    if difference is None or not difference.p < CLAIM:  # NaN is not below
        return ""
    return "ahead" if difference.interval.mean > 0 else "behind"


def effects(judged: Sequence[Judged]) -> str:
    """Say how far methods are from their baseline, the best first; of many the ends alone."""
    ordered = sorted(judged, key=lambda pair: -pair[1].interval.mean)
    (first, found), *rest = ordered
    against = AGAINST.get(first.weights, "raw")
    base = "no mixing" if against == "raw" else f"the {WEIGHTS[against]} of no mixing"
    text = (
        f"{first.name} {_percent(found.own)} against {_percent(found.baseline)}: "
        f"{_distance(found, unit=' points', base=f' {base}')}{_seeds(found)}."
    )
    if not rest:
        return text
    if len(ordered) <= MOST_NAMED:
        return f"{text} {_list(rest, found)}."
    middle, worst = rest[2:-2], rest[-2:]
    low, high = (_distance(found) for _, found in (middle[-1], middle[0]))
    return (
        f"Best of {len(ordered)}: {text} {_list(rest[:2], found)}. {len(middle)} more lie between "
        f"{low} and {high}. Last: {_list(worst, found)}."
    )


def how_sure(judged: Sequence[Judged], seeds_needed: Mapping[str, int | None]) -> str:
    """Say which effects are beyond chance, and what it would take to tell the others."""
    tested = [pair for pair in judged if not math.isnan(pair[1].p)]
    still = [pair for pair in judged if pair[1].interval.no_spread]
    alone = [pair for pair in judged if pair[1].interval.count == 1]
    if len(alone) == len(judged):
        return "One seed: chance cannot be judged."
    text: list[str] = []
    if tested:
        text.append(_beyond_chance(tested))
    unsure = [pair for pair in tested if not stands(pair[1])]
    together = [pair for pair in unsure if pair[1].pooled]
    odd = [pair for pair in unsure if not pair[1].pooled]
    if together:
        text.append(_power(together, seeds_needed))
    if odd:
        some = any(found.pooled for _, found in tested)
        text.append(_power(odd, seeds_needed, of=f"For {_names(odd)} " if some else ""))
    if still:
        text.append(
            f"The difference of {_names(still)} is the same at every seed: {NO_SPREAD}, so chance "
            "cannot be judged."
        )
    if alone:
        text.append(f"{_names(alone)}: one seed, so chance cannot be judged.")
    apart = [pair for pair in tested if not pair[1].pooled]
    if apart and len(tested) > 1:
        text.append(
            "The baseline's scores vary more than those of the methods, so each method is judged "
            "by its own pairs of runs alone."
            if len(apart) == len(tested)
            else f"Runs of {_names(apart)} vary far more than the others, so "
            f"{'it is' if len(apart) == 1 else 'they are'} judged apart."
        )
    return " ".join(text)


def _judged(groups: Sequence[Group], weights: str) -> list[Judged]:
    return [
        (group, found)
        for group in groups
        if group.weights == weights
        and not group.baseline
        and (found := group.differences.get("top1")) is not None
    ]


def _beyond_chance(tested: Sequence[Judged]) -> str:
    asked = len(tested)
    sure = [pair for pair in tested if stands(pair[1])]
    count = "both" if asked == 2 else f"all {asked}"
    together = f", for {count} methods at once" if asked > 1 else ""
    if not sure:
        least = min(found.p for _, found in tested)
        which = " for any of them" if asked > 1 else ""
        at_best = " at best" if asked > 1 else ""
        return f"Chance is not ruled out{which} ({p_equals(least)}{at_best}{together})."
    if asked == 1:
        return f"This is beyond chance ({p_equals(sure[0][1].p)})."
    largest = max(found.p for _, found in sure)
    p = f"p up to {p_value(largest)}" if len(sure) > 1 and largest >= 0.001 else p_equals(largest)
    sides = [
        f"{count if len(found) == asked else _names(found)} {side}"
        for side, kind in (("above", "ahead"), ("below", "behind"))
        if (found := [pair for pair in sure if stands(pair[1]) == kind])
    ]
    rest = [pair for pair in tested if pair not in sure]
    other = f" Chance is not ruled out for {_names(rest)}." if rest else ""
    return f"Beyond chance ({p}{together}): {'; '.join(sides)}.{other}"


def _power(unsure: Sequence[Judged], seeds_needed: Mapping[str, int | None], of: str = "") -> str:
    """The smallest difference that would have been seen, and seeds for what was seen.

    ``of`` says of which methods, where others have another spread.
    """
    seeds = count_range(found.interval.count for _, found in unsure)
    detectable = max(found.detectable for _, found in unsure)
    text = f"{of}{'these' if of else 'These'} {seeds} seeds " + (
        f"would have shown a true difference of {_points(detectable)} points four times in five"
        if detectable < 1
        else "are too few to show any difference"
    )
    group, found = max(unsure, key=lambda pair: abs(pair[1].interval.mean))
    if group.key not in seeds_needed:
        return f"{text}."
    needed = seeds_needed[group.key]
    size = _points(abs(found.interval.mean))
    if needed is None:
        return f"{text}; no number of seeds in reach would show the {size} of {group.name}."
    return f"{text}; to show the {size} of {group.name} takes about {needed}."


def _disagreements(scores: Part, judged: Sequence[Judged]) -> list[str]:
    """One sentence for methods whose averaged weights or teacher point the other way."""
    clauses: list[str] = []
    for group, raw in judged:
        others: list[str] = []
        for weights in ("ema", "teacher"):
            other = scores.group(f"{group.method} {weights}")
            found = None if other is None else other.differences.get("top1")
            if found is None or found.interval.mean * raw.interval.mean >= 0:
                continue
            if any(stands(one) or _one_sided(one) for one in (found, raw)):
                others.append(f"{_distance(found)} with its {_said(weights)}")
        if others:
            mine = f"{_distance(raw)} with {_said('raw')}"
            clauses.append(f"{group.name} is {joined([mine, *others])}")
    if not clauses:
        return []
    shown, more = clauses[:3], len(clauses) - 3
    end = f"; so do those of {more} more" if more > 0 else ""
    return [f"Weights disagree: {'; '.join(shown)}{end}."]


def _one_sided(found: Contrast) -> bool:
    return found.interval.count > 1 and found.interval.count in (found.above, found.below)


def _list(judged: Sequence[Judged], first: Contrast) -> str:
    """Methods after the first, each with its distance; seeds once where they agree.

    The baseline's own top-1 is repeated where it is that of other seeds.
    """
    seeds = {_seeds(found) for _, found in judged}
    same = seeds.pop() if len(seeds) == 1 and len(judged) > 1 else ""
    clauses: list[str] = []
    for group, found in judged:
        own, base = _percent(found.own), _percent(found.baseline)
        against = "" if base == _percent(first.baseline) else f" against {base}"
        own_seeds = "" if same else _seeds(found)
        clauses.append(f"{group.name} {own}{against} ({_distance(found)}{own_seeds})")
    return joined(clauses) + (f", each {same.removeprefix(', ')}" if same else "")


def distance(found: Contrast) -> str:
    """Return how far a method is from its baseline: ``4.3 points above``, ``level with``."""
    return _distance(found, unit=" points", base=" ").rstrip()


def _distance(found: Contrast, *, unit: str = "", base: str = "") -> str:
    size = _points(abs(found.interval.mean))
    if _is_level(found):
        return f"level with{base}" if base else "level"
    return f"{size}{unit} {'above' if found.interval.mean > 0 else 'below'}{base}"


def _is_level(found: Contrast) -> bool:
    """Whether a difference is nothing in the digits that are shown."""
    return float(_points(abs(found.interval.mean))) == 0


def _seeds(found: Contrast) -> str:
    count = found.interval.count
    same = found.above if found.interval.mean > 0 else found.below
    if count == 1 or _is_level(found):
        return ""
    if same < count:
        return f", at {same} of {count} seeds"
    return ", at both seeds" if count == 2 else ", at every seed"


def _names(judged: Sequence[Judged]) -> str:
    names = [group.name for group, _ in judged]
    if len(names) <= MOST_NAMED:
        return joined(names)
    return f"{', '.join(names[:3])} and {len(names) - 3} more"


def _said(weights: str) -> str:
    return {"raw": "trained weights", "ema": "averaged weights (EMA)"}.get(
        weights, WEIGHTS.get(weights, weights)
    )


def _percent(share: float) -> str:
    return number(100 * share, 1)


def _points(share: float) -> str:
    """A difference in points: tenths say nothing beyond ten."""
    return number(100 * share, 0 if 100 * share >= 9.95 else 1)
