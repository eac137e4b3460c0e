"""Networks of the user's: ``package.module:function``, called with what it takes."""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from mixwright.arguments import did_you_mean, of_type, shown
from mixwright.checkpoint import first_line
from mixwright.lab.models.names import ModelError, own_model
from mixwright.lab.settings.own_code import own_module
from mixwright.outputs import take_logits
from mixwright.taps import evaluating

_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NAMES = ("num_classes", "image_size", "channels")
_TAKEN = "num_classes, and image_size and channels where it takes them"

# What functions have returned so far. A run that got the network of another would go on with it.
_returned: weakref.WeakSet[nn.Module] = weakref.WeakSet()


def build_own(name: str, *, num_classes: int, image_size: int, channels: int) -> nn.Module:
    """Return what a function of the user's makes, in training mode; see ``build_model``.

    Two black images go through it once, in evaluation mode, to see that it gives logits.

    Raises:
        ModelError: there is no such function, it cannot be called like this or fails, or what it
            returns is no new module that gives ``(B, num_classes)`` and can learn.
    """
    make = own_function(name)
    if isinstance(make, nn.Module):
        raise ModelError(
            f"model {name} is {of_type(make)}, a network; expected a function that makes "
            f"one, called with {_TAKEN}."
        )
    check_arguments(name, make)
    model = call_own(name, make, num_classes=num_classes, image_size=image_size, channels=channels)
    if model in _returned:
        raise ModelError(
            f"model {name}: it returned the same module again; expected a new one from each call, "
            "since every run trains its own. Make it inside the function."
        )
    _returned.add(model)
    if any(value.is_meta for value in (*model.parameters(), *model.buffers())):
        raise ModelError(
            f"model {name}: weights of its {type(model).__name__} are on the device meta, so they "
            "have no values; expected weights that training can begin with. Make it on the CPU."
        )
    if any(isinstance(part, torch.jit.ScriptModule) for part in model.modules()):
        raise ModelError(
            f"model {name}: it holds a module of TorchScript, which cannot be copied for averaged "
            "weights; expected modules of torch.nn. Return what was given to torch.jit."
        )
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ModelError(
            f"model {name}: no parameter of its {type(model).__name__} can learn; expected a "
            "module with parameters whose requires_grad is true."
        )
    _check_logits(name, model, (2, channels, image_size, image_size), num_classes)
    return model.train()


def own_function(name: str) -> Callable[..., Any]:
    """Return what ``package.module:function`` means; a module of torch may be meant too.

    Raises:
        ModelError: there is no such module or name, or it cannot be called.
    """
    found = own_model(name)
    assert found is not None
    what = f"model {name}"
    with torch.random.fork_rng(devices=[]):  # else the first run would begin elsewhere
        module = _module(name, found[0])
    if not hasattr(module, found[1]):
        known = [key for key, value in vars(module).items() if callable(value)]
        raise ModelError(
            f"{what}: module {found[0]} has no {found[1]}.{did_you_mean(found[1], known)}"
        )
    make = getattr(module, found[1])
    if not callable(make):
        raise ModelError(f"{what} is {shown(make)}; expected a function that returns a network.")
    return make


def check_trusted(name: str, file: Path, *, trust: bool) -> None:
    """Refuse a network of the user's that a file names, unless its module is imported or trusted.

    With ``trust`` it is imported. Names of other networks are let pass.

    Raises:
        ModelError: it is named by the file alone.
    """
    if found := own_model(name):
        _module(name, found[0], file=file, trust=trust)


def check_arguments(name: str, make: Callable[..., Any], *, classes: bool = True) -> None:
    """Refuse a function that wants more than ``call_own`` gives it.

    Or less: with ``classes`` it has to take ``num_classes``.

    Raises:
        ModelError: it does.
    """
    try:
        signature = inspect.signature(make)
    except (TypeError, ValueError):  # of what is written in C
        return
    by_name, loose = _taken(make)
    try:
        if classes and "num_classes" not in by_name + loose:
            raise TypeError("it has no argument num_classes")
        signature.bind(**dict.fromkeys(by_name + loose))
    except TypeError as error:
        raise ModelError(
            f"model {name}: it takes {signature}, and is called with {_TAKEN} ({error}); expected "
            "a default for every other argument. Write a function of these that calls yours."
        ) from None


