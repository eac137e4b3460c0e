import subprocess
import sys
from importlib import import_module
from types import ModuleType

import pytest
import torch

import mixwright.lab.data
from mixwright.lab.data import (
    DATA_LINES,
    DATA_SETS,
    DataError,
    ImageSet,
    load_data,
    names,
    parse_data,
)
from mixwright.lab.data.source import Request, Source
from mixwright.lab.experiments.defaults import recipe_defaults

SOURCES = "mixwright.lab.data.sources"


def test_names_are_listed_with_a_line_each():
    assert (
        *("digits", "cifar10", "cifar100", "tiny-imagenet", "imagenet", "cub200", "aircraft"),
        *("cars", "fashion-mnist", "eurosat", "medmnist:NAME"),
        *("folder:PATH", "csv:PATH", "parquet:PATH", "hub:NAME"),
    ) == DATA_SETS
    for name in DATA_SETS:
        module = names.module_of(name.partition(":")[0])
        assert callable(getattr(import_module(f"{SOURCES}.{module}"), f"load_{module}"))
    assert all(DATA_LINES[name] for name in DATA_SETS)


def test_a_path_may_hold_colons():
    assert parse_data("folder:c:/photographs") == ("folder", "c:/photographs")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("cifar-10", r"'cifar-10' is not known. Did you mean 'cifar10'\?"),
        ("Digits", r"Did you mean 'digits'\?"),
        ("CIFAR10", r"Did you mean 'cifar10'\?"),
        ("folders:x", r"Did you mean 'folder:PATH'\?"),
        ("zzz", r"'zzz' is not known. Choose one of: digits, cifar10, cifar100, tiny-imagenet, "),
        ("tiny_imagenet", r"Did you mean 'tiny-imagenet'\?"),
        ("hub:", "lacks its name; write hub:NAME, e.g. hub:owner/name"),
        ("medmnist", "lacks its name; write medmnist:NAME, e.g. medmnist:pathmnist"),
        ("", "'' is not known"),
        ("folder:", "lacks its path; write folder:PATH"),
        ("parquet", "lacks its path; write parquet:PATH"),
        ("digits:there", "digits takes nothing after its name"),
    ],
)
def test_names_that_are_refused(spec: str, says: str):
    with pytest.raises(DataError, match=says):
        parse_data(spec)
    with pytest.raises(DataError, match=says):
        load_data(spec)


def test_a_new_set_takes_a_file_and_a_row(monkeypatch: pytest.MonkeyPatch):
    """As the comment beside the rows says: ``grey_squares.py`` for ``grey-squares:NAME``."""
    four = ImageSet(torch.full((4, 3, 8, 8), 51, dtype=torch.uint8), torch.arange(4) % 2)

    def load_grey_squares(request: Request) -> Source:
        request.say(f"{request.kind} of {request.path}")
        return Source(train=four, test=four, classes=("a", "b"), note="made up")

    file = ModuleType(f"{SOURCES}.grey_squares")
    file.__dict__["load_grey_squares"] = load_grey_squares
    monkeypatch.setitem(sys.modules, file.__name__, file)
    monkeypatch.setitem(DATA_LINES, "grey-squares:NAME", "four grey squares")
    monkeypatch.setattr(names, "DATA_SETS", tuple(DATA_LINES))
    messages: list[str] = []
    data = load_data("grey-squares:mine", on_message=messages.append)
    assert messages == ["grey-squares of mine"]
    assert (data.name, data.note, data.classes) == ("grey-squares:mine", "made up.", ("a", "b"))
    assert data.mean == pytest.approx((0.2, 0.2, 0.2))
    assert recipe_defaults("grey-squares:mine")["model"]


def test_names_are_read_without_torch():
    code = (
        "import sys; from mixwright.lab.data import parse_data; parse_data('digits');"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_is_there():
    for name in mixwright.lab.data.__all__:
        assert getattr(mixwright.lab.data, name).__doc__
    assert sorted(dir(mixwright.lab.data)) == sorted(mixwright.lab.data.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mixwright.lab.data.nothing
