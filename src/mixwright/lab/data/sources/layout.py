"""Where in a folder of the user's the parts and their class folders lie."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mixwright.lab.data.decode import SUFFIXES
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.parts import PARTS, PartName, Parts, choose_parts
from mixwright.lab.data.sources.walk import (
    Visited,
    ending,
    files_below,
    hidden,
    is_folder,
    readable,
)

_PICTURES = frozenset(("images", "image", "imgs", "img", "jpegimages"))
_MARKS = frozenset(("annotations", "annotation"))


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Folders that hold class folders; ``left_out`` names those that are not used, with reasons.

    The names are those of the parts: class folders may lie deeper.
    """

    train: Path
    test: Path | None = None
    validation: Path | None = None
    train_name: str = ""
    test_name: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def places(self) -> dict[PartName, Path]:
        """The folders that hold class folders, by their parts."""
        parts = {"train": self.train, "test": self.test, "validation": self.validation}
        return {part: place for part in PARTS if (place := parts[part]) is not None}


def folder_names(root: Path) -> list[str]:
    """Return the names of the folders in a folder, without hidden ones and ``loops``."""
    with os.scandir(root) as entries:
        return [
            entry.name
            for entry in entries
            if not hidden(entry.name)
            and is_folder(entry)
            and not (entry.is_symlink() and _leads_back(root / entry.name))
        ]


def loops(root: Path) -> list[Path]:
    """Return the links in a folder that lead to the folder itself or to one that it is in."""
    links = [path for path in root.iterdir() if path.is_symlink() and path.is_dir()]
    return [link for link in links if _leads_back(link)]


def _leads_back(link: Path) -> bool:
    return link.parent.resolve().is_relative_to(link.resolve())


def loose_images(root: Path) -> list[Path]:
    """Return the images straight in a folder, which are of no class."""
    # Most folders hold hundreds of images, or none: no object is made of what is neither.
    found = [path for path in map(str, root.iterdir()) if ending(path) in SUFFIXES]
    return sorted(
        Path(path) for path in found if not hidden(os.path.basename(path)) and os.path.isfile(path)
    )


def find_layout(root: Path, wanted: str | None = None) -> Layout:
    """Find the parts of a data set, below as many folders as hold nothing but one other.

    Args:
        root: the folder that was named.
        wanted: the part to test on, see ``choose_parts``.

    Raises:
        DataError: what is there can be read in more than one way, or a part is missing.
    """
    left: list[str] = []
    base, parts = _base(root, wanted, left)
    if parts is None:
        if wanted is not None:
            raise DataError(
                f"{readable(base)} has no folders to train and to test on, and none for "
                f"{wanted!r}; expected train/ and others beside it. Leave out what follows "
                "the last colon: a fifth of each class is then held out."
            )
        _refuse_several(base)
        return Layout(train=base, left_out=tuple(left))
    if parts.train is None:
        first = parts.test or parts.validation
        raise DataError(
            f"{readable(base)} has {first}/ but no train/; expected both, or one folder per class. "
            "Rename the folder if it is a class."
        )
    used = [readable(name) for name in (parts.train, parts.validation, parts.test) if name]
    left += [f"{readable(name)}/ (beside {', '.join(used)})" for name in parts.left]
    if loose := loose_images(base):
        name = readable(loose[0].name)
        left.append(f"{len(loose):,} image(s) outside the parts, such as {name}")
    train = _unwrapped(base / parts.train, (), left)
    _refuse_several(train)
    classes = tuple(folder_names(train))
    test, validation = (
        None if name is None else _unwrapped(base / name, classes, left)
        for name in (parts.test, parts.validation)
    )
    return Layout(
        train=train,
        test=test,
        validation=validation,
        train_name=readable(parts.train),
        test_name=readable(parts.test or ""),
        left_out=tuple(left),
    )


