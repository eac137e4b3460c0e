"""How much alike two pixels are to be, by the offset between them."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mixwright.arguments import check_number
from mixwright.lab.settings import option_pairs, read_options

_SECOND_TOP = 7.0156  # where the Bessel function of a plane's waves is at its second maximum

Kernel = Callable[[Tensor, Tensor], Tensor]
"""From offsets down and right, in shares of the image's sides, to a likeness of any scale."""


def near(scale: float = 0.15) -> Kernel:
    """Return ``exp(-|p| / scale)``, p in shares of the sides: near pixels alike, far ones not.

    Example:
        >>> near(0.5)(torch.tensor([0.0, 0.3]), torch.tensor([0.0, 0.4])).round(decimals=4)
        tensor([1.0000, 0.3679])
    """
    check_number("near", "scale", scale, open_low=True)
    return lambda dy, dx: torch.exp(-torch.hypot(dy, dx) / scale)


def ellipse(down: float = 0.08, right: float = 0.4) -> Kernel:
    """Return ``near`` with a scale for each direction: regions that are long one way."""
    check_number("ellipse", "down", down, open_low=True)
    check_number("ellipse", "right", right, open_low=True)
    return lambda dy, dx: torch.exp(-torch.hypot(dy / down, dx / right))


def ring(radius: float = 0.4, fade: float = 0.6) -> Kernel:
    """Return a kernel that rises again at ``radius`` and fades: evenly spaced spots."""
    check_number("ring", "radius", radius, open_low=True)
    shade = near(fade)

    def kernel(dy: Tensor, dx: Tensor) -> Tensor:
        return shade(dy, dx) * torch.special.bessel_j0(_SECOND_TOP * torch.hypot(dy, dx) / radius)

    return kernel


def stripes(period: float = 0.5, scale: float = 0.4) -> Kernel:
    """Return a kernel that rises again every ``period`` downwards, and fades over ``scale``."""
    check_number("stripes", "period", period, open_low=True)
    fade = near(scale)
    return lambda dy, dx: fade(dy, dx) * torch.cos(2 * math.pi * dy / period)


KERNELS: dict[str, Callable[..., Kernel]] = {
    "near": near,
    "ellipse": ellipse,
    "ring": ring,
    "stripes": stripes,
}
"""Name -> maker of a kernel, whose arguments are plain numbers."""


def parse_kernel(text: str) -> Kernel:
    """Read a kernel of ``KERNELS`` and its options from a text such as ``near:scale=0.1``.

    Example:
        >>> parse_kernel("near:scale=0.5")(torch.tensor(0.3), torch.tensor(0.4)).round(decimals=4)
        tensor(0.3679)
    """
    name = text.partition(":")[0]
    make = KERNELS[name]
    try:
        return make(**read_options(make, option_pairs(f'"{text}"', text.removeprefix(name))))
    except ValueError as error:
        raise ValueError(f"{error} Write it like near:scale=0.1.") from None
