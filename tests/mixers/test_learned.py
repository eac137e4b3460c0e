"""A trained network of masks, frozen: what it plans, and that nothing in it moves."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixwright.adapters import Mix
from mixwright.masknets import MaskGenerator, MaskNet, MixBlock, PairBlock
from mixwright.mixers import MixUp, OneOf
from mixwright.mixers.learned import LearnedMixer
from mixwright.mixers.sources import draw_sources
from mixwright.sampling import stream
from mixwright.taps import evaluating


class Bright(MaskNet):
    """Where a source is bright it is seen, the more so the larger its share."""

    def __init__(self, channels: int, *, gain: float = 3.0) -> None:
        super().__init__(channels, upsample="nearest", gain=gain)
        del self.settings["upsample"]
        self.gain = nn.Parameter(torch.tensor(gain))
        self.drop = nn.Dropout(0.5)

    def logits(self, features: Tensor, lam: Tensor) -> Tensor:
        return self.drop(self.gain * features.mean(dim=2)) + lam[:, :, None, None]


def encoder(channels: int = 6) -> nn.Sequential:
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(3, channels, 3, stride=2, padding=1),
        nn.BatchNorm2d(channels),
        nn.Dropout(0.3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(channels, 5),
    )
    norm = net[1]
    assert isinstance(norm, nn.BatchNorm2d)
    nn.init.uniform_(norm.running_mean, -0.5, 0.5)  # pyright: ignore[reportArgumentType]
    nn.init.uniform_(norm.running_var, 0.5, 2.0)  # pyright: ignore[reportArgumentType]
    return net


def learned(**changes: Any) -> LearnedMixer:
    given: dict[str, Any] = {"layer": "1", "alpha": 1.0}
    return LearnedMixer(encoder(), Bright(6), **(given | changes))


def pictures(count: int = 5, height: int = 8, width: int = 8) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def bits(module: nn.Module) -> list[Tensor]:
    return [one.clone() for one in module.state_dict().values()]


@pytest.mark.parametrize(("sources", "per"), [(2, "batch"), (3, "sample")])
def test_the_plan_is_what_the_definition_says(sources: int, per: Any) -> None:
    images = pictures()
    plan = learned(sources=sources, per=per).plan(images, generator=stream(4))

    index, lam = draw_sources(
        5, sources, alpha=1.0, device=images.device, generator=stream(4), per=per
    )
    conv, norm = encoder()[0], encoder()[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    with torch.no_grad():
        for b in range(5):
            shown = []
            for n in range(sources):
                seen = conv(images[index[b, n]][None])[0]
                mean, var = norm.running_mean[:, None, None], norm.running_var[:, None, None]
                seen = (seen - mean) / (var + norm.eps).sqrt()
                value = 3.0 * seen.mean(dim=0) + lam[b, n]
                shown.append(value.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1))
            wanted = torch.stack(shown).exp()
            wanted = wanted / wanted.sum(dim=0)
            torch.testing.assert_close(plan.mask[b], wanted)
    assert torch.equal(plan.index, index)
    assert torch.equal(plan.weight, lam)


@pytest.mark.parametrize(
    ("network", "sources"),
    [
        (MixBlock(6, encode_lam=True), 2),
        (PairBlock(6), 2),
        (MaskGenerator(6), 4),
        (Bright(6), (2, 3)),
    ],
)
def test_plans_are_whole_with_every_network(network: MaskNet, sources: Any) -> None:
    mixer = LearnedMixer(encoder(), network, layer="1", sources=sources)
    images, labels = pictures(), torch.arange(5)
    other = mixer.plan(images, generator=stream(9))
    for seed in range(3):
        plan = mixer.plan(images, labels, generator=stream(seed)).check(labels, num_classes=5)
        assert plan.mask.dtype == plan.weight.dtype == torch.float32
        assert not plan.mask.requires_grad
        torch.testing.assert_close(plan.mask.sum(dim=1), torch.ones(5, 8, 8))
        again = mixer.plan(images, generator=stream(seed))
        assert torch.equal(plan.mask, again.mask)
        assert torch.equal(plan.index, again.index)
        assert not torch.equal(plan.weight, other.weight)


def test_a_range_of_sources_is_drawn_from() -> None:
    mixer = learned(sources=(2, 4))
    seen = [mixer.plan(pictures(), generator=stream(k)).index.shape[1] for k in range(30)]
    assert set(seen) == {2, 3, 4}


def test_nothing_in_it_moves_whatever_its_owner_does() -> None:
    mixer = learned()
    owner = nn.ModuleList([mixer, nn.Dropout()])
    before = bits(mixer)
    first = mixer.plan(pictures(), generator=stream(0)).mask
    owner.train()
    mixer.train()
    with evaluating(owner):
        pass
    owner.requires_grad_(True)  # an owner that thaws everything
    assert not any(module.training for module in mixer.modules())
    images = pictures().requires_grad_()
    plan = mixer.plan(images, generator=stream(0))
    assert torch.equal(plan.mask, first)
    assert not plan.mask.requires_grad
    for module in mixer.modules():
        module.training = True  # behind its back
    assert torch.equal(mixer.plan(pictures(), generator=stream(0)).mask, first)
    assert all(torch.equal(a, b) for a, b in zip(before, bits(mixer), strict=True))


def test_it_is_made_of_copies() -> None:
    net, network = encoder(), Bright(6)
    mixer = LearnedMixer(net, network, layer="1")
    assert not any(one.requires_grad for one in mixer.parameters())
    assert all(one.requires_grad for one in (*net.parameters(), *network.parameters()))
    assert net.training
    assert network.training
    first = mixer.plan(pictures(), generator=stream(0)).mask
    with torch.no_grad():
        net[0].weight.zero_()  # pyright: ignore
        network.gain.zero_()
    assert torch.equal(mixer.plan(pictures(), generator=stream(0)).mask, first)


def test_shares_within_the_margin_mix_whole_images() -> None:
    images = pictures()
    plan = learned(margin=0.5).plan(images, generator=stream(0))  # one of two is always as large
    wanted = plan.weight[:, :, None, None].expand_as(plan.mask.expand(5, 2, 8, 8))
    assert torch.equal(plan.mask.expand(5, 2, 8, 8), wanted)
    assert plan.check().lam is not None

    per = learned(margin=0.2, per="sample", sources=3)
    plan = per.plan(pictures(64), generator=stream(0))
    flat = plan.mask.flatten(2).std(dim=2).amax(dim=1) < 1e-7
    assert torch.equal(flat, plan.weight.amax(dim=1) >= 0.8)
    assert 0 < int(flat.sum()) < 64

    first = learned(margin=0.2, per="sample", sources=3, margin_of="first")
    plan = first.plan(pictures(64), generator=stream(0))
    flat = plan.mask.flatten(2).std(dim=2).amax(dim=1) < 1e-7
    assert torch.equal(flat, (plan.weight[:, 0] <= 0.2) | (plan.weight[:, 0] > 0.8))


def test_without_mixing_images_stay_as_they_are() -> None:
    images = pictures()
    assert torch.equal(learned(alpha=0.0).plan(images, generator=stream(0)).images(images), images)
    one = images[:1]
    plan = learned(sources=3).plan(one, torch.tensor([2]), generator=stream(0)).check()
    assert torch.equal(plan.images(one), one)


def test_without_an_encoder_it_looks_through_the_model() -> None:
    mixer = LearnedMixer(None, Bright(6), layer="1")
    net = encoder()
    before = bits(net)
    plan = mixer.plan(pictures(), generator=stream(0), model=net)
    assert torch.equal(plan.mask, learned().plan(pictures(), generator=stream(0)).mask)
    assert net.training
    assert all(torch.equal(a, b) for a, b in zip(before, bits(net), strict=True))
    with pytest.raises(ValueError, match=r"LearnedMixer: model missing.*no encoder"):
        mixer.plan(pictures(), generator=stream(0))
    with pytest.raises(ValueError, match="model missing"):
        Mix(mixer, num_classes=5)(pictures(1), torch.tensor([0]))


def test_an_encoder_wins_over_the_model() -> None:
    plan = learned().plan(pictures(), generator=stream(0), model=nn.Identity())
    assert torch.equal(plan.mask, learned().plan(pictures(), generator=stream(0)).mask)


def test_masks_are_float32_under_autocast_and_for_half_images() -> None:
    images = pictures()
    plan = learned().plan(images, generator=stream(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = learned().plan(images, generator=stream(0))
    assert torch.equal(plan.mask, cast.mask)
    half = images.half()
    plan = learned().plan(half, generator=stream(0))
    wanted = learned().plan(half.float(), generator=stream(0))
    assert torch.equal(plan.mask, wanted.mask)
    assert plan.images(half).dtype == torch.float16
    kept = LearnedMixer(encoder().half(), Bright(6), layer="1")
    assert {one.dtype for one in kept.parameters()} == {torch.float32}


def test_images_of_another_size_and_layout() -> None:
    mixer = learned()
    plan = mixer.plan(pictures(4, 10, 14), generator=stream(0)).check()
    assert plan.mask.shape == (4, 2, 10, 14)
    images = pictures().contiguous(memory_format=torch.channels_last)
    kept = images.clone()
    plan = mixer.plan(images, generator=stream(0))
    assert plan.images(images).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plan.mask, mixer.plan(pictures(), generator=stream(0)).mask)
    assert torch.equal(images, kept)


def test_it_works_where_mixers_do() -> None:
    images, labels = pictures(), torch.arange(5)
    mixer = learned(sources=3)
    one, _ = Mix(mixer, num_classes=5, seed=1)(images, labels)
    other, targets = Mix(copy.deepcopy(mixer), num_classes=5, seed=1)(images, labels)
    assert torch.equal(one, other)
    torch.testing.assert_close(targets.sum(dim=1), torch.ones(5))
    for per in ("sample", "batch"):
        OneOf(mixer, MixUp(), per=per).plan(images, labels, generator=stream(0)).check(labels, 5)
    assert repr(mixer).startswith("LearnedMixer(Sequential, Bright, layer='1', sources=3")
    assert "\n" not in repr(mixer)


def test_it_goes_where_the_images_are(device: torch.device) -> None:
    mixer = OneOf(learned(), MixUp(), per="sample")
    plan = mixer.plan(pictures().to(device), generator=stream(0)).check()
    assert plan.mask.device == device
    moved = learned().to(device)
    assert moved.plan(pictures(), generator=stream(0)).mask.device.type == "cpu"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sources": 1}, "sources is 1"),
        ({"sources": (3, 2)}, "sources is 2; expected a whole number, at least 3"),
        ({"sources": (2, 3, 4)}, "or two whole numbers"),
        ({"sources": 2.0}, "sources is 2.0"),
        ({"alpha": -1.0}, "alpha is -1.0"),
        ({"per": "image"}, "per is 'image'"),
        ({"margin": 0.6}, "margin is 0.6"),
        ({"margin_of": "last"}, "margin_of is 'last'"),
        ({"layer": "9"}, "no layer '9'"),
        ({"network": nn.Identity()}, "network is Identity(); expected a MaskNet"),
        ({"network": MixBlock(6), "sources": 3}, "sources is 3; expected 2: MixBlock"),
        ({"network": MixBlock(6), "sources": (2, 3)}, "expected 2: MixBlock"),
    ],
)
def test_what_it_refuses(changes: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"encoder": encoder(), "network": Bright(6), "layer": "1"}
    with pytest.raises(ValueError) as caught:
        LearnedMixer(**(given | changes))
    assert words in str(caught.value)


def test_images_and_layers_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"LearnedMixer: images have shape \(4, 3\)"):
        learned().plan(torch.rand(4, 3), generator=stream(0))
    with pytest.raises(ValueError, match="expected one label for each"):
        learned().plan(pictures(), torch.arange(4), generator=stream(0))
    with pytest.raises(ValueError, match="features have 3 channels; expected 6"):
        LearnedMixer(nn.Sequential(nn.ReLU(), nn.Flatten()), Bright(6), layer="0").plan(
            pictures(), generator=stream(0)
        )
