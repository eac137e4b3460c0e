"""Resampling of a source before it is mixed."""

from __future__ import annotations

from mixwright.warps.affine import Affine as Affine
from mixwright.warps.blocks import Blocks as Blocks
from mixwright.warps.rect import Interpolation as Interpolation
from mixwright.warps.rect import Rect as Rect
from mixwright.warps.rect import whole_image as whole_image
from mixwright.warps.rows import Window as Window
from mixwright.warps.rows import round_to as round_to

Warp = Rect | Affine | Blocks
