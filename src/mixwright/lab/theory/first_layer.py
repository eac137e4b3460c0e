"""What mixing asks of the first layer: a quadratic form in its weights, made of second moments.

The first layer is affine in the image, ``z = W x + c``, so a mixed image moves its output by
``W d`` and everything behind it sees nothing else. With gradients ``g_k`` of the logits in z the
gradient-product term becomes

    R2 = (1/2) sum_kl (diag(p) - p p')_kl  g_k' W (A * S) W' g_l,

with ``A * S`` the entrywise product of the masks' second moments and those of the differences
between images. That is a penalty on W: MixUp, whose A is constant, shrinks all filters in
proportion to what they see; masks with borders press more on filters that see differences between
neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mixwright.taps import evaluating


def first_layer(model: nn.Module, images: Tensor) -> nn.Conv2d | nn.Linear:
    """Find the layer of weights that an image meets first.

    Args:
        model: any that begins, perhaps behind a normalisation, with a convolution or a Linear
            layer.
        images: ``(B, C, H, W)``; one is passed through.

    Returns:
        the layer.

    Raises:
        ValueError: the model calls no such layer.

    Example:
        >>> first_layer(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), torch.zeros(1, 1, 8, 8))
        Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
    """
    met = list[nn.Conv2d | nn.Linear]()

    def meet(layer: nn.Module, _inputs: object, _output: object) -> None:
        assert isinstance(layer, nn.Conv2d | nn.Linear)
        met.append(layer)

    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(meet) for layer in layers]
    try:
        with evaluating(model), torch.no_grad():
            model(images[:1])
    finally:
        for hook in hooks:
            hook.remove()
    if not met:
        raise ValueError(
            f"first_layer: {type(model).__name__} calls no Conv2d and no Linear layer; expected a "
            "network that begins with one."
        )
    return met[0]


def first_layer_regulariser(
    model: nn.Module,
    images: Tensor,
    coefficients: Tensor,
    *,
    partners: int = 4,
    generator: Generator,
) -> Tensor:
    """R2 of the cross-entropy as a function of the first layer's weights, from moments alone.

    No plan is drawn: the method enters by its coefficients, the data by differences to random
    other images of the batch. Probabilities and the gradients behind the first layer are held
    fixed, so that what is differentiated is the quadratic form in W.

    Args:
        model: from images to logits; run in evaluation mode, put back after. Batches are not mixed
            by statistics then.
        images: ``(B, C, H, W)``, B at least 2.
        coefficients: ``(H * W, H * W)``, ``A`` of ``moments.gram``.
        partners: other images that each image is compared with, from 1 to B - 1; B - 1 are all.
        generator: the CPU generator, which chooses them.

    Returns:
        0-d, the mean over images; its gradient is with respect to the first layer's ``weight``
        (and nothing else), where that wants one.

    Raises:
        ValueError: coefficients do not fit the images, or ``partners`` is out of range.

    Source: after Park et al. 2022, arXiv:2208.09913, derived here from their gradient-product
    term: the expectation of ``Decomposition.r2`` where masks do not depend on images.
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
    pairs = coefficients.to(images)
    shifts = (torch.randperm(count - 1, generator=generator)[:partners] + 1).tolist()
    with evaluating(model), torch.enable_grad():
        gradients, chances = _gradients(model, images)
        total = images.new_zeros(())
        for shift in shifts:
            change = images.roll(shift, 0) - images
            seen = torch.einsum("kbchw,bchw->kbhw", gradients, change).flatten(2)
            mean = torch.einsum("bk,kbp->bp", chances, seen)
            each = torch.einsum("kbp,pq,kbq->bk", seen, pairs, seen)
            both = torch.einsum("bp,pq,bq->b", mean, pairs, mean)
            total = total + ((chances * each).sum(dim=1) - both).mean() / 2
    return total / len(shifts)


