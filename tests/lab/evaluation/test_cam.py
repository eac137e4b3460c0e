"""Where a classifier sees a class: by hand, and on mixtures of two images."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from lab.evaluation.judged import images_and_labels, small, subject
from mixwright.lab.evaluation.cam import Cam, cam_energy, class_map, grad_cam
from mixwright.lab.evaluation.subject import NotApplicableError
from mixwright.lab.models.smallconv import SmallConv
from mixwright.masknets import MaskGenerator
from mixwright.mixers import CutMix, MixUp
from mixwright.mixers.learned import LearnedMixer
from mixwright.plan import MixPlan


def judged() -> tuple[Any, Tensor, Tensor]:
    images, labels = images_and_labels()
    return small(), images.float() / 255, labels


def classic(model: Any, images: Tensor, labels: Tensor) -> Tensor:
    """The maps before pooling, weighted as the class weighs them."""
    model.eval()
    with torch.no_grad():
        maps = model.act(model.conv2(model.act(model.bn(model.conv1(images)))))
        return torch.einsum("bchw,bc->bhw", maps, model.fc.weight[labels]).relu()


def test_on_a_pooled_linear_head_it_is_the_classic_map() -> None:
    model, images, labels = judged()
    expected = classic(model, images, labels) / 36  # places that are pooled
    # "act" runs twice; the network is told apart from its parts
    model.last = nn.Identity()
    model.forward = lambda x: model.fc(  # type: ignore[method-assign]
        model.last(model.act(model.conv2(model.act(model.bn(model.conv1(x)))))).mean(dim=(2, 3))
    )
    torch.testing.assert_close(class_map(model, images, labels, layer="last"), expected)
    torch.testing.assert_close(class_map(model, images, labels), expected)  # found by itself


def test_maps_are_between_0_and_1_at_the_images_size() -> None:
    model, images, labels = judged()
    found = grad_cam(model, images, labels, layer="conv2")
    small_maps = class_map(model, images, labels, layer="conv2")
    assert found.shape == (20, 12, 12)
    assert small_maps.shape == (20, 6, 6)
    filled = small_maps.amax(dim=(1, 2)) > 0
    assert 0 < int(filled.sum()) < 20  # both cases are seen here
    assert bool((found.amax(dim=(1, 2))[filled] == 1).all())
    assert bool((found.amin(dim=(1, 2)) == 0).all())
    assert bool((found[~filled] == 0).all())


def test_the_scale_of_the_logit_does_not_matter() -> None:
    model, images, labels = judged()
    before = grad_cam(model, images, labels, layer="conv2")
    model.fc.weight.data *= 7
    model.fc.bias.data += 3
    torch.testing.assert_close(grad_cam(model, images, labels, layer="conv2"), before)


def test_a_flipped_image_has_the_flipped_map() -> None:
    model, images, labels = judged()
    model.conv2.stride = (1, 1)
    for layer in (model.conv1, model.conv2):
        layer.weight.data = (layer.weight + layer.weight.flip(3)) / 2
    found = grad_cam(model, images, labels, layer="conv2")
    mirrored = grad_cam(model, images.flip(3), labels, layer="conv2")
    assert float(found.std()) > 0.1
    torch.testing.assert_close(mirrored.flip(2), found, atol=1e-4, rtol=0)


def test_even_maps_are_empty_not_nan() -> None:
    model = nn.Sequential(
        nn.AdaptiveAvgPool2d(5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)
    )
    even = torch.full((2, 3, 13, 13), 0.3)  # enlarging 5 to 13 rounds
    model[3].weight.data.fill_(1.0)
    assert float(class_map(model, even, torch.tensor([0, 1]), layer="0").min()) > 0
    assert bool((grad_cam(model, even, torch.tensor([0, 1]), layer="0") == 0).all())
    model[3].weight.data.fill_(-1.0)
    assert bool((grad_cam(model, even, torch.tensor([0, 1]), layer="0") == 0).all())


class Writing(nn.Module):
    """Writes into what its first layer gave."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.fc = nn.Linear(5, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.relu(self.conv(images)).mean(dim=(2, 3)))


