"""How a model learns from mixing, one file each; ``OBJECTIVES`` names them."""

from __future__ import annotations

from mixwright.mixers.cards import Card
from mixwright.objectives.adautomix import AdAutoMix as AdAutoMix
from mixwright.objectives.alignmix import AlignMix as AlignMix
from mixwright.objectives.automix import AutoMix as AutoMix
from mixwright.objectives.criteria import BinaryCrossEntropy as BinaryCrossEntropy
from mixwright.objectives.criteria import Criterion as Criterion
from mixwright.objectives.criteria import CrossEntropy as CrossEntropy
from mixwright.objectives.dada import DADA as DADA
from mixwright.objectives.decoupledmix import DecoupledMix as DecoupledMix
from mixwright.objectives.manifoldmix import ManifoldMix as ManifoldMix
from mixwright.objectives.meada import MEADA as MEADA
from mixwright.objectives.mixed import Mixed as Mixed
from mixwright.objectives.mixpro import MixPro as MixPro
from mixwright.objectives.objective import Losses as Losses
from mixwright.objectives.objective import Objective as Objective
from mixwright.objectives.recursivemix import RecursiveMix as RecursiveMix
from mixwright.objectives.samix import SAMix as SAMix
from mixwright.objectives.smmix import SMMix as SMMix
from mixwright.objectives.spectral import Spectral as Spectral
from mixwright.objectives.spectral import sensitivity_map as sensitivity_map
from mixwright.objectives.tokenmix import TokenMix as TokenMix
from mixwright.objectives.tokenmixup import TokenMixup as TokenMixup
from mixwright.objectives.transmix import TransMix as TransMix

_CLASSES: tuple[type[Objective], ...] = (
    Mixed,
    ManifoldMix,
    AlignMix,
    DecoupledMix,
    RecursiveMix,
    TransMix,
    TokenMix,
    TokenMixup,
    MixPro,
    SMMix,
    AutoMix,
    SAMix,
    AdAutoMix,
    MEADA,
    DADA,
    Spectral,
)

OBJECTIVES: dict[str, type[Objective]] = {cls.__name__.lower(): cls for cls in _CLASSES}
"""Short name to class; the command line reads it, and so may you."""

OBJECTIVE_CARDS: dict[str, Card] = {
    name: cls.card for name, cls in OBJECTIVES.items() if cls.card is not None
}
"""Short name, as in ``OBJECTIVES``, to the card in the class."""
