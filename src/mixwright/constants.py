"""Small tensors that follow from shapes alone, made once and shared: never write into them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor

_Make = TypeVar("_Make", bound=Callable[..., Tensor])

# Private in torch: how many modes, such as that of fake tensors, see every operation.
_modes: Callable[[], int] = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 1)  # pyright: ignore


def once(make: _Make) -> _Make:
    """Keep what ``make`` gives, but for compilers and modes, whose tensors live in them alone."""

    @functools.lru_cache(maxsize=64)
    def kept(*args: Any) -> Tensor:
        with torch.inference_mode(mode=False):  # else no later backward could save it
            return make(*args)

    @functools.wraps(make)
    def made(*args: Any) -> Tensor:
        if torch.compiler.is_compiling() or _modes():
            return make(*args)
        return kept(*args)

    return made  # pyright: ignore[reportReturnType]


@once
def steps(count: int, device: torch.device) -> Tensor:
    """Give 0, 1, ..., ``count - 1``: ``(count,)`` int64."""
    return torch.arange(count, device=device)


@once
def lengths(size: tuple[int, ...], device: torch.device) -> Tensor:
    """Give sizes as a tensor: ``(D,)`` int64."""
    # Filled on the device: a tensor made of host numbers would make an accelerator wait.
    return torch.stack([torch.full((), length, device=device) for length in size])
