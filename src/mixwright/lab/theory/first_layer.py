"""What mixing asks of the first layer: a quadratic form in its weights, made of second moments.

The first layer is affine in the image, ``z = W x + c``, so a mixed image moves its output by ``W
d`` and everything behind it sees nothing else. With gradients ``g_k`` of the logits in z the
gradient-product term becomes

    R2 = (1/2) sum_kl (diag(p) - p p')_kl  g_k' W (A * S) W' g_l,

with ``A * S`` the entrywise product of the masks' second moments and those of the differences
between images. MixUp, whose A is constant, shrinks all filters in proportion to what they see;
masks with borders press more on filters that see differences between neighbours.
"""

from __future__ import annotations

import collections.abc
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mixwright.lab.evaluation.subject import Measurement
from mixwright.lab.theory.moments import gram
from mixwright.lab.theory.plans import draw_plans
from mixwright.mixers import Mixer
from mixwright.outputs import take_logits
from mixwright.sampling import Stream, stream
from mixwright.taps import check_gradients, evaluating, hooked

_Call = tuple[nn.Module, Tensor, Tensor]  # a layer, its input and its output
_PIXELS = 1024  # of larger images there are too many pairs of pixels to count
_IMAGES, _PARTNERS = 100, 8  # that R2 is taken over


def first_layer(model: nn.Module, images: Tensor) -> nn.Conv2d | nn.Linear:
    """Return the convolution or Linear layer that an image meets first; one of ``images`` is run.

    Example:
        >>> first_layer(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), torch.zeros(1, 1, 8, 8))
        Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    # Modules are registered in any order; the calls of one forward tell which comes first.
    with evaluating(model), torch.no_grad(), _recorded(layers) as calls:
        model(images[:1])
    if not calls:
        raise ValueError(
            f"first_layer: {type(model).__name__} calls no Conv2d and no Linear layer; expected a "
            "network that begins with one."
        )
    layer = calls[0][0]
    assert isinstance(layer, nn.Conv2d | nn.Linear)
    return layer


def measure_first_layer(
    mixer: Mixer,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    offsets: Tensor,
    count: int,
) -> Measurement:
    """Measure what a method of two images asks of the filters of a model's first layer.

    ``offsets`` is ``a`` of ``second_moments`` of the method, and ``count`` how many of its masks
    are drawn for R2.

    Returns:
        ``summary`` has ``layer`` in words, ``r2_moments``, R2 from moments alone (None for images
        of more than 1024 pixels), and lists ``coefficient`` and ``roughness``, one value a filter,
        see ``FilterNoise``; ``arrays`` has these two.
    """
    noise = filter_noise(model, images, offsets)
    layer = first_layer(model, images)
    height, width = int(images.shape[2]), int(images.shape[3])
    r2 = None
    if height * width <= _PIXELS:
        drawn = draw_plans(
            mixer,
            images,
            labels,
            count=count,
            generator=stream(0, Stream.FIRST_LAYER_PLANS),
            model=model,
        )
        pairs, _ = gram((batch.plan for batch in drawn), (height, width))
        few = images[:_IMAGES]
        r2 = float(
            first_layer_regulariser(
                model,
                few,
                pairs,
                partners=min(_PARTNERS, len(few) - 1),
                generator=stream(0, Stream.FIRST_LAYER_PARTNERS),
            ).detach()
        )
    kernel = " x ".join(str(side) for side in layer.weight.shape[2:])
    arrays = {"coefficient": noise.coefficient, "roughness": noise.roughness}
    summary: dict[str, Any] = {
        "layer": f"{layer.weight.shape[0]} of {kernel} pixels",
        "r2_moments": r2,
        **{name: values.tolist() for name, values in arrays.items()},
    }
    return Measurement(summary=summary, arrays=arrays)


def first_layer_regulariser(
    model: nn.Module,
    images: Tensor,
    coefficients: Tensor,
    *,
    partners: int = 4,
    generator: Generator,
) -> Tensor:
    """Return R2 of the cross-entropy as a function of the first layer's weights, from moments.

    No plan is drawn: the method enters by its coefficients, the data by differences to random other
    images of the batch. Probabilities and the gradients behind the first layer are held fixed, so
    that what is differentiated is the quadratic form in W.

    Args:
        model: from images to logits; run in evaluation mode, put back after.
        images: ``(B, C, H, W)``, B at least 2.
        coefficients: ``(H * W, H * W)``, ``A`` of ``moments.gram``.
        partners: other images that each image is compared with, from 1 to B - 1; B - 1 are all.
        generator: the CPU generator, which chooses them.

    Returns:
        0-d, the mean over images; its gradient is with respect to the first layer's ``weight``
        alone.

    Raises:
        ValueError: coefficients do not fit the images, or ``partners`` is out of range.

    Source: after Park et al. 2022, arXiv:2208.09913, derived here from their gradient-product term:
    the expectation of ``Decomposition.r2`` where masks do not depend on images.
    """
    count, _, height, width = images.shape
    if coefficients.shape != (height * width, height * width):
        raise ValueError(
            f"first_layer_regulariser: coefficients have shape {tuple(coefficients.shape)}; "
            f"expected ({height * width}, {height * width}), all pairs of pixels of the images."
        )
    if not 1 <= partners < count:
        raise ValueError(
            f"first_layer_regulariser: partners is {partners} for {count} images; expected 1 to "
            f"{count - 1}."
        )
    check_gradients("first_layer_regulariser", images)
    pairs = coefficients.to(images)
    shifts = (torch.randperm(count - 1, generator=generator)[:partners] + 1).tolist()
    with evaluating(model), torch.enable_grad():
        gradients, chances = _gradients(model, images)
        total = images.new_zeros(())
        for shift in shifts:
            change = images.roll(shift, 0) - images
            # diag(p) - p p' is a variance: the mean of squares less the square of the mean.
            moved = torch.einsum("kbchw,bchw->kbhw", gradients, change).flatten(2)
            mean = torch.einsum("bk,kbp->bp", chances, moved)
            each = torch.einsum("kbp,pq,kbq->bk", moved, pairs, moved)
            both = torch.einsum("bp,pq,bq->b", mean, pairs, mean)
            total = total + ((chances * each).sum(dim=1) - both).mean() / 2
    return total / len(shifts)


@dataclass(frozen=True, eq=False)
class FilterNoise:
    """How much of what the filters of the first layer see is mixing; each is ``(F,)`` float64.

    Attributes:
        signal: variance of a filter's output between unmixed images, at one place.
        noise: mean square by which mixing moves that output, weighed by labels.
        roughness: in [0, 1]; 0 for a filter that sums over its window, 1 for differences alone.
    """

    signal: Tensor
    noise: Tensor
    roughness: Tensor

    @property
    def coefficient(self) -> Tensor:
        """``noise / (2 signal)``: the coefficient that the filter feels; MixUp's for every one."""
        return self.noise / (2 * self.signal)


def filter_noise(model: nn.Module, images: Tensor, offsets: Tensor) -> FilterNoise:
    """Return how much of what the first convolution's filters see is mixing.

    Windows that lie in the image are taken; the mean over all places stands for each place, in the
    masks and in the data. ``images`` are ``(M, C, H, W)``, M at least 2, and ``offsets`` is
    ``(2H - 1, 2W - 1)``, ``a`` of ``second_moments``.
    """
    layer = first_layer(model, images)
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or isinstance(layer.padding, str):
        raise ValueError(
            f"filter_noise: the first layer is {layer}; expected a Conv2d without groups whose "
            "padding is given in pixels."
        )
    with evaluating(model), torch.no_grad(), _recorded([layer]) as calls:
        model(images)
    inputs = calls[0][1].cpu()  # the images, normalised where the model does so
    rows, columns = layer.kernel_size
    windows = F.unfold(inputs, (rows, columns), dilation=layer.dilation, stride=layer.stride)
    windows = windows.double() - windows.double().mean(dim=0, keepdim=True)
    scale = (len(windows) - 1) * windows.shape[2]
    covariance = torch.einsum("mip,mjp->ij", windows, windows) / scale
    # between[i, j]: the method's coefficient of pixels i and j of a window, by their offset.
    height, width = inputs.shape[2:]
    y = torch.arange(rows).repeat_interleave(columns) * layer.dilation[0]
    x = torch.arange(columns).repeat(rows) * layer.dilation[1]
    between = offsets.double()[
        y[None, :] - y[:, None] + height - 1, x[None, :] - x[:, None] + width - 1
    ]
    repeated = between.repeat(inputs.shape[1], inputs.shape[1])
    weight = layer.weight.detach().cpu().double().flatten(1)
    # By Cauchy-Schwarz the squared sum is at most the count times the sum of squares, and equal
    # where all weights of a channel are one number.
    sums = layer.weight.detach().cpu().double().sum(dim=(2, 3)).square().sum(dim=1)
    smooth = sums / (rows * columns * weight.square().sum(dim=1))
    return FilterNoise(
        signal=torch.einsum("fi,ij,fj->f", weight, covariance, weight),
        noise=torch.einsum("fi,ij,fj->f", weight, 2 * repeated * covariance, weight),
        roughness=1 - smooth,
    )


def _gradients(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """``(K, B, C, H, W)`` gradients of the logits, linear in W, and ``(B, K)`` probabilities."""
    points = images.detach().requires_grad_()
    with _recorded([first_layer(model, images)]) as calls:
        logits = take_logits(model(points), who="first_layer", count=len(images))
    output = calls[0][2]
    gradients = list[Tensor]()
    # Two steps back: from the logits to the layer's output, held fixed by detach(), and through the
    # layer with a graph. What comes out is linear in W and in nothing else.
    for k in range(logits.shape[1]):
        (behind,) = torch.autograd.grad(logits[:, k].sum(), output, retain_graph=True)
        (before,) = torch.autograd.grad(
            output, points, behind.detach(), retain_graph=True, create_graph=True
        )
        gradients.append(before)
    return torch.stack(gradients), logits.detach().softmax(dim=1)


@contextmanager
def _recorded(layers: Iterable[nn.Module]) -> collections.abc.Generator[list[_Call]]:
    """Keep each call of some layers, in order."""
    calls = list[_Call]()

    def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls.append((layer, inputs[0], output))

    with hooked(*(layer.register_forward_hook(keep) for layer in layers)):
        yield calls
