"""The last layers that a run is evaluated with: the model's own, and one for mixed images.

A *column* is a set of weights as it is evaluated: ``raw``, ``ema`` and ``teacher``, and, where both
last layers learn, ``raw_mixed``, ``ema_mixed`` and ``teacher_mixed``: the same weights with the
layer that learns from mixed images in the place of the model's own. Where only that layer learns,
the first three columns have it. A column's *head* is ``own`` or ``mixed``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    Weights = dict[str, Tensor]

OWN, MIXED = "own", "mixed"
_SECOND = "_mixed"


def heads_by_column(
    weights: Iterable[str], mixed: Iterable[str], *, own_learns: bool
) -> dict[str, str]:
    """Return the columns of a run, in their order, and the head of each.

    ``weights`` are its sets of weights, ``mixed`` those that have a layer for mixed images.

    Example:
        >>> heads_by_column(["raw", "ema"], ["raw", "ema"], own_learns=False)
        {'raw': 'mixed', 'ema': 'mixed'}
        >>> [*heads_by_column(["raw", "ema"], ["raw"], own_learns=True)]
        ['raw', 'ema', 'raw_mixed']
    """
    there = set(mixed)
    if not own_learns:
        return {name: MIXED if name in there else OWN for name in weights}
    names = list(weights)
    second = {f"{name}{_SECOND}": MIXED for name in names if name in there}
    return {**dict.fromkeys(names, OWN), **second}


def weights_of(column: str) -> str:
    """Return the set of weights of a column.

    Example:
        >>> weights_of("ema_mixed"), weights_of("ema")
        ('ema', 'ema')
    """
    return column.removesuffix(_SECOND)


@contextlib.contextmanager
def wearing(model: nn.Module, layer: str, head: nn.Linear | None) -> Generator[nn.Module]:
    """Put ``head`` in the place of the model's last layer, named ``layer``; None leaves it."""
    from torch import nn  # records are read without

    from mixwright.taps import named_layer

    if head is None:
        yield model
        return
    last = named_layer(model, layer)
    assert isinstance(last, nn.Linear)
    kept = last.weight, last.bias
    # Parameters alone: hooks, wrappers and compiled code see the layer that they know.
    last.weight, last.bias = (
        nn.Parameter(own.detach().to(kept[0].dtype), requires_grad=False)
        for own in (head.weight, head.bias)
    )
    try:
        yield model
    finally:
        last.weight, last.bias = kept


def saved_columns(state: Mapping[str, Any]) -> dict[str, Weights]:
    """Return the weights of a checkpoint, of format 2, as they are evaluated, by column."""
    weights: Mapping[str, Weights] = state["weights"]
    heads: Mapping[str, Any] | None = state.get("heads")
    if heads is None:
        return {name: dict(own) for name, own in weights.items()}
    layer, mixed = heads["layer"], heads["mixed"]
    return {
        column: {
            **weights[weights_of(column)],
            **(
                {f"{layer}.{name}": value for name, value in mixed[weights_of(column)].items()}
                if head == MIXED
                else {}
            ),
        }
        for column, head in heads["columns"].items()
    }
