"""The names of methods as people write them: any case, hyphens, blanks, and what papers say."""

import re

from mixwright.arguments import did_you_mean, letters, spelled
from mixwright.lab.data.names import DATA_SETS, path_as_data
from mixwright.lab.models.names import MODELS
from mixwright.lab.settings.own_code import as_module

TRAINED = "trained"
"""The name of a mixer from a file, which has no class of its own among ``MIXERS``."""

# What papers call a method otherwise than its class here.
_PAPERS = {
    "inputmixup": "mixup",
    "manifoldmixup": "manifoldmix",
    "alignmixup": "alignmix",
    "decoupledmixup": "decoupledmix",
    "adversarialautomix": "adautomix",
    "adversarialautomixup": "adautomix",
}
# What is known by these names and is no method of its own, and how it is asked for.
_OTHERWISE = {
    "vanilla": "none",
    "baseline": "none",
    "nomixing": "none",
    "regmixup": "mixup:clean=1",
    "randaugment": "--augment randaugment",
    "trivialaugment": "--augment trivialaugment",
    "randomerasing": "--erase 0.25",
    "labelsmoothing": "--label-smoothing 0.1",
}


def method_names() -> list[str]:
    """Return every name a METHOD may have: ``none``, the mixers, the objectives."""
    from mixwright.mixers import MIXERS
    from mixwright.objectives import OBJECTIVES

    return ["none", *MIXERS, *(name for name in OBJECTIVES if name != "mixed")]


def known_method(name: str) -> str | None:
    """Return the name of the method that a paper spells like this; None where there is none.

    Example:
        >>> [known_method(name) for name in ("CutMix", "Co-Mixup", "Manifold Mixup", "cutmx")]
        ['cutmix', 'comixup', 'manifoldmix', None]
    """
    return spelled(name, method_names()) or _PAPERS.get(letters(name))


def unknown_method(word: str, more: str = "") -> ValueError:
    """Return the error about a METHOD whose name is not known; ``more`` stands behind it."""
    name, known = word.partition(":")[0], method_names()
    if hint := _meant(word, name):
        return ValueError(f'there is no method "{name}"; {hint}.')
    return ValueError(
        f'there is no method "{name}".{did_you_mean(name, [*known, TRAINED])} Known are '
        f"{', '.join(known)}; the mixer of a run is written trained:run=PATH, a class of your own "
        f"package.module:Class.{more}"
    )


def check_one_method(word: str) -> None:
    """Refuse several METHODs in one text, with commas or blanks between them.

    Raises:
        ValueError: there are several, or one and a comma; the message says how to write them.
    """
    first, *others = _apart(word)
    tight = re.sub(r"\s*([:+@=])\s*", r"\1", word)
    if others and tight != word and len(_apart(tight)) == 1:
        raise ValueError(f'method "{word}" has blanks beside its signs; write {tight}.')
    if known_method(first.partition(":")[0]) is None:
        return
    if others:
        apart = " ".join([first, *others])
        joined = "+".join([first, *others])
        raise ValueError(
            f'"{word}" is one word of {1 + len(others)} methods; expected each by itself, with '
            f"blanks between them: {apart}. For one method that draws one of them for each sample "
            f"write {joined}."
        )
    if word.endswith(",") and ":" not in word:
        raise ValueError(f'method "{word}" ends in a comma; write {first}.')


def _apart(word: str) -> list[str]:
    """The METHODs in a text; commas and blanks also stand between the options of one.

    Example:
        >>> _apart("cutmix:alpha=1,p=0.5,MixUp"), _apart("cutmix, fmix")
        (['cutmix:alpha=1,p=0.5', 'MixUp'], ['cutmix', 'fmix'])
    """
    found: list[str] = []
    for piece in filter(None, re.split(r"[,\s]+", word)):
        name = piece.partition(":")[0]
        begins = "=" not in name and (known_method(name) or (found and ":" not in found[-1]))
        if begins or not found:
            found.append(piece)
        else:
            found[-1] += f",{piece}"
    return found or [word]


def _meant(word: str, name: str) -> str:
    """What else was meant, and how to write it; nothing where that is not known."""
    if other := _OTHERWISE.get(letters(name)):
        return f"it is written {other}"
    if module := as_module(word):
        return f"a class of your own is written by its module, {module}"
    if data := path_as_data(word):
        return f"{word} is there as a path, and images are given by --data {data}"
    if kind := spelled(name, [data for data in DATA_SETS if ":" not in data]):
        return f"it is a data set, given by --data {kind}"
    if model := spelled(name, MODELS):
        return f"it is a network, given by --model {model}"
    return ""
