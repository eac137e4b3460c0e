"""Several METHODs in one text: ``miamix:p_self=0|0.05|0.1``; and the parts of one."""

import itertools
import re

_JOIN = re.compile(r"\+(?=[A-Za-z_])(?!variance\b)")
"""Stands between the parts of a METHOD; not the sign of 1e+5, nor that in mask_loss=l1+variance."""

_BATCH = re.compile(r"(.*?)\s*(@batch\s*(?::.*)?)", re.DOTALL)


def method_parts(text: str) -> tuple[list[str], str]:
    """Split a METHOD into what stands between the ``+``, and the ``@batch`` behind several.

    What follows on the ``@batch``, options behind a colon, is left with it.

    Example:
        >>> method_parts("mixup+cutmix:alpha=0.2@batch:p=0.5")
        (['mixup', 'cutmix:alpha=0.2'], '@batch:p=0.5')
        >>> method_parts("trained:run=a@batch")
        (['trained:run=a@batch'], '')
    """
    words = [word.strip() for word in _JOIN.split(text.strip())]
    behind = _BATCH.fullmatch(words[-1]) if len(words) > 1 else None
    if behind is None:
        return words, ""
    return [*words[:-1], behind[1]], behind[2]


def alternatives(text: str) -> list[str]:
    """Write out a METHOD whose options have several values, those of the last option fastest.

    Args:
        text: a METHOD; values with a ``|`` between them stand for one METHOD each, those of
            several options for every combination. Without a ``|`` it is the only one.

    Raises:
        ValueError: a value is missing beside a ``|``, or a ``|`` stands elsewhere than between
            values.

    Example:
        >>> alternatives("cutmix:alpha=0.2|1")
        ['cutmix:alpha=0.2', 'cutmix:alpha=1']
        >>> alternatives("miamix:layers=1|2,p_self=0|0.1")[1:3]
        ['miamix:layers=1,p_self=0.1', 'miamix:layers=2,p_self=0']
    """
    if "|" not in text:
        return [text]
    words, batch = method_parts(text)
    parts = [_part(word, text) for word in words]
    behind = _part(batch, text)
    return ["+".join(chosen) + last for *chosen, last in itertools.product(*parts, behind)]


def _part(word: str, text: str) -> list[str]:
    """The alternatives of what stands between two ``+``."""
    if "|" not in word:
        return [word]
    # The last colon before the first sign: a class of the user's has one in its name.
    name, colon, rest = word[: word.find("=")].rpartition(":")
    if "=" not in word or not colon or "|" in name:
        raise ValueError(
            f'method "{text}": a | stands between values of an option, as in '
            "cutmix:alpha=0.2|1. Write several methods one after another, with spaces."
        )
    items = (rest + word[word.find("=") :]).split(",")
    each = [_item(item, text) for item in items]
    return [f"{name}:{','.join(chosen)}" for chosen in itertools.product(*each)]


def _item(item: str, text: str) -> list[str]:
    """The alternatives of one ``option=value``."""
    if "|" not in item:
        return [item]
    option, sign, values = item.partition("=")
    each = [value.strip() for value in values.split("|")]
    if not sign or "|" in option or not all(each):
        raise ValueError(
            f'method "{text}": cannot read "{item}"; a value is missing beside a |. Alternatives '
            "are written option=value|value."
        )
    return [f"{option}={value}" for value in each]
