"""What every mixer refuses at its door: batches of the wrong shape."""

from __future__ import annotations

from torch import Tensor


def check_batch(
    name: str, images: Tensor, labels: Tensor | None, *, dims: int | None = None
) -> None:
    """Refuse a batch of the wrong shape.

    Args:
        name: the mixer's, for the message.
        images: the batch.
        labels: its labels, if any.
        dims: wanted number of spatial dimensions; None for one or more.

    Raises:
        ValueError: images have no batch or spatial axes as wanted, or labels are of another
            number.
    """
    spatial = images.ndim - 2
    if dims is not None and spatial != dims:
        raise ValueError(
            f"{name}: images have shape {tuple(images.shape)}; expected (B, C, H, W): {name} is "
            "defined for 2-D images. MixUp, CutMix and Cutout take any number of dimensions."
        )
    if spatial < 0 or 0 in images.shape:
        raise ValueError(
            f"{name}: images have shape {tuple(images.shape)}; expected (B, C, *spatial) with at "
            "least one of each. A single image needs a batch axis: image[None]."
        )
    if labels is not None and (labels.ndim == 0 or len(labels) != len(images)):
        raise ValueError(
            f"{name}: labels have shape {tuple(labels.shape)}; expected one label for each of the "
            f"{len(images)} images."
        )
