"""What a mixer is, and what every mixer refuses: batches of the wrong shape."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import re
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import shown
from mixwright.plan import MixPlan
from mixwright.tensors import check_tensor

Per = Literal["sample", "batch"]
"""Whether each sample or each batch has a draw of its own."""

PERS: tuple[Per, ...] = ("sample", "batch")


@runtime_checkable
class Mixer(Protocol):
    """Anything that turns a batch into a plan; nothing to inherit, nothing to register."""

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """Decide who is mixed, where, and how much of each label.

        Args:
            images: ``(B, C, *spatial)``; read for its shape and device, by some mixers for its
                pixels, never written.
            labels: ``(B,)`` or ``(B, K)``; needed by those mixers that say so.
            generator: CPU generator, the source of all randomness.
            model: the classifier, for mixers that need it.

        Returns:
            The plan for this batch.
        """
        ...


def check_mixer(name: str, mixer: object) -> None:
    """Refuse what has no ``plan`` method, classes included."""
    if isinstance(mixer, type) or not isinstance(mixer, Mixer):
        raise ValueError(
            f"{name}: {mixer!r} is no mixer; expected an object with a plan(...) method, "
            "such as CutMix()."
        )


def check_step(name: str, images: object, *, generator: object, model: object) -> None:
    """Refuse what every ``plan`` is given where it is of another type."""
    check_tensor(name, "images", images)
    if not isinstance(generator, Generator):
        raise ValueError(
            f"{name}: generator is {shown(generator)}; expected a torch.Generator of the CPU, such "
            "as torch.Generator().manual_seed(0)."
        )
    if not (model is None or isinstance(model, Module)):
        raise ValueError(
            f"{name}: model is {shown(model)}; expected the classifier, a torch.nn.Module, or None."
        )


def mixer_text(mixer: object) -> str:
    """Tell a mixer in words that stay the same in other processes and later versions.

    Settings at their defaults are left out, so that a new one changes nothing.

    Example:
        >>> from mixwright.mixers import CutMix, OneOf
        >>> mixer_text(OneOf(CutMix(), CutMix(alpha=0.2)))
        'OneOf(mixers=(CutMix(), CutMix(alpha=0.2)))'
    """
    record: Any = mixer
    if isinstance(mixer, type | str | int | float | None):
        return repr(mixer)
    if isinstance(mixer, bytes):
        return hashlib.blake2b(mixer, digest_size=8).hexdigest()
    if dataclasses.is_dataclass(mixer):
        # Defaults of the constructor, since that of ``OneOf`` is written out.
        taken = inspect.signature(type(mixer)).parameters
        told = [
            f"{setting.name}={mixer_text(value)}"
            for setting in dataclasses.fields(mixer)
            if setting.init
            and (value := getattr(mixer, setting.name))
            != getattr(taken.get(setting.name), "default", setting.default)
        ]
        return f"{type(mixer).__name__}({', '.join(told)})"
    if isinstance(mixer, tuple | list):
        return f"({', '.join(mixer_text(part) for part in record)})"
    if callable(mixer) and hasattr(mixer, "__qualname__"):
        return record.__qualname__  # of functions, whose repr is an address
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(mixer))


def check_batch(
    name: str, images: Tensor, labels: Tensor | None, *, dims: int | None = None, least: int = 0
) -> None:
    """Refuse a batch of the wrong shape, by a ValueError that begins with the mixer's ``name``.

    ``dims`` is the wanted number of spatial dimensions; None for ``least`` or more, 0, or 1 for
    mixers that cannot mix vectors.
    """
    check_tensor(name, "images", images)
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
    if labels is not None and (labels.ndim == 0 or labels.shape[0] != images.shape[0]):
        raise ValueError(
            f"{name}: labels have shape {tuple(labels.shape)}; expected one label for each of the "
            f"{len(images)} images."
        )
    if spatial < least:
        raise ValueError(
            f"{name}: images have shape {tuple(images.shape)}; expected at least one spatial "
            "axis, (B, C, L). MixUp mixes vectors."
        )
