"""Shares as floats, whatever they were."""

from __future__ import annotations

import pytest
import torch

from mixwright.precision import to_float


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_truth_becomes_0_and_1(kind: torch.dtype) -> None:
    marks = torch.tensor([[True, False, True], [False, False, True]])
    kept = marks.clone()
    found = to_float(marks, kind)
    assert found.dtype == kind
    assert found.tolist() == [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    assert torch.equal(marks, kept)


def test_memory_may_have_gaps_and_be_shared() -> None:
    marks = torch.tensor([[True, False, True], [False, False, True]])
    assert to_float(marks.T).tolist() == [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]
    assert to_float(marks[:, ::2]).tolist() == [[1.0, 1.0], [0.0, 1.0]]
    assert to_float(marks[:1].expand(2, 3)).tolist() == [[1.0, 0.0, 1.0]] * 2
    assert to_float(marks[:0]).shape == (0, 3)
    assert to_float(torch.tensor(True)).item() == 1.0


def test_shares_keep_their_values() -> None:
    shares = torch.tensor([0.25, 1.0])
    assert to_float(shares) is shares  # no copy where there is nothing to do
    assert to_float(shares.double()).dtype == torch.float32
    assert to_float(shares, torch.float64).tolist() == [0.25, 1.0]
