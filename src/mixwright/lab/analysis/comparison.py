"""The frozen record of a comparison: what was compared, on what, and what came out."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mixwright.files import write_json
from mixwright.lab.analysis.statistics import Interval

FORMAT = 1


@dataclass(frozen=True)
class RunRecord:
    """What one training run reached after its last epoch.

    Args:
        seed: its seed.
        folder: its folder, relative to the folder of the comparison.
        raw: top1, top5, nll, ece, count of the trained weights, as fractions.
        ema: the same of the averaged weights, or None.
        best: scores and number of the best epoch by column, chosen on test data, so optimistic.
        step_seconds: median time of a training step after warm-up.
        seconds: the whole run.
        teacher: the scores of the method's own teacher, or None.
        alarms: what went wrong on the way; see ``training.result.sounded``.
        protocols: by column and protocol (median10, median11_compat, final, best), as
            ``evaluation.protocol.run_protocols`` makes them of the run's epochs; empty in records
            of before, and where the epochs are gone.
    """

    seed: int
    folder: str
    raw: dict[str, Any]
    ema: dict[str, Any] | None
    best: dict[str, Any]
    step_seconds: float
    seconds: float
    teacher: dict[str, Any] | None = None
    alarms: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    protocols: dict[str, dict[str, dict[str, Any]]] = field(
        default_factory=dict[str, dict[str, dict[str, Any]]]
    )


@dataclass(frozen=True)
class MethodRecord:
    """One method over all its seeds.

    Args:
        text: its canonical METHOD.
        label: how people call it.
        slug: how files call it.
        runs: one a seed.
        raw: intervals by measure (top1, nll, ece) for the trained weights.
        ema: the same for the averaged weights.
        difference_raw: of top-1 to the baseline, paired by seed; None for the baseline itself.
        difference_ema: the same for the averaged weights.
        step_seconds: median over the runs.
        relative_step: ``step_seconds`` in those of the baseline, or None without a baseline.
        teacher: intervals by measure for the method's own teacher; empty where it has none.
        difference_teacher: of the teacher's top-1 to the averaged weights of the baseline, paired
            by seed. The baseline has no teacher, and a teacher is an average of weights: set
            against trained weights it would gain from the averaging alone.
        median: by column, top-1 as the median over the last ten epochs of each run; without
            columns of which a run is without it.
        p: by column, the p-value of its difference: a t test over the pairs, two-sided,
            unadjusted; NaN for a single pair, nothing where there is no difference.
        p_holm: the same, adjusted by Holm's method over all methods of that column.
    """

    text: str
    label: str
    slug: str
    runs: tuple[RunRecord, ...]
    raw: dict[str, Interval]
    ema: dict[str, Interval]
    difference_raw: Interval | None
    difference_ema: Interval | None
    step_seconds: float
    relative_step: float | None
    teacher: dict[str, Interval] = field(default_factory=dict[str, Interval])
    difference_teacher: Interval | None = None
    median: dict[str, Interval] = field(default_factory=dict[str, Interval])
    p: dict[str, float] = field(default_factory=dict[str, float])
    p_holm: dict[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True)
class Ranking:
    """Mean ranks of the methods over seeds, by top-1 of the trained weights.

    Args:
        methods: METHODs, in the order of the record.
        mean: the mean rank of each, 1 for the best.
        seeds: those that every method has.
        p: Friedman's test of all being alike.
        distance: Nemenyi's critical difference, at 5 %.
    """

    methods: tuple[str, ...]
    mean: tuple[float, ...]
    seeds: tuple[int, ...]
    p: float
    distance: float


@dataclass(frozen=True)
class Failure:
    """A run that did not finish.

    Args:
        name: method and seed.
        error: the last lines it wrote.
    """

    name: str
    error: str


@dataclass(frozen=True)
class Comparison:
    """Everything a report needs beside the curves in the run folders.

    Args:
        command: the command that made it.
        data: name, note, classes and sizes of the data set.
        recipe: what all runs share; method and seed are left out.
        baseline: METHOD that differences are taken to, or None.
        methods: in the order asked for, without those whose every run failed.
        failures: runs that did not finish.
        machine: where it ran.
        commit: of the working copy, or None outside one.
        versions: of mixwright and torch.
        parallel: runs that shared the machine at any time.
        seconds: sum over all runs, as they were timed.
        parameters: of the model.
        finished: ISO time.
        ranking: mean ranks; None for fewer than three methods or three seeds that all have.
    """

    command: str
    data: dict[str, Any]
    recipe: dict[str, Any]
    baseline: str | None
    methods: tuple[MethodRecord, ...]
    failures: tuple[Failure, ...]
    machine: dict[str, Any]
    commit: str | None
    versions: dict[str, str]
    parallel: int
    seconds: float
    parameters: int
    finished: str
    format: int = field(default=FORMAT)
    ranking: Ranking | None = None


def write_comparison(path: Path, record: Comparison) -> None:
    """Write a record as JSON, whole or not at all.

    Args:
        path: the file.
        record: what to write; NaN becomes null.
    """
    write_json(path, asdict(record))


def read_comparison(path: Path) -> Comparison:
    """Read what ``write_comparison`` wrote.

    Args:
        path: the file ``comparison.json``, or its folder.

    Returns:
        an equal record (null becomes NaN again). One of before there were adjusted p-values has
        none; ``judgement.judged`` fills them in.

    Raises:
        ValueError: it is not there, or not such a record.
    """
    if path.is_dir():
        path = path / "comparison.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file. A finished comparison leaves it.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not JSON ({error}). Run the comparison again.") from None
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise ValueError(f"{path}: not a comparison of format {FORMAT}. Run it again.")
    raw["methods"] = tuple(_method(one) for one in raw["methods"])
    raw["failures"] = tuple(Failure(**one) for one in raw["failures"])
    if raw.get("ranking"):
        raw["ranking"] = _ranking(raw["ranking"])
    return Comparison(**raw)


def _ranking(raw: dict[str, Any]) -> Ranking:
    lists: dict[str, Any] = {name: tuple(raw[name]) for name in ("methods", "mean", "seeds")}
    return Ranking(**(raw | lists))


def _method(raw: dict[str, Any]) -> MethodRecord:
    raw["runs"] = tuple(RunRecord(**one) for one in raw["runs"])
    for column in ("raw", "ema", "teacher", "median"):  # records of before lack some
        raw[column] = {name: _interval(one) for name, one in raw.get(column, {}).items()}
    for column in ("difference_raw", "difference_ema", "difference_teacher"):
        raw[column] = _interval(raw[column]) if raw.get(column) else None
    for name in ("p", "p_holm"):
        raw[name] = {
            column: math.nan if p is None else p for column, p in raw.get(name, {}).items()
        }
    return MethodRecord(**raw)


def _interval(raw: Mapping[str, Any]) -> Interval:
    numbers = {k: math.nan if raw[k] is None else raw[k] for k in raw if k != "count"}
    return Interval(**numbers, count=raw["count"])
