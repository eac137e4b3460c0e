"""Stochastic depth: what a residual block adds is left out for some images."""

from __future__ import annotations

from torch import Tensor, nn

from mixwright.lab.models.names import ModelError


def drop_path(added: Tensor, rate: float, *, training: bool) -> Tensor:
    """Drop what a block adds to its shortcut, for whole images at random, while training.

    What is kept is enlarged, so that the mean stays. Draws come from torch's global generator, as
    dropout's do; a rate of 0 draws nothing.

    Args:
        added: ``(B, ...)``.
        rate: chance of an image, in [0, 1).
        training: whether anything is dropped.

    Example:
        >>> import torch
        >>> drop_path(torch.ones(2, 3), 0.5, training=False).sum()
        tensor(6.)

    Source: Huang et al. 2016, arXiv:1603.09382, scaled as in timm.
    """
    if not rate or not training:
        return added
    keep = added.new_empty(len(added), *[1] * (added.ndim - 1)).bernoulli_(1 - rate)
    return added * keep.div_(1 - rate)


def set_drop_path(model: nn.Module, rate: float, *, name: str) -> None:
    """Set the rates of residual blocks, which grow evenly from 0 at the first to ``rate``.

    A block that can drop what it adds has a number ``drop_path``; ``name`` is the network's, for
    the message.

    Raises:
        ModelError: ``rate`` is above 0, and there is no such block.

    Source: the rule is timm's (``drop_path_rate``).
    """
    blocks = [part for part in model.modules() if isinstance(vars(part).get("drop_path"), float)]
    if rate and not blocks:
        raise ModelError(
            f"model {name}: drop_path is {rate:g}, but it has no residual blocks that can be left "
            "out; expected 0. Leave --drop-path out, or take one of our ResNets, pre-activation "
            "and wide ResNets, efficientnet_lite0 or smallvit, or a timm network that takes "
            "drop_path_rate."
        )
    for place, block in enumerate(blocks):
        vars(block)["drop_path"] = rate * place / max(1, len(blocks) - 1)
