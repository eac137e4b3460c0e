"""A record of a comparison that never took place, for tests of what is made of it."""

import json
import math
import random
from pathlib import Path

from mixwright.lab.analysis.comparison import Comparison, Failure, MethodRecord, RunRecord
from mixwright.lab.analysis.significance_of_comparison import judged

from mixwright.lab.analysis.statistics import t_interval

LABELS = {
    "none": "No mixing",
    "mixup": "MixUp",
    "cutmix": "CutMix",
    "fmix": "FMix",
    "hmix": "HMix",
    "gmix": "GMix",
    "miamix": "MiAMix",
}


def fabricate(
    folder: Path,
    *,
    methods: tuple[str, ...] = tuple(LABELS),
    seeds: int = 3,
    epochs: int = 20,
    failures: tuple[Failure, ...] = (),
    taught: tuple[str, ...] = (),
) -> Comparison:
    """A record with made-up scores, and its run folders with made-up curves.

    Methods that are ``taught`` have a teacher of their own, show numbers, and sound an alarm.
    """
    draw = random.Random(7)
    base: dict[int, float] = {}
    records: list[MethodRecord] = []
    for place, text in enumerate(methods):
        runs: list[RunRecord] = []
        for seed in range(seeds):
            base.setdefault(seed, 0.86 + 0.01 * draw.random())
            top1 = base[seed] + 0.008 * place * draw.random() + 0.004 * (place == 2)
            raw = _scores(top1, 0.03 + 0.02 * place, 0.5 + 0.04 * place)
            ema = _scores(top1 + 0.004, 0.03 + 0.02 * place, 0.5 + 0.03 * place)
            run = f"runs/{text}-s{seed}-0123abcd"
            _curves(folder / run, top1, epochs, text, draw, taught=text in taught)
            best = {"raw": {**raw, "epoch": epochs - 2}, "ema": {**ema, "epoch": epochs}}
            more = {}
            if text in taught:
                alarm = {"said": f"masks <vary> by 0.00{seed + 1}", "first": 3, "last": 3 + seed}
                more = {"teacher": _scores(top1 + 0.01, 0.02, 0.45), "alarms": [alarm]}
            protocols = {
                "raw": {"median10": {"top1": top1 - 0.002, "epochs": [18, 20], "note": ""}}
            }
            runs.append(
                RunRecord(seed=seed, folder=run, raw=raw, ema=ema, best=best,
                          step_seconds=0.012 * (1 + 0.05 * place), seconds=9.0 + place,
                          protocols=protocols, **more)
            )  # fmt: skip
        records.append(_method(text, runs, records[0].runs if records else ()))
    record = Comparison(
        command="mixwright compare --seeds 3",
        data={
            "name": "digits",
            "note": "Optical Recognition of Handwritten Digits, fixed split.",
            "classes": [str(k) for k in range(10)],
            "train": 100,
            "test": 797,
            "shape": [3, 32, 32],
        },
        recipe={"data": "digits", "model": "smallconv", "epochs": epochs, "batch_size": 25,
                "lr": 0.05, "ema_decay": 0.999, "nesterov": True, "flip": False},
        baseline="none" if "none" in methods else None,
        methods=tuple(records),
        failures=failures,
        machine={"device": "cpu", "cpu": "a processor", "cores": 2},
        commit="0123456789abcdef+",
        versions={"mixwright": "0.1.0", "torch": "2.13.0"},
        parallel=2,
        seconds=sum(run.seconds for method in records for run in method.runs),
        parameters=59026,
        finished="2026-11-21T02:40:00+00:00",
    )  # fmt: skip
    return judged(record)


def _method(text: str, runs: list[RunRecord], base: tuple[RunRecord, ...]) -> MethodRecord:
    columns = {
        column: {
            name: t_interval([getattr(run, column)[name] for run in runs])
            for name in ("top1", "nll", "ece")
        }
        for column in ("raw", "ema", "teacher")
        if getattr(runs[0], column)
    }
    differences = {
        column: t_interval(
            [
                getattr(own, column)["top1"] - getattr(other, to)["top1"]
                for own, other in zip(runs, base, strict=True)
            ]
        )
        if base and column in columns
        else None
        for column, to in (("raw", "raw"), ("ema", "ema"), ("teacher", "ema"))
    }
    return MethodRecord(
        text=text,
        label=LABELS.get(text, text),
        slug=text,
        runs=tuple(runs),
        raw=columns["raw"],
        ema=columns["ema"],
        difference_raw=differences["raw"],
        difference_ema=differences["ema"],
        teacher=columns.get("teacher", {}),
        difference_teacher=differences["teacher"],
        step_seconds=runs[0].step_seconds,
        relative_step=runs[0].step_seconds / (base or runs)[0].step_seconds,
    )


def _scores(top1: float, ece: float, nll: float) -> dict[str, float | int | None]:
    return {"top1": top1, "top5": 0.99, "nll": nll, "ece": ece, "count": 797}


def _curves(
    folder: Path, top1: float, epochs: int, text: str, draw: random.Random, *, taught: bool
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.jsonl").open("w") as file:
        for epoch in range(1, epochs + 1):
            rise = 1 - math.exp(-5 * epoch / epochs)
            raw = 0.1 + (top1 - 0.1) * rise + 0.02 * (draw.random() - 0.5)
            ema = 0.1 + (top1 - 0.09) * rise
            train = 0.1 + (0.9 if text == "none" else 0.6) * rise
            test = {"raw": {"top1": raw}, "ema": {"top1": ema}} if epoch % 2 == 0 else None
            line = {"epoch": epoch, "train": {"loss": 1.0, "accuracy": train}, "test": test}
            if taught:
                seen = {
                    "mask <spread>": 0.01 + 0.1 * rise * draw.uniform(0.9, 1),
                    "mask largest": 0.5 + 0.2 * rise,
                    "mask follows lam": 0.8 * rise,
                }
                line["train"] |= {"seen": seen}
                if test:
                    late = 1 - math.exp(-3.5 * epoch / epochs)
                    test["teacher"] = {"top1": 0.1 + (top1 - 0.08) * late}
            file.write(json.dumps(line) + "\n")
