"""FMix: exact shares, the rounding of counts, and the options of the authors' code."""

from __future__ import annotations

import pytest
import torch

from mixwright.mixers import FMix
from mixwright.sampling import stream

IMAGES = torch.zeros(400, 1, 16, 16)


def test_shares_are_whole_pixels_next_to_lam_and_right_on_average():
    lam = 0.3 + 0.25 / 256  # 77.05 pixels
    plan = FMix(lam=lam).plan(torch.zeros(2000, 1, 16, 16), generator=stream(0))
    counts = plan.mask[:, 0].sum(dim=(1, 2))
    assert set(counts.tolist()) == {77, 78}
    assert counts.mean().item() == pytest.approx(lam * 256, abs=4 * (0.05 * 0.95 / 2000) ** 0.5)
    torch.testing.assert_close(plan.weight[:, 0], counts / 256)


def test_soft_borders_keep_the_share():
    plan = FMix(max_soft=0.1, lam=0.5).plan(IMAGES, generator=stream(0))
    own = plan.mask[:, 0]
    torch.testing.assert_close(own.mean(dim=(1, 2)), torch.full((400,), 0.5))
    partly = ((own > 0) & (own < 1)).float().mean().item()
    assert partly == pytest.approx(0.2, abs=0.02)


def test_reformulated_labels_are_the_samples_own_and_lam_is_larger():
    alpha = 0.5
    plan = FMix(reformulate=True, alpha=alpha).plan(
        torch.zeros(4000, 1, 16, 16), torch.arange(4000), generator=stream(0)
    )
    assert torch.equal(plan.weight, torch.tensor([[1.0, 0.0]]).expand(4000, 2))
    shown = plan.mask[:, 0].mean(dim=(1, 2))
    wanted = (alpha + 1) / (2 * alpha + 1)  # the mean of Beta(alpha + 1, alpha)
    assert shown.mean().item() == pytest.approx(wanted, abs=0.02)
    assert plan.lam is not None
    assert (plan.lam - shown).abs().max() <= 1 / 256 + 1e-6


def test_official_masks_are_stripes():
    plan = FMix(spectrum="official", lam=0.5).plan(IMAGES, generator=stream(0))
    own = plan.mask[:, 0]
    along_rows = (own != own.roll(1, 2)).sum(dim=2)
    assert along_rows.max() <= 2
    assert (own != own.roll(1, 1)).sum(dim=1).max() > 2


def test_larger_decay_gives_fewer_borders():
    borders = []
    for decay in (0.0, 1.0, 3.0, 6.0):
        own = FMix(decay=decay, lam=0.5).plan(IMAGES, generator=stream(0)).mask[:, 0]
        borders.append((own.diff(dim=1) != 0).float().mean().item())
    assert borders == sorted(borders, reverse=True)
    assert borders[0] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decay": -1.0}, "decay is -1.0"),
        ({"max_soft": 0.6}, "max_soft is 0.6"),
        ({"spectrum": "round"}, "spectrum is 'round'"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=f"FMix: {message}"):
        FMix(**settings)
