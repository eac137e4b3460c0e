"""Classes of a model and of data, matched by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from mixwright.lab.data.errors import DataError

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset

_MOST = 5  # names in a message


def match_classes(
    model: Sequence[str], data: Sequence[str], *, what: str = "the model", where: str = "the data"
) -> tuple[int, ...]:
    """Return, for each class of some data, the label that a model has for the class of that name.

    Data may have the model's classes in another order, or only some of them.

    Args:
        model: names of the model's classes, by label.
        data: names of the data's classes, by label.
        what: how messages call the model.
        where: how messages call the data.

    Raises:
        DataError: the data have a class that the model has not, or names are not unique in one of
            two lists that differ.

    Example:
        >>> match_classes(("cat", "dog", "hen"), ("hen", "cat"))
        (2, 0)
    """
    if tuple(model) == tuple(data):
        return tuple(range(len(data)))
    for owner, names in ((what, model), (where, data)):
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise DataError(
                f"{owner} has {len(twice)} class name(s) more than once ({class_list(twice)}), so "
                "classes cannot be matched by name; expected distinct names. Rename these classes."
            )
    number_of = {name: number for number, name in enumerate(model)}
    if strange := [name for name in data if name not in number_of]:
        raise DataError(
            f"{where} has {len(strange)} of {len(data)} classes that {what} has not: "
            f"{class_list(strange)}; {what} has the {len(model)} classes {class_list(model)}. "
            "Classes are matched by name: rename those that are meant to be the same, and take the "
            "others out."
        )
    return tuple(number_of[name] for name in data)


def with_classes(
    data: Dataset, classes: Sequence[str], *, what: str = "the model", where: str = "the data"
) -> Dataset:
    """Return data with the labels and class names of a model; see ``match_classes``.

    Classes of the model that the data have not are listed and have no images. Data whose classes
    are those of the model already, in its order, are returned as they are.
    """
    if tuple(classes) == data.classes:
        return data
    numbers = torch.tensor(match_classes(classes, data.classes, what=what, where=where))
    return replace(
        data,
        classes=tuple(classes),
        train=data.train.relabelled(numbers),
        test=data.test.relabelled(numbers),
        validation=None if data.validation is None else data.validation.relabelled(numbers),
    )


def class_list(names: Sequence[str]) -> str:
    """Return the first few names of classes, for messages.

    Example:
        >>> class_list("abcdefg")
        "'a', 'b', 'c', 'd', 'e', ... (7 in all)"
    """
    listed = ", ".join(repr(name) for name in names[:_MOST])
    return listed if len(names) <= _MOST else f"{listed}, ... ({len(names)} in all)"
