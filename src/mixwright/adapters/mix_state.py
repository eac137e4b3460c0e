"""What ``Mix.state_dict`` holds, read and checked before anything of it is used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeGuard

import torch
from torch import Generator, Tensor

from mixwright.arguments import plain

EXTRA_STATE = "_extra_state"
"""torch's name of what a module saves beside its tensors."""

SEED_BITS = 255
"""Most bits of a seed, beside its sign."""


@dataclass(frozen=True, kw_only=True)
class MixState:
    """A state that fits; see ``Mix`` for what its values mean.

    ``rank`` and ``mixing`` are None in states of 0.1, which did not say them.
    """

    seed: int
    generator: Generator
    epoch: int
    progress: float
    batches: int
    batches_of: tuple[int, ...]
    mixing: bool | None
    rank: int | None

    @classmethod
    def read(cls, state: Any, *, mixer: str) -> Self:
        """Check a state, alone or under torch's key, for a mixer told by ``mixer_text``.

        Raises:
            KeyError: a key is missing.
            ValueError: this is no dictionary, a key is unknown or holds another kind of value, or
                another mixer saved it.
        """
        if isinstance(state, Mapping) and {*state} == {EXTRA_STATE}:  # pyright: ignore
            state = state[EXTRA_STATE]  # pyright: ignore
        if not isinstance(state, Mapping):
            raise ValueError(
                f"Mix.load_state_dict: the state is a {type(state).__name__}; expected the "
                "dictionary that mix.state_dict() gives."
            )
        missing = [key for key in _CHECKS if key not in state and key not in _NEW]
        unknown = [key for key in state if key not in _CHECKS]
        if missing:
            raise KeyError(
                f"Mix.load_state_dict: {_listed(missing)} missing; expected what mix.state_dict() "
                "gives."
            )
        if unknown:
            raise ValueError(
                f"Mix.load_state_dict: {_listed(unknown)} unknown; expected what mix.state_dict() "
                "gives, for which this version may be too old."
            )
        values: dict[str, Any] = {"mixing": None, "rank": None, "mixer": mixer}
        for key, value in state.items():
            usable, expected = _CHECKS[key]
            value = value if key == "generator" else plain(value)
            if not usable(value):
                raise ValueError(
                    f"Mix.load_state_dict: {key} is {value!r}; expected {expected}. Give what "
                    "mix.state_dict() gave."
                )
            values[key] = value
        if (saved := values.pop("mixer")) != mixer:
            raise ValueError(
                f"Mix.load_state_dict: the state was saved with {saved}, this Mix has {mixer}; "
                "expected the same mixer, whose draws go on. Make Mix with that one, or leave the "
                "state out to begin anew."
            )
        generator = Generator()
        try:
            generator.set_state(values["generator"].cpu())  # checkpoints may be mapped to devices
        except RuntimeError as error:
            raise ValueError(
                f"Mix.load_state_dict: generator holds no state of a CPU generator ({error}); "
                "expected what mix.state_dict() gave."
            ) from error
        values["generator"] = generator
        values["progress"] = float(values["progress"])
        values["batches_of"] = tuple(values["batches_of"])
        return cls(**values)


def is_seed(value: object) -> bool:
    """Whether this is a whole number that a ``Mix`` can keep."""
    return _is_whole(value) and abs(value).bit_length() <= SEED_BITS


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_share(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= 1


def _is_wholes(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(_is_whole(part) for part in value)  # pyright: ignore[reportUnknownVariableType]


def _listed(keys: list[str]) -> str:
    return f"{', '.join(map(repr, keys))} {'is' if len(keys) == 1 else 'are'}"


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (is_seed, "a whole number"),
    "generator": (
        lambda value: isinstance(value, Tensor) and value.dtype == torch.uint8,
        "a uint8 tensor, the state of a generator",
    ),
    "epoch": (
        lambda value: _is_whole(value) and -1 <= value < 2**63,
        "a whole number, at least -1",
    ),
    "progress": (_is_share, "a share in [0, 1]"),
    "batches": (lambda value: _is_whole(value) and value >= 0, "a whole number, at least 0"),
    "batches_of": (_is_wholes, "a list of whole numbers"),
    "mixing": (lambda value: isinstance(value, bool), "True or False"),
    "rank": (lambda value: _is_whole(value) and value >= 0, "a whole number, at least 0"),
    "mixer": (lambda value: isinstance(value, str), "text"),
}
_NEW = ("mixing", "rank", "mixer")  # keys that states of 0.1 have not
