"""AutoMix's mask network: what of the second image fits where the first one is looked at."""

from __future__ import annotations

from torch import Tensor

from mixwright.arguments import check_arguments
from mixwright.masknets.attention import attend
from mixwright.masknets.network import MaskNet, Upsampling, first_spread, project, with_plane


class MixBlock(MaskNet):
    """Mask the second of two images by its own values, attended from the first.

    With features z and z' of the two, one convolution W for queries and keys and one, w, for
    values, all 1x1, and d = c // 2:

        s = sigmoid(enlarged(softmax(W z . W z' / sqrt(d)) w z'))        mask = [1 - s, s]

    At first all of s is about one half, whatever the share. Without ``encode_lam`` it never knows
    the share, and labels alone do.

    Args:
        channels: c of the features, at least 1.
        encode_lam: whether the share is put beside the features as a plane, of the first image's
            for the first and of the second's for the second.
        upsample: how maps of features become maps of pixels; the authors take the nearest.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> net, lam = MixBlock(16), torch.tensor([[0.3, 0.7]])
        >>> mask = net(torch.rand(1, 2, 16, 4, 4), lam, size=(32, 32))
        >>> tuple(mask.shape), bool((mask.sum(dim=1) == 1).all())
        ((1, 2, 32, 32), True)

    Source: Liu et al., "AutoMix: Unveiling the Power of Mixup for Stronger Classifiers",
    ECCV 2022, arXiv:2103.13027, section 3; Westlake-AI/openmixup:
    openmixup/models/heads/pmix_block.py.
    """

    sources = 2

    @check_arguments
    def __init__(
        self, channels: int, *, encode_lam: bool = False, upsample: Upsampling = "nearest"
    ) -> None:
        super().__init__(channels, upsample=upsample, encode_lam=encode_lam)
        self.encode_lam = encode_lam
        width = channels + int(encode_lam)
        spread = first_spread(channels)
        self.query = project(width, max(1, channels // 2), spread=spread)  # for keys too
        self.value = project(width, 1, spread=spread)

    def logits(self, features: Tensor, lam: Tensor) -> Tensor:
        """See ``MaskNet.logits``."""
        encoded = with_plane(features, lam) if self.encode_lam else features
        first, second = encoded.unbind(dim=1)
        found = attend(
            self.query(first).flatten(2),
            self.query(second).flatten(2),
            self.value(second).flatten(2),
        )
        return found.unflatten(2, features.shape[3:])
