"""Saliency from the class activation map of the true class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module

from mixwright.arguments import check_arguments, check_settings
from mixwright.precision import drawing
from mixwright.saliency.features import feature_map
from mixwright.taps import classifier


@dataclass(frozen=True, kw_only=True)
class ClassActivation:
    """Where a classifier sees the true class: its last map, weighted as the class weighs channels.

    One forward in evaluation mode. The map is brought to the images' size bilinearly, and its
    minimum is subtracted. A map of one place, such as deep networks give of small images, says
    nothing about places: it is 0 everywhere.

    Args:
        layer: name of the layer whose map counts, with as many channels as the classifier has
            inputs; None for the last map before the last Linear.

    Source: Zhou et al., "Learning Deep Features for Discriminative Localization", 2016,
    arXiv:1512.04150; as SnapMix uses it, Huang et al. 2020, arXiv:2012.04846.
    """

    needs: ClassVar[tuple[str, ...]] = ("model", "labels")

    layer: str | None = None

    def __post_init__(self) -> None:
        check_settings(self)

    @check_arguments
    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, model: Module | None = None
    ) -> Tensor:
        """See ``Saliency``; needs the model and labels, ``(B,)`` or soft ``(B, K)``.

        Raises:
            ValueError: labels or model are missing, the layer is unknown, or its map has not the
                channels that the classifier weighs.
        """
        if model is None or labels is None:
            missing = "model" if model is None else "labels"
            raise ValueError(
                f"ClassActivation: {missing} missing; expected the classifier and the labels of "
                "the images. FeatureMean needs no labels, SpectralResidual neither."
            )
        layer, features = feature_map(model, images, self.layer)
        with drawing(images):
            last = classifier(model, images)
            if features.shape[1] != last.in_features:
                raise ValueError(
                    f"ClassActivation: layer {layer!r} gives {features.shape[1]} channels, the "
                    f"classifier weighs {last.in_features}; expected as many. Name the layer whose "
                    "map the classifier pools, or use FeatureMean."
                )
            weight = last.weight.float()
            own = labels.to(weight) @ weight if labels.ndim == 2 else weight[labels.long()]
            found = torch.einsum("bchw,bc->bhw", features, own)
            # Before as well as after, or rounding would draw a picture on even maps.
            found = found - found.amin(dim=(1, 2), keepdim=True)
            size = images.shape[2:]
            found = F.interpolate(found[:, None], size, mode="bilinear", align_corners=False)[:, 0]
            return found - found.amin(dim=(1, 2), keepdim=True)
