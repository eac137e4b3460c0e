"""Samples show what the plan did."""

from __future__ import annotations

import io

import torch
from PIL import Image

from mixwright.experiments.methods import parse_method
from mixwright.mixers import CutMix, MixUp
from mixwright.reports.gallery import choose_images, draw, exhibit, png
from mixwright.reports.palette import FAINT, SOURCES

CLASSES = ("a", "b", "c", "d")


def colour(hexes: str) -> torch.Tensor:
    return torch.tensor([int(hexes[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def test_masks_are_painted_by_source_and_labels_follow() -> None:
    images = torch.eye(4)[:, :, None, None].expand(4, 4, 8, 8)[:, :3].contiguous()
    for mixer in (CutMix(lam=0.75), MixUp(lam=0.75)):
        for b, sample in enumerate(draw(mixer, images, torch.arange(4), CLASSES, seed=1)):
            own, other = sample.labels
            assert own.name == CLASSES[b]
            assert own.source == 0
            assert own.weight + other.weight == 1
            assert sample.partner is not None
            partner = CLASSES.index(other.name)
            torch.testing.assert_close(sample.partner, images[partner])
            share = own.weight * colour(SOURCES[0]) + other.weight * colour(SOURCES[1])
            torch.testing.assert_close(sample.mask.mean(dim=(1, 2)), share)
            want = own.weight * images[b] + other.weight * images[partner]
            torch.testing.assert_close(sample.mixed.mean(dim=(1, 2)), want.mean(dim=(1, 2)))


def test_a_fill_has_no_label() -> None:
    images = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    shown = exhibit(parse_method("cutout"), images, torch.arange(4), CLASSES, count=2, seed=0)
    assert len(shown.samples) == 2
    for b, sample in enumerate(shown.samples):
        assert sample.partner is None
        hole = (sample.mask - colour(FAINT.light)[:, None, None]).abs().amax(dim=0) < 1e-6
        own = (sample.mask - colour(SOURCES[0])[:, None, None]).abs().amax(dim=0) < 1e-6
        assert hole.any()
        assert (hole | own).all()
        assert [label.name for label in sample.labels] == [CLASSES[b]]


def test_what_cannot_be_drawn_says_so() -> None:
    images = torch.rand(4, 3, 8, 8, 8)
    shown = exhibit(parse_method("fmix"), images, torch.arange(4), CLASSES, count=2, seed=0)
    assert shown.samples == ()
    assert "2-D" in shown.note


def test_images_of_each_class_in_turn() -> None:
    from mixwright.data.load import load_data

    digits = load_data("digits")
    images, labels = choose_images(digits, 12)
    assert labels.tolist() == [*range(10), 0, 1]
    assert images.shape == (12, 3, 32, 32)
    assert 0 <= images.min() < images.max() <= 1


def test_pictures_are_reduced_never_enlarged() -> None:
    for channels, mode in ((1, "L"), (3, "RGB")):
        for side, shown in ((8, 8), (300, 96)):
            image = Image.open(io.BytesIO(png(torch.rand(channels, side, side))))
            assert image.size == (shown, shown)
            assert image.mode == mode
