"""Which layers a model has: by name, the last map, the stages, the classifier."""

from __future__ import annotations

import copy
import math
import weakref
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from mixwright.arguments import nearest
from mixwright.taps.modes import bare, class_name, evaluating, hooked

INPUT = "input"
"""Stands for the model's own input where a layer is asked for."""


@dataclass(frozen=True, slots=True)
class TracedLayer:
    """One layer in a traced forward."""

    name: str  # as ``named_modules`` gives it
    shape: tuple[int, ...]  # of its output
    whole: bool  # whether it has layers with weights inside, more than norms


@dataclass(frozen=True, slots=True)
class Trace:
    """A traced forward of a model."""

    layers: tuple[TracedLayer, ...]  # before the last Linear that ran, as they finish
    last: str | None  # name of that Linear; None where none ran
    width: int  # of its input; 0 where none ran


# By model, since a step asks several times and finding out costs a forward. Weak, so that models
# are let go; a model that is changed by hand after its first step keeps its trace.
_traces: weakref.WeakKeyDictionary[nn.Module, Trace] = weakref.WeakKeyDictionary()


def named_layer(model: nn.Module, layer: str) -> nn.Module:
    """Return a layer by its name in ``named_modules``; ``Normalised``'s ``model.`` may lack."""
    known = dict(bare(model).named_modules())
    known.pop("", None)
    for name in (layer, f"model.{layer}"):
        if name in known:
            return known[name]
    ends = [name for name in known if layer and name.split(".")[-1] == layer.split(".")[-1]]
    near = [*nearest(layer, known, count=3, cutoff=0.5), *ends][:3] or list(known)[:3]
    raise ValueError(
        f"taps: the model has no layer {layer!r}; the nearest are {', '.join(near)}. Names are "
        "those of model.named_modules()."
    )


def classifier(model: nn.Module, images: Tensor | None = None) -> nn.Linear:
    """Return the layer that makes logits: the last Linear.

    With ``images``, two of them are run once for each model to find the last Linear that runs;
    without, it is the last in order of registration, whether it runs or not.
    """
    if images is not None and (name := _trace(model, images).last) is not None:
        ran = dict(bare(model).named_modules()).get(name)
        if isinstance(ran, nn.Linear):
            return ran
    found = [module for module in bare(model).modules() if isinstance(module, nn.Linear)]
    if not found:
        raise ValueError(
            f"taps: {class_name(model)} has no Linear layer; expected a classifier that "
            "ends in one."
        )
    return found[-1]


def classifier_width(model: nn.Module, images: Tensor) -> int | None:
    """Return how many features ``classifier`` takes, None where there is no Linear."""
    if any(isinstance(module, nn.Linear) for module in bare(model).modules()):
        return classifier(model, images).in_features
    return None


def last_map(model: nn.Module, images: Tensor, *, pooled: bool = True) -> str:
    """Name the last layer that gives a map, or tokens, before the last Linear.

    Found by one forward of two images in evaluation mode, once for each model; nothing of the model
    changes. Layers as wide as the Linear's input come first, and maps of more than one place before
    pooled ones; without ``pooled``, a larger map of another width comes before a map of one place
    that is as wide as the Linear's input.
    """
    trace = _trace(model, images)
    maps = [layer for layer in trace.layers if len(layer.shape) in (3, 4)]
    if not maps:
        raise ValueError(
            f"taps: no layer of {class_name(model)} gives a map (B, C, h, w) or tokens "
            "(B, T, D) before its last Linear. Name the layer."
        )
    fitting = [layer for layer in maps if trace.width in layer.shape[1:]]
    spread = [layer for layer in maps if sum(side > 1 for side in layer.shape[1:]) > 1]
    both = [layer for layer in spread if layer in fitting]
    rest = [fitting, spread] if pooled else [spread, fitting]
    return next(found for found in (both, *rest, maps) if found)[-1].name


