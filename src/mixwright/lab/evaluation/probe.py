"""The linear probe: what a frozen network's features are worth on another data set."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from mixwright.arguments import check_number, check_settings, check_whole
from mixwright.lab.data import load_data
from mixwright.lab.data.names import parse_data
from mixwright.lab.data.subset import split_rows
from mixwright.lab.evaluation.subject import Measurement, NotApplicableError, Subject
from mixwright.outputs import take_logits
from mixwright.taps import classifier, entering, evaluating

if TYPE_CHECKING:
    from mixwright.lab.data import Dataset, ImageSet, LazyImages

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
"""Strengths of regularisation that are tried, from weak to strong."""

ITERATIONS = 1000
"""Most iterations of L-BFGS."""

_TOLERANCE = 1e-5  # largest entry of the gradient at the end


@dataclass(frozen=True, eq=False)
class Readout:
    """A linear classifier of features.

    Attributes:
        weight: ``(D, K)`` float64, for standardised features.
        bias: ``(K,)`` float64.
        mean: ``(D,)`` float64, of the features it was fitted to.
        std: ``(D,)`` float64; 1 for a feature that never changed.
        converged: whether the optimiser reached its tolerance.
        iterations: that it took.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor
    converged: bool
    iterations: int

    def __call__(self, features: Tensor) -> Tensor:
        """Logits ``(n, K)`` float64 of features ``(n, D)``."""
        return (features.double() - self.mean) / self.std @ self.weight + self.bias


def fit_readout(features: Tensor, labels: Tensor, *, classes: int, strength: float) -> Readout:
    """Fit a multinomial logistic regression, the same one every time.

    With standardised features x ``(n, D)`` it minimises

        mean_i -log softmax(x_i W + b)[y_i]  +  strength / 2 * ||W||^2

    from W = 0, b = 0 by L-BFGS in float64. The problem is convex and nothing is drawn, so neither
    seed nor learning rate nor early stopping stands between features and score.

    Example:
        >>> x = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]])
        >>> readout = fit_readout(x, torch.tensor([0, 0, 1, 1]), classes=2, strength=0.01)
        >>> readout(x).argmax(dim=1).tolist()
        [0, 0, 1, 1]

    Source: Kornblith et al. 2019, arXiv:1805.08974 (protocol: L-BFGS, strength chosen on held-out
    training images).
    """
    import numpy as np
    from scipy.optimize import minimize

    check_number("fit_readout", "strength", strength, open_low=True)
    if features.ndim != 2 or labels.shape != features.shape[:1] or not len(features):
        raise ValueError(
            f"fit_readout: features have shape {tuple(features.shape)} and labels "
            f"{tuple(labels.shape)}; expected (n, D) and (n,) with n at least 1."
        )
    if not bool(features.isfinite().all()):
        raise ValueError("fit_readout: some features are not finite; expected numbers.")
    values = features.double()
    mean = values.mean(dim=0)
    spread = values.std(dim=0, correction=0)
    # A feature that rounding alone moves is left as it is: dividing by its spread would make it
    # the largest of all.
    std = torch.where(spread > 1e-12 * mean.abs().clamp_min(1), spread, 1.0)
    x = ((values - mean) / std).numpy()
    count, width = x.shape
    wanted = np.zeros((count, classes))
    wanted[np.arange(count), labels.numpy()] = 1

    def loss(flat: Any) -> tuple[float, Any]:
        weight, bias = flat[:-classes].reshape(width, classes), flat[-classes:]
        logits = x @ weight + bias
        logits -= logits.max(axis=1, keepdims=True)
        share = np.exp(logits)
        total = share.sum(axis=1, keepdims=True)
        surprise = (np.log(total)[:, 0] - (logits * wanted).sum(axis=1)).mean()
        off = (share / total - wanted) / count
        slope = np.concatenate([(x.T @ off + strength * weight).ravel(), off.sum(axis=0)])
        return surprise + strength / 2 * float((weight**2).sum()), slope

    # It stops by the gradient alone: with ftol it would stop early on a flat loss, in a place that
    # depends on the machine.
    found: Any = minimize(
        loss,
        np.zeros(width * classes + classes),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": ITERATIONS, "gtol": _TOLERANCE, "ftol": 0.0, "maxfun": 10 * ITERATIONS},
    )
    flat = torch.from_numpy(found.x)
    steepest = float(np.abs(loss(found.x)[1]).max())
    return Readout(
        weight=flat[:-classes].view(width, classes),
        bias=flat[-classes:],
        mean=mean,
        std=std,
        converged=steepest <= 10 * _TOLERANCE,
        iterations=int(found.nit),
    )


