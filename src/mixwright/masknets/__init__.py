"""Small networks that make masks of features, and what is asked of masks."""

from __future__ import annotations

from mixwright.masknets.generator import MaskGenerator as MaskGenerator
from mixwright.masknets.mask_loss import MASK_LOSSES as MASK_LOSSES
from mixwright.masknets.mask_loss import MaskLoss as MaskLoss
from mixwright.masknets.mask_loss import MaskLossName as MaskLossName
from mixwright.masknets.mask_loss import mask_numbers as mask_numbers
from mixwright.masknets.mixblock import MixBlock as MixBlock
from mixwright.masknets.network import RENAMED_NETWORKS as RENAMED_NETWORKS
from mixwright.masknets.network import UPSAMPLINGS as UPSAMPLINGS
from mixwright.masknets.network import MaskNet as MaskNet
from mixwright.masknets.network import Upsampling as Upsampling
from mixwright.masknets.pairblock import PairBlock as PairBlock
