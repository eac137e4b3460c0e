from pathlib import Path

import pytest

from mixwright.lab.data import DataError
from mixwright.lab.data.parts import Parts, choose_parts, find_part, split_path


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (
            "train Train TRAIN training Training_set train-images trainset seg_train train2017",
            "train",
        ),
        ("test Test TESTING test_set seg-test testdata test1 test-00000-of-00001", "test"),
        ("val VAL valid validation dev Eval evaluation val_images valset", "validation"),
        ("cat trains latest attest devil value evaluate_me retrain contest valley 00001", None),
    ],
)
def test_names_of_parts(names: str, part: str | None):
    for name in names.split():
        assert find_part(name)[0] == part, name


def chosen(*names: str, wanted: str | None = None) -> Parts:
    return choose_parts(names, where="here", wanted=wanted)


@pytest.mark.parametrize(
    ("names", "train", "validation", "test"),
    [
        ("train test", "train", None, "test"),
        ("train val", "train", None, "val"),
        ("train val test", "train", "val", "test"),
        ("train dev test", "train", "dev", "test"),
        ("Train Test train", "train", None, "Test"),
        ("train valid val test", "train", "val", "test"),
        ("cars_train cars_test", "cars_train", None, "cars_test"),
        ("train test cars_train cars_test", "train", None, "test"),
        ("steam_train test_tube", None, None, None),
        ("steam_train steam", None, None, None),
        ("test val", None, "val", "test"),
        ("cat dog", None, None, None),
    ],
)
def test_parts_are_chosen(names: str, train: str, validation: str, test: str):
    found = chosen(*names.split())
    assert (found.train, found.validation, found.test) == (train, validation, test)
    assert {*found.left} | {train, validation, test} - {None} == {*names.split()}


@pytest.mark.parametrize(
    ("wanted", "test", "validation"),
    [("val", "val", None), ("dev", "val", None), ("test", "Test", "val"), ("more", "more", "val")],
)
def test_the_part_to_test_on_may_be_named(wanted: str, test: str, validation: str | None):
    found = chosen("train", "val", "Test", "more", wanted=wanted)
    assert (found.test, found.validation) == (test, validation)


@pytest.mark.parametrize(
    ("names", "wanted", "says"),
    [
        ("TRAIN Train test", None, "here has 2 parts that may be the train part: TRAIN, Train"),
        ("train Dev Eval", None, "2 parts that may be the validation part: Dev, Eval"),
        ("a_train a_test b_train b_test", None, "more than one data set: a_train, a_test, b_train"),
        ("train test", "vla", "'vla' is no part of it; expected one of its parts .*: test"),
        ("train test", "val", "'val' is no part of it"),
        ("train test", "train", "'train' is what is trained on"),
    ],
)
def test_names_that_say_too_much_or_too_little(names: str, wanted: str | None, says: str):
    with pytest.raises(DataError, match=says):
        chosen(*names.split(), wanted=wanted)


def test_a_path_and_the_part_behind_it(tmp_path: Path):
    (tmp_path / "a:b").mkdir()
    (tmp_path / "a").mkdir()
    assert split_path(f"{tmp_path}/a:b") == (tmp_path / "a:b", None)
    assert split_path(f"{tmp_path}/a:val") == (tmp_path / "a", "val")
    assert split_path(f"{tmp_path}/a:b:val") == (tmp_path / "a:b", "val")
    assert split_path(f"{tmp_path}/c:val") == (tmp_path / "c:val", None)
