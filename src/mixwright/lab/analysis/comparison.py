"""From finished runs, read from their folders or from an old record, to a comparison's parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from mixwright.lab.analysis.analyse import analyse
from mixwright.lab.analysis.cost import StepCosts, cost
from mixwright.lab.analysis.curves import all_curves
from mixwright.lab.analysis.findings import WEIGHTS, Arrays, Group, Part
from mixwright.lab.analysis.training_warnings import WarningRows, warning_rows

_ORDER = ("scores", "cost", "sweep", "samples", "curves", "diagnostics", "warnings")


@dataclass(frozen=True, kw_only=True)
class FinishedRun:
    """What a comparison takes from a run.

    Attributes:
        seed: of the run.
        folder: relative to the record.
        scores: after the last epoch, by set of weights; so are ``best`` and ``protocols``.
        best: scores on test images of the epoch that was best on validation images, or on test
            images where there are none.
        protocols: other ways to pick the epoch.
        step_seconds: median time of a step.
        seconds: of the whole run.
        warnings: with ``first`` and ``last`` epoch and ``message``.
        epochs: lines of its metrics.
        clean_train: scores of the raw weights on training images as they are; None where they
            were not measured, as in older runs.
    """

    seed: int
    folder: str
    scores: Mapping[str, Mapping[str, Any]]
    best: Mapping[str, Any]
    protocols: Mapping[str, Any]
    step_seconds: float
    seconds: float
    warnings: Sequence[Mapping[str, Any]]
    epochs: Sequence[Mapping[str, Any]]
    clean_train: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class FinishedMethod:
    """A method with its runs; ``text`` is its METHOD, ``label`` how people call it."""

    text: str
    label: str
    slug: str
    baseline: bool
    runs: Sequence[FinishedRun]


def comparison_parts(
    methods: Sequence[FinishedMethod],
    *,
    recipe: Mapping[str, Any],
    numbers: Mapping[str, dict[str, Any]],
    measured: StepCosts | None = None,
    own_epochs: Mapping[str, int] | None = None,
) -> tuple[dict[str, Part], Arrays]:
    """Return the parts of a comparison in the order of its page, and the arrays that they need.

    ``recipe`` is what the runs share, ``numbers`` those of the parts ``sweep``, ``samples`` and
    ``diagnostics``, which do not follow from the runs, and ``measured`` what steps cost.
    ``own_epochs``, by METHOD, are those of a comparison at equal time.
    """
    groups = {
        "scores": [group for method in methods for group in _scores(method)],
        "cost": [_cost(method) for method in methods],
    }
    parts, arrays = analyse(groups)
    spent = cost(
        parts["cost"].groups,
        scores=parts["scores"].groups,
        recipe=recipe,
        measured=measured,
        own_epochs=own_epochs,
    )
    parts["cost"] = replace(parts["cost"], numbers=asdict(spent))
    curves = all_curves({method.text: [run.epochs for run in method.runs] for method in methods})
    warned = warning_rows(
        {method.text: [(run.seed, run.warnings) for run in method.runs] for method in methods}
    )
    more = {**numbers, "curves": asdict(curves), "warnings": asdict(WarningRows(rows=warned))}
    parts |= {name: Part(groups=(), numbers=own) for name, own in more.items()}
    return {name: parts[name] for name in _ORDER}, arrays


def _scores(method: FinishedMethod) -> list[Group]:
    """A group for each set of weights that every run has."""
    return [
        Group(
            key=f"{method.text} {weights}",
            label=f"{method.label}, {words}",
            weights=weights,
            summaries=tuple(
                {
                    **run.scores[weights],
                    **(
                        {"clean_train": dict(run.clean_train)}
                        if weights == "raw" and run.clean_train is not None
                        else {}
                    ),
                    "best": run.best.get(weights),
                    "protocols": run.protocols.get(weights, {}),
                }
                for run in method.runs
            ),
            **_of_method(method),
        )
        for weights, words in WEIGHTS.items()
        if all(weights in run.scores for run in method.runs)
    ]


def _cost(method: FinishedMethod) -> Group:
    return Group(
        key=method.text,
        label=method.label,
        summaries=tuple(
            {"step_seconds": run.step_seconds, "seconds": run.seconds} for run in method.runs
        ),
        **_of_method(method),
    )


def _of_method(method: FinishedMethod) -> dict[str, Any]:
    return {
        "name": method.label,
        "method": method.text,
        "slug": method.slug,
        "baseline": method.baseline,
        "seeds": tuple(run.seed for run in method.runs),
        "folders": tuple(run.folder for run in method.runs),
    }
