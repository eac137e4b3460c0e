"""What every mask network is: features and shares in, masks that add up to 1 out."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.arguments import check_choice, check_whole

Upsampling = Literal["nearest", "bilinear"]
UPSAMPLINGS: tuple[Upsampling, ...] = ("nearest", "bilinear")

# What torch calls them. For whole factors "nearest-exact" is "nearest"; for others it is not
# shifted towards the last pixel.
_MODES = {"nearest": "nearest-exact", "bilinear": "bilinear"}


RENAMED_NETWORKS = {
    "mixwright.masknets.generator:Generator": "mixwright.masknets.generator:MaskGenerator",
}
"""Older names of networks, ``module:class`` as files of learned mixers hold them, to today's."""


class MaskNet(nn.Module):
    """Make masks, one a source, of the features of the images that are to be mixed.

    Subclasses define ``logits``; enlarging them and making them add up to 1 is done here.
    Everything is computed in float32, whatever autocast says, so that masks have no steps of
    1/256 and features of any size overflow nowhere. Nothing is repaired: a NaN in weights or
    features is a NaN in the mask, and so in the loss, where a training loop looks for it.

    Args:
        channels: c of the features, at least 1.
        upsample: how maps of features become maps of pixels.
        more: what else rebuilds the network, as plain values.

    Attributes:
        sources: N, where only one is possible; None for any number from 2.
        settings: arguments that make such a network again, ``type(net)(**net.settings)``.

    Raises:
        ValueError: an argument is out of range.
    """

    sources: int | None = None

    def __init__(self, channels: int, *, upsample: Upsampling, **more: Any) -> None:
        super().__init__()
        name = type(self).__name__
        check_whole(name, "channels", channels, low=1)
        check_choice(name, "upsample", upsample, UPSAMPLINGS)
        self.channels, self.upsample = channels, upsample
        self.settings: dict[str, Any] = {"channels": channels, **more, "upsample": upsample}

    def logits(self, features: Tensor, lam: Tensor) -> Tensor:
        """Return where each source is to be seen, before enlarging and normalising.

        Of ``(B, N, c, h, w)`` features and ``(B, N)`` shares, ``(B, N, h, w)``, whose softmax over
        N is the mask; or ``(B, 1, h, w)`` of two sources, whose sigmoid is that of the second.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no logits")

    def forward(self, features: Tensor, lam: Tensor, *, size: tuple[int, int]) -> Tensor:
        """Make one mask for each source.

        Args:
            features: ``(B, N, c, h, w)`` floating; of the images that are to be mixed.
            lam: ``(B, N)`` floating; shares asked for, which add up to 1. They may differ from
                sample to sample.
            size: rows and columns of the masks, in pixels; no multiple of ``(h, w)`` is needed.

        Returns:
            ``(B, N, *size)`` float32 (float64 if the weights are), at least 0, adding up to 1 over
            N, with a graph to the weights.

        Raises:
            ValueError: shapes do not fit each other or the network, or the weights are neither
                float32 nor float64.
        """
        kind = next(self.parameters()).dtype
        self._check(features, lam, size, kind)
        with torch.autocast(features.device.type, enabled=False):
            logits = self.logits(features.to(kind), lam.to(kind))
            logits = F.interpolate(logits, size, mode=_MODES[self.upsample])
            if logits.shape[1] == 1:
                second = logits.sigmoid()
                return torch.cat([1 - second, second], dim=1)
            return logits.softmax(dim=1)

    def _check(
        self, features: Tensor, lam: Tensor, size: tuple[int, int], kind: torch.dtype
    ) -> None:
        name = type(self).__name__
        shape = tuple(features.shape)
        if features.ndim != 5 or not features.is_floating_point() or 0 in shape:
            raise ValueError(
                f"{name}: features have shape {shape} and dtype {features.dtype}; expected "
                "floating (B, N, c, h, w). Gather them first: maps[index]."
            )
        wanted = "at least 2" if self.sources is None else str(self.sources)
        if shape[1] < 2 or (self.sources is not None and shape[1] != self.sources):
            raise ValueError(
                f"{name}: features have N = {shape[1]} sources; expected {wanted}."
                + ("" if self.sources is None else " masknets.MaskGenerator takes any number.")
            )
        if shape[2] != self.channels:
            raise ValueError(
                f"{name}: features have {shape[2]} channels; expected {self.channels}, for which "
                "the network was made."
            )
        if tuple(lam.shape) != shape[:2] or not lam.is_floating_point():
            raise ValueError(
                f"{name}: lam has shape {tuple(lam.shape)} and dtype {lam.dtype}; expected "
                f"floating {shape[:2]}, one share a source. Expand it if it is one for the batch."
            )
        if len(size) != 2 or min(size) < 1:
            raise ValueError(
                f"{name}: size is {size!r}; expected (rows, columns), each at least 1."
            )
        if kind not in (torch.float32, torch.float64):
            raise ValueError(
                f"{name}: its weights are {kind}; expected float32, in which masks are computed "
                "under autocast too. Call net.float()."
            )


def first_spread(channels: int) -> float:
    """Return the standard deviation of initial weights for features of so many channels.

    Example:
        >>> [first_spread(channels) for channels in (1024, 256, 64, 8)]
        [0.01, 0.01, 0.04, 0.1]
    """
    # The authors' 0.01 from 256 channels on, where the first masks vary by about 0.003 over an
    # image. With 0.01 a thin network's masks would vary by 1e-5: its attention is even, so that
    # nothing tells keys and queries which way to go, and they stay flat for thousands of steps.
    return min(0.1, 0.01 * max(1.0, 256 / channels))


def project(width: int, channels: int, *, spread: float, bias: bool = True) -> nn.Conv2d:
    """Make a 1x1 convolution of normal weights and biases of 0: the first masks are nearly flat."""
    made = nn.Conv2d(width, channels, 1, bias=bias)
    nn.init.normal_(made.weight, std=spread)
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    return made


def with_plane(features: Tensor, lam: Tensor) -> Tensor:
    """Put shares ``(B, N)`` beside the channels, as one more plane: ``(B, N, c + 1, h, w)``."""
    plane = lam[:, :, None, None, None].expand(-1, -1, 1, *features.shape[3:])
    return torch.cat([features, plane], dim=2)
