"""Attention layers known by their attributes: their heads, and rows of their softmax."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn

from mixwright.taps.split import Split

Parts = tuple[Tensor, Tensor, Tensor]
"""Queries, keys and values, ``(B, heads, T, d)`` each."""


def is_global(module: nn.Module) -> bool:
    """Whether a layer attends over all tokens the way timm's ``Attention`` does."""
    layer: Any = module
    odd = ("rel_pos", "use_rel_pos", "lambda_q1", "lambda_a", "proj_l")  # other ways to attend
    return (
        _has_heads(module)
        and isinstance(getattr(layer, "q_norm", None), nn.Module)
        and isinstance(getattr(layer, "k_norm", None), nn.Module)
        and not any(getattr(layer, word, None) for word in odd)
        and layer.qkv.out_features
        == 3
        * layer.num_heads
        * getattr(layer, "head_dim", layer.qkv.out_features // 3 // layer.num_heads)
    )


def is_window(module: nn.Module) -> bool:
    """Whether a layer attends inside windows the way timm's, or Hugging Face's, Swin does."""
    if (split := Split.of(module)) is not None:
        return split.bias is not None
    wanted = ("window_size", "relative_position_bias_table", "relative_position_index")
    return _has_heads(module) and all(getattr(module, word, None) is not None for word in wanted)


def is_torch(module: nn.Module) -> TypeGuard[nn.MultiheadAttention]:
    """Whether a layer is torch's own, with one matrix for queries, keys and values."""
    return (
        isinstance(module, nn.MultiheadAttention)
        and module.in_proj_weight is not None  # pyright: ignore[reportUnnecessaryComparison]
        and module.bias_k is None
        and not module.add_zero_attn
    )


def scaling(attention: nn.Module) -> float:
    """Return the factor of ``q @ k.T`` before the softmax."""
    if is_torch(attention):
        return attention.head_dim**-0.5
    if (split := Split.of(attention)) is not None:
        return split.scale
    return float(cast(Any, attention).scale)


def qkv(attention: nn.Module, tokens: Tensor) -> Parts:
    """Return queries, keys and values of tokens ``(B, T, D)``, ``(B, heads, T, d)`` each.

    They carry gradients and are in the layer's precision. Tokens are those that enter the layer,
    behind the block's first norm. Queries and keys have gone through the layer's own normalisation,
    if any, and are not scaled: the layer computes ``softmax(scaling(attention) * q @ k.mT) @ v``.
    """
    if is_torch(attention):
        weight, bias = attention.in_proj_weight, attention.in_proj_bias
        done = nn.functional.linear(tokens, weight, bias)
        return _split(attention, done, attention.num_heads)
    if is_global(attention) or is_window(attention):
        layer = cast(Any, attention)
        return _split(attention, layer.qkv(tokens), layer.num_heads)
    raise ValueError(
        f"taps: {type(attention).__name__} is no attention layer that can be read; expected one "
        "that attention_layers(model) names."
    )


@torch.no_grad()
def weights(attention: nn.Module, tokens: Tensor) -> Tensor:
    """Return a layer's whole attention ``(B, heads, T, T)`` float32 on tokens, without gradient.

    Tokens ``(B, T, D)`` enter the layer, for windows one window a row; queries are along axis 2.
    """
    with torch.autocast(tokens.device.type, enabled=False):
        kind = next(attention.parameters()).dtype
        q, k, _ = qkv(attention, tokens.detach().to(kind))
        bias = window_bias(attention) if is_window(attention) else None
        return rows(q.float(), k.float(), scaling(attention), bias)


def asked(
    attention: nn.Module, kept: Sequence[Tensor], which: slice | None = None
) -> tuple[Tensor, Tensor]:
    """Return float32 queries (``which``, or all) and keys of what hooks kept: see ``kept_of``."""
    if (split := Split.of(attention)) is not None:
        q, k = split.apart(kept[0], which), split.apart(kept[1])
    elif is_torch(attention):
        kind = attention.in_proj_weight.dtype
        q, k, _ = qkv(attention, kept[0].to(kind))
        q = q if which is None else q[:, :, which]
    else:
        q, k, _ = _split(attention, kept[0], cast(Any, attention).num_heads, which)
    return q.float(), k.float()


def kept_of(attention: nn.Module) -> tuple[nn.Module, ...]:
    """Return the layers inside whose outputs say what is attended to; torch's own has none."""
    if (split := Split.of(attention)) is not None:
        return split.query, split.key
    return () if is_torch(attention) else (cast(Any, attention).qkv,)


def rows(q: Tensor, k: Tensor, scale: float, bias: Tensor | None = None) -> Tensor:
    """Return the softmax of ``(B, heads, Q, d)`` queries over keys, ``(B, heads, Q, T)``."""
    scores = (q * scale) @ k.transpose(-2, -1)
    return (scores if bias is None else scores + bias).softmax(dim=-1)


def window_bias(attention: nn.Module) -> Tensor:
    """Return a window's bias by relative position, ``(1, heads, N, N)`` float32."""
    split = Split.of(attention)
    layer = cast(Any, attention if split is None else split.bias)
    index: Tensor = layer.relative_position_index  # (N, N), of Hugging Face's flat
    side = math.isqrt(index.numel())
    bias: Tensor = layer.relative_position_bias_table[index.flatten()]
    return bias.detach().float().view(side, side, -1).permute(2, 0, 1)[None]


def _split(attention: nn.Module, done: Tensor, heads: int, which: slice | None = None) -> Parts:
    """Return heads of ``(B, T, 3 heads d)``, normalised where the layer does that."""
    q, k, v = done.view(*done.shape[:2], 3, heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
    q = q if which is None else q[:, :, which]
    normed = (_normed(attention, word, x) for word, x in (("q_norm", q), ("k_norm", k)))
    return (*normed, v)  # pyright: ignore[reportReturnType]


def _normed(attention: nn.Module, word: str, values: Tensor) -> Tensor:
    norm = getattr(attention, word, None)
    if norm is None or isinstance(norm, nn.Identity):
        return values
    weight = next(norm.parameters(), values)
    return norm(values.to(weight.dtype)).to(values.dtype)


def _has_heads(module: nn.Module) -> bool:
    heads, scale = getattr(module, "num_heads", None), getattr(module, "scale", None)
    linear = getattr(module, "qkv", None)
    plain = getattr(module, "q_bias", None) is None
    return (
        plain
        and isinstance(linear, nn.Linear)
        and isinstance(heads, int)
        and isinstance(scale, float)
    )
