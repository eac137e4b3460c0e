"""A vision transformer that learns small images on a CPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.lab.models.drop_path import drop_path

PATCH = 4
"""Default side of a patch in pixels."""


class SmallViT(nn.Module):
    """Patches of 4 pixels and a class token through pre-norm transformer blocks.

    Layers have timm's names (``patch_embed``, ``blocks.0.norm1``, ``blocks.0.attn.qkv``, ``norm``),
    so what reads a timm transformer reads this one; the last Linear is ``fc``, as in all our own.
    ``image_size`` is a multiple of ``patch``, ``width``, the length of a token, one of ``heads``.
    Images of another size get position embeddings by bicubic interpolation.

    Source: Dosovitskiy et al., "An Image is Worth 16x16 Words", 2021, arXiv:2010.11929; the start
    of the weights is that of timm.
    """

    num_prefix_tokens = 1
    """The class token; timm's name for it."""

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int = 32,
        channels: int = 3,
        patch: int = PATCH,
        width: int = 96,
        depth: int = 6,
        heads: int = 4,
    ) -> None:
        super().__init__()
        if image_size < patch or image_size % patch or width % heads:
            raise ValueError(
                f"SmallViT: image_size is {image_size} and width {width}; expected multiples of "
                f"patch, {patch}, and heads, {heads}. Resize or pad the images."
            )
        self.side = image_size // patch
        self.patch_embed = nn.Conv2d(channels, width, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.side**2, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.fc = nn.Linear(width, num_classes)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        """Return logits ``(B, num_classes)`` of ``(B, channels, H, W)``."""
        patch = self.patch_embed.kernel_size[0]
        if images.ndim != 4 or images.shape[2] % patch or images.shape[3] % patch:
            raise ValueError(
                f"SmallViT: images have shape {tuple(images.shape)}; expected (B, C, H, W) with "
                f"sides that are multiples of {patch} pixels. Resize or pad the images."
            )
        grid = self.patch_embed(images)
        tokens = grid.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = tokens + self._positions(grid.shape[2], grid.shape[3])
        for block in self.blocks:
            tokens = block(tokens)
        return self.fc(self.norm(tokens)[:, 0])

    def _positions(self, rows: int, columns: int) -> Tensor:
        """Return the position embeddings of a grid, ``(1, 1 + rows * columns, width)``."""
        if (rows, columns) == (self.side, self.side):
            return self.pos_embed
        grid = self.pos_embed[:, 1:].transpose(1, 2).reshape(1, -1, self.side, self.side)
        grid = F.interpolate(grid, size=(rows, columns), mode="bicubic", antialias=True)
        return torch.cat([self.pos_embed[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)

    def _initialise(self) -> None:
        """Draw weights as timm does: normal of 0.02, biases 0; patches by their fan-in."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        inputs = self.patch_embed.weight[0].numel()
        nn.init.trunc_normal_(self.patch_embed.weight, std=inputs**-0.5)
        assert self.patch_embed.bias is not None
        nn.init.zeros_(self.patch_embed.bias)
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)


class Attention(nn.Module):
    """Multi-head self-attention, with the attributes of timm's."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.num_heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm = nn.Identity()
        self.k_norm = nn.Identity()
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return ``(B, T, width)``."""
        count, length, width = tokens.shape
        parts = self.qkv(tokens).view(count, length, 3, self.num_heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(count, length, width))


class Block(nn.Module):
    """Attention, then two Linear layers, each on normalised tokens and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.drop_path = 0.0  # see ``set_drop_path``
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Return ``(B, T, width)``."""
        tokens = tokens + self._dropped(self.attn(self.norm1(tokens)))
        return tokens + self._dropped(self.mlp(self.norm2(tokens)))

    def _dropped(self, added: Tensor) -> Tensor:
        return drop_path(added, self.drop_path, training=self.training)
