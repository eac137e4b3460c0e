"""Every mixing method, one file each; ``MIXERS`` names them."""

from __future__ import annotations

from mixwright.mixers.combine import OneOf as OneOf
from mixwright.mixers.combine import Scheduled as Scheduled
from mixwright.mixers.combine import Sometimes as Sometimes
from mixwright.mixers.combine import set_progress as set_progress
from mixwright.mixers.cutmix import CutMix as CutMix
from mixwright.mixers.mixer import Mixer as Mixer
from mixwright.mixers.mixup import MixUp as MixUp

MIXERS: dict[str, type] = {
    "mixup": MixUp,
    "cutmix": CutMix,
}
"""Short name to class; the command line reads it, and so may you."""
