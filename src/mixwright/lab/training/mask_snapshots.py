"""Masks of a learned mixer for the same few images, epoch after epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from mixwright.checkpoint import load_checkpoint, save_checkpoint
from mixwright.lab.data.sets import Dataset
from mixwright.objectives.objective import Objective
from mixwright.sampling import stream

IMAGES = 6
_FOLDER, _SEED = "masks", 7


def is_snapshot_epoch(epoch: int, epochs: int) -> bool:
    """Return whether masks of an epoch are kept: those of the powers of two, and of the last.

    Example:
        >>> [epoch for epoch in range(1, 13) if is_snapshot_epoch(epoch, 12)]
        [1, 2, 4, 8, 12]
    """
    return epoch == epochs or epoch & (epoch - 1) == 0


def save_mask_snapshots(folder: Path, epoch: int, *, objective: Objective, data: Dataset) -> None:
    """Draw masks for a few test images and save them; do nothing where no mixer is learned.

    Who is mixed and with which shares is drawn alike in every epoch, so that only the masks
    change.
    """
    mixer = objective.trained_mixer()
    if mixer is None:
        return
    rows = torch.arange(min(IMAGES, len(data.test)))
    pixels = data.test.take(rows)
    device = next(objective.parameters()).device
    images = pixels.to(device).float() / 255
    plan = mixer.plan(images, generator=stream(_SEED))
    masks = folder / _FOLDER
    masks.mkdir(exist_ok=True)
    state = {
        "epoch": epoch,
        "images": pixels.cpu(),
        "index": plan.index.cpu(),
        "weight": plan.weight.cpu(),
        "mask": plan.mask.mul(255).round().to(torch.uint8).cpu(),
        "mixed": plan.images(images).clamp(0, 1).mul(255).round().to(torch.uint8).cpu(),
    }
    save_checkpoint(masks / f"epoch-{epoch:04d}.pt", state)


def read_mask_snapshots(folder: Path) -> list[dict[str, Any]]:
    """Read what ``save_mask_snapshots`` saved in a run's folder, by epoch.

    Of each, ``epoch``, ``images`` ``(B, C, H, W)``, ``index`` ``(B, N)``, ``weight`` ``(B, N)``,
    ``mask`` ``(B, N, H, W)`` and ``mixed`` ``(B, C, H, W)``, pictures as uint8.
    """
    return [load_checkpoint(path) for path in sorted((folder / _FOLDER).glob("epoch-*.pt"))]
