"""Which folder, file, split or column value holds which part of a data set, by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mixwright.lab.data.errors import DataError

PartName = Literal["train", "validation", "test"]
PARTS: tuple[PartName, ...] = ("train", "test", "validation")

_WORDS: dict[str, PartName] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("validation", "valid", "validate", "val", "dev"), "validation"),
    **dict.fromkeys(("evaluation", "eval"), "validation"),
}
# What may stand beside such a word and says nothing: training_set, seg_train, test-images.
_FILLERS = frozenset(
    (
        *("set", "sets", "data", "dataset", "split", "part", "seg", "folder", "of"),
        *("image", "images", "img", "imgs"),
    )
)
_FILLED = f"(?:{'|'.join(_FILLERS)})?"
_GLUED = re.compile(f"{_FILLED}({'|'.join(_WORDS)}){_FILLED}")  # trainset, TestImages, DataVal
# Of several names for one part, these are taken first, in this order.
_USUAL: dict[PartName, tuple[str, ...]] = {
    "train": ("train",),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test",),
}


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The names that were taken for parts; ``left`` are the others, in their order."""

    train: str | None
    validation: str | None
    test: str | None
    left: tuple[str, ...]

    @property
    def taken(self) -> dict[PartName, str]:
        """The names that were taken, by their parts in the order of ``PARTS``."""
        named = {"train": self.train, "test": self.test, "validation": self.validation}
        return {part: name for part in PARTS if (name := named[part]) is not None}


def part_of(name: str) -> PartName | None:
    """Return the part that a name says, whatever else it says."""
    return find_part(name)[0]


def find_part(name: str) -> tuple[PartName | None, tuple[str, ...]]:
    """Return the part that a name says, and what else it says, in lower case.

    Example:
        >>> find_part("Training_set"), find_part("cars-TEST"), find_part("cat")
        (('train', ()), ('test', ('cars',)), (None, ('cat',)))
        >>> find_part("test-00000-of-00001"), find_part("latest")
        (('test', ()), (None, ('latest',)))
    """
    tokens = [
        glued[1] if (glued := _GLUED.fullmatch(token)) else token
        for token in re.findall(r"[^\W\d_]+", name.casefold())
    ]
    rest = [token for token in tokens if token not in _FILLERS]
    for place in (0, -1):
        if rest and rest[place] in _WORDS:
            part = _WORDS[rest.pop(place)]
            return part, tuple(rest)
    return None, tuple(rest)


def split_path(path: str) -> tuple[Path, str | None]:
    """Return the file or folder that a path names, and the part behind a colon.

    A path may hold colons: where the whole is there, no part is named.
    """
    whole = Path(path).expanduser()
    head, _, part = path.rpartition(":")
    if head and part and "/" not in part and not whole.exists():
        above = Path(head).expanduser()
        if above.exists():
            return above, part
    return whole, None


def choose_parts(names: Sequence[str], *, where: str, wanted: str | None = None) -> Parts:
    """Choose the names of the parts to train, to choose and to test on.

    A name that says more than its part (``cars_train``) counts only beside the same for another
    part (``cars_test``), one of them to train on: a class may be called ``steam train``.

    Args:
        names: all names.
        where: what holds them, for messages.
        wanted: the name, or a word for it, of the part to test on; None for the usual one, ``test``
            or else ``validation``.

    Raises:
        DataError: two names stand for one part and neither is the usual one, or ``wanted`` is not
            there or is what is trained on.

    Example:
        >>> choose_parts(["TRAIN", "VAL", "extra"], where="pets")
        Parts(train='TRAIN', validation=None, test='VAL', left=('extra',))
    """
    groups: dict[tuple[str, ...], dict[PartName, list[str]]] = {}
    for name in names:
        part, rest = find_part(name)
        if part is not None:
            groups.setdefault(rest, {}).setdefault(part, []).append(name)
    whole = {rest: group for rest, group in groups.items() if "train" in group and len(group) > 1}
    plain = groups.get((), {})
    if not plain and len(whole) > 1:
        listed = ", ".join(
            name for group in whole.values() for some in group.values() for name in some
        )
        raise DataError(
            f"{where} holds more than one data set: {listed}. Name the parts of one of them train "
            "and test."
        )
    group = plain or next(iter(whole.values()), {})
    chosen: dict[PartName, str] = {part: _only(part, some, where) for part, some in group.items()}
    train, validation, test = (chosen.get(part) for part in ("train", "validation", "test"))
    if wanted is not None:
        test = _wanted(wanted, names, chosen, where)
        validation = None if test == validation else validation
    elif test is None:
        test, validation = validation, None
    taken = (train, validation, test)
    return Parts(
        train=train,
        validation=validation,
        test=test,
        left=tuple(name for name in names if name not in taken),
    )


def _only(part: PartName, names: Sequence[str], where: str) -> str:
    if len(names) == 1:
        return names[0]
    for usual in _USUAL[part]:
        if usual in names:
            return usual
    raise DataError(
        f"{where} has {len(names)} parts that may be the {part} part: {', '.join(names)}; expected "
        f"one. Rename the one that is meant to {_USUAL[part][0]}, or take the others away."
    )


def _wanted(wanted: str, names: Sequence[str], chosen: dict[PartName, str], where: str) -> str:
    train = chosen.get("train")
    part, rest = find_part(wanted)
    found = wanted if wanted in names else None
    if found is None and part is not None and not rest:
        found = chosen.get(part)
    others = [name for name in names if name != train]
    if found is None or found == train:
        reason = "is what is trained on" if found else "is no part of it"
        raise DataError(
            f"{where}: {wanted!r} {reason}; expected one of its parts to test on: "
            f"{', '.join(others) or 'it has none'}."
        )
    return found
