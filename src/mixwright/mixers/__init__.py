"""Every mixing method, one file each; ``MIXERS`` names them."""

from __future__ import annotations

from mixwright.mixers.agmix import AGMix as AGMix
from mixwright.mixers.attentivecutmix import AttentiveCutMix as AttentiveCutMix
from mixwright.mixers.cards import Card as Card
from mixwright.mixers.combine import OneOf as OneOf
from mixwright.mixers.combine import Scheduled as Scheduled
from mixwright.mixers.combine import Sometimes as Sometimes
from mixwright.mixers.combine import set_progress as set_progress
from mixwright.mixers.comixup import CoMixup as CoMixup
from mixwright.mixers.cutmix import CutMix as CutMix
from mixwright.mixers.cutout import Cutout as Cutout
from mixwright.mixers.fieldmix import FieldMix as FieldMix
from mixwright.mixers.fmix import FMix as FMix
from mixwright.mixers.gmix import GMix as GMix
from mixwright.mixers.gridmix import GridMix as GridMix
from mixwright.mixers.guidedmixup import GuidedMixup as GuidedMixup
from mixwright.mixers.hmix import HMix as HMix
from mixwright.mixers.miamix import MiAMix as MiAMix
from mixwright.mixers.mixer import Mixer as Mixer
from mixwright.mixers.mixup import MixUp as MixUp
from mixwright.mixers.puzzlemix import PuzzleMix as PuzzleMix
from mixwright.mixers.resizemix import ResizeMix as ResizeMix
from mixwright.mixers.saliencygrafting import SaliencyGrafting as SaliencyGrafting
from mixwright.mixers.saliencymix import SaliencyMix as SaliencyMix
from mixwright.mixers.smoothmix import SmoothMix as SmoothMix
from mixwright.mixers.snapmix import SnapMix as SnapMix

_CLASSES = (
    MixUp,
    CutMix,
    Cutout,
    FMix,
    GridMix,
    HMix,
    GMix,
    AGMix,
    MiAMix,
    ResizeMix,
    SmoothMix,
    SaliencyMix,
    AttentiveCutMix,
    SnapMix,
    PuzzleMix,
    CoMixup,
    SaliencyGrafting,
    GuidedMixup,
)

MIXERS: dict[str, type] = {cls.__name__.lower(): cls for cls in _CLASSES}
"""Short name to class; the command line reads it, and so may you."""

CARDS: dict[str, Card] = {cls.__name__.lower(): cls.card for cls in _CLASSES}
"""Short name, as in ``MIXERS``, to the card in the class."""
