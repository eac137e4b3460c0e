"""What a comparison answers: which method to use, how it fits, and what to do next at what cost."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from mixwright.lab.analysis.cost import read_cost
from mixwright.lab.analysis.curves import AllCurves
from mixwright.lab.analysis.diagnosis import Fit, fits
from mixwright.lab.analysis.findings import Findings, Part
from mixwright.lab.analysis.next_steps import Step, next_steps
from mixwright.lab.analysis.recommendation import Recommendation, recommended, seeds_needed
from mixwright.lab.settings import decode


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
    needed = seeds_needed(mixing)
    choice = (
        Recommendation(choice="unknown")
        if base is None or not mixing
        else recommended(mixing, base, found[0], spent)  # the baseline's fit comes first
    )
    return Answer(
        recommendation=choice,
        seeds_needed=needed,
        fits=found,
        steps=next_steps(findings, choice, mixing, found, needed, spent),
    )
