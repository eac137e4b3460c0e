import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwright.lab.data import DataError
from mixwright.lab.data.subset import split_rows, stratified_rows

counts_of_classes = st.lists(st.integers(0, 30), min_size=1, max_size=6).filter(any)


def labelled(counts: list[int]) -> torch.Tensor:
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(7))]


@settings(derandomize=True, deadline=None, max_examples=80)
@given(counts=counts_of_classes, part=st.floats(0, 1))
def test_each_class_keeps_its_share(counts: list[int], part: float):
    labels = labelled(counts)
    size = max(1, round(part * len(labels)))
    rows = stratified_rows(labels, size)
    assert len(rows.unique()) == len(rows) == size
    assert torch.equal(rows, rows.sort().values)
    kept = labels[rows].bincount(minlength=len(counts)).tolist()
    whole = size >= sum(count > 0 for count in counts)
    for count, found in zip(counts, kept, strict=True):
        assert found <= count
        if whole and count:
            assert found >= 1
        if all(size * each >= len(labels) for each in counts if each):
            assert abs(found - size * count / len(labels)) < 1


@pytest.mark.parametrize(
    ("counts", "size", "kept"),
    [
        ([50, 50], 10, [5, 5]),
        ([60, 30, 10], 10, [6, 3, 1]),
        ([60, 30, 10], 5, [3, 1, 1]),  # 3, 1.5, 0.5: the small class is not left out
        ([98, 1, 1], 3, [1, 1, 1]),
        ([98, 1, 1], 2, [2, 0, 0]),
        ([5, 5, 5], 4, [2, 1, 1]),
        ([0, 7], 3, [0, 3]),
    ],
)
def test_shares_worked_by_hand(counts: list[int], size: int, kept: list[int]):
    labels = labelled(counts)
    found = labels[stratified_rows(labels, size)].bincount(minlength=len(counts))
    assert found.tolist() == kept


def test_the_choice_is_random_fixed_and_nested():
    labels = torch.zeros(100, dtype=torch.int64)
    before = torch.random.get_rng_state()
    small, large = stratified_rows(labels, 10), stratified_rows(labels, 20)
    assert torch.equal(small, stratified_rows(labels, 10))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert set(small.tolist()) < set(large.tolist())
    assert small.tolist() != list(range(10))
    assert not torch.equal(small, stratified_rows(labels, 10, seed=1))
    assert small.tolist() == [2, 12, 13, 16, 26, 33, 41, 64, 83, 94]


@pytest.mark.parametrize("size", [0, -1, 5])
def test_sizes_out_of_range(size: int):
    with pytest.raises(DataError, match=f"train_size is {size}; expected between 1 and 4"):
        stratified_rows(torch.zeros(4, dtype=torch.int64), size)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(counts=counts_of_classes)
def test_a_split_shares_no_row(counts: list[int]):
    labels = labelled(counts)
    train, test = split_rows(labels)
    assert sorted(train.tolist() + test.tolist()) == list(range(len(labels)))
    for label, count in enumerate(counts):
        held = int((labels[test] == label).sum())
        assert held == (0 if count < 2 else max(1, round(count * 0.2)))
