"""PuzzleMix: shares, transport and the doors, beyond the promises that every mixer keeps."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixwright.masks.blocks import upsample_blocks
from mixwright.masks.puzzle.transport import block_transport
from mixwright.mixers.puzzlemix import PuzzleMix
from mixwright.plan import MixPlan
from mixwright.saliency import blocks_of, normalised
from mixwright.sampling import stream
from mixwright.warps import Blocks


def draw(count: int, height: int, width: int, *, seed: int = 0) -> Tensor:
    return torch.rand(count, 3, height, width, generator=stream(seed, count, height, width))


def uneven(images: Tensor, labels: Tensor | None = None, *, model: object = None) -> Tensor:
    """A saliency that is small nearly everywhere."""
    return images.float().mean(dim=1) ** 12


def constant(value: float) -> Callable[..., Tensor]:
    return lambda images, labels=None, *, model=None: torch.full_like(images[:, 0], value)


def mix(images: Tensor, *, seed: int = 0, **options: Any) -> MixPlan:
    return PuzzleMix(**({"saliency": uneven} | options)).plan(images, generator=stream(seed))


def moved(plan: MixPlan) -> tuple[Blocks, Blocks]:
    assert plan.warp is not None
    own, other = plan.warp
    assert isinstance(own, Blocks)
    assert isinstance(other, Blocks)
    return own, other


@pytest.mark.parametrize("n_labels", [2, 3, 4])
def test_masks_have_so_many_levels_and_labels_follow_them(n_labels):
    plan = mix(draw(32, 16, 24), n_labels=n_labels, blocks=(4,)).check()
    own = plan.mask[:, 0]
    assert own.shape == (32, 4, 4)
    level = torch.linspace(0, 1, n_labels)
    torch.testing.assert_close(own.unique(), level)
    torch.testing.assert_close(plan.weight[:, 0], own.mean(dim=(1, 2)))


def test_the_share_follows_the_wish():
    plan = mix(draw(256, 16, 16), blocks=(4,))
    assert plan.lam is not None
    both = torch.stack([plan.lam, plan.weight[:, 0]])
    assert torch.corrcoef(both)[0, 1] > 0.8
    fixed = [mix(draw(64, 16, 16), lam=lam).weight[:, 0].mean().item() for lam in (0.1, 0.5, 0.9)]
    assert fixed == sorted(fixed)


def test_what_is_salient_is_shown():
    images = draw(32, 16, 16)
    maps = torch.full((32, 16, 16), 0.01)
    maps[::2, :, :8] = 1  # the one's left half, the next one's right half
    maps[1::2, :, 8:] = 1
    plan = mix(images, saliency=lambda *_, **__: maps, blocks=(4,), lam=0.5, pairing="roll")
    own = plan.mask[:, 0]
    assert own[::2, :, :2].min() == 1
    assert own[::2, :, 2:].max() == 0
    assert own[1::2, :, 2:].min() == 1


def test_pixels_are_moved_blocks_through_the_mask():
    images = draw(12, 12, 20)
    plan = mix(images, t_eps=0.01, blocks=(4,))
    shown = plan.images(images)
    own, other = moved(plan)
    for b in range(12):
        z = upsample_blocks(plan.mask[b, 0], (12, 20))
        pieces = []
        for warp, source in ((own, b), (other, int(plan.index[b, 1]))):
            piece = torch.empty(3, 12, 20)
            for k, block in enumerate(warp.perm[b].tolist()):
                (r, c), (i, j) = divmod(k, 4), divmod(block, 4)
                there = images[source, :, 3 * i : 3 * i + 3, 5 * j : 5 * j + 5]
                piece[:, 3 * r : 3 * r + 3, 5 * c : 5 * c + 5] = there
            pieces.append(piece)
        torch.testing.assert_close(shown[b], z * pieces[0] + (1 - z) * pieces[1])


def test_each_image_is_moved_by_its_own_saliency():
    images = draw(12, 16, 16)
    plan = mix(images, t_eps=0.05, blocks=(4,), t_size=2)
    maps = blocks_of(normalised(uneven(images)), (8, 8))
    for warp, share, index in zip(
        moved(plan), plan.mask.unbind(dim=1), plan.index.unbind(dim=1), strict=True
    ):
        seen = upsample_blocks(share > 0, (8, 8))
        assert torch.equal(warp.perm, block_transport(seen, maps[index], t_eps=0.05))


@pytest.mark.parametrize(
    "change",
    [{"beta": 20.0}, {"gamma": 20.0}, {"eta": 0.0}, {"neigh_size": 1}, {"iterations": 1}],
    ids=str,
)
def test_each_setting_of_the_energy_matters(change):
    images, options = draw(48, 16, 16), {"gamma": 10.0, "blocks": (4,)}
    assert not torch.equal(mix(images, **(options | change)).mask, mix(images, **options).mask)


def test_each_visible_place_shows_another_block_of_its_image():
    plan = mix(draw(32, 32, 32), t_eps=0.01, blocks=(8,))
    some = 0
    for warp, share in zip(moved(plan), plan.mask.unbind(dim=1), strict=True):
        for perm, seen in zip(warp.perm, (share > 0).flatten(1), strict=True):
            assert len(perm[seen].unique()) == int(seen.sum())
            some += int((perm != torch.arange(64))[seen].sum())
    assert some > 50


def test_the_same_image_twice_gives_itself():
    images = draw(1, 16, 16).expand(6, -1, -1, -1)
    plan = mix(images, transport=False)
    assert plan.warp is None
    torch.testing.assert_close(plan.images(images), images)


@pytest.mark.parametrize(
    ("size", "side", "t_size", "grid"),
    [
        ((32, 32), 2, 4, (8, 8)),
        ((32, 32), 2, None, (2, 2)),
        ((32, 32), 16, 4, (16, 16)),
        ((32, 64), 2, 1, (16, 16)),  # never more than 16, for memory's sake
        ((32, 32), 32, None, (32, 32)),
        ((24, 36), 2, 5, (4, 6)),  # 5 divides neither 12 nor 18: the next, 6, does
    ],
)
def test_the_blocks_that_move(size, side, t_size, grid):
    plan = mix(draw(3, *size), blocks=(side,), t_size=t_size, iterations=5, t_eps=0.1)
    assert {one.grid for one in moved(plan)} == {grid}


def test_blocks_that_cannot_move_are_not_warped():
    images = draw(4, 8, 8)
    assert mix(images, blocks=(2,), t_eps=1.0).warp is None
    assert mix(images, blocks=(2,), t_eps=0.9).warp is not None
    assert mix(images, blocks=(1,), t_eps=0.9).warp is None


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf"), -1.0])
def test_a_useless_saliency_counts_as_even(value):
    images = draw(6, 8, 8)
    plan, even = (mix(images, saliency=constant(one)) for one in (value, 1.0))
    assert torch.equal(plan.mask, even.mask)
    assert torch.equal(plan.images(images), even.images(images))


def test_a_grid_is_drawn_for_each_batch_from_those_that_fit():
    sizes = {mix(draw(2, 8, 12), seed=seed, iterations=1).mask.shape[2:] for seed in range(20)}
    assert sizes == {(2, 2), (4, 4)}


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (7, 5), (1, 8)])
def test_images_that_no_grid_fits_are_one_block(size):
    images = draw(8, *size)
    plan = mix(images).check()
    assert plan.mask.shape == (8, 2, 1, 1)
    assert plan.warp is None
    assert plan.images(images).isfinite().all()


def test_a_batch_of_one_stays_as_it_is():
    images = draw(1, 8, 8)
    assert torch.equal(mix(images).images(images), images)


@pytest.mark.parametrize("lam", [0.0, 1.0])
def test_all_or_nothing(lam):
    images = draw(6, 16, 16)
    plan = mix(images, lam=lam, eta=0.0)  # even if nothing but saliency counts
    assert plan.weight[:, 0].eq(lam).all()
    wanted = images if lam else images[plan.index[:, 1]]
    assert torch.equal(plan.images(images), wanted)


def test_one_wish_for_the_batch():
    lam = mix(draw(6, 8, 8), per="batch").lam
    assert lam is not None
    assert lam.eq(lam[0]).all()


def test_differences_are_measured_in_pixels_of_zero_to_one():
    images = (draw(24, 16, 16) * 255).round()
    maps = torch.rand(24, 16, 16, generator=stream(9)) ** 8
    options: dict[str, Any] = {"saliency": lambda *_, **__: maps, "gamma": 5.0, "blocks": (4,)}
    pixels = images / 255
    mean, std = torch.tensor([0.5, 0.4, 0.3]), (0.2, 0.25, 0.3)
    standard = (pixels - mean.view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    plain = mix(pixels, **options).mask
    assert torch.equal(mix(images.to(torch.uint8), **options).mask, plain)
    assert torch.equal(mix(standard, std=std, **options).mask, plain)
    assert not torch.equal(mix(standard, **options).mask, plain)
    assert not torch.equal(mix(pixels, **(options | {"gamma": 0.0})).mask, plain)


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv(images).relu().mean(dim=(2, 3)))


def test_the_gradient_is_taken_and_left_alone():
    torch.manual_seed(0)
    model, images, labels = Small(), draw(6, 16, 16), torch.arange(6) % 5
    options: dict[str, Any] = {"generator": stream(0), "model": model}
    plan = PuzzleMix(blocks=(4,), lam=0.5).plan(images, labels, **options)
    assert all(weight.grad is None for weight in model.parameters())
    assert not plan.weight.requires_grad
    even = mix(images, saliency=constant(1.0), blocks=(4,), lam=0.5)
    assert not torch.equal(plan.mask, even.mask)


def test_model_and_labels_are_asked_for():
    images, labels = draw(4, 8, 8), torch.arange(4)
    with pytest.raises(ValueError, match="PuzzleMix: model"):
        PuzzleMix().plan(images, labels, generator=stream(0))
    with pytest.raises(ValueError, match="PuzzleMix: labels"):
        PuzzleMix().plan(images, generator=stream(0), model=Small())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": -1.0}, "alpha"),
        ({"n_labels": 5}, "n_labels is 5; expected one of 2, 3, 4"),
        ({"n_labels": 1}, "n_labels"),
        ({"beta": float("nan")}, "beta"),
        ({"gamma": -0.1}, "gamma"),
        ({"eta": -0.1}, "eta"),
        ({"neigh_size": 0}, "neigh_size"),
        ({"t_eps": 0.0}, "t_eps"),
        ({"t_size": 0}, "t_size"),
        ({"blocks": ()}, "blocks"),
        ({"blocks": 4}, "blocks is 4"),
        ({"blocks": (4, 0)}, "blocks"),
        ({"transport": "yes"}, "transport"),
        ({"iterations": 0}, "iterations"),
        ({"saliency": "gradent"}, "saliency"),
        ({"std": (0.0,)}, "std"),
        ({"lam": 1.5}, "lam"),
        ({"per": "image"}, "per"),
        ({"pairing": "none"}, "pairing"),
    ],
)
def test_bad_arguments(options, words):
    with pytest.raises(ValueError, match=rf"PuzzleMix: .*{words}"):
        PuzzleMix(**options)


def test_std_of_another_number_of_channels():
    with pytest.raises(ValueError, match="std has 2 values, the images 3"):
        mix(draw(2, 4, 4), std=(0.2, 0.2))
