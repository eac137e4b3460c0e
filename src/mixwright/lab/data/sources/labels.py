"""One rule for labels, wherever they stand: numbers or names, checked before an image is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from mixwright.lab.data.classes import match_classes
from mixwright.lab.data.errors import DataError
from mixwright.lab.data.parts import PartName
from mixwright.lab.data.sources.divided import Part

_UNLABELLED = "A part without labels (-1) cannot be used: take it away."


def number_parts(
    parts: Mapping[PartName, Callable[[], Part]],
    *,
    classes: Sequence[str],
    what: str,
    sure: bool,
    left_out: list[str],
) -> tuple[dict[PartName, Part], tuple[str, ...]]:
    """Return the parts with numbers for labels, and the names of the classes.

    Args:
        parts: reads each part; labels are numbers, or names, of which those trained on are the
            classes in their order.
        classes: names of numbers, by number; empty where they have none.
        what: where the labels stand, for messages.
        sure: whether the name of their column says that these are labels; false where it was taken
            as the only one of whole numbers.
        left_out: gets a clause that says why a validation part cannot be used.

    Raises:
        DataError: labels to train or to test on are no classes.
    """
    train = _filled(parts["train"]())
    if isinstance(train.labels, Tensor):
        classes = tuple(classes) or _numbered(train, train.labels, what=what, sure=sure)
    else:
        classes = _in_order(set(train.labels))
    found: dict[PartName, Part] = {}
    for role, read in parts.items():
        try:
            part = train if role == "train" else _filled(read())
            found[role] = replace(part, labels=_checked(part, classes, what=what))
        except DataError as error:
            if role != "validation":
                raise
            left_out.append(f"the validation part ({error.problem})")
    return found, tuple(classes)


def _filled(part: Part) -> Part:
    if not len(part.labels):
        raise DataError(f"{part.name} holds no rows; expected at least one.")
    return part


def _in_order(names: set[str]) -> tuple[str, ...]:
    """Return names of classes in the order of the alphabet, or of the numbers that all are."""
    numbers = all(name.isascii() and name.isdigit() for name in names)
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if numbers else None))


def renumbered(
    labels: Tensor, own: Sequence[str], classes: Sequence[str], *, where: str, what: str
) -> Tensor:
    """Return labels in the numbering of ``classes``, matched by name.

    ``own`` are the names of the labels as they are in ``where``. Labels stay as they are where one
    side has no names.
    """
    if not own or not classes or tuple(own) == tuple(classes):
        return labels
    numbers = match_classes(classes, own, what="the first file or split", where=where)
    low, high = (int(value) for value in labels.aminmax()) if len(labels) else (0, 0)
    if low < 0 or high >= len(own):
        raise DataError(
            f"{where} has labels from {low} to {high} in {what}; expected 0 to {len(own) - 1}."
        )
    return torch.tensor(numbers)[labels]


def _numbered(part: Part, labels: Tensor, *, what: str, sure: bool) -> tuple[str, ...]:
    """Return names for classes that are numbers, from 0 to the highest that is trained on."""
    low, high = (int(value) for value in labels.aminmax())
    count = len(labels)
    hint = "Is this the column of labels? Number the classes 0, 1, 2, ..., or write their names."
    if low < 0 or high >= count:
        raise DataError(
            f"{part.name} has labels from {low} to {high} in {what} for {count:,} images; expected "
            f"class numbers from 0, no more than images. {_UNLABELLED if low < 0 else hint}"
        )
    if not sure and count > 2 and len(labels.unique()) == count:
        raise DataError(
            f"{part.name} has another number in {what} for each of its {count:,} images; expected "
            f"class numbers. {hint}"
        )
    return tuple(str(label) for label in range(high + 1))


def _checked(part: Part, classes: Sequence[str], *, what: str) -> Tensor:
    """Return the numbers of a part's labels, all of which are classes."""
    labels = part.labels
    if not isinstance(labels, Tensor):
        number_of = {name: number for number, name in enumerate(classes)}
        if strange := sorted(set(labels) - set(classes)):
            more = f" and {len(strange) - 1:,} more" if len(strange) > 1 else ""
            raise DataError(
                f"{part.name} has the class {strange[0]!r}{more}, which is not trained on; "
                "expected the same classes in all parts. Rename the class or remove its rows."
            )
        return torch.tensor([number_of[name] for name in labels])
    low, high = (int(value) for value in labels.aminmax())
    if low < 0 or high >= len(classes):
        raise DataError(
            f"{part.name} has labels from {low} to {high} in {what}; expected 0 to "
            f"{len(classes) - 1}. {_UNLABELLED if low < 0 else 'Only these are trained on.'}"
        )
    return labels
