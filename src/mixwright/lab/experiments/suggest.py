"""The nearest right word for a misspelt one."""

from collections.abc import Iterable
from difflib import get_close_matches


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like ``word``, or None where nothing is alike.

    Case and the signs ``-``, ``_`` and spaces do not count.

    Args:
        word: what the user wrote.
        known: the words that would have been right.

    Returns:
        one of ``known``, spelt as it stands there.

    Example:
        >>> nearest("cut_mx", ["mixup", "cutmix"])
        'cutmix'
        >>> nearest("zebra", ["mixup", "cutmix"]) is None
        True
    """
    plain = {_plain(name): name for name in known}
    alike = get_close_matches(_plain(word), plain, n=1, cutoff=0.6)
    return plain[alike[0]] if alike else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest right word, with a blank before it; else nothing.

    Args:
        word: what the user wrote.
        known: the words that would have been right.

    Returns:
        text to put behind an error message.

    Example:
        >>> did_you_mean("mixupp", ["mixup", "cutmix"])
        ' Did you mean "mixup"?'
    """
    near = nearest(word, known)
    return f' Did you mean "{near}"?' if near else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "").replace(" ", "")
