"""Top-k accuracy and the run that collects logits."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mixwright.lab.evaluation import logits_of, topk_accuracy


@given(
    n=st.integers(1, 40), k=st.integers(1, 9), classes=st.integers(2, 7), seed=st.integers(0, 99)
)
def test_counts_what_a_sorted_list_counts(n: int, k: int, classes: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randint(-2, 3, (n, classes), generator=generator).float()  # many ties
    labels = torch.randint(0, classes, (n,), generator=generator)
    right = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        right += label in sorted(range(classes), key=lambda c: (-row[c], c))[:k]
    assert topk_accuracy(logits, labels, k) == pytest.approx(right / n, abs=1e-12)


def test_agrees_with_torchmetrics() -> None:
    from torchmetrics.functional.classification import multiclass_accuracy

    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(300, 9, generator=generator)
    labels = torch.randint(0, 9, (300,), generator=generator)
    for k in (1, 5):
        oracle = multiclass_accuracy(logits, labels, num_classes=9, average="micro", top_k=k)
        assert topk_accuracy(logits, labels, k) == pytest.approx(oracle.item(), abs=1e-6)


def test_a_constant_model_is_right_for_one_class_only() -> None:
    labels = torch.arange(10).repeat(3)
    assert topk_accuracy(torch.zeros(30, 10), labels) == pytest.approx(0.1)
    assert topk_accuracy(torch.zeros(30, 10), labels, 5) == pytest.approx(0.5)
    assert topk_accuracy(torch.zeros(30, 10), labels, 10) == 1.0


@pytest.mark.parametrize(
    ("logits", "labels", "k", "message"),
    [
        (torch.zeros(2, 3), torch.zeros(2, dtype=torch.long), 0, "k is 0"),
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.long), 1, r"\(M, K\) and \(M,\)"),
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), 1, "M at least 1"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), 1, r"1 of 2 labels are outside \[0, 3\)"),
        (torch.zeros(2, 3), torch.tensor([-1, -5]), 1, "2 of 2 labels"),
        (
            torch.tensor([[0.0, torch.nan], [0, 0]]),
            torch.tensor([0, 1]),
            1,
            "1 of 2 images are NaN",
        ),
        (torch.full((2, 3), -torch.inf), torch.tensor([0, 1]), 1, "2 of 2 images are NaN or inf"),
    ],
)
def test_what_cannot_be_scored(logits: Tensor, labels: Tensor, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        topk_accuracy(logits, labels, k)


class Switching(nn.Module):
    """Says one thing in training and another in evaluation, and remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.BatchNorm1d(2).eval()
        self.fc = nn.Linear(2, 2)

    def forward(self, images: Tensor) -> Tensor:
        assert torch.is_inference_mode_enabled()
        if self.training:
            raise AssertionError("run in training mode")
        return self.fc(self.frozen(images.flatten(1)))


def test_logits_keep_their_order_and_the_model_its_modes() -> None:
    model = Switching()
    assert model.training
    assert not model.frozen.training
    images = torch.randn(5, 2, 1, 1)
    labels = torch.tensor([0, 1, 1, 0, 1])
    batches = [(images[:3], labels[:3]), (images[3:], labels[3:].int())]
    logits, same = logits_of(model, batches)
    assert model.training
    assert model.fc.training
    assert not model.frozen.training
    torch.testing.assert_close(logits, model.fc(model.frozen(images.flatten(1))).detach())
    assert logits.dtype == torch.float32
    assert same.dtype == torch.int64
    assert same.tolist() == labels.tolist()
    assert not logits.is_inference()
    assert not same.is_inference()


def test_lower_precision_comes_back_as_float32() -> None:
    seen: list[torch.dtype] = []
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 4))
    model[1].register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))
    batches = [(torch.randn(3, 2, 2, 2), torch.zeros(3, dtype=torch.long))]
    exact, _ = logits_of(model, batches)
    lower, _ = logits_of(model, batches, autocast=torch.bfloat16)
    assert seen == [torch.float32, torch.bfloat16]
    assert lower.dtype == torch.float32
    torch.testing.assert_close(lower, exact, rtol=0.05, atol=0.05)
    assert not torch.equal(lower, exact)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # the caller's own setting is left alone
        logits_of(model, batches)
    assert seen[-1] == torch.bfloat16


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, dtype=torch.long), r"3 images with labels of shape \(2,\)"),
        (torch.zeros(3), "dtype torch.float32; expected one class index"),
        (torch.zeros(3, 4, dtype=torch.long), r"shape \(3, 4\)"),
    ],
)
def test_labels_that_are_not_class_indices(labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        logits_of(nn.Flatten(), [(torch.zeros(3, 4, 1, 1), labels)])


def test_models_that_return_something_else() -> None:
    batches = [(torch.zeros(3, 4, 2, 2), torch.zeros(3, dtype=torch.long))]
    with pytest.raises(ValueError, match=r"for 3 images the model returned \(3, 4, 2, 2\)"):
        logits_of(nn.Identity(), batches)
    with pytest.raises(ValueError, match="no images at all"):
        logits_of(nn.Identity(), [])
