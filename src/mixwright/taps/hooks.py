"""Reading and changing what a layer gives, by hooks that live as long as a ``with`` block."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any

from torch import Tensor
from torch.nn import Module

from mixwright.arguments import of_type
from mixwright.taps.layers import INPUT, first_tensor, named_layer, with_first
from mixwright.taps.modes import bare, class_name, hooked


class Tap:
    """What a layer gave, or was given, in the last forward; ``did`` says which in messages."""

    def __init__(self, layer: str, did: str = "gave") -> None:
        self.layer = layer
        self._did = did
        self._value: Tensor | None = None

    @property
    def value(self) -> Tensor:
        """The tensor with its graph; of several the first."""
        if self._value is None:
            raise ValueError(
                f"taps: layer {self.layer!r} {self._did} no tensor in this forward; expected one. "
                "Name a layer that the model runs."
            )
        return self._value

    def hold(self, value: Tensor | None) -> None:
        """Keep a tensor."""
        self._value = value


@contextlib.contextmanager
def tapping(model: Module, layer: str, *, copied: bool = False) -> Generator[Tap]:
    """Keep a layer's output of the forwards made inside.

    ``copied`` keeps a copy, for layers into whose output a later one writes.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
        >>> with tapping(model, "0") as tap:
        ...     _ = model(torch.zeros(4, 2))
        >>> tap.value.shape
        torch.Size([4, 3])
    """
    tap = Tap(layer)

    def keep(module: Module, inputs: Any, output: Any) -> None:
        value = first_tensor(output)
        tap.hold(value.clone() if copied and value is not None else value)

    with hooked(named_layer(model, layer).register_forward_hook(keep)):
        yield tap


@contextlib.contextmanager
def entering(model: Module, layer: str | Module) -> Generator[Tap]:
    """Keep what a layer, by name or itself, is given in the forwards made inside.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
        >>> with entering(model, model[1]) as tap:
        ...     _ = model(torch.zeros(4, 2))
        >>> tap.value.shape
        torch.Size([4, 3])
    """
    if isinstance(layer, Module):
        names = [name for name, module in bare(model).named_modules() if module is layer]
        if not names:
            raise ValueError(
                f"taps: {of_type(layer)} was given that is no layer of this "
                f"{class_name(model)}; expected one of its own. A copy of a model has "
                "copies of its layers: give the name instead."
            )
        name, module = names[0], layer
    else:
        name, module = layer, named_layer(model, layer)
    tap = Tap(name, "was given")

    def keep(module: Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        given = (*inputs, *named.values())
        tap.hold(next((value for value in given if isinstance(value, Tensor)), None))

    with hooked(module.register_forward_pre_hook(keep, with_kwargs=True)):
        yield tap


@contextlib.contextmanager
def replacing(model: Module, layer: str, change: Callable[[Tensor], Tensor]) -> Generator[None]:
    """Change a layer's output in the forwards made inside.

    Args:
        model: the classifier, wrapped or not.
        layer: name of one of its layers, or ``"input"`` for the model's own input.
        change: takes the output (of several the first) and returns what goes on; must not write
            into it.

    Example:
        >>> import torch
        >>> model = torch.nn.Sequential(torch.nn.Identity(), torch.nn.Flatten())
        >>> with replacing(model, "0", lambda features: features + 1):
        ...     model(torch.zeros(1, 2))
        tensor([[1., 1.]])
    """

    ran, again = False, False  # whether the layer ever did, and whether it did in this forward

    def begin(module: Module, inputs: Any) -> None:
        nonlocal again
        again = False

    def before(module: Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> Any:
        nonlocal ran
        ran = True
        if inputs:
            return (change(inputs[0]), *inputs[1:]), named
        name = next((word for word, value in named.items() if isinstance(value, Tensor)), None)
        if name is None:
            raise ValueError("taps: the model was given no tensor; expected images.")
        return inputs, {**named, name: change(named[name])}

    def after(module: Module, inputs: Any, output: Any) -> Any:
        nonlocal ran, again
        if again:
            raise ValueError(
                f"taps: layer {layer!r} runs more than once in a forward, so its output would be "
                "changed more than once; expected a layer that runs once. Name another."
            )
        ran = again = True
        given = first_tensor(output)
        if given is None:
            raise ValueError(
                f"taps: layer {layer!r} gives a {type(output).__name__} that holds no tensor "
                "first; expected a tensor, alone or first of several. Name another layer."
            )
        return with_first(output, change(given))

    if layer == INPUT:
        handles = (bare(model).register_forward_pre_hook(before, with_kwargs=True),)
    else:
        handles = (
            named_layer(model, layer).register_forward_hook(after),
            bare(model).register_forward_pre_hook(begin),
        )
    with hooked(*handles):
        yield
    if not ran:
        raise ValueError(
            f"taps: layer {layer!r} did not run; expected a layer whose output the model uses, "
            "which containers such as ModuleList have none of. Name another."
        )
