"""Spectral: amplitudes that climb the loss, and which frequencies a model depends on."""

from __future__ import annotations

from mixwright.objectives.spectral.objective import Spectral as Spectral
from mixwright.objectives.spectral.sensitivity import sensitivity_map as sensitivity_map
