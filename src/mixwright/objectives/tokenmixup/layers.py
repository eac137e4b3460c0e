"""The layers of a transformer's encoder: what enters them, and what they attend to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import Module

from mixwright.arguments import of_type
from mixwright.taps.attention import attention_layers, prefix_tokens
from mixwright.taps.heads import is_global, is_torch, qkv, rows, scaling, weights
from mixwright.taps.modes import bare, hooked


@dataclass(frozen=True, slots=True)
class Encoder:
    """One layer of a transformer."""

    name: str  # of the block, for messages
    block: Module  # the whole layer, tokens (B, T, D) to tokens
    attention: Module  # its self-attention
    model: Module  # the classifier that it belongs to

    def prefix(self, tokens: Tensor) -> int:
        """Count the tokens in front that stand for no place; the first is the class token."""
        return prefix_tokens(self.model, tokens.shape[1])

    @property
    def width(self) -> int:
        """D, the length of a token."""
        if is_torch(self.attention):
            return self.attention.embed_dim
        return int(cast(Any, self.attention).qkv.in_features)

    def attended(self, tokens: Tensor, *more: Any, **named: Any) -> Tensor:
        """Return what the block, given these tokens and arguments, would hand to its attention."""
        # The block runs until it reaches its attention, which raises: so its own normalisation is
        # applied, wherever it sits and whatever it is called, and nothing behind it is computed.

        def stop(module: Module, inputs: tuple[Any, ...], given: dict[str, Any]) -> None:
            raise _ReachedError(inputs[0] if inputs else given["query"])

        # In front of other hooks: for them this forward does not happen.
        handle = self.attention.register_forward_pre_hook(stop, prepend=True, with_kwargs=True)
        try:
            self.block.forward(tokens, *more, **named)
        except _ReachedError as reached:
            return reached.tokens
        finally:
            handle.remove()
        raise ValueError(
            f"TokenMixup: {self.name} gave an output without its attention, "
            f"{type(self.attention).__name__}; expected a transformer block that runs it."
        )

    @torch.no_grad()
    def saliency(self, attended: Tensor) -> Tensor:
        """Return the saliency ``(B, T - prefix)`` of tokens that enter the attention.

        It is what the class token, or without one all tokens on average, attends to.
        """
        prefix = self.prefix(attended)
        if prefix == 0:
            return weights(self.attention, attended).mean(dim=(1, 2))
        with torch.autocast(attended.device.type, enabled=False):
            kind = next(self.attention.parameters()).dtype
            q, k, _ = qkv(self.attention, attended.detach().to(kind))
            row = rows(q[:, :, :1].float(), k.float(), scaling(self.attention))
            return row[:, :, 0, prefix:].mean(dim=1)


class _ReachedError(Exception):
    """Carries what reached the attention."""

    def __init__(self, tokens: Tensor) -> None:
        super().__init__()
        self.tokens = tokens


def encoders(model: Module) -> tuple[Encoder, ...]:
    """Return the encoder layers of a transformer: what holds an attention and is one of a row."""
    known = dict(bare(model).named_modules())
    if any(getattr(module, "grad_checkpointing", False) is True for module in known.values()):
        raise ValueError(
            f"TokenMixup: {type(bare(model)).__name__} runs its layers again in the backward pass; "
            "expected grad_checkpointing off: model.set_grad_checkpointing(False)."
        )
    found: list[Encoder] = []
    for name in attention_layers(model):
        attention = known[name]
        plain = is_global(attention) or (is_torch(attention) and attention.batch_first)
        if not plain:
            raise ValueError(
                f"TokenMixup: attention {name!r} is {of_type(attention)}; expected one "
                "over all tokens (B, T, D) at once, as in smallvit, timm's vit and deit, "
                "torchvision's ViT."
            )
        block = name.rpartition(".")[0]
        while block and not isinstance(known[block.rpartition(".")[0]], _ROW):
            block = block.rpartition(".")[0]
        found.append(Encoder(block, known[block or name.rpartition(".")[0]], attention, model))
    return tuple(found)


_ROW = nn.ModuleList | nn.Sequential


@contextlib.contextmanager
def changing_input(encoder: Encoder, change: Callable[..., Tensor]) -> Generator[None]:
    """Change a block's tokens in the forwards inside; ``change`` takes the block's arguments."""

    def before(
        module: Module, inputs: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (change(*inputs, **named), *inputs[1:]), named

    with hooked(encoder.block.register_forward_pre_hook(before, with_kwargs=True)):
        yield
