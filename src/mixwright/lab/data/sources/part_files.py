"""Which of some files hold which part of a data set, by their names or their folders' names."""

from __future__ import annotations

from pathlib import Path

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.parts import PartName, choose_parts, part_of
from mixwright.lab.data.sources.walk import hidden

Found = tuple[dict[PartName, PartName], dict[PartName, list[Path]]]
"""What each part is called, and its files; with no test part it is to be split by us."""


def part_files(path: Path, wanted: str | None, left: list[str], *, suffix: str) -> Found:
    """Return the files of each part below a path, which is one file or a folder of them.

    ``wanted`` is the part to test on, ``left`` gets what is not used; ``suffix`` ends their names.
    """
    if path.is_file():
        if wanted is not None:
            raise DataError(
                f"{path} is one file and has no part {wanted!r}; expected a folder of files, such "
                f"as train{suffix} and test{suffix}."
            )
        return {"train": "train"}, {"train": [path]}
    kind = suffix.removeprefix(".")
    if not path.is_dir():
        raise DataError(f"{path} is neither a folder nor a file. Give a folder of {kind} files.")
    files = sorted(
        file
        for file in path.rglob(f"*{suffix}")
        if file.is_file() and not any(map(hidden, file.relative_to(path).parts))
    )
    if not files:
        raise DataError(f"{path} holds no file that ends in {suffix}.")
    return sorted_parts(path, files, wanted, left, suffix=suffix)


def sorted_parts(
    path: Path, files: list[Path], wanted: str | None, left: list[str], *, suffix: str
) -> Found:
    """Return the files of each part among some files below a path; see ``part_files``."""
    by_part: dict[PartName, list[Path]] = {}
    unnamed: list[Path] = []
    for file in files:
        part = _part_of(file.relative_to(path))
        (unnamed if part is None else by_part.setdefault(part, [])).append(file)
    chosen = choose_parts(list(by_part), where=str(path), wanted=wanted)
    if by_part and chosen.train is None:
        name, some = next(iter(by_part.items()))
        raise DataError(
            f"{path} has files for {name} ({some[0].name}) but none for training; expected names "
            f"that begin with train, such as train-00000-of-00001{suffix}."
        )
    if not by_part:
        return {"train": "train"}, {"train": files}
    words: dict[PartName, PartName] = {
        role: part for role, name in chosen.taken.items() if (part := part_of(name)) is not None
    }
    unused = unnamed + [
        file for part, some in by_part.items() if part not in words.values() for file in some
    ]
    if unused:
        kind = suffix.removeprefix(".")
        left.append(f"{len(unused):,} {kind} file(s) of no part, such as {unused[0].name}")
    return words, {role: by_part[name] for role, name in words.items()}


def _part_of(file: Path) -> PartName | None:
    """Return the part that the name of a file says, or of the nearest of its folders."""
    for name in (file.stem, *reversed(file.parts[:-1])):
        if (part := part_of(name)) is not None:
            return part
    return None
