"""Attention, against itself written out, and where half precision has no numbers."""

from __future__ import annotations

import math

import torch

from mixwright.masknets.attention import attend
from mixwright.sampling import normal, stream


def _three(scale: float = 1.0) -> list[torch.Tensor]:
    rng, like = stream(1), torch.zeros(())
    shapes = ((3, 5, 7), (3, 5, 4), (3, 2, 4))
    return [scale * normal(shape, device=like.device, generator=rng) for shape in shapes]


def test_it_is_attention() -> None:
    query, key, value = (one.double() for one in _three())
    found = attend(query, key, value)
    for g in range(3):
        for t in range(7):
            weights = [math.exp(query[g, :, t] @ key[g, :, u] / math.sqrt(5)) for u in range(4)]
            wanted = sum(weights[u] * value[g, :, u] for u in range(4)) / sum(weights)
            torch.testing.assert_close(found[g, :, t], wanted)


def test_half_precision_rounds_operands_only() -> None:
    halves = [one.bfloat16() for one in _three()]
    wanted = attend(*(one.float() for one in halves))
    with torch.autocast("cpu", torch.bfloat16):
        found = attend(*halves)
    assert found.dtype == torch.float32
    assert torch.equal(found, wanted)


def test_large_products_stay_finite() -> None:
    query, key, value = (one.half() for one in _three(1e3))
    found = attend(query, key, value)
    assert found.isfinite().all()
    best = torch.einsum("gdt,gdu->gtu", query.double(), key.double()).argmax(dim=2)
    picked = value.float().gather(2, best[:, None].expand(-1, 2, -1))
    torch.testing.assert_close(found, picked)


def test_float64_stays() -> None:
    assert attend(*(one.double() for one in _three())).dtype == torch.float64
