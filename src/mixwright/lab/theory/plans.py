"""Plans as a method draws them in training, and as the tilted law of the analysis draws them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Generator, Tensor, nn

from mixwright import sampling
from mixwright.arguments import check_whole
from mixwright.mixers import AGMix, CutMix, FMix, GMix, GridMix, HMix, Mixer, MixUp
from mixwright.plan import MixPlan

Mode = Literal["exact", "paper"]
"""How second moments are taken, see ``theory.moments``."""

BATCH = 128
"""Plans are drawn for so many images at a time."""

STRATA = 32
"""Groups of plans of ``tilted_plans`` that share out the law of ``lam`` among them."""

_TILTED = (MixUp, CutMix, FMix, GridMix, HMix, GMix, AGMix)  # they draw a mask for a lam of Beta
_GROUP = 4  # masks that share one draw of lam in paper mode
_FINE = 64  # draws of lam for each that is taken


class PlannedBatch(NamedTuple):
    """A batch, images ``(pool, C, H, W)`` and labels ``(pool,)`` int64, and its plan."""

    images: Tensor
    labels: Tensor
    plan: MixPlan


def draw_plans(
    mixer: Mixer,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    count: int,
    generator: Generator,
    batch_size: int = BATCH,
    model: nn.Module | None = None,
) -> Iterator[PlannedBatch]:
    """Draw plans exactly as in training: random batches, one plan a batch.

    Args:
        mixer: any.
        images: ``(M, C, H, W)`` floating, M at least 2; each batch is drawn from them without
            repetition. Methods that do not read pixels may be given zeros.
        labels: ``(M,)`` int64; zeros if they are not given.
        count: outputs to plan, at least 1; rounded up to whole batches.
        generator: the CPU generator, for batches and plans.
        batch_size: images a batch, at least 2; at most M are taken.
        model: for methods that look through one.

    Raises:
        ValueError: a number is out of range.

    Example:
        >>> from mixwright.mixers import MixUp
        >>> rng = torch.Generator().manual_seed(0)
        >>> batches = draw_plans(MixUp(), torch.zeros(8, 3, 4, 4), count=8, generator=rng)
        >>> [batch.plan for batch in batches]
        [MixPlan(B=8, N=2, mask=DenseMask, pool=8, device=cpu)]
    """
    check_whole("draw_plans", "count", count, low=1)
    check_whole("draw_plans", "batch_size", batch_size, low=2)
    labels = _checked_labels("draw_plans", images, labels)
    done = 0
    while done < count:
        rows = torch.randperm(len(images), generator=generator)[:batch_size].to(images.device)
        planned = _planned(mixer, images[rows], labels[rows], generator, model)
        yield planned
        done += len(planned.plan)


def tilted_plans(
    mixer: Mixer,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    count: int,
    generator: Generator,
    model: nn.Module | None = None,
) -> Iterator[PlannedBatch]:
    """Draw plans whose share ``lam`` follows the tilted law Beta(alpha + 1, alpha) of the analysis.

    That law weighs each share by the label it leaves to the sample itself, so that expanding the
    loss around the sample alone stands for expanding it around both images. Groups of 4 masks have
    one ``lam``; every ``STRATA`` groups, one from each stratum of the law, make a sample of it that
    is independent of the others (``second_moments(together=STRATA)``). ``count`` is rounded up to
    whole samples; the other arguments are those of ``draw_plans``.

    Raises:
        ValueError: the method is none of MixUp, CutMix, FMix, GridMix, HMix, GMix and AGMix, or its
            ``lam`` is fixed; or there are fewer than 2 images.

    Source: Park et al. 2022, arXiv:2208.09913.
    """
    law: Any = mixer
    _check_tilt(law)
    labels = _checked_labels("tilted_plans", images, labels)
    for lam in _tilted(float(law.alpha), -(-count // (_GROUP * STRATA)), generator):
        rows = torch.randint(len(images), (_GROUP,), generator=generator).to(images.device)
        yield _planned(replace(law, lam=lam), images[rows], labels[rows], generator, model)


def _checked_labels(name: str, images: Tensor, labels: Tensor | None) -> Tensor:
    if images.ndim != 4 or len(images) < 2:
        raise ValueError(
            f"{name}: images have shape {tuple(images.shape)}; expected (M, C, H, W) with at "
            "least 2 images, since plans mix several."
        )
    if labels is None:
        labels = torch.zeros(len(images), dtype=torch.int64)
    return labels.to(images.device)


def _planned(
    mixer: Mixer, images: Tensor, labels: Tensor, generator: Generator, model: nn.Module | None
) -> PlannedBatch:
    plan = mixer.plan(images, labels, generator=generator, model=model)
    return PlannedBatch(images, labels, plan)


def _tilted(alpha: float, samples: int, generator: Generator) -> list[float]:
    # Stratified sampling. Masks depend on lam strongly, so independent draws of lam would be most
    # of the noise of a measurement. Sorting 64 times as many draws and taking one at random of each
    # run of 64 gives one draw of every stratum of the law, in order, whatever the law is: no
    # quantile function is needed, and each draw by itself still follows the law.
    law = torch.tensor([[alpha + 1, alpha]]).expand(samples * STRATA * _FINE, 2)
    draws = sampling.dirichlet(law, generator=generator)[:, 0].clamp(0, 1)
    runs = draws.view(samples, -1).sort(dim=1).values.view(-1, _FINE)
    chosen = torch.randint(_FINE, (len(runs), 1), generator=generator)
    return runs.gather(1, chosen)[:, 0].tolist()


def _check_tilt(mixer: Any) -> None:
    why = ""
    if not isinstance(mixer, _TILTED):
        known = ", ".join(kind.__name__ for kind in _TILTED)
        why = f"of its masks no such law is known (of {known} it is)"
    elif mixer.lam is not None:
        why = f"its lam is fixed at {mixer.lam:g}"
    elif isinstance(mixer, CutMix) and mixer.minmax is not None:
        why = "its boxes are drawn by minmax and not by lam"
    if why:
        raise ValueError(
            f"{type(mixer).__name__}: paper mode draws lam from the tilted law of Beta(alpha, "
            f"alpha), and {why}. Use exact mode, which takes plans as they are."
        )
