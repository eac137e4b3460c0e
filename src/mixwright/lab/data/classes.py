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


def fit_classes(
    model: Sequence[str], data: Sequence[str], *, what: str = "the model", where: str = "the data"
) -> tuple[tuple[int, ...], str]:
    """Match classes by name, or by number where one side has numbers in place of names.

    Names that are the whole numbers from 0, in any order, are numbers: classes of parquet files
    without names are called so. Where both sides have numbers that differ, these are names.

    Returns:
        for each class of the data the model's label of it, and a sentence: empty where names
        agree, else that numbers alone could be compared.

    Raises:
        DataError: see ``match_classes``; or the counts differ where names are missing.

    Example:
        >>> fit_classes(("cat", "dog"), ("0", "1"))[0]
        (0, 1)
    """
    numbered = [_numbers(names) for names in (model, data)]
    decimal = all(name.isascii() and name.isdigit() for name in (*model, *data))
    if not any(numbered) or (decimal and tuple(model) != tuple(data)):
        return match_classes(model, data, what=what, where=where), ""
    if len(model) != len(data):
        raise DataError(
            f"{what} has {len(model)} classes ({class_list(model)}) and {where} has {len(data)} "
            f"({class_list(data)}); expected the same number, since one of them has numbers in "
            "place of names. Give the data that it was trained on."
        )
    owner = what if numbered[0] else where
    said = "neither has class names" if all(numbered) else f"{owner} has no class names"
    sentence = f"{what} and {where}: {said}, so only the number of classes could be compared."
    place = {number: label for label, number in enumerate(numbered[0] or range(len(model)))}
    return tuple(place[number] for number in numbered[1] or range(len(data))), sentence


def _numbers(names: Sequence[str]) -> tuple[int, ...]:
    """Return names as numbers, where they are 0, 1, ... in some order; else nothing."""
    found = tuple(int(name) for name in names if name.isascii() and name.isdigit())
    return found if sorted(found) == list(range(len(names))) else ()


def fitted(
    data: Dataset, classes: Sequence[str], *, what: str = "the model", where: str = "the data"
) -> tuple[Dataset, str]:
    """Return data in the numbering of a model, and the sentence of ``fit_classes``."""
    numbers, sentence = fit_classes(classes, data.classes, what=what, where=where)
    if not sentence:
        return with_classes(data, classes, what=what, where=where), ""
    own = dict(zip(numbers, data.classes, strict=True))
    found = with_classes(data, [own[number] for number in range(len(classes))])
    if _numbers(data.classes):  # only the model has names
        found = replace(found, classes=tuple(classes))
    return found, sentence
