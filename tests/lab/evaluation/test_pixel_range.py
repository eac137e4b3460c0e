"""What supposes images in [0, 1] refuses others, and says how they get there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mixwright.arguments import check_unit
from mixwright.lab.evaluation.attack import autoattack as autoattack_module
from mixwright.lab.evaluation.attack.autoattack import autoattack
from mixwright.lab.evaluation.attack.fgsm import fgsm
from mixwright.lab.evaluation.attack.legacy import legacy_fgsm
from mixwright.lab.evaluation.attack.pgd import pgd
from mixwright.lab.evaluation.corruption.constants import TYPES
from mixwright.lab.evaluation.corruption.generate import block_corruption, corrupt
from mixwright.lab.models.normalised import Normalised
from mixwright.objectives import DADA, MEADA, Spectral
from mixwright.objectives.dada import PolicyStep
from mixwright.objectives.spectral import sensitivity_map
from mixwright.sampling import stream

LABELS = torch.arange(4)
IMAGES = torch.rand(4, 3, 4, 4, generator=stream(0))
BAD = {
    "normalised": (lambda images: (images - 0.5) / 0.25, r"run from -\S+ to \S+; .*Normalised\("),
    "of 255": (lambda images: images * 255, r"run from \S+ to 2\S+; expected values in \[0, 1\]"),
    "bytes": (lambda images: (images * 255).to(torch.uint8), r"uint8; expected floating.*/ 255"),
    "nan": (lambda images: images * torch.nan, "run from nan to nan"),
}


def _model() -> nn.Module:
    return Normalised(nn.Sequential(nn.Flatten(), nn.Linear(48, 4)), [0.5] * 3, [0.25] * 3)


def _trained(objective: Any, images: Tensor) -> Any:
    model = _model()
    objective.build(model, 4)
    if isinstance(objective, DADA):
        objective.use([(PolicyStep("Invert", 0.5, 0.5), PolicyStep("Invert", 0.5, 0.5))])
    return objective(model, images, LABELS, generator=stream(1), progress=0.0)


TAKERS: dict[str, Callable[[Tensor], Any]] = {
    "fgsm": lambda images: fgsm(_model(), images, LABELS, eps=0.1),
    "pgd": lambda images: pgd(
        _model(), images, LABELS, eps=0.1, alpha=0.1, steps=1, generator=stream(1)
    ),
    "legacy_fgsm": lambda images: legacy_fgsm(_model(), images, LABELS, eps=0.1),
    "autoattack": lambda images: autoattack(_model(), images, LABELS, eps=0.1, seed=0),
    "sensitivity_map": lambda images: sensitivity_map(
        _model(), images, LABELS, generator=stream(1)
    ),
    "Spectral": lambda images: _trained(Spectral(steps=1), images),
    "MEADA": lambda images: _trained(MEADA(online=0.5, steps=1), images),
    "DADA": lambda images: _trained(DADA(policies=1), images),
}


@pytest.mark.parametrize(("change", "words"), BAD.values(), ids=BAD)
@pytest.mark.parametrize("name", TAKERS)
def test_other_images_are_refused(
    name: str, change: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(autoattack_module, "check_autoattack", lambda: None)
    with pytest.raises(ValueError, match=f"^{name}: images .*{words}"):
        TAKERS[name](change(IMAGES))


@pytest.mark.parametrize("name", [name for name in TAKERS if name != "autoattack"])
def test_images_in_the_range_pass_with_their_ends_and_rounding(name: str) -> None:
    images = IMAGES.clone()
    images[0, 0, 0, :3] = torch.tensor([0.0, 1.0, 1 + 1e-6])
    TAKERS[name](images)
    TAKERS[name](images.to(torch.float64).float())


def test_an_empty_batch_has_no_range() -> None:
    check_unit("mine", torch.empty(0, 3, 4, 4))


@pytest.mark.parametrize("name", TYPES)
def test_corruptions_want_bytes(name: str) -> None:
    images = torch.rand(1, 3, 8, 8, generator=stream(0))
    words = r"dtype \S*float32; expected .*uint8.*images \* 255"
    with pytest.raises(ValueError, match=words):
        corrupt(images, name, 1, seed=0)
    with pytest.raises(ValueError, match=words):
        block_corruption((3, 8, 8), name, 1, seed=0, block=0)(np.asarray(images))  # type: ignore[arg-type]
