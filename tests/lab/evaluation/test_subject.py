"""What an evaluation is given."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn

from mixwright.lab.data.load import load_data
from mixwright.lab.evaluation.subject import Subject


def sorted_subject(batch_size: int = 7) -> Subject:
    data = load_data("digits")
    order = data.test.labels.argsort(stable=True)
    data = dataclasses.replace(data, test=data.test.subset(order))
    return Subject(
        model=nn.Identity(), data=data, ids=torch.arange(len(order)), batch_size=batch_size
    )


def test_a_part_of_a_set_that_lies_sorted_by_class_holds_all_classes() -> None:
    subject = sorted_subject()
    labels = torch.cat([labels for _, labels in subject.batches(30)])
    assert labels.bincount().tolist() == [3] * 10


def test_a_larger_part_begins_with_the_smaller_one_and_the_whole_keeps_its_order() -> None:
    subject = sorted_subject()
    assert torch.equal(subject.rows(100)[:30], subject.rows(30))
    every = len(subject.data.test)
    assert subject.rows(every + 5).sort().values.tolist() == list(range(every))
    assert torch.equal(subject.rows(), torch.arange(every))
    images = torch.cat([images for images, _ in subject.batches()])
    assert torch.equal((images * 255).round().byte(), subject.data.test.images)


def test_the_batch_size_changes_nothing() -> None:
    few, many = (
        torch.cat([images for images, _ in sorted_subject(size).batches(23)]) for size in (4, 23)
    )
    assert torch.equal(few, many)
