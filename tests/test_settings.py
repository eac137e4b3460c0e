"""Numbers of NumPy and torch as settings: taken as Python's, in every constructor."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from mixwright import MIXERS, OBJECTIVES, CutMix, LearnedMixer, MixUp, OneOf, Sometimes
from mixwright.arguments import (
    check_arguments,
    check_number,
    check_range,
    check_settings,
    check_whole,
    plain,
)
from mixwright.masknets import MaskGenerator, MixBlock, PairBlock
from mixwright.masknets.mask_loss import MaskLoss
from mixwright.objectives.criteria import BinaryCrossEntropy, CrossEntropy
from mixwright.objectives.teacher import EMA
from mixwright.saliency import FeatureMean, FineGrained, InputGradient, SpectralResidual

MORE = (CrossEntropy, BinaryCrossEntropy, MaskLoss, FineGrained, InputGradient, SpectralResidual)
KINDS: dict[str, type[Any]] = {
    **MIXERS,
    **OBJECTIVES,
    **{kind.__name__: kind for kind in (*MORE, FeatureMean)},
}
# Numbers for settings whose default is None.
OPTIONAL: dict[str, Any] = {
    "lam": 0.25,
    "minmax": (0.25, 0.5),
    "lam_range": (0.25, 0.5),
    "power": 1.5,
    "kappa": 3,
    "patch": 2,
    "consistency": 0.5,
    "top_k": 6,
}


def forms(value: Any) -> list[Any]:
    """The same number as others write it; all are exact in float16."""
    if isinstance(value, bool):
        return [np.bool_(value), np.array(value), torch.tensor(value)]
    if isinstance(value, int):
        return [np.int64(value), np.int16(value), np.array(value), torch.tensor(value)]
    if isinstance(value, float):
        return [np.float64(value), np.float32(value), np.float16(value), torch.tensor(value)]
    if isinstance(value, tuple):
        rows = [forms(part) for part in value]
        return [tuple(row) for row in zip(*rows, strict=False)]
    return []


def settings(kind: type[Any]) -> dict[str, Any]:
    """Settings of a constructor that are numbers, each with one that float16 holds exactly."""
    found: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        value = parameter.default
        value = OPTIONAL.get(name) if value is None else value
        if isinstance(value, float):
            value = float(np.float16(value))
        if isinstance(value, tuple) and all(isinstance(part, int | float) for part in value):
            value = tuple(float(np.float16(p)) if isinstance(p, float) else p for p in value)
        if forms(value):
            found[name] = value
    return found


@pytest.mark.parametrize("name", KINDS)
def test_every_constructor_takes_them_as_pythons(name: str) -> None:
    kind = KINDS[name]
    for setting, value in settings(kind).items():
        try:
            expected = kind(**{setting: value})
        except ValueError:  # float16 of a default may be out of range
            continue
        for form in forms(value):
            made = kind(**{setting: form})
            assert repr(made) == repr(expected), (setting, form)
            assert not any(_foreign(kept) for kept in vars(made).values()), (setting, form)
            if dataclasses.is_dataclass(made) and not isinstance(made, nn.Module):
                assert made == expected
                assert hash(made) == hash(expected)


def _foreign(value: Any) -> bool:
    if isinstance(value, tuple):
        return any(_foreign(part) for part in value)
    return isinstance(value, np.generic) or (isinstance(value, torch.Tensor) and value.ndim == 0)


@pytest.mark.parametrize("make", [np.float32, np.float64, np.array, torch.tensor])
def test_wrappers_and_the_rest_take_them_too(make: Callable[[Any], Any]) -> None:
    half = make(0.5)
    assert repr(Sometimes(MixUp(), half)) == repr(Sometimes(MixUp(), 0.5))
    one_of = OneOf(MixUp(), CutMix(), p=(0.5, 0.25))
    for given in ((half, make(0.25)), [half, make(0.25)]):
        assert repr(OneOf(MixUp(), CutMix(), p=given)) == repr(one_of)
    assert type(EMA(nn.Linear(1, 1), half).decay) is float
    whole = np.int64(8) if make in (np.float32, np.float64) else make(8)
    for kind in (MixBlock, PairBlock, MaskGenerator):
        assert type(kind(whole).settings["channels"]) is int
    encoder = nn.Sequential(nn.Conv2d(3, 8, 3))
    mixer = LearnedMixer(encoder, MixBlock(8), layer="0", alpha=half, margin=half)
    assert "alpha=0.5" in repr(mixer)
    assert type(mixer.margin) is float


def test_plain_by_hand() -> None:
    assert plain((np.float64(0.5), [torch.tensor(2)], "fit", None)) == (0.5, [2], "fit", None)
    assert type(plain(np.bool_(True))) is bool
    rows = torch.zeros(1)
    assert plain(rows) is rows


@pytest.mark.parametrize(
    "value", [np.float32("nan"), torch.tensor(2.0), torch.tensor([0.5]), np.zeros(1), np.bool_(1)]
)
def test_what_was_refused_of_python_is_refused_of_them(value: Any) -> None:
    with pytest.raises(ValueError, match=r"p is .*; expected a finite number"):
        check_number("X", "p", value, high=1.0)


def test_checks_take_them() -> None:
    check_number("X", "p", np.float32(0.5), high=1.0)
    check_whole("X", "k", torch.tensor(3), low=1)
    check_range("X", "r", (np.float32(0.25), torch.tensor(0.5)))
    with pytest.raises(ValueError, match=r"k is 1\.5; expected a whole number"):
        check_whole("X", "k", np.float32(1.5), low=1)
    with pytest.raises(ValueError, match="expected a whole number"):
        check_whole("X", "k", np.float32(1.0), low=1)


class Odd:
    """Not known to this module's users by name."""


