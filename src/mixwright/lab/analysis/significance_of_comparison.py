"""What the differences of a comparison are worth: p-values for all methods at once, mean ranks."""

import math
from collections.abc import Sequence
from dataclasses import replace

from mixwright.lab.analysis.comparison import Comparison, MethodRecord, Ranking, RunRecord
from mixwright.lab.analysis.statistics.multiplicity import holm
from mixwright.lab.analysis.statistics.runs import paired_t

COLUMNS = {"raw": "raw", "ema": "ema", "teacher": "ema"}
"""Each column of scores, and that of the baseline which it is compared with."""


def judged(record: Comparison) -> Comparison:
    """Fill in p-values, adjusted p-values and mean ranks from the scores of the runs.

    The methods that are compared with the baseline are one family for each column: Holm's method
    lets one in twenty families claim a difference that is none, however many methods there are.

    Args:
        record: of a comparison, such as one that was read and is older than these numbers.

    Returns:
        the same with ``p``, ``p_holm`` and ``ranking``.
    """
    base = next((one for one in record.methods if one.text == record.baseline), None)
    others = [one for one in record.methods if one is not base]
    p: dict[str, dict[str, float]] = {one.text: {} for one in record.methods}
    adjusted: dict[str, dict[str, float]] = {one.text: {} for one in record.methods}
    for column in COLUMNS if base else ():
        found = {
            one.text: _p(pairs)
            for one in others
            if (pairs := paired(one.runs, base.runs if base else (), column))
        }
        for (text, value), corrected in zip(found.items(), holm([*found.values()]), strict=True):
            p[text][column], adjusted[text][column] = value, corrected
    methods = tuple(
        replace(one, p=p[one.text], p_holm=adjusted[one.text]) for one in record.methods
    )
    return replace(record, methods=methods, ranking=_ranking(methods))


def paired(
    runs: Sequence[RunRecord], base: Sequence[RunRecord], column: str
) -> list[tuple[float, float]]:
    """Top-1 of a method's runs beside that of the baseline's runs of the same seeds.

    Args:
        runs: of the method.
        base: of the baseline.
        column: raw, ema or teacher; a teacher is set against the baseline's EMA.

    Returns:
        pairs, own first; none where a column or common seeds are missing.
    """
    theirs = {run.seed: getattr(run, COLUMNS[column]) for run in base}
    return [
        (getattr(run, column)["top1"], theirs[run.seed]["top1"])
        for run in runs
        if getattr(run, column) and theirs.get(run.seed)
    ]


def _p(pairs: Sequence[tuple[float, float]]) -> float:
    own, other = zip(*pairs, strict=True)
    return paired_t(own, other).p if len(pairs) > 1 else math.nan


def _ranking(methods: Sequence[MethodRecord]) -> Ranking | None:
    scores = [{run.seed: float(run.raw["top1"]) for run in one.runs} for one in methods]
    common = sorted(set(scores[0]).intersection(*scores)) if scores else []
    if len(methods) < 3 or len(common) < 3:
        return None
    from mixwright.lab.analysis.statistics.ranks import mean_ranks

    ranks = mean_ranks([[one[seed] for one in scores] for seed in common])
    return Ranking(
        methods=tuple(one.text for one in methods),
        mean=ranks.mean,
        seeds=tuple(common),
        p=ranks.p,
        distance=ranks.distance,
    )