def test_a_layer_that_is_written_over_is_seen_as_it_was() -> None:
    torch.manual_seed(0)
    model, (_, images, labels) = Writing(), judged()
    before = model.conv(images).detach()
    found = class_map(model, images, labels, layer="conv")
    pixels = before.clone().requires_grad_()
    logits = model.fc(pixels.relu().mean(dim=(2, 3)))
    (slope,) = torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), pixels)
    expected = (slope.mean(dim=(2, 3), keepdim=True) * before).sum(dim=1).relu()
    torch.testing.assert_close(found, expected)


def test_frozen_models_work_and_nothing_is_left_behind() -> None:
    model, images, labels = judged()
    for weight in model.parameters():
        weight.requires_grad_(False)
    with torch.no_grad():
        found = class_map(model, images, labels, layer="conv2")
    assert not found.requires_grad
    assert model.training
    assert all(not module._forward_hooks for module in model.modules())
    assert all(not module._forward_pre_hooks for module in model.modules())


class Tokens(nn.Module):
    """A token in front and nine of patches, then their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 5, 4, stride=4)
        self.block = nn.Linear(5, 5)
        self.norm = nn.LayerNorm(5)
        self.fc = nn.Linear(5, 4)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1)
        return self.fc(self.norm(self.block(tokens)).mean(dim=1))


def test_tokens_are_maps_too() -> None:
    torch.manual_seed(0)
    _, images, labels = judged()
    assert class_map(Tokens(), images, labels, layer="norm").shape == (20, 3, 3)
    assert class_map(Tokens(), images, labels).shape == (20, 3, 3)


def test_energy_by_hand() -> None:
    cam = torch.tensor([[[1.0, 0.0], [3.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[[1.0, 1.0], [0.5, 0.0]]]).expand(2, -1, -1)
    found = cam_energy(cam, mask)
    assert found[0].item() == pytest.approx(2.5 / 4)
    assert bool(found[1].isnan())
    with pytest.raises(ValueError, match=r"both \(B, H, W\)"):
        cam_energy(cam, mask[:1])


def test_unknown_layers_and_classes() -> None:
    model, images, labels = judged()
    with pytest.raises(ValueError, match="no layer 'conv3'"):
        class_map(model, images, labels, layer="conv3")
    with pytest.raises(ValueError, match="more than once"):
        class_map(model, images, labels, layer="act")
    with pytest.raises(ValueError, match="20 of 20 labels"):
        class_map(model, images, labels + 9, layer="conv2")


@pytest.mark.parametrize("show", [class_map, grad_cam])
def test_inference_mode_is_refused(show: Any) -> None:
    model, images, labels = judged()
    with (
        torch.inference_mode(),
        pytest.raises(ValueError, match=r"called in torch\.inference_mode"),
    ):
        show(model, images, labels)


class Seeing(nn.Module):
    """A perfect witness: class k is how much of channel k there is, place by place."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Identity()
        self.fc = nn.Linear(3, 4, bias=False)
        self.fc.weight.data = torch.eye(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.look(images).mean(dim=(2, 3)))


def witnessed(mixer: Any) -> Any:
    judge = subject(Seeing(), count=30, mixer=mixer)
    labels = torch.arange(30) % 3
    images = torch.zeros(30, 3, 12, 12, dtype=torch.uint8)
    images[torch.arange(30), labels] = 255
    judge.data.test.images[:] = images
    judge.data.test.labels[:] = labels
    return judge


