"""The recipe for Keras 3 on torch: the blocks of its page."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

os.environ["KERAS_BACKEND"] = "torch"

import keras

PAGE = Path(__file__).parents[2] / "docs" / "integrations" / "keras.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)

BATCH = torch.rand(4, 3, 8, 8), torch.eye(10)[:4]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Run the page, and note what its models see in training and in evaluation."""
    seen: dict[str, list[Tensor]] = {"train": [], "test": []}
    page: dict[str, Any] = {"seen": seen}
    step = {"train_step": "train", "test_step": "test"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("keras"))
        for name, kind in step.items():
            original = getattr(keras.Model, name)

            def noting(self: Any, data: Any, original: Any = original, kind: str = kind) -> Any:
                seen[kind].append([part.detach().cpu().clone() for part in data])
                return original(self, data)

            patch.setattr(keras.Model, name, noting)
        for block in BLOCKS:
            exec(compile(block, PAGE.name, "exec"), page)
            if "Progress" in block:  # what would have been drawn after the last epoch
                page["fitted"] = {kind: list(rows) for kind, rows in seen.items()}
                page["next"] = page["mix"](*BATCH)
            elif "load_state_dict" in block:
                page["again"] = page["mix"](*BATCH)
    return page


def _known(images: Tensor, pool: Any) -> Tensor:
    return (images[:, None] == torch.as_tensor(pool)).flatten(2).all(dim=2).any(dim=1)


def test_fit_mixes_and_validation_does_not(run: dict[str, Any]) -> None:
    assert keras.backend.backend() == "torch"
    images, targets = (torch.cat(part) for part in zip(*run["fitted"]["train"], strict=True))
    assert images.shape == (96, 3, 8, 8)
    assert _known(images, run["images"][:48]).float().mean() < 0.2
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(96))
    assert (targets.max(dim=1).values < 1).float().mean() > 0.7
    whole, labels = (torch.cat(part) for part in zip(*run["fitted"]["test"], strict=True))
    assert _known(whole, run["images"][48:]).all()
    assert ((labels == 0) | (labels == 1)).all()
    assert len(run["history"].history["val_categorical_accuracy"]) == 2


def test_draws_go_on_from_the_state_that_the_callback_saved(run: dict[str, Any]) -> None:
    assert torch.equal(run["again"][0], run["next"][0])
    assert torch.equal(run["again"][1], run["next"][1])
    assert run["mix"].progress == 0.5


def test_the_loader_mixes_for_a_model_as_it_is(run: dict[str, Any]) -> None:
    rows = run["seen"]["train"][len(run["fitted"]["train"]) :]
    images, targets = (torch.cat(part) for part in zip(*rows, strict=True))
    assert images.shape == (96, 3, 8, 8)
    assert _known(images, run["images"][:48]).float().mean() < 0.2
    assert targets.shape == (96, 10)