def call_own(name: str, make: Callable[..., Any], **given: int) -> nn.Module:
    """Call a function with those of ``num_classes``, ``image_size`` and ``channels`` it takes.

    Raises:
        ModelError: it fails, or returns no module.
    """
    by_name, loose = _taken(make)
    taken = {key: value for key, value in given.items() if key in by_name + loose}
    try:
        model = _without_unexpected(make, taken, loose)
    except (Exception, SystemExit) as error:  # a function of the user's can fail in any way
        function = name.partition(":")[2]
        raise ModelError(
            f"model {name}: calling it with {_written(taken)} failed "
            f"({type(error).__name__}: {first_line(error)}). Fix it; "
            f"python -c 'from {name.partition(':')[0]} import {function}; "
            f"{function}({_written(taken)})' shows the place."
        ) from error
    if not isinstance(model, nn.Module):
        raise ModelError(
            f"model {name} gave {of_type(model)}; expected a torch.nn.Module that gives "
            "logits for images."
        )
    return model


def _module(name: str, module: str, *, file: Path | None = None, trust: bool = False) -> ModuleType:
    try:
        return own_module(
            f"model {name}", module, expected="the name of a network", file=file, trust=trust
        )
    except ValueError as error:
        raise ModelError(str(error)) from error


def _taken(make: Callable[..., Any]) -> tuple[list[str], list[str]]:
    """Which of our arguments a function has, and which only its ``**kwargs`` would take."""
    try:
        kinds = {key: one.kind for key, one in inspect.signature(make).parameters.items()}
    except (TypeError, ValueError):  # of what is written in C
        return ["num_classes"], []
    rest = inspect.Parameter.VAR_KEYWORD in kinds.values()
    by_name = [key for key in _NAMES if kinds.get(key) in _BY_NAME]
    return by_name, [key for key in _NAMES if rest and key not in kinds]


def _without_unexpected(
    make: Callable[..., Any], taken: Mapping[str, Any], loose: Sequence[str]
) -> Any:
    """Call, without those of ``loose`` that what ``**kwargs`` is handed on to does not take.

    torchvision's functions are such; Python says which name was not expected.
    """
    try:
        return make(**taken)
    except TypeError as error:
        for key in loose:
            if key in taken and f"unexpected keyword argument '{key}'" in str(error):
                left = {other: value for other, value in taken.items() if other != key}
                return _without_unexpected(make, left, [other for other in loose if other != key])
        raise


def _check_logits(name: str, model: nn.Module, shape: tuple[int, ...], num_classes: int) -> None:
    some = next(model.parameters())
    images = torch.zeros(shape, device=some.device)
    try:
        with evaluating(model), torch.enable_grad():
            output = model(images)
    except Exception as error:  # as above
        raise ModelError(
            f"model {name}: it gives no output for images of shape {shape} "
            f"({type(error).__name__}: {first_line(error)}); expected logits for normalised "
            "images (B, channels, H, W). Give another --image-size, or fix it."
        ) from error
    try:
        logits = take_logits(output, who=f"model {name}", count=len(images))
    except ValueError as error:
        raise ModelError(str(error)) from None
    if not logits.requires_grad:
        raise ModelError(
            f"model {name}: its logits do not depend on any weight that can learn; expected a "
            "forward whose gradients reach its weights. Take detach() and torch.no_grad out of it."
        )
    if not bool(logits.isfinite().all()):
        raise ModelError(
            f"model {name}: its logits for black images are NaN or infinite before any training; "
            "expected finite numbers. Fix its forward, or the weights that it begins with."
        )
    if logits.shape[1] != num_classes:
        raise ModelError(
            f"model {name}: it gives {logits.shape[1]} logits an image, but there are "
            f"{num_classes} classes; expected as many as num_classes, which it is called with."
        )


def _written(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in arguments.items())
