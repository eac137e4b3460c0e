"""Small pictures in a page: masks painted in colours, sheets of rows, PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixwright.lab.reports.palette import FAINT, SOURCES

if TYPE_CHECKING:
    from torch import Tensor


def paint(shares: Tensor, fills: Sequence[bool] = ()) -> Tensor:
    """Paint whose pixel it is, ``(3, H, W)`` uint8, in the colours of ``palette.SOURCES``.

    ``shares`` ``(N, H, W)`` uint8 are 255 for all of a pixel; ``fills`` says which sources are
    fills, which are nobody's and grey.
    """
    import torch

    grey = [*fills] + [False] * (len(shares) - len(fills))
    colours = torch.tensor(
        [
            _rgb(FAINT.light if fill else SOURCES[place % len(SOURCES)])
            for place, fill in enumerate(grey)
        ]
    )
    painted = torch.einsum("nhw,nc->chw", shares.float() / 255, colours.float())
    return painted.clamp(0, 255).round().to(torch.uint8)


def sheet(rows: Sequence[Sequence[Tensor]], *, scale: int = 3) -> Tensor:
    """Put rows of pictures ``(C, H, W)`` uint8 on one sheet, white between them, enlarged."""
    import torch

    def enlarged(picture: Tensor) -> Tensor:
        colour = picture if picture.shape[0] == 3 else picture[:1].expand(3, -1, -1)
        big = colour.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2)
        return torch.nn.functional.pad(big, (2, 2, 2, 2), value=255)

    return torch.cat(
        [torch.cat([enlarged(picture) for picture in row], dim=2) for row in rows], dim=1
    )


def png(image: Tensor) -> bytes:
    """Return a picture ``(C, H, W)`` uint8 as PNG; the first channel where there are not 1 or 3."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(displayed(image).numpy()).save(file, format="PNG", optimize=True)
    return file.getvalue()


def displayed(image: Tensor) -> Tensor:
    """Return a picture ``(C, H, W)`` as ``(H, W)`` or ``(H, W, 3)``, as viewers take it."""
    if len(image) not in (1, 3):
        image = image[:1]
    return image[0] if len(image) == 1 else image.permute(1, 2, 0).contiguous()


def _rgb(name: str) -> list[int]:
    """Red, green and blue of ``#rrggbb``."""
    return [int(name[i : i + 2], 16) for i in (1, 3, 5)]
