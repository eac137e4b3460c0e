"""Which steps of a published item were carried out in its folder, and by which words."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mixwright.files import read_json, write_json
from mixwright.lab.cli.errors import UsageError

if TYPE_CHECKING:
    from mixwright.lab.experiments.published.commands import Command

_FILE = "steps.json"
_ITEM = "<item>"
"""Key of the item's own name in that file; no step is called so."""

_LEFT = {"gallery": "gallery.html", "bench": "bench.json", "theory": "theory.json"}
"""What commands leave that do not see for themselves whether they are done."""


@dataclass(frozen=True)
class Planned:
    """A command of an item.

    Attributes:
        command: its step.
        words: as it is typed behind ``mixwright``, its name first.
        plain: the same without where and how it runs, on which nothing depends.
    """

    command: Command
    words: Sequence[str]
    plain: Sequence[str]

    @property
    def text(self) -> str:
        """The command as it is typed."""
        return shlex.join(["mixwright", *self.words])


class StepNotes:
    """What was carried out in the folder of an item at a scale; ``planned`` are all its commands.

    A step is noted with its own words and those of the steps before whose folders it reads, so that
    what was made of other runs is not taken for what is asked for now.
    """

    def __init__(self, out: Path, file: str, planned: Sequence[Planned]) -> None:
        self._out, self._item = out, file
        self._place = re.compile(rf"(?<![@\w./-]){re.escape(str(out))}/")
        self._plain: dict[str, str] = {}
        self._texts: dict[str, str] = {}
        for place, one in enumerate(planned):
            step = one.command.step
            read = [before.command.step for before in planned[:place] if _reads(one, before)]
            lines = [*(self._plain[name] for name in read), self._placed(one.plain)]
            self._plain[step] = "\n".join(lines)
            # Of a bench the machine matters; what others measure is the same wherever they run.
            there = one.command.command == "bench" and one.words != one.plain
            self._texts[step] = self._plain[step] + (
                f"\n{self._placed(one.words)}" if there else ""
            )

    def _placed(self, words: Sequence[str]) -> str:
        """A command with a word for the folder, which may be moved, or named in another way."""
        return shlex.join(["mixwright", *(self._place.sub("@out/", word) for word in words)])

    def check_folder(self) -> None:
        """Refuse a folder in which another item, or this one at another scale, was made.

        Their steps may have the same names, and their numbers would stand in this table.

        Raises:
            UsageError: it is one.
        """
        there = self._noted().get(_ITEM, self._item)
        if there != self._item:
            raise UsageError(
                f"{self._out} holds {there}, not {self._item}; give --out another folder."
            )

    def begin(self) -> None:
        """Note whose folder it is."""
        noted = self._noted()
        if _ITEM not in noted:
            self._out.mkdir(parents=True, exist_ok=True)
            write_json(self._out / _FILE, {**noted, _ITEM: self._item})

    def done(self, command: Command) -> bool:
        """Whether a step that cannot see for itself was carried out by the same words."""
        left = _LEFT.get(command.command)
        return (
            left is not None
            and all(_is_whole(command.folder / file) for file in (left, *command.pictures))
            and self._noted().get(command.step) == self._texts[command.step]
        )

    def note(self, command: Command) -> None:
        """Note that a step was carried out."""
        noted = {**self._noted(), command.step: self._texts[command.step]}
        write_json(self._out / _FILE, noted)

    def of_other_words(self, command: Command) -> bool:
        """Whether what lies in the folder of a step was made by other words than its own."""
        wanted = self._plain[command.step]
        noted = self._noted().get(command.step, wanted)
        return noted != wanted and not noted.startswith(f"{wanted}\n")

    def _noted(self) -> dict[str, str]:
        try:
            found = read_json(self._out / _FILE)
        except (OSError, ValueError):
            return {}
        if not isinstance(found, dict):
            return {}
        # Notes once had the folder as it was named.
        return {step: self._place.sub("@out/", str(text)) for step, text in found.items()}


def _reads(one: Planned, before: Planned) -> bool:
    """Whether a command names the folder of another, or what lies in it."""
    named = re.escape(str(before.command.folder)) + r"(?![\w.-])"  # no longer name of a step
    return any(re.search(named, word) for word in one.plain[:-2])  # behind them its own --out


def _is_whole(file: Path) -> bool:
    """Whether a file is there, and JSON where it is called so."""
    try:
        return read_json(file) is not None if file.suffix == ".json" else file.is_file()
    except (OSError, ValueError):
        return False
