"""``p`` and ``clean``: what every mixer of a METHOD takes beside its own options.

They are of the whole: of several mixers joined by ``+`` they stand once, behind the last one or
behind ``@batch``. A class that has an option so called keeps it.
"""

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from mixwright.arguments import check_number
from mixwright.lab.experiments.schedules import Number, Ramp, RampedChance, ends, read_number
from mixwright.lab.settings import option_pairs

if TYPE_CHECKING:
    from mixwright.mixers.mixer import Mixer

DEFAULTS = {"p": 1.0, "clean": 0.0}
"""The chance of mixing, in [0, 1], and the weight of a loss on whole images, at least 0."""

_HIGHEST = {"p": 1.0, "clean": math.inf}


def take_mixing(pairs: dict[str, str], own: Collection[str]) -> dict[str, str]:
    """Take them out of the options of a mixer whose class has the options ``own``."""
    return {name: pairs.pop(name) for name in DEFAULTS if name in pairs and name not in own}


def read_mixing(what: str, parts: Sequence[dict[str, str]], behind: str) -> dict[str, Number]:
    """Return them as numbers; ``what`` is how messages call the METHOD.

    Args:
        what: how messages call the METHOD.
        parts: what ``take_mixing`` found in each part.
        behind: the options that stand behind ``@batch``, with their colon; may be empty.

    Raises:
        ValueError: they stand behind another part than the last, or twice; something else stands
            behind ``@batch``; a value is no number, or out of range.
    """
    for name in (name for pairs in parts[:-1] for name in pairs):
        raise ValueError(
            f"{what}: {name} is of the whole, not of one mixer of several; expected it once, "
            f"behind the last one, as in mixup+cutmix:{name}=0.5."
        )
    last, pairs = parts[-1], option_pairs(what, behind)
    for name in pairs:
        if name not in DEFAULTS:
            raise ValueError(
                f"{what}: {name} stands behind @batch; expected {' or '.join(DEFAULTS)} there. "
                "Options of one mixer stand behind its name."
            )
        if name in last:
            raise ValueError(f"{what}: option {name} is given twice; keep one.")
    return {name: _read(what, name, text) for name, text in (last | pairs).items()}


def _read(what: str, name: str, text: str) -> Number:
    try:
        number = read_number(text)
    except ValueError as error:
        raise ValueError(f"{what}: option {name}={text}: {error}") from None
    for end in ends(number):
        check_number(what, name, end, high=_HIGHEST[name])
    return number


def mixing_with_chance(mixer: "Mixer", p: Number) -> "Mixer":
    """Return a mixer that mixes with chance ``p``, for each batch if it draws one for each."""
    from mixwright.mixers.combine import Scheduled, Sometimes, per_of

    if p == 1:  # no draw, so that it is the mixer itself to the bit
        return mixer
    per = per_of(mixer)
    return (
        Scheduled(RampedChance(mixer, p, per)) if isinstance(p, Ramp) else Sometimes(mixer, p, per)
    )
