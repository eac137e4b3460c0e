"""Comparisons of runs that never took place, with the scores that a test gives them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from lab.reports.fabricated import costs
from lab.reports.pages import ABOUT
from mixwright.lab.analysis.answer import answer, with_answer
from mixwright.lab.analysis.comparison import FinishedMethod, FinishedRun, comparison_parts
from mixwright.lab.analysis.findings import Findings

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
