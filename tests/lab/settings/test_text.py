"""Values of options, read from text by their types."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest
from torch import nn

from mixwright.lab.settings import option_types, read_options, read_value, write_value
from mixwright.mixers import CutMix, Mixer, MixUp

if TYPE_CHECKING:
    from collections.abc import Hashable
    from collections.abc import Mapping as Unknown

Words = Literal["gradient", "fine_grained"]
Provider = Callable[[int], int]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("3", int, 3),
        ("-1", int, -1),
        ("1e-3", float, 0.001),
        ("true", bool, True),
        ("off", bool, False),
        ("none", int | None, None),
        ("3", int | tuple[int, int], 3),
        ("2-6", int | tuple[int, int], (2, 6)),
        ("2;6;9", tuple[int, ...], (2, 6, 9)),
        ("(0.5;1)", tuple[float, float], (0.5, 1.0)),
        ("b", Literal["a", "b"], "b"),
        ("2", Literal[1, 2] | None, 2),
        ("layer4", str | None, "layer4"),
        ("none", str | None, None),
        ("layer1;layer2", tuple[str, ...], ("layer1", "layer2")),
        ("layer1;layer2", str | tuple[str, ...] | None, ("layer1", "layer2")),
        ("layer1", str | tuple[str, ...] | None, "layer1"),
        ("layer1", tuple[str, ...] | None, ("layer1",)),
        ("a;b", tuple[Literal["a", "b"], ...], ("a", "b")),
        ("fine_grained", Provider | Words, "fine_grained"),
        ("none", Provider | Words | None, None),
        ("fine_grained", nn.Module | Words, "fine_grained"),
        ("cutmix", Mixer, CutMix()),
        ("none", Mixer | None, None),
        ("mixup;cutmix", tuple[Mixer, ...], (MixUp(), CutMix())),
    ],
)
def test_values(text: str, kind: Any, value: object) -> None:
    got = read_value(text, kind)
    assert got == value
    assert type(got) is type(value)
    assert read_value(write_value(got), kind) == got


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("3.5", int, "a whole number"),
        ("yess", bool, "true or false"),
        ("x", int | None, "a whole number"),
        ("x", Literal["a", "b"], "one of a, b"),
        ("1;2", tuple[int, int, int], "3 values"),
        ("x", object, "in Python only"),
        ("x", Provider | None, "in Python only"),
        (
            "gradent",
            Provider | Words | None,
            r"expected none or one of gradient, .*\. Did you mean",
        ),
        (
            "cutmx",
            Mixer | None,
            r'expected none or the name of a mixer .*\. Did you mean "cutmix"\?$',
        ),
        ("cutmix:alpha=1", Mixer, "name of a mixer without options"),
    ],
)
def test_what_does_not_fit(text: str, kind: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_value(text, kind)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A class with a type that is known to type checkers only."""

    alpha: float = 1.0
    key: Hashable | None = None
    table: Unknown[str, int] | Words = "gradient"


class Initialised(nn.Module):
    """A module, whose attributes are declared otherwise than its options."""

    mixer: Mixer
    size: int

    def __init__(self, *, mixer: Mixer | None = None, size: int | tuple[int, int] = 1) -> None:
        super().__init__()


def test_a_name_for_type_checkers_alone_hides_no_other_option() -> None:
    assert option_types(Declared)["alpha"] is float
    options = {"alpha": "0.2", "key": "none", "table": "fine_grained"}
    assert read_options(Declared, options) == {"alpha": 0.2, "key": None, "table": "fine_grained"}
    with pytest.raises(ValueError, match="option key=3: it takes a Hashable, which can be given"):
        read_options(Declared, {"key": "3"})


def test_what_init_declares_counts() -> None:
    options = {"mixer": "none", "size": "2;3"}
    assert read_options(Initialised, options) == {"mixer": None, "size": (2, 3)}
