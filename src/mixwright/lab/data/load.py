"""A data set by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.names import module_of, parse_data
from mixwright.lab.data.sets import Dataset
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.sources.digits import DEFAULT_LABELS
from mixwright.lab.data.statistics import channel_statistics
from mixwright.lab.data.subset import split_rows, stratified_rows
from mixwright.lab.data.summary import left_out_sentence, summarise


def load_data(
    spec: str,
    *,
    data_dir: str | Path | None = None,
    train_size: int | None = None,
    subset_seed: int | None = None,
    val_share: float = 0.0,
    image_size: int | None = None,
    photo_size: int | None = None,
    centre_crop: float | None = None,
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
            folder by default. ``digits``, ``folder``, ``csv`` and ``parquet`` do not read it.
        train_size: images to train on, each class keeping its share; all of them by default
            (``digits``: 100).
        subset_seed: draws the ``train_size`` images by this seed instead; None for the choice that
            is the same in every run.
        val_share: part of the images to train on, in [0, 1), of each class and the same whatever
            the seed, that becomes ``validation``; 0 for none but the set's own.
        image_size: height and width in pixels. By default 32 for digits and CIFAR, 64 for Tiny
            ImageNet and EuroSAT, 224 for sets of larger photographs; for the user's own images
            the size they share if they are square and all alike, else 224.
        photo_size: with no ``image_size``, height and width of the user's own images that do not
            share a square size, or a larger one than this; None for the above. Named sets keep
            theirs.
        centre_crop: share of the area of each image, in (0, 1], of the square in its centre that is
            cut out and brought to the wanted size, so that objects are larger. ``OriginalCrop``
            still cuts from the whole images. None for what each set has usually.
        download: whether a missing file may be fetched.
        skip_unreadable: leave out images that cannot be read instead of refusing the set; how
            many goes to ``on_message`` and stands in the note.
        on_message: called with what is going on, a sentence at a time.

    Returns:
        The data set, on the CPU; images are uint8.

    Raises:
        DataError: the set cannot be loaded; the message says what to do.

    Example:
        >>> digits = load_data("digits")
        >>> len(digits.train), len(digits.test), digits.train.shape
        (100, 797, (3, 32, 32))
    """
    name = parse_data(spec)
    numbers = {"train_size": train_size, "image_size": image_size, "photo_size": photo_size}
    for word, value in numbers.items():
        if value is not None and value < 1:
            raise DataError(f"{word} is {value}; expected at least 1.")
    if centre_crop is not None and not 0 < centre_crop <= 1:
        raise DataError(f"centre_crop is {centre_crop:g}; expected a share in (0, 1].")
    if not 0 <= val_share < 1:
        raise DataError(f"val_share is {val_share:g}; expected a share in [0, 1).")
    wanted = train_size
    if subset_seed is not None:
        wanted = train_size or (DEFAULT_LABELS if name.kind == "digits" else None)
        if wanted is None:
            raise DataError(
                "the images to train on are to be drawn by the seed (subset_seeds), but train_size "
                "is not given, so that all are taken; expected fewer than there are. Give "
                "--train-size, or leave --subset-seeds out."
            )
    request = Request(
        kind=name.kind,
        path=name.path,
        data_dir=None if data_dir is None else Path(data_dir).expanduser(),
        train_size=train_size if subset_seed is None else None,
        whole=subset_seed is not None,
        image_size=image_size,
        photo_size=photo_size,
        centre_crop=centre_crop,
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
    if subset_seed is not None and wanted is not None:
        source = _drawn(source, wanted, subset_seed)
    if val_share:
        source = _held_out(source, val_share, fixed=subset_seed is None)
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
        withheld=source.withheld,
    )


def _drawn(source: Source, size: int, seed: int) -> Source:
    """Draw the images to train on by a seed; the note is the same for all seeds."""
    count = len(source.train)
    if size >= count:
        raise DataError(
            f"train_size is {size:,} of {count:,} images to train on, so there is nothing for the "
            "seed to draw (subset_seeds); expected fewer. Give a smaller --train-size, or leave "
            "--subset-seeds out."
        )
    rows = stratified_rows(source.train.labels, size, seed=seed)
    note = f"{source.note}; {size:,} of the {count:,} images to train on, drawn by each run's seed"
    return replace(source, train=source.train.subset(rows), note=note)


def _held_out(source: Source, share: float, *, fixed: bool) -> Source:
    """Hold a share of the images to train on out, for validation; ``fixed`` for every seed."""
    if source.validation is not None:
        raise DataError(
            f"val_share is {share:g}, but the data have a validation part of their own with "
            f"{len(source.validation):,} images, which is used; expected 0. Leave --val-share out."
        )
    rows, held = split_rows(source.train.labels, test_share=share)
    if not len(held):
        raise DataError(
            f"val_share is {share:g} of {len(source.train):,} images to train on, which is not one "
            "of any class; expected a larger share. Give a larger --val-share."
        )
    note = f"{source.note}; {len(held):,} of the {len(source.train):,} images to train on are "
    note += "held out to choose the best epoch on" + (", the same in every run" if fixed else "")
    train = source.train
    return replace(source, train=train.subset(rows), validation=train.subset(held), note=note)
