"""What came of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from mixwright.lab.training.progress import warning_kind
from mixwright.lab.training.recipe import Recipe

Numbers = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Result:
    """The record of a finished run, as ``result.json`` holds it.

    Scores are dicts of ``evaluation.Scores``: fractions in [0, 1], ``top5`` null for few classes.

    Args:
        recipe: what was run.
        hash: its ``recipe_hash``.
        seed: the recipe's.
        commit: of mixwright; None where it was not a git checkout, ``+`` at the end if changed.
        mixwright: version.
        torch: version.
        machine: where the run ended; see ``machine``.
        epochs: epochs trained.
        train: loss, accuracy, terms and what else was seen, over the last epoch.
        raw: scores of the weights after the last epoch.
        ema: scores of the averaged weights after the last epoch.
        best: for each column of scores, those of the epoch with the highest top-1, the earlier of
            equals, and ``epoch``. Chosen on the test images, so optimistic.
        step_seconds: median over the epochs of their median step, the first epoch left out.
        seconds: wall time of all epochs, evaluation and checkpoints included.
        parameters: trainable numbers of the model.
        finished: time of day, UTC, ISO 8601.
        teacher: scores of the objective's own teacher after the last epoch; None where it has none.
        alarms: what went wrong on the way, as ``sounded`` tells it.
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
    raw: Numbers
    ema: Numbers
    best: dict[str, Numbers]
    step_seconds: float
    seconds: float
    parameters: int
    finished: str
    teacher: Numbers | None = None
    alarms: list[Numbers] = field(default_factory=list[Numbers])

    def to_record(self) -> dict[str, Any]:
        """The fields as plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read what ``to_record`` gave."""
        fields: dict[str, Any] = {**record, "recipe": Recipe.from_fields(record["recipe"])}
        return cls(**fields)


def sounded(records: Iterable[Mapping[str, Any]]) -> list[Numbers]:
    """Gather the alarms of all epochs; those that differ in their numbers alone count as one.

    Args:
        records: lines of ``metrics.jsonl``; those of before there were alarms have none.

    Returns:
        ``first`` and ``last``, the epochs where it sounded first and last, and ``said``, the
        sentence of the last; in the order in which they began.

    Example:
        >>> sounded([{"epoch": 1, "alarms": ["off by 2"]}, {"epoch": 2, "alarms": ["off by 3"]}])
        [{'first': 1, 'last': 2, 'said': 'off by 3'}]
    """
    found: dict[str, Numbers] = {}
    for record in records:
        epoch = record["epoch"]
        for said in record.get("alarms", ()):
            found.setdefault(warning_kind(said), {"first": epoch}).update(last=epoch, said=said)
    return list(found.values())
