"""The layers of a network in order: rates that fall towards the first, and freezing."""

from __future__ import annotations

import re
from collections.abc import Sequence

from torch import nn
from torch.nn import Parameter

from mixwright.lab.training.recipe import RecipeError

BACKBONE = "backbone"
"""All of a network but its last layer."""

_INSIDE = "model."  # before the names of what ``Normalised`` holds


def depths(model: nn.Module) -> list[tuple[Parameter, int]]:
    """Return each parameter with the number of its layer, from 0.

    The blocks of the network are its layers, in the order in which the model registers them: the
    repeated members of a ``Sequential`` or ``ModuleList`` that have layers of their own inside,
    and no such blocks. What comes before the first block (patches, positions, a stem) is layer 0,
    and the head, the model's last part, is the layer behind the last block; a norm between those
    two goes with the block, and what lies between two blocks (merging patches) with the later.
    Without blocks every part of the model that has parameters is a layer.

    These are timm's layers (``param_groups_layer_decay``) for its ViT, DeiT, Swin, ConvNeXt,
    ResNet and EfficientNet.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Linear(4, 2))
        >>> [depth for _, depth in depths(net)]
        [0, 0, 1, 1, 2, 2]
    """
    blocks = _blocks(model)
    before = 1 if blocks else 0  # room for what comes before the first block
    layers = blocks or _parts(model)
    number_of = {
        id(parameter): number
        for number, layer in enumerate(layers, start=before)
        for parameter in layer.parameters()
    }
    parameters = list(model.parameters())
    top = len(layers) + before
    head = {id(parameter) for parameter in _parts(model)[-1].parameters()} if blocks else set[int]()
    numbers: list[int] = []
    following = top - 1
    for parameter in reversed(parameters):
        known = id(parameter) in number_of
        following = number_of.get(id(parameter), following)
        numbers.append(following if known or id(parameter) not in head else top)
    numbers.reverse()
    first = next((k for k, p in enumerate(parameters) if id(p) in number_of), 0)
    return list(zip(parameters, [0] * first + numbers[first:], strict=True))


def layer_groups(
    parameters: Sequence[Parameter], model: nn.Module, decay: float
) -> list[tuple[list[Parameter], float]]:
    """Return parameters by layer, from the last to the first, with the factor of their rate.

    The last layer of the model has 1, each one before it ``decay`` times the factor of the next.
    """
    if decay == 1:
        return [(list(parameters), 1.0)]
    depth_of = {id(parameter): depth for parameter, depth in depths(model)}
    top = max(depth_of.values(), default=0)
    by_depth: dict[int, list[Parameter]] = {}
    for parameter in parameters:
        by_depth.setdefault(depth_of[id(parameter)], []).append(parameter)
    return [(by_depth[depth], decay ** (top - depth)) for depth in sorted(by_depth, reverse=True)]


def _blocks(model: nn.Module) -> list[nn.Module]:
    """Return the innermost composite members of containers."""
    members = [
        member
        for container in model.modules()
        if isinstance(container, nn.Sequential | nn.ModuleList)
        for member in container
        if _composite(member)
    ]
    known = {id(member) for member in members}
    return [
        member
        for member in members
        if not any(id(part) in known for part in member.modules() if part is not member)
    ]


def _composite(module: nn.Module) -> bool:
    """Whether a module is made of several that have parameters, and no mere container."""
    if isinstance(module, nn.Sequential | nn.ModuleList):
        return False
    return sum(any(True for _ in child.parameters()) for child in module.children()) > 1


def _parts(model: nn.Module) -> list[nn.Module]:
    """Return the children of the innermost module that has several with parameters."""
    children = [child for child in model.children() if any(True for _ in child.parameters())]
    return _parts(children[0]) if len(children) == 1 and list(children[0].children()) else children


def freeze(model: nn.Module, what: str, *, last: str) -> list[nn.Module]:
    """Stop the training of some parameters; return the modules that must stay in evaluation mode.

    Args:
        model: the network, perhaps inside ``Normalised``; changed.
        what: ``backbone``, or a regular expression. It fits a name (``layer1.0.conv1.weight``)
            that it matches from the start to a dot or the end: ``layer1`` means all of it.
        last: name of the last layer, which ``backbone`` spares.

    Returns:
        Modules with running statistics whose names fit: batch norms, which would go on changing
        although nothing of them is trained.

    Raises:
        RecipeError: nothing fits, everything does, or ``what`` is no regular expression.
    """
    names = [name.removeprefix(_INSIDE) for name, _ in model.named_parameters()]
    head = last.removeprefix(_INSIDE)
    if what == BACKBONE:

        def fits(name: str) -> bool:
            return name != head and not name.startswith(f"{head}.")
    else:
        try:
            pattern = re.compile(rf"(?:{what})(?:\.|$)")
        except re.error as error:
            raise RecipeError(
                f"recipe: freeze is {what!r}, which is no regular expression ({error}); expected "
                f"backbone, or one that fits names of layers: {_listed(names)}."
            ) from None

        def fits(name: str) -> bool:
            return pattern.match(name) is not None

    stopped = [name for name in names if fits(name)]
    if not stopped or len(stopped) == len(names):
        wrong = "fits all parameters" if stopped else "fits no parameter"
        raise RecipeError(
            f"recipe: freeze is {what!r}, which {wrong} of this model; expected backbone, or a "
            f"regular expression for some of its layers: {_listed(names)}."
        )
    for name, parameter in model.named_parameters():
        if fits(name.removeprefix(_INSIDE)):
            parameter.requires_grad_(False)
    return [
        module
        for name, module in model.named_modules()
        if fits(name.removeprefix(_INSIDE)) and getattr(module, "running_mean", None) is not None
    ]


def _listed(names: Sequence[str]) -> str:
    """The first parts of names, each once."""
    return ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
