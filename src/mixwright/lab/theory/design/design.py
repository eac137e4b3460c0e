"""From a wanted map of second moments to a mixer that has it, as nearly as one can.

What is attainable. A mask M with mean ``lam`` has at offset p the coefficient

    a(p) = budget + (E[M_j M_k] - E[lam^2]),    budget = E[lam (1 - lam)],

so that its mean over all pairs of pixels is the budget, whatever the method: a design shares it
out. On the diagonal it is 2 budgets for masks of 0 and 1, one budget for MixUp, and nothing else
lies outside. What is left, the likeness of pixels, must be positive semidefinite over the image
and cannot fall below ``-0.5`` budgets (alpha 1), which is where two pixels are opposites.

How. ``M = lam + depth * (B - lam)`` with B of 0 and 1 turns the excess of B's map over the budget
down by ``depth^2``, exactly: between MixUp (0) and regions (1). B keeps the highest pixels of a
stationary Gaussian field. Its likeness is a rising function of the field's correlation, known in
closed form (``law``), which is inverted offset by offset and projected onto what a field can have
(``spectrum``). The count of kept pixels is exact in every image: were the field cut at the level
that is right on average, the label would follow the mask's mean away from ``lam``, and the budget
would shrink by its variance, for large regions to nothing. The exact count makes pixels a little
less alike than the closed form says; a few rounds of measuring and asking for more make up for it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from mixwright.arguments import check_number, check_whole
from mixwright.lab.evaluation.offset_maps import profile
from mixwright.lab.theory.closed_forms import mixup_coefficient
from mixwright.lab.theory.design.kernels import Kernel
from mixwright.lab.theory.design.law import correlation, likeness, likeness_range
from mixwright.lab.theory.design.spectrum import nearest_spectrum, pair_shares, spectrum_correlation
from mixwright.lab.theory.moments import Moments, second_moments
from mixwright.lab.theory.plans import draw_plans
from mixwright.mixers.fieldmix import Design, FieldMix
from mixwright.mixers.mixer import Mixer
from mixwright.sampling import Stream, stream

_LEAST = 1e-6  # smaller excesses count as none
_NEARLY = 1.05  # borders are as sharp as they can be without losing more than this
SOFTNESSES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
"""Widths of borders that are tried."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Designed:
    """A mixer, and how near it came to what was wanted.

    Maps are ``(2H - 1, 2W - 1)`` float64 over offsets, offset 0 in the middle.

    Args:
        wanted: the map that was asked for.
        attainable: what the closed form promises of the nearest field.
        achieved: measured on ``masks`` masks that the design has not seen, with standard ``error``.
        budget: ``E[lam (1 - lam)]``, the mean over all pairs of what any such method has.
        wanted_mean: mean of ``wanted`` over all pairs; where it is not the budget, no method with
            this law of ``lam`` has that map.
        distance: root mean square over pairs of achieved less wanted, in budgets.
        noise: what ``distance`` would be of a perfect design, from the finite number of masks.
        samples: ``(6, H, W)`` float32, some of the masks, by rising share.
    """

    mixer: FieldMix
    wanted: Tensor
    attainable: Tensor
    achieved: Tensor
    error: Tensor
    budget: float
    wanted_mean: float
    distance: float
    noise: float
    masks: int
    samples: Tensor

    @property
    def design(self) -> Design:
        """What the mixer draws from; ``design.save(path)`` keeps it."""
        design = self.mixer.design
        assert isinstance(design, Design)
        return design

    def summary(self) -> dict[str, Any]:
        """Return plain values for JSON; maps are in ``arrays``."""
        design = self.design
        middle = tuple(side - 1 for side in design.size)
        largest = (self.achieved - self.wanted).abs().max()
        return {
            "size": list(design.size),
            "alpha": design.alpha,
            "depth": design.depth,
            "softness": design.softness,
            "budget": self.budget,
            "wanted_mean": self.wanted_mean,
            "wanted_diagonal": float(self.wanted[middle]),
            "achieved_diagonal": float(self.achieved[middle]),
            "distance": self.distance,
            "noise": self.noise,
            "closed_form_distance": map_distance(self.attainable, self.wanted) / self.budget,
            "largest_difference": float(largest) / self.budget,
            "masks": self.masks,
            "profile_wanted": profile(self.wanted).tolist(),
            "profile_achieved": profile(self.achieved).tolist(),
        }

    def arrays(self) -> dict[str, Tensor]:
        """Return the maps by name."""
        names = ("wanted", "attainable", "achieved", "error", "samples")
        return {name: getattr(self, name) for name in names}


