"""Where a transformer looks: attention read from the forward that is made anyway.

Hooks keep what enters the attention layer; the few rows of softmax that are asked for are computed
from it. The layer itself stays as it is, fused kernels included.
"""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Generator, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from mixwright.taps.heads import asked, is_global, is_torch, is_window, kept_of, rows
from mixwright.taps.heads import qkv as qkv
from mixwright.taps.heads import scaling as scaling
from mixwright.taps.heads import weights as weights
from mixwright.taps.layers import named_layer
from mixwright.taps.modes import bare, class_name, hooked
from mixwright.taps.split import Split, declared_prefix, is_transformers, pools_tokens
from mixwright.taps.windows import Windows


def attention_layers(model: nn.Module) -> tuple[str, ...]:
    """Return the names of a model's attention layers in their order.

    Known by their attributes: timm's ``Attention`` (ViT, DeiT) and those of our ``smallvit``,
    timm's Swin ``WindowAttention``, ``torch.nn.MultiheadAttention`` (torchvision's ViT), and those
    of Hugging Face's models with a layer each for queries, keys and values (ViT, DeiT, DINOv2,
    BEiT, CLIP, SigLIP, Swin), whichever kernel computes them.
    """
    found: list[str] = []
    known = dict(bare(model).named_modules())
    inside: set[nn.Module] = set()
    for name, module in known.items():
        # SigLIP's pooling asks for a query that was learned.
        probed = hasattr(known.get(name.rpartition(".")[0]), "probe")
        readable = _block(model, name) is not None if is_window(module) else _is_plain(module)
        if module not in inside and readable and not probed:
            found.append(name)
            inside.update(module.modules())
    if not found:
        raise ValueError(
            f"taps: {class_name(model)} has no attention that can be read; expected a "
            "transformer: smallvit, a vit, deit or swin of timm, a ViT of torchvision, or a vit, "
            "deit, dinov2, beit or swin of transformers."
        )
    return tuple(found)


def prefix_tokens(model: nn.Module, length: int) -> int:
    """Count the tokens in front that stand for no place: class, register, distillation.

    Hugging Face's models have them among their parameters. Where a model does not say, what is left
    of ``length``, all tokens, beside the largest square.

    Example:
        >>> prefix_tokens(nn.Identity(), 65)
        1
    """
    for module in bare(model).modules():
        count = getattr(module, "num_prefix_tokens", None)
        if isinstance(count, int):
            return count
        if isinstance(getattr(module, "class_token", None), nn.Parameter):
            return 1  # torchvision
    if is_transformers(bare(model)):
        return declared_prefix(bare(model))
    return length - math.isqrt(length) ** 2


