"""Pictures of a comparison that need images or networks: drawn once, when it is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mixwright.checkpoint import CheckpointError
from mixwright.lab.experiments.probe_model import looks_through_model
from mixwright.lab.experiments.samples import (
    AllSamples,
    MethodSamples,
    choose_images,
    draw_samples,
)
from mixwright.lab.training.mask_snapshots import read_mask_snapshots

if TYPE_CHECKING:
    from torch.nn import Module

    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.methods import Method
    from mixwright.mixers import Mixer

SHOWN = 5
"""Samples of each method."""

_IMAGES = 8  # that are mixed with each other
_EPOCHS = 6  # of which masks are shown, spread evenly; the first and the last are among them


@dataclass(frozen=True, kw_only=True)
class MaskHistory:
    """Masks of a learned mixer over the epochs of one run, for the same test images.

    Its pictures are arrays: ``images`` ``(B, C, H, W)``, ``mask`` ``(E, B, N, H, W)``, ``mixed``
    ``(B, C, H, W)`` of the last epoch, uint8, and ``index`` ``(B, N)``.

    Attributes:
        method: its METHOD.
        epochs: whose masks are shown.
    """

    method: str
    epochs: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class MaskHistories:
    """Masks of all methods that learn a mixer."""

    methods: tuple[MaskHistory, ...]


def method_pictures(
    runs: Sequence[tuple[Method, Sequence[Path]]], data: Dataset, *, flips: bool = True
) -> tuple[AllSamples, dict[str, Tensor]]:
    """Draw samples of all methods, each with the folder of a run, whose model is looked through.

    Args:
        runs: methods, each with the folders of its runs.
        data: whose images are mixed.
        flips: whether they were mirrored in training.

    Returns:
        texts, and pictures under ``METHOD/sample/name``; see ``draw_samples``. Of images that are
        withheld there are none, and every method says why.
    """
    if data.withheld:
        return AllSamples(
            methods=tuple(
                MethodSamples(
                    method=method.text, name=method.label, samples=(), note=f"{data.withheld}."
                )
                for method, _ in runs
                if method.parts
            )
        ), {}
    images, labels = choose_images(data, _IMAGES)
    found: list[MethodSamples] = []
    arrays: dict[str, Tensor] = {}
    for method, folders in runs:
        if not method.parts:
            continue
        learned, model = _learned(method, folders[0]), None
        if learned is None and looks_through_model(method):
            others = [run for other, many in runs if other is not method for run in many]
            model = _first_model([*folders, *others], data)
            if model is None:
                note = "It looks through a model, and no run has one that can be read: no pictures."
                found.append(
                    MethodSamples(method=method.text, name=method.label, samples=(), note=note)
                )
                continue
        one, own = draw_samples(
            method, images, labels, data.classes,
            count=SHOWN, seed=0, flips=flips, model=model, learned=learned,
        )  # fmt: skip
        found.append(one)
        arrays |= {f"{method.text}/{name}": array for name, array in own.items()}
    return AllSamples(methods=tuple(found)), arrays


def mask_pictures(runs: Mapping[str, Path]) -> tuple[MaskHistories, dict[str, Tensor]]:
    """Gather what learned mixers did with the same few images, epoch after epoch.

    Return texts, and pictures under ``METHOD/name``; methods that kept no masks, or none that can
    be read, are left out.
    """
    found: list[MaskHistory] = []
    arrays: dict[str, Tensor] = {}
    for method, folder in runs.items():
        try:
            states = read_mask_snapshots(folder)
        except CheckpointError:  # a picture must not cost hours of training their report
            continue
        if not states:
            continue
        places = torch.linspace(0, len(states) - 1, min(_EPOCHS, len(states))).round().long()
        snapshots = [states[place] for place in places.tolist()]
        last = states[-1]
        found.append(
            MaskHistory(method=method, epochs=tuple(int(state["epoch"]) for state in snapshots))
        )
        arrays |= {
            f"{method}/images": last["images"],
            f"{method}/index": last["index"],
            f"{method}/mask": torch.stack([state["mask"] for state in snapshots]),
            f"{method}/mixed": last["mixed"],
        }
    return MaskHistories(methods=tuple(found)), arrays


def _learned(method: Method, folder: Path) -> Mixer | None:
    """The mixer that a run has learned, if its method learns one."""
    from mixwright.lab.experiments.trained import learns_mixer, load_mixer

    if not learns_mixer(method.parts[0].cls):
        return None
    try:
        return load_mixer(folder)
    except ValueError:  # a checkpoint that was removed: the method is shown without pictures
        return None


def _first_model(runs: Sequence[Path], data: Dataset) -> Module | None:
    """The trained model of the first run folder that has one."""
    from mixwright.lab.experiments.saved import load_saved

    for run in runs:
        try:
            saved = load_saved(run, image_size=data.image_size, channels=data.channels)
        except ValueError:  # a checkpoint that was removed or does not fit: the next one
            continue
        if saved.classes == data.classes:
            return saved.models["raw"]
    return None
