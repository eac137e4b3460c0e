"""Attention with a layer each for queries, keys and values, as Hugging Face's models have it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from torch import Tensor, nn

_NAMES = (("q_proj", "k_proj", "v_proj"), ("query", "key", "value"))
_PREFIX = ("cls_token", "class_embedding", "distillation_token", "register_tokens")


@dataclass(frozen=True, slots=True)
class Split:
    """An attention layer ``softmax(scale * q(x) @ k(x).mT + bias) @ v(x)``, read by its attributes.

    ``bias`` is that of relative positions inside a window, a module of its own; None outside.
    """

    query: nn.Module
    key: nn.Module
    heads: int
    scale: float
    bias: nn.Module | None

    @classmethod
    def of(cls, module: nn.Module) -> Self | None:
        """Read a layer; None where it is another, or attends by more than these parts."""
        layer: Any = module
        children = dict(module.named_children())
        names = next((names for names in _NAMES if all(name in children for name in names)), None)
        if names is None:
            return None
        query, key, value = (children.pop(name) for name in names)
        widths = [getattr(part, "out_features", None) for part in (query, key, value)]
        heads = _first(int, layer, ("num_attention_heads", "num_heads"))
        scale = _first(float, layer, ("scaling", "scale"))
        if heads is None or scale is None or len({*widths}) != 1 or not isinstance(widths[0], int):
            return None
        bias = children.pop("relative_position_bias", None)
        rest = [child for child in children.values() if next(child.parameters(), None) is not None]
        # Anything else that learns changes what is attended to (norms of queries, fewer keys, a
        # scale of its own), but for the layer behind the values.
        plain = all(hasattr(child, "out_features") for child in rest) and len(rest) < 2
        own = next(module.parameters(recurse=False), None) is not None
        if widths[0] % heads or own or not plain or getattr(layer, "is_causal", False):
            return None
        if bias is not None and not hasattr(bias, "relative_position_bias_table"):
            return None
        return cls(query, key, heads, scale, bias)

    def apart(self, done: Tensor, which: slice | None = None) -> Tensor:
        """Part ``(B, T, heads d)`` into heads ``(B, heads, T, d)``, of the tokens ``which``."""
        done = done if which is None else done[:, which]
        return done.view(*done.shape[:2], self.heads, -1).transpose(1, 2)


def is_transformers(model: nn.Module) -> bool:
    """Whether a model, or what it wraps, is one of Hugging Face's."""
    return any(isinstance(getattr(config, "model_type", None), str) for config in _configs(model))


def declared_prefix(model: nn.Module) -> int:
    """Count the class, distillation and register tokens among a model's parameters."""
    found = 0
    for module in model.modules():
        for name in _PREFIX:
            value = getattr(module, name, None)
            if isinstance(value, nn.Parameter):
                found += value.shape[-2] if value.ndim > 1 else 1
    return found


def pools_tokens(model: nn.Module) -> bool:
    """Whether one of Hugging Face's models reads the class from the mean of its image tokens."""
    if declared_prefix(model) == 0:
        return True
    if any(getattr(config, "use_mean_pooling", False) is True for config in _configs(model)):
        return True  # BEiT
    # CLIP's classifiers leave the class token out.
    return any(
        isinstance(getattr(m, "class_embedding", None), nn.Parameter) for m in model.modules()
    )


def _configs(model: nn.Module) -> list[Any]:
    return [config for m in model.modules() if (config := getattr(m, "config", None)) is not None]


def _first(kind: type[Any], layer: Any, names: Iterable[str]) -> Any:
    values = (getattr(layer, name, None) for name in names)
    return next((value for value in values if type(value) is kind), None)
