"""How a model learns from mixing, one file each; ``OBJECTIVES`` names them."""

from __future__ import annotations

from mixwright.objectives.criteria import BinaryCrossEntropy as BinaryCrossEntropy
from mixwright.objectives.criteria import Criterion as Criterion
from mixwright.objectives.criteria import CrossEntropy as CrossEntropy
from mixwright.objectives.mixed import Mixed as Mixed
from mixwright.objectives.objective import Losses as Losses
from mixwright.objectives.objective import Objective as Objective

OBJECTIVES: dict[str, type[Objective]] = {"mixed": Mixed}
"""Short name to class; the command line reads it, and so may you."""
