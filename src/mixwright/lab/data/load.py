"""A data set by its name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.names import module_of, parse_data
from mixwright.lab.data.sets import Dataset
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.statistics import channel_statistics
from mixwright.lab.data.summary import left_out_sentence, summarise


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
    """Load images to train and to test on, by name.

    Which images are held out, and which are left when fewer are asked for, is decided by fixed
    seeds: the same name and numbers give the same images in every run. Means and deviations are
    those of the images trained on.

    Args:
        spec: a name in ``DATA_SETS``, with the user's own for PATH or NAME.
        data_dir: folder that holds the files of a named set, or gets them; the user's cache
            folder by default. ``digits``, ``folder`` and ``parquet`` do not read it.
        train_size: images to train on, each class keeping its share; all of them by default
            (``digits``: 100).
        image_size: height and width in pixels. By default 32 for digits and CIFAR, 64 for Tiny
            ImageNet and EuroSAT, 224 for sets of larger photographs; for the user's own images
            the size they share if they are square and all alike, else 224.
        download: whether a missing file may be fetched.
        skip_unreadable: leave out images that cannot be read instead of refusing the set; how
            many goes to ``on_message`` and stands in the note.
        on_message: called with what is going on, a sentence at a time.

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
        kind=name.kind,
        path=name.path,
        data_dir=None if data_dir is None else Path(data_dir).expanduser(),
        train_size=train_size,
        image_size=image_size,
        download=download,
        skip_unreadable=skip_unreadable,
        say=on_message or (lambda message: None),
    )
    try:
        module = module_of(name.kind)  # imported only when it is wanted
        sources = import_module(f"mixwright.lab.data.sources.{module}")
        source: Source = getattr(sources, f"load_{module}")(request)
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
    if request.left_out:
        request.say(left_out_sentence(request.left_out))
    return Dataset(
        name=spec,
        train=source.train,
        test=source.test,
        classes=source.classes,
        mean=mean,
        std=std,
        note=source.note + ".",
        mirrored=source.mirrored,
        validation=source.validation,
        summary=summarise(spec, source, request.left_out),
    )
