"""Plans are drawn and applied in float32, whatever ``torch.set_default_dtype`` says."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from cases import CASES, Case
from mixwright import (
    MIXERS,
    CutMix,
    HMix,
    LearnedMixer,
    MiAMix,
    Mix,
    Mixer,
    MixUp,
    OneOf,
    ResizeMix,
    Scheduled,
    Sometimes,
)
from mixwright.masknets import MaskGenerator, MixBlock, PairBlock
from mixwright.plan import MixPlan
from mixwright.sampling import stream
from probe import CLASSES, probe

OTHERS = (torch.float64, torch.float16, torch.bfloat16)
IMAGES = torch.rand(6, 3, 16, 16, generator=stream(1))
LABELS = torch.arange(6) % CLASSES
LOGITS = torch.randn(6, CLASSES, generator=stream(2))


@contextmanager
def default_dtype(dtype: torch.dtype) -> Generator[None]:
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


def learned(network: type[Any]) -> LearnedMixer:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        encoder = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2))
        return LearnedMixer(encoder, network(8), layer="2")


WRAPPED: dict[str, Mixer] = {
    "oneof": OneOf(MixUp(alpha=0.5), CutMix(), p=(0.2, 0.8)),
    "oneof-batch": OneOf(MixUp(), CutMix(), per="batch"),
    "oneof-warps": OneOf(MiAMix(), ResizeMix()),
    "sometimes": Sometimes(HMix(), 0.5),
    "scheduled": Scheduled(lambda progress: CutMix(alpha=0.5 + progress)),
    "all-turned": MiAMix(p_rotate=1.0, p_shear=1.0, p_smooth=1.0, p_self=0.5),
    **{network.__name__: learned(network) for network in (MixBlock, PairBlock, MaskGenerator)},
}
EVERY = {**{case.name: case for case in CASES}, **WRAPPED}


def drawn(mixer: Case | Mixer) -> MixPlan:
    if isinstance(mixer, Case):
        return mixer.plan(IMAGES, LABELS, generator=stream(3))
    return mixer.plan(IMAGES, LABELS, generator=stream(3), model=probe("cpu"))


def everything(mixer: Case | Mixer) -> dict[str, Tensor]:
    """What a plan holds and gives."""
    plan = drawn(mixer)
    small = plan.at(8, 8)
    found = {
        "index": plan.index,
        "weight": plan.weight,
        "mask": plan.mask,
        "images": plan.images(IMAGES),
        "bytes": plan.images((IMAGES * 255).byte()),
        "halves": plan.images(IMAGES.half()),
        "targets": plan.targets(LABELS, CLASSES),
        "loss": plan.loss(nn.CrossEntropyLoss(reduction="none"), LOGITS, LABELS),
        "accuracy": plan.accuracy(LOGITS, LABELS),
        "at": small.mask,
        "features": small.images(IMAGES[:, :, ::2, ::2]),
    }
    more = {"lam": plan.lam, "boxes": plan.boxes}
    return found | {name: value for name, value in more.items() if value is not None}


@pytest.mark.parametrize("name", EVERY)
def test_every_mixer_gives_the_float32_values_of_before(name: str) -> None:
    expected = everything(EVERY[name])
    assert expected["weight"].dtype == expected["mask"].dtype == torch.float32
    for dtype in OTHERS:
        with default_dtype(dtype):
            found = everything(EVERY[name])
        for what, value in expected.items():
            assert found[what].dtype == value.dtype, (dtype, what)
            assert torch.equal(found[what], value), (dtype, what)


@pytest.mark.parametrize("dtype", OTHERS, ids=str)
def test_mix_gives_the_float32_values_of_before(dtype: torch.dtype) -> None:
    def mixed() -> list[Tensor]:
        mix = Mix(MiAMix(), num_classes=CLASSES, label_smoothing=0.1, seed=0)
        soft = F.one_hot(LABELS, CLASSES).tolist()
        listed = [[float(share) for share in row] for row in soft]
        samples = [(IMAGES[k], listed[k]) for k in range(6)]
        return [*mix(IMAGES, LABELS), *mix(IMAGES, listed), *mix.collate(samples)]  # type: ignore[arg-type]

    expected = mixed()
    with default_dtype(dtype):
        found = mixed()
    for value, again in zip(expected, found, strict=True):
        assert again.dtype == torch.float32
        assert torch.equal(again, value)


class Doubles(TorchFunctionMode):
    """Notes what makes double precision of tensors that have none."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        asked = (kwargs or {}).get("dtype") is torch.float64
        if any(_doubles(made)) and not asked and not any(_doubles([args, kwargs])):
            self.found.append(getattr(func, "__name__", str(func)))
        return made


def _doubles(value: Any) -> Generator[bool]:
    if isinstance(value, Tensor):
        yield value.dtype == torch.float64
    elif isinstance(value, dict):
        yield from _doubles(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _doubles(part)


def options() -> dict[str, Mixer]:
    """Every mixer with each of its options in turn, where these are words or switches."""
    found: dict[str, Mixer] = {}
    for name, kind in MIXERS.items():
        hints = typing.get_type_hints(kind)
        for setting in dataclasses.fields(kind):  # type: ignore[arg-type]
            for value in _choices(hints[setting.name]):
                if value != setting.default and setting.default is not dataclasses.MISSING:
                    mixer: Any = kind
                    found[f"{name}:{setting.name}={value}"] = mixer(**{setting.name: value})
    return found


def _choices(hint: Any) -> list[Any]:
    if hint is bool:
        return [False, True]
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    parts = () if typing.get_origin(hint) is tuple else typing.get_args(hint)
    return [choice for part in parts for choice in _choices(part)]


def test_no_option_lets_the_default_dtype_in() -> None:
    """Values could agree by luck: here each step says whether it asked for the default."""
    chosen = options()
    assert len(chosen) > 60
    with default_dtype(torch.float64):
        for name, mixer in chosen.items():
            with Doubles() as seen:
                drawn(mixer).images(IMAGES)
            assert seen.found == [], name
