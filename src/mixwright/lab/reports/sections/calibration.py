"""Calibration: reliability diagrams, errors with their noise floor, proper scores, temperature."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports.formatting import number, percent, signed, spread
from mixwright.lab.reports.sections.pairing import several_seeds
from mixwright.lab.reports.sections.reliability import reliability_diagrams
from mixwright.lab.reports.sections.section import Drawing, Group, Section, Shades, Table


def calibration(groups: Sequence[Group], shades: Shades) -> Section:
    """Reliability diagrams and two tables of all groups.

    Args:
        groups: with findings of the part ``Calibration``.
        shades: colour of each group.

    Returns:
        the section.
    """
    first = groups[0].summaries[0]
    bins = first["headline_bins"]
    several = several_seeds(groups)
    over = "the 95 % t interval over runs" if several else "the 95 % bootstrap interval over images"
    judged = first["temperature"]
    return Section(
        title="Calibration",
        protocol=f"Confidence of the most likely class (softmax in float64) on {first['images']:,} "
        f"test images, {bins} bins of equal width closed on the right"
        + _fitted(judged)
        + (f" ± is half of {over}." if several else f" In brackets: {over}."),
        reading="An error near its noise floor, what a perfectly calibrated model of these "
        "confidences would show on as many images, cannot be told from none. NLL and the Brier "
        "score are means over images and the safer numbers to compare by.",
        tables=(_errors(groups, bins), _scores(groups, bins)),
        drawings=(
            Drawing(
                name="reliability",
                caption="Reliability: bars are the accuracy of the images in a bin, their outline "
                "the mean confidence, so that a pale part above a bar is confidence that was not "
                "earned and one below its top is caution; the strip shows where the images lie"
                + (", all runs together." if several else "."),
                make=lambda width: reliability_diagrams(groups, shades, width=width),
            ),
        ),
    )


def ece_interval_of(group: Group, bins: int) -> Interval:
    """A group's calibration error, over runs; over images where there is one run alone."""

    def read(found: Mapping[str, Any]) -> float:
        return found["bins"][str(bins)]["ece"]

    over_runs = group.interval(read)
    if over_runs.count > 1:
        return over_runs
    found = group.summaries[0]
    low, high = found["bins"][str(bins)]["interval"]
    return Interval(over_runs.mean, low, high, found["images"], over_runs.deviation)


def _fitted(judged: Mapping[str, Any] | None) -> str:
    if judged is None:
        return "."
    return (
        f"; the temperature is fitted on {judged['fitted_on']:,} of them, drawn with seed "
        f"{judged['seed']}, and judged on the other {judged['judged_on']:,}."
    )


def _errors(groups: Sequence[Group], bins: int) -> Table:
    others = [int(text) for text in groups[0].summaries[0]["bins"] if int(text) != bins]
    rows: list[tuple[str, ...]] = []
    for group in groups:
        whole = [ece_interval_of(group, one) for one in (bins, *others)]
        floor = group.interval(lambda found: found["bins"][str(bins)]["floor"]).mean
        largest = group.interval(lambda found: found["bins"][str(bins)]["mce"])
        root = group.interval(lambda found: found["bins"][str(bins)]["rms"])
        rows.append(
            (
                group.label,
                _ends(whole[0]),
                percent(floor, 2),
                *(_ends(one) for one in whole[1:]),
                spread(group.interval(lambda found: found["adaptive_ece"]), digits=2),
                spread(group.interval(lambda found: found["classwise_ece"]), digits=2),
                spread(root, digits=2),
                spread(largest),
                signed(group.interval(lambda found: found["overconfidence"])),
            )
        )
    return Table(
        head=(
            "",
            f"ECE, {bins} bins, %",
            "noise floor, %",
            *(f"ECE, {one} bins, %" for one in others),
            "equal mass, %",
            "per class, %",
            "root mean square, %",
            "largest bin, %",
            "too much confidence, points",
        ),
        rows=tuple(rows),
        caption="Equal mass: bins of as many images each. Per class: the error of every class's "
        "probability, averaged over classes. Largest bin: the worst single bin, often one of few "
        "images. Too much confidence is its mean less the accuracy, below zero where the model is "
        "cautious.",
        keys=tuple(group.key for group in groups),
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
    rows: list[tuple[str, ...]] = []
    for group in groups:
        plain = (
            group.interval(lambda found, name=name: found[name])
            for name in ("nll", "brier", "entropy")
        )
        row = [group.label, *(spread(one, digits=3, scale=1) for one in plain)]
        row.append(spread(group.interval(lambda found: found["confidence"])))
        if all(found["temperature"] for found in group.summaries):
            value, after, nll = (
                group.interval(lambda found, name=name: found["temperature"][name])
                for name in ("value", "ece_after", "nll_after")
            )
            row += [spread(value, digits=2, scale=1), spread(after, digits=2)]
            row.append(spread(nll, digits=3, scale=1))
        else:
            row += [number(None, 0)] * 3
        rows.append(tuple(row))
    return Table(
        head=(
            "",
            "NLL, nats",
            "Brier, 0 to 2",
            "entropy, nats",
            "mean confidence, %",
            "temperature",
            f"ECE, {bins} bins, after it, %",
            "NLL after it, nats",
        ),
        rows=tuple(rows),
        caption="Logits are divided by the temperature: above 1 where the model was too sure, "
        "below 1 where it was not sure enough. It changes no guess.",
        keys=tuple(group.key for group in groups),
    )
