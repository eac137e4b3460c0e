"""The evaluation ``gradients``: which pairs of pixels a classifier reacts to, and how strongly."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from mixwright.arguments import check_settings, check_whole
from mixwright.lab.data.chunks import images_in
from mixwright.lab.evaluation.gradients.offsets import (
    MeanMaps,
    near_and_far,
    offset_maxima,
    offset_means,
    pixel_sizes,
    pooled,
)
from mixwright.lab.evaluation.gradients.pixel_gradient import (
    every_gradient,
    gradient_norms,
    hessian_trace,
    pixel_gradient,
    value_of,
)
from mixwright.lab.evaluation.offset_maps import offset_distance, profile
from mixwright.lab.evaluation.subject import Measurement, Subject
from mixwright.sampling import Stream, stream

_MEBIBYTES = 64  # of gradients at a time


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """Differentiate a classifier by the pixels, and look at products of two pixels' gradients.

    For each offset between two pixels: the largest product over all images and places, its 99 %
    quantile over images, and the mean over places and images, each image brought to one scale.
    Beside them the norms of the gradient, and the trace of the loss's second derivative.

    Args:
        of: what is differentiated: ``true``, the logit of the right class; ``predicted``, the
            largest logit; ``loss``, the cross-entropy; ``norm``, all logits, whose sizes are
            joined by the Euclidean norm, at the price of one backward pass a class.
        colour: how channels are joined, ``l2`` or ``linf``; see ``pixel_sizes``.
        count: so many test images, classes in turn; 0 for all.
        probes: random signs for the trace, always of the cross-entropy; 0 leaves it out.
        traced: images whose trace is estimated, the first ones; 0 for all that are looked at.
    """

    of: Literal["true", "predicted", "loss", "norm"] = "true"
    colour: Literal["l2", "linf"] = "l2"
    count: int = 2000
    probes: int = 8
    traced: int = 500

    name: ClassVar[str] = "gradients"
    about: ClassVar[str] = "which pairs of pixels the model reacts to, by offset, and curvature"
    pictures: ClassVar[tuple[str, ...]] = ()  # maps are averaged over runs by the analysis

    def __post_init__(self) -> None:
        check_settings(self)
        for argument in ("count", "probes", "traced"):
            check_whole("Gradients", argument, getattr(self, argument), low=0)

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        count = subject.count(self.count)
        traced = min(self.traced or count, count) if self.probes else 0
        measure = functools.partial(self._measure_batch, subject, traced)
        names = [field.name for field in fields(MeanMaps)]
        rows: dict[str, list[Tensor]] = {"sizes": [], "l1": [], "l2": [], "trace": []}
        means: MeanMaps | None = None
        for done, piece in subject.cached_batches(count, "images", measure):
            for name, column in rows.items():
                column.append(piece[name])
            more = MeanMaps(**{name: piece[name] for name in names})
            means = more if means is None else means + more
            subject.progress(0.9 * done / count, f"{done:,} of {count:,} images")
        assert means is not None
        sizes, l1, l2, trace = map(torch.cat, rows.values())
        maxima = offset_maxima(sizes, lambda share: subject.progress(0.9 + 0.1 * share, "offsets"))
        size = tuple(subject.data.test.shape[1:])
        reach, inner = near_and_far(*size), near_and_far(*sizes.shape[1:])
        summary: dict[str, Any] = {
            "count": count,
            "of": self.of,
            "colour": self.colour,
            "size": list(size),
            "size_of_maxima": list(sizes.shape[1:]),
            "near": reach[0],
            "far": reach[1],
            "near_far": _ratio(means.near[means.used], means.far[means.used]),
            "near_far_highest": _near_far(maxima.highest, inner),
            "near_far_q99": _near_far(maxima.q99, inner),
            "highest_at_0": float(maxima.highest.max()),
            "l1": float(l1.mean()),
            "l2": float(l2.mean()),
            "trace": float(trace.mean()) if traced else None,
            "traced": traced,
            "probes": self.probes,
            "no_gradient": float((~means.used).double().mean()),
            "profile_mean": profile(means.mean).tolist(),
            "profile_highest": _scaled(profile(maxima.highest), maxima.highest).tolist(),
            "profile_q99": _scaled(profile(maxima.q99), maxima.q99).tolist(),
            "profile_signed": _scaled(profile(means.signed), means.signed).tolist(),
            "batch_size": subject.batch_size,
            "seed": subject.seed,
        }
        arrays = {
            "mean": means.mean,
            "signed": means.signed,
            "highest": maxima.highest,
            "q99": maxima.q99,
            "profiles": means.profiles,
            "near": means.near,
            "far": means.far,
            "used": means.used,
            "l1": l1,
            "l2": l2,
            "trace": trace,
            "ids": subject.ids[subject.rows(count)],
        }
        return Measurement(summary=summary, arrays=arrays)

    def _measure_batch(
        self, subject: Subject, traced: int, images: Tensor, labels: Tensor, first: int
    ) -> dict[str, Tensor]:
        """All that is needed of the batch whose first image is the ``first``-th."""
        # All K gradients of an image are held at once where their norm is asked for.
        each = (subject.data.num_classes, *images.shape[1:])
        most = images_in(_MEBIBYTES, each, each=4) if self.of == "norm" else len(images)
        parts = zip(images.split(most), labels.split(most), strict=True)
        found = [self._measure_gradient(self._gradient(subject.model, *part)) for part in parts]
        means = functools.reduce(operator.add, [means for means, _ in found])
        rows = {name: torch.cat([part[name] for _, part in found]) for name in found[0][1]}
        trace = rows["l1"].new_zeros(0)
        if (left := traced - first) > 0:
            trace = hessian_trace(
                subject.model,
                images[:left],
                value_of("loss", labels[:left]),
                probes=self.probes,
                generator=stream(subject.seed, Stream.GRADIENTS, first),
            )
        of_means = {field.name: getattr(means, field.name) for field in fields(MeanMaps)}
        every = of_means | rows | {"trace": trace}
        return {name: values.cpu() for name, values in every.items()}

    def _measure_gradient(self, gradient: Tensor) -> tuple[MeanMaps, dict[str, Tensor]]:
        l1, l2 = gradient_norms(gradient)
        sizes = pooled(pixel_sizes(gradient, self.colour))
        return offset_means(gradient, self.colour), {"sizes": sizes, "l1": l1, "l2": l2}

    def _gradient(self, model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        if self.of == "norm":
            return every_gradient(model, images)[0]
        return pixel_gradient(model, images, value_of(self.of, labels))[0]


def _ratio(near: Tensor, far: Tensor) -> float | None:
    """Mean of near products over mean of far ones; None where there are no far ones."""
    below = float(far.mean()) if len(far) else 0.0
    return float(near.mean()) / below if below > 0 else None


def _near_far(values: Tensor, reach: tuple[int, int]) -> float | None:
    height, width = ((side + 1) // 2 for side in values.shape)
    length = offset_distance((height, width))
    return _ratio(values[length <= reach[0]], values[length >= reach[1]])


def _scaled(lengths: Tensor, values: Tensor) -> Tensor:
    """A profile in units of the map's largest value, mostly its middle."""
    top = values.max()
    return lengths / top if top > 0 else lengths