def budget(alpha: float) -> float:
    """Return ``E[lam (1 - lam)]`` of Beta(alpha, alpha), the mean of a map over all pairs.

    Example:
        >>> round(budget(1.0), 4)
        0.1667
    """
    check_number("budget", "alpha", alpha)
    return mixup_coefficient(alpha)  # MixUp has the budget everywhere


def alpha_of(mean: float) -> float:
    """Return alpha of the Beta law whose budget is ``mean``, in (0, 1/4)."""
    if not 0 < mean < 0.25:
        raise ValueError(
            f"design: the wanted map has a mean of {mean:.4g} over all pairs of pixels; expected "
            "above 0 and below 1/4, E[lam (1 - lam)] of some law. Give a map of coefficients, not "
            "of another scale; kernels of any scale are given as functions."
        )
    return 2 * mean / (1 - 4 * mean)


def wanted_map(
    kernel: Kernel, *, size: tuple[int, int], alpha: float = 1.0, contrast: float = 1.0
) -> Tensor:
    """Return the map of a kernel, brought to the budget and the diagonal that it must have.

    Args:
        kernel: likeness by offset in shares of the sides; its scale and level do not matter.
        size: height and width of the images, in pixels.
        alpha: of the Beta law of ``lam``, above 0.
        contrast: the diagonal's excess over the budget, in budgets, in [0, 1]: 1 for masks of 0
            and 1, 0 for MixUp.

    Returns:
        ``(2H - 1, 2W - 1)`` float64 of mean ``budget(alpha)`` over all pairs.

    Raises:
        ValueError: a number is out of range, or the kernel is not highest for a pixel with itself.
    """
    check_number("wanted_map", "alpha", alpha, open_low=True)
    check_number("wanted_map", "contrast", contrast, high=1.0)
    for side in size:
        check_whole("design", "size", side, low=1)
    dy, dx = (torch.arange(1 - side, side, dtype=torch.float64) / side for side in size)
    down, right = torch.meshgrid(dy, dx, indexing="ij")
    value = kernel(down, right).double()
    if value.shape != down.shape or not bool(value.isfinite().all()):
        raise ValueError(
            f"wanted_map: the kernel gave {tuple(value.shape)} values, not all finite or not of "
            f"the shape of its offsets, {tuple(down.shape)}."
        )
    mean = pair_mean(value)
    top = float(value[size[0] - 1, size[1] - 1]) - mean
    if top <= 0:
        raise ValueError(
            "wanted_map: the kernel is not above its mean at offset 0; a pixel is always most "
            "like itself. Let the kernel fall from there."
        )
    level = budget(alpha)
    return level + contrast * level * (value - mean) / top


def pair_mean(offsets: Tensor) -> float:
    """Return the mean of a map over all pairs of pixels: far offsets have fewer pairs.

    Example:
        >>> pair_mean(torch.tensor([[0.0, 1.0, 0.0]]))  # two pixels: each with itself, and 2 pairs
        0.5
    """
    return float((pair_shares(offsets) * offsets.double()).sum())


def map_distance(first: Tensor, second: Tensor) -> float:
    """Return the root mean square difference of two maps over all pairs of pixels."""
    return math.sqrt(pair_mean((first.double() - second.double()).square()))


