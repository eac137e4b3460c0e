"""What went wrong in the runs of a comparison, told once a method."""

from dataclasses import dataclass

from mixwright.lab.analysis.comparison import Comparison
from mixwright.lab.training.progress import warning_kind


@dataclass(frozen=True)
class AlarmRow:
    """One thing that went wrong in runs of a method, all text.

    Args:
        label: the method's name for people.
        text: its METHOD.
        runs: seeds and epochs, e.g. ``seed 0, epochs 3 to 20; seed 2, epoch 4``.
        said: what the objective said, in its last words on it.
    """

    label: str
    text: str
    runs: str
    said: str


def alarm_rows(record: Comparison) -> list[AlarmRow]:
    """The alarms of all runs, those that differ in seed and numbers alone in one row.

    Args:
        record: of the comparison.

    Returns:
        rows by method, in the order of the record; none where nothing sounded.
    """
    rows: list[AlarmRow] = []
    for method in record.methods:
        runs: dict[str, list[str]] = {}
        said: dict[str, str] = {}
        for run in method.runs:
            for alarm in run.alarms:
                kind = warning_kind(alarm["said"])
                runs.setdefault(kind, []).append(f"seed {run.seed}, {epochs_of(alarm)}")
                said[kind] = alarm["said"]
        rows += [
            AlarmRow(method.label, method.text, "; ".join(runs[kind]), said[kind]) for kind in runs
        ]
    return rows


def epochs_of(alarm: dict[str, int]) -> str:
    """The epochs of an alarm in words, e.g. ``epochs 3 to 20``."""
    first, last = alarm["first"], alarm["last"]
    return f"epoch {first}" if first == last else f"epochs {first} to {last}"
