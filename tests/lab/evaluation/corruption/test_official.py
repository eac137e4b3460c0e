"""Official files: read piece by piece, and refused where they belong to other images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mixwright.lab.evaluation.corruption.official import open_official

LABELS = torch.tensor([3, 1, 0, 2, 1, 3])
IDS = torch.arange(6)
SHAPE = (3, 8, 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images whose every value names type, severity and place."""
    for kind, name in enumerate(("fog", "snow")):
        stored = np.zeros((30, 8, 8, 3), dtype=np.uint8)
        stored[:] = (100 * kind + np.arange(30))[:, None, None, None]
        stored[..., 2] += 1
        np.save(tmp_path / f"{name}.npy", stored)
    np.save(tmp_path / "labels.npy", np.tile(LABELS.numpy(), 5).astype(np.uint8))
    return tmp_path


def opened(folder: Path, *, types=("fog", "snow"), labels=LABELS, ids=IDS, shape=SHAPE):
    return open_official(folder, types, labels=labels, ids=ids, shape=shape)


def test_first_block_is_severity_one(folder: Path) -> None:
    files = opened(folder)
    assert files.count == 6
    found = files.images("snow", 1, IDS)
    assert found.shape == (6, 3, 8, 8)
    assert found[:, 0, 0, 0].tolist() == [100, 101, 102, 103, 104, 105]
    assert found[:, 2, 3, 4].tolist() == [101, 102, 103, 104, 105, 106]
    assert files.images("fog", 5, torch.tensor([4, 0]))[:, 0, 0, 0].tolist() == [28, 24]


def test_some_of_the_test_images_keep_their_places(folder: Path) -> None:
    ids = torch.tensor([5, 2])
    files = opened(folder, labels=LABELS[ids], ids=ids)
    assert files.images("fog", 2, ids)[:, 0, 0, 0].tolist() == [11, 8]


def _save(name: str, array: np.ndarray):
    return lambda folder: np.save(folder / f"{name}.npy", array)


@pytest.mark.parametrize(
    ("spoil", "changes", "message"),
    [
        (lambda folder: (folder / "snow.npy").unlink(), {}, "has no snow.npy"),
        (lambda folder: (folder / "labels.npy").unlink(), {}, "has no labels.npy"),
        (lambda folder: (folder / "fog.npy").write_bytes(b"\x93NUMPY"), {}, "no whole .npy file"),
        (_save("fog", np.zeros((30, 8, 8, 3))), {}, "of float64; expected"),
        (
            _save("fog", np.zeros((25, 8, 8, 3), np.uint8)),
            {},
            "25 images, labels.npy stands for 30",
        ),
        (_save("fog", np.zeros((30, 8, 9, 3), np.uint8)), {}, "images of 8 x 9 x 3, the test set"),
        (_save("labels", np.zeros(29, np.uint8)), {}, "29 labels; expected a multiple of five"),
        (_save("labels", np.arange(30, dtype=np.uint8)), {}, "blocks of 6 labels .* differ"),
        (_save("labels", np.zeros((6, 5), np.uint8)), {}, r"\(6, 5\) of uint8"),
        (None, {"labels": LABELS.flip(0)}, "2 of 6 test images have another label"),
        (None, {"ids": IDS + 1}, "an image number 6"),
        (None, {"shape": (3, 28, 28)}, "of 28 x 28 x 3"),
    ],
)
def test_other_files_are_refused(folder: Path, spoil, changes, message: str) -> None:
    if spoil is not None:
        spoil(folder)
    with pytest.raises(ValueError, match=message):
        opened(folder, **changes)
