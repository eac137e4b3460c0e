"""Whether masks show on average the share that was asked for, as the published analysis assumes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from mixwright.mixers import (
    AGMix,
    CutMix,
    FieldMix,
    FMix,
    GMix,
    GridMix,
    HMix,
    MiAMix,
    Mixer,
    MixUp,
    OneOf,
    ResizeMix,
    SmoothMix,
    Sometimes,
)

ExpectedMask = Literal["each pixel", "on average", "neither"]
"""Where the mean over masks of one ``lam`` is ``lam``, from the strongest to the weakest."""

_WORST_FIRST: tuple[ExpectedMask, ...] = ("neither", "on average", "each pixel")

_RULES: dict[type, Callable[[Any], ExpectedMask | None]] = {
    MixUp: lambda mixer: "each pixel",
    # A part of a larger field: its corners lie farther from its mean than its middle.
    FieldMix: lambda mixer: "on average",
    # Noise with the authors' spectrum has not the same law at all places.
    FMix: lambda mixer: "each pixel" if mixer.spectrum == "isotropic" else "on average",
    GridMix: lambda mixer: "each pixel" if mixer.variant == "cells" else "neither",
    HMix: lambda mixer: "each pixel" if mixer.ratio == 0 else "on average",
    GMix: lambda mixer: "on average" if mixer.calibrate else "neither",
    AGMix: lambda mixer: "neither",
    # Boxes that lie within the image have the area asked for, to whole pixels of their sides.
    CutMix: lambda mixer: (
        None if mixer.minmax is not None else "on average" if mixer.box == "fit" else "neither"
    ),
    ResizeMix: lambda mixer: "on average" if mixer.placement == "fit" else "neither",
    SmoothMix: lambda mixer: None if mixer.lam is None else "on average",
    MiAMix: lambda mixer: "neither",
}


def expected_mask(mixer: Mixer) -> ExpectedMask | None:
    """Say where the mean over a mixer's masks of one ``lam``, E[M], is ``lam``.

    The published analysis assumes E[M] = lam at each pixel, so that the first-order term of its
    expansion weighs all pixels alike, by lam, as it does the labels; otherwise each pixel has a
    weight of its own.

    Returns:
        ``"each pixel"``; ``"on average"``, the mean over the image is lam, but some places show
        the sample more often than others; ``"neither"``; or None where nothing is known: masks
        that follow from the images, mixers that draw no share, and those of others.

    Example:
        >>> from mixwright import GMix
        >>> expected_mask(GMix()), expected_mask(GMix(calibrate=True))
        ('neither', 'on average')

    Source: Park et al. 2022, arXiv:2208.09913, for the assumption; the answers are measured by
    tests.
    """
    if isinstance(mixer, OneOf):
        found = [expected_mask(part) for part in mixer.mixers]
        return None if None in found else next(law for law in _WORST_FIRST if law in found)
    if isinstance(mixer, Sometimes):
        return expected_mask(mixer.mixer)  # what is not mixed has lam 1 and shows itself
    rule = _RULES.get(type(mixer))
    return None if rule is None else rule(mixer)


def assumption_note(methods: Mapping[str, str | None]) -> str:
    """Say for which methods, by name, what ``expected_mask`` found of them holds.

    Example:
        >>> assumption_note({"MixUp": "each pixel", "CutMix": "neither"}).split(". ")[1]
        'It does at each pixel for MixUp; it does not for CutMix.'
    """
    phrases = {
        "each pixel": "it does at each pixel for",
        "on average": "on average over the image only, for",
        "neither": "it does not for",
        None: "it is not known for",
    }
    parts = [
        f"{phrase} {', '.join(names)}"
        for law, phrase in phrases.items()
        if (names := [name for name, found in methods.items() if found == law])
    ]
    said = "; ".join(parts)
    return (
        "The published analysis assumes that the mean of all masks is the share lam that was asked "
        f"for. {said[:1].upper()}{said[1:]}."
    )
