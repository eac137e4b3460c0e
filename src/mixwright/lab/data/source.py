"""What every kind of data set is asked for, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixwright.lab.data.lazy import LazyImages
    from mixwright.lab.data.sets import ImageSet


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of ``load_data``, for the kind of data set that reads them.

    Args:
        kind: the word before the colon of the name, such as ``cifar10``.
        path: what follows the colon, a path or a name; empty where there is none.
        data_dir: where its files lie; None for the user's cache.
        say: ``on_message``; called with what is going on, a sentence at a time.
    """

    kind: str
    path: str
    data_dir: Path | None
    train_size: int | None
    image_size: int | None
    download: bool
    skip_unreadable: bool
    say: Callable[[str], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """What a kind of data set returns: the fields of ``Dataset`` that it knows.

    Args:
        train: images to train on, already cut down to ``train_size``.
        test: images to test on.
        classes: names of the classes, by label.
        note: origin and protocol, without a full stop.
        mirrored: whether an image may be flipped left to right.
    """

    train: ImageSet | LazyImages
    test: ImageSet | LazyImages
    classes: tuple[str, ...]
    note: str
    mirrored: bool = True
