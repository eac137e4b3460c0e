"""Synthetic images of one object each, whose size alone tells the two scenarios apart.

A sprite is an outline filled with a texture, on a background of coloured noise without any class.
What is drawn of it (outline, texture, colours, noise, and where its size and place lie in their
ranges) is drawn once and rendered at any size, so that both scenarios show the same sprites.

    draw_sprites(count, size=32, generator=...) -> Sprites
    render_sprites(sprites, sides=(8, 10)) -> images (M, 3, 32, 32) uint8, coverage (M,)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.masks.fourier import fourier_field

_FINE = 3  # points a pixel and axis at which an outline is evaluated
_ROWS = 256  # sprites rendered together
_TILT = math.radians(18)  # largest turn of an outline or a texture either way
_PERIODS = (3.0, 5.0)  # of stripes, in pixels
_SILHOUETTE = (0.1, 0.8)  # least and largest distance of an object's colour from the ground
_GRAIN = (0.15, 0.8)  # least and largest difference of the two colours of a texture
_GROUND = 0.02  # standard deviation of the background
_NOISE = 0.04  # standard deviation of the noise of each pixel


def _star(x: Tensor, y: Tensor) -> Tensor:
    angle = torch.atan2(x, -y) * 5 / (2 * math.pi)
    away = (angle - angle.round()).abs() * 2  # 0 at a tip, 1 between two
    return torch.hypot(x, y) <= 1.05 - 0.62 * away


OUTLINES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "disc": lambda x, y: x**2 + y**2 <= 0.95,
    "square": lambda x, y: torch.maximum(x.abs(), y.abs()) <= 0.85,
    "diamond": lambda x, y: x.abs() + y.abs() <= 1,
    "triangle": lambda x, y: (y <= 0.85) & (x.abs() * 1.8 <= y + 1),
    "plus": lambda x, y: (
        (torch.minimum(x.abs(), y.abs()) <= 0.3) & (torch.maximum(x.abs(), y.abs()) <= 0.95)
    ),
    "ring": lambda x, y: ((x**2 + y**2).sqrt() - 0.72).abs() <= 0.26,
    "star": _star,
    "bar": lambda x, y: (x.abs() <= 1) & (y.abs() <= 0.36),
    "hourglass": lambda x, y: (y.abs() <= 0.9) & (x.abs() <= y.abs() + 0.08),
    "crescent": lambda x, y: (x**2 + y**2 <= 0.95) & ((x - 0.5) ** 2 + y**2 >= 0.5),
}
"""Whether a point lies inside, in coordinates from -1 to 1 over the sprite's box."""

_Texture = Callable[[Tensor, Tensor], Tensor]


def _stripes(angle: float, period: float) -> _Texture:
    kx, ky = math.cos(angle) / period, math.sin(angle) / period
    return lambda x, y: torch.sin(2 * math.pi * (kx * x + ky * y))


def _checks(angle: float, period: float) -> _Texture:
    along, across = _stripes(angle, period), _stripes(angle + math.pi / 2, period)
    return lambda x, y: along(x, y) * across(x, y)


TEXTURES: dict[str, _Texture] = {
    **{
        f"stripes-{round(period)}-{degrees}": _stripes(math.radians(degrees), period)
        for period in _PERIODS
        for degrees in (0, 45, 90, 135)
    },
    "checks-0": _checks(0.0, 5.0),
    "checks-45": _checks(math.pi / 4, 5.0),
}
"""Brightness from -1 to 1 at a point given in pixels: a texture keeps its grain at any size."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sprites:
    """M sprites before any size is known.

    Args:
        outline: ``(M,)`` int64, index into ``OUTLINES``.
        texture: ``(M,)`` int64, index into ``TEXTURES``.
        scale: ``(M,)`` in [0, 1], where a side lies in the range of its scenario.
        position: ``(M, 2)`` in [0, 1], row and column within the room that a side leaves.
        tilt: ``(M, 2)`` turn of outline and texture, radians.
        phase: ``(M, 2)`` shift of the texture, pixels.
        colours: ``(M, 3, 3)`` of the background and the two of the texture, RGB in [0, 1].
        ground: ``(M, 3, S, S)`` noise of the background, of unit variance.
        noise: ``(M, 3, S, S)`` of each pixel, of unit variance.
    """

    outline: Tensor
    texture: Tensor
    scale: Tensor
    position: Tensor
    tilt: Tensor
    phase: Tensor
    colours: Tensor
    ground: Tensor
    noise: Tensor

    def __len__(self) -> int:
        """M."""
        return len(self.outline)


def draw_sprites(count: int, *, size: int, generator: Generator) -> Sprites:
    """Draw sprites of images of ``size`` pixels; outlines and textures come equally often.

    Example:
        >>> sprites = draw_sprites(20, size=32, generator=sampling.stream(0))
        >>> sprites.outline.bincount().tolist()
        [2, 2, 2, 2, 2, 2, 2, 2, 2, 2]
    """
    cpu = torch.device("cpu")

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return sampling.uniform(shape, low=low, high=high, device=cpu, generator=generator)

    def shuffled(kinds: int) -> Tensor:
        return torch.arange(count)[torch.randperm(count, generator=generator)] % kinds

    ground = coloured_noise((count, 3, size, size), device=cpu, generator=generator)
    back = uniform(count, 3, low=0.3, high=0.7)
    # Contrasts are spread over a wide range, so that neither task is easy for all sprites or none.
    contrast = _spread(uniform(count), *_SILHOUETTE)[:, None]
    grain = _spread(uniform(count), *_GRAIN)[:, None]
    hue = uniform(count, 3, low=-1.0, high=1.0)
    middle = back + contrast * hue / hue.norm(dim=1, keepdim=True).clamp_min(1e-6)
    colours = torch.stack([back, middle - grain / 2, middle + grain / 2], dim=1)
    return Sprites(
        outline=shuffled(len(OUTLINES)),
        texture=shuffled(len(TEXTURES)),
        scale=uniform(count),
        position=uniform(count, 2),
        tilt=uniform(count, 2, low=-_TILT, high=_TILT),
        phase=uniform(count, 2, high=20.0),
        colours=colours.clamp(0, 1),
        ground=ground,
        noise=sampling.normal((count, 3, size, size), device=cpu, generator=generator),
    )


def coloured_noise(
    shape: tuple[int, int, int, int], *, device: torch.device, generator: Generator
) -> Tensor:
    """Return low-frequency noise, each plane of mean 0 and variance 1."""
    flat = (shape[0] * shape[1], *shape[2:])
    white = sampling.normal(flat, device=device, generator=generator)
    field = fourier_field(white, decay=1.6).view(shape)
    field = field - field.mean(dim=(2, 3), keepdim=True)
    return field / field.std(dim=(2, 3), keepdim=True).clamp_min(1e-6)


def _spread(chance: Tensor, low: float, high: float) -> Tensor:
    """Spread numbers in [0, 1] from low to high, evenly in their logarithm."""
    return low * (high / low) ** chance


def render_sprites(sprites: Sprites, *, sides: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return the images of one scenario, uint8, and the share of each that its object covers.

    ``sides`` are the smallest and largest side of a sprite's box, whole pixels, at least 2.
    """
    size = sprites.ground.shape[-1]
    if not 2 <= sides[0] <= sides[1] <= size:
        raise ValueError(
            f"render_sprites: sides are {sides}; expected (smallest, largest) in rising order, at "
            f"least 2 and at most {size}, the side of the images."
        )
    images: list[Tensor] = []
    shares: list[Tensor] = []
    for rows in torch.arange(len(sprites)).split(_ROWS):
        picture, cover = _render(sprites, rows, sides, size)
        images.append(picture)
        shares.append(cover)
    return torch.cat(images), torch.cat(shares)