class Attended:
    """What one attention layer did in the last forward; made by ``attending``.

    All values are float32, without gradient. Rows are means over the heads and go to the image
    tokens alone, so they sum to 1 less what went to the prefix tokens.

    Args:
        model: the classifier.
        name: the attention layer's name.
    """

    def __init__(self, model: nn.Module, name: str) -> None:
        self.name = name
        self._model = bare(model)
        self._layer = named_layer(model, name)
        self._kept: tuple[Tensor, ...] = ()  # what the layers of kept_of gave, or what enters
        self._mask: Tensor | None = None
        self._shape: tuple[int, ...] | None = None  # of the images, or of a Swin block's map

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the image tokens; raises if the layer has not run or has no grid."""
        tokens = self._read()[0]
        if is_window(self._layer):
            assert self._shape is not None
            return self._shape[1], self._shape[2]
        places = tokens.shape[1] - prefix_tokens(self._model, tokens.shape[1])
        return _grid(places, self._shape)

    def class_row(self) -> Tensor:
        """Return what the class token attends to, ``(B, T)``, places row by row.

        Models without a class token, or that pool their image tokens (Swin, timm's
        ``global_pool="avg"``), give ``mean_row``.
        """
        if is_window(self._layer) or not _reads_class_token(self._model):
            return self.mean_row()
        return self._rows(slice(0, 1))

    def mean_row(self) -> Tensor:
        """Return what image tokens attend to on average, ``(B, T)``; raises if it has not run."""
        return self._rows(None)

    @torch.no_grad()
    def _rows(self, which: slice | None) -> Tensor:
        kept = self._read()
        layer = self._layer
        with torch.autocast(kept[0].device.type, enabled=False):
            if is_window(layer):
                assert self._shape is not None
                windows = Windows.of(layer, _block_of(self._model, self.name), self._shape)
                return windows.mean_row(*asked(layer, kept), self._mask)
            prefix = prefix_tokens(self._model, kept[0].shape[1])
            which = slice(prefix, None) if which is None else which
            bias = None if self._mask is None else _as_bias(self._mask, which)
            found = rows(*asked(layer, kept, which), scaling(layer), bias)
            return found.mean(dim=(1, 2))[:, prefix:]

    def _read(self) -> tuple[Tensor, ...]:
        if not self._kept:
            raise ValueError(
                f"taps: attention layer {self.name!r} did not run; expected a forward of the model "
                "inside `with attending(model)`."
            )
        rows, images = len(self._kept[0]), self._shape
        if not is_window(self._layer) and images is not None and rows != images[0]:
            raise ValueError(
                f"taps: attention layer {self.name!r} ran on {rows} sequences for {images[0]} "
                "images; expected one sequence of tokens for each image. Name another layer."
            )
        return self._kept

    def _hook(self) -> list[RemovableHandle]:
        """Put hooks on the layer; the caller removes them."""
        layer, name = self._layer, self.name
        inside = kept_of(layer)
        found: dict[nn.Module, Tensor] = {}

        def watch(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            self._kept, self._mask = (), None
            self._shape = _shape_of(inputs, named, block=is_window(layer))

        def enter(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            if is_torch(layer):
                query, key = _arguments(inputs, named)
                given_mask = named.get("attn_mask"), named.get("key_padding_mask")
                if query is not key or any(mask is not None for mask in given_mask) or inputs[3:]:
                    raise ValueError(_odd(name, "another key than query, or a mask"))
                query = query.detach()
                self._kept = (query if layer.batch_first else query.transpose(0, 1),)
            elif Split.of(layer) is not None:
                self._mask = _only_mask(name, layer, inputs, named)
            elif tensors := [*_tensors((*inputs[1:], *named.values()))]:
                if not is_window(layer):
                    raise ValueError(_odd(name, "a mask or rotary positions"))
                self._mask = tensors[0].detach()

        def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
            found[module] = output.detach()
            if len(found) == len(inside):
                self._kept = tuple(found[part] for part in inside)
                found.clear()

        whole = _block_of(self._model, name) if is_window(layer) else self._model
        handles = [whole.register_forward_pre_hook(watch, with_kwargs=True)]
        handles.append(layer.register_forward_pre_hook(enter, with_kwargs=True))
        handles += [part.register_forward_hook(keep) for part in inside]
        return handles


@contextlib.contextmanager
def attending(model: nn.Module, layer: str | None = None) -> Generator[Attended]:
    """Read the attention of the forwards made inside; the last one is kept.

    Costs one row of softmax a head where ``class_row`` is asked for. Nothing of the model changes,
    and hooks are gone at the end, also after an error.

    Args:
        model: the classifier, wrapped or not.
        layer: an attention layer or what holds it (``blocks.3``); None for the last one.

    Example:
        >>> block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        >>> with attending(block) as attention:
        ...     _ = block(torch.zeros(2, 17, 8))  # a class token and 4 x 4 places
        >>> attention.mean_row().shape, attention.grid
        (torch.Size([2, 16]), (4, 4))
    """
    attended = Attended(model, attention_name(model, layer))
    with hooked(*attended._hook()):  # pyright: ignore[reportPrivateUsage]
        yield attended


def attention_name(model: nn.Module, layer: str | None = None) -> str:
    """Return the name of one attention layer: the last, or the one that ``layer`` is or holds."""
    known = attention_layers(model)
    if layer is None:
        return known[-1]
    for start in (layer, f"model.{layer}"):
        inside = [name for name in known if name == start or name.startswith(f"{start}.")]
        if inside:
            return inside[-1]
    raise ValueError(
        f"taps: {layer!r} is no attention layer and holds none; expected one of {', '.join(known)}."
    )


def _arguments(inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[Tensor, Tensor]:
    query = inputs[0] if inputs else named["query"]
    return query, inputs[1] if len(inputs) > 1 else named["key"]


def _only_mask(
    name: str, layer: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]
) -> Tensor | None:
    """Return the mask that a layer of Hugging Face's is given; refuse any other tensor but it."""
    given = inspect.signature(layer.forward).bind(*inputs, **named).arguments
    tokens, *more = given.items()
    mask: Any = None
    for word, value in more:
        if word == "attention_mask" and isinstance(value, Tensor):
            mask = value.detach()
        elif any(True for _ in _tensors((value,))):
            raise ValueError(_odd(name, f"tensors beside its {tokens[0]}, its {word}"))
    return mask


