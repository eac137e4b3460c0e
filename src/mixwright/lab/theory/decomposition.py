"""What the mixed loss adds to the plain one: a Taylor expansion around every source image.

A mixed image is ``x_n + d_n`` for each of its sources n. Along ``d_n`` the logits move by the
first derivative ``u`` and bend by the second derivative ``v``, and the loss of label n is, with g
and H its gradient and Hessian in the logits,

    loss(x_n + d_n) = loss(x_n) + g'u + (1/2) u'Hu + (1/2) g'v + remainder.

Weighed by the labels and averaged, the three terms are R1 (first order), R2 (products of input
gradients) and R3 (input Hessians).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mixwright.lab.evaluation.predictions import check_logits
from mixwright.lab.theory.plans import PlannedBatch
from mixwright.objectives.criteria import Criterion, CrossEntropy
from mixwright.outputs import take_logits
from mixwright.taps import evaluating

_Function = Callable[[Tensor], Tensor]

STEPS = (0.1, 0.25, 0.5, 0.75)
"""Where the loss is followed on the way from a source to the mixed image, which is at 1."""

_TERMS = ("plain", "mixed", "labels", "r1", "r2", "r3")


class Estimate(NamedTuple):
    """A mean over batches and its standard error, NaN for one batch."""

    mean: float
    error: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Decomposition:
    """``mixed = plain + labels + r1 + r2 + r3 + remainder``, in nats for the cross-entropy.

    Attributes:
        plain: loss of the images as they are.
        mixed: loss of the mixed images.
        labels: loss of the unmixed sources, weighed as their labels are, less ``plain``: which
            images count how much. Its expectation is 0 where weights sum to 1 and do not look at
            the images.
        r1: first-order term.
        r2: gradient-product term.
        r3: Hessian term; exactly 0 for networks that are piecewise linear in their input, such as
            those of ReLU, whose kinks are in the remainder.
        remainder: what is left, exactly.
        path: for each share t of the way to the mixed image the loss there, as pairs (t, loss).
        batches: that means and errors are over.
        images: sources that were expanded around.
    """

    plain: Estimate
    mixed: Estimate
    labels: Estimate
    r1: Estimate
    r2: Estimate
    r3: Estimate
    remainder: Estimate
    path: tuple[tuple[float, Estimate], ...]
    batches: int
    images: int

    @property
    def added(self) -> float:
        """What mixing adds to the loss, ``mixed - plain``."""
        return self.mixed.mean - self.plain.mean

    @property
    def explained(self) -> float:
        """Part of ``added`` that labels, R1, R2 and R3 make up; NaN where nothing is added."""
        terms = self.labels.mean + self.r1.mean + self.r2.mean + self.r3.mean
        return terms / self.added if self.added else float("nan")

    def summary(self) -> dict[str, Any]:
        """Plain values for JSON."""
        names = (*_TERMS, "remainder")
        estimates: dict[str, Estimate] = {name: getattr(self, name) for name in names}
        return {
            **{name: estimate.mean for name, estimate in estimates.items()},
            **{f"{name}_error": estimate.error for name, estimate in estimates.items()},
            "added": self.added,
            "explained": self.explained,
            "path": [[share, loss.mean, loss.error] for share, loss in self.path],
            "batches": self.batches,
            "images": self.images,
        }


def decompose(
    model: nn.Module,
    drawn: Iterable[PlannedBatch],
    *,
    criterion: Criterion | None = None,
    steps: Sequence[float] = STEPS,
) -> Decomposition:
    """Split what mixing adds to the loss of a model into R1, R2, R3 and the remainder.

    What is expanded: for each source with a label weight, the loss of its label, around its image
    as it is in the batch, along the way to the mixed image that was really drawn (where a method
    warps a source, the warp is part of that way). All terms are taken on the same plans, so the
    remainder is that of Taylor, not of sampling. Derivatives are two nested Jacobian-vector
    products, four times a forward; no Hessian is made.

    Args:
        model: from images to logits ``(B, K)``; run in evaluation mode, so that batches do not
            mix by their statistics, and put back after.
        drawn: batches with their plans, as ``draw_plans`` gives them.
        criterion: from logits and labels ``(B,)`` to losses ``(B,)``, twice differentiable in the
            logits; the cross-entropy by default.
        steps: shares of the way, in (0, 1), at which the loss is followed too.

    Returns:
        means and standard errors over batches.

    Raises:
        ValueError: there are no batches, or logits are not finite.

    Example:
        >>> from mixwright.mixers import MixUp
        >>> from mixwright.lab.theory.plans import draw_plans
        >>> rng = torch.Generator().manual_seed(0)
        >>> images, labels = torch.rand(8, 1, 2, 2, generator=rng), torch.arange(8) % 3
        >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        >>> found = decompose(net, draw_plans(MixUp(), images, labels, count=8, generator=rng))
        >>> found.r3.mean  # a linear model bends nowhere
        0.0

    Source: Park et al. 2022, arXiv:2208.09913, after Zhang et al. 2021, arXiv:2010.04819.

    Departs from the theorem: it states the expansion around one image of a pair with ``lam`` from
    the tilted law, takes the partner for independent of the image, has means of masks equal to
    ``lam`` at each pixel, and says of the remainder only that it vanishes faster than the mask as
    ``lam`` goes to 1. Here both images of the drawn pair are expanded around with the weights of
    their labels, which has the same expectation where the theorem's assumptions hold, needs none
    of them, and shows the remainder at the ``lam`` that training uses.
    """
    loss = CrossEntropy() if criterion is None else criterion
    rows, paths, images = list[Tensor](), list[Tensor](), 0

    def logits_of(images: Tensor) -> Tensor:
        return take_logits(model(images), who="decompose", count=len(images))

    with evaluating(model), torch.no_grad():
        for batch in drawn:
            row, path, count = _expanded(logits_of, batch, loss, steps)
            rows.append(row)
            paths.append(path)
            images += count
    if not rows:
        raise ValueError("decompose: no batches at all; expected at least one.")
    terms = torch.stack(rows)
    means = dict(zip(_TERMS, map(_estimate, terms.unbind(dim=1)), strict=True))
    # Remainders are taken batch by batch, for what the terms of one batch share cancels there.
    remainder = _estimate(terms[:, 1] - terms[:, 0] - terms[:, 2:].sum(dim=1))
    followed = [_estimate(values) for values in torch.stack(paths).unbind(dim=1)]
    start = _estimate(terms[:, 0] + terms[:, 2])
    shares = (0.0, *(float(step) for step in steps), 1.0)
    return Decomposition(
        **means,
        remainder=remainder,
        path=tuple(zip(shares, (start, *followed, means["mixed"]), strict=True)),
        batches=len(rows),
        images=images,
    )


def derivatives_along(
    function: Callable[[Tensor], Tensor], point: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``f(x + t d)`` and its two derivatives in t at 0, by nested forward modes.

    The function is twice differentiable, with one output tensor.

    Example:
        >>> derivatives_along(lambda x: x**3, torch.tensor(2.0), torch.tensor(1.0))
        (tensor(8.), tensor(12.), tensor(12.))
    """

    # The inner product gives (f, f'd); the outer one differentiates both along d again, which
    # gives (f'd, d'f''d): the second derivative costs four forwards, and no Hessian is made.
    def first(at: Tensor) -> tuple[Tensor, Tensor]:
        value, slope, *_ = torch.func.jvp(function, (at,), (direction,))
        return value, slope

    with _forward_mode():
        (value, slope), (_, curve), *_ = torch.func.jvp(first, (point,), (direction,))
    return value, slope, curve


