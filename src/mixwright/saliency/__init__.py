"""How much each pixel matters, by several definitions; mixers ask through ``salience``."""

from __future__ import annotations

from mixwright.saliency.cam import ClassActivation as ClassActivation
from mixwright.saliency.features import FeatureMean as FeatureMean
from mixwright.saliency.fine_grained import FineGrained as FineGrained
from mixwright.saliency.gradient import InputGradient as InputGradient
from mixwright.saliency.saliency import SALIENCIES as SALIENCIES
from mixwright.saliency.saliency import Saliency as Saliency
from mixwright.saliency.saliency import SaliencyWord as SaliencyWord
from mixwright.saliency.saliency import blocks_of as blocks_of
from mixwright.saliency.saliency import check_saliency as check_saliency
from mixwright.saliency.saliency import normalised as normalised
from mixwright.saliency.saliency import salience as salience
from mixwright.saliency.saliency import sharing as sharing
from mixwright.saliency.spectral import SpectralResidual as SpectralResidual
