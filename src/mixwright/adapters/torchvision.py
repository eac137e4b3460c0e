"""Mixers as transforms of torchvision: drop-ins for its ``v2.CutMix`` and ``v2.MixUp``.

They are called as those are, on batches of any structure, in ``v2.Compose`` and ``v2.RandomChoice``
and in a ``collate_fn``, and take the options of the mixer beside ``num_classes`` and
``labels_getter``. torchvision itself is imported when one is made.
"""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import mixers
from mixwright.adapters.batches import (
    LabelsGetter,
    find_images,
    find_labels,
    listed,
    replaced,
    walk,
)
from mixwright.adapters.ranks import known_rank
from mixwright.arguments import MissingModelError, check_arguments, check_whole, shown
from mixwright.mixers.mixer import Mixer, mixer_text
from mixwright.requirements import require
from mixwright.sampling import stream


class MixTransform(Module):
    """A mixer as a transform: ``images, targets = transform(images, labels)``.

    Any mixer serves, ``OneOf`` and one of your own too; the classes of this module are this with a
    mixer of ours. What is mixed are all ``tv_tensors.Image`` and ``Video`` of a batch, by one plan,
    or where it has none the first tensor ``(B, C, H, W)`` beside the labels, that one alone: mark
    images where a batch has other tensors of four axes. All else is passed through, in the same
    containers.

    Draws follow ``torch.manual_seed``: each call takes one number of torch's global stream, so that
    workers of a loader differ as torch seeds them. The rank is mixed in: ranks of one seed differ.
    As in torchvision, ``eval()`` changes nothing: leave it out of the pipeline for validation.

    Args:
        mixer: what to draw, one that needs no model.
        num_classes: K, needed where labels are class indices.
        labels_getter: ``"default"`` takes the second input, or within it (or a single one that is
            a dictionary) what is named ``labels``, else the first that has ``label`` in its name;
            a callable takes the inputs and returns the labels that are in them.

    Raises:
        ImportError: torchvision is missing or older than 0.21.
        ValueError: ``mixer`` has no plan method, or ``num_classes`` is out of range.
    """

    mixer: Mixer
    num_classes: int | None
    labels_getter: LabelsGetter

    @check_arguments
    def __init__(
        self,
        mixer: Mixer,
        *,
        num_classes: int | None = None,
        labels_getter: LabelsGetter = "default",
    ) -> None:
        require("torchvision", "0.21", "torchvision")
        super().__init__()
        if num_classes is not None:
            check_whole(type(self).__name__, "num_classes", num_classes, low=1)
        self.mixer = mixer
        self.num_classes = num_classes
        self.labels_getter = labels_getter

    def forward(self, *inputs: Any) -> Any:
        """Mix a batch.

        Args:
            *inputs: images and labels, or one structure that holds both: a dictionary, list, tuple
                or dataclass, also within one another. Images are ``(B, C, H, W)``, videos
                ``(B, T, C, H, W)``; labels ``(B,)`` class indices or ``(B, K)`` shares.

        Returns:
            The same containers; images of the same type, dtype and device, and targets ``(B, K)``,
            float32 or of the dtype of floating labels.

        Raises:
            ValueError: images or labels are not found or do not fit one another, there are PIL
                images, bounding boxes, key points or masks, or the mixer needs a model.
        """
        name = type(self).__name__
        batch = inputs if len(inputs) != 1 else inputs[0]
        self._check_parts(batch)
        labels = find_labels(batch, self.labels_getter, who=name, exact=("labels",))
        if not isinstance(labels, Tensor) or labels.ndim not in (1, 2):
            raise ValueError(
                f"{name}: the labels are {shown(labels)}; expected a tensor of class indices (B,) "
                "or of class shares (B, K)."
            )
        images = self._images(batch, labels)
        # Shares of one-hot labels may be whole numbers, as torch.nn.functional.one_hot gives them.
        known = labels.float() if labels.ndim == 2 and not labels.is_floating_point() else labels
        try:
            plan = self.mixer.plan(_planar(images[0]), known, generator=_generator())
        except MissingModelError as error:
            raise error.at("A transform") from None
        if len(plan) != plan.pool:
            raise ValueError(
                f"{name}: the mixer makes {len(plan)} images of {plan.pool}; expected as many, "
                "which go with what else is in a batch. Use mixwright.Mix(mixer)."
            )
        targets = plan.targets(known, self.num_classes)
        values: dict[int, Any] = {
            id(labels): targets.to(known.dtype) if known.ndim == 2 else targets
        }
        for image in images:
            mixed = plan.images(_planar(image)).view(image.shape)
            values[id(image)] = mixed if type(image) is Tensor else mixed.as_subclass(type(image))
        return replaced(batch, values)

    def extra_repr(self) -> str:
        """Show the settings."""
        return f"{mixer_text(self.mixer)}, num_classes={self.num_classes}"

    def _check_parts(self, batch: Any) -> None:
        from PIL.Image import Image  # torchvision needs it too

        tv_tensors = _tv_tensors()
        names = ("BoundingBoxes", "Mask", "KeyPoints")  # the last since torchvision 0.23
        refused = (
            Image,
            *(getattr(tv_tensors, name) for name in names if hasattr(tv_tensors, name)),
        )
        for place, part in walk(batch):
            if isinstance(part, refused):
                raise ValueError(
                    f"{type(self).__name__}() does not support PIL images, bounding boxes, "
                    f"keypoints and masks: {place} is a {type(part).__name__}; expected batches of "
                    "images as tensors. Convert images by v2.ToImage() before they are put "
                    "together; masks are mixed by plan.targets of mixwright."
                )

    def _images(self, batch: Any, labels: Tensor) -> list[Tensor]:
        """Find what is mixed; it fits the labels."""
        tv_tensors = _tv_tensors()
        marked = (tv_tensors.Image, tv_tensors.Video)
        images = [part for _, part in walk(batch, stop=labels) if isinstance(part, marked)]
        images = images or [image for _, image in find_images(batch, labels)[:1]]
        name = type(self).__name__
        for image in images:
            axes = 5 if isinstance(image, tv_tensors.Video) else 4
            if image.ndim != axes or len(image) != len(labels):
                raise ValueError(
                    f"{name}: images have shape {tuple(image.shape)} and labels "
                    f"{tuple(labels.shape)}; expected a batch of {axes} axes, with one label for "
                    "each image. Use it after the loader, or on what default_collate returns."
                )
        if not images:
            raise ValueError(
                f"{name}: no images among {listed(batch, labels)}; expected a tensor (B, C, H, W) "
                "or a tv_tensors.Image of such a shape beside the labels."
            )
        return images


