"""Every random draw of the package: shares, partners, noise, choices.

Callers pass one CPU generator, the only state there is to save. Draws for tensors on an
accelerator come from a generator of that device, seeded by one draw of the CPU generator, so that
the host never waits. No generator can enter a compiled graph: draw here, compile the rest.
"""

from __future__ import annotations

import functools
import hashlib
import math
import warnings
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Any, Literal, ParamSpec

import torch
from torch import Generator, Tensor

from mixwright.constants import once

# Private in torch, but the only Gamma draw that takes a generator; the one place that calls it.
_standard_gamma: Callable[..., Tensor] = getattr(torch, "_standard_gamma")  # noqa: B009

_P = ParamSpec("_P")

Pairing = Literal["cycle", "perm", "flip", "roll"]
PAIRINGS: tuple[Pairing, ...] = ("cycle", "perm", "flip", "roll")


class Stream(IntEnum):
    """Words that tell the random streams of one seed apart: ``stream(seed, Stream.CAM)``.

    A number never changes, or all draws that it leads to would. Where the words before it differ
    in number or meaning, two of them may be equal; Python then calls the later name an alias.
    """

    ORDER = 0  # training, after seed and epoch: the order of samples, alike on all ranks
    AUGMENT = 1  # training, after seed, rank and epoch: crops and flips
    MIX = 2  # likewise: plans of mixers and objectives
    MODULES = 3  # likewise: dropout and whatever else draws from torch's global generator
    LOADER = 1  # ``Mix.collate``, after seed and rank: plans drawn in workers of a loader
    OTHER_OWNER = 2  # ``Mix``, after seed, rank and worker: going on from the state of another one
    MOMENTS = 0  # theory: plans whose second moments are measured
    THEORY_IMAGES = 1  # ``mixwright theory``: the images that a model is looked at with
    EXPANSION = 2  # likewise: plans of the expansion of the loss
    FIRST_LAYER_PLANS = 3  # likewise: plans of the first layer's regulariser
    FIRST_LAYER_PARTNERS = 4  # likewise: partners when it is computed from moments
    DESIGN_ROUNDS = 1  # ``design_mixer``: masks of each round of correction
    DESIGN_CHECK = 2  # likewise: masks of the finished design
    DESIGN_EXAMPLES = 3  # likewise: masks that are shown
    BENCH_RESAMPLES = 1  # overhead: pairs drawn again for an interval
    GRADIENTS = 61  # evaluation: input gradients on mixed images
    ATTACK = 62  # evaluation: random starts of attacks
    OCCLUSION = 63  # evaluation: order of patches and noise that covers them
    CAM = 64  # evaluation: plans that class activation maps are shown for
    CALIBRATION_FLOOR = 101  # evaluation: labels of a perfectly calibrated model
    CALIBRATION_HALVES = 102  # evaluation: the half that a temperature is fitted on
    GAP = 103  # evaluation: training images that the gap is measured on
    CALIBRATION_IMAGES = 104  # evaluation: images drawn again for intervals
    IMAGE_TESTS = 201  # report: intervals and p-values over images
    ACROSS_TYPES = 202  # report: corruption types drawn again
    PER_TYPE = 203  # report: p-values of each corruption type
    SPRITES = 612  # scenarios of the theory: sprites and their crops


def stream(*words: int) -> Generator:
    """Make a CPU generator for a place in a run, such as ``(seed, rank, epoch, Stream.MIX)``.

    Equal words, whole numbers of any size and sign, give equal streams; any others, or the same in
    another order, give another stream.

    Example:
        >>> int(torch.randint(100, (), generator=stream(0, 1)))
        42
    """
    name = ",".join(str(int(word)) for word in words).encode()
    seed = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")
    generator = Generator()
    # The CPU engine keeps 32 bits of a seed.
    generator.manual_seed(seed >> 32 ^ seed & 0xFFFFFFFF)
    return generator


def _takes_like(draw: Callable[_P, Tensor]) -> Callable[_P, Tensor]:
    """Let ``like=tensor``, as 0.1 had it, stand for ``device=tensor.device``; until 0.3."""

    @functools.wraps(draw)
    def forwarded(*args: _P.args, **kwargs: _P.kwargs) -> Tensor:
        named: Any = kwargs
        if "like" in named:
            warnings.warn(
                f"sampling.{draw.__name__}: like=tensor is now device=tensor.device.",
                DeprecationWarning,
                stacklevel=2,
            )
            named["device"] = named.pop("like").device
        return draw(*args, **kwargs)

    return forwarded


@_takes_like
def uniform(
    shape: Sequence[int],
    *,
    low: float = 0.0,
    high: float = 1.0,
    device: torch.device,
    generator: Generator,
) -> Tensor:
    """Draw float32 of U(low, high) on ``device``."""
    source = _on(device, generator)
    draw = torch.rand(tuple(shape), device=device, generator=source, dtype=torch.float32)
    return draw if (low, high) == (0.0, 1.0) else draw.mul_(high - low).add_(low)


@_takes_like
def normal(shape: Sequence[int], *, device: torch.device, generator: Generator) -> Tensor:
    """Draw float32 of N(0, 1) on ``device``."""
    source = _on(device, generator)
    return torch.randn(tuple(shape), device=device, generator=source, dtype=torch.float32)


