"""Old addresses: each gives the very module that moved, and says so once it is imported."""

from __future__ import annotations

import importlib
import sys

import pytest

from mixwright._moved import MOVED

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the packages above


@pytest.mark.parametrize("old", MOVED)
def test_an_old_address_gives_the_module_that_moved(
    old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = importlib.import_module(MOVED[old])
    spec = new.__spec__
    for module in [name for name in sys.modules if f"{name}.".startswith(f"{old}.")]:
        monkeypatch.delitem(sys.modules, module)
    with pytest.warns(DeprecationWarning, match=rf"{old} is {MOVED[old]} now"):
        assert importlib.import_module(old) is new
    assert new.__spec__ is spec


def test_what_lies_below_an_old_address_moved_with_it() -> None:
    words = r"mixwright\.data\.sources\.digits is mixwright\.lab\.data\.sources\.digits now"
    with pytest.warns(DeprecationWarning, match=words):
        old = importlib.import_module("mixwright.data.sources.digits")
    assert old is importlib.import_module("mixwright.lab.data.sources.digits")


def test_what_is_at_neither_address_is_missed_by_the_one_that_was_asked_for() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"'mixwright\.data\.nothing'"):
        importlib.import_module("mixwright.data.nothing")
    with pytest.raises(ModuleNotFoundError, match=r"'mixwright\.nothing'"):
        importlib.import_module("mixwright.nothing")
