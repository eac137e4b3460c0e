"""Accuracy, calibration and the gap: one look at the images for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.evaluation import brier, ece, nll, topk_accuracy
from mixwright.lab.evaluation.accuracy import Accuracy, class_accuracy
from mixwright.lab.evaluation.calibration.calibration import Calibration
from mixwright.lab.evaluation.calibration.temperature import fit_temperature
from mixwright.lab.evaluation.gap import Gap
from mixwright.lab.evaluation.subject import Arrays, Subject


class Counting(nn.Module):
    """Logits of a linear layer; counts the images it saw, and refuses to be in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 8 * 8, 6)
        self.seen = 0

    def forward(self, images: Tensor) -> Tensor:
        assert not self.training
        self.seen += len(images)
        return 8 * self.linear(images.flatten(1))


class Kept:
    """A cache in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, Arrays] = {}

    def get_or_compute(
        self, key: str, make: Callable[[], Arrays], *, shared: bool = False
    ) -> Arrays:
        if key not in self.kept:
            self.kept[key] = make()
        return self.kept[key]


def images(count: int, seed: int) -> ImageSet:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 5)  # a sixth class has no images


@pytest.fixture
def subject() -> Subject:
    torch.manual_seed(0)
    data = Dataset(
        name="made up", train=images(70, 1), test=images(50, 2), classes=tuple("abcdef"),
        mean=(0.5,) * 3, std=(0.2,) * 3, note="",
    )  # fmt: skip
    return Subject(model=Counting(), data=data, ids=torch.arange(50) + 100, batch_size=16,
                   cache=Kept())  # fmt: skip


def said(subject: Subject, split: ImageSet) -> Tensor:
    with torch.no_grad():
        return 8 * subject.model.linear(split.images.float().div(255).flatten(1))


def changed(subject: Subject, **fields: Any) -> Subject:
    return Subject(**{**vars(subject), **fields})


def test_accuracy(subject: Subject) -> None:
    found = Accuracy().measure(subject)
    logits, labels = said(subject, subject.data.test), subject.data.test.labels
    correct = logits.argmax(1) == labels
    summary = found.summary
    assert summary["top1"] == pytest.approx(float(correct.float().mean()))
    assert summary["top5"] == pytest.approx(topk_accuracy(logits, labels, 5))
    assert summary["per_class"][5] is None
    by_class = [float(correct[labels == k].double().mean()) for k in range(5)]
    assert summary["per_class"][:5] == pytest.approx(by_class)
    assert summary["macro"] == pytest.approx(sum(by_class) / 5)
    assert summary["protocols"] is None
    assert "top1_interval" not in summary  # inference is the analysis'
    assert torch.equal(found.arrays["correct"], correct)
    assert torch.equal(found.arrays["ids"], subject.ids)
    assert found.arrays["logits"].dtype == torch.float32
    torch.testing.assert_close(found.arrays["logits"], logits)
    json.dumps(summary, allow_nan=False)


def test_macro_accuracy_counts_every_class_alike() -> None:
    correct = torch.tensor([True] * 9 + [False])
    labels = torch.tensor([0] * 9 + [1])
    assert class_accuracy(correct, labels, classes=2) == [1.0, 0.0]


def test_protocols_of_the_run_of_a_model(subject: Subject, tmp_path: Path) -> None:
    lines = [
        {"epoch": epoch, "train": {}, "test": {"raw": {"top1": epoch / 100, "top5": 1.0}}}
        for epoch in range(1, 21)
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    summary = Accuracy(protocol="final").measure(changed(subject, folder=tmp_path)).summary
    assert summary["protocol"] == "final"
    assert summary["protocols"]["raw"]["median10"]["top1"] == pytest.approx(0.155)
    assert summary["protocols"]["raw"]["final"]["top1"] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="protocol is 'mean'"):
        Accuracy(protocol="mean")  # type: ignore[arg-type]


def test_calibration(subject: Subject) -> None:
    found = Calibration(bins=(10, 15), draws=5).measure(subject)
    logits, labels = said(subject, subject.data.test), subject.data.test.labels
    summary = found.summary
    assert summary["headline_bins"] == 10
    for bins in (10, 15):
        one = summary["bins"][str(bins)]
        assert one["ece"] == pytest.approx(ece(logits, labels, bins=bins), abs=1e-6)
        assert len(one["table"]) == bins
        assert sum(row["count"] for row in one["table"]) == 50
        assert 0 < one["floor"] < 0.2
        assert "interval" not in one  # inference is the analysis'
        filled = [row for row in one["table"] if row["count"]]
        whole = sum(row["count"] * abs(row["accuracy"] - row["confidence"]) for row in filled) / 50
        assert whole == pytest.approx(one["ece"])
        assert all(row["low"] < row["confidence"] <= row["high"] for row in filled)
    table = summary["bins"]["10"]["table"]  # of the published tables, whatever bins are asked for
    means = (sorted(row[name] or 0 for row in table) for name in ("accuracy", "confidence"))
    gaps = [abs(own - other) for own, other in zip(*means, strict=True)]
    wanted = sum(row["count"] * gap for row, gap in zip(table, gaps, strict=True)) / 50
    assert summary["ece_sorted"] == pytest.approx(wanted)
    others = Calibration(bins=(7,), draws=1).measure(subject).summary
    assert others["ece_sorted"] == summary["ece_sorted"]
    assert summary["nll"] == pytest.approx(nll(logits, labels), rel=1e-5)
    assert summary["brier"] == pytest.approx(brier(logits, labels), rel=1e-5)
    assert summary["overconfidence"] == pytest.approx(summary["confidence"] - summary["accuracy"])
    assert summary["overconfidence"] > 0
    assert found.arrays["nll"].mean() == pytest.approx(summary["nll"])
    json.dumps(summary, allow_nan=False)


def test_a_temperature_is_judged_on_images_it_was_not_fitted_on(subject: Subject) -> None:
    found = Calibration(share=0.4).measure(subject).summary["temperature"]
    assert (found["fitted_on"], found["judged_on"]) == (20, 30)
    assert found["nll_after"] < found["nll_before"]
    assert found["value"] > 1
    same = Calibration(share=0.4).measure(subject).summary["temperature"]
    assert found == same
    other = Calibration(share=0.4).measure(changed(subject, seed=1)).summary["temperature"]
    assert found["value"] != other["value"]
    logits, labels = said(subject, subject.data.test), subject.data.test.labels
    assert found["value"] != pytest.approx(fit_temperature(logits, labels), rel=1e-6)
    for bad in ({"share": 0.0}, {"share": 1.0}, {"bins": ()}, {"bins": (0,)}, {"draws": 0},
                {"resamples": 1}):  # fmt: skip
        with pytest.raises(ValueError, match=next(iter(bad))):
            Calibration(**bad)  # type: ignore[arg-type]


def test_the_gap_is_to_clean_training_images(subject: Subject) -> None:
    found = Gap().measure(subject)
    logits, labels = said(subject, subject.data.train), subject.data.train.labels
    summary = found.summary
    assert summary["train"]["top1"] == pytest.approx(topk_accuracy(logits, labels))
    assert summary["train"]["nll"] == pytest.approx(nll(logits, labels), rel=1e-5)
    assert summary["top1_gap"] == summary["train"]["top1"] - summary["test"]["top1"]
    assert summary["nll_gap"] == summary["test"]["nll"] - summary["train"]["nll"]
    assert summary["of"] == summary["train"]["images"] == 70
    few = Gap(images=20).measure(subject)
    chosen = few.arrays["ids"]
    assert len(chosen) == len(set(chosen.tolist())) == few.summary["train"]["images"] == 20
    assert torch.equal(few.arrays["correct"], (logits.argmax(1) == labels)[chosen])
    assert not torch.equal(chosen, torch.arange(20))
    assert Gap(images=0).measure(subject).summary == summary
    with pytest.raises(ValueError, match="images is -1"):
        Gap(images=-1)


def test_evaluations_of_one_subject_look_once(subject: Subject) -> None:
    Accuracy().measure(subject)
    Calibration().measure(subject)
    assert subject.model.seen == 50
    Gap(images=20).measure(subject)
    assert subject.model.seen == 70
    Gap(images=20).measure(subject)
    assert subject.model.seen == 70
    assert subject.model.training


def test_broken_logits_are_refused(subject: Subject) -> None:
    with torch.no_grad():
        subject.model.linear.bias[0] = torch.nan
    for evaluation in (Accuracy(), Calibration(), Gap()):
        with pytest.raises(ValueError, match="50 of 50 images are NaN"):
            evaluation.measure(changed(subject, cache=Kept()))
