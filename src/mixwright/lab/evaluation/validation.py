"""The door to every evaluation: whether model and images fit, before hours of work."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from mixwright.lab.evaluation.predictions import batch_logits, check_logits, correct_on
from mixwright.lab.models.normalised import Normalised
from mixwright.taps import evaluating


class ModelMisfitError(ValueError):
    """A model cannot be judged on these images; the message says why and what to do."""


def validate_model(
    model: nn.Module, images: Tensor, labels: Tensor, *, num_classes: int, name: str
) -> Tensor:
    """Run a classifier on a few images and refuse what cannot be judged; return its logits."""
    try:
        with evaluating(model), torch.inference_mode():
            logits = batch_logits(model, images, labels)
    except torch.OutOfMemoryError:
        raise  # it says what it is
    except (RuntimeError, AssertionError) as error:
        size = " x ".join(str(side) for side in images.shape[1:])
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelMisfitError(
            f"{name} cannot take images of {size} (channels x height x width): {reason}. Bring the "
            "images to the size that the model was made for (--image-size)."
        ) from error
    if logits.shape[1] != num_classes:
        raise ModelMisfitError(
            f"{name} tells {logits.shape[1]} classes apart, the data has {num_classes}; expected "
            "as many. Evaluate on the data it was trained on, or fine-tune it first."
        )
    check_logits(logits, labels)
    return logits


def validate_normalisation(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    name: str,
    batch_size: int = 250,
) -> None:
    """Refuse a model that wants normalised images and gets plain ones, or normalises twice.

    The model is tried three times on a few hundred images: on images in [0, 1], with the data's
    normalisation in front of it, and with its inverse. Where one of the latter two is right clearly
    more often (by three standard errors of the paired difference and at least five points), the
    images reach the network in a scale that it was not trained on.
    """
    if isinstance(model, Normalised) and isinstance(model.model, Normalised):
        raise ModelMisfitError(
            f"{name} normalises twice: a Normalised holds another one. Keep one of them."
        )
    shape = (1, -1, *([1] * (images.ndim - 2)))
    means, stds = images.new_tensor(mean).view(shape), images.new_tensor(std).view(shape)
    plain = _right(model, images, labels, batch_size)
    ways: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
        "missing": (
            lambda x: (x - means) / stds,
            "it does better when the images are normalised before it: normalisation is missing. "
            "Wrap it, Normalised(net, mean, std), or give --normalise data",
        ),
        "doubled": (
            lambda x: x * stds + means,
            "it does better when a normalisation is undone before it: normalisation is doubled. "
            "Take one of the two away",
        ),
    }
    for change, hint in ways.values():
        try:
            other = _right(model, change(images), labels, batch_size)
        except ValueError:  # what it gives in that scale cannot be judged: no better, then
            continue
        gain = other - plain
        error = float(gain.std()) / math.sqrt(len(gain)) if len(gain) > 1 else math.inf
        if float(gain.mean()) > max(3 * error, 0.05):
            raise ModelMisfitError(
                f"{name} is right on {float(plain.mean()):.1%} of {len(plain)} images in [0, 1], "
                f"and on {float(other.mean()):.1%} in another scale: {hint}; --normalise unchecked "
                "takes it as it is."
            )


def _right(model: nn.Module, images: Tensor, labels: Tensor, batch_size: int) -> Tensor:
    """``(B,)`` float64, 1 where the model is right."""
    parts = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    return torch.cat([correct_on(model, *part) for part in parts]).double()