def _tv_tensors() -> Any:
    # By name, since type checkers take torchvision for this file, which lies beside itself.
    return import_module("torchvision.tv_tensors")


def _planar(image: Tensor) -> Tensor:
    """View images as a plain tensor ``(B, C, H, W)``; the frames of a video are more channels."""
    plain = image.as_subclass(Tensor)
    return plain.flatten(1, 2) if plain.ndim == 5 else plain


def _generator() -> Generator:
    """Make the generator of a call, from torch's global stream and the rank."""
    word = torch.randint(2**62, (), device="cpu")
    return stream(int(word), known_rank() or 0)


class _MixerTransform(MixTransform):
    """A transform that makes its mixer itself, of the options that the mixer has."""

    kind: ClassVar[type]

    def __init__(
        self,
        *,
        num_classes: int | None = None,
        labels_getter: LabelsGetter = "default",
        **options: Any,
    ) -> None:
        super().__init__(self.kind(**options), num_classes=num_classes, labels_getter=labels_getter)

    def __init_subclass__(cls) -> None:
        own = list(inspect.signature(_MixerTransform.__init__).parameters.values())[1:-1]
        options = inspect.signature(cls.kind).parameters.values()
        cls.__signature__ = inspect.Signature([*own, *options])  # pyright: ignore


class MixUp(_MixerTransform):
    """``mixwright.MixUp`` as a transform; see ``MixTransform``.

    ``per="batch", pairing="roll"`` draws as torchvision's does: one share for a batch, neighbours
    as partners.
    """

    kind = mixers.MixUp


class CutMix(_MixerTransform):
    """``mixwright.CutMix`` as a transform; see ``MixTransform``.

    ``per="batch", pairing="roll"`` draws as torchvision's does: one box for a batch, neighbours as
    partners.
    """

    kind = mixers.CutMix


class Cutout(_MixerTransform):
    """``mixwright.Cutout`` as a transform; see ``MixTransform``."""

    kind = mixers.Cutout


class FMix(_MixerTransform):
    """``mixwright.FMix`` as a transform; see ``MixTransform``."""

    kind = mixers.FMix


class GridMix(_MixerTransform):
    """``mixwright.GridMix`` as a transform; see ``MixTransform``."""

    kind = mixers.GridMix


class HMix(_MixerTransform):
    """``mixwright.HMix`` as a transform; see ``MixTransform``."""

    kind = mixers.HMix


class GMix(_MixerTransform):
    """``mixwright.GMix`` as a transform; see ``MixTransform``."""

    kind = mixers.GMix


class AGMix(_MixerTransform):
    """``mixwright.AGMix`` as a transform; see ``MixTransform``."""

    kind = mixers.AGMix


class MiAMix(_MixerTransform):
    """``mixwright.MiAMix`` as a transform; see ``MixTransform``."""

    kind = mixers.MiAMix


class ResizeMix(_MixerTransform):
    """``mixwright.ResizeMix`` as a transform; see ``MixTransform``."""

    kind = mixers.ResizeMix


class SmoothMix(_MixerTransform):
    """``mixwright.SmoothMix`` as a transform; see ``MixTransform``."""

    kind = mixers.SmoothMix


class GuidedMixup(_MixerTransform):
    """``mixwright.GuidedMixup`` as a transform; see ``MixTransform``."""

    kind = mixers.GuidedMixup
