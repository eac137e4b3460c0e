"""Shards as WebDataset has them: tar files, in which files of one name are one sample.

Read by the place of each image (``tar_images``), not as a stream: so an epoch has the exact order
that its generator draws, every rank reads its own part, and a resumed run goes on bit by bit.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor

from mixwright.files import parse_json
from mixwright.lab.data.decode import SUFFIXES
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.parts import PartName, split_path
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.columns import EXPECTED_LABELS, Kind, label_column
from mixwright.lab.data.sources.divided import Part, divided_source
from mixwright.lab.data.sources.labels import number_parts
from mixwright.lab.data.sources.part_files import Found, part_files, sorted_parts
from mixwright.lab.data.sources.tar_images import Member, TarImages, members

CLASSES = "classes.txt"
"""A file beside the shards that names the classes of numbers, one a line."""

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_NUMBER = re.compile(r"-?[0-9]{1,18}")  # as many digits as 64 bits hold
_MOST_SHARDS = 1_000_000


def load_webdataset(request: Request) -> Source:
    """Return images and labels in tar files: one, a folder of them, or names with braces.

    Parts are known by the files' names as those of parquet files are, ``train-{000..012}.tar``; a
    part's name after the path and a colon is the part to test on. A sample is the files of one
    name up to its first dot: one image, and its class in ``.cls`` (a number or a name), else in
    a field of ``.json`` that is called as columns of labels are, else the folder that it lies in.
    Numbers are named by the lines of ``classes.txt`` beside the shards, where it is there.
    """
    path, wanted = split_path(request.path)
    head, _, part = request.path.rpartition(":")
    if head.endswith(".tar") and _BRACES.search(head):  # no path that is there
        path, wanted = Path(head).expanduser(), part
    words, files = _found(path, wanted, request.left_out)
    labelled = _Labels()
    read: dict[PartName, _Samples] = {
        name: _Samples([_Shard(file, members(file)) for file in some], labelled)
        for name, some in files.items()
    }
    whole_numbers = all(part.numbers for part in read.values())
    parts, classes = number_parts(
        {
            name: partial(_part, part, numbers=whole_numbers, title=f"{words[name]} files")
            for name, part in read.items()
        },
        classes=_class_names(files["train"][0].parent) if whole_numbers else (),
        what=labelled.what,
        sure=True,
        left_out=request.left_out,
    )
    for part in read.values():
        request.left_out.extend(part.left_out)
    return divided_source(
        parts,
        classes=classes,
        where=str(path),
        title=f"images of the shards {path.name or path}",
        split=f"files for train and {words.get('test')} as found",
        request=request,
    )


def _found(path: Path, wanted: str | None, left: list[str]) -> Found:
    if not _BRACES.search(str(path)) or path.exists():
        return part_files(path, wanted, left, suffix=".tar")
    names = expand_braces(str(path))
    if gone := [name for name in names if not Path(name).is_file()]:
        raise DataError(
            f"{len(gone):,} of the {len(names):,} files that {path} names are not there, such as "
            f"{gone[0]}; expected all of them. Change the numbers in braces."
        )
    files = [Path(name) for name in names]
    return sorted_parts(Path(os.path.commonpath([f.parent for f in files])), files, wanted, left,
                        suffix=".tar")  # fmt: skip


def expand_braces(text: str) -> list[str]:
    """Return the names that a text with braces stands for, as a shell would.

    Example:
        >>> expand_braces("{train,val}-{08..10}.tar")[:4]
        ['train-08.tar', 'train-09.tar', 'train-10.tar', 'val-08.tar']
    """
    pieces = _BRACES.split(text)  # plain text and what was in braces, in turn
    choices = [_choices(piece) if place % 2 else [piece] for place, piece in enumerate(pieces)]
    return ["".join(chosen) for chosen in product(*choices)]


def _choices(inner: str) -> list[str]:
    if (numbers := _RANGE.fullmatch(inner)) is None:
        return inner.split(",")
    first, last = numbers.groups()
    width = len(first) if first.startswith("0") or len(first) == len(last) else 0
    low, high = int(first), int(last)
    if abs(high - low) >= _MOST_SHARDS:
        raise DataError(
            f"{{{inner}}} names {abs(high - low) + 1:,} files; expected at most {_MOST_SHARDS:,}. "
            "Name the folder that they lie in."
        )
    down = range(low, high - 1, -1)
    return [f"{number:0{width}}" for number in (range(low, high + 1) if low <= high else down)]


@dataclass(frozen=True)
class _Shard:
    file: Path
    members: list[Member]

    def samples(self) -> Iterator[dict[str, Member]]:
        """Yield the files of each sample by their endings."""
        found: dict[str, dict[str, Member]] = {}
        for member in self.members:
            path = PurePosixPath(member.name)
            stem, dot, ending = path.name.partition(".")
            sample = found.setdefault(str(path.parent / stem), {})
            if dot and sample.setdefault(ending.lower(), member) is not member:
                raise DataError(
                    f"{self.file} holds {member.name} twice; expected one sample of each name. "
                    "Give every sample a name of its own."
                )
        yield from found.values()


@dataclass
class _Labels:
    """Where the classes of all samples stand, once the first was looked at."""

    ending: str | None = None
    field: str = ""

    @property
    def what(self) -> str:
        """Where they stand, for messages."""
        return {"cls": ".cls", "json": f"{self.field!r} of .json"}.get(self.ending or "", "folders")

    def of(self, sample: dict[str, Member], image: Member, file: Any, where: str) -> str:
        """Return the class of a sample, as text."""
        if self.ending is None:
            self.ending = next((kind for kind in ("cls", "json") if kind in sample), "")
        if not self.ending:
            return _folder(image, where)
        if self.ending not in sample:
            raise DataError(
                f"{where} has no .{self.ending}, which other samples have; expected the class of "
                "each there. Add it, or take the sample away."
            )
        text = _content(file, sample[self.ending])
        if self.ending == "json":
            text = self._in_json(text, where)
        try:
            label = text.decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            label = ""
        if not label:
            raise DataError(f"{where} has no class in {self.what}; expected a number or a name.")
        return label

    def _in_json(self, text: bytes, where: str) -> bytes:
        try:
            read = parse_json(text)
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise DataError(f"{where}: its .json is no JSON object; expected one with a label.")
        kinds = {str(key): _kind(value) for key, value in read.items()}
        self.field = self.field or label_column(kinds) or ""
        if kinds.get(self.field, Kind.OTHER) is Kind.OTHER:
            raise DataError(f"{where} has {', '.join(kinds)} in its .json; {EXPECTED_LABELS}")
        return str(read[self.field]).encode()


def _kind(value: Any) -> Kind:
    if isinstance(value, int) and not isinstance(value, bool):
        return Kind.NUMBER
    return Kind.TEXT if isinstance(value, str) else Kind.OTHER


def _folder(image: Member, where: str) -> str:
    parent = str(PurePosixPath(image.name).parent).removeprefix("./")
    if parent in ("", "."):
        raise DataError(
            f"{where} has neither .cls nor .json beside it and lies in no folder; expected its "
            "class in one of the three. Write it as NAME.cls."
        )
    return parent


def _content(file: Any, member: Member) -> bytes:
    file.seek(member.offset)
    return file.read(member.size)


@dataclass(eq=False)
class _Samples:
    """The samples of one part: where their images are, what they are called, and their classes."""

    shards: list[_Shard]
    labelled: _Labels
    places: list[tuple[int, int, int]] = field(default_factory=lambda: [])
    names: list[str] = field(default_factory=lambda: [])
    labels: list[str] = field(default_factory=lambda: [])
    left_out: list[str] = field(default_factory=lambda: [])

    def __post_init__(self) -> None:
        without: list[str] = []
        for number, shard in enumerate(self.shards):
            with shard.file.open("rb") as file:
                for sample in shard.samples():
                    images = [sample[kind] for kind in sample if f".{kind}" in SUFFIXES]
                    where = f"{shard.file.name}/{next(iter(sample.values())).name}"
                    if not images:
                        without.append(where)
                        continue
                    if len(images) > 1:
                        raise DataError(
                            f"{where} is a sample of {len(images)} images ({images[1].name}); "
                            "expected one. Give each a name of its own."
                        )
                    image = images[0]
                    where = f"{shard.file.name}/{image.name}"
                    self.labels.append(self.labelled.of(sample, image, file, where))
                    self.places.append((number, image.offset, image.size))
                    self.names.append(where)
        if without:
            self.left_out.append(
                f"{len(without):,} sample(s) without an image, such as {without[0]}"
            )

    @property
    def numbers(self) -> bool:
        """Whether all classes are numbers."""
        return self.labelled.ending != "" and all(map(_NUMBER.fullmatch, self.labels))

    def images(self, rows: Tensor, labels: Tensor) -> EncodedImages:
        """Return the images of some rows, with their labels."""
        import numpy as np

        chosen: list[int] = rows.tolist()
        places = np.array([self.places[row] for row in chosen], np.int64).reshape(-1, 3)
        encoded = TarImages([shard.file for shard in self.shards], places)
        return EncodedImages(encoded, [self.names[row] for row in chosen], labels)


def _part(samples: _Samples, *, numbers: bool, title: str) -> Part:
    files = [str(shard.file) for shard in samples.shards]
    return Part(
        name=f"{files[0]} and its like" if len(files) > 1 else files[0],
        title=title,
        labels=torch.tensor([int(label) for label in samples.labels])
        if numbers
        else samples.labels,
        images=samples.images,
    )


def _class_names(folder: Path) -> Sequence[str]:
    """Return the names of numbers, by number; nothing where they have none."""
    file = folder / CLASSES
    if not file.is_file():
        return ()
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(
            f"{file} is not UTF-8; expected a class a line. Save it as UTF-8."
        ) from None
    lines = [line.strip() for line in text.splitlines()]
    names = [line for line in lines if line]
    if len({*names}) < len(names):
        raise DataError(f"{file} names a class twice; expected a name of its own for each.")
    return names