def _base(root: Path, wanted: str | None, left: list[str]) -> tuple[Path, Parts | None]:
    """Return the folder that holds the parts, or the class folders where there are none."""
    base, visited = root, Visited()
    while True:
        visited.enter(base)
        names = sorted(folder_names(base))
        only = base / names[0] if len(names) == 1 else None
        if only is not None and _has_parts(only, folder_names(only)) and not visited.enter(only):
            base = only
            continue
        parts = choose_parts(names, where=readable(base))
        if parts.taken and not _is_class(base, parts):
            if wanted is not None:  # only where there are parts: a wrapper has none to choose from
                parts = choose_parts(names, where=readable(base), wanted=wanted)
            return base, parts
        inner = _inner(base, names, left)
        if inner is None or visited.enter(inner):
            return base, None
        base = inner


def _unwrapped(folder: Path, classes: tuple[str, ...], left: list[str]) -> Path:
    """Return the folder that holds the class folders of a part."""
    visited = Visited()
    visited.enter(folder)
    while True:
        names = sorted(folder_names(folder))
        inner = None if set(names) & set(classes) else _inner(folder, names, left)
        if inner is None or visited.enter(inner):
            return folder
        folder = inner


def _inner(folder: Path, names: list[str], left: list[str]) -> Path | None:
    """Return the one folder in which all classes lie, None where they lie straight here."""
    if len(names) == 1:
        inner = folder / names[0]
        return inner if folder_names(inner) else None
    pictures = [name for name in names if name.casefold() in _PICTURES]
    marks = [name for name in names if name.casefold() in _MARKS]
    if not pictures and marks and (held := _images_in(folder / marks[0])):
        raise DataError(
            f"{readable(folder / marks[0])} holds {held:,} images beside {len(names) - 1} other "
            "folder(s); annotations are no class. Take the folder away, or rename it if it is one."
        )
    if not pictures:
        return None
    others = [name for name in names if name not in pictures]
    strange = [name for name in others if not _describes(folder / name)]
    if len(pictures) > 1 or strange:
        other = readable((pictures[1:] + strange)[0])
        raise DataError(
            f"{readable(folder)} has {pictures[0]}/ beside {other}/; "
            "expected one folder of images per class, called by its class. Name the folder that "
            "holds the class folders, or use csv:PATH where a list says the classes."
        )
    left += [f"{readable(name)}/ (beside {pictures[0]}/, no class)" for name in others]
    return folder / pictures[0]


_DESCRIBES = frozenset(
    (
        *_MARKS,
        *("labels", "label", "masks", "mask", "annots", "trimaps", "xmls", "xml", "imagesets"),
        *("segmentation", "segmentations", "segmentationclass", "segmentationobject"),
        *("gt", "groundtruth", "ground_truth", "boxes", "bboxes", "metadata", "lists", "splits"),
    )
)


def _describes(folder: Path) -> bool:
    """Whether a folder beside images says something about them, rather than being a class."""
    return folder.name.casefold() in _DESCRIBES or not _images_in(folder)


def _images_in(folder: Path) -> int:
    visited = Visited()
    visited.enter(folder)
    return sum(ending(path) in SUFFIXES for path in files_below(folder, visited))


def _has_parts(folder: Path, names: Sequence[str]) -> bool:
    """Whether folders of these names in a folder are a part to train on and another."""
    try:
        parts = choose_parts(names, where=readable(folder))
    except DataError:  # two folders of one name: said where they matter
        return False
    return parts.train is not None and parts.test is not None


def _is_class(base: Path, parts: Parts) -> bool:
    """Whether the only part is a class that is called train, among others: trains, not training."""
    if parts.train is None or parts.test is not None or not parts.left:
        return False
    train = base / parts.train
    return (
        not folder_names(train)
        and bool(loose_images(train))
        and any(loose_images(base / name) for name in parts.left)
    )


def _refuse_several(base: Path) -> None:
    """Refuse folders of classes that hold parts or the other classes themselves."""
    names = folder_names(base)
    for name in sorted(names):
        below = folder_names(base / name)
        again = sorted({*below} & {*names} - {name})
        if len(again) > 1:
            raise DataError(
                f"{readable(base / name)} holds folders called {readable(again[0])} and "
                f"{readable(again[1])} as the classes beside it; expected the images of one class. "
                "If it is a part, move it beside the others; if it is not used, take it away."
            )
        if _has_parts(base / name, below):
            raise DataError(
                f"{readable(base / name)} has folders to train and to test on itself; expected "
                "them above the class folders, as in train/CLASS. If it is a data set, name it; if "
                "it is a class, move its parts."
            )
