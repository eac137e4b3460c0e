"""Objectives that read attention, on the transformers of others and without reading the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from accelerator import CUDA, Accelerator
from mixwright.lab.models import Normalised
from mixwright.objectives import Losses, Objective
from mixwright.objectives.mixpro import MixPro
from mixwright.objectives.smmix import SMMix
from mixwright.objectives.tokenmix import TokenMix
from mixwright.objectives.transmix import TransMix
from mixwright.sampling import stream
from objectives.transformers import CLASSES, batch, vit

ALL: tuple[type[Objective], ...] = (TransMix, TokenMix, MixPro, SMMix)
MODELS: dict[str, dict[str, Any]] = {
    "deit_tiny_patch16_224": {"depth": 2},
    "deit_tiny_distilled_patch16_224": {"depth": 2},
    "vit_tiny_patch16_224": {"depth": 2, "global_pool": "avg", "drop_path_rate": 0.1},
    "swin_tiny_patch4_window7_224": {"depths": (1, 1, 1, 2), "window_size": 4},
}


def taken(kind: type[Objective], model: nn.Module, side: int) -> Losses:
    objective = kind(p=1.0)  # type: ignore[call-arg]
    objective.build(model, CLASSES)
    losses = objective(model, *batch(3, side), generator=stream(0), progress=0.0)
    losses.total.backward()
    return losses


@pytest.mark.parametrize("name", MODELS)
def test_timms_transformers(name: str):
    timm = pytest.importorskip("timm", exc_type=ImportError)
    model = timm.create_model(name, img_size=64, num_classes=CLASSES, **MODELS[name])
    wrapped = Normalised(model, [0.5] * 3, [0.5] * 3)
    for kind in ALL:
        losses = taken(kind, wrapped, 64)
        assert losses.total.isfinite(), kind
        assert losses.plan.weight.isfinite().all(), kind
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("kind", ALL)
def test_torchs_own_attention(kind: type[Objective]):
    torchvision = pytest.importorskip("torchvision", exc_type=ImportError)
    model = torchvision.models.VisionTransformer(16, 4, 2, 2, 16, 32, num_classes=CLASSES)
    assert taken(kind, model, 16).total.isfinite()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("p", [0.0, 1.0])
def test_nothing_waits_for_the_device(kind: type[Objective], p: float):
    objective = kind(p=p)  # type: ignore[call-arg]
    with Accelerator() as device:
        model = vit().to(CUDA)
        objective.build(model, CLASSES)
        objective.to(CUDA)
        images, labels = (part.to(CUDA) for part in batch())
        device.waits.clear()
        losses = objective(model, images, labels, generator=stream(0), progress=0.0)
    assert device.waits == []
    assert losses.total.device == CUDA


@pytest.mark.parametrize("kind", ALL)
def test_autocast_and_half_precision_images(kind: type[Objective]):
    model = vit(sharp=0.3)
    objective = kind(p=1.0)  # type: ignore[call-arg]
    objective.build(model, CLASSES)
    exact = objective(model, *batch(), generator=stream(0), progress=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        images, labels = batch()
        losses = objective(model, images, labels, generator=stream(0), progress=0.0)
    losses.total.backward()
    assert losses.plan.weight.dtype == torch.float32
    assert losses.total.item() == pytest.approx(exact.total.item(), rel=0.1)
    torch.testing.assert_close(losses.plan.weight, exact.plan.weight, atol=0.05, rtol=0)
