"""Saliency from the gradient of the loss with respect to the pixels."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module

from mixwright.arguments import check_arguments, check_settings
from mixwright.outputs import take_logits
from mixwright.taps import as_input, bare, check_gradients, evaluating, hooked
from mixwright.taps.layers import first_tensor


@dataclass(frozen=True, kw_only=True)
class InputGradient:
    """How strongly the loss would react to each pixel: the root mean square over channels.

    One forward and one backward to the input alone: no parameter's ``.grad`` is touched, also
    inside ``torch.no_grad``. The model runs in evaluation mode, so that samples do not see each
    other through batch norm, and its running statistics and modes stay as they are. Its output is
    logits, alone, first of several outputs, or under the name ``logits``.

    Args:
        train_mode: leave the model in the mode it is in, as GuidedMixup's code does: batch norm
            then uses the batch, and its statistics are updated by this pass.

    Source: Kim et al., "Puzzle Mix: Exploiting Saliency and Local Statistics for Optimal Mixup",
    2020, arXiv:2009.06962, section 3; Simonyan et al. 2013, arXiv:1312.6034.
    """

    needs: ClassVar[tuple[str, ...]] = ("model", "labels")

    train_mode: bool = False

    def __post_init__(self) -> None:
        check_settings(self)

    @check_arguments
    def __call__(
        self, images: Tensor, labels: Tensor | None = None, *, model: Module | None = None
    ) -> Tensor:
        """See ``Saliency``; needs labels, ``(B,)`` or ``(B, K)``, and the model.

        Raises:
            ValueError: labels or model are missing, the model gives no logits, or no gradient
                reaches the images.
        """
        if model is None or labels is None:
            missing = "model" if model is None else "labels"
            raise ValueError(
                f"InputGradient: {missing} missing; expected the classifier and the labels of the "
                "images. SpectralResidual needs neither."
            )
        check_gradients("InputGradient", images)
        inner = bare(model)
        pixels = as_input(images.detach()).requires_grad_()
        if not labels.is_floating_point():
            labels = labels.long() if labels.ndim == 1 else labels.float()
        quiet = contextlib.nullcontext() if self.train_mode else evaluating(inner)
        with torch.enable_grad(), quiet, hooked():  # a graph of its own would be compiled for it
            output: Any = inner(pixels.clone())  # networks may write into what they get
            several = isinstance(output, tuple | list) and not hasattr(output, "logits")
            # The first of several is good enough for a saliency; a loss would have to be sure.
            found: Any = first_tensor(output) if several else output
            logits = take_logits(found, who="InputGradient", count=len(pixels))
            with torch.autocast(images.device.type, enabled=False):
                # Not the mean: each image's own loss, in float32 and large enough for float16.
                loss = F.cross_entropy(logits.float(), labels, reduction="sum") * 1024.0
            gradient = _gradient(loss, pixels)
        return gradient.float().square().mean(dim=1).sqrt()


def _gradient(loss: Tensor, pixels: Tensor) -> Tensor:
    found = None
    if loss.requires_grad:
        (found,) = torch.autograd.grad(loss, pixels, allow_unused=True)
    if found is None:
        raise ValueError(
            "InputGradient: no gradient of the loss reaches the images; expected a model that can "
            "be differentiated. It detaches, or runs under no_grad inside; choose another saliency "
            "such as SpectralResidual()."
        )
    return found
