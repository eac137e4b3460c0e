"""What a model must know before methods look through it."""

from __future__ import annotations

from math import comb

import pytest
import torch

from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.experiments import probe_model
from mixwright.lab.experiments.probe_model import knowledge_of, train_probe_model, wanted_of


def made(*, learnable: bool, train: int = 64, test: int = 40) -> Dataset:
    """Noise, brighter in one class; or, where there is nothing to learn, labelled by a coin."""
    draw = torch.Generator().manual_seed(3)

    def part(count: int) -> ImageSet:
        labels = torch.arange(count) % 2
        images = torch.randint(0, 100, (count, 3, 16, 16), generator=draw)
        if learnable:
            images += 120 * labels[:, None, None, None]
        return ImageSet(images.to(torch.uint8), labels)

    return Dataset(
        name="made", train=part(train), test=part(test), classes=("dark", "bright"),
        mean=(0.4,) * 3, std=(0.2,) * 3, note="Made.",
    )  # fmt: skip


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_model, "_STEPS", 20)
    monkeypatch.setattr(probe_model, "_ROUNDS", 3)


@pytest.mark.usefixtures("briefly")
def test_a_model_that_learns_its_images_is_not_doubted() -> None:
    told: list[str] = []
    probe = train_probe_model(made(learnable=True), seed=0, on_message=told.append)
    assert probe.doubt == ""
    assert "of 40 held-out images (chance is 50%)" in probe.note
    assert told[0] == "training smallconv on made for 20 steps, to look through it ..."
    assert "too little" not in told[-1]


@pytest.mark.usefixtures("briefly")
def test_a_model_of_labels_without_rule_is_trained_on_and_doubted() -> None:
    told: list[str] = []
    probe = train_probe_model(made(learnable=False), seed=0, on_message=told.append)
    steps = [line for line in told if "steps more" in line]
    assert [line.split(": ")[1] for line in steps] == ["40 steps more ...", "80 steps more ..."]
    assert "for 140 steps" in probe.note
    # 40 coins: 30 heads or more come once in 900 times, 31 once in 2,700.
    assert "knows too little for its maps to mean something" in probe.doubt
    assert "of 40 held-out images (chance is 50%); 78% would be enough." in probe.doubt
    assert told[-1].startswith(probe.doubt)
    assert told[-1].endswith("Train one with mixwright train, and name its folder with --run.")


class Always(torch.nn.Module):
    """Says how bright an image is."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = images.mean(dim=(1, 2, 3)) - 0.4
        return torch.stack([-bright, bright], dim=1)


def test_what_is_known_is_counted_on_images_held_out() -> None:
    data = made(learnable=True, test=40)
    known = knowledge_of(Always(), data)
    assert (known.right, known.count, known.kind, known.chance) == (40, 40, "held-out", 0.5)
    wrong = ImageSet(data.test.images, 1 - data.test.labels)
    blind = knowledge_of(Always(), Dataset(**{**vars(data), "test": wrong}))
    assert blind.right == 0
    assert blind.doubt
    chosen = ImageSet(data.test.images[:20], data.test.labels[:20])
    assert knowledge_of(Always(), Dataset(**{**vars(data), "validation": chosen})).count == 20


def test_too_few_images_to_tell() -> None:
    few = knowledge_of(Always(), made(learnable=True, test=4))
    assert (few.count, few.kind, few.doubt) == (64, "training", "")
    none = knowledge_of(Always(), made(learnable=True, train=6, test=4))
    assert none.doubt.endswith("cannot be told: there are 6 training images.")


@pytest.mark.parametrize(("count", "chance"), [(12, 0.5), (40, 0.5), (30, 0.1), (200, 0.02)])
def test_how_many_to_know_is_beyond_luck_and_a_quarter_of_the_way(
    count: int, chance: float
) -> None:
    def luck(right: int) -> float:
        return sum(
            comb(count, k) * chance**k * (1 - chance) ** (count - k)
            for k in range(right, count + 1)
        )

    allowed = [
        right
        for right in range(count + 1)
        if luck(right) <= 1e-3 and right / count >= chance + (1 - chance) / 4
    ]
    assert wanted_of(count, chance) == min(allowed)