def _tensors(values: Any) -> Iterator[Tensor]:
    """Find tensors in values that may hold others."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)
        elif isinstance(value, Mapping):
            yield from _tensors(cast(Mapping[str, Any], value).values())


def _as_bias(mask: Tensor, which: slice) -> Tensor:
    """Return what a mask ``(B or 1, heads or 1, T or 1, T)`` adds to the scores of queries."""
    mask = mask[..., which, :] if mask.shape[-2] > 1 else mask
    if mask.dtype != torch.bool:
        return mask.float()
    return torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, -torch.inf)


def _shape_of(
    inputs: tuple[Any, ...], named: dict[str, Any], *, block: bool
) -> tuple[int, ...] | None:
    """Return the shape of a model's images, or of the map that enters a block of windows."""
    given = [*inputs, *named.values()]
    tensors = [value for value in given if isinstance(value, Tensor)]
    if not tensors:
        return None
    if not block:  # labels may stand beside the images
        return tuple(next((value for value in tensors if value.ndim == 4), tensors[0]).shape)
    sides = [value for value in given if isinstance(value, tuple | list)]
    tokens = tensors[0].shape
    if len(tokens) == 3 and sides:  # Hugging Face's: tokens (B, T, C) and (H, W)
        return tokens[0], int(sides[0][0]), int(sides[0][1]), tokens[2]
    return tuple(tokens)


def _is_plain(module: nn.Module) -> bool:
    """Whether a layer attends over all tokens in one of the ways that can be read."""
    return is_global(module) or is_torch(module) or Split.of(module) is not None


def _odd(name: str, what: str) -> str:
    return (
        f"taps: attention layer {name!r} was given {what}; expected plain self-attention of one "
        "sequence of tokens. Name another layer."
    )


def _reads_class_token(model: nn.Module) -> bool:
    """Whether the class is read from a token; where the model does not say, it is."""
    for module in model.modules():
        pool = getattr(module, "global_pool", None)
        if isinstance(pool, str) and pool not in ("token", ""):
            return False
        count = getattr(module, "num_prefix_tokens", None)
        if isinstance(count, int):
            return count > 0 and bool(getattr(module, "has_class_token", True))
    return not (is_transformers(model) and pools_tokens(model))


def _grid(places: int, images: tuple[int, ...] | None) -> tuple[int, int]:
    """Return the grid of so many tokens: a square, or in proportion to the images."""
    side = math.isqrt(places)
    shapes = [] if side * side != places else [(side, side)]
    if images is not None and len(images) == 4 and images[2] != images[3]:
        for across in (n for n in range(1, places + 1) if places % n == 0):
            if (places // across) * images[3] == across * images[2]:
                shapes = [(places // across, across)]
    if not shapes:
        raise ValueError(
            f"taps: {places} image tokens make no grid; expected a square, or the proportions of "
            f"the images {images}."
        )
    return shapes[0]


def _block(model: nn.Module, name: str) -> nn.Module | None:
    """Return the block around a window attention that says how windows are shifted."""
    parent = name.rpartition(".")[0]
    block = dict(bare(model).named_modules()).get(parent)
    return block if block is not None and hasattr(block, "shift_size") else None


def _block_of(model: nn.Module, name: str) -> nn.Module:
    block = _block(model, name)
    assert block is not None  # attention_layers names no other
    return block