def sprite_sides(sprites: Sprites, sides: tuple[int, int]) -> Tensor:
    """Return the side of each sprite's box in a scenario: ``(M,)`` float32 of whole pixels."""
    low, high = sides
    return (low + sprites.scale * (high - low + 1)).floor().clamp_max(high)


def _render(
    sprites: Sprites, rows: Tensor, sides: tuple[int, int], size: int
) -> tuple[Tensor, Tensor]:
    side = sprite_sides(sprites, sides)[rows]
    corner = (sprites.position[rows] * (size - side + 1)[:, None]).floor()
    corner = torch.minimum(corner, (size - side)[:, None])
    centre = corner + side[:, None] / 2

    cover = _covered(sprites, rows, centre, side, size)
    pattern = _patterned(sprites, rows, size)
    back, dark, bright = sprites.colours[rows].unbind(dim=1)
    ground = back[:, :, None, None] + _GROUND * sprites.ground[rows]
    inside = torch.lerp(dark[:, :, None, None], bright[:, :, None, None], pattern)
    image = torch.lerp(ground, inside, cover[:, None]) + _NOISE * sprites.noise[rows]
    return (image.clamp(0, 1) * 255).round().byte(), cover.mean(dim=(1, 2))


def _covered(sprites: Sprites, rows: Tensor, centre: Tensor, side: Tensor, size: int) -> Tensor:
    """Return the share of each pixel that lies inside the outline, ``(R, S, S)``."""
    # Supersampling: an outline is tested at 3 x 3 points a pixel, which softens its border.
    fine = (torch.arange(size * _FINE) + 0.5) / _FINE
    y = ((fine - centre[:, :1]) * 2 / side[:, None])[:, :, None]
    x = ((fine - centre[:, 1:]) * 2 / side[:, None])[:, None, :]
    turned = _turned(x, y, sprites.tilt[rows, 0])
    inside = _by_kind(sprites.outline[rows], tuple(OUTLINES.values()), *turned)
    inside = inside * ((x.abs() <= 1) & (y.abs() <= 1))  # a turned outline may not leave its box
    return inside.view(len(rows), size, _FINE, size, _FINE).mean(dim=(2, 4))


def _patterned(sprites: Sprites, rows: Tensor, size: int) -> Tensor:
    """Return which of its colours a texture has at each pixel: ``(R, 1, S, S)`` in [0, 1]."""
    pixel = torch.arange(size, dtype=torch.float32)
    y = pixel[None, :, None] + sprites.phase[rows, 0][:, None, None]
    x = pixel[None, None, :] + sprites.phase[rows, 1][:, None, None]
    turned = _turned(x, y, sprites.tilt[rows, 1])
    pattern = _by_kind(sprites.texture[rows], tuple(TEXTURES.values()), *turned)
    return (0.5 + 0.5 * pattern)[:, None]


def _turned(x: Tensor, y: Tensor, tilt: Tensor) -> tuple[Tensor, Tensor]:
    cos, sin = tilt.cos()[:, None, None], tilt.sin()[:, None, None]
    return x * cos + y * sin, y * cos - x * sin


def _by_kind(kind: Tensor, functions: Sequence[_Texture], x: Tensor, y: Tensor) -> Tensor:
    """Apply to each sprite the function of its kind, ``(R, S, S)`` float32."""
    values = torch.zeros(x.shape)
    for number, function in enumerate(functions):
        chosen = kind == number
        values[chosen] = function(x[chosen], y[chosen]).float()
    return values
