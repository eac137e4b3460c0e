"""The command of a comparison, changed in what is to be done next."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

SWITCHES = frozenset({"--trust", "--skip-unreadable", "--equal-time", "--dry-run", "--collect"})
"""Options of ``compare`` without a value; a test keeps them."""

OUT = "runs/compare"
"""Where a comparison goes that does not say."""


@dataclass(frozen=True)
class Command:
    """A ``mixwright compare`` command in parts: METHODs and options, each with its words."""

    methods: tuple[str, ...]
    options: tuple[tuple[str, tuple[str, ...]], ...]

    def value(self, name: str) -> str | None:
        """The value of an option such as ``--out``; None where it is not given."""
        given = [words[-1] for option, words in self.options if option == name and words]
        return given[-1] if given else None

    def with_option(self, name: str, value: str) -> Command:
        """Return the command with another value of an option."""
        return replace(self, options=(*self.without_option(name).options, (name, (value,))))

    def without_option(self, name: str) -> Command:
        """Return the command without an option."""
        return replace(self, options=tuple(one for one in self.options if one[0] != name))

    def with_methods(self, methods: Sequence[str]) -> Command:
        """Return the command with other METHODs."""
        return replace(self, methods=tuple(methods))

    def text(self, verb: str = "compare") -> str:
        """Return it as it is typed."""
        words = [word for name, values in self.options for word in (name, *values)]
        return shlex.join(["mixwright", verb, *self.methods, *words])


def read_command(text: str) -> Command | None:
    """Take a stored command apart; None where it is no ``mixwright compare``.

    Without ``--collect``: what is to be done next has to be trained.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    if words[:2] != ["mixwright", "compare"]:
        return None
    methods: list[str] = []
    options: list[tuple[str, tuple[str, ...]]] = []
    rest = iter(words[2:])
    for word in rest:
        if word == "--":
            methods += rest
        elif not word.startswith("-") or word == "-":
            methods.append(word)
        else:
            name, sign, value = word.partition("=")
            name = name.replace("_", "-")
            if sign:
                options.append((name, (value,)))
            elif name in SWITCHES:
                options.append((name, ()))
            else:
                options.append((name, tuple(value for value in [next(rest, None)] if value)))
    return Command(tuple(methods), tuple(option for option in options if option[0] != "--collect"))
