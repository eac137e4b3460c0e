"""The public names of mixwright, each listed here alone.

Type checkers read this file in place of ``__init__.py``, which reads it for where each name lives:
one import a line, ``from MODULE import NAME as NAME``.
"""

from mixwright import adapters as adapters
from mixwright.adapters import Mix as Mix
from mixwright.mixers import MIXERS as MIXERS
from mixwright.mixers import AGMix as AGMix
from mixwright.mixers import AttentiveCutMix as AttentiveCutMix
from mixwright.mixers import CoMixup as CoMixup
from mixwright.mixers import CutMix as CutMix
from mixwright.mixers import Cutout as Cutout
from mixwright.mixers import FieldMix as FieldMix
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
from mixwright.mixers.learned import load_mixer as load_mixer
from mixwright.mixers.learned import save_mixer as save_mixer
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

__version__: str
__all__: list[str]