@contextmanager
def _forward_mode() -> Generator[None]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):  # fused ones have no derivative
        # torch loads parts of its own forward mode by what it calls deprecated.
        warnings.filterwarnings("ignore", r"`torch\.jit\.script` is deprecated")
        yield


def _expanded(
    model: _Function, batch: PlannedBatch, loss: Criterion, steps: Sequence[float]
) -> tuple[Tensor, Tensor, int]:
    """Of one plan: plain, mixed, labels, R1, R2, R3; the loss along the way; sources expanded."""
    images, labels, plan = batch
    mixed = plan.images(images)
    logits = model(mixed)
    check_logits(logits.float(), torch.zeros_like(labels[:1]).expand(len(logits)))
    plain = loss(model(images), labels).double().mean()
    source_labels = plan.labels(labels)
    sums = torch.zeros(5, dtype=torch.float64, device=images.device)
    path = torch.zeros(len(steps), dtype=torch.float64, device=images.device)
    count = 0
    for n in range(plan.index.shape[1]):
        used = ((plan.weight[:, n] != 0) & (plan.index[:, n] >= 0)).nonzero()[:, 0]
        if len(used) == 0:
            continue
        weight, target = plan.weight[used, n].double(), source_labels[used, n]
        source = images[plan.index[used, n]]
        way = mixed[used] - source
        terms = _terms(model, source, way, lambda z, y=target: loss(z, y))
        terms.append(loss(logits[used], target))
        sums += torch.stack([(weight * term.double()).sum() for term in terms])
        for number, t in enumerate(steps):
            path[number] += (weight * loss(model(source + t * way), target).double()).sum()
        count += len(used)
    start, r1, r2, r3, end = (sums / len(plan)).unbind()
    return torch.stack([plain, end, start - plain, r1, r2, r3]).cpu(), path.cpu() / len(plan), count


def _terms(model: _Function, source: Tensor, way: Tensor, loss: _Function) -> list[Tensor]:
    """Loss at the source, and its terms R1, R2 and R3, for each sample."""
    # The chain rule, split where the loss meets the logits: their first derivative u gives g'u and
    # u'Hu, their second derivative v gives g'v.
    logits, u, v = derivatives_along(model, source, way)
    start, first, second = derivatives_along(loss, logits, u)
    bend: Tensor = torch.func.jvp(loss, (logits,), (v,))[1]
    return [start, first, second / 2, bend / 2]


def _estimate(values: Tensor) -> Estimate:
    count = len(values)
    error = float(values.std()) / count**0.5 if count > 1 else float("nan")
    return Estimate(float(values.mean()), error)
