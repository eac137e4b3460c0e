"""Mixed-sample data augmentation for PyTorch: every method under one interface.

    import mixwright as mw

    mix = mw.Mix(mw.CutMix(), num_classes=10)
    images, targets = mix(images, labels)

``mw.MIXERS`` and ``mw.OBJECTIVES`` list the methods by short name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mixwright import _moved

if TYPE_CHECKING:
    from mixwright.adapters import Mix as Mix
    from mixwright.lab.experiments.trained import load_mixer as load_mixer
    from mixwright.lab.experiments.trained import save_mixer as save_mixer
    from mixwright.mixers import MIXERS as MIXERS
    from mixwright.mixers import AGMix as AGMix
    from mixwright.mixers import AttentiveCutMix as AttentiveCutMix
    from mixwright.mixers import CoMixup as CoMixup
    from mixwright.mixers import CutMix as CutMix
    from mixwright.mixers import Cutout as Cutout
    from mixwright.mixers import FMix as FMix
    from mixwright.mixers import GMix as GMix
    from mixwright.mixers import GridMix as GridMix
    from mixwright.mixers import GuidedMixup as GuidedMixup
    from mixwright.mixers import HMix as HMix
    from mixwright.mixers import MiAMix as MiAMix
    from mixwright.mixers import Mixer as Mixer
    from mixwright.mixers import MixUp as MixUp
    from mixwright.mixers import OneOf as OneOf
    from mixwright.mixers import PuzzleMix as PuzzleMix
    from mixwright.mixers import ResizeMix as ResizeMix
    from mixwright.mixers import SaliencyGrafting as SaliencyGrafting
    from mixwright.mixers import SaliencyMix as SaliencyMix
    from mixwright.mixers import Scheduled as Scheduled
    from mixwright.mixers import SmoothMix as SmoothMix
    from mixwright.mixers import SnapMix as SnapMix
    from mixwright.mixers import Sometimes as Sometimes
    from mixwright.mixers.learned import LearnedMixer as LearnedMixer
    from mixwright.objectives import DADA as DADA
    from mixwright.objectives import MEADA as MEADA
    from mixwright.objectives import OBJECTIVES as OBJECTIVES
    from mixwright.objectives import AdAutoMix as AdAutoMix
    from mixwright.objectives import AlignMix as AlignMix
    from mixwright.objectives import AutoMix as AutoMix
    from mixwright.objectives import BinaryCrossEntropy as BinaryCrossEntropy
    from mixwright.objectives import CrossEntropy as CrossEntropy
    from mixwright.objectives import DecoupledMix as DecoupledMix
    from mixwright.objectives import Losses as Losses
    from mixwright.objectives import ManifoldMix as ManifoldMix
    from mixwright.objectives import Mixed as Mixed
    from mixwright.objectives import MixPro as MixPro
    from mixwright.objectives import Objective as Objective
    from mixwright.objectives import RecursiveMix as RecursiveMix
    from mixwright.objectives import SAMix as SAMix
    from mixwright.objectives import SMMix as SMMix
    from mixwright.objectives import Spectral as Spectral
    from mixwright.objectives import TokenMix as TokenMix
    from mixwright.objectives import TokenMixup as TokenMixup
    from mixwright.objectives import TransMix as TransMix
    from mixwright.plan import MixPlan as MixPlan

__version__ = "0.1.0"

_moved.install()

# The command line parses its arguments without torch, so nothing is imported before it is asked
# for (PEP 562).
_HOME = {
    "Mix": "adapters",
    "MIXERS": "mixers",
    "AGMix": "mixers",
    "CutMix": "mixers",
    "Cutout": "mixers",
    "FMix": "mixers",
    "GMix": "mixers",
    "GridMix": "mixers",
    "HMix": "mixers",
    "MiAMix": "mixers",
    "MixUp": "mixers",
    "Mixer": "mixers",
    "OneOf": "mixers",
    "ResizeMix": "mixers",
    "Scheduled": "mixers",
    "CoMixup": "mixers",
    "PuzzleMix": "mixers",
    "GuidedMixup": "mixers",
    "SaliencyMix": "mixers",
    "SnapMix": "mixers",
    "SaliencyGrafting": "mixers",
    "AttentiveCutMix": "mixers",
    "SmoothMix": "mixers",
    "Sometimes": "mixers",
    "OBJECTIVES": "objectives",
    "BinaryCrossEntropy": "objectives",
    "CrossEntropy": "objectives",
    "Losses": "objectives",
    "Mixed": "objectives",
    "TransMix": "objectives",
    "TokenMixup": "objectives",
    "TokenMix": "objectives",
    "SMMix": "objectives",
    "RecursiveMix": "objectives",
    "MixPro": "objectives",
    "ManifoldMix": "objectives",
    "DecoupledMix": "objectives",
    "AlignMix": "objectives",
    "AutoMix": "objectives",
    "MEADA": "objectives",
    "DADA": "objectives",
    "Spectral": "objectives",
    "SAMix": "objectives",
    "AdAutoMix": "objectives",
    "LearnedMixer": "mixers.learned",
    "load_mixer": "lab.experiments.trained",
    "save_mixer": "lab.experiments.trained",
    "Objective": "objectives",
    "MixPlan": "plan",
}
__all__ = [
    "DADA",
    "MEADA",
    "MIXERS",
    "OBJECTIVES",
    "AGMix",
    "AdAutoMix",
    "AlignMix",
    "AttentiveCutMix",
    "AutoMix",
    "BinaryCrossEntropy",
    "CoMixup",
    "CrossEntropy",
    "CutMix",
    "Cutout",
    "DecoupledMix",
    "FMix",
    "GMix",
    "GridMix",
    "GuidedMixup",
    "HMix",
    "LearnedMixer",
    "Losses",
    "ManifoldMix",
    "MiAMix",
    "Mix",
    "MixPlan",
    "MixPro",
    "MixUp",
    "Mixed",
    "Mixer",
    "Objective",
    "OneOf",
    "PuzzleMix",
    "RecursiveMix",
    "ResizeMix",
    "SAMix",
    "SMMix",
    "SaliencyGrafting",
    "SaliencyMix",
    "Scheduled",
    "SmoothMix",
    "SnapMix",
    "Sometimes",
    "Spectral",
    "TokenMix",
    "TokenMixup",
    "TransMix",
    "load_mixer",
    "save_mixer",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mixwright' has no attribute {name!r}")
    value = getattr(import_module(f"mixwright.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
