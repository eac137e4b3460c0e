"""Samples of a dataset, put together to a batch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import default_collate

from mixwright.adapters.batches import LabelsGetter
from mixwright.arguments import shown
from mixwright.plan.labelling import as_labels

_IN_THE_DATASET = (
    "Convert it in the dataset, or put the batch together by a collate_fn of your own that "
    "returns mix(batch)."
)


def collated(samples: Sequence[Any], labels_getter: LabelsGetter) -> Any:
    """Put samples together: pairs of an image and a label by us, others by ``default_collate``."""
    if not isinstance(samples, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(
            f"Mix.collate: samples is {shown(samples)}; expected pairs of an image and a label, or "
            "dictionaries, lists or tuples that hold both."
        )
    given = list(samples)
    if not given:
        raise ValueError("Mix.collate: no samples; expected at least one pair (image, label).")
    if isinstance(labels_getter, str) and all(map(_is_pair, given)):
        return _pairs(given)
    if not isinstance(given[0], Mapping | tuple | list):
        raise ValueError(
            f"Mix.collate: a sample is a {type(given[0]).__name__}; expected a pair (image, "
            f"label), or a dictionary, list or tuple that holds both. {_IN_THE_DATASET}"
        )
    try:
        return default_collate(given)
    except (TypeError, RuntimeError, KeyError) as error:
        told = " ".join(str(error).split())
        raise ValueError(
            f"Mix.collate: torch makes no batch of samples such as {shown(given[0])} ({told}); "
            "expected tensors of one shape, arrays, numbers and text under the same names. "
            f"{_IN_THE_DATASET}"
        ) from error


def _is_pair(sample: Any) -> bool:
    """Whether a sample is an image and a label, each by itself."""
    if not isinstance(sample, tuple | list) or len(sample) != 2:  # pyright: ignore[reportUnknownArgumentType]
        return False
    image, label = sample
    return not isinstance(image, Mapping | tuple | list) and not isinstance(label, Mapping)


def _pairs(pairs: list[Any]) -> tuple[Tensor, Tensor]:
    """Stack images and labels of every kind, lists of shares and NumPy's numbers too."""
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


def _image(image: Any) -> Tensor:
    if isinstance(image, Tensor):
        return image
    if hasattr(image, "dtype") and hasattr(image, "__array__"):  # an array; pictures have no dtype
        return torch.from_numpy(image.__array__().copy())
    raise ValueError(
        f"Mix.collate: an image is a {type(image).__name__}; expected a tensor (C, *spatial). "
        "Convert it in the dataset, by torchvision's pil_to_tensor for example."
    )
