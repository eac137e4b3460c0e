"""Saliency from how active the last map of a network is; the map that a layer gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module

from mixwright.arguments import check_arguments, check_settings, check_whole
from mixwright.precision import drawing
from mixwright.taps import as_input, as_map, bare, evaluating, last_map, tapping
from mixwright.taps.layers import classifier_width


def feature_map(
    model: Module, images: Tensor, layer: str | None, *, pooled: bool = True
) -> tuple[str, Tensor]:
    """Return the name of a layer, None for the last map, and its map ``(B, C, h, w)`` float32.

    Images are not written; evaluation mode, no gradients, the surrounding autocast's precision. For
    ``pooled`` see ``last_map``.
    """
    inner = bare(model)
    name = last_map(inner, images, pooled=pooled) if layer is None else layer
    with torch.no_grad(), evaluating(inner), tapping(inner, name) as tap:
        inner(as_input(images).clone())
    return name, as_map(tap.value, classifier_width(inner, images), size=images.shape[2:]).float()


@dataclass(frozen=True, kw_only=True)
class FeatureMean:
    """How active a network is at each place: the mean over channels of its last map.

    One forward in evaluation mode, without gradients. The map's minimum is subtracted, so that
    the order of its places is that of the activations, negative ones included; then it is brought
    to the images' size bilinearly.

    Args:
        teacher: a trained network, on the images' device, that takes images in their scale; None
            for the model itself.
        layer: name of the layer whose map counts; None for the last map of more than one place
            before the last Linear.
        size: (H, W) or one number, in pixels, to which images are brought bilinearly for the
            network; None leaves them as they are. The AttentiveMix paper shows its teacher 224.

    Raises:
        ValueError: ``size`` is not one or two whole numbers, at least 1.

    Source: Walawalkar et al., "Attentive CutMix: An Enhanced Data Augmentation Approach for Deep
    Learning Based Image Classification", 2020, arXiv:2003.13048.
    """

    teacher: Module | None = None
    layer: str | None = None
    size: int | tuple[int, int] | None = None

    @property
    def needs(self) -> tuple[str, ...]:
        """What of a step it looks at: the model where there is no teacher."""
        return ("model",) if self.teacher is None else ()

    def __post_init__(self) -> None:
        check_settings(self)
        if self.size is not None:
            for side in self.size if isinstance(self.size, tuple) else (self.size,):
                check_whole("FeatureMean", "size", side, low=1, high=10_000)

    @check_arguments
    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, model: Module | None = None
    ) -> Tensor:
        """See ``Saliency``; labels are not read, the model only where there is no teacher.

        Raises:
            ValueError: there is neither teacher nor model, or the layer is unknown.
        """
        network = self.teacher if self.teacher is not None else model
        if network is None:
            raise ValueError(
                "FeatureMean: model missing, and there is no teacher; expected one of them. Pass "
                "model=..., or FeatureMean(teacher=...)."
            )
        with drawing(images):
            scaled = as_input(images)
            if self.size is not None:
                scaled = F.interpolate(scaled, self.size, mode="bilinear", align_corners=False)
        _, features = feature_map(network, scaled, self.layer, pooled=False)
        with drawing(images):
            found = features.mean(dim=1, keepdim=True)
            found = found - found.amin(dim=(2, 3), keepdim=True)
            found = F.interpolate(found, images.shape[2:], mode="bilinear", align_corners=False)
            return found[:, 0]
