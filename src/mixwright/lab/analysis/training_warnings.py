"""What methods warned of while they trained, once a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixwright.lab.training.progress import warning_kind


@dataclass(frozen=True, kw_only=True)
class Spell:
    """Epochs of one run, the first and the last, in which a warning came."""

    seed: int
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class WarningRow:
    """One thing that went wrong in runs of a method.

    Attributes:
        method: its METHOD.
        spells: where it went wrong.
        message: the objective's last one of this kind.
    """

    method: str
    spells: tuple[Spell, ...]
    message: str


@dataclass(frozen=True, kw_only=True)
class WarningRows:
    """The warnings of all methods."""

    rows: tuple[WarningRow, ...]


def warning_rows(
    runs: Mapping[str, Sequence[tuple[int, Sequence[Mapping[str, Any]]]]],
) -> tuple[WarningRow, ...]:
    """Gather by METHOD the (seed, warnings) of its runs; each kind of warning is one row."""
    rows: list[WarningRow] = []
    for method, many in runs.items():
        spells: dict[str, list[Spell]] = {}
        messages: dict[str, str] = {}
        for seed, warnings in many:
            for warning in warnings:
                kind = warning_kind(warning["message"])
                spells.setdefault(kind, []).append(
                    Spell(seed=seed, first=warning["first"], last=warning["last"])
                )
                messages[kind] = warning["message"]
        rows += [
            WarningRow(method=method, spells=tuple(spells[kind]), message=messages[kind])
            for kind in spells
        ]
    return tuple(rows)
