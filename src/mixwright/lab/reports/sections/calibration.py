"""Calibration: reliability diagrams, errors with their noise floor, proper scores, temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mixwright.lab.analysis.calibration import Calibrations
from mixwright.lab.analysis.findings import Group, Part
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports.formatting import NONE, percent, signed, spread
from mixwright.lab.reports.section import Drawing, Page, Section, Table
from mixwright.lab.reports.sections.lines import group_table
from mixwright.lab.reports.sections.reliability import reliability_diagrams
from mixwright.lab.settings import decode


def write(part: Part, page: Page) -> dict[str, Section]:
    """Reliability diagrams and two tables of all groups."""
    judged = decode(Calibrations, part.numbers, where="calibration")
    first, several = part.groups[0].first, part.several_seeds
    bins = first["headline_bins"]
    over = "the 95 % t interval over runs" if several else "the 95 % bootstrap interval over images"
    diagrams = Drawing(
        name="reliability",
        caption="Reliability: bars are the accuracy of the images in a bin, their outline "
        "the mean confidence, so that a pale part above a bar is confidence that was not "
        "earned and one below its top is caution; the strip shows where the images lie"
        + (", all runs together." if several else "."),
        make=lambda width: reliability_diagrams(
            part.groups, judged.pooled, page.shades, width=width
        ),
    )
    section = Section(
        title="Calibration",
        protocol=f"Confidence of the most likely class (softmax in float64) on {first['images']:,} "
        f"test images, {bins} bins of equal width closed on the right"
        + _fitted(first["temperature"])
        + (f" ± is half of {over}." if several else f" In brackets: {over}."),
        reading="An error near its noise floor, what a perfectly calibrated model of these "
        "confidences would show on as many images, cannot be told from none. NLL and the Brier "
        "score are means over images and the safer numbers to compare by.",
        blocks=(_errors(part.groups, judged, bins), _scores(part.groups, bins), diagrams),
    )
    return {"calibration": section}


_PUBLISHED = (
    "As published: the statistic of the tables of AdAutoMix, AutoMix and OpenMixup, 10 bins, to be "
    "compared with those alone: it sorts accuracies and confidences of the bins each by itself, so "
    "that it can be 0 for a model that is badly calibrated. "
)


def _fitted(judged: Mapping[str, Any] | None) -> str:
    if judged is None:
        return "."
    return (
        f"; the temperature is fitted on {judged['fitted_on']:,} of them, drawn with seed "
        f"{judged['seed']}, and judged on the other {judged['judged_on']:,}."
    )


def _errors(groups: Sequence[Group], judged: Calibrations, bins: int) -> Table:
    others = [int(text) for text in groups[0].first["bins"] if int(text) != bins]
    published = any("ece_sorted" in group.intervals for group in groups)  # not in older records

    def cells(group: Group) -> tuple[str, ...]:
        over_images, found = judged.over_images.get(group.key, {}), group.intervals
        head, *rest = (
            _ends(over_images.get(str(count), found[f"bins.{count}.ece"]))
            for count in (bins, *others)
        )
        return (
            head,
            percent(found[f"bins.{bins}.floor"].mean, 2),
            *rest,
            *([spread(found.get("ece_sorted"), digits=2)] if published else []),
            spread(found["adaptive_ece"], digits=2),
            spread(found["classwise_ece"], digits=2),
            spread(found[f"bins.{bins}.rms"], digits=2),
            spread(found[f"bins.{bins}.mce"]),
            signed(found["overconfidence"]),
        )

    return group_table(
        (
            "",
            f"ECE, {bins} bins, %",
            "noise floor, %",
            *(f"ECE, {count} bins, %" for count in others),
            *(["ECE as published, %"] if published else []),
            "equal mass, %",
            "per class, %",
            "root mean square, %",
            "largest bin, %",
            "too much confidence, points",
        ),
        groups,
        cells,
        caption=(_PUBLISHED if published else "")
        + "Equal mass: bins of as many images each. Per class: the error of every class's "
        "probability, averaged over classes. Largest bin: the worst single bin, often one of few "
        "images. Too much confidence is its mean less the accuracy, below zero where the model is "
        "cautious.",
    )


def _ends(interval: Interval) -> str:
    """An error with its ends: they lie unevenly around it."""
    if interval.low != interval.low:  # NaN
        return percent(interval.mean, 2)
    return (
        f"{percent(interval.mean, 2)} ({percent(max(0.0, interval.low), 2)} to "
        f"{percent(interval.high, 2)})"
    )


def _scores(groups: Sequence[Group], bins: int) -> Table:
    def cells(group: Group) -> tuple[str, ...]:
        found = group.intervals
        plain = (spread(found[name], digits=3, scale=1) for name in ("nll", "brier", "entropy"))
        if not all(summary["temperature"] for summary in group.summaries):
            return *plain, spread(found["confidence"]), *([NONE] * 3)
        return (
            *plain,
            spread(found["confidence"]),
            spread(found["temperature.value"], digits=2, scale=1),
            spread(found["temperature.ece_after"], digits=2),
            spread(found["temperature.nll_after"], digits=3, scale=1),
        )

    return group_table(
        (
            "",
            "NLL, nats",
            "Brier, 0 to 2",
            "entropy, nats",
            "mean confidence, %",
            "temperature",
            f"ECE, {bins} bins, after it, %",
            "NLL after it, nats",
        ),
        groups,
        cells,
        caption="Logits are divided by the temperature: above 1 where the model was too sure, "
        "below 1 where it was not sure enough. It changes no guess.",
    )
