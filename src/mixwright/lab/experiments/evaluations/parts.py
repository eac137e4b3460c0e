"""Evaluations by name, and what a text such as ``corruption:severities=1;5`` means."""

from __future__ import annotations

from dataclasses import asdict
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mixwright.arguments import did_you_mean
from mixwright.lab.settings import option_pairs, read_options, write_value

if TYPE_CHECKING:
    from mixwright.lab.evaluation.subject import Evaluation

PARTS: dict[str, str] = {
    "accuracy": "accuracy:Accuracy",
    "calibration": "calibration.calibration:Calibration",
    "gap": "gap:Gap",
    "corruption": "corruption.corruption:Corruption",
    "attack": "attack.attack:Attack",
    "occlusion": "occlusion:Occlusion",
    "cam": "cam:Cam",
    "gradients": "gradients.gradients:Gradients",
    "diversity": "mixtures.diversity:Diversity",
    "fidelity": "mixtures.fidelity:Fidelity",
    "probe": "probe:Probe",
}
"""Name of each evaluation and where its class is, in the order in which they are measured."""

ASKED = ("probe",)
"""Those that are measured only where they are named."""


def part_class(name: str) -> type[Evaluation]:
    """The class of an evaluation, imported when it is asked for."""
    module, _, cls = PARTS[name].partition(":")
    return getattr(import_module(f"mixwright.lab.evaluation.{module}"), cls)


def parse_parts(text: str | None) -> list[Evaluation]:
    """Read evaluations with options, e.g. ``accuracy corruption:types=fog;snow,severities=5``.

    None stands for all but those that must be named. Return them in the order of ``PARTS``.

    Raises:
        ValueError: a name, an option or a value is not understood.
    """
    if text is None:
        return [part_class(name)() for name in PARTS if name not in ASKED]
    words = text.split()
    if not words:
        raise ValueError(f"nothing is named to measure; expected some of {', '.join(PARTS)}.")
    found: dict[str, Evaluation] = {}
    for word in words:
        name = word.partition(":")[0]
        if name not in PARTS:
            raise ValueError(
                f'there is no evaluation "{name}".{did_you_mean(name, PARTS)} Known are '
                f"{', '.join(PARTS)}."
            )
        if name in found:
            raise ValueError(f"{name} is named twice; name it once, with all its options.")
        cls = part_class(name)
        pairs = option_pairs(f'evaluation "{word}"', word.removeprefix(name))
        found[name] = cls(**read_options(cls, pairs))
    return [found[name] for name in PARTS if name in found]


def part_text(part: Evaluation) -> str:
    """The text that ``parse_parts`` reads as the same evaluation; defaults are left out."""
    options: dict[str, Any] = asdict(part)  # pyright: ignore[reportArgumentType]
    usual: dict[str, Any] = asdict(type(part)())  # pyright: ignore[reportArgumentType]
    given = [f"{k}={write_value(v)}" for k, v in options.items() if v != usual[k]]
    return f"{part.name}:{','.join(given)}" if given else part.name
