"""Salient tokens of earlier layers among the keys and values of a later one."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from mixwright.objectives.tokenmixup.layers import Encoder
from mixwright.taps.heads import is_torch
from mixwright.taps.modes import hooked

_Arguments = tuple[tuple[Any, ...], dict[str, Any]]


@contextlib.contextmanager
def vertical(encoders: Sequence[Encoder], *, kappa: int) -> Generator[None]:
    """Let the last of these consecutive layers also attend to salient tokens of those before it.

    ``kappa`` tokens of each earlier layer, those of the largest saliency and never prefix tokens,
    join the keys and values of its attention, through the block's own norm; queries stay its own.
    """
    # Where one input gives queries, keys and values, as in timm, the tokens join the input and what
    # they ask for is dropped, which is the same: dropout, gates and fused kernels stay the layer's.
    *earlier, last = encoders
    kept: list[Tensor] = []
    entered: list[_Arguments] = []  # arguments of the block that runs, tokens first
    joined = False

    def enter(module: Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        entered[:] = [(inputs, named)]

    def chooser(encoder: Encoder) -> Any:
        def choose(module: Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            tokens: Tensor = entered[0][0][0]
            saliency = encoder.saliency(inputs[0] if inputs else named["query"])
            place = saliency.topk(min(kappa, saliency.shape[1]), dim=1).indices
            place = place + encoder.prefix(tokens)
            kept.append(tokens.gather(1, place[..., None].expand(-1, -1, tokens.shape[2])))

        return choose

    def join(module: Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> _Arguments:
        nonlocal joined
        joined = True
        given, more = entered[0]
        others = last.attended(torch.cat(kept, dim=1), *given[1:], **more)
        kept.clear()
        own: Tensor = inputs[0] if inputs else named["query"]
        both = torch.cat([own, others.to(own.dtype)], dim=1)
        if not is_torch(module):
            return (both, *inputs[1:]), named
        rest = {word: value for word, value in named.items() if word not in ("key", "value")}
        rest.pop("query", None)
        return (own, both, both, *inputs[3:]), rest

    def part(module: Module, inputs: Any, output: Any) -> Any:
        length = entered[0][0][0].shape[1]
        return output if is_torch(module) else output[:, :length]

    changes: list[tuple[Module, Any]] = [(encoder.block, enter) for encoder in encoders]
    changes += [(encoder.attention, chooser(encoder)) for encoder in earlier]
    changes += [(last.attention, join)]
    with hooked(
        *(where.register_forward_pre_hook(change, with_kwargs=True) for where, change in changes),
        last.attention.register_forward_hook(part),
    ):
        yield
    if not joined:
        raise ValueError(
            f"TokenMixup: layer {last.name!r} did not run; expected a forward that runs it."
        )
