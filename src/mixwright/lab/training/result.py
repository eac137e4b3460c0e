"""What came of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from mixwright.lab.settings import decode
from mixwright.lab.training.convert import FORMAT, convert_result
from mixwright.lab.training.progress import warning_kind
from mixwright.lab.training.recipe import Recipe

Numbers = dict[str, Any]

ChosenOn = Literal["test", "validation", "training share"]
"""On which images the best epoch was chosen."""

_NUMBER = int | float | None  # null is NaN, or top-5 of few classes
# What ``best`` alone holds: when it was, and by what it was chosen.
_OF_THE_BEST = ("epoch", "validation_")
# What ``scores`` alone hold: it is measured once, after the last epoch.
_AT_THE_END = ("ece_scaled", "temperature")


@dataclass(frozen=True, kw_only=True)
class Result:
    """The record of a finished run, as ``result.json`` holds it.

    Scores are dicts of ``evaluation.Scores``: fractions in [0, 1], ``top5`` null for few classes.
    They are kept by column: ``raw``, ``ema`` and, where the objective has one, ``teacher``; and
    where two last layers learn, the same weights with the other one (``raw_mixed``, ...).

    Args:
        recipe: what was run; ``hash`` is its ``recipe_hash``.
        commit: of mixwright; None where it was not a git checkout, ``+`` at the end if changed.
        machine: where the run ended; see ``machine``.
        train: loss, accuracy, terms and diagnostics over the last epoch.
        scores: by column, on the test images after the last epoch; with them ``ece_scaled``, the
            ECE after temperature scaling, and ``temperature``, as ``evaluation.rescale`` gives
            them: fitted on the validation images where there are some, else on the two halves of
            the test images in turn. Older records lack both.
        best: by column, the scores on the test images of the epoch that was best on the images of
            ``chosen_on``, the earlier of equals, and ``epoch``; with validation images also
            ``validation_top1``, which decided. Chosen on the test images they are optimistic.
        step_seconds: median over the epochs of their median step, the first epoch left out.
        seconds: wall time of all epochs, evaluation and checkpoints included.
        parameters: trainable numbers of the model.
        finished: time of day, UTC, ISO 8601.
        warnings: of the objective, as ``warning_spans`` gives them.
        heads: which last layer each column has, ``own`` or ``mixed``; empty where the model's own
            is the only one.
        validation: by column, scores on the validation images after the last epoch; empty without.
        chosen_on: what ``best`` was chosen on: ``test``, ``validation`` (the data set's own part)
            or ``training share`` (see the recipe's ``val_share``).
        set_by_data: options of the method that follow from the data, by ``Class.option``.
        clean_train: ``top1`` and ``nll`` of the column ``raw`` after the last epoch on ``images``
            of the images trained on, as they are: not augmented, not mixed. None in older records.
        data: digest of the images, as ``data.identity`` gives it; empty in older records.
    """

    recipe: Recipe
    hash: str
    seed: int
    commit: str | None
    mixwright: str
    torch: str
    machine: Numbers
    epochs: int
    train: Numbers
    scores: dict[str, Numbers]
    best: dict[str, Numbers]
    step_seconds: float
    seconds: float
    parameters: int
    finished: str
    warnings: list[Numbers] = field(default_factory=list[Numbers])
    heads: dict[str, str] = field(default_factory=dict[str, str])
    validation: dict[str, Numbers] = field(default_factory=dict[str, Numbers])
    chosen_on: ChosenOn = "test"
    set_by_data: dict[str, bool] = field(default_factory=dict[str, bool])
    clean_train: Numbers | None = None
    data: str = ""

    def to_record(self) -> dict[str, Any]:
        """Return the fields as plain values, and the format of the record."""
        return {"format": FORMAT, **dataclasses.asdict(self)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read what ``to_record`` gave, or a record of format 1.

        Raises:
            ValueError: a field is missing or does not fit, or a column of scores or one of its
                measures is not there.
        """
        fields = convert_result(record)
        del fields["format"]
        result = decode(cls, fields, where="result")
        _check_columns(result)
        return result


def _check_columns(result: Result) -> None:
    """Refuse scores of which something is lost: all columns have the same measures."""
    for name, columns in (("scores", result.scores), ("best", result.best)):
        lost = [column for column in ("raw", "ema") if column not in columns]
        if lost:
            raise ValueError(f"result: {name} lacks the column {lost[0]}.")
    every = [*result.scores.values(), *result.best.values()]
    measures = {name for name in {"top1"}.union(*every) if not name.startswith(_OF_THE_BEST)}
    of_both = measures.difference(_AT_THE_END)
    for wanted, columns in ((measures, result.scores), (of_both, result.best)):
        for scores in columns.values():
            lost = [name for name in wanted if not isinstance(scores.get(name, ""), _NUMBER)]
            if lost or scores["top1"] is None:
                raise ValueError(f"result: a column of scores lacks {min(lost, default='top1')}.")


def warning_spans(records: Iterable[Mapping[str, Any]]) -> list[Numbers]:
    """Gather the warnings of all epochs; those that differ in their numbers alone count as one.

    ``first`` and ``last`` are the epochs of the first and the last, and ``message`` is that of the
    last; in the order in which they began.

    Example:
        >>> lines = {"epoch": 1, "warnings": ["off by 2"]}, {"epoch": 2, "warnings": ["off by 3"]}
        >>> warning_spans(lines)
        [{'first': 1, 'last': 2, 'message': 'off by 3'}]
    """
    spans: dict[str, Numbers] = {}
    for record in records:
        epoch = record["epoch"]
        for message in record["warnings"]:
            span = spans.setdefault(warning_kind(message), {"first": epoch})
            span.update(last=epoch, message=message)
    return list(spans.values())


def chosen_on(recipe: Recipe, *, validated: bool) -> ChosenOn:
    """Return what the best epoch of a run is chosen on; ``validated`` with images for it."""
    if not validated:
        return "test"
    return "training share" if recipe.val_share else "validation"
