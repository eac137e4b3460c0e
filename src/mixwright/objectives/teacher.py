"""The one exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mixwright.arguments import check_arguments
from mixwright.taps import bare, deep_copy

# One kernel for all tensors; torch's own optimisers are built on them, under these names.
_lerp = torch._foreach_lerp_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
_copy = torch._foreach_copy_  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]


class EMA:
    """A copy of a model whose weights follow the model's as an exponential moving average.

    The ``t``-th update, counted from 0, is ``own = d own + (1 - d) model`` with
    ``d = min(decay, (1 + t) / (10 + t))``: short runs and first steps forget the untrained start
    quickly. Parameters and floating buffers (the running statistics of batch normalisation) are
    averaged alike, integer buffers copied. Half-precision weights are kept in float32, where an
    update by a thousandth is not rounded away.

    Args:
        model: the model to follow; wrappers of DDP and ``torch.compile`` are looked through. It
            is copied at once, so move it to its device before.
        decay: upper bound of ``d``, in [0, 1].

    Raises:
        ValueError: ``decay`` is outside [0, 1].

    Example:
        >>> net = nn.Linear(1, 1)
        >>> ema = EMA(net, decay=0.999)
        >>> with torch.no_grad():
        ...     _ = net.weight.fill_(1.0), ema.model.weight.fill_(0.0)
        >>> ema.update(net)  # d = 1/10
        >>> ema.model.weight.item(), ema.t
        (0.8999999761581421, 1)

    Source: Polyak and Juditsky 1992; the warm-up is that of TensorFlow's
    ``ExponentialMovingAverage``.
    """

    model: nn.Module
    """The averaged copy: in evaluation mode, without gradients."""
    decay: float
    t: int
    """Updates made so far."""

    @check_arguments
    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0.0 <= decay <= 1.0:
            raise ValueError(
                f"EMA: decay is {decay}; expected a number in [0, 1], such as 0.999. A larger one "
                "averages over more steps."
            )
        self.decay = decay
        self.t = 0
        self.model = frozen_copy(model).eval()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move one step towards the model; call it after the optimiser's step.

        Nothing is read back from the device, and the copy's tensors stay where they are.

        Args:
            model: the model that was given to the constructor, or one with the same tensors.

        Raises:
            ValueError: the model has other parameters or buffers than the copy.
        """
        share = 1.0 - warmed(self.decay, self.t)
        move(tensors(self.model), tensors(bare(model)), share, who="EMA.update")
        self.t += 1

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates and the copy's weights, for ``load_state_dict``."""
        return {"t": self.t, "model": self.model.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved average, bit for bit."""
        self.model.load_state_dict(state["model"])
        self.t = int(state["t"])


def warmed(decay: float, t: int) -> float:
    """Return the decay of the t-th update, from 0: at most ``(1 + t) / (10 + t)``.

    Example:
        >>> [warmed(0.999, t) for t in (0, 8, 100_000)]
        [0.1, 0.5, 0.999]
    """
    return min(decay, (1 + t) / (10 + t))


def frozen_copy(model: nn.Module) -> nn.Module:
    """Copy the model inside any wrappers, without gradients, half-precision weights as float32."""
    made = deep_copy(bare(model)).requires_grad_(False)
    for tensor in tensors(made).values():
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor.data = tensor.data.float()
    return made


@torch.no_grad()
def move(own: Mapping[str, Tensor], other: Mapping[str, Tensor], share: float, *, who: str) -> None:
    """Move tensors in place a share of the way to others; integers are copied."""
    if own.keys() != other.keys():
        odd = sorted(own.keys() ^ other.keys())
        raise ValueError(
            f"{who}: {len(odd)} tensors are in only one of model and average, such as "
            f"{odd[0]!r}. Give the model that the average was made from."
        )
    averaged, targets, copied, sources = list[Tensor](), list[Tensor](), [], []
    for name, mine in own.items():
        if mine.is_floating_point() or mine.is_complex():
            averaged.append(mine)
            targets.append(other[name].detach().to(mine.dtype))
        else:
            copied.append(mine)
            sources.append(other[name])
    if averaged:
        _lerp(averaged, targets, share)
    if copied:
        _copy(copied, sources)


def tensors(model: nn.Module, *, buffers: bool = True) -> dict[str, Tensor]:
    """Return every parameter, and buffer, by name, shared ones once."""

    def named() -> Iterator[tuple[str, Tensor]]:
        yield from model.named_parameters()
        if buffers:
            yield from model.named_buffers()

    return dict(named())
