"""Several batches in one forward, each with its own statistics of batch normalisation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]

from mixwright.arguments import check_whole
from mixwright.taps import bare, hooked

_Forward = Callable[[Tensor], Tensor]


@contextlib.contextmanager
def grouped_norm(model: nn.Module, groups: int) -> Generator[None]:
    """Normalise the parts of a batch as if each were run through the model by itself.

    Inside, the rows of a batch are ``groups`` batches of equal length, one after the other. Batch
    normalisation takes mean and variance of each by itself and updates its running statistics
    group by group, which is what separate forwards do; all other layers see one large batch and
    run once. Layers in evaluation mode and models without batch normalisation stay as they are.

    Compiled models run as they were written inside. Activation checkpointing does not go with
    this: it runs layers again in the backward, when the groups are forgotten.

    Raises:
        ValueError: ``groups`` is no whole number from 1; or, in the forward, a batch cannot be cut
            into so many equal parts.

    Example:
        >>> model = nn.BatchNorm1d(1, affine=False)
        >>> with grouped_norm(model, 2):
        ...     model(torch.tensor([[-1.0], [1.0], [50.0], [70.0]])).round(decimals=3).T
        tensor([[-1.,  1., -1.,  1.]])
    """
    check_whole("grouped_norm", "groups", groups, low=1)
    norms = [norm for norm in bare(model).modules() if isinstance(norm, _BatchNorm)]
    own = {norm: vars(norm).get("forward") for norm in norms}  # mostly None: the class has it
    try:
        for norm in norms if groups > 1 else ():
            vars(norm)["forward"] = _in_groups(norm, norm.forward, groups)
        with hooked():
            yield
    finally:
        for norm, forward in own.items():
            vars(norm).pop("forward", None)
            if forward is not None:
                vars(norm)["forward"] = forward


def _in_groups(norm: _BatchNorm, forward: _Forward, groups: int) -> _Forward:
    """Make a forward that runs a norm's own one on each group."""

    def run(features: Tensor) -> Tensor:
        if not norm.training and norm.running_mean is not None:
            return forward(features)
        if len(features) % groups:
            raise ValueError(
                f"grouped_norm: a batch of {len(features)} rows is to be cut into {groups} equal "
                "groups; expected a multiple. Put batches of one length together."
            )
        # Groups are slices of neighbouring rows, so cutting is free and joining is one copy; one
        # call over ``groups * C`` channels would copy twice, into another order and back.
        return torch.cat([forward(part) for part in features.chunk(groups)])

    return run
