"""SAMix's mask network: both images are seen at once, and the share by its weight on them."""

from __future__ import annotations

from torch import Tensor, nn

from mixwright.arguments import check_arguments, check_number
from mixwright.masknets.attention import attend
from mixwright.masknets.network import MaskNet, Upsampling, first_spread, project


def bent(lam: Tensor, k: float) -> Tensor:
    """Bend shares in [0, 1] towards one half; 0, one half and 1 stay, and r(1 - lam) = 1 - r(lam).

        r(lam) = (4/3 lam^3 - 2 lam^2 + (k + 1) lam) / (k + 1/3)

    The larger ``k``, at least 0, the nearer to ``lam`` itself; flat at one half for 0.

    Example:
        >>> import torch
        >>> bent(torch.tensor([0.0, 0.25, 0.5, 1.0]), k=0.25)
        tensor([0.0000, 0.3571, 0.5000, 1.0000])

    Source: Westlake-AI/openmixup: openmixup/models/heads/pmix_block.py.
    """
    return (((4 / 3) * lam - 2) * lam + (k + 1)) * lam / (k + 1 / 3)


class PairBlock(MaskNet):
    """Mask the second of two images by its own values, attended by what both show.

    Features are multiplied by 1 + r, of each image's own share. Queries and keys are 1x1
    convolutions, each of its own, of both images' channels; values come from a small network of
    the second image: convolution, batch normalisation, ELU, convolution. With d = c // 2:

        s = sigmoid(enlarged(softmax(Q [z, z'] . K [z, z'] / sqrt(d)) value(z')))
        mask = [1 - s, s]

    In evaluation mode values are normalised by running statistics, so that a frozen network masks
    each pair whatever else is in the batch. The bias of the keys adds the same to all scores of a
    place, and so has no effect and no gradient; it is there for the authors' number of weights.

    Args:
        channels: c of the features, at least 1.
        k: r is ``bent(lam, k)``, at least 0; None (or -1, as the authors write) for r = lam. They
            use 0.25 on CIFAR and Tiny-ImageNet and -1 elsewhere.
        dropout: of the values, in [0, 1), drawn as by ``nn.Dropout`` and in training mode only;
            the authors use 0.1 where images are large.
        upsample: how maps of features become maps of pixels.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> net, lam = PairBlock(16), torch.tensor([[0.3, 0.7], [0.9, 0.1]])
        >>> mask = net(torch.rand(2, 2, 16, 4, 4), lam, size=(32, 32))
        >>> tuple(mask.shape), bool((mask.sum(dim=1) == 1).all())
        ((2, 2, 32, 32), True)

    Source: Li et al., "Boosting Discriminative Visual Representation Learning with
    Scenario-Agnostic Mixup", 2021, arXiv:2111.15454; Westlake-AI/openmixup:
    openmixup/models/heads/pmix_block.py.

    Departs from the authors' code in what values are made of: there z' is multiplied first. With
    one share a batch the normalisation divides the factor out again, up to its epsilon (at first
    weights the gradient changes by up to 3 %); but its running statistics would be those of many
    factors, and a frozen network would have other values than it was trained with.
    """

    sources = 2

    @check_arguments
    def __init__(
        self,
        channels: int,
        *,
        k: float | None = 0.25,
        dropout: float = 0.0,
        upsample: Upsampling = "bilinear",
    ) -> None:
        k = None if k == -1 else k
        super().__init__(channels, upsample=upsample, k=k, dropout=dropout)
        if k is not None:
            check_number("PairBlock", "k", k)
        check_number("PairBlock", "dropout", dropout, high=1.0)
        if dropout == 1:
            raise ValueError("PairBlock: dropout is 1; expected less, or no value is left.")
        self.k = k
        spread = first_spread(channels)
        width = max(1, channels // 2)
        self.query = project(2 * channels, width, spread=spread)
        self.key = project(2 * channels, width, spread=spread)
        self.value = nn.Sequential(
            project(channels, width, bias=False, spread=spread),
            nn.BatchNorm2d(width),
            nn.ELU(),
            project(width, 1, bias=False, spread=spread),
            nn.Dropout(dropout),
        )

    def logits(self, features: Tensor, lam: Tensor) -> Tensor:
        """See ``MaskNet.logits``."""
        share = lam if self.k is None else bent(lam, self.k)
        both = (features * (1 + share[:, :, None, None, None])).flatten(1, 2)
        values = self.value(features[:, 1])
        found = attend(self.query(both).flatten(2), self.key(both).flatten(2), values.flatten(2))
        return found.unflatten(2, features.shape[3:])
