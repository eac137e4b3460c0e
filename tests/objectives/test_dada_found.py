"""A found policy on a batch."""

from __future__ import annotations

import itertools

import pytest
import torch

from mixwright.objectives.dada import PolicyStep, SubPolicy
from mixwright.objectives.dada.operations import NAMES, operate
from mixwright.objectives.dada.policy import augmented
from mixwright.sampling import stream

INVERT = PolicyStep("Invert", 1.0, 0.5)
NEVER = PolicyStep("Equalize", 0.0, 0.5)


def test_each_image_gets_its_own_sub_policy():
    images = torch.rand(300, 3, 4, 4, generator=stream(0))
    solarize = PolicyStep("Solarize", 0.5, 0.0)  # from 0 on: all tones are inverted
    policy: list[SubPolicy] = [(INVERT, NEVER), (NEVER, NEVER), (solarize, INVERT)]
    found = augmented(images, policy, generator=stream(1))
    same = (found - images).abs().amax(dim=(1, 2, 3)) < 4e-3  # a tone of 256 apart
    other = (found - (1 - images)).abs().amax(dim=(1, 2, 3)) < 4e-3
    assert (same ^ other).all()
    assert same.float().mean() == pytest.approx(1 / 3 + 1 / 6, abs=0.09)
    assert torch.equal(found, augmented(images, policy, generator=stream(1)))
    assert not torch.equal(found, augmented(images, policy, generator=stream(2)))


def test_operations_follow_each_other():
    images = torch.rand(5, 3, 6, 6, generator=stream(0))
    policy: list[SubPolicy] = [(PolicyStep("Brightness", 1.0, 0.1), INVERT)]
    kept = images.clone()
    found = augmented(images, policy, generator=stream(1))
    darker = operate("Brightness", images, torch.full((5,), 0.1), generator=stream(0))
    torch.testing.assert_close(found, 1 - darker)
    assert torch.equal(images, kept)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_dtype_survives(dtype):
    images = torch.rand(8, 1, 6, 6, generator=stream(0)).to(dtype)
    policy: list[SubPolicy] = [
        (PolicyStep(first, 1.0, 0.3), PolicyStep(second, 1.0, 0.9))
        for first, second in itertools.pairwise(NAMES)
    ]
    assert augmented(images, policy, generator=stream(1)).dtype == dtype
