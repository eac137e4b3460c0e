"""What may be concluded from runs, images and corruption types, and how sure it is.

Three questions, three units. Do two checkpoints differ on new images? One value per image:
``images``. Do two methods differ, for new runs? One value per run: ``runs``, the one to report.
Is the advantage the same for all corruption types? One value per type: ``types``. Whoever asks
several times corrects for it: ``multiplicity``, ``ranks``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from mixwright.lab.analysis.statistics.interval import Interval as Interval
from mixwright.lab.analysis.statistics.interval import t_interval as t_interval

if TYPE_CHECKING:
    from mixwright.lab.analysis.statistics.calibration_error import ece_difference as ece_difference
    from mixwright.lab.analysis.statistics.calibration_error import ece_interval as ece_interval
    from mixwright.lab.analysis.statistics.images import Discordance as Discordance
    from mixwright.lab.analysis.statistics.images import bootstrap_interval as bootstrap_interval
    from mixwright.lab.analysis.statistics.images import mcnemar as mcnemar
    from mixwright.lab.analysis.statistics.images import sign_flip_p as sign_flip_p
    from mixwright.lab.analysis.statistics.images import wilson_interval as wilson_interval
    from mixwright.lab.analysis.statistics.multiplicity import holm as holm
    from mixwright.lab.analysis.statistics.multiplicity import (
        simultaneous_intervals as simultaneous_intervals,
    )
    from mixwright.lab.analysis.statistics.ranks import Ranks as Ranks
    from mixwright.lab.analysis.statistics.ranks import mean_ranks as mean_ranks
    from mixwright.lab.analysis.statistics.resampling import crossed_interval as crossed_interval
    from mixwright.lab.analysis.statistics.runs import Difference as Difference
    from mixwright.lab.analysis.statistics.runs import NotWorse as NotWorse
    from mixwright.lab.analysis.statistics.runs import not_worse as not_worse
    from mixwright.lab.analysis.statistics.runs import paired_t as paired_t
    from mixwright.lab.analysis.statistics.runs import runs_needed as runs_needed
    from mixwright.lab.analysis.statistics.runs import welch_t as welch_t
    from mixwright.lab.analysis.statistics.types import AcrossTypes as AcrossTypes
    from mixwright.lab.analysis.statistics.types import across_types as across_types
    from mixwright.lab.analysis.statistics.types import exact_sign_flip_p as exact_sign_flip_p

_NAMES = {
    "calibration_error": "ece_difference ece_interval",
    "images": "Discordance bootstrap_interval mcnemar sign_flip_p wilson_interval",
    "multiplicity": "holm simultaneous_intervals",
    "ranks": "Ranks mean_ranks",
    "resampling": "crossed_interval",
    "runs": "Difference NotWorse not_worse paired_t runs_needed welch_t",
    "types": "AcrossTypes across_types exact_sign_flip_p",
}
"""Module -> the public names that it holds."""

_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Import a public name on first use: the interval alone needs neither NumPy nor torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
