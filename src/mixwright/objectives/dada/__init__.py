"""DADA: operations on images, a policy over pairs of them, its search, and training with it."""

from __future__ import annotations

from mixwright.objectives.dada.objective import DADA as DADA
from mixwright.objectives.dada.policy import PolicyStep as PolicyStep
from mixwright.objectives.dada.policy import SubPolicy as SubPolicy
from mixwright.objectives.dada.search import SearchProgress as SearchProgress