def design_mixer(
    wanted: Kernel | Tensor,
    *,
    size: tuple[int, int] = (32, 32),
    alpha: float | None = None,
    contrast: float = 1.0,
    rounds: int = 2,
    masks: int = 4096,
    seed: int = 0,
) -> Designed:
    """Design a mixer whose masks have wanted second moments.

    Args:
        wanted: a kernel of ``kernels`` or your own, brought to the budget by ``wanted_map``; or
            a whole map of coefficients ``(2H - 1, 2W - 1)``, such as ``Moments.a`` of a method
            that is to be imitated.
        size: height and width of the images, in pixels; a map brings its own.
        alpha: of the Beta law of ``lam``, above 0. By default 1 for a kernel, and for a map the
            one whose budget is the map's mean.
        contrast: see ``wanted_map``; a map brings its own.
        rounds: of measuring and asking again; 0 trusts the closed form.
        masks: drawn in each round and for the final measurement, at least 256.
        seed: of all draws; the final measurement has draws of its own.

    Returns:
        the mixer, with the wanted, the attainable and the achieved map and their distance.

    Raises:
        ValueError: a number is out of range, or a map is not one of coefficients.

    Example:
        >>> from mixwright.lab.theory.design.kernels import near
        >>> made = design_mixer(near(0.2), size=(8, 8), rounds=0, masks=512)
        >>> made.mixer.alpha, made.design.depth, made.distance < 0.1
        (1.0, 1.0, True)
    """
    check_whole("design_mixer", "rounds", rounds, low=0)
    check_whole("design_mixer", "masks", masks, low=256)
    if isinstance(wanted, Tensor):
        target = _checked_map(wanted)
        law = alpha_of(pair_mean(target)) if alpha is None else alpha
    else:
        law = 1.0 if alpha is None else alpha
        target = wanted_map(wanted, size=size, alpha=law, contrast=contrast)
    check_number("design_mixer", "alpha", law, open_low=True)
    level = budget(law)
    mean = pair_mean(target)
    excess = (target - mean) / level
    # Of borders that come about equally near the sharpest are taken: SOFTNESSES rise.
    fits = [_fitted(excess, law, softness) for softness in SOFTNESSES]
    least = min(fit.distance for fit in fits)
    best = first = next(fit for fit in fits if fit.distance <= _NEARLY * least)
    # Fixed-point rounds: what exact counts take from the closed form depends little on the field,
    # so asking for that much more makes up for most of it.
    for number in range(rounds if best.design.depth else 0):
        measured = _measured(best.design, masks, stream(seed, Stream.DESIGN_ROUNDS, number))
        found = (measured.a - level) / level
        best = _fitted(excess, law, best.design.softness, lost=best.promised - found)

    measured = _measured(best.design, masks, stream(seed, Stream.DESIGN_CHECK))
    mixer = FieldMix(design=best.design)
    noise = math.sqrt(pair_mean(measured.a_error.square()))
    return Designed(
        mixer=mixer,
        wanted=target,
        attainable=level + level * first.promised,
        achieved=measured.a,
        error=measured.a_error,
        budget=level,
        wanted_mean=mean,
        distance=map_distance(measured.a, target) / level,
        noise=noise / level,
        masks=measured.masks,
        samples=_samples(mixer, best.design.size, seed),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Fit:
    """The nearest field for one softness.

    ``promised`` is the excess over the budget that the closed form promises at each offset, in
    budgets, and ``distance`` that of it from what is wanted.
    """

    design: Design
    promised: Tensor
    distance: float


def _fitted(excess: Tensor, alpha: float, softness: float, lost: Tensor | None = None) -> _Fit:
    """Fit a field; ``lost`` is what exact counts take from the closed form, to be made up for."""
    # Depth comes from the diagonal, where the likeness is known; what is left of the map divided by
    # depth^2 is the likeness that the field itself must have.
    middle = tuple((side - 1) // 2 for side in excess.shape)
    top = likeness_range(alpha, softness)[1]
    strength = min(1.0, max(0.0, float(excess[middle])) / top)  # depth^2
    if strength < _LEAST:
        strength = 0.0
    asked = excess if lost is None else excess + lost
    alike = asked / strength if strength else torch.zeros_like(excess)
    power = nearest_spectrum(correlation(alike, alpha=alpha, softness=softness))
    promised = strength * likeness(spectrum_correlation(power), alpha=alpha, softness=softness)
    return _Fit(
        design=Design.of(power, alpha=alpha, depth=math.sqrt(strength), softness=softness),
        promised=promised,
        distance=map_distance(promised, excess),
    )


def _measured(design: Design, masks: int, generator: Generator) -> Moments:
    mixer: Mixer = FieldMix(design=design)
    images = torch.zeros(128, 1, *design.size)
    drawn = draw_plans(mixer, images, count=masks, generator=generator)
    return second_moments((batch.plan for batch in drawn), design.size)


def _samples(mixer: FieldMix, size: tuple[int, int], seed: int) -> Tensor:
    """Draw a few masks for pictures, with shares from 0.3 to 0.7."""
    generator = stream(seed, Stream.DESIGN_EXAMPLES)
    keep = mixer.keep(torch.linspace(0.3, 0.7, 6), size=size, generator=generator)
    return keep.first()[:, 0].float()


def _checked_map(wanted: Tensor) -> Tensor:
    odd = wanted.ndim == 2 and wanted.shape[0] % 2 == 1 and wanted.shape[1] % 2 == 1
    if not odd or not bool(wanted.isfinite().all()):
        raise ValueError(
            f"design: the wanted map has shape {tuple(wanted.shape)}; expected finite values of "
            "shape (2H - 1, 2W - 1), one for each offset, offset 0 in the middle."
        )
    mirrored = wanted.flip(0, 1)
    gap = float((wanted - mirrored).abs().max())
    if gap > 1e-6 * max(1.0, float(wanted.abs().max())):
        raise ValueError(
            f"design: the wanted map differs by {gap:.3g} from its mirror image; expected one "
            "value for an offset and its opposite, since a pair has no order. Average the two."
        )
    return wanted.double()