@dataclasses.dataclass
class Declared:
    """Every form of declaration that a mixer of the user's may have."""

    pair: tuple[int, float] = (1, 0.5)
    bare: tuple = ()  # type: ignore[type-arg]
    rows: Sequence[float] = ()
    names: list[str] = dataclasses.field(default_factory=list)
    call: Callable[..., Any] = len
    table: dict[str, int] = dataclasses.field(default_factory=dict)
    anything: Any = None
    wrong: float = None  # type: ignore[assignment]
    unknown: NoSuchName = None  # type: ignore[name-defined]  # noqa: F821
    kind: type[Odd] = Odd
    either: int | Odd | None = None

    def __post_init__(self) -> None:
        check_settings(self)


@pytest.mark.parametrize(
    "given",
    [
        {"pair": [2, 1]}, {"bare": (1, "x")}, {"rows": range(3)}, {"rows": [np.float32(0.5)]},
        {"names": ["a"]}, {"call": print}, {"table": {"a": 1}}, {"anything": Odd},
        {"unknown": 5}, {"kind": Odd}, {"either": Odd()}, {"either": 3}, {},
    ],
)  # fmt: skip
def test_what_is_declared_is_taken(given: dict[str, Any]) -> None:
    assert vars(Declared(**given)).keys() == vars(Declared()).keys()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"pair": (0.5, 1)}, r"pair is \(0\.5, 1\); expected a tuple \(a whole number, a finite"),
        ({"pair": (1,)}, "pair is"),
        ({"bare": 1}, r"bare is 1; expected a tuple\."),
        ({"rows": "ab"}, "rows is 'ab'; expected a tuple, each of it a finite number"),
        ({"rows": [float("inf")]}, "rows is"),
        ({"names": [1]}, r"names is \[1\]; expected a list, each of it text"),
        ({"call": 3}, r"call is 3; expected a callable \(\.\.\.\)"),
        ({"call": Odd}, r"call is <class .*Make an object of it: Odd\(\.\.\.\)"),
        ({"table": [1]}, r"table is \[1\]; expected a dict"),
        ({"wrong": "x"}, "wrong is 'x'; expected a finite number"),
        ({"kind": Odd()}, "kind is"),
        ({"either": True}, "either is True; expected a whole number or an Odd or None"),
        ({"either": Odd}, "either is <class"),
    ],
)
def test_what_is_not_declared_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"Declared: {message}"):
        Declared(**given)


class Word(str):
    """Text of a class of the user's, as a member of an Enum of text is."""


@dataclasses.dataclass
class Loose:
    """Declarations that tell more than one form is taken in."""

    word: Literal["a", 1] = "a"
    rows: list[int] = dataclasses.field(default_factory=list)
    bare: tuple = ()  # type: ignore[type-arg]
    maps: tuple[torch.Tensor, ...] = ()
    map: torch.Tensor | float = 0.0
    half: np.float16 | None = None

    def __post_init__(self) -> None:
        check_settings(self)


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("word", Word("a"), "a"),
        ("word", np.str_("a"), "a"),
        ("rows", (1, np.int64(2)), [1, 2]),
        ("bare", [1, "x"], (1, "x")),
        ("maps", [torch.tensor(0.5)], (torch.tensor(0.5),)),
        ("map", torch.tensor(0.5), torch.tensor(0.5)),
        ("map", np.float32(0.5), 0.5),
        ("half", np.float16(0.5), np.float16(0.5)),
    ],
)
def test_other_forms_of_what_is_declared_are_taken(name: str, given: Any, taken: Any) -> None:
    found = getattr(Loose(**{name: given}), name)
    assert found == taken
    assert isinstance(found, type(taken))


def test_a_truth_value_is_no_number_among_words() -> None:
    with pytest.raises(ValueError, match="word is True; expected one of 'a', 1"):
        Loose(word=True)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("text", ["checkers.ndarray", "checkers.a.B[int] | None", "a share of it"])
def test_a_declaration_that_cannot_be_resolved_asks_nothing(text: str) -> None:
    names = {"__annotations__": {"cells": text}, "cells": None, "__module__": __name__}
    names["__post_init__"] = check_settings
    kind: Any = dataclasses.dataclass(frozen=True)(type("Mine", (), names))
    assert kind(cells=5).cells == 5


def test_functions_keep_pythons_words_for_arguments_that_are_missing() -> None:
    @check_arguments
    def area(height: int, *sides: float, scale: float = 1.0) -> float:
        return height * sum(sides) * scale

    assert area(2, 1, np.float32(0.5), scale=torch.tensor(2)) == 6.0
    with pytest.raises(TypeError, match=r"area\(\) missing 1 required positional argument"):
        area()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValueError, match="area: sides is 'x'; expected a finite number"):
        area(2, 1.0, "x")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
