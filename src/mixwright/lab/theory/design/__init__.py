"""Mixers whose masks have the second moments that one asks for.

designed = design_mixer(near(scale=0.1), size=(32, 32), alpha=1.0)
designed.mixer     an ordinary mixer, FieldMix
designed.wanted, designed.attainable, designed.achieved     (2H - 1, 2W - 1) maps over offsets
designed.distance      root mean square difference of wanted and achieved, in budgets
designed.summary()     plain values for JSON;  designed.arrays()  the maps by name
designed.design.save(path)      then METHOD mixwright:FieldMix:design=PATH
"""

from __future__ import annotations

from mixwright.lab.theory.design.design import Designed as Designed
from mixwright.lab.theory.design.design import budget as budget
from mixwright.lab.theory.design.design import design_mixer as design_mixer
from mixwright.lab.theory.design.design import map_distance as map_distance
from mixwright.lab.theory.design.design import wanted_map as wanted_map
from mixwright.lab.theory.design.kernels import KERNELS as KERNELS
from mixwright.lab.theory.design.kernels import Kernel as Kernel
from mixwright.lab.theory.design.kernels import ellipse as ellipse
from mixwright.lab.theory.design.kernels import near as near
from mixwright.lab.theory.design.kernels import ring as ring
from mixwright.lab.theory.design.kernels import stripes as stripes
from mixwright.mixers.fieldmix import Design as Design
from mixwright.mixers.fieldmix import FieldMix as FieldMix