def choose_strength(
    features: Tensor,
    labels: Tensor,
    *,
    classes: int,
    strengths: Sequence[float] = STRENGTHS,
) -> tuple[float, list[float]]:
    """Choose the strength of regularisation on held-out training images; return the scores too.

    A fifth of each class, always the same rows, is held out; the strength that is right most
    often there wins, of equal ones the strongest. Test images are not looked at.
    """
    train, held = split_rows(labels)
    if not len(held):
        raise ValueError(
            "choose_strength: every class has a single image; expected two of some class, so that "
            "one can be held out. Give the strength."
        )
    scores: list[float] = []
    for strength in strengths:
        readout = fit_readout(features[train], labels[train], classes=classes, strength=strength)
        guesses = readout(features[held]).argmax(dim=1)
        scores.append(float((guesses == labels[held]).double().mean()))
    best = max(range(len(strengths)), key=lambda place: (scores[place], strengths[place]))
    return strengths[best], scores


def penultimate(subject: Subject, images: ImageSet | LazyImages) -> Tensor:
    """Return what enters the last Linear layer, for every image: ``(M, D)`` float32 on the CPU.

    The model is run in evaluation mode and put back; nothing of it changes.
    """
    model, autocast, every = subject.model, subject.autocast, list[Tensor]()
    with evaluating(model), torch.inference_mode():
        for pixels, _ in subject.shown(images):
            try:
                last = classifier(model, pixels)
            except ValueError as error:
                raise NotApplicableError(f"probe: {error}") from error
            kind = pixels.device.type
            lower = torch.autocast(kind, dtype=autocast) if autocast else nullcontext()
            with entering(model, last) as tap, lower:
                logits = take_logits(model(pixels), who="probe", count=len(pixels))
            if tap.value.ndim != 2 or logits.shape != (len(pixels), last.out_features):
                raise NotApplicableError(
                    f"probe: the last Linear layer takes {tuple(tap.value.shape)} and gives "
                    f"{last.out_features} values, the model {tuple(logits.shape)}; expected a "
                    "model whose last Linear makes its logits from (B, D)."
                )
            every.append(tap.value.float().cpu())
    features = torch.cat(every)
    broken = int((~features.isfinite()).any(dim=1).sum())
    if broken:
        raise ValueError(
            f"probe: the features of {broken:,} of {len(features):,} images are not finite; "
            "expected numbers. The model's weights are broken."
        )
    return features


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Accuracy of a linear classifier on frozen features, on a data set of one's choice.

    Args:
        data: name of the data set, as ``load_data`` takes it; its images are brought to the size
            that the model takes. With the set that a model was trained on it asks how linear the
            last layer already was.
        data_dir: where its files lie; empty for the usual place.
        train_size: images that the classifier learns from, evenly by class; 0 for the set's
            default.
        strength: of regularisation; 0 to choose it on held-out training images.
    """

    data: str = "digits"
    data_dir: str = ""
    train_size: int = 0
    strength: float = 0.0

    name: ClassVar[str] = "probe"
    about: ClassVar[str] = "a linear classifier on frozen features, on another data set (data=NAME)"
    pictures: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        parse_data(self.data)  # refuses a name that does not exist before hours of other work
        check_whole("Probe", "train_size", self.train_size, low=0)
        check_number("Probe", "strength", self.strength)

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        data = _loaded(self.data, self.data_dir, self.train_size, subject.data.image_size)
        if data.channels != subject.data.channels:
            raise NotApplicableError(
                f"probe: {self.data} has {data.channels} channels, the model takes "
                f"{subject.data.channels}; expected the same."
            )
        features = list[Tensor]()
        for place, (part, images) in enumerate((("train", data.train), ("test", data.test))):
            subject.progress(0.4 * place, f"features of {self.data}, {part}")
            kept = subject.cache.get_or_compute(
                part, lambda images=images: {"features": penultimate(subject, images)}
            )
            features.append(kept["features"])
        train, test = features
        subject.progress(0.8, "linear classifier")
        train_labels, test_labels, classes = data.train.labels, data.test.labels, data.num_classes
        strength, scores = self.strength, None
        if not strength:
            strength, scores = choose_strength(train, train_labels, classes=classes)
        readout = fit_readout(train, train_labels, classes=classes, strength=strength)
        correct = readout(test).argmax(dim=1) == test_labels
        learned = readout(train).argmax(dim=1) == train_labels
        most = test_labels.bincount().max()
        summary: dict[str, Any] = {
            "data": self.data,
            "note": data.note,
            "classes": classes,
            "train_images": len(train_labels),
            "images": len(test_labels),
            "width": train.shape[1],
            "top1": float(correct.double().mean()),
            "train_top1": float(learned.double().mean()),
            "chance": 1 / classes,
            "largest_class": float(most) / len(test_labels),
            "strength": strength,
            "strengths": list(STRENGTHS) if scores else None,
            "held_out": scores,
            "converged": readout.converged,
            "iterations": readout.iterations,
        }
        return Measurement(summary=summary, arrays={"correct": correct, "labels": test_labels})


@functools.lru_cache(maxsize=1)
def _loaded(name: str, data_dir: str, train_size: int, image_size: int) -> Dataset:
    """The data set, kept for the next model: all of a comparison are probed on the same images."""
    return load_data(
        name, data_dir=data_dir or None, train_size=train_size or None, image_size=image_size
    )
