"""Penalties on masks and numbers of masks, against known answers and plain loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mixwright.masknets import MASK_LOSSES, MaskLoss, mask_numbers
from mixwright.sampling import stream, uniform


def _masks(count: int, sources: int, *, seed: int = 0) -> Tensor:
    drawn = uniform((count, sources, 4, 5), device=torch.device("cpu"), generator=stream(seed))
    return (3 * drawn).softmax(dim=1)


def _of_the_second(kind: str, mask: Tensor, lam: float, margin: float) -> float:
    """Give the penalty on the second of two masks, with one share, as the authors define it."""
    s = mask[:, 1].double().flatten().tolist()
    m = sum(s) / len(s)
    variance = sum((one - m) ** 2 for one in s) / len(s)
    far = abs(1 - m - lam)
    return {
        "l1": max(far - margin, 0),
        "l1+variance": max(far - margin, 0) - 2 * variance,
        "l2+variance": max(far**2 - margin**2, 0) - 2 * variance,
        "sparsity": max(sum(abs(one * (one - 1)) for one in s) / len(s) - margin, 0),
    }[kind]


@pytest.mark.parametrize("kind", MASK_LOSSES)
def test_of_two_masks_it_is_that_of_the_second(kind: Any) -> None:
    mask = _masks(6, 2)
    seen = set[float]()
    for share in (0.1, 0.45, 0.9):
        for tolerance in (0.0, 0.1):
            lam = torch.tensor([share, 1 - share]).expand(6, 2)
            wanted = _of_the_second(kind, mask, share, tolerance)
            found = MaskLoss(kind, tolerance=tolerance)(mask, lam)
            assert found.shape == ()
            assert found.item() == pytest.approx(wanted, abs=1e-6)
            seen.add(round(wanted, 4))
    assert len(seen) > 1


def test_shares_count_by_their_mean_over_the_batch() -> None:
    mask = torch.full((2, 2, 4, 4), 0.5)
    lam = torch.tensor([[0.9, 0.1], [0.3, 0.7]])  # 0.6 and 0.4
    assert MaskLoss("l1", tolerance=0.02)(mask, lam).item() == pytest.approx(0.08)


def test_of_three_masks_it_is_the_mean() -> None:
    areas, lam = torch.tensor([0.7, 0.2, 0.1]), torch.tensor([[0.2, 0.3, 0.5]])
    mask = areas[None, :, None, None].expand(1, 3, 2, 2)
    far = (0.5 - 0.15) + 0 + (0.4 - 0.15)  # 0.1 is inside the tolerance
    assert MaskLoss("l1", tolerance=0.15)(mask, lam).item() == pytest.approx(far / 3)
    assert MaskLoss("l1+variance", tolerance=0.15)(mask, lam).item() == pytest.approx(far / 3)
    sparse = (0.7 * 0.3 + 0.2 * 0.8 + 0.1 * 0.9) / 3
    assert MaskLoss("sparsity", tolerance=0.1)(mask, lam).item() == pytest.approx(sparse - 0.1)


def test_descending_moves_areas_to_their_shares_and_masks_away_from_flat() -> None:
    lam = torch.tensor([[0.8, 0.2]]).expand(4, 2)
    logits = (0.1 * torch.randn(4, 2, 4, 4, generator=stream(2))).requires_grad_()
    (down,) = torch.autograd.grad(MaskLoss("l1")(logits.softmax(dim=1), lam), logits)
    assert down[:, 0].mean() < 0 < down[:, 1].mean()
    (spread,) = torch.autograd.grad(MaskLoss("l1+variance")(logits.softmax(dim=1), lam), logits)
    with torch.no_grad():
        before, after = (
            one.softmax(dim=1).std(correction=0) for one in (logits, logits - (spread - down))
        )
    assert after > before


def test_half_precision_masks_are_counted_in_float32() -> None:
    mask, lam = _masks(6, 2).bfloat16(), torch.tensor([0.9, 0.1]).expand(6, 2)
    with torch.autocast("cpu", torch.bfloat16):
        found = MaskLoss("l2+variance")(mask, lam)
        numbers = mask_numbers(mask, lam)
    assert torch.equal(found, MaskLoss("l2+variance")(mask.float(), lam))
    assert found.dtype == torch.float32
    assert all(number.dtype == torch.float32 for number in numbers.values())


def test_numbers_are_those_of_numpy() -> None:
    mask = _masks(6, 3).requires_grad_()
    lam = _masks(6, 3, seed=1)[:, :, 0, 0]
    numbers = mask_numbers(mask, lam)
    planes = mask.detach().double().numpy()
    area = planes.mean(axis=(2, 3))
    wanted = {
        "mask spread": planes.std(axis=(2, 3)).mean(),
        "mask largest": area.max(axis=1).mean(),
        "mask follows lam": np.corrcoef(area.ravel(), lam.double().numpy().ravel())[0, 1],
    }
    assert list(numbers) == list(wanted)
    for name, number in numbers.items():
        assert number.shape == ()
        assert not number.requires_grad
        assert number.item() == pytest.approx(wanted[name], abs=1e-5), name


def test_numbers_of_flat_masks_and_of_one_winner() -> None:
    uneven = torch.tensor([0.7, 0.3]).expand(3, 2)
    flat = mask_numbers(torch.full((3, 2, 4, 4), 0.5), uneven)
    assert {name: one.item() for name, one in flat.items()} == {
        "mask spread": 0.0,
        "mask largest": 0.5,
        "mask follows lam": 0.0,
    }
    winner = torch.zeros(3, 2, 4, 4)
    winner[:, 0] = 1
    assert mask_numbers(winner, uneven)["mask largest"] == 1
    assert mask_numbers(winner, uneven)["mask follows lam"].item() == pytest.approx(1)
    assert mask_numbers(winner, uneven.flip(1))["mask follows lam"].item() == pytest.approx(-1)
    assert mask_numbers(winner, torch.full((3, 2), 0.5))["mask follows lam"] == 0
    # Rounding is no variation: thirds of float32 differ from their mean.
    third = torch.full((3, 3, 4, 4), 1 / 3)
    third[0, 0] += 1e-7
    assert mask_numbers(third, _masks(3, 3)[:, :, 0, 0])["mask follows lam"] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: MaskLoss("l3"), "MaskLoss: kind is 'l3'; expected one of 'l1', "),
        (lambda: MaskLoss(tolerance=2.0), "MaskLoss: tolerance is 2.0; expected a finite number"),
        (
            lambda: MaskLoss()(torch.zeros(2, 2, 4), torch.zeros(2, 2)),
            r"MaskLoss: mask has shape \(2, 2, 4\).*expected floating \(B, N, H, W\)",
        ),
        (
            lambda: mask_numbers(torch.zeros(2, 2, 4, 4), torch.zeros(2)),
            r"mask_numbers: lam has shape \(2,\).*expected floating \(2, 2\)",
        ),
    ],
)
def test_bad_arguments(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
