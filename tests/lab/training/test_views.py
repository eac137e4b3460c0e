"""Batches of two views: each image augmented twice, whatever reads it, and one step of B images."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from lab.training.test_resume import KilledError, kill_at, left
from lab.training.tiny import recipe, run, tiny_data, tiny_net
from mixwright.lab.data.augment import Augment, ResizedCrop
from mixwright.lab.data.batches import Batches
from mixwright.lab.data.lazy import EncodedImages, LazyImages
from mixwright.lab.data.sets import ImageSet
from mixwright.mixers import CutMix, MiAMix, MixUp, OneOf
from mixwright.objectives.mixed import Mixed
from mixwright.sampling import stream

TWO = MiAMix(methods=(MixUp(),), weights=(1,), p_self=0.5, views=2)


def png(pixels: Tensor) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).numpy()).save(file, "png")
    return file.getvalue()


def stored(images: ImageSet, workers: int) -> LazyImages:
    encoded = [png(one) for one in images.images]
    names = [str(n) for n in range(len(images))]
    return LazyImages(EncodedImages(encoded, names, images.labels), image_size=8, workers=workers)


@pytest.mark.parametrize("augment", [Augment(crop_padding=2), ResizedCrop(scale=0.3)])
def test_each_image_is_augmented_twice_the_first_views_in_front(augment: Any) -> None:
    """What the augmentation makes of the same images twice over, found by hand."""
    data = tiny_data().train
    assert isinstance(data, ImageSet)
    batches = Batches(data, batch_size=10, device="cpu", augment=augment, shuffle=True, views=2)
    found = list(batches.epoch(order=stream(1), augment=stream(2)))
    rows, draws = torch.randperm(40, generator=stream(1)), stream(2)
    assert len(found) == len(batches) == 4
    for (images, labels), part in zip(found, rows.split(10), strict=True):
        twice = augment(torch.cat([data.images[part]] * 2), generator=draws)
        assert torch.equal(images, twice / 255)
        assert torch.equal(labels, data.labels[part])
        assert (images[:10] != images[10:]).flatten(1).any(dim=1).any()


@pytest.mark.parametrize("workers", [0, 1])
def test_images_that_workers_decode_have_two_views_alike(workers: int) -> None:
    data = tiny_data(train=13).train
    assert isinstance(data, ImageSet)

    def all_of(images: ImageSet | LazyImages) -> Tensor:
        batches = Batches(
            images, batch_size=6, device="cpu", augment=Augment(), shuffle=True, views=2
        )
        return torch.cat([x for x, _ in batches.epoch(order=stream(1), augment=stream(2))])

    assert torch.equal(all_of(stored(data, workers)), all_of(data))


def test_views_are_counted() -> None:
    with pytest.raises(ValueError, match="views is 0; expected at least 1"):
        Batches(tiny_data().train, batch_size=2, device="cpu", augment=None, shuffle=False, views=0)


class Watched(Mixed):
    """Notes what it is given, and the plan that it draws."""

    def __init__(self, mixer: Any) -> None:
        super().__init__(mixer)
        self.given: list[tuple[Tensor, Tensor]] = []
        self.plans: list[Any] = []
        self.measured: list[int] = []

    def forward(self, model: Any, images: Tensor, labels: Tensor, **rest: Any) -> Any:
        losses = super().forward(model, images, labels, **rest)
        self.given.append((images.clone(), labels.clone()))
        self.plans.append(losses.plan)
        return losses

    def before_evaluation(self, batches: Any) -> None:
        self.measured += [len(images) for images, labels in batches if len(images) == len(labels)]


def test_a_run_pairs_first_views_with_second_ones(tmp_path: Path) -> None:
    """40 images in batches of 10 are 4 steps of 10 outputs, drawn from a pool of 20 rows."""
    objective = Watched(TWO)
    data = tiny_data()
    assert isinstance(data.train, ImageSet)
    marked = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1) * 6 + 5  # survives any crop
    data = replace(data, train=ImageSet(marked.expand(40, 3, 8, 8).contiguous(), data.train.labels))
    run(tmp_path, recipe(epochs=1, flip=False), objective=objective, data=data)
    assert len(objective.given) == 4
    assert objective.measured == [10] * 4
    own = list[bool]()
    for (images, labels), plan in zip(objective.given, objective.plans, strict=True):
        assert (len(images), len(labels), len(plan), plan.pool) == (20, 20, 10, 20)
        whose = images.amax(dim=(1, 2, 3))  # padding is black
        assert torch.equal(whose[:10], whose[10:])
        assert torch.equal(labels[:10], labels[10:])
        assert plan.index[:, 1].min() >= 10
        own += (plan.index[:, 1] - 10 == plan.index[:, 0]).tolist()
    assert 8 <= sum(own) <= 32  # half of 40, four standard errors about


def test_epochs_without_mixing_see_the_first_view(tmp_path: Path) -> None:
    objective, model, rows = Watched(TWO), tiny_net(), list[int]()

    def count(module: Any, given: tuple[Tensor]) -> None:
        if module.training:
            rows.append(len(given[0]))

    model.register_forward_pre_hook(count)
    run(tmp_path, recipe(epochs=2, mix_off_epochs=1), model=model, objective=objective)
    assert rows == [10] * 8  # outputs of a pool of 20, then the first views alone
    assert len(objective.given) == 4  # the plain loss took its place


@pytest.mark.parametrize("kind", ["memory", "workers"])
def test_resumed_is_straight(tmp_path: Path, kind: str) -> None:
    of = recipe(epochs=3, accumulate=2, mix_off_epochs=1)
    data = tiny_data()
    if kind == "workers":
        assert isinstance(data.train, ImageSet)
        data = replace(data, train=stored(data.train, workers=1))
    mixer = OneOf(TWO, CutMix())
    run(tmp_path / "straight", of, objective=Mixed(mixer), data=data)
    with pytest.raises(KilledError):
        run(tmp_path / "killed", of, objective=Mixed(mixer), data=data, on_progress=kill_at(2, 1))
    run(tmp_path / "killed", of, objective=Mixed(mixer), data=data)
    assert left(tmp_path / "killed") == left(tmp_path / "straight")
