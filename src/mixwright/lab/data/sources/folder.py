"""The user's own images: one folder per class."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch

from mixwright.arguments import nearest
from mixwright.lab.data.decode import SUFFIXES
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.files import Files
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.parts import PartName, split_path
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.divided import Part, divided_source
from mixwright.lab.data.sources.layout import (
    find_layout,
    folder_names,
    loops,
    loose_images,
)
from mixwright.lab.data.sources.walk import (
    Visited,
    ending,
    endings,
    files_below,
    path_below,
    readable,
)

_T = TypeVar("_T")


def load_folder(request: Request) -> Source:
    """Return images in folders named for their classes, which are in the order of the alphabet.

    The class folders lie in folders for the parts of the request's path, such as ``train``, ``val``
    and ``test`` (see ``choose_parts``), or straight in it or in ``train`` alone: then a fifth of
    each class, always the same images, is held out for testing. Images may lie in folders below
    their class, and the parts in a folder that holds nothing else. A part's name after the path and
    a colon is the part to test on.
    """
    root, wanted = split_path(request.path)
    if not root.is_dir():
        raise DataError(
            f"{readable(root)} is not a folder. Give the folder that holds one folder of images "
            "per class."
        )
    layout = find_layout(root, wanted)
    names = sorted(folder_names(layout.train))
    left = request.left_out
    left += layout.left_out
    if len(names) < 2:
        loose = loose_images(layout.train)
        beside = f" and {len(loose):,} image(s) beside" if loose else ""
        listed = " Where a list says their classes, use csv:PATH." if loose else ""
        raise DataError(
            f"{readable(layout.train)} holds {len(names)} class folder(s){beside}; expected one "
            f"folder of images for each of at least two classes.{listed}"
        )
    left += _classes_below(layout.train, names)
    reader = _Reader(root, layout.train, tuple(names), left)
    reader.visited.enter(root)
    entered = reader.of_each(layout.places, reader.enter)  # all of them before any is read
    parts = reader.of_each(entered, reader.part)
    left += reader.passed_over()
    classes = tuple(readable(name) for name in names)
    return divided_source(
        parts,
        classes=classes,
        where=readable(root),
        title=f"images of the folder {readable(root.name or root)}",
        split=f"{layout.train_name}/ and {layout.test_name}/ as found",
        request=request,
    )


def images_by_class(
    where: Path, classes: tuple[str, ...], *, root: Path, left_out: list[str]
) -> EncodedImages:
    """Return every image below the class folders, in the order of classes and paths, not read yet.

    Names of images begin below ``root``; ``left_out`` gets what is not used.
    """
    reader = _Reader(root, where, classes, left_out)
    reader.enter(where)
    images = reader.images(where)
    left_out += reader.passed_over()
    return images


def _classes_below(where: Path, names: list[str]) -> list[str]:
    """Return a clause where all class folders hold the same folders, as ``original/`` and
    ``augmented/`` of the same classes do, which read as two classes."""
    below = {tuple(sorted(folder_names(where / name))) for name in names}
    shared = below.pop()
    if below or len(shared) < 2 or any(loose_images(where / name) for name in names):
        return []
    listed = ", ".join(readable(name) for name in shared[:3]) + (", ..." if shared[3:] else "")
    return [
        f"the names {listed} of the folders in every class folder (if these are the classes, give "
        f"one folder alone: folder:{readable(where / names[0])})"
    ]


class _Reader:
    """Reads the class folders of several parts, each real folder once."""

    def __init__(
        self, root: Path, train: Path, classes: tuple[str, ...], left_out: list[str]
    ) -> None:
        self.root = root
        self.train = train
        self.classes = classes
        self.left_out = left_out
        self.visited = Visited()

    def of_each(
        self, places: Mapping[PartName, Path], act: Callable[[Path], _T]
    ) -> dict[PartName, _T]:
        """Return what ``act`` gives for each part, without a validation part that it refuses."""
        found: dict[PartName, _T] = {}
        for name, where in places.items():
            try:
                found[name] = act(where)
            except DataError as error:
                if name != "validation":
                    raise
                problem = error.problem.replace(f"{readable(self.root)}/", "")
                self.left_out.append(f"{self._short(where)}/ ({problem})")
        return found

    def enter(self, where: Path) -> Path:
        """Note a part's class folders, so that no link leads from one into another; return it."""
        self.visited.enter(where)
        self.visited.links += loops(where)
        names = set(folder_names(where))
        if strange := sorted(names - set(self.classes)):
            near = nearest(strange[0], self.classes, cutoff=0.9)
            hint = f" (it has {near[0]!r})" if near else ""
            raise DataError(
                f"{readable(where)} has the class {readable(strange[0])!r}, which "
                f"{readable(self.train)} has not{hint}; expected the same classes in both. Rename "
                "the folder or remove it."
            )
        for name in self.classes:
            known = self.visited.enter(where / name) if name in names else None
            if known is not None:
                raise DataError(
                    f"{readable(where / name)} and {readable(known)} are one folder; expected a "
                    "folder of its own for each class and part. Remove the link."
                )
        return where

    def part(self, where: Path) -> Part:
        """Return the images of a part, which was entered before."""
        stored = self.images(where)
        title = f"{self._short(where)}/"
        return Part(
            name=readable(where),
            title=title,
            labels=stored.labels,
            images=lambda rows, _: stored.select(rows),
        )

    def images(self, where: Path) -> EncodedImages:
        """Return the images of a part, not read yet, and report what else is there."""
        paths: list[str] = []
        labels: list[int] = []
        other: list[str] = []
        empty: list[str] = []
        here = set(folder_names(where))
        for label, name in enumerate(self.classes):
            if name not in here:
                continue
            files = files_below(where / name, self.visited)
            images = [path for path in files if ending(path) in SUFFIXES]
            if len(images) < len(files):
                other += [path for path in files if ending(path) not in SUFFIXES]
            if not images:
                empty.append(readable(name) + (f" ({endings(files)})" if files else ""))
            paths += images
            labels += [label] * len(images)
        if not paths:
            raise DataError(
                f"{readable(where)} holds no images; expected files ending in "
                f"{', '.join(SUFFIXES)} in its class folders."
                + (f" Its files are {endings(other)}." if other else "")
                + self._instead(where)
            )
        if empty:
            raise DataError(
                f"{readable(where)} has {len(empty)} class folder(s) without images: "
                f"{', '.join(empty[:5])}{', ...' if len(empty) > 5 else ''}. Add images (ending in "
                f"{', '.join(SUFFIXES)}) or remove the folder."
            )
        if other:
            self.left_out.append(
                f"{len(other):,} file(s) that do not end as images do ({endings(other)}), such as "
                f"{self._short(other[0])}"
            )
        if loose := loose_images(where):
            self.left_out.append(
                f"{len(loose):,} image(s) outside the class folders, such as "
                f"{self._short(loose[0])}"
            )
        names = [self._short(path) for path in paths]
        return EncodedImages(Files.of(paths), names, torch.tensor(labels, dtype=torch.int64))

    def _instead(self, where: Path) -> str:
        """Return what to do where the images to test on have no classes, as on Kaggle."""
        loose = 0 if where == self.train else len(loose_images(where))
        if not loose:
            return ""
        return (
            f" {loose:,} image(s) straight in it have no class: name another part to test on, as "
            f"in folder:PATH:val, or hold out a fifth with folder:{readable(self.train)}."
        )

    def passed_over(self) -> list[str]:
        """Return what was passed over while folders were read, a clause each."""
        clauses: list[str] = []
        for paths, words in (
            (self.visited.special, "pipe(s), socket(s) or device(s)"),
            (self.visited.links, "link(s) to folders that are read elsewhere"),
        ):
            if paths:
                clauses.append(f"{len(paths):,} {words}, such as {self._short(paths[0])}")
        return clauses

    def _short(self, path: Path | str) -> str:
        """Return a path below the root as text."""
        text = path_below(self.root, str(path))
        return text if text.isascii() else readable(text)