@dataclass(frozen=True, eq=False)
class FilterNoise:
    """How much of what the filters of the first layer see is mixing.

    Attributes:
        signal: ``(F,)``, variance of a filter's output between unmixed images, at one place.
        noise: ``(F,)``, mean square by which mixing moves that output, weighed by labels.
        roughness: ``(F,)`` in [0, 1]: 0 for a filter that takes sums over its window, 1 for one
            that takes differences only.
    """

    signal: Tensor
    noise: Tensor
    roughness: Tensor

    @property
    def coefficient(self) -> Tensor:
        """``noise / (2 signal)``: the coefficient that the filter feels; MixUp's for every one."""
        return self.noise / (2 * self.signal)


def filter_noise(model: nn.Module, images: Tensor, offsets: Tensor) -> FilterNoise:
    """Judge the first convolution's filters by the data and a method's offset map.

    Windows that lie in the image are taken; the mean over all places stands for each place, in
    the masks and in the data.

    Args:
        model: one whose first layer is a convolution without groups.
        images: ``(M, C, H, W)``, M at least 2, as the model takes them.
        offsets: ``(2H - 1, 2W - 1)``, ``a`` of ``second_moments``.

    Returns:
        numbers of each of the F filters, float64.

    Raises:
        ValueError: the first layer is no such convolution.
    """
    layer = first_layer(model, images)
    if not isinstance(layer, nn.Conv2d) or layer.groups != 1 or isinstance(layer.padding, str):
        raise ValueError(
            f"filter_noise: the first layer is {layer}; expected a Conv2d without groups whose "
            "padding is given in pixels."
        )
    inputs = _inputs(model, layer, images)
    rows, columns = layer.kernel_size
    windows = F.unfold(inputs, (rows, columns), dilation=layer.dilation, stride=layer.stride)
    windows = windows.double() - windows.double().mean(dim=0, keepdim=True)
    scale = (len(windows) - 1) * windows.shape[2]
    covariance = torch.einsum("mip,mjp->ij", windows, windows) / scale
    height, width = inputs.shape[2:]
    y = torch.arange(rows).repeat_interleave(columns) * layer.dilation[0]
    x = torch.arange(columns).repeat(rows) * layer.dilation[1]
    between = offsets.double()[
        y[None, :] - y[:, None] + height - 1, x[None, :] - x[:, None] + width - 1
    ]
    repeated = between.repeat(inputs.shape[1], inputs.shape[1])
    weight = layer.weight.detach().cpu().double().flatten(1)
    sums = layer.weight.detach().cpu().double().sum(dim=(2, 3)).square().sum(dim=1)
    smooth = sums / (rows * columns * weight.square().sum(dim=1))
    return FilterNoise(
        signal=torch.einsum("fi,ij,fj->f", weight, covariance, weight),
        noise=torch.einsum("fi,ij,fj->f", weight, 2 * repeated * covariance, weight),
        roughness=1 - smooth,
    )


def _gradients(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """``(K, B, C, H, W)`` gradients of the logits, linear in W, and ``(B, K)`` probabilities."""
    layer = first_layer(model, images)
    kept = list[Tensor]()

    def keep(_layer: nn.Module, _inputs: object, output: Tensor) -> None:
        kept.append(output)

    hook = layer.register_forward_hook(keep)
    points = images.detach().requires_grad_()
    try:
        logits: Tensor = model(points)
    finally:
        hook.remove()
    seen = kept[0]
    gradients = list[Tensor]()
    for k in range(logits.shape[1]):
        (behind,) = torch.autograd.grad(logits[:, k].sum(), seen, retain_graph=True)
        (before,) = torch.autograd.grad(
            seen, points, behind.detach(), retain_graph=True, create_graph=True
        )
        gradients.append(before)
    return torch.stack(gradients), logits.detach().softmax(dim=1)


def _inputs(model: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """What the first layer is given: the images, normalised where the model does so."""
    kept = list[Tensor]()

    def keep(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        kept.append(inputs[0])

    hook = layer.register_forward_pre_hook(keep)
    try:
        with evaluating(model), torch.no_grad():
            model(images)
    finally:
        hook.remove()
    return kept[0].cpu()
