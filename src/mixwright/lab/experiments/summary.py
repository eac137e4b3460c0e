"""From run folders to the record of a comparison: intervals, paired differences, cost."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.comparison import Comparison, Failure, MethodRecord, RunRecord
from mixwright.lab.analysis.significance_of_comparison import COLUMNS, judged, paired
from mixwright.lab.analysis.statistics import Interval, t_interval
from mixwright.lab.evaluation.protocol import run_protocols
from mixwright.lab.experiments.grid import Planned
from mixwright.lab.experiments.methods import Method
from mixwright.lab.training.convert import convert_result
from mixwright.lab.training.folder import read_metrics

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset

MEASURES = ("top1", "nll", "ece")


def summarise(
    runs: Sequence[Planned],
    failures: Sequence[Failure],
    *,
    data: Mapping[str, Any],
    command: str,
    parallel: int,
    out: Path,
) -> Comparison:
    """Read the results of all finished runs and compare them.

    Scores are those of the last epoch: the best epoch would be chosen on test data. Differences
    are paired by seed, since runs of one seed share first weights and order of images. Like is
    compared with like: a method's own teacher, an average of weights, with the baseline's EMA.
    Beside the last epoch stand the medians of the last ten, and p-values for all methods at once.

    Args:
        runs: all runs of the comparison.
        failures: those that did not finish.
        data: what to keep about the data set.
        command: that made it.
        parallel: runs that shared the machine.
        out: folder of the comparison.

    Returns:
        the record.

    Raises:
        ValueError: no run has finished.
    """
    done = [(run, _result(run.folder)) for run in runs if run.finished]
    if not done:
        raise ValueError(f"{out}: no run has finished, so there is nothing to compare.")
    by_method: dict[str, tuple[Method, list[RunRecord]]] = {}
    for run, result in done:
        by_method.setdefault(run.method.text, (run.method, []))[1].append(_run(run, result, out))
    baseline = next((text for text, (method, _) in by_method.items() if not method.parts), None)
    base_runs = by_method[baseline][1] if baseline else []
    recipes = [asdict(run.recipe) for run, _ in done]
    shared = {  # runs that start from one of their own each share no start
        name: value
        for name, value in recipes[0].items()
        if name not in ("method", "seed") and all(one[name] == value for one in recipes)
    }
    last = done[-1][1]
    record = Comparison(
        command=command,
        data=dict(data),
        recipe=shared,
        baseline=baseline,
        methods=tuple(
            _method(method, records, base_runs if method.text != baseline else [])
            for method, records in by_method.values()
        ),
        failures=tuple(failures),
        machine=last["machine"],
        commit=_one_or_all(result["commit"] for _, result in done),
        versions={"mixwright": last["mixwright"], "torch": last["torch"]},
        parallel=parallel,
        seconds=sum(result["seconds"] for _, result in done),
        parameters=last["parameters"],
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    return judged(record)


def about_data(data: "Dataset") -> dict[str, Any]:
    """What a record keeps about a data set.

    Args:
        data: the data set.

    Returns:
        name, note, names of classes, numbers of images and their size.
    """
    return {
        "name": data.name,
        "note": data.note,
        "classes": list(data.classes),
        "train": len(data.train),
        "test": len(data.test),
        "shape": list(data.train.shape),
    }


def _method(method: Method, runs: list[RunRecord], base: list[RunRecord]) -> MethodRecord:
    step = statistics.median(run.step_seconds for run in runs)
    base_step = statistics.median(run.step_seconds for run in base) if base else None
    return MethodRecord(
        text=method.text,
        label=method.label,
        slug=method.slug,
        runs=tuple(runs),
        raw={name: t_interval([run.raw[name] for run in runs]) for name in MEASURES},
        ema=_intervals([run.ema for run in runs]),
        teacher=_intervals([run.teacher for run in runs]),
        median=_medians(runs),
        difference_raw=_difference(runs, base, "raw"),
        difference_ema=_difference(runs, base, "ema"),
        difference_teacher=_difference(runs, base, "teacher"),
        step_seconds=step,
        relative_step=step / base_step if base_step else (1.0 if not method.parts else None),
    )


def _intervals(scores: Sequence[Mapping[str, Any] | None]) -> dict[str, Interval]:
    """Intervals of a column by measure; none where a run is without it."""
    whole = [one for one in scores if one]
    if len(whole) < len(scores):
        return {}
    return {name: t_interval([one[name] for one in whole]) for name in MEASURES}


def _medians(runs: Sequence[RunRecord]) -> dict[str, Interval]:
    """Of top-1 by column, each run's the median of its last ten epochs."""
    scores = {
        column: [run.protocols.get(column, {}).get("median10", {}).get("top1") for run in runs]
        for column in COLUMNS
    }
    whole = {column: [v for v in values if v is not None] for column, values in scores.items()}
    return {
        column: t_interval(values) for column, values in whole.items() if len(values) == len(runs)
    }


def _difference(runs: list[RunRecord], base: list[RunRecord], column: str) -> Interval | None:
    """Of a column's top-1 to that of the baseline."""
    pairs = paired(runs, base, column)
    return t_interval([own - other for own, other in pairs]) if pairs else None


def _run(run: Planned, result: Mapping[str, Any], out: Path) -> RunRecord:
    return RunRecord(
        seed=result["seed"],
        folder=run.folder.relative_to(out).as_posix(),
        raw=result["scores"]["raw"],
        ema=result["scores"]["ema"],
        best=result["best"],
        step_seconds=result["step_seconds"],
        seconds=result["seconds"],
        teacher=result["scores"].get("teacher"),
        alarms=[
            {"said" if name == "message" else name: value for name, value in warning.items()}
            for warning in result["warnings"]
        ],
        protocols=run_protocols(read_metrics(run.folder)),
    )


def _result(folder: Path) -> dict[str, Any]:
    try:
        return convert_result(json.loads((folder / "result.json").read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise ValueError(
            f"{folder / 'result.json'}: damaged ({error}). Delete it to have its run finished anew."
        ) from None


def _one_or_all(commits: Any) -> str | None:
    several = sorted({commit for commit in commits if commit})
    return ", ".join(several) or None
