"""What a docstring says of each argument."""

from __future__ import annotations

import inspect
import re
import textwrap


def argument_texts(cls: type) -> dict[str, str]:
    """The lines of ``Args`` of a class and of those it inherits from, by argument.

    Example:
        >>> from mixwright import MixUp
        >>> argument_texts(MixUp)["lam"]
        'a fixed share in [0, 1] instead of a draw, for figures.'
    """
    found: dict[str, str] = {}
    for one in reversed(cls.__mro__):
        section = re.search(
            r"^Args:\n(.*?)(?=^\S|\Z)", inspect.cleandoc(one.__doc__ or ""), re.M | re.S
        )
        if section is None:
            continue
        body = textwrap.dedent(section[1])
        for name, text in re.findall(r"^(\w+): (.*?)(?=^\w|\Z)", body, re.M | re.S):
            found[name] = " ".join(text.split())
    return found


def first_paragraphs(cls: type) -> str:
    """A docstring up to its sections, as Markdown."""
    text = inspect.cleandoc(cls.__doc__ or "")
    own = re.split(r"^(?:Args|Attributes|Raises|Example):$", text, maxsplit=1, flags=re.M)[0]
    # A table is shown as it is written, where these signs would be in the way.
    return re.sub(r"^    .*$", lambda line: line[0].replace("``", "  "), own, flags=re.M).strip()


def last_paragraphs(cls: type) -> str:
    """What a docstring says of its source, and where it departs from it, as Markdown."""
    text = inspect.cleandoc(cls.__doc__ or "")
    found = re.search(r"^(?:Source|Written|Departs)\b", text, re.M)
    return "" if found is None else text[found.start() :].strip()
