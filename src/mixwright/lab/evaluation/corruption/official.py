"""The official files of CIFAR-10-C and CIFAR-100-C, checked and read piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_SEVERITIES = 5


@dataclass(frozen=True, eq=False)
class OfficialFiles:
    """A checked folder of ``.npy`` files: one a type, five blocks of ``count`` test images each."""

    folder: Path
    count: int

    def images(self, name: str, severity: int, ids: Tensor) -> Tensor:
        """Read the images ``ids`` of a type at a severity from 1 to 5, ``(b, 3, H, W)`` uint8.

        Nothing else is held in memory. ``ids`` ``(b,)`` are places in the test set's own order.
        """
        rows = ids.cpu().numpy() + (severity - 1) * self.count
        stored = _mapped(self.folder / f"{name}.npy")
        picked = np.ascontiguousarray(stored[rows].transpose(0, 3, 1, 2))
        return torch.from_numpy(picked)


def open_official(
    folder: Path,
    types: Sequence[str],
    *,
    labels: Tensor,
    ids: Tensor,
    shape: tuple[int, int, int],
) -> OfficialFiles:
    """Check that a folder holds official files that belong to some test images.

    The folder is as unpacked from ``CIFAR-10-C.tar`` (zenodo.org/records/2535967) or
    ``CIFAR-100-C.tar`` (zenodo.org/records/3555552); ``labels`` and ``ids`` ``(n,)`` are those of
    the clean test images and their places in the test set's own order.
    """
    require_files(folder, types)
    count = _check_labels(folder / "labels.npy", labels, ids)
    for name in types:
        _check_images(folder / f"{name}.npy", count, shape)
    return OfficialFiles(folder, count)


def require_files(folder: Path, types: Sequence[str]) -> None:
    """Refuse a folder that lacks files of some types.

    Raises:
        ValueError: one is missing; the message says what to put where.
    """
    needed = ("labels", *types)
    missing = [f"{name}.npy" for name in needed if not (folder / f"{name}.npy").is_file()]
    if missing:
        raise ValueError(
            f"official corruptions: {folder} has no {', '.join(missing)}; expected labels.npy and "
            "one file a type. Unpack CIFAR-10-C.tar (zenodo.org/records/2535967) or "
            "CIFAR-100-C.tar (zenodo.org/records/3555552), and give the folder the files are in."
        )


def _check_labels(file: Path, labels: Tensor, ids: Tensor) -> int:
    """Return how many images a block has."""
    stored = _mapped(file)
    if stored.ndim != 1 or not np.issubdtype(stored.dtype, np.integer) or len(stored) == 0:
        raise _not_official(file, stored, "(50000,) of integers")
    count, rest = divmod(len(stored), _SEVERITIES)
    if rest:
        raise ValueError(
            f"official corruptions: {file} has {len(stored)} labels; expected a multiple of five, "
            "one block a severity. The file is cut off: unpack it again."
        )
    blocks = stored.reshape(_SEVERITIES, count)
    if not (blocks == blocks[0]).all():
        raise ValueError(
            f"official corruptions: the five blocks of {count} labels in {file} differ; expected "
            "the same test images at each severity."
        )
    if len(ids) and int(ids.max()) >= count:
        raise ValueError(
            f"official corruptions: the test set has an image number {int(ids.max())}, {file} has "
            f"{count} images a severity. Expected the whole test set; these are other files."
        )
    wrong = int((torch.from_numpy(blocks[0].astype(np.int64))[ids.cpu()] != labels.cpu()).sum())
    if wrong:
        raise ValueError(
            f"official corruptions: {wrong} of {len(ids)} test images have another label in "
            f"{file}; expected the test set in its own order. Either the files belong to another "
            "data set (CIFAR-100-C to cifar100), or the test images were put in another order."
        )
    return count


def _check_images(file: Path, count: int, shape: tuple[int, int, int]) -> None:
    stored = _mapped(file)
    channels, height, width = shape
    if stored.ndim != 4 or stored.dtype != np.uint8:
        raise _not_official(file, stored, "(50000, 32, 32, 3) of uint8")
    if stored.shape[1:] != (height, width, channels):
        raise ValueError(
            f"official corruptions: {file} has images of {_size(stored.shape[1:])}, the test set "
            f"of {_size((height, width, channels))} (height x width x channels); expected the "
            "same. Load the data in the size of the files."
        )
    if len(stored) != _SEVERITIES * count:
        raise ValueError(
            f"official corruptions: {file} has {len(stored)} images, labels.npy stands for "
            f"{_SEVERITIES * count}; expected five blocks of {count}. Unpack it again."
        )


def _mapped(file: Path) -> npt.NDArray[Any]:
    try:
        return cast("npt.NDArray[Any]", np.load(file, mmap_mode="r", allow_pickle=False))
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"official corruptions: {file} is no whole .npy file ({error}). Unpack it again."
        ) from error


def _not_official(file: Path, stored: npt.NDArray[Any], expected: str) -> ValueError:
    return ValueError(
        f"official corruptions: {file} holds {tuple(stored.shape)} of {stored.dtype}; expected "
        f"{expected}. Give the folder of the unpacked official files."
    )


def _size(sides: Sequence[int]) -> str:
    return " x ".join(map(str, sides))
