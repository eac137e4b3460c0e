"""Which tensors we work with: dense ones."""

from __future__ import annotations

from torch import Tensor, strided

from mixwright.arguments import shown


def check_tensor(name: str, argument: str, value: object) -> None:
    """Refuse what is no dense tensor: lists, arrays, None, sparse and quantised ones."""
    # Every plan comes here a dozen times, so that a good tensor is two questions and no import.
    if not isinstance(value, Tensor):
        raise ValueError(
            f"{name}: {argument} is {shown(value)}; expected a tensor. torch.as_tensor makes one "
            "of numbers, lists and arrays."
        )
    if value.layout is not strided or value.is_quantized:
        told = "quantised" if value.is_quantized else str(value.layout)
        raise ValueError(
            f"{name}: {argument} is a {told} tensor; expected a dense one, as .to_dense() or "
            ".dequantize() gives."
        )
