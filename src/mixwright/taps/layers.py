"""Which layers a model has: by name, the last map, the stages, the classifier."""

from __future__ import annotations

import math
import weakref
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn

from mixwright.taps.modes import bare, evaluating, hooked

INPUT = "input"
"""Stands for the model's own input where a layer is asked for."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a traced forward showed of one layer.

    Attributes:
        name: as ``named_modules`` gives it.
        shape: of its output.
        whole: whether it has layers with weights inside, more than norms.
    """

    name: str
    shape: tuple[int, ...]
    whole: bool


Trace = tuple[tuple[Shown, ...], int]
"""Layers before the last Linear in the order in which they finish, and how wide its input is."""

_traces: weakref.WeakKeyDictionary[nn.Module, Trace] = weakref.WeakKeyDictionary()


def named_layer(model: nn.Module, layer: str) -> nn.Module:
    """Find a layer by its name.

    Args:
        model: the classifier, wrapped or not.
        layer: as ``named_modules`` gives it; the ``model.`` in front that ``Normalised`` adds
            may be left out.

    Raises:
        ValueError: there is no such layer; the nearest names are given.
    """
    known = dict(bare(model).named_modules())
    known.pop("", None)
    for name in (layer, f"model.{layer}"):
        if name in known:
            return known[name]
    ends = [name for name in known if layer and name.split(".")[-1] == layer.split(".")[-1]]
    near = [*get_close_matches(layer, known, n=3, cutoff=0.5), *ends][:3] or list(known)[:3]
    raise ValueError(
        f"taps: the model has no layer {layer!r}; the nearest are {', '.join(near)}. Names are "
        "those of model.named_modules()."
    )


def classifier(model: nn.Module) -> nn.Linear:
    """Give the layer that makes logits: the last Linear in order of registration.

    Raises:
        ValueError: the model has no Linear layer.
    """
    found = [module for module in bare(model).modules() if isinstance(module, nn.Linear)]
    if not found:
        raise ValueError(
            f"taps: {type(bare(model)).__name__} has no Linear layer; expected a classifier that "
            "ends in one."
        )
    return found[-1]


def last_map(model: nn.Module, images: Tensor) -> str:
    """Name the last layer that gives a map, or tokens, before the last Linear.

    Found by one forward in evaluation mode, once for each model; nothing of the model changes.
    Layers as wide as the Linear's input come first, and maps of more than one place before
    pooled ones.

    Args:
        model: the classifier, wrapped or not.
        images: a batch; two of its images are run.

    Raises:
        ValueError: no layer gives a map.
    """
    shown, width = _trace(model, images)
    maps = [one for one in shown if len(one.shape) in (3, 4)]
    if not maps:
        raise ValueError(
            f"taps: no layer of {type(bare(model)).__name__} gives a map (B, C, h, w) or tokens "
            "(B, T, D) before its last Linear. Name the layer."
        )
    fitting = [one for one in maps if width in one.shape[1:]]
    spread = [one for one in fitting or maps if sum(side > 1 for side in one.shape[1:]) > 1]
    return (spread or fitting or maps)[-1].name


def stages(model: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Name the stages of a network in the order in which they run.

    A stage is a composite layer whose output is a map, or tokens: ``layer1`` to ``layer4`` of a
    ResNet, ``blocks.0``, ``blocks.1``, ... of a transformer.

    Args:
        model: the classifier, wrapped or not.
        images: a batch; two of its images are run.

    Raises:
        ValueError: fewer than two layers qualify.
    """
    shown = [one for one in _trace(model, images)[0] if len(one.shape) in (3, 4)]
    inside: dict[str, list[str]] = {}  # composite layers by the name of what holds them
    for one in shown:
        if one.whole and one.name not in inside.setdefault(_parent(one.name), []):
            inside[_parent(one.name)].append(one.name)
    rows = sorted(inside.items(), key=lambda item: (len(item[1]) < 3, _depth(item[0])))
    found = tuple(rows[0][1]) if rows and len(rows[0][1]) > 1 else tuple(one.name for one in shown)
    if len(found) < 2:
        raise ValueError(
            f"taps: {type(bare(model)).__name__} shows no stages; expected at least two composite "
            "layers that give maps. Name the layers, as model.named_modules() does."
        )
    return found


def as_map(features: Tensor, width: int | None = None, *, prefix: int | None = None) -> Tensor:
    """Bring what a layer gives to a map.

    Args:
        features: a map ``(B, C, h, w)``, a map ``(B, h, w, C)`` whose last axis alone is
            ``width`` long, or tokens ``(B, T, C)``.
        width: C, where it is known.
        prefix: tokens in front that stand for no place; None takes what is left beside the
            largest square.

    Returns:
        ``(B, C, h, w)``, a view with its graph.

    Raises:
        ValueError: other shapes, or tokens that make no square.
    """
    if features.ndim == 4:
        last = width is not None and features.shape[1] != width and features.shape[3] == width
        return features.permute(0, 3, 1, 2) if last else features
    if features.ndim == 3:
        count = features.shape[1]
        side = math.isqrt(count - (prefix or 0))
        skipped = count - side * side
        if prefix is None or skipped == prefix:
            grid = features[:, skipped:].transpose(1, 2)
            return grid.reshape(*grid.shape[:2], side, side)
    raise ValueError(
        f"taps: a layer gives {tuple(features.shape)}; expected a map (B, C, h, w) or tokens "
        "(B, T, C) of a square grid. Name another layer."
    )


@torch.no_grad()
def _trace(model: nn.Module, images: Tensor) -> Trace:
    """Run two images and note what layers give."""
    inner = bare(model)
    if inner in _traces:
        return _traces[inner]
    names = {module: name for name, module in inner.named_modules() if name}
    seen: list[Shown] = []
    before_last: list[tuple[int, int]] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        value = output[0] if isinstance(output, tuple | list) and output else output
        if isinstance(module, nn.Linear):
            before_last.append((len(seen), module.in_features))
        if isinstance(value, Tensor):
            inner_weights = (w for part in module.children() for w in part.parameters())
            whole = any(weight.ndim > 1 for weight in inner_weights)
            seen.append(Shown(names[module], tuple(value.shape), whole))

    handles = [module.register_forward_hook(note) for module in names]
    try:
        with evaluating(inner), hooked():
            inner(as_input(images[:2]))
    finally:
        for handle in handles:
            handle.remove()
    end, width = before_last[-1] if before_last else (len(seen), 0)
    found = tuple(seen[:end]), width
    _traces[inner] = found
    return found


def as_input(images: Tensor) -> Tensor:
    """Give images as a model takes them: whole numbers as float32 of the same values."""
    return images if images.is_floating_point() else images.float()


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _depth(name: str) -> int:
    return name.count(".") + 1 if name else 0
