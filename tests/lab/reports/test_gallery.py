"""Samples show what the plan did."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from mixwright.lab.experiments.methods import Method, MethodPart, parse_method
from mixwright.lab.experiments.probe_model import looks_through_model
from mixwright.lab.experiments.samples import choose_images, draw_samples
from mixwright.lab.reports.figures import styled
from mixwright.lab.reports.gallery import gallery_figure, samples_of, write_gallery
from mixwright.lab.reports.palette import FAINT, SOURCES
from mixwright.lab.reports.pictures import png
from mixwright.lab.reports.section import Sample, Samples
from mixwright.mixers import CutMix, Mixer, MixUp, ResizeMix
from mixwright.objectives import Mixed, Objective
from mixwright.plan import MixPlan

CLASSES = ("a", "b", "c", "d")


def colour(hexes: str) -> Tensor:
    """The bytes of a colour."""
    return torch.tensor([int(hexes[i : i + 2], 16) for i in (1, 3, 5)]).float()


def noise(*shape: int) -> Tensor:
    """Images whose pixels are whole bytes."""
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(0)).float() / 255


def as_bytes(image: Tensor) -> Tensor:
    return (255 * image).round().to(torch.uint8)


def shown_by(
    method: Method, images: Tensor, *, count: int = 2, model: nn.Module | None = None
) -> Samples:
    labels = torch.arange(len(images)) % len(CLASSES)
    return samples_of(
        *draw_samples(method, images, labels, CLASSES, count=count, seed=0, model=model)
    )


def draw(mixer: Mixer, images: Tensor, labels: Tensor, *, seed: int = 0) -> tuple[Sample, ...]:
    """Samples of a mixer that no METHOD names."""
    method = parse_method("mixup")
    found, arrays = draw_samples(
        method, images, labels, CLASSES, count=len(images), seed=seed, learned=mixer
    )
    return samples_of(found, arrays).samples


def test_masks_are_painted_by_source_and_labels_follow() -> None:
    images = torch.eye(4)[:, :, None, None].expand(4, 4, 8, 8)[:, :3].contiguous()
    for mixer in (CutMix(lam=0.75), MixUp(lam=0.75)):
        for b, sample in enumerate(draw(mixer, images, torch.arange(4), seed=1)):
            own, other = sample.labels
            assert own.name == CLASSES[b]
            assert own.source == 0
            assert own.weight + other.weight == 1
            assert len(sample.partners) == 1
            partner = CLASSES.index(other.name)
            assert torch.equal(sample.partners[0], as_bytes(images[partner]))
            share = own.weight * colour(SOURCES[0]) + other.weight * colour(SOURCES[1])
            torch.testing.assert_close(
                sample.mask.float().mean(dim=(1, 2)), share, atol=1.0, rtol=0
            )
            want = 255 * (own.weight * images[b] + other.weight * images[partner])
            torch.testing.assert_close(
                sample.mixed.float().mean(dim=(1, 2)), want.mean(dim=(1, 2)), atol=0.5, rtol=0
            )


def test_a_fill_has_no_label() -> None:
    shown = shown_by(parse_method("cutout"), noise(4, 3, 8, 8))
    assert len(shown.samples) == 2
    for b, sample in enumerate(shown.samples):
        assert sample.partners == ()
        hole = (sample.mask == colour(FAINT.light)[:, None, None]).all(dim=0)
        own = (sample.mask == colour(SOURCES[0])[:, None, None]).all(dim=0)
        assert hole.any()
        assert (hole | own).all()
        assert [label.name for label in sample.labels] == [CLASSES[b]]


@dataclass(frozen=True)
class Shared:
    """Five images shared out among outputs, in bands; the first output shows nothing of itself."""

    def plan(self, images, labels=None, *, generator, model=None):
        weight = torch.tensor([[0.0, 0.25, 0.0, 0.5, 0.25], [0.25, 0.5, 0.0, 0.0, 0.25]])
        rows = torch.arange(8).view(1, 1, 8, 1)
        ends = (8 * weight.cumsum(dim=1)).view(2, 5, 1, 1)
        mask = ((rows < ends) & (rows >= ends - 8 * weight.view(2, 5, 1, 1))).float()
        return MixPlan(
            index=torch.arange(5).expand(2, 5), mask=mask.expand(2, 5, 8, 8), weight=weight, pool=5
        )


def test_of_many_sources_the_heaviest_are_shown() -> None:
    images = noise(5, 3, 8, 8)
    other, own = draw(Shared(), images, torch.arange(5) % 4)
    # Nothing of itself: the heaviest stands first. Classes of rows 3, 1 and 4, which is 0 again.
    assert [(one.name, one.weight, one.source) for one in other.labels] == [
        ("d", 0.5, 0),
        ("b", 0.25, 1),
        ("a", 0.25, 2),
    ]
    assert torch.equal(other.own, as_bytes(images[3]))
    for partner, row in zip(other.partners, (1, 4), strict=True):
        assert torch.equal(partner, as_bytes(images[row]))
    for rows, place in ((slice(0, 2), 1), (slice(2, 6), 0), (slice(6, 8), 2)):
        want = colour(SOURCES[place])[:, None, None].expand(3, rows.stop - rows.start, 8)
        assert torch.equal(other.mask[:, rows].float(), want)
    # Its own row comes first although another one weighs as much or more.
    own_names = [one.name for one in own.labels]
    assert own_names == ["b", "a", "a"]
    assert torch.equal(own.own, as_bytes(images[1]))


def test_of_many_sources_those_without_a_share_are_no_partners() -> None:
    class Alone:
        def plan(self, images, labels=None, *, generator, model=None):
            mask = torch.tensor([[0.0, 1.0, 0.0]])[..., None, None]
            index = torch.arange(3)[None]
            return MixPlan(index=index, mask=mask, weight=mask[..., 0, 0], pool=3)

    images = noise(3, 3, 8, 8)
    (sample,) = draw(Alone(), images, torch.arange(3))
    assert torch.equal(sample.own, as_bytes(images[1]))
    assert sample.partners == ()
    assert [(one.name, one.source) for one in sample.labels] == [("b", 0)]


def test_all_three_sources_are_shown_the_heaviest_partner_first() -> None:
    class Three:
        def plan(self, images, labels=None, *, generator, model=None):
            shares = torch.tensor([[0.5, 0.1, 0.4]])
            index = torch.arange(3)[None]
            return MixPlan(index=index, mask=shares[..., None, None], weight=shares, pool=3)

    images = noise(3, 3, 8, 8)
    (sample,) = draw(Three(), images, torch.arange(3))
    for partner, row in zip(sample.partners, (2, 1), strict=True):
        assert torch.equal(partner, as_bytes(images[row]))
    shown = Samples("three", "Three", (sample,))
    (axes,) = gallery_figure([shown]).axes  # a pair for each picture would take seconds
    assert len(axes.images) == 5  # own, two partners, mask, mixed
    assert len(axes.patches) == 4  # the bar of the labels, on its ground


def test_pictures_keep_their_shape_in_the_gallery() -> None:
    """Places are 0.505 x 0.59 inches: a low picture fills the width, a high one the height."""
    for height, width in ((8, 16), (16, 8)):
        (sample,) = shown_by(parse_method("mixup"), noise(2, 3, height, width), count=1).samples
        (axes,) = gallery_figure([Samples("one", "One", (sample,))]).axes
        across, up = axes.figure.get_size_inches()
        left, right, bottom, top = axes.images[0].get_extent()
        wide, high = (right - left) * across, (top - bottom) * up
        assert wide / high == pytest.approx(width / height)
        each = 0.97 / 4.12 * across  # a quarter of a sample's place, less what stands between
        place = (0.95 * each, 0.74 * 0.76 * up)
        assert (wide == pytest.approx(place[0])) == (width > height)
        assert (high == pytest.approx(place[1])) == (width < height)
        middle = 0.008 * across + place[0] / 2
        assert (left + right) / 2 * across == pytest.approx(middle)
        assert bottom == pytest.approx(0.02 + 0.26 * 0.76)


def test_the_bar_of_the_labels() -> None:
    (sample,) = shown_by(parse_method("cutmix"), noise(2, 3, 8, 8), count=1).samples
    (axes,) = gallery_figure([Samples("one", "One", (sample,))]).axes
    ground, *parts = axes.patches
    shares = [part.get_width() / ground.get_width() for part in parts]
    assert shares == pytest.approx([label.weight for label in sample.labels])
    assert parts[0].get_x() == pytest.approx(ground.get_x())
    assert parts[1].get_x() == pytest.approx(parts[0].get_x() + parts[0].get_width())


def test_more_sources_than_colours() -> None:
    images = noise(20, 3, 8, 8)

    class Twenty:
        def plan(self, images, labels=None, *, generator, model=None):
            even = torch.full((20, 20), 0.05)
            mask = even[..., None, None]
            return MixPlan(index=torch.arange(20).expand(20, 20), mask=mask, weight=even, pool=20)

    samples = draw(Twenty(), images, torch.zeros(20, dtype=torch.int64))
    for b, sample in enumerate(samples):
        assert torch.equal(sample.own, as_bytes(images[b]))
        assert [one.source for one in sample.labels] == list(range(20))


def test_resampled_partners_are_shown_whole() -> None:
    images = noise(4, 3, 16, 16)
    for sample in draw(ResizeMix(), images, torch.arange(4)):
        partner = images[CLASSES.index(sample.labels[1].name)]
        assert torch.equal(sample.partners[0], as_bytes(partner))
        pasted = sample.mask[0] != colour(SOURCES[0])[0]
        assert torch.equal(sample.mixed[:, ~pasted], sample.own[:, ~pasted])


@dataclass(frozen=True)
class Looking:
    """Mixes by what a model says."""

    def plan(self, images, labels=None, *, generator, model=None):
        if model is None:
            raise ValueError("Looking: it needs a model.")
        return MixUp(lam=float(model(images)[0, 0])).plan(images, generator=generator)


class Within(Objective):
    """A way of training without a mixer."""


def test_methods_are_given_the_model() -> None:
    images = noise(4, 3, 8, 8)
    method = Method((MethodPart("here:Looking", Looking, {}, learns=False),))
    assert shown_by(method, images).note == "ValueError: Looking: it needs a model."

    class Quarter(torch.nn.Module):
        def forward(self, images):
            return torch.full((len(images), 4), 0.25)

    shown = shown_by(method, images, model=Quarter())
    assert [sample.labels[0].weight for sample in shown.samples] == [0.25, 0.25]


def test_who_looks_through_a_model() -> None:
    assert not looks_through_model(parse_method("none"))
    assert not looks_through_model(parse_method("mixup+cutmix"))
    assert looks_through_model(Method((MethodPart("here:Looking", Looking, {}, learns=False),)))
    for mixer, looks in ((Looking(), True), (MixUp(), False)):
        part = MethodPart("mixed", Mixed, {"mixer": mixer}, learns=True)
        assert looks_through_model(Method((part,))) is looks


def test_what_mixes_within_training_says_so() -> None:
    method = Method((MethodPart("within", Within, {}, learns=True),))
    shown = shown_by(method, noise(4, 3, 8, 8))
    assert shown.samples == ()
    assert "no plan to draw" in shown.note


def test_labels_that_training_may_weigh_otherwise_are_marked() -> None:
    images = noise(4, 3, 8, 8)
    for mixer in (MixUp(), CutMix()):
        method = Method((MethodPart("mixed", Mixed, {"mixer": mixer}, learns=True),))
        shown = shown_by(method, images)
        assert len(shown.samples) == 2
        assert "may weigh the labels otherwise" in shown.note
    assert not shown_by(parse_method("mixup"), images).note


def test_what_cannot_be_drawn_says_so() -> None:
    shown = shown_by(parse_method("fmix"), noise(4, 3, 8, 8, 8))
    assert shown.samples == ()
    assert "2-D" in shown.note


def test_images_of_each_class_in_turn() -> None:
    from mixwright.lab.data.load import load_data

    digits = load_data("digits")
    images, labels = choose_images(digits, 12)
    assert labels.tolist() == [*range(10), 0, 1]
    assert images.shape == (12, 3, 32, 32)
    assert 0 <= images.min() < images.max() <= 1


def test_pictures_are_reduced_never_enlarged() -> None:
    for channels, mode in ((1, "L"), (3, "RGB")):
        for size, kept in (((8, 8), (8, 8)), ((300, 150), (96, 48))):
            (sample,) = shown_by(parse_method("cutmix"), noise(2, channels, *size), count=1).samples
            for picture in (sample.own, *sample.partners, sample.mixed):
                assert picture.shape == (channels, *kept)
                image = Image.open(io.BytesIO(png(picture)))
                assert image.size == kept[::-1]
                assert image.mode == mode
            assert sample.mask.shape == (3, *kept)


def test_the_page_and_its_picture(tmp_path: Path) -> None:
    found = [shown_by(parse_method(text), noise(4, 3, 16, 16)) for text in ("mixup", "cutmix")]
    path = write_gallery(found, tmp_path / "new", title="Mixing <some>", note="A note.")
    page = path.read_text()
    assert "Mixing &lt;some&gt;" in page
    assert "A note." in page
    assert "http" not in page
    assert page.count('alt="mixed image"') == 4
    assert (tmp_path / "new" / "gallery.png").stat().st_size > 1000


@pytest.mark.parametrize("count", [1, 2, 6])
def test_a_note_stands_beside_its_title_in_the_picture(count: int) -> None:
    doubt = "The model knows too little for its maps to mean something: it knows 12% of 512 images."
    methods = [parse_method(text) for text in ("mixup", "saliencymix:saliency=spectral")]
    found = [
        replace(shown_by(method, noise(8, 3, 8, 8), count=count), note=doubt) for method in methods
    ]
    with styled():
        figure = gallery_figure(found)
        for title, note in zip(figure.texts[::2], figure.texts[1::2], strict=True):
            assert note.get_text().startswith("The mod")
            assert title.get_window_extent().x1 < note.get_window_extent().x0
            assert note.get_window_extent().x1 <= figure.bbox.width
    assert (figure.texts[1].get_text() == doubt) == (count == 6)