def stages(model: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Name the stages of a network in the order in which they run; two of the images are run.

    A stage is a composite layer whose output is a map, or tokens: ``layer1`` to ``layer4`` of a
    ResNet, ``blocks.0``, ``blocks.1``, ... of a transformer. Layers that run more than once in a
    forward, such as a shared ReLU, are none.
    """
    trace = _trace(model, images).layers
    runs = Counter(layer.name for layer in trace)
    maps = [layer for layer in trace if len(layer.shape) in (3, 4) and runs[layer.name] == 1]
    inside: dict[str, list[str]] = {}  # composite layers by the name of what holds them
    for layer in maps:
        parent = layer.name.rpartition(".")[0]
        if layer.whole and layer.name not in inside.setdefault(parent, []):
            inside[parent].append(layer.name)
    rows = sorted(
        inside.items(), key=lambda item: (len(item[1]) < 3, len(item[1]) < 2, _depth(item[0]))
    )
    found = tuple(rows[0][1] if rows and len(rows[0][1]) > 1 else (layer.name for layer in maps))
    if len(found) < 2:
        raise ValueError(
            f"taps: {class_name(model)} shows no stages; expected at least two composite "
            "layers that give maps. Name the layers, as model.named_modules() does."
        )
    return found


def as_map(
    features: Tensor,
    width: int | None = None,
    *,
    prefix: int | None = None,
    size: Sequence[int] | None = None,
) -> Tensor:
    """Bring what a layer gives to a map.

    Args:
        features: a map ``(B, C, h, w)``, a map ``(B, h, w, C)`` whose last axis alone is
            ``width`` long, or whose h and w alone have the ratio of ``size``, or tokens
            ``(B, T, C)``.
        width: C, where it is known.
        prefix: tokens in front that stand for no place; None takes what is left beside the
            largest grid.
        size: (H, W) of the images, whose ratio a grid of tokens has; None for a square.

    Returns:
        ``(B, C, h, w)``, a view with its graph.
    """
    if features.ndim == 4:
        last = features.shape[1] != width and (
            features.shape[3] == width
            or (
                size is not None
                and _similar(features.shape[1:3], size)
                and not _similar(features.shape[2:], size)
            )
        )
        return features.permute(0, 3, 1, 2) if last else features
    if features.ndim == 3:
        count = features.shape[1]
        height, wide = _grid(count - (prefix or 0), size or (1, 1))
        skipped = count - height * wide
        if prefix is None or skipped == prefix:
            grid = features[:, skipped:].transpose(1, 2)
            return grid.reshape(*grid.shape[:2], height, wide)
    raise ValueError(
        f"taps: a layer gives {tuple(features.shape)}; expected a map (B, C, h, w) or tokens "
        "(B, T, C) of a grid like the image. Name another layer."
    )


@torch.no_grad()
def _trace(model: nn.Module, images: Tensor) -> Trace:
    """Run two images and note what layers give."""
    inner = bare(model)
    if inner in _traces:
        return _traces[inner]
    names = {module: name for name, module in inner.named_modules() if name}
    traced: list[TracedLayer] = []
    before_last: list[tuple[int, nn.Linear]] = []

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        # What gives a record is a model inside: its last layer has said the same already.
        value = None if isinstance(output, Mapping) else first_tensor(output)
        if isinstance(module, nn.Linear):
            before_last.append((len(traced), module))
        if value is not None:
            inner_weights = (w for part in module.children() for w in part.parameters())
            whole = any(weight.ndim > 1 for weight in inner_weights)
            traced.append(TracedLayer(names[module], tuple(value.shape), whole))

    with evaluating(inner), hooked(*(module.register_forward_hook(note) for module in names)):
        inner(as_input(images[:2]).clone())  # networks may write into what they get
    found = Trace(tuple(traced), None, 0)
    if before_last:
        end, last = before_last[-1]
        found = Trace(tuple(traced[:end]), names[last], last.in_features)
    _traces[inner] = found
    return found


def first_tensor(output: Any) -> Tensor | None:
    """Return a layer's output, of several or named ones the first; None where it is no tensor."""
    if isinstance(output, tuple | list) and output:
        output = output[0]
    elif isinstance(output, Mapping):
        output = next(iter(cast(Mapping[Any, Any], output).values()), None)
    return output if isinstance(output, Tensor) else None


def with_first(output: Any, value: Tensor) -> Any:
    """Return a layer's output with another tensor in place of what ``first_tensor`` finds."""
    if isinstance(output, Mapping):
        changed = copy.copy(cast(Any, output))
        changed[next(iter(changed))] = value
        return changed
    if isinstance(output, tuple | list):
        rest = [value, *output[1:]]
        return output._make(rest) if hasattr(output, "_make") else type(output)(rest)  # pyright: ignore
    return value


def as_input(images: Tensor) -> Tensor:
    """Return images as a model takes them: whole numbers as float32 of the same values."""
    return images if images.is_floating_point() else images.float()


def _grid(count: int, size: Sequence[int]) -> tuple[int, int]:
    """Return the largest grid of square patches of an image, of at most ``count``."""
    height, width = size
    if height == width:
        return math.isqrt(count), math.isqrt(count)
    for side in range(1, min(height, width) + 1):
        if (height // side) * (width // side) <= count:
            return height // side, width // side
    return math.isqrt(count), math.isqrt(count)


def _similar(sides: Sequence[int], size: Sequence[int]) -> bool:
    """Whether two sizes have one ratio of height to width, up to a rounded place."""
    return abs(sides[0] * size[1] - sides[1] * size[0]) < max(size)


def _depth(name: str) -> int:
    return name.count(".") + 1 if name else 0
