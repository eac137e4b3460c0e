"""The second moments of one method, measured and checked against its closed form."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mixwright import sampling
from mixwright.lab.evaluation.offset_maps import overlap
from mixwright.lab.evaluation.subject import Measurement
from mixwright.lab.theory.assumption import expected_mask
from mixwright.lab.theory.closed_forms import ClosedForm, closed_form
from mixwright.lab.theory.moments import Moments, second_moments
from mixwright.lab.theory.plans import BATCH, STRATA, Mode, draw_plans, tilted_plans
from mixwright.mixers import Mixer


def measure_moments(
    mixer: Mixer,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    mode: Mode = "exact",
    count: int = 8192,
    batch_size: int = BATCH,
    seed: int = 0,
    model: nn.Module | None = None,
) -> Measurement:
    """Draw plans of a method, take their second moments, and compare with what they must be.

    Args:
        mixer: any; in paper mode one of pairs with a share ``lam``.
        images: ``(M, C, H, W)`` in [0, 1]; methods that do not read pixels may be given zeros.
        labels: ``(M,)`` int64, for methods that read them.
        mode: "exact", plans as in training; "paper", see ``tilted_plans``.
        count: masks, at least 1.
        batch_size: images that are planned at a time.
        seed: of batches and plans.
        model: for methods that look through one.

    Returns:
        ``summary`` and ``arrays`` of ``Moments``, in the summary ``expected_mask``, see
        ``assumption.expected_mask``, and in each ``closed``: in the summary None or a dict with
        ``mean`` and ``a0`` as they must be, and ``deviation``, how far off the map is in standard
        errors, root mean square over all pairs of pixels (about 1 is chance; since offsets depend
        on each other it may well be 2).

    Raises:
        ValueError: see ``draw_plans`` and ``tilted_plans``.

    Example:
        >>> import torch
        >>> from mixwright.mixers import MixUp
        >>> found = measure_moments(MixUp(), torch.zeros(64, 1, 4, 4), count=512)
        >>> found.summary["closed"]["rule"]
        'alpha / (2 (2 alpha + 1))'
    """
    size = int(images.shape[2]), int(images.shape[3])
    generator = sampling.stream(seed, sampling.Stream.MOMENTS)
    if mode == "exact":
        drawn = draw_plans(mixer, images, labels, count=count, generator=generator,
                           batch_size=batch_size, model=model)  # fmt: skip
    else:
        drawn = tilted_plans(mixer, images, labels, count=count, generator=generator, model=model)
    together = 1 if mode == "exact" else STRATA
    moments = second_moments((batch.plan for batch in drawn), size, mode=mode, together=together)
    closed = closed_form(mixer, size, mode=mode)
    summary = moments.summary() | {
        "closed": None if closed is None else _check(moments, closed),
        "expected_mask": expected_mask(mixer),
    }
    arrays = moments.arrays() | ({} if closed is None else {"closed": closed.a})
    return Measurement(summary=summary, arrays=arrays)


def _check(moments: Moments, closed: ClosedForm) -> dict[str, Any]:
    height, width = moments.size
    pairs = overlap(moments.size)
    off, chance = (
        float((pairs * map_.square()).sum()) for map_ in (moments.a - closed.a, moments.a_error)
    )
    return {
        "rule": closed.rule,
        "mean": closed.mean,
        "a0": float(closed.a[height - 1, width - 1]),
        "deviation": (off / chance) ** 0.5 if chance > 0 else None,
    }
