"""AdAutoMix's mask network: any number of images, each attended by the keys of all others."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from mixwright.arguments import check_arguments, check_choice
from mixwright.masknets.attention import attend
from mixwright.masknets.network import MaskNet, Upsampling, first_spread, project, with_plane

Activation = Literal["relu"]


class MaskGenerator(MaskNet):
    """Mask each of N images by its own values, attended by what fits the others.

    With features z_n and three 1x1 convolutions that all images share, for queries q, keys k and
    values v, and d = c // 2:

        l_n = softmax(q_n . sum_{i != n} k_i / sqrt(d)) v_n        mask = softmax_n(enlarged(l_n))

    The sum of the other keys is the sum of all less one's own, so that N attentions do where pairs
    would take N (N - 1). Two images take the same path. Permuting images permutes their masks. At
    first each mask is about 1 / N, whatever the shares; nothing holds its mean to them later.

    The bias of the values adds the same to all N, and so has no effect and no gradient; it is
    there for the authors' number of weights.

    Args:
        channels: c of the features, at least 1.
        encode_lam: whether each image's share is put beside its features, as a plane. The paper
            says always; the authors' runs on CIFAR-100 and Tiny-ImageNet have none, and there the
            mask is the same for all shares.
        activation: after queries and keys; ``"relu"`` is what the authors' code has, None what
            their paper describes.
        norm: whether queries and keys are batch-normalised first, as for their ResNet-50 on
            ImageNet; their convolutions have no bias then.
        upsample: how maps of features become maps of pixels.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> net, lam = MaskGenerator(16), torch.tensor([[0.2, 0.3, 0.5]])
        >>> mask = net(torch.rand(1, 3, 16, 4, 4), lam, size=(32, 32))
        >>> tuple(mask.shape), bool((mask - 1 / 3).abs().max() < 0.05)
        ((1, 3, 32, 32), True)

    Source: Qin et al., "Adversarial AutoMixup", ICLR 2024, arXiv:2312.11954;
    JinXins/Adversarial-AutoMixup: openmixup/models/heads/Ada_mix_pine.py.

    Departs from the authors' code where ``norm`` is set, in normalising all images at once: one by
    one, as there, the plane of a share that is the same all over a batch would be taken out of
    queries and keys again.
    """

    @check_arguments
    def __init__(
        self,
        channels: int,
        *,
        encode_lam: bool = False,
        activation: Activation | None = "relu",
        norm: bool = False,
        upsample: Upsampling = "bilinear",
    ) -> None:
        super().__init__(
            channels, upsample=upsample, encode_lam=encode_lam, activation=activation, norm=norm
        )
        check_choice("MaskGenerator", "activation", activation, ("relu", None))
        self.encode_lam = encode_lam
        width = channels + int(encode_lam)
        spread = first_spread(channels)
        inner = max(1, channels // 2)

        def branch() -> nn.Module:
            parts: list[nn.Module] = [project(width, inner, bias=not norm, spread=spread)]
            if norm:
                parts.append(nn.BatchNorm2d(inner))
            if activation is not None:
                parts.append(nn.ReLU())
            return nn.Sequential(*parts)

        self.query, self.key = branch(), branch()
        self.value = project(width, 1, spread=spread)

    def logits(self, features: Tensor, lam: Tensor) -> Tensor:
        """See ``MaskNet.logits``."""
        encoded = with_plane(features, lam) if self.encode_lam else features
        each = encoded.flatten(0, 1)
        keys = self.key(each).flatten(2).unflatten(0, features.shape[:2])
        other_keys = (keys.sum(dim=1, keepdim=True) - keys).flatten(0, 1)
        logits = attend(self.query(each).flatten(2), other_keys, self.value(each).flatten(2))
        return logits.view(*features.shape[:2], *features.shape[3:])
