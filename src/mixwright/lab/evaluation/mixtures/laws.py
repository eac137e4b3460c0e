"""The law that a mixer's shares should follow, and the same mixer with other options."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any

from mixwright.lab.evaluation.mixtures.fidelity_scores import Cdf
from mixwright.mixers import (
    AGMix,
    CutMix,
    FMix,
    GMix,
    GridMix,
    HMix,
    MiAMix,
    MixUp,
    PuzzleMix,
    SaliencyMix,
)
from mixwright.mixers.learned import LearnedMixer
from mixwright.mixers.mixer import Mixer

_BETA = (MixUp, CutMix, FMix, GridMix, HMix, GMix, AGMix, PuzzleMix, SaliencyMix)
_TURNS = ("p_smooth", "p_rotate", "p_shear")  # chances that a mask is augmented


@dataclass(frozen=True)
class Law:
    """A distribution of the own share: its name, and its cumulative function of numpy arrays."""

    name: str
    cdf: Cdf


def law_of(mixer: Mixer) -> Law | None:
    """Return the law of the share that a mixer asks for.

    Beta(alpha, alpha); for MiAMix the mean over numbers of layers k of Beta(k alpha, k alpha),
    which its Dirichlet law gives the sample itself; None where the law has no formula, or all
    shares are the same.

    Example:
        >>> law = law_of(MixUp(alpha=1.0))
        >>> law.name, float(law.cdf(0.25))
        ('Beta(1, 1)', 0.25)
    """
    alpha, layers = float(getattr(mixer, "alpha", 0)), (1,)
    if isinstance(mixer, MiAMix):
        layers = tuple(range(1, mixer.k_max + 1)) if mixer.layers is None else (mixer.layers,)
    elif not (type(mixer) in _BETA or (isinstance(mixer, LearnedMixer) and mixer.sources == 2)):
        return None
    # Options that draw by another law, or not at all.
    others = [getattr(mixer, name, None) for name in ("lam", "minmax", "lam_range")]
    if alpha == 0 or any(other is not None for other in others):
        return None
    if getattr(mixer, "reformulate", False):
        return None
    from scipy.stats import beta

    def cdf(values: Any) -> Any:
        return sum(beta.cdf(values, k * alpha, k * alpha) for k in layers) / len(layers)

    names = [f"Beta({k * alpha:g}, {k * alpha:g})" for k in layers]
    return Law(names[0] if len(names) == 1 else f"mean of {', '.join(names)}", cdf)


def with_options(mixer: Mixer, **options: Any) -> Mixer | None:
    """Return a copy of a mixer with other options; None where it has no such options.

    Example:
        >>> with_options(MixUp(), lam=0.25)
        MixUp(alpha=1.0, lam=0.25, per='sample', pairing='cycle')
        >>> with_options(MixUp(), box="fit") is None
        True
    """
    given: Any = mixer
    if isinstance(mixer, LearnedMixer):
        known = {"alpha", "per", "margin", "margin_of", "sources"}
    elif dataclasses.is_dataclass(given):
        known = {field.name for field in dataclasses.fields(given) if field.init}
    else:
        known = set[str]()
    if not known.issuperset(options):
        return None
    if isinstance(mixer, LearnedMixer):
        own = copy.copy(mixer)  # a module that shares the weights
        for name, value in options.items():
            setattr(own, name, value)
        return own
    replace: Any = dataclasses.replace
    return replace(given, **options)


def per_sample(mixer: Mixer) -> Mixer:
    """Return a mixer that draws for each sample, not for each batch; the law is the same."""
    if getattr(mixer, "per", "sample") == "sample":
        return mixer
    return with_options(mixer, per="sample") or mixer


def stages_of(mixer: Mixer) -> dict[str, Mixer]:
    """Return a mixer whose masks are augmented without that, with one kind alone, and as it is.

    ``before``, ``smoothed``, ``rotated``, ``sheared`` (every mask, not by chance) and ``after``,
    the mixer itself; empty for mixers that augment no masks. All of them draw the same layers from
    equal generators, since augmentations are drawn last.
    """
    none = dict.fromkeys(_TURNS, 0.0)
    changes = {"before": none}
    changes |= {
        stage: none | {name: 1.0}
        for stage, name in zip(("smoothed", "rotated", "sheared"), _TURNS, strict=True)
    }
    stages = {stage: with_options(mixer, **change) for stage, change in changes.items()}
    found = {stage: changed for stage, changed in stages.items() if changed is not None}
    return found | {"after": mixer} if found else {}
