"""What every kind of data set is asked for, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mixwright.lab.data.lazy import LazyImages
    from mixwright.lab.data.sets import ImageSet


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of ``load_data``, its name taken apart; ``say`` is ``on_message``.

    ``left_out`` gets what of the data is not used, and why, a clause each.
    ``whole`` asks for all images to train on, also of a set that gives fewer by default.
    ``centre_crop`` is the share of each image that is looked at; see ``load_data``.
    ``photo_size`` is the side of the user's own images where they do not share a smaller one.
    """

    kind: str
    path: str
    data_dir: Path | None
    train_size: int | None
    image_size: int | None
    download: bool
    skip_unreadable: bool
    say: Callable[[str], None]
    left_out: list[str] = field(default_factory=lambda: [])
    whole: bool = False
    photo_size: int | None = None
    centre_crop: float | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """What a kind of data set returns: the fields of ``Dataset`` that it knows.

    ``train`` is cut down to ``train_size`` already; ``note`` has no full stop.
    """

    train: ImageSet | LazyImages
    test: ImageSet | LazyImages
    classes: tuple[str, ...]
    note: str
    mirrored: bool = True
    validation: ImageSet | LazyImages | None = None
    withheld: str = ""
