"""From what was measured to what it is worth: every part of the findings, analysed once."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mixwright.lab.analysis.findings import Arrays, Group, Part
from mixwright.lab.analysis.measures import with_statistics

if TYPE_CHECKING:
    from torch import Tensor

SPECIAL = {
    "accuracy": "significance",
    "corruption": "over_types",
    "calibration": "calibration",
    "gradients": "gradients",
    "scores": "ranking",
    "moments": "moments",
    "moments-paper": "moments",
    "decomposition": "decomposition",
    "first-layer": "first_layer",
    "design": "design",
    "scenarios": "scenarios",
}
"""Parts with an analysis of their own, and the module whose ``analyse`` makes it."""


def analyse(
    parts: Mapping[str, Sequence[Group]],
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    pictures: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, Part], Arrays]:
    """Analyse all parts of the findings.

    ``parts`` and ``options`` (of the evaluations) are by name of the part; ``pictures`` names the
    measured arrays that figures show, of which those of the first seed are kept. Return the parts,
    and the arrays that figures need under ``part/group key/name``.
    """
    found: dict[str, Part] = {}
    arrays: dict[str, Tensor] = {}
    for name, groups in parts.items():
        own: dict[str, Any] = {}
        if name in SPECIAL:
            module = import_module(f"mixwright.lab.analysis.{SPECIAL[name]}")
            result, more = module.analyse(groups)
            own = {} if result is None else dataclasses.asdict(result)
            arrays |= {f"{name}/{key}": array for key, array in more.items()}
        for group in groups:
            for picture in (pictures or {}).get(name, ()):
                if group.arrays and picture in group.arrays[0]:
                    arrays[f"{name}/{group.key}/{picture}"] = group.arrays[0][picture]
        found[name] = Part(
            groups=with_statistics(groups),
            options=dict((options or {}).get(name, {})),
            numbers=own,
        )
    return found, arrays
