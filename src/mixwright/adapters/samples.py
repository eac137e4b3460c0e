"""Samples of a dataset, put together to a batch of images and labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from mixwright.arguments import shown
from mixwright.plan.labelling import as_labels

_GIVE_PAIRS = (
    "Give it pairs, by a collate_fn of your own that calls "
    "mix.collate([({image}, {label}) for sample in samples]) and adds what else you need."
)


def collate_pairs(samples: Sequence[Any]) -> tuple[Tensor, Tensor]:
    """Stack pairs of an image and a label; see ``Mix.collate``."""
    if not isinstance(samples, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(
            f"Mix.collate: samples is {shown(samples)}; expected pairs of an image and a label."
        )
    pairs = list(samples)
    if not pairs:
        raise ValueError("Mix.collate: no samples; expected at least one pair (image, label).")
    for pair in pairs:
        _check_pair(pair)
    images = [_image(image) for image, _ in pairs]
    odd = next((image for image in images if image.shape != images[0].shape), None)
    if odd is not None:
        raise ValueError(
            f"Mix.collate: images have shapes {tuple(images[0].shape)} and {tuple(odd.shape)}; "
            "expected one shape in a batch. Resize or crop them in the dataset."
        )
    # Of torch, which in a worker stacks into memory that the main process reads.
    stacked: Tensor = default_collate(images)
    return stacked, as_labels([label for _, label in pairs], device=stacked.device)


def _check_pair(sample: Any) -> None:
    if isinstance(sample, tuple | list) and len(sample) == 2:  # pyright: ignore[reportUnknownArgumentType]
        return
    if isinstance(sample, Mapping):
        keys: list[Any] = list(sample)  # pyright: ignore[reportUnknownArgumentType]
        found = f"a dictionary with the keys {', '.join(map(repr, keys))}"
        advice = _GIVE_PAIRS.format(image='sample["image"]', label='sample["label"]')
    elif isinstance(sample, tuple | list):
        found = f"{len(sample)} values"  # pyright: ignore[reportUnknownArgumentType]
        advice = _GIVE_PAIRS.format(image="sample[0]", label="sample[1]")
    else:
        found = f"a {type(sample).__name__}"
        advice = _GIVE_PAIRS.format(image="sample.image", label="sample.label")
    raise ValueError(f"Mix.collate: a sample is {found}; expected a pair (image, label). {advice}")


def _image(image: Any) -> Tensor:
    if isinstance(image, Tensor):
        return image
    if hasattr(image, "dtype") and hasattr(image, "__array__"):  # an array; pictures have no dtype
        return torch.from_numpy(image.__array__().copy())
    raise ValueError(
        f"Mix.collate: an image is a {type(image).__name__}; expected a tensor (C, *spatial). "
        "Convert it in the dataset, by torchvision's pil_to_tensor for example."
    )
