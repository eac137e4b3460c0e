"""The classifier itself, and passes through it that leave its state as it was."""

from __future__ import annotations

import contextlib
import copy
import sys
from collections.abc import Generator
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

_M = TypeVar("_M", bound=nn.Module)


def bare(model: nn.Module) -> nn.Module:
    """Return the model inside the wrappers of DDP, DataParallel and ``torch.compile``.

    Passes of our own go through it: hooks sit on its layers, and DDP must not take such a pass
    for a training step.
    """
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = cast(nn.Module, model.module)
        elif isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model = inner
        else:
            return model


def class_name(model: nn.Module) -> str:
    """Name the class of a model as its author knows it, behind what normalises for it."""
    inner = bare(model)
    children = dict(inner.named_children())
    return type(children["model"] if list(children) == ["model"] else inner).__name__


def deep_copy(module: _M) -> _M:
    """Copy a module with all that is in it.

    As ``copy.deepcopy``, which refuses tensors that were computed from others: the weights that
    ``weight_norm`` and ``spectral_norm`` leave on their modules, and make anew in each forward.
    """
    computed: dict[int, Any] = {}
    for part in module.modules():
        for value in vars(part).values():
            if isinstance(value, Tensor) and not value.is_leaf:
                computed[id(value)] = value.detach().clone()
    return copy.deepcopy(module, computed)


def check_gradients(name: str, images: Tensor) -> None:
    """Refuse ``torch.inference_mode``, and images made in it, by a ValueError of ``name``.

    For what takes gradients: in that mode torch records nothing, and its own error names neither
    the mode nor the call.
    """
    if torch.is_inference_mode_enabled() or images.is_inference():
        raise ValueError(
            f"{name}: called in torch.inference_mode, where gradients cannot be taken; expected "
            "torch.no_grad at most."
        )


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Generator[None]:
    """Set every module to evaluation: running statistics, no dropout.

    Each module's own mode comes back at the end, also after an error, so frozen parts stay frozen.
    Weights that autocast cast meanwhile are forgotten: torch 2.6 would go on with casts made
    without gradients, and the step would teach these weights nothing.

    Example:
        >>> model = nn.Dropout()
        >>> with evaluating(model):
        ...     model.training
        False
        >>> model.training
        True
    """
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        torch.clear_autocast_cache()


@contextlib.contextmanager
def hooked(*handles: RemovableHandle) -> Generator[None]:
    """Let hooks put on just now be seen, and take them off at the end, also after an error.

    Compiled models run as they were written: ``torch.compile`` does not look for hooks again once
    it has made its graph.
    """
    with contextlib.ExitStack() as stack:
        for handle in handles:
            stack.callback(handle.remove)
        if "torch._dynamo" in sys.modules:  # else nothing is compiled yet; importing it is slow
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield
