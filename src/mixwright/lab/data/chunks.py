"""How many images are worked on at a time: by their bytes, since images differ a thousandfold."""

from __future__ import annotations

import math
from collections.abc import Sequence


def images_in(mebibytes: float, shape: Sequence[int], *, each: int = 1) -> int:
    """Return how many images of a shape fit in so many MiB, at least 1.

    ``each`` is the bytes of a number: 1 for uint8, 4 for float32.

    Example:
        >>> images_in(3, (3, 512, 512)), images_in(3, (3, 512, 512), each=4)
        (4, 1)
    """
    return max(1, int(mebibytes * 2**20) // max(1, each * math.prod(shape)))
