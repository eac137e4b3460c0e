"""Object-size scenarios: the same sprites in both, sizes in range, and runs that can go on."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from mixwright.lab.data.sets import Dataset, ImageSet
from mixwright.lab.evaluation.subject import Measurement
from mixwright.lab.theory.scenarios.crops import cropped, shrunk
from mixwright.lab.theory.scenarios.run import run_scenarios
from mixwright.lab.theory.scenarios.sprites import (
    OUTLINES,
    TEXTURES,
    draw_sprites,
    render_sprites,
    sprite_sides,
)
from mixwright.lab.theory.scenarios.tasks import (
    SIZES,
    SPRITE_SIDES,
    cifar_task,
    sprite_tasks,
)
from mixwright.mixers import CutMix, MixUp
from mixwright.sampling import stream


def photographs(count: int = 40, side: int = 32) -> Dataset:
    images = torch.randint(256, (count, 3, side, side), generator=stream(3)).byte()
    labels = torch.arange(count) % 2
    part = ImageSet(images, labels)
    return Dataset(
        name="photographs", train=part, test=part, classes=("a", "b"), mean=(0.5,) * 3,
        std=(0.25,) * 3, note="noise.",
    )  # fmt: skip


# ------------------------------------------------------------------ sprites


@pytest.mark.parametrize("size", SIZES)
def test_boxes_and_areas_are_in_range(size):
    sprites = draw_sprites(300, size=32, generator=stream(0))
    low, high = SPRITE_SIDES[size]
    sides = sprite_sides(sprites, (low, high))
    assert set(sides.tolist()) == set(range(low, high + 1))
    _, cover = render_sprites(sprites, sides=(low, high))
    assert (cover <= (sides / 32).square() + 1e-6).all()
    assert (cover > 0.15 * (sides / 32).square()).all()


def test_a_box_holds_all_that_its_outline_changes():
    sprites = draw_sprites(200, size=32, generator=stream(1))
    images, _ = render_sprites(sprites, sides=(8, 8))
    blank = dataclasses.replace(sprites, colours=sprites.colours[:, :1].expand(-1, 3, -1).clone())
    calm = torch.zeros_like(sprites.ground)
    shown, none = (
        render_sprites(dataclasses.replace(part, ground=calm, noise=calm), sides=(8, 8))[0]
        for part in (sprites, blank)
    )
    changed = (shown != none).any(dim=1)
    for axis in (1, 2):
        lines = changed.any(dim=axis)
        first = lines.int().argmax(dim=1)
        last = 31 - lines.flip(1).int().argmax(dim=1)
        assert (last - first + 1).max() <= 8
        # Any place is as likely as any other.
        assert float((first + last).float().mean()) / 2 == pytest.approx(15.5, abs=1.2)
    assert images.dtype == torch.uint8
    assert images.shape == (200, 3, 32, 32)


def test_both_sizes_show_the_same_sprites_and_labels():
    tasks = sprite_tasks(train_size=50, test_size=20, seed=1)
    assert [task.name for task in tasks] == ["texture", "outline"]
    for task, kinds in zip(tasks, (TEXTURES, OUTLINES), strict=True):
        small, large = (task.data[size] for size in SIZES)
        assert torch.equal(small.train.labels, large.train.labels)
        assert torch.equal(small.test.labels, large.test.labels)
        assert small.classes == tuple(kinds)
        assert small.train.labels.bincount().tolist() == [5] * 10
        for size in SIZES:
            low, high = (side / 32 for side in SPRITE_SIDES[size])
            assert low**2 <= task.object_share[size] <= high**2
    texture, outline = (task.data["small"].train for task in tasks)
    assert torch.equal(texture.images, outline.images)
    assert not torch.equal(texture.labels, outline.labels)


def test_far_from_an_object_both_sizes_show_the_same_ground():
    sprites = draw_sprites(20, size=32, generator=stream(2))
    corner = torch.zeros_like(sprites.position)  # all in the upper left corner
    sprites = dataclasses.replace(sprites, position=corner)
    small, large = (render_sprites(sprites, sides=(side, side))[0] for side in (8, 16))
    assert torch.equal(small[:, :, 17:, 17:], large[:, :, 17:, 17:])
    assert not torch.equal(small[:, :, :16, :16], large[:, :, :16, :16])


def test_one_seed_gives_one_set_and_another_another():
    a, b, c = (
        render_sprites(draw_sprites(4, size=32, generator=stream(seed)), sides=(8, 10))[0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


@pytest.mark.parametrize("sides", [(10, 8), (1, 4), (8, 33)])
def test_sides_that_do_not_fit_are_refused(sides):
    with pytest.raises(ValueError, match="render_sprites: sides are"):
        render_sprites(draw_sprites(2, size=32, generator=stream(0)), sides=sides)


# ------------------------------------------------------------------ crops


def test_the_whole_image_at_its_own_size_is_left_as_it_is():
    images = photographs().train.images
    assert torch.equal(cropped(images, area=(1.0, 1.0), size=32, generator=stream(0)), images)
    assert torch.equal(cropped(images, area=(1.0, 1.0), size=32), images)
    assert torch.equal(shrunk(images, side=32, generator=stream(0)), images)


def test_cuts_are_parts_of_the_image_of_the_shares_asked_for():
    rows = torch.arange(32, dtype=torch.uint8)[:, None].expand(32, 32)
    images = torch.stack([rows, rows.T, rows])[None].expand(500, 3, 32, 32).contiguous()
    cuts = cropped(images, area=(0.25, 0.390625), size=32, generator=stream(0))
    spans = (cuts[:, 0, -1, 0].int() - cuts[:, 0, 0, 0].int() + 1).float()
    assert spans.min() >= 15
    assert spans.max() <= 20
    assert (spans.square() / 1024).mean().item() == pytest.approx(0.32, abs=0.02)
    firsts = cuts[:, 0, 0, 0].float()
    assert firsts.min() <= 1
    assert firsts.max() >= 11
    middle = cropped(images[:1], area=(0.25, 0.390625), size=18)  # 32 sqrt(0.32) is 18.1
    assert middle[0, 0, :, 0].tolist() == list(range(7, 25))
    assert middle[0, 1, 0].tolist() == list(range(7, 25))


def test_shrunk_images_lie_whole_on_a_ground_without_them():
    images = torch.full((200, 3, 32, 32), 255, dtype=torch.uint8)
    small = shrunk(images, side=16, generator=stream(0))
    white = (small == 255).all(dim=1)
    assert white.flatten(1).sum(dim=1).float().mean().item() == pytest.approx(256, rel=0.02)
    corners = white.flatten(1).int().argmax(dim=1)
    assert len(corners.unique()) > 100


def test_photographs_become_tasks_with_equal_labels():
    task = cifar_task(photographs(), train_size=20, test_size=10, seed=0)
    for size in SIZES:
        assert task.data[size].train.shape == (3, 32, 32)
        assert len(task.data[size].train) == 20
    assert torch.equal(task.data["small"].train.labels, task.data["large"].train.labels)
    # Sides of 16 of 32 pixels, and of 16 to 20: (256 + 400) / 2 of 1024 pixels.
    assert task.object_share == {"small": 0.25, "large": pytest.approx(0.3203125)}


def test_images_that_are_not_square_bytes_are_refused():
    with pytest.raises(ValueError, match="cropped: images have shape"):
        cropped(torch.zeros(2, 3, 8, 9, dtype=torch.uint8), area=(0.5, 1.0), size=8)
    with pytest.raises(ValueError, match="shrunk: side is 33"):
        shrunk(photographs().train.images, side=33, generator=stream(0))


# ------------------------------------------------------------------ runs


SMALL = {
    "methods": {"mixup": MixUp(), "cutmix": CutMix()},
    "dataset_kind": "cifar",
    "data": photographs(side=16),
    "epochs": 1,
    "train_size": 20,
    "test_size": 10,
    "seeds": 2,
}


def test_runs_are_kept_paired_and_repeated_exactly(tmp_path):
    shares: list[float] = []
    found = run_scenarios(
        **SMALL, folder=tmp_path, progress=lambda share, note: shares.append(share)
    )
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert len(shares) == 2 * 2 * 2 + 1
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")}
    assert len(stamps) == 8
    assert list(found) == ["mixup", "cutmix"]
    first, second = (result.summary for result in found["cutmix"])
    assert (first["seed"], second["seed"]) == (0, 1)
    assert (first["dataset_kind"], first["pair"]) == ("cifar", ["cutmix", "mixup"])
    assert set(first["tasks"]["photographs"]["small"]) == {
        "top1", "ema_top1", "nll", "train_accuracy", "object_share", "seconds",
    }  # fmt: skip
    again = run_scenarios(**SMALL, folder=tmp_path)
    assert summaries(again) == summaries(found)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("result.json")} == stamps
    recipes = [path.read_text() for path in tmp_path.rglob("recipe.json")]
    assert len(set(recipes)) == 8
    with pytest.raises(ValueError, match="another recipe"):
        run_scenarios(**(SMALL | {"methods": {"mixup": MixUp(alpha=2.0)}}), folder=tmp_path)


def summaries(found: dict[str, list[Measurement]]) -> dict[str, list[dict[str, object]]]:
    return {name: [result.summary for result in results] for name, results in found.items()}


def test_sprites_are_trained_on_in_both_tasks(tmp_path):
    found = run_scenarios(
        methods={"mixup": MixUp(), "cutmix": CutMix()},
        epochs=1,
        train_size=20,
        test_size=10,
        seeds=1,
        folder=tmp_path,
    )
    assert [len(results) for results in found.values()] == [1, 1]
    for results in found.values():
        assert list(results[0].summary["tasks"]) == ["texture", "outline"]
    share = found["mixup"][0].summary["tasks"]["outline"]["large"]["object_share"]
    assert share == pytest.approx((28 / 32) ** 2, abs=0.05)  # sides of 26 to 30 of 32 pixels


def test_wrong_settings_are_named():
    for change, message in (
        ({"methods": {}}, "there are no methods"),
        ({"data": None}, "dataset_kind cifar has no data"),
        ({"dataset_kind": "moon"}, "dataset_kind is 'moon'"),
        ({"seeds": 0}, "seeds is 0"),
        ({"epochs": 1.5}, "epochs is 1.5"),
    ):
        with pytest.raises(ValueError, match=message):
            run_scenarios(**(SMALL | change))
