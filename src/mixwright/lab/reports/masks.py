"""What a learned mixer's masks became over training, as rows of small pictures."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mixwright.checkpoint import CheckpointError
from mixwright.lab.reports.palette import SOURCES
from mixwright.lab.reports.samples import rgb
from mixwright.lab.training.mask_snapshots import colour_masks, read_mask_snapshots

_ROWS = 6
"""Epochs that are shown, spread evenly; the first and the last are among them."""


@dataclass(frozen=True)
class MaskRow:
    """A row of pictures, one a sample.

    Args:
        label: what they show.
        pictures: each ``(C, H, W)`` float32 in [0, 1].
    """

    label: str
    pictures: tuple[Tensor, ...]


def mask_rows(folder: Path) -> list[MaskRow]:
    """Read a run's masks: what was mixed, whose pixel it was in some epochs, and the mixtures.

    Args:
        folder: of the run.

    Returns:
        rows from the sources to the last mixture; none where the run kept no masks or they cannot
        be read.
    """
    try:
        states = read_mask_snapshots(folder)
    except CheckpointError:  # a picture must not cost hours of training their report
        return []
    if not states:
        return []
    last = states[-1]
    images, index = last["images"].float() / 255, last["index"]
    sources = index.shape[1]
    colours = torch.tensor([rgb(SOURCES[n % len(SOURCES)]) for n in range(sources)])
    rows = [
        MaskRow(f"source {n + 1}", tuple(images[index[:, n].clamp_min(0)])) for n in range(sources)
    ]
    places = torch.linspace(0, len(states) - 1, min(_ROWS, len(states))).round().long()
    for place in places.tolist():
        state = states[place]
        rows.append(MaskRow(f"epoch {state['epoch']}", tuple(colour_masks(state, colours))))
    rows.append(MaskRow("mixed", tuple(last["mixed"].float() / 255)))
    return rows


def mask_sheet(rows: list[MaskRow], *, scale: int = 3) -> Tensor:
    """Put rows of pictures on one sheet, for a file.

    Args:
        rows: at least one, all of one size.
        scale: pixels a pixel.

    Returns:
        ``(3, H', W')`` float32 in [0, 1], white between the pictures.
    """
    lines = list[Tensor]()
    for row in rows:
        cells = [
            torch.nn.functional.pad(
                (one if one.shape[0] == 3 else one[:1].expand(3, -1, -1))
                .repeat_interleave(scale, dim=1)
                .repeat_interleave(scale, dim=2),
                (2, 2, 2, 2),
                value=1.0,
            )
            for one in row.pictures
        ]
        lines.append(torch.cat(cells, dim=2))
    return torch.cat(lines, dim=1)
