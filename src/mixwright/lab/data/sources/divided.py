"""The user's own images, whatever holds them: parts divided and brought to pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mixwright.lab.data.errors import DataError
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.memory import decoded_sets, decoded_validation
from mixwright.lab.data.parts import PartName
from mixwright.lab.data.source import Request, Source
from mixwright.lab.data.subset import split_rows, train_rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One part of a data set before its images are read.

    Args:
        name: how messages call it, e.g. its folder.
        title: how the note and the summary call it, without where it lies.
        labels: ``(M,)`` int64; or names, until they are numbered.
        images: returns those of some rows, rising, with their labels, both given.
    """

    name: str
    title: str
    labels: Tensor | Sequence[str]
    images: Callable[[Tensor, Tensor], EncodedImages]

    @property
    def numbers(self) -> Tensor:
        """The labels, which are numbers by now."""
        assert isinstance(self.labels, Tensor)
        return self.labels

    def select(self, rows: Tensor) -> EncodedImages:
        """Return the images of some rows, rising."""
        return self.images(rows, self.numbers[rows])


def divided_source(
    parts: Mapping[PartName, Part],
    *,
    classes: Sequence[str],
    where: str,
    title: str,
    split: str,
    request: Request,
) -> Source:
    """Return the parts brought to pixels; with none to test on, hold out a fifth of each class.

    ``where`` names the data for messages, ``title`` for the note, ``split`` says which parts these
    are. A validation part with a class that is not trained on is left out, which is reported.

    Raises:
        DataError: there are fewer than two classes, or what is tested on has another.
    """
    train, test, validation = parts["train"], parts.get("test"), parts.get("validation")
    labels = train.numbers
    present: list[int] = labels.unique().tolist()
    if len(present) < 2:
        raise DataError(
            f"{train.name} has images of one class, {classes[present[0]]!r}; expected images of at "
            "least two classes."
        )
    rows = torch.arange(len(labels))
    if test is None:
        rows, test_rows = split_rows(labels)
        if not len(test_rows):
            raise DataError(f"{where}: every class has a single image; none is left to test on.")
        test = train
        split = "a fifth of each class held out for testing, a fixed choice"
    else:
        test_rows = torch.arange(len(test.numbers))
        if strange := _strange(test, train, classes):
            raise DataError(
                f"{strange}; expected the same classes in both. Rename the class or remove it."
            )
    if validation is not None and (strange := _strange(validation, train, classes)):
        request.left_out.append(f"{validation.title} ({strange})")
        validation = None
    chosen, cut = train_rows(labels[rows], request.train_size)
    train_set, test_set, clause = decoded_sets(
        train.select(rows[chosen]), test.select(test_rows), request
    )
    validation_set = None
    if validation is not None:
        every = validation.select(torch.arange(len(validation.numbers)))
        validation_set = decoded_validation(every, train_set, test_set, request)
        split += f", {validation.title} to choose by"
    return Source(
        train=train_set,
        test=test_set,
        validation=validation_set,
        classes=tuple(classes),
        note=f"{title}: {split}{cut}; {clause}",
    )


def _strange(part: Part, train: Part, classes: Sequence[str]) -> str:
    """Return which class of a part is not trained on; nothing where all are."""
    seen = train.numbers.bincount(minlength=len(classes)) > 0
    strange = [classes[label] for label in part.numbers[~seen[part.numbers]].unique().tolist()]
    if not strange:
        return ""
    more = f" and {len(strange) - 1:,} more" if len(strange) > 1 else ""
    return f"{part.name} has the class {strange[0]!r}{more}, which {train.name} has not"
