"""The identity of data, by names and content and never by path: kept with a run, compared later."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from mixwright.checkpoint import tensor_bytes
from mixwright.lab.data.chunks import images_in
from mixwright.lab.data.classes import class_list
from mixwright.lab.data.lazy import LazyImages

if TYPE_CHECKING:
    from torch import Tensor

    from mixwright.lab.data.sets import Dataset, ImageSet

CONTENT, ENCODED, LISTING = "pixels", "encoded content", "names and sizes"

_MEBIBYTES = 64  # of pixels that are copied at a time
_SAMPLE = 64  # files of a large folder that are read, and at least one of each class
_MOST = 3  # differences in a message


@dataclass(frozen=True, kw_only=True)
class PartIdentity:
    """Images to train, to choose or to test on.

    Args:
        by: what digests are of: ``pixels``, or of images that are too many to be decoded at once
            ``encoded content`` or, where they are files, ``names and sizes``.
        counts: images of each class, by name.
        digests: of the images of each class, in their order.
        order: digest of the order in which classes follow one another.
        times: digest of when files were changed, where not all are read; else empty.
    """

    by: str
    counts: dict[str, int]
    digests: dict[str, str]
    order: str
    times: str = ""


@dataclass(frozen=True, kw_only=True)
class DataIdentity:
    """A data set by its content.

    Args:
        shape: of an image.
        classes: names, by label.
        parts: ``train``, ``test`` and perhaps ``validation``.
    """

    shape: tuple[int, ...]
    classes: tuple[str, ...]
    parts: dict[str, PartIdentity]

    @property
    def digest(self) -> str:
        """One name for all of it, in hex digits; the times of files do not count."""
        fields = asdict(self)
        for part in fields["parts"].values():
            del part["times"]
        return _digest([json.dumps(fields, sort_keys=True).encode()])


_KNOWN: WeakKeyDictionary[Dataset, DataIdentity] = WeakKeyDictionary()


def data_identity(data: Dataset) -> DataIdentity:
    """Return what a data set is by its content; worked out once for each set.

    Images in memory count pixel by pixel. Of those on disk, which would take hours to read, the
    names below the set's folder, sizes and times of all files count, and the content of a few.
    """
    if data not in _KNOWN:
        parts = {"train": data.train, "test": data.test, "validation": data.validation}
        _KNOWN[data] = DataIdentity(
            shape=tuple(data.train.shape),
            classes=data.classes,
            parts={
                name: _identified(part, data.classes)
                for name, part in parts.items()
                if part is not None
            },
        )
    return _KNOWN[data]


def differences(there: DataIdentity, here: DataIdentity) -> list[str]:
    """Return how data differ from earlier data, a clause each; nothing where they are the same.

    Files that were only changed at another time do not differ: see ``only_times_differ``.
    """
    found = list[str]()
    for names, others, what in (
        (here.classes, there.classes, "new"),
        (there.classes, here.classes, "gone"),
    ):
        odd = [name for name in names if name not in others]
        if odd:
            plural = f"{len(odd)} classes are {what}: " if len(odd) > 1 else f"{what} is the class "
            found.append(f"{plural}{class_list(odd)}")
    if not found and there.classes != here.classes:
        found.append(
            f"classes have other numbers ({class_list(there.classes)} there, "
            f"{class_list(here.classes)} now)"
        )
    if there.shape != here.shape:
        found.append(f"images are {there.shape} there, {here.shape} now")
    for name in dict.fromkeys([*there.parts, *here.parts]):
        if name not in here.parts or name not in there.parts:
            found.append(f"a part {name} is {'new' if name in here.parts else 'gone'}")
        else:
            found += [
                f"{name}: {clause}" for clause in _changed(there.parts[name], here.parts[name])
            ]
    return found


def only_times_differ(there: DataIdentity, here: DataIdentity) -> bool:
    """Whether names, sizes and sampled content of files agree, but not when they were changed."""
    times = [{name: part.times for name, part in it.parts.items()} for it in (there, here)]
    return there.digest == here.digest and times[0] != times[1]


def in_a_sentence(clauses: list[str]) -> str:
    """Return the first few differences."""
    more = f"; and {len(clauses) - _MOST} more" if len(clauses) > _MOST else ""
    return "; ".join(clauses[:_MOST]) + more


def check_counts(identity: DataIdentity, data: Dataset) -> None:
    """Refuse data that changed between two readings of it, as far as their numbers show.

    Raises:
        ValueError: another number of images in a class, or other classes.
    """
    for name, part in (("train", data.train), ("test", data.test)):
        counts = _counts(part.labels, data.classes)
        if counts != identity.parts[name].counts:
            raise ValueError(
                f"data set {data.name!r} changed while it was in use: {name} had "
                f"{sum(identity.parts[name].counts.values()):,} images and has "
                f"{sum(counts.values()):,} now, or other classes. Start again when it is complete."
            )


def _changed(there: PartIdentity, here: PartIdentity) -> list[str]:
    common = [name for name in there.counts if name in here.counts]
    found = [
        f"{there.counts[name]:,} images of class {name!r} there, {here.counts[name]:,} now"
        for name in common
        if there.counts[name] != here.counts[name]
    ]
    if there.by != here.by:
        return [*found, f"read by {there.by} there, by {here.by} now"]
    owner = {digest: name for name, digest in there.digests.items()}
    for name in common:
        if there.counts[name] != here.counts[name] or there.digests[name] == here.digests[name]:
            continue
        other = owner.get(here.digests[name])
        found.append(
            f"class {name!r} has the images that class {other!r} had"
            if other is not None
            else f"class {name!r} has other images, or the same in another order"
        )
    if not found and there.order != here.order:
        found.append("the same images in another order")
    return found


def _identified(part: ImageSet | LazyImages, classes: tuple[str, ...]) -> PartIdentity:
    labels = part.labels.cpu()
    rows_of = {name: (labels == label).nonzero()[:, 0] for label, name in enumerate(classes)}
    order = _digest([json.dumps([classes[label] for label in labels.tolist()]).encode()])
    counts = _counts(labels, classes)
    if not isinstance(part, LazyImages):
        pixels = part.images.cpu()
        chunk = images_in(_MEBIBYTES, part.shape)
        digests = {
            name: _digest(tensor_bytes(pixels[some]) for some in rows.split(chunk))
            for name, rows in rows_of.items()
        }
        return PartIdentity(by=CONTENT, counts=counts, digests=digests, order=order)
    stored = part.stored
    entries: list[bytes] = []
    times: list[bytes] = []
    listing = getattr(stored.encoded, "listing", None)  # of files in files
    for name, found in zip(stored.names, listing() if listing else stored.encoded, strict=True):
        if isinstance(found, bytes):  # one held at a time
            entries.append(_digest([found]).encode())
            continue
        size, changed = found if isinstance(found, tuple) else _size_and_time(found)
        entries.append(f"{name} {size}\n".encode())
        times.append(f"{changed} ".encode())
    share = max(1, _SAMPLE // len(classes))
    return PartIdentity(
        by=LISTING if times else ENCODED,
        counts=counts,
        digests={
            name: _digest(
                [
                    *(entries[row] for row in rows.tolist()),
                    *(
                        _content(stored.encoded[row], counted=listing is None)
                        for row in _spread(rows.tolist(), share)
                    ),
                ]
            )
            for name, rows in rows_of.items()
        },
        order=order,
        times=_digest(times),
    )


def _size_and_time(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def _content(file: Path | bytes, *, counted: bool) -> bytes:
    """Return what is in a file; nothing where what is there already was counted whole."""
    if isinstance(file, Path):
        return file.read_bytes()
    return b"" if counted else file


def _spread(rows: list[int], count: int) -> list[int]:
    """Return at most ``count`` rows, evenly spaced from the first on."""
    return rows[:: max(1, -(-len(rows) // count))]


def _counts(labels: Tensor, classes: tuple[str, ...]) -> dict[str, int]:
    found = labels.cpu().bincount(minlength=len(classes)).tolist()
    return dict(zip(classes, found, strict=True))


def _digest(parts: Iterable[bytes]) -> str:
    # Twice as fast as SHA-256 in pure software; nobody forges their own images.
    whole = hashlib.blake2b(digest_size=16)
    for part in parts:
        whole.update(part)
    return whole.hexdigest()
