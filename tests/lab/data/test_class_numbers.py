"""Classes that have numbers in place of names."""

from __future__ import annotations

import pytest
import torch

from mixwright.lab.data import DataError, Dataset, ImageSet, fit_classes, fitted


def made(classes: tuple[str, ...], *, labels: list[int]) -> Dataset:
    images = torch.zeros(len(labels), 3, 2, 2, dtype=torch.uint8)
    part = ImageSet(images, torch.tensor(labels))
    return Dataset(name="made", train=part, test=part, classes=classes, mean=(0.0,) * 3,
                   std=(1.0,) * 3, note="")  # fmt: skip


def test_numbers_in_place_of_names_are_compared_by_their_count_and_said() -> None:
    numbers, sentence = fit_classes(("cat", "dog"), ("0", "1"), what="run", where="set")
    assert numbers == (0, 1)
    assert sentence == (
        "run and set: set has no class names, so only the number of classes could be compared."
    )
    # Folders called by numbers lie in the order of the alphabet: 10 before 2.
    alphabet = tuple(sorted(map(str, range(12))))
    digits = tuple("abcdefghijkl")
    numbers, sentence = fit_classes(digits, alphabet)
    assert numbers[:4] == (0, 1, 10, 11)
    assert "the data has no class names" in sentence
    assert fit_classes(alphabet, digits)[0] == tuple(alphabet.index(str(k)) for k in range(12))
    # Two lists of numbers are names to each other, if there is anything to tell.
    assert fit_classes(tuple(map(str, range(12))), alphabet) == (numbers, "")
    assert "neither has class names" in fit_classes(("0", "1"), ("0", "1"))[1]
    assert fit_classes(("zero", "one"), ("one", "zero")) == ((1, 0), "")
    with pytest.raises(DataError, match=r"has 3 classes .* has 2 .*numbers in place of names"):
        fit_classes(("a", "b", "c"), ("0", "1"))
    with pytest.raises(DataError, match="1 of 2 classes that the model has not: '2'"):
        fit_classes(("0", "1"), ("1", "2"))


def test_data_take_the_numbers_of_the_model_and_the_names_that_there_are() -> None:
    alphabet = tuple(sorted(map(str, range(12))))
    data = made(alphabet, labels=list(range(12)))
    named, _ = fitted(data, tuple("abcdefghijkl"))
    assert named.classes == tuple("abcdefghijkl")
    assert named.test.labels.tolist() == [int(name) for name in alphabet]
    kept, _ = fitted(made(("cat", "dog"), labels=[1, 0]), ("0", "1"))
    assert (kept.classes, kept.test.labels.tolist()) == (("cat", "dog"), [1, 0])
    turned, sentence = fitted(made(("cat", "dog"), labels=[1, 0, 0]), ("dog", "cat"))
    assert (turned.classes, turned.test.labels.tolist()) == (("dog", "cat"), [0, 1, 1])
    assert sentence == ""
