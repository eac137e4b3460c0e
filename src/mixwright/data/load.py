"""A data set by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mixwright.data.errors import DataError
from mixwright.data.names import parse_data
from mixwright.data.sets import Dataset
from mixwright.data.source import Request, Source
from mixwright.data.statistics import channel_statistics


def load_data(
    spec: str,
    *,
    data_dir: str | Path | None = None,
    train_size: int | None = None,
    image_size: int | None = None,
    download: bool = True,
    skip_unreadable: bool = False,
    on_message: Callable[[str], None] | None = None,
) -> Dataset:
    """Images to train and to test on, by name.

    Which images are held out, and which are left when fewer are asked for, is decided by fixed
    seeds: the same name and numbers give the same images in every run. Means and deviations are
    those of the images trained on.

    Args:
        spec: a name in ``DATA_SETS``, with the user's path for PATH.
        data_dir: folder that holds the files of ``cifar10`` and ``cifar100``, or gets them; the
            user's cache folder by default. The other sets do not read it.
        train_size: images to train on, each class keeping its share; all of them by default
            (``digits``: 100).
        image_size: height and width in pixels. By default 32 for digits and CIFAR; for the
            user's own images the size they share if they are square and all alike, else 224.
        download: whether a missing file may be fetched.
        skip_unreadable: leave out images that cannot be read instead of refusing the set; how
            many is told to ``on_message`` and stands in the note.
        on_message: is told what is going on, a sentence at a time.

    Returns:
        The data set, on the CPU; images are uint8.

    Raises:
        DataError: the set cannot be had; the message says what to do.

    Example:
        >>> digits = load_data("digits")
        >>> len(digits.train), len(digits.test), digits.train.shape
        (100, 797, (3, 32, 32))
    """
    name = parse_data(spec)
    for word, value in (("train_size", train_size), ("image_size", image_size)):
        if value is not None and value < 1:
            raise DataError(f"{word} is {value}; expected at least 1.")
    request = Request(
        data_dir=None if data_dir is None else Path(data_dir).expanduser(),
        train_size=train_size,
        image_size=image_size,
        download=download,
        skip_unreadable=skip_unreadable,
        say=on_message or (lambda message: None),
    )
    try:
        source = _source(name.kind, name.path, request)
    except ModuleNotFoundError as error:
        raise DataError(
            f"data set {spec!r} needs {error.name}, which is not installed; install the extra: "
            "pip install 'mixwright[lab]'"
        ) from error
    except OSError as error:
        raise DataError(
            f"data set {spec!r} cannot be read: {error}. Check that its files may be read."
        ) from error
    mean, std = channel_statistics(source.train)
    return Dataset(
        name=spec,
        train=source.train,
        test=source.test,
        classes=source.classes,
        mean=mean,
        std=std,
        note=source.note + ".",
        mirrored=source.mirrored,
    )


def _source(kind: str, path: str, request: Request) -> Source:
    """Ask the kind; each is imported only when it is wanted."""
    if kind == "digits":
        from mixwright.data.digits import load_digits

        return load_digits(request)
    if kind == "folder":
        from mixwright.data.folder import load_folder

        return load_folder(Path(path).expanduser(), request)
    if kind == "parquet":
        from mixwright.data.parquet import load_parquet

        return load_parquet(Path(path).expanduser(), request)
    from mixwright.data.cifar import load_cifar

    return load_cifar(kind, request)
