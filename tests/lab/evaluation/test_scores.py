"""One pass of scores: the same as all logits at once, however the images are spread."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from mixwright.lab.evaluation import Scores, ece, evaluate, nll, topk_accuracy

Batch = tuple[Tensor, Tensor]


def examples(count: int = 200, classes: int = 8, seed: int = 0) -> Batch:
    """Images that are logits (the model is ``Flatten``), half of the labels the likeliest."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, classes, generator=generator)
    labels = torch.randint(0, classes, (count,), generator=generator)
    labels = torch.where(torch.rand(count, generator=generator) < 0.5, logits.argmax(1), labels)
    return logits[:, :, None, None], labels


def cut(batch: Batch, *sizes: int) -> list[Batch]:
    return list(zip(batch[0].split(sizes), batch[1].split(sizes), strict=True))


def test_equals_the_scores_of_all_logits() -> None:
    images, labels = examples()
    logits = images.flatten(1)
    for sizes in ((200,), (64, 64, 64, 8), (1,) * 200):
        scores = evaluate(nn.Flatten(), cut((images, labels), *sizes))
        assert scores.top1 == pytest.approx(topk_accuracy(logits, labels), abs=1e-12)
        assert scores.top5 == pytest.approx(topk_accuracy(logits, labels, 5), abs=1e-12)
        assert scores.nll == pytest.approx(nll(logits, labels), abs=1e-12)
        assert scores.ece == pytest.approx(ece(logits, labels), abs=1e-12)
        assert scores.count == 200
    assert 0.3 < scores.top1 < 0.8
    assert scores.ece > 0.01


@pytest.mark.parametrize(("classes", "given"), [(2, False), (5, False), (6, True)])
def test_top5_only_where_it_says_something(classes: int, given: bool) -> None:
    scores = evaluate(nn.Flatten(), [examples(classes=classes)])
    assert (scores.top5 is not None) is given


def over_processes(parts: list[list[Batch]], model: nn.Module) -> list[Scores | str]:
    """Run each process in turn: first to see what it adds, then with the sum of all."""
    sums: list[Tensor] = []

    def note(own: Tensor) -> Tensor:
        sums.append(own.clone())
        own.zero_()[:2] = 1.0  # written in place, as all_reduce does
        return own

    for part in parts:
        evaluate(model, part, reduce=note)
    answers: list[Scores | str] = []
    for part in parts:
        try:
            answers.append(evaluate(model, part, reduce=lambda own: own.copy_(sum(sums))))
        except ValueError as error:
            answers.append(str(error))
    return answers


def test_scores_are_global_over_processes() -> None:
    batch = examples()
    alone = evaluate(nn.Flatten(), [batch])
    first, second, third = cut(batch, 120, 30, 50)
    answers = over_processes([[first], [second, third], []], nn.Flatten())
    for answer in answers:  # also of the process that has no images
        assert isinstance(answer, Scores)
        assert answer.count == 200
        assert answer.top5 is not None
        for name in ("top1", "top5", "nll", "ece"):
            assert getattr(answer, name) == pytest.approx(getattr(alone, name), abs=1e-12)


def test_every_process_raises_alike() -> None:
    images, labels = examples(10)
    broken = images.clone()
    broken[3] = torch.nan
    answers = over_processes([[(images, labels)], [(broken, labels)]], nn.Flatten())
    assert len(set(answers)) == 1
    assert "logits of 1 of 20 images are NaN" in str(answers[0])


def test_nothing_to_evaluate() -> None:
    with pytest.raises(ValueError, match="no images at all"):
        evaluate(nn.Flatten(), [])


def test_broken_logits_and_foreign_labels_are_counted() -> None:
    images, labels = examples(10)
    images[[2, 7], 1] = torch.tensor([torch.nan, torch.inf])[:, None, None]
    with pytest.raises(ValueError, match="logits of 2 of 10 images are NaN or infinite"):
        evaluate(nn.Flatten(), cut((images, labels), 5, 5))
    images, labels = examples(10)
    labels[:3] = torch.tensor([8, -1, 100])
    with pytest.raises(ValueError, match=r"3 of 10 labels are outside \[0, 8\)"):
        evaluate(nn.Flatten(), cut((images, labels), 2, 8))


class Watched(nn.Module):
    """A network with a part that was frozen by hand, which notes how it was run."""

    def __init__(self) -> None:
        super().__init__()
        self.frozen = nn.BatchNorm2d(8).eval()
        self.bn = nn.BatchNorm2d(8)
        self.modes: set[tuple[bool, bool]] = set()

    def forward(self, images: Tensor) -> Tensor:
        self.modes.add((self.training or self.bn.training, torch.is_inference_mode_enabled()))
        return self.bn(self.frozen(images)).flatten(1)


def test_the_mode_comes_back_also_after_an_error() -> None:
    model = Watched()
    before = model.bn.running_mean.clone()

    def breaking() -> Iterator[Batch]:
        yield examples(10)
        raise OSError("the disk is gone")

    evaluate(model, [examples(10)])
    with pytest.raises(OSError, match="the disk is gone"):
        evaluate(model, breaking())
    assert model.modes == {(False, True)}
    assert (model.training, model.bn.training, model.frozen.training) == (True, True, False)
    assert torch.equal(model.bn.running_mean, before)
    model.eval()
    evaluate(model, [examples(10)])
    assert not model.training


def test_lower_precision_is_asked_for_by_name() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(8, 8))
    batches = [examples(50)]
    exact, lower = evaluate(model, batches), evaluate(model, batches, autocast=torch.bfloat16)
    assert exact != lower
    assert lower.nll == pytest.approx(exact.nll, rel=0.02)


def test_public_names_of_the_room() -> None:
    import mixwright.lab.evaluation as room

    assert all(hasattr(room, name) for name in room._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'top1'"):
        room.__getattr__("top1")
