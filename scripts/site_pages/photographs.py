"""Two photographs that everybody can look at, and a network that knows what is on them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.nn import Module

SIDE = 224

# Of scikit-image's data: file, what is on it, the square that is cut out (left, top, side).
_FILES = (
    ("chelsea.png", "cat", (95, 0, 300)),
    ("coffee.png", "coffee", (110, 0, 400)),
    ("rocket.jpg", "rocket", (210, 0, 427)),
    ("astronaut.png", "astronaut", (30, 0, 420)),
)


@dataclass(frozen=True, eq=False)
class Photographs:
    """A small batch of photographs.

    Attributes:
        images: ``(B, 3, 224, 224)`` float32 in [0, 1].
        labels: ``(B,)`` int64, the class that the network sees on each.
        names: what is on each, in a word.
        model: EfficientNet-Lite0 with its ImageNet weights, in evaluation mode.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]
    model: Module

    def first(self, count: int) -> Photographs:
        """The first of them, at least two."""
        return Photographs(self.images[:count], self.labels[:count], self.names[:count], self.model)


@functools.cache
def photographs() -> Photographs:
    """Read the photographs of the installed scikit-image."""
    import numpy as np
    import skimage
    from PIL import Image

    from mixwright.lab.models.build import build_model
    from mixwright.lab.models.efficientnet import PUBLISHED
    from mixwright.lab.models.normalised import Normalised

    folder = Path(skimage.__file__).parent / "data"
    images: list[Tensor] = []
    for file, _, (left, top, side) in _FILES:
        with Image.open(folder / file) as picture:
            square = picture.convert("RGB").crop((left, top, left + side, top + side))
        pixels = np.asarray(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS))
        images.append(torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255)
    batch = torch.stack(images)
    net = build_model(
        "efficientnet_lite0", num_classes=PUBLISHED.classes, image_size=SIDE, pretrained=True
    )
    model = Normalised(net, PUBLISHED.mean, PUBLISHED.std).eval()
    with torch.no_grad():
        labels = model(batch).argmax(dim=1)
    return Photographs(batch, labels, tuple(name for _, name, _ in _FILES), model)
