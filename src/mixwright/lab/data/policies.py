"""RandAugment and TrivialAugment: operations drawn for each image of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Generator, Tensor

from mixwright.arguments import check_number, did_you_mean
from mixwright.lab.data import operations
from mixwright.lab.data.augment import Augmentation
from mixwright.lab.settings import option_pairs, read_options

Strength = Callable[[Tensor, Tensor], Tensor]
"""From a level in [0, 1] and a sign to the strength of an operation, all ``(B,)``."""

_PIXELS: dict[str, operations.Operation] = {
    "autocontrast": operations.autocontrast,
    "equalize": operations.equalize,
    "invert": operations.invert,
    "posterize": operations.posterize,
    "solarize": operations.solarize,
    "solarize_add": operations.solarize_add,
    "colour": operations.colour,
    "contrast": operations.contrast,
    "brightness": operations.brightness,
    "sharpness": operations.sharpness,
}
_MOVES = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")


@dataclass(frozen=True)
class Policy:
    """What is drawn for each image, and what it does; the subclasses say which and how strong.

    Args of the class:
        strengths: the operations among which is drawn, each with what a level means for it.
        fill: value of pixels from beyond the edge.
        relative: whether translations are in widths (heights) of the image, not in pixels.
    """

    strengths: ClassVar[dict[str, Strength]]
    fill: ClassVar[int]
    relative: ClassVar[bool]

    def _apply(self, images: Tensor, names: Sequence[str], level: Tensor, sign: Tensor) -> None:
        """Do one operation to each image, in place; all are on the CPU but the images."""
        rows_of: dict[str, list[int]] = {}
        for row, name in enumerate(names):
            rows_of.setdefault(name, []).append(row)
        moved: list[Tensor] = []
        maps: list[Tensor] = []
        for name, rows in rows_of.items():
            if name == "identity":
                continue
            where = torch.tensor(rows)
            strength = self.strengths[name](level[where], sign[where])
            if name in _MOVES:
                moved.append(where)
                maps.append(self._maps(name, strength, *images.shape[-2:]))
            else:
                operation, strength = _PIXELS[name], strength.to(images.device, non_blocking=True)
                _change(images, where, lambda some, do=operation, by=strength: do(some, by))
        if moved:  # all in one pass
            whole = torch.cat(maps).to(images.device, non_blocking=True)
            move = partial(operations.affine, maps=whole, fill=self.fill)
            _change(images, torch.cat(moved), move)

    def _maps(self, name: str, strength: Tensor, height: int, width: int) -> Tensor:
        """Return the affine maps ``(b, 2, 3)`` of images that are moved."""
        if name == "rotate":
            return operations.rotation(strength, height=height, width=width)
        found = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).repeat(len(strength), 1, 1)
        row = 0 if name.endswith("x") else 1
        side = (width, height)[row]
        if name.startswith("shear"):
            found[:, row, 1 - row] = strength
        else:
            found[:, row, 2] = strength * side if self.relative else strength
        return found


def _change(images: Tensor, rows: Tensor, do: Callable[[Tensor], Tensor]) -> None:
    """Replace some images by what a function makes of them."""
    where = rows.to(images.device, non_blocking=True)
    images.index_copy_(0, where, do(images[where].float()).to(images.dtype))


def _signed(most: float) -> Strength:
    return lambda level, sign: level * most * sign


def _factor(most: float, least: float = 0.0) -> Strength:
    return lambda level, sign: (1 + level * most * sign).clamp_min(least)


def _unused(level: Tensor, sign: Tensor) -> Tensor:
    del sign
    return level


@dataclass(frozen=True)
class RandAugment(Policy):
    """Do a few operations of one strength to each image, drawn among fifteen.

    As timm's ``rand-m9-mstd0.5-inc1``, whose recipes for ImageNet have it: for each image,
    ``layers`` operations are drawn with replacement, each is done with chance one half, and its
    magnitude is normal about ``magnitude`` with deviation ``std``, within [0, 10]. Pixels from
    beyond the edge are grey (128). All draws come from the generator on the CPU.

    Args:
        layers: operations drawn for each image, at least 1.
        magnitude: their strength, in [0, 10].
        std: standard deviation of the magnitude, at least 0.
        chance: how often an operation that was drawn is done, in [0, 1].

    Raises:
        ValueError: a number is out of its range.

    Example:
        >>> images = torch.arange(48, dtype=torch.uint8).view(1, 3, 4, 4).repeat(2, 1, 1, 1)
        >>> RandAugment(layers=1)(images, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3, 4, 4])

    Source: Cubuk et al. 2019, arXiv:1909.13719; operations and their ranges as in timm
    (timm/data/auto_augment.py, the increasing ones).

    Departs from timm in reading between pixels bilinearly always, where it draws bilinear or
    bicubic, and from its train script in the grey, which is the mean of the data there.
    """

    layers: int = 2
    magnitude: float = 9.0
    std: float = 0.5
    chance: float = 0.5

    fill: ClassVar[int] = 128
    relative: ClassVar[bool] = True
    strengths: ClassVar[dict[str, Strength]] = {
        "autocontrast": _unused,
        "equalize": _unused,
        "invert": _unused,
        "rotate": _signed(30),
        "posterize": lambda level, sign: 4 - (level * 4).floor(),
        "solarize": lambda level, sign: 256 - (level * 256).floor(),
        "solarize_add": lambda level, sign: (level * 110).floor(),
        "colour": _factor(0.9, 0.1),
        "contrast": _factor(0.9, 0.1),
        "brightness": _factor(0.9, 0.1),
        "sharpness": _factor(0.9, 0.1),
        "shear_x": _signed(0.3),
        "shear_y": _signed(0.3),
        "translate_x": _signed(0.45),
        "translate_y": _signed(0.45),
    }

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ValueError(f"RandAugment: layers is {self.layers}; expected at least 1.")
        check_number("RandAugment", "magnitude", self.magnitude, high=10.0)
        check_number("RandAugment", "std", self.std)
        check_number("RandAugment", "chance", self.chance, high=1.0)

    def __call__(self, images: Tensor, *, generator: Generator) -> Tensor:
        """Return a changed copy of ``(B, C, H, W)`` images, uint8 or of whole numbers to 255."""
        found, shape = images.clone(), (self.layers, len(images))
        names = tuple(self.strengths)
        which = torch.randint(len(names), shape, generator=generator)
        done = torch.rand(shape, generator=generator) < self.chance
        normal = torch.randn(shape, generator=generator)
        level = (self.magnitude + self.std * normal).clamp_(0, 10) / 10
        sign = torch.randint(2, shape, generator=generator) * 2 - 1
        for layer in range(self.layers):
            kept = zip(which[layer].tolist(), done[layer].tolist(), strict=True)
            chosen = [names[number] if on else "identity" for number, on in kept]
            self._apply(found, chosen, level[layer], sign[layer])
        return found


@dataclass(frozen=True)
class TrivialAugment(Policy):
    """Do one operation of any strength to each image, drawn among fourteen.

    As ``TrivialAugmentWide()`` of torchvision: an operation, one of 31 strengths and a sign are
    drawn evenly for each image; nothing is left to choose. Pixels from beyond the edge are black.
    All draws come from the generator on the CPU.

    Example:
        >>> images = torch.arange(48, dtype=torch.uint8).view(1, 3, 4, 4).repeat(2, 1, 1, 1)
        >>> TrivialAugment()(images, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([2, 3, 4, 4])

    Source: Müller and Hutter 2021, arXiv:2103.10158 (the wide set).

    Departs from torchvision in reading between pixels bilinearly, where it takes the nearest.
    """

    fill: ClassVar[int] = 0
    relative: ClassVar[bool] = False
    strengths: ClassVar[dict[str, Strength]] = {
        "identity": _unused,
        "shear_x": _signed(0.99),
        "shear_y": _signed(0.99),
        "translate_x": _signed(32),
        "translate_y": _signed(32),
        "rotate": _signed(135),
        "brightness": _factor(0.99),
        "colour": _factor(0.99),
        "contrast": _factor(0.99),
        "sharpness": _factor(0.99),
        "posterize": lambda level, sign: 8 - (level * 6).round(),
        "solarize": lambda level, sign: 255 - level * 255,
        "autocontrast": _unused,
        "equalize": _unused,
    }

    def __call__(self, images: Tensor, *, generator: Generator) -> Tensor:
        """Return a changed copy of ``(B, C, H, W)`` images, uint8 or of whole numbers to 255."""
        found, count, names = images.clone(), len(images), tuple(self.strengths)
        which = torch.randint(len(names), (count,), generator=generator)
        level = torch.randint(31, (count,), generator=generator) / 30
        sign = torch.randint(2, (count,), generator=generator) * 2 - 1
        self._apply(found, [names[number] for number in which.tolist()], level, sign)
        return found


POLICIES: dict[str, type[RandAugment] | type[TrivialAugment]] = {
    "randaugment": RandAugment,
    "trivialaugment": TrivialAugment,
}


def parse_policy(text: str) -> Augmentation:
    """Return the policy that a text names, such as ``randaugment:layers=2,magnitude=9``.

    Raises:
        ValueError: there is no such policy or option, or a value is out of its range.

    Example:
        >>> parse_policy("randaugment:magnitude=7")
        RandAugment(layers=2, magnitude=7.0, std=0.5, chance=0.5)
    """
    name = text.partition(":")[0]
    if name not in POLICIES:
        raise ValueError(
            f"augment is {text!r}; expected one of {', '.join(POLICIES)}, with options as in "
            f"randaugment:layers=2,magnitude=9.{did_you_mean(name, POLICIES)}"
        )
    pairs = option_pairs(f'augment "{text}"', text.removeprefix(name))
    try:
        return POLICIES[name](**read_options(POLICIES[name], pairs))
    except TypeError as error:
        raise ValueError(f'augment "{text}": {error}') from None
