"""A comparison that never took place: its run folders, and the findings made of them."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mixwright.lab.analysis.cost import StepCost, StepCosts
from mixwright.lab.analysis.findings import Arrays, Failure, Findings, Group
from mixwright.lab.analysis.store import write_findings
from mixwright.lab.analysis.training_warnings import WarningRows
from mixwright.lab.data.load import load_data
from mixwright.lab.experiments.comparing import compare_runs
from mixwright.lab.experiments.equal_time import equal_time
from mixwright.lab.experiments.grid import Planned, plan_runs
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.reports.page import write_report
from mixwright.lab.reports.palette import shades_of
from mixwright.lab.reports.section import Page
from mixwright.lab.settings import decode
from mixwright.lab.training.recipe import Recipe
from mixwright.lab.training.result import Result

LABELS = {
    "none": "No mixing",
    "mixup": "MixUp",
    "cutmix": "CutMix",
    "fmix": "FMix",
    "hmix": "HMix",
    "gmix": "GMix",
    "miamix": "MiAMix",
}

RECIPE: dict[str, Any] = {
    "data": "digits", "model": "smallconv", "batch_size": 25, "lr": 0.05, "ema_decay": 0.999,
    "nesterov": True, "flip": False, "warmup_epochs": 0,
}  # fmt: skip

Numbers = dict[str, Any]


def scores(top1: float, *, ece: float = 0.1, nll: float = 0.5) -> Numbers:
    """Scores of one set of weights."""
    return {"top1": top1, "top5": 0.99, "nll": nll, "ece": ece, "count": 797}


def finish(
    run: Planned,
    raw: Numbers,
    ema: Numbers,
    *,
    teacher: Numbers | None = None,
    step: float = 0.01,
    seconds: float = 2.0,
    warnings: tuple[Numbers, ...] = (),
    more_columns: Mapping[str, Numbers] | None = None,
    **more: Any,
) -> None:
    """Write what a run leaves behind when it is done, without its epochs.

    ``more`` are further fields of its ``Result``.
    """
    by_weights = {"raw": raw, "ema": ema} | ({} if teacher is None else {"teacher": teacher})
    by_weights |= more_columns or {}
    epochs = run.recipe.epochs
    result = Result(
        recipe=run.recipe,
        hash="0123abcd",
        seed=run.recipe.seed,
        commit="0123456789abcdef+",
        mixwright="0.1.0",
        torch="2.13.0",
        machine={"device": "cpu", "cpu": "a processor", "cores": 2},
        epochs=epochs,
        train={"loss": 1.0, "accuracy": 0.5},
        scores=by_weights,
        best={"raw": {**raw, "epoch": max(1, epochs - 2)}, "ema": {**ema, "epoch": epochs}},
        step_seconds=step,
        seconds=seconds,
        parameters=59026,
        finished="2026-11-21T02:40:00+00:00",
        warnings=list(warnings),
        **more,
    )
    run.folder.mkdir(parents=True, exist_ok=True)
    (run.folder / "result.json").write_text(json.dumps(result.to_record()))


def costs(ratios: Mapping[str, float]) -> StepCosts:
    """Made-up costs of steps, by METHOD; quartiles a tenth below and above."""
    return StepCosts(
        clock="processor time",
        recipe="0123abcd",
        device="cpu",
        processor="a processor",
        threads=1,
        torch="2.13.0",
        mixwright="0.1.0",
        methods={
            text: StepCost(
                ratio=ratio, median=ratio, low=ratio - 0.1, high=ratio + 0.1, training=ratio,
                seconds=0.01 * ratio, least=0.01, plain_seconds=0.01, rounds=40,
            )
            for text, ratio in ratios.items()
        },
    )  # fmt: skip


def compared(
    out: Path,
    runs: list[Planned],
    *,
    failures: tuple[Failure, ...] = (),
    parallel: int = 2,
    measured: StepCosts | None = None,
    budget: Recipe | None = None,
    say: Callable[[str], None] = lambda sentence: None,
) -> tuple[Findings, Arrays]:
    """What the command makes of finished runs."""
    return compare_runs(
        runs,
        failures,
        data=load_data("digits"),
        command="mixwright compare --seeds 3",
        parallel=parallel,
        out=out,
        measured=measured,
        budget=budget,
        say=say,
    )


def fabricate(
    folder: Path,
    *,
    methods: tuple[str, ...] = tuple(LABELS),
    seeds: int = 3,
    epochs: int = 20,
    failures: tuple[Failure, ...] = (),
    taught: tuple[str, ...] = (),
    parallel: int = 2,
    seconds: Mapping[str, float] | None = None,
    ratios: Mapping[str, float] | None = None,
    same_time: bool = False,
) -> tuple[Findings, Arrays]:
    """Findings with made-up scores, and run folders with made-up curves.

    Methods that are ``taught`` have a teacher of their own, show numbers, and warn. ``seconds``
    are those of the run of seed 0 of each method; every further seed takes one more. ``ratios`` are
    what steps cost, by METHOD: 1.05 and on where they are not given; nothing is measured where they
    are empty. With ``same_time`` the epochs of each method follow from them.
    """
    draw = random.Random(7)
    runs = plan_runs(parse_methods(methods), RECIPE | {"epochs": epochs}, seeds=seeds, out=folder)
    if ratios is None:
        ratios = {text: 1 + 0.05 * place for place, text in enumerate(methods) if text != "none"}
    measured = costs(ratios) if ratios else None
    budget = None
    if same_time:
        assert measured is not None
        runs, budget = equal_time(runs, measured, folder), runs[0].recipe
    base: dict[int, float] = {}
    for place, text in enumerate(methods):
        for seed in range(seeds):
            run = next(r for r in runs if (r.method.text, r.recipe.seed) == (text, seed))
            base.setdefault(seed, 0.86 + 0.01 * draw.random())
            top1 = base[seed] + 0.008 * place * draw.random() + 0.004 * (place == 2)
            own = text in taught
            warning = {"message": f"masks <vary> by 0.00{seed + 1}", "first": 3, "last": 3 + seed}
            finish(
                run,
                scores(top1, ece=0.03 + 0.02 * place, nll=0.5 + 0.04 * place),
                scores(top1 + 0.004, ece=0.035 + 0.02 * place, nll=0.51 + 0.03 * place),
                teacher=scores(top1 + 0.01, ece=0.02, nll=0.45) if own else None,
                step=0.012 * (1 + 0.05 * place),
                seconds=9.0 + place if seconds is None else seconds[text] + seed,
                warnings=(warning,) if own else (),
            )
            _epochs(run.folder, top1, run.recipe.epochs, text, draw, taught=own)
    return compared(
        folder, runs, failures=failures, parallel=parallel, measured=measured, budget=budget
    )


def _epochs(
    folder: Path, top1: float, epochs: int, text: str, draw: random.Random, *, taught: bool
) -> None:
    with (folder / "metrics.jsonl").open("w") as file:
        for epoch in range(1, epochs + 1):
            rise = 1 - math.exp(-5 * epoch / epochs)
            raw = 0.1 + (top1 - 0.1) * rise + 0.02 * (draw.random() - 0.5)
            ema = 0.1 + (top1 - 0.09) * rise
            seen = 0.1 + (0.9 if text == "none" else 0.6) * rise
            train: Numbers = {"loss": 1.0, "accuracy": seen}
            test: Numbers | None = None
            if epoch % 2 == 0:
                test = {"raw": {"top1": raw, "top5": None}, "ema": {"top1": ema, "top5": None}}
            line = {"format": 2, "epoch": epoch, "train": train, "test": test, "warnings": []}
            if taught:
                train["diagnostics"] = {
                    "mask <spread>": 0.01 + 0.1 * rise * draw.uniform(0.9, 1),
                    "mask largest": 0.5 + 0.2 * rise,
                    "mask follows lam": 0.8 * rise,
                }
                if test:
                    late = 1 - math.exp(-3.5 * epoch / epochs)
                    test["teacher"] = {"top1": 0.1 + (top1 - 0.08) * late, "top5": None}
            file.write(json.dumps(line) + "\n")


def report(folder: Path, made: tuple[Findings, Arrays]) -> str:
    """Store findings, write their page as ``mixwright report`` does, and read it."""
    return write_report(write_findings(folder, *made)).read_text(encoding="utf-8")


def page_of(made: tuple[Findings, Arrays]) -> Page:
    """What sections are given."""
    findings, arrays = made
    return Page(findings=findings, shades=shades_of(findings), arrays=arrays)


def with_scores(findings: Findings, **changed: Group) -> Findings:
    """The findings with other groups in their scores, by key with ``_`` for the space."""
    by_key = {key.replace("_", " "): group for key, group in changed.items()}
    part = findings.parts["scores"]
    groups = tuple(by_key.get(group.key, group) for group in part.groups)
    part = dataclasses.replace(part, groups=groups)
    return dataclasses.replace(findings, parts={**findings.parts, "scores": part})


def group_of(findings: Findings, key: str, part: str = "scores") -> Group:
    """The group of that key."""
    found = findings.parts[part].group(key)
    assert found is not None, key
    return found


def warnings_of(findings: Findings) -> WarningRows:
    """What the runs warned of."""
    return decode(WarningRows, findings.parts["warnings"].numbers, where="the warnings")