@pytest.mark.parametrize("mixer", [None, CutMix()])
def test_a_perfect_witness_finds_each_image_where_it_is(mixer: Any) -> None:
    found = Cam(pairs=8, layer="look", shown=3).measure(witnessed(mixer))
    json.dumps(found.summary)
    assert found.summary["mixer"] == "CutMix"
    assert found.summary["counted"] == found.summary["pairs"] == 8
    assert found.summary["energy_a"] == pytest.approx(1.0)
    assert found.summary["energy_b"] == pytest.approx(1.0)
    chance = found.arrays["chance"].mean(dim=0).tolist()
    assert [found.summary["chance_a"], found.summary["chance_b"]] == pytest.approx(chance)
    assert sum(chance) == pytest.approx(1.0)
    assert found.summary["pair_accuracy"] == 1.0
    masks, maps = found.arrays["mixed.masks"], found.arrays["mixed.maps"]
    shown = masks.flatten(2).double().mean(dim=2) / 255
    torch.testing.assert_close(found.arrays["chance"][:3].double(), shown, atol=1e-6, rtol=0)
    assert masks.shape == maps.shape == (3, 2, 12, 12)
    assert torch.equal(masks, maps)
    assert torch.equal(masks[:, 0], 255 - masks[:, 1])


def test_mixtures_without_places_have_no_energy() -> None:
    found = Cam(pairs=8, layer="look").measure(witnessed(MixUp()))
    assert found.summary["mixer"] == "MixUp"
    assert found.summary["counted"] == 0
    assert found.summary["energy"] is found.summary["energy_a"] is None
    assert found.summary["pair_accuracy"] == 1.0
    same = Cam(pairs=8, layer="look", mixer="cutmix").measure(witnessed(MixUp()))
    assert same.summary["mixer"] == "CutMix"
    assert same.summary["counted"] == 8


@dataclass(frozen=True)
class Alone:
    """Mixes nothing in."""

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: nn.Module | None = None,
    ) -> MixPlan:
        return MixPlan.identity(images)


def test_a_mixer_of_one_image_gives_way_to_cutmix() -> None:
    assert Cam(pairs=4, layer="look").measure(witnessed(Alone())).summary["mixer"] == "CutMix"


def test_a_mixer_that_learned_of_three_images_is_asked_for_two() -> None:
    torch.manual_seed(0)
    net = SmallConv(num_classes=4)
    three = LearnedMixer(net, MaskGenerator(32), layer="layer2", sources=3)
    found = Cam(pairs=8, layer="look").measure(witnessed(three))
    assert (found.summary["mixer"], found.summary["lam"]) == ("LearnedMixer", 0.5)
    shares = found.arrays["mixed.masks"].float().sum(dim=1) / 255
    torch.testing.assert_close(shares, torch.ones_like(shares), atol=0.01, rtol=0)
    assert Cam(pairs=8, layer="look", lam=0.3).measure(witnessed(three)).summary["lam"] is None


class OnePlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 12)
        self.fc = nn.Linear(5, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.conv(images).flatten(1))


def test_models_without_places() -> None:
    with pytest.raises(NotApplicableError, match="maps of one place"):
        Cam().measure(subject(OnePlace()))
    with pytest.raises(NotApplicableError, match="gives a map"):
        Cam().measure(subject(nn.Sequential(nn.Flatten(), nn.Linear(432, 4))))


@pytest.mark.parametrize("options", [{"pairs": 0}, {"lam": 2}, {"mixer": "none"}, {"shown": 0}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Cam: "):
        Cam(**options)


@pytest.mark.parametrize("mixer", [None, MixUp(), CutMix()])
def test_one_mixture_at_a_time_is_as_good_as_all(monkeypatch: Any, mixer: Any) -> None:
    judge = witnessed(mixer)
    whole = Cam(pairs=7, layer="look", shown=3).measure(judge)
    monkeypatch.setattr("mixwright.lab.evaluation.mixtures.states._MEBIBYTES", 0)
    singly = Cam(pairs=7, layer="look", shown=3).measure(judge)
    assert singly.summary == whole.summary
    assert len(whole.arrays["mixed.images"]) == 3
    for name, array in whole.arrays.items():
        torch.testing.assert_close(singly.arrays[name], array, equal_nan=True)
