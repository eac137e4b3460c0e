"""TokenMixup: tokens of easy samples replaced by more salient ones, inside the network."""

from __future__ import annotations

from mixwright.objectives.tokenmixup.objective import TokenMixup as TokenMixup
