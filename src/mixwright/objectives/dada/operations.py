"""The fifteen operations that a policy chooses from, each with a level in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.objectives.dada import geometry, tones
from mixwright.precision import drawing

_Change = Callable[[Tensor, Tensor, Generator], Tensor]


@dataclass(frozen=True, slots=True)
class Operation:
    """What is done to an image, and how strong it can be."""

    change: _Change  # (images, value) to images; value (B,) is in [low, high]
    words: str  # what it does, with a place for the value
    low: float = 0.0  # the value at level 0
    high: float = 1.0  # the value at level 1
    signed: bool = False  # whether each image draws a sign for its value

    def value(self, level: float) -> float:
        """Return the value of a level in [0, 1]; where a sign is drawn, its size."""
        value = self.low + (self.high - self.low) * level
        return abs(value) if self.signed else value


def _drawing_nothing(change: Callable[[Tensor, Tensor], Tensor]) -> _Change:
    return lambda images, value, _: change(images, value)


def _plain(change: Callable[[Tensor], Tensor]) -> _Change:
    return lambda images, _, __: change(images)


def _moving(change: Callable[[Tensor, Tensor], Tensor], most: float, words: str) -> Operation:
    return Operation(_drawing_nothing(change), words, -most, most, signed=True)


def _enhancing(change: Callable[[Tensor, Tensor], Tensor], name: str) -> Operation:
    return Operation(_drawing_nothing(change), f"{name} times {{:.2f}}", 0.1, 1.9)


OPERATIONS: dict[str, Operation] = {
    "ShearX": _moving(geometry.shear_x, 0.3, "shear rows by {:.2f}"),
    "ShearY": _moving(geometry.shear_y, 0.3, "shear columns by {:.2f}"),
    "TranslateX": _moving(geometry.translate_x, 0.45, "move sideways by {:.2f} of the width"),
    "TranslateY": _moving(geometry.translate_y, 0.45, "move up or down by {:.2f} of the height"),
    "Rotate": _moving(geometry.rotate, 30.0, "turn by {:.0f} degrees"),
    "AutoContrast": Operation(_plain(tones.auto_contrast), "stretch to full contrast"),
    "Invert": Operation(_plain(tones.invert), "invert"),
    "Equalize": Operation(_plain(tones.equalize), "equalize"),
    "Solarize": Operation(
        _drawing_nothing(tones.solarize), "invert tones from {:.0f} of 256", 0.0, 256.0
    ),
    "Posterize": Operation(_drawing_nothing(tones.posterize), "keep {:.0f} bits", 4.0, 8.0),
    "Contrast": _enhancing(tones.contrast, "contrast"),
    "Color": _enhancing(tones.color, "colour"),
    "Brightness": _enhancing(tones.brightness, "brightness"),
    "Sharpness": _enhancing(tones.sharpness, "sharpness"),
    "Cutout": Operation(
        lambda images, share, generator: geometry.cutout(images, share, generator=generator),
        "cover a square of {:.2f} of the width",
        0.0,
        0.2,
    ),
}
"""The paper's names to the operations. Values are those of its search space."""

NAMES = tuple(OPERATIONS)


def operate(name: str, images: Tensor, level: Tensor, *, generator: Generator) -> Tensor:
    """Do one operation of ``OPERATIONS`` to each image of a batch, at its own level in [0, 1].

    Moved images take the nearest pixel, black beyond the edge, as Pillow does. Shears, shifts and
    turns have a range around 0 and draw a sign as well, so that levels 0 and 1 are alike and 0.5
    does nothing. Operations that Pillow reads off a table of tones round to 256 levels.

    Example:
        >>> level = torch.ones(1)
        >>> operate("Invert", torch.zeros(1, 1, 1, 2), level, generator=Generator()).tolist()
        [[[[1.0, 1.0]]]]
    """
    operation = OPERATIONS[name]
    with drawing(images):
        value = operation.low + (operation.high - operation.low) * level.to(images.dtype)
        if operation.signed:
            coin = sampling.uniform((len(images),), device=images.device, generator=generator)
            value = torch.where(coin < 0.5, -value, value)
        return operation.change(images, value, generator)
