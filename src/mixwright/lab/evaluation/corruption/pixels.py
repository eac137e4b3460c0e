"""Pixels as the corruptions handle them: bytes and single precision, planes of channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Bytes: TypeAlias = npt.NDArray[np.uint8]
"""Images ``(n, 3, H, W)``."""

Floats: TypeAlias = npt.NDArray[np.float32]

Levels: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""Pixels on the scale of bytes."""

Row: TypeAlias = Sequence[float]
"""The constants of one type at one severity."""

_SLACK = np.float32(2**-13)  # ten times what single precision rounds off here


def to_bytes(levels: Levels) -> Bytes:
    """Clip to [0, 255] and cut off what is behind the point, as all corruptions end.

    A ten-thousandth of a level is added first: whole numbers that rounding has left a little below
    themselves stay what they are, so that blurs leave flat areas alone. ``levels`` are overwritten.

    Example:
        >>> to_bytes(np.array([-3.0, 17.9, 16.99999, 300.0], dtype=np.float32)).tolist()
        [0, 17, 17, 255]
    """
    levels += _SLACK
    np.clip(levels, 0, 255, out=levels)
    return levels.astype(np.uint8)