@_takes_like
def noise(shape: Sequence[int], *, device: torch.device, generator: Generator) -> Tensor:
    """Draw white noise: independent whole numbers from -32,768 to 32,767 of one even law, float32.

    For fields in which many of them are added up, where it costs a third of ``normal``.
    """
    source = _on(device, generator)
    count = math.prod(shape)
    words = torch.empty((count + 3) // 4, dtype=torch.int64, device=device)
    words.random_(-(2**63), None, generator=source)
    return words.view(torch.int16)[:count].view(tuple(shape)).float()


@_takes_like
def integers(
    low: int, high: int, shape: Sequence[int], *, device: torch.device, generator: Generator
) -> Tensor:
    """Draw int64 of {low, ..., high - 1} on ``device``."""
    source = _on(device, generator)
    return torch.randint(low, high, tuple(shape), device=device, generator=source)


@_takes_like
def beta(alpha: float, count: int, *, device: torch.device, generator: Generator) -> Tensor:
    """Draw ``count`` shares of Beta(alpha, alpha), float32 in [0, 1].

    ``alpha`` 0 means "no mixing" and gives shares of 1; a CPU generator serves every device.

    Example:
        >>> beta(0.0, 3, device=torch.device("cpu"), generator=stream(0)).tolist()
        [1.0, 1.0, 1.0]
    """
    if alpha == 0:
        return torch.ones(count, device=device, dtype=torch.float32)
    if alpha == 1:
        return uniform((count,), device=device, generator=generator)
    concentration = torch.full((count, 2), limited(alpha), device=device, dtype=torch.float32)
    return dirichlet(concentration, generator=generator)[:, 0]


def limited(alpha: float) -> float:
    """Bring a parameter of a Beta or Dirichlet law into the range that draws in float32 bear.

    Beyond it shares are even, or of one source alone, to the last digit. 0 stays.

    Example:
        >>> limited(1e300), limited(0.5), limited(0)
        (1e+30, 0.5, 0.0)
    """
    return min(max(float(alpha), 1e-30), 1e30) if alpha else 0.0


def dirichlet(concentration: Tensor, *, generator: Generator) -> Tensor:
    """Draw points of the simplex, one for each row of ``concentration`` ``(B, N)`` float32.

    A 0 leaves its component out (its share is 0); each row needs one positive entry.
    """
    source = _on(concentration.device, generator)
    used = concentration > 0
    concentration = concentration.float().clamp(1e-30, 1e30)  # see ``limited``
    # Gamma(a) = Gamma(a + 1) * U ** (1 / a): in logarithms small shapes cannot underflow to 0 / 0.
    log_gamma = _standard_gamma(concentration + 1, generator=source).log()
    chance = torch.rand(
        concentration.shape, device=concentration.device, generator=source, dtype=torch.float32
    )
    log_gamma = log_gamma + chance.clamp_min(1e-38).log() / concentration
    return log_gamma.masked_fill(~used, -torch.inf).softmax(dim=1)


@_takes_like
def partners(
    count: int, *, device: torch.device, generator: Generator, pairing: Pairing = "cycle"
) -> Tensor:
    """Draw the partner of each sample, ``(count,)`` int64 on ``device``.

    ``pairing`` is ``"cycle"``, one random cycle through the batch, so that in a batch of two or
    more no sample is its own partner; ``"perm"``, a random permutation, in which on average one
    sample a batch is its own partner (most references); ``"flip"``, the mirror image of the batch
    (timm); ``"roll"``, the sample before (torchvision).

    Example:
        >>> partners(2, device=torch.device("cpu"), generator=stream(0)).tolist()
        [1, 0]
    """
    if pairing == "flip":
        return torch.arange(count - 1, -1, -1, device=device)
    if pairing == "roll":
        return torch.arange(count, device=device).roll(1)
    source = _on(device, generator)
    order = torch.randperm(count, device=device, generator=source)
    if pairing == "perm":
        return order
    return order.scatter(0, order, order.roll(1))


def choices(chances: Sequence[float], count: int, *, generator: Generator) -> list[int]:
    """Choose on the host ``count`` positions in ``chances``, weights that are not all 0."""
    return host_choices(chances, count, generator=generator).tolist()


def host_choices(chances: Sequence[float], count: int, *, generator: Generator) -> Tensor:
    """Draw what ``choices`` draws, as a tensor ``(count,)`` int64 on the CPU."""
    draw = torch.rand(count, dtype=torch.float64, generator=generator)
    return torch.searchsorted(_upper_ends(tuple(chances)), draw, right=True)


@once
def _upper_ends(chances: tuple[float, ...]) -> Tensor:
    """Divide [0, 1) in proportion to ``chances``; give where each part ends, float64."""
    weights = torch.tensor(chances, dtype=torch.float64)
    ends = weights.cumsum(0) / weights.sum()
    # The sum may stop short of 1 by rounding, and what is above belongs to the last with a chance.
    ends[max(k for k, chance in enumerate(chances) if chance > 0) :] = torch.inf
    return ends


def _on(device: torch.device, generator: Generator) -> Generator:
    if generator.device.type == device.type:
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    derived = Generator(device)
    derived.manual_seed(int(seed))
    return derived
