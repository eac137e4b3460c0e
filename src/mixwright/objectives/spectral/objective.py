"""Spectral: images with the amplitudes that the model gets wrong, and the phases they had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_arguments, check_number, check_whole
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import check_batch
from mixwright.objectives.criteria import Criterion, CrossEntropy
from mixwright.objectives.objective import Losses, Objective
from mixwright.objectives.spectral.amplitude import from_spectrum, mirrored, spectrum, whole
from mixwright.objectives.spectral.ascent import ascended, divergence
from mixwright.taps import bare

Mode = Literal["mix", "attack"]
Scale = Literal["sample", "batch"]

_ToImages = Callable[[Tensor], Tensor]
_Moved = Callable[[Tensor, Tensor], Tensor]


class Spectral(Objective):
    """Change the amplitudes of an image against the model; phases and label stay.

    The Fourier amplitudes of an image carry much of its style, its phases most of what it shows.
    With the network in evaluation mode they climb the cross-entropy in ``steps`` steps of one
    size, up or down by the sign of the slope:

    - ``"mix"``: ``lam * own + (1 - lam) * partner``, where the partner is another image of the
      batch and lam, one value for each frequency and image, starts from U(0, 1) and climbs within
      [0, 1]. The loss is that of the result.
    - ``"attack"``: the amplitude of zero frequency is multiplied by 1 + U(0, ``gain``) in each
      channel, then each amplitude climbs by a share of itself. An image that the model gets wrong
      stays as it is. The result is divided by its maximum and made brighter by
      1 + U(0, ``brightness``). The loss is that of the images as they were.

    To either loss ``consistency`` adds how far the predictions for the image and its ``views`` are
    apart: the mean Kullback-Leibler divergence from their mean, in nats.

    Each view costs ``steps`` forward and as many input-backward passes, beside a training pass over
    it, and one more over the images as they were where they take part. That is 4.3 plain steps in
    mode ``"mix"`` with the defaults, 5.3 with ``consistency`` and in mode ``"attack"``, and 14 with
    the three views of the authors.

    Args:
        mode: see above.
        steps: how many, at least 0; 0 leaves amplitudes as they were drawn.
        step: size of a step, above 0: of lam, or as a share of the amplitude.
        views: copies of each image made in a step, at least 1; in mode ``"mix"`` the loss is the
            mean of theirs. The authors have three.
        consistency: weight of the divergence, at least 0, in mode ``"attack"`` above 0; None is 0
            in mode ``"mix"`` and the published 0.025 in mode ``"attack"``.
        sensitivity: ``(H, W)`` at least 0, such as ``sensitivity_map`` gives; frequencies take
            steps of ``1 + sensitivity`` times the size. None is 0 everywhere.
        gain: mode ``"attack"``: see there, at least 0.
        brightness: mode ``"attack"``: see there, at least 0.
        scale: mode ``"attack"``: whose maximum an image is divided by, that of the ``"sample"`` or
            of the ``"batch"``, as the authors' code has it, where images depend on each other.
        criterion: per-sample loss that is learned by, ``(B, K)`` logits and labels to ``(B,)``. The
            steps have the cross-entropy always.

    Raises:
        ValueError: an argument is out of range; in a step, the images are outside [0, 1] or not of
            the map's size.

    Example:
        >>> objective = Spectral(steps=2)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
        >>> batch = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape, losses.logits.shape
        (torch.Size([]), torch.Size([4, 5]))

    Source: mode ``"attack"`` is SADA, Zhang et al., "When Neural Networks Fail to Generalize? A
    Model Sensitivity Perspective", AAAI 2023 (DIAL-RPI/Spectral-Adversarial-Data-Augmentation:
    sada.py, train_test.py). Mode ``"mix"`` is ours, after the idea of SAMix, Zhang et al.,
    "Spectral Adversarial MixUp for Few-Shot Unsupervised Domain Adaptation", MICCAI 2023,
    arXiv:2309.01207, whose mixing is not in its public code. There the partner comes from another
    domain, which a plain data set has not; the size of the steps and the start of lam are our
    choice. Published figures of SAMix are not to be expected of it.

    Departs from SADA's code in attacking the images themselves, where it attacks three that AugMix
    has changed before; in leaving out its first epochs, in which AugMix works alone; in
    dividing by the maximum of the sample by default; and in drawing the brightness for each image,
    where one factor holds for the batch. An image that the model gets wrong rests here, as its
    early stopping is meant; the code sets a copy of the gradient to 0, so that all go on until the
    last one is wrong. Without ``sensitivity``, as by default, all frequencies take equal steps; the
    authors measure a map before they train and always use it.
    """

    card = Card(
        title="Spectral",
        paper="after Zhang et al., AAAI 2023 and MICCAI 2023",
        link="https://arxiv.org/abs/2309.01207",
        needs="model",
        cost="six Fourier transforms back, and their gradients",
        forwards=6,
        input_backwards=5,
        note="Amplitudes mixed with another image's by shares that climb the loss; phases and "
        "label stay. The mixing is ours, since the authors' is not public; mode=attack is SADA's.",
        labels="own",
        formula="F = |F| exp(i phase), the Fourier transform of x; lam ~ U(0, 1) for each "
        "frequency\n"
        "lam climbs CE(f(x~), y) by steps of one size, within [0, 1]\n"
        "x~ = inverse transform of (lam |F| + (1 - lam) |F'|) exp(i phase)\n"
        "y~ = y",
        limits="Mode 'mix' is ours after an idea whose code is not public: published figures are "
        "not to be expected. Five backwards more in each step. Where colour or texture is what "
        "tells classes apart, amplitudes carry the label, and changing them is wrong.",
        cites=("zhang2023sensitivity", "zhang2023samix"),
    )

    sensitivity: Tensor | None

    @check_arguments
    def __init__(
        self,
        *,
        mode: Mode = "mix",
        steps: int = 5,
        step: float = 0.08,
        views: int = 1,
        consistency: float | None = None,
        sensitivity: Tensor | None = None,
        gain: float = 4.0,
        brightness: float = 0.6,
        scale: Scale = "sample",
        criterion: Criterion | None = None,
    ) -> None:
        super().__init__()
        check_whole("Spectral", "steps", steps, low=0, high=100_000)
        check_number("Spectral", "step", step, open_low=True)
        check_whole("Spectral", "views", views, low=1, high=100)
        if consistency is None:
            consistency = 0.0 if mode == "mix" else 0.025
        # Without it an attack would be made and nothing learned from it.
        check_number("Spectral", "consistency", consistency, open_low=mode == "attack")
        check_number("Spectral", "gain", gain)
        check_number("Spectral", "brightness", brightness)
        if sensitivity is not None:
            _check_map(sensitivity)
            sensitivity = sensitivity.detach().float().clone()
        self.mode, self.steps, self.step, self.views = mode, steps, step, views
        self.consistency = consistency
        self.gain, self.brightness = gain, brightness
        self.scale: Scale = scale
        self.criterion: Criterion = CrossEntropy() if criterion is None else criterion
        self.register_buffer("sensitivity", sensitivity)

    def needs_partner(self) -> bool:
        """See ``Objective.needs_partner``; amplitudes are mixed in one of the modes."""
        return self.mode == "mix"

    def forward(
        self,
        model: Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: Generator,
        progress: float,
    ) -> Losses:
        """See ``Objective.forward``."""
        del progress
        made = [
            self.attack(model, images, labels, generator=generator).to(images.dtype)
            for _ in range(self.views)
        ]
        clean = self.mode == "attack"
        batches = [images, *made] if clean or self.consistency else made
        logits = [self._logits(model, each) for each in batches]
        learned = logits[:1] if clean else logits[-self.views :]
        losses = [self.criterion(each, labels).mean() for each in learned]
        total = torch.stack(losses).mean()
        terms = {"loss": total.detach()}
        if len(logits) > len(learned):
            apart = self.consistency * divergence(logits).mean()
            total, terms["consistency"] = total + apart, apart.detach()
        return Losses(total, terms, learned[0])

    def attack(
        self, model: Module, images: Tensor, labels: Tensor, *, generator: Generator
    ) -> Tensor:
        """Give images the amplitudes that make them hard for a model.

        Args:
            model: the classifier; its modes, statistics and gradients stay as they are.
            images: ``(B, C, H, W)`` in [0, 1].
            labels: ``(B,)`` int64 or ``(B, K)`` floating.
            generator: CPU generator, the source of all randomness.

        Returns:
            Of the shape of ``images``, float32 in [0, 1], no graph.

        Raises:
            ValueError: shapes do not fit each other or those of the sensitivity, or images are
                outside [0, 1].
        """
        check_batch("Spectral", images, labels, dims=2)
        self.check_unit(images)
        stride = self.step * self._weight(images)
        amplitude, phase = spectrum(images)

        def climb(start: Tensor, to_images: _ToImages, moved: _Moved) -> Tensor:
            end = ascended(
                start,
                model=bare(model),
                labels=labels,
                to_images=lambda value: to_images(value).to(images.dtype),
                moved=moved,
                steps=self.steps,
                until_wrong=self.mode == "attack",
            )
            return to_images(end)

        if self.mode == "mix":
            partner = sampling.partners(len(images), device=images.device, generator=generator)
            shape = (len(images), 1, *amplitude.shape[-2:])
            lam = sampling.uniform(shape, device=images.device, generator=generator)
            to_images = _mixing(amplitude, amplitude[partner], phase, images.shape[-2:])
            return climb(lam, to_images, lambda lam, up: (lam + stride * up).clamp(0, 1))

        shape = (*images.shape[:2], 1, 1)
        first = 1 + self.gain * sampling.uniform(shape, device=images.device, generator=generator)
        shape = (len(images), 1, 1, 1)
        light = 1 + self.brightness * sampling.uniform(
            shape, device=images.device, generator=generator
        )
        amplitude[..., :1, :1] *= first
        to_images = _dividing(phase, images.shape[-2:], self.scale)
        # A stride above 1 would take an amplitude below 0.
        hard = climb(
            amplitude, to_images, lambda value, up: (value * (1 + stride * up)).clamp_min(0)
        )
        return (hard * light).clamp_(0, 1)

    def _weight(self, images: Tensor) -> Tensor | float:
        """Return how much faster each frequency of the half plane moves."""
        if self.sensitivity is None:
            return 1.0
        size = tuple(images.shape[-2:])
        if tuple(self.sensitivity.shape) != size:
            raise ValueError(
                f"Spectral: images have spatial size {size}, the sensitivity is for "
                f"{tuple(self.sensitivity.shape)}; expected the same. Measure it on images of "
                "this size."
            )
        return 1 + self.sensitivity[:, : size[1] // 2 + 1].to(images.device)


def _mixing(own: Tensor, other: Tensor, phase: Tensor, size: Sequence[int]) -> _ToImages:
    """Make images from lam, ``(B, 1, H, W // 2 + 1)``."""

    def to_images(lam: Tensor) -> Tensor:
        amplitude = torch.lerp(other, own, mirrored(lam, size[1]))
        return from_spectrum(amplitude, phase, size).clamp(0, 1)

    return to_images


def _dividing(phase: Tensor, size: Sequence[int], scale: Scale) -> _ToImages:
    """Make images from amplitudes, their maximum 1."""
    dims = (1, 2, 3) if scale == "sample" else (0, 1, 2, 3)

    def to_images(amplitude: Tensor) -> Tensor:
        images = from_spectrum(amplitude, phase, size).abs()
        return images / images.amax(dims, keepdim=True).clamp_min(1e-12)  # black stays black

    return to_images


def _check_map(values: Tensor) -> None:
    shape = tuple(values.shape)
    if values.ndim != 2 or not values.is_floating_point():
        raise ValueError(
            f"Spectral: sensitivity has shape {shape} and dtype {values.dtype}; expected a "
            "floating (H, W), as sensitivity_map gives."
        )
    if not bool((values.isfinite() & (values >= 0)).all()):
        raise ValueError(
            f"Spectral: sensitivity goes from {values.min().item():g} to {values.max().item():g}; "
            "expected finite values, at least 0. Error rates are, as sensitivity_map gives them."
        )
    if not torch.allclose(whole(values[:, : shape[1] // 2 + 1], shape[1]), values):
        raise ValueError(
            "Spectral: sensitivity differs between frequencies (i, j) and (-i, -j); expected the "
            "same, in the order of torch.fft.fft2. If the low frequencies are in its middle, undo "
            "that by torch.fft.ifftshift."
        )
