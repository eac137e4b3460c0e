"""Spectral: amplitudes taken apart and put together, how they climb, and what is learned."""

from __future__ import annotations

import copy
import itertools
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab.training.tiny import CLASSES, digest, tiny_data, tiny_net
from mixwright.objectives.spectral import Spectral, sensitivity_map
from mixwright.objectives.spectral.amplitude import from_spectrum, mirrored, spectrum, whole
from mixwright.objectives.spectral.ascent import divergence
from mixwright.objectives.spectral.sensitivity import wave
from mixwright.sampling import stream, uniform
from mixwright.taps import evaluating

sizes = pytest.mark.parametrize("size", [(8, 8), (7, 5), (5, 8), (8, 7), (1, 6), (6, 1), (1, 1)])
modes = pytest.mark.parametrize("mode", ["mix", "attack"])


def sharp_net() -> nn.Module:
    """The tiny net, with logits that differ and statistics that are not the batch's."""
    net = tiny_net()
    with torch.no_grad():
        net[-1].weight.mul_(8)
        net[1].running_mean.add_(0.1)
        net[1].running_var.mul_(0.5)
    return net


def batch(count: int = 6, size: tuple[int, int] = (8, 8), channels: int = 3):
    images = torch.rand(count, channels, *size, generator=stream(0))
    return images, torch.arange(count) % CLASSES


def attacked(net: nn.Module, images: Tensor, labels: Tensor, seed: int = 3, **options: Any):
    return Spectral(**options).attack(net, images, labels, generator=stream(seed))


def flat_net(channels: int, size: tuple[int, int]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * math.prod(size), CLASSES))


# ------------------------------------------------------------------ amplitudes and phases


@sizes
def test_there_and_back(size: tuple[int, int]):
    images, _ = batch(3, size)
    amplitude, phase = spectrum(images)
    assert amplitude.min() >= 0
    torch.testing.assert_close(phase.abs(), torch.ones_like(amplitude))
    torch.testing.assert_close(from_spectrum(amplitude, phase, size), images, atol=1e-6, rtol=0)


def test_phases_of_what_is_not_there():
    amplitude, phase = spectrum(torch.zeros(1, 1, 4, 4))
    assert torch.equal(amplitude, torch.zeros(1, 1, 4, 3))
    assert torch.equal(phase, torch.ones_like(phase))


@sizes
def test_amplitudes_of_mirror_images_give_real_images(size: tuple[int, int]):
    """On the whole plane, with nothing left out by taking half."""
    images, _ = batch(2, size)
    amplitude, phase = spectrum(images)
    lam = mirrored(torch.rand(amplitude.shape, generator=stream(1)), size[1])
    full = torch.fft.fft2(images)
    result = torch.fft.ifft2(whole(lam, size[1]) * full.abs() * torch.sgn(full))
    assert result.imag.abs().max() < 1e-6
    half = from_spectrum(lam * amplitude, phase, size)
    torch.testing.assert_close(half, result.real, atol=1e-6, rtol=0)


@sizes
def test_the_whole_plane_has_mirror_images(size: tuple[int, int]):
    half = torch.rand(size[0], size[1] // 2 + 1, generator=stream(0))
    full = whole(half, size[1])
    assert full.shape == size
    for i in range(size[0]):
        for j in range(size[1]):
            assert full[i, j] == full[-i % size[0], -j % size[1]]
    assert torch.equal(full[:, : size[1] // 2 + 1], mirrored(half, size[1]))


# ------------------------------------------------------------------ the ascent


def test_attacks_in_inference_mode_are_refused():
    images, labels = batch()
    message = r"Spectral: called in torch\.inference_mode, where gradients cannot be taken"
    with torch.inference_mode(), pytest.raises(ValueError, match=message):
        attacked(tiny_net(), images, labels, mode="attack")


def mix_by_hand(
    net: nn.Module, images: Tensor, labels: Tensor, weight: Tensor, steps: int, seed: int = 3
) -> Tensor:
    """On the whole plane, image by image, phases as angles."""
    generator, count = stream(seed), len(images)
    order = torch.randperm(count, generator=generator)
    partner = torch.empty_like(order).scatter_(0, order, order.roll(1))
    h, w = images.shape[-2:]
    start = uniform((count, 1, h, w // 2 + 1), device=images.device, generator=generator)
    results = []
    for b in range(count):
        waves, theirs = torch.fft.fft2(images[b]), torch.fft.fft2(images[partner[b]])
        half = start[b, 0].clone()

        def image(half: Tensor, waves: Tensor = waves, theirs: Tensor = theirs) -> Tensor:
            lam = whole(half, w)
            mixed = lam * waves.abs() + (1 - lam) * theirs.abs()
            return torch.fft.ifft2(mixed * torch.exp(1j * waves.angle())).real.clamp(0, 1)

        for _ in range(steps):
            half.requires_grad_()
            loss = F.cross_entropy(net(image(half)[None]), labels[b : b + 1])
            (slope,) = torch.autograd.grad(loss, half)
            half = (half.detach() + 0.08 * weight * slope.sign()).clamp(0, 1)
        results.append(image(half).detach())
    return torch.stack(results)


@pytest.mark.parametrize("size", [(8, 8), (7, 6)])
def test_the_share_climbs_as_written_out(size: tuple[int, int]):
    net, (images, labels) = flat_net(3, size).eval(), batch(4, size)
    weights = whole(torch.rand(size[0], size[1] // 2 + 1, generator=stream(5)), size[1])
    for sensitivity, weight in ((None, 1.0), (weights, 1 + weights[:, : size[1] // 2 + 1])):
        found = attacked(net, images, labels, steps=3, sensitivity=sensitivity)
        by_hand = mix_by_hand(net, images, labels, torch.as_tensor(weight), 3)
        assert (found - by_hand).abs().max() < 1e-4
        assert (found - mix_by_hand(net, images, labels, torch.tensor(1.0), 0)).abs().max() > 1e-2


def sada_by_hand(
    net: nn.Module, images: Tensor, labels: Tensor, steps: int, scale: str, weight: Tensor
) -> tuple[Tensor, list[int]]:
    """The published attack on the whole plane, and how many steps each image took."""
    generator = stream(3)
    first = uniform((*images.shape[:2], 1, 1), device=images.device, generator=generator)[..., 0, 0]
    light = uniform((len(images), 1, 1, 1), high=0.6, device=images.device, generator=generator)
    waves = torch.fft.fft2(images)
    amplitude, angle = waves.abs(), waves.angle()
    amplitude[:, :, 0, 0] *= 1 + 4 * first
    taken = [0] * len(images)
    done = [False] * len(images)

    def shown(amplitude: Tensor) -> Tensor:
        x = torch.fft.ifft2(amplitude * torch.exp(1j * angle)).abs()
        most = x.max() if scale == "batch" else x.flatten(1).max(1).values.view(-1, 1, 1, 1)
        return (x / most).clamp(0, 1)

    for _ in range(steps):
        amplitude.requires_grad_()
        logits = net(shown(amplitude))
        (slope,) = torch.autograd.grad(F.cross_entropy(logits, labels), amplitude)
        amplitude = amplitude.detach().clone()
        for b in range(len(images)):
            done[b] = done[b] or int(logits[b].argmax()) != int(labels[b])
            if not done[b]:
                moved = amplitude[b] + 0.08 * slope[b].sign() * amplitude[b] * weight
                amplitude[b] = moved.clamp_min(0)
                taken[b] += 1
    return (shown(amplitude) * (1 + light)).clamp(0, 1), taken


@pytest.mark.parametrize("scale", ["sample", "batch"])
@pytest.mark.parametrize("size", [(8, 8), (7, 6)])
def test_the_attack_is_the_published_one(scale: str, size: tuple[int, int]):
    net, (images, labels) = flat_net(3, size).eval(), batch(8, size)
    plain = attacked(net, images, labels, mode="attack", steps=0, brightness=0.0, scale=scale)
    labels = net(plain).argmax(dim=1)  # right at the start
    labels[0] = (labels[0] + 1) % CLASSES  # but one
    weights = whole(torch.rand(size[0], size[1] // 2 + 1, generator=stream(5)), size[1])
    options: dict[str, Any] = {"mode": "attack", "steps": 4, "scale": scale}
    found = attacked(net, images, labels, sensitivity=weights, **options)
    by_hand, taken = sada_by_hand(net, images, labels, 4, scale, 1 + weights)
    assert taken[0] == 0
    assert len(set(taken)) > 2  # some were stopped on the way
    assert (found - by_hand).abs().max() < 1e-4
    without = attacked(net, images, labels, **options)
    assert (found - without).abs().max() > 1e-3


def test_images_rest_from_their_first_error_on():
    net, (images, labels) = flat_net(3, (8, 8)).eval(), batch(8)
    results = [
        attacked(net, images, labels, mode="attack", steps=k, brightness=0.0) for k in range(12)
    ]
    wrong = torch.stack([net(x).argmax(dim=1) != labels for x in results])
    stays = torch.stack(
        [(b - a).abs().amax((1, 2, 3)) == 0 for a, b in itertools.pairwise(results)]
    )
    assert torch.equal(stays, wrong[:-1])
    assert wrong[0].any()
    assert wrong[-1].sum() > wrong[0].sum()


def test_each_image_climbs_alone_but_for_the_batch_maximum():
    net, (images, labels) = sharp_net(), batch(4)
    dark = images.clone()
    dark[1:] *= 0.5
    for scale, alone in (("sample", True), ("batch", False)):
        options: dict[str, Any] = {"mode": "attack", "scale": scale}
        one = attacked(net, dark, labels, **options)[1:]
        other = dark.clone()
        other[0] = 0.01
        two = attacked(net, other, labels, **options)[1:]
        assert (one - two).abs().max().lt(1e-5) == alone


def trained() -> tuple[nn.Module, Tensor, Tensor]:
    net, data = tiny_net(dropout=0.0), tiny_data(train=60)
    images, labels = data.train.images / 255, data.train.labels
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
    return net.eval(), images, labels


def test_a_trained_model_is_led_astray():
    net, images, labels = trained()

    def losses(x: Tensor) -> Tensor:
        return F.cross_entropy(net(x), labels, reduction="none").detach()

    drawn, climbed = (losses(attacked(net, images, labels, steps=k)) for k in (0, 5))
    assert (climbed > drawn).float().mean() > 0.95
    assert climbed.mean() > drawn.mean() + 0.1
    options: dict[str, Any] = {"mode": "attack", "gain": 0.0, "brightness": 0.0}
    drawn, climbed = (losses(attacked(net, images, labels, steps=k, **options)) for k in (0, 5))
    right = drawn < math.log(2)  # such an image is right, and moves
    assert (climbed > drawn)[right].float().mean() > 0.95


def test_an_own_share_of_one_is_the_image_itself(monkeypatch: pytest.MonkeyPatch):
    images, labels = batch(5, (7, 6))
    monkeypatch.setattr("mixwright.sampling.uniform", lambda shape, **_: torch.ones(shape))
    same = attacked(flat_net(3, (7, 6)), images, labels, steps=0)
    torch.testing.assert_close(same, images, atol=1e-6, rtol=0)


def test_an_own_share_of_zero_is_the_partners_amplitude(monkeypatch: pytest.MonkeyPatch):
    images, labels = batch(2)
    images = 0.4 + 0.2 * images  # nothing is cut off
    monkeypatch.setattr("mixwright.sampling.uniform", lambda shape, **_: torch.zeros(shape))
    found = attacked(sharp_net(), images, labels, steps=0)
    waves, mine = torch.fft.fft2(found), torch.fft.fft2(images)
    torch.testing.assert_close(waves.abs(), mine.abs().flip(0), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(torch.sgn(waves), torch.sgn(mine), atol=1e-2, rtol=0)


@modes
@sizes
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes_channels_and_a_batch_of_one(mode: Any, size: tuple[int, int], channels: int):
    net = flat_net(channels, size)
    for count in (1, 3):
        images, labels = batch(count, size, channels)
        found = attacked(net, images, labels, mode=mode, steps=2)
        assert found.shape == images.shape
        assert found.dtype == torch.float32
        assert found.min() >= 0
        assert found.max() <= 1
        if count == 1 and mode == "mix":  # its partner is itself
            torch.testing.assert_close(found, images, atol=1e-6, rtol=0)


@modes
def test_black_images_stay_black(mode: Any):
    images, labels = torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])
    assert torch.equal(attacked(sharp_net(), images, labels, mode=mode), images)


# ------------------------------------------------------------------ traces


@modes
def test_the_model_is_as_it_was(mode: Any):
    net = sharp_net()
    net[3].eval()
    net[0].requires_grad_(False)
    images, labels = batch()
    net(images).square().sum().backward()
    kept = copy.deepcopy(net.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    modes = [m.training for m in net.modules()]
    given, given_labels = images.clone(), labels.clone()
    with torch.no_grad():
        hard = attacked(net, images, labels, mode=mode)
    assert not hard.requires_grad
    assert torch.equal(images, given)
    assert torch.equal(labels, given_labels)
    assert digest(net.state_dict()) == digest(kept)
    assert [m.training for m in net.modules()] == modes
    for before, after in zip(gradients, (p.grad for p in net.parameters()), strict=True):
        assert (before is None) == (after is None)
        assert before is None or torch.equal(before, after)


class Failing(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        raise RuntimeError("out of memory")


@modes
def test_modes_come_back_after_an_error(mode: Any):
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3).eval(), Failing())
    images, labels = batch()
    for go in (
        lambda: attacked(net, images, labels, mode=mode),
        lambda: sensitivity_map(net, images, labels, generator=stream(0)),
    ):
        with pytest.raises(RuntimeError, match="out of memory"):
            go()
        assert [m.training for m in net.modules()] == [True, True, False, True]


# ------------------------------------------------------------------ what is learned


@pytest.mark.parametrize(
    ("options", "passes"),
    [
        ({"mode": "mix"}, 1),
        ({"mode": "mix", "views": 2}, 2),
        ({"mode": "mix", "consistency": 2.0}, 2),
        ({"mode": "attack"}, 2),
        ({"mode": "attack", "views": 3, "consistency": 3.0}, 4),
    ],
)
def test_the_loss_and_its_gradient_are_those_of_images_made_before(
    options: dict[str, Any], passes: int
):
    net, (images, labels) = sharp_net().eval(), batch()
    seen: list[Tensor] = []
    handle = net.register_forward_hook(lambda _m, inputs, _o: seen.append(inputs[0].detach()))
    objective = Spectral(**options)
    losses = objective(net, images, labels, generator=stream(3), progress=0.0)
    handle.remove()
    views = options.get("views", 1)
    assert len(seen) == 5 * views + passes
    losses.total.backward()
    found = [p.grad.clone() for p in net.parameters()]
    net.zero_grad()

    generator = stream(3)
    made = [objective.attack(net, images, labels, generator=generator) for _ in range(views)]
    clean, logits = net(images), [net(x) for x in made]
    learned = [clean] if options["mode"] == "attack" else logits
    loss = sum(F.cross_entropy(one, labels) for one in learned) / len(learned)
    all_p = [one.softmax(1) for one in (clean, *logits)]
    mean = sum(all_p) / len(all_p)
    weight = options.get("consistency", 0.025 if options["mode"] == "attack" else 0.0)
    total = loss + weight * sum((p * (p / mean).log()).sum(1).mean() for p in all_p) / len(all_p)
    total.backward()
    torch.testing.assert_close(losses.total, total)
    torch.testing.assert_close(losses.terms["loss"], loss)
    assert sum(losses.terms.values()) == pytest.approx(losses.total.item(), rel=1e-5)
    torch.testing.assert_close(losses.logits, learned[0])
    assert losses.plan is None
    for a, parameter in zip(found, net.parameters(), strict=True):
        torch.testing.assert_close(a, parameter.grad, atol=1e-5, rtol=1e-4)
    assert any(a.abs().max() > 1e-2 for a in found)


def test_divergence_of_certain_and_equal_predictions():
    equal = torch.randn(4, 5, generator=stream(0))
    assert divergence([equal, equal + 3, equal]).abs().max() < 1e-6
    certain = [200.0 * torch.eye(3)[[k]] for k in range(3)]
    assert divergence(certain).item() == pytest.approx(math.log(3))


def test_a_given_loss_is_learned_by_and_the_attack_keeps_its_own():
    net, (images, labels) = sharp_net().eval(), batch()

    def size(logits: Tensor, labels: Tensor) -> Tensor:
        return logits.square().sum(dim=1)

    losses = Spectral(criterion=size)(net, images, labels, generator=stream(3), progress=0.0)
    hard = attacked(net, images, labels)
    torch.testing.assert_close(losses.total, net(hard).square().sum(1).mean())


@modes
def test_under_autocast_and_in_lower_precision(mode: Any):
    net, (images, labels) = sharp_net(), batch()
    objective = Spectral(mode=mode)
    with torch.autocast("cpu", torch.bfloat16):
        losses = objective(net, images, labels, generator=stream(0), progress=0.0)
    losses.total.backward()
    assert losses.total.dtype == torch.float32
    assert all(p.grad is not None for p in net.parameters())
    half = sharp_net().bfloat16()
    losses = objective(half, images.bfloat16(), labels, generator=stream(0), progress=0.0)
    assert losses.total.isfinite()


@modes
def test_soft_labels_are_those_of_their_class(mode: Any):
    net, (images, labels) = sharp_net(), batch()
    soft = F.one_hot(labels, CLASSES).float()
    hard = attacked(net, images, labels, mode=mode)
    torch.testing.assert_close(attacked(net, images, soft, mode=mode), hard)


@modes
def test_a_tiny_batch_is_learned(mode: Any):
    net, data = tiny_net(dropout=0.0), tiny_data(train=9)
    images, labels = data.train.images / 255, data.train.labels
    objective = Spectral(mode=mode, steps=2)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    generator = stream(0)
    for k in range(300):
        losses = objective(net, images, labels, generator=generator, progress=k / 300)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        if k % 10 == 9:
            with evaluating(net), torch.no_grad():
                if (net(images).argmax(dim=1) == labels).all():
                    return
    raise AssertionError("not learned in 300 steps")


def test_the_map_is_part_of_the_state():
    values = torch.ones(8, 8)
    objective, other = Spectral(sensitivity=values), Spectral(sensitivity=torch.zeros(8, 8))
    values.zero_()
    other.load_state_dict(objective.state_dict())
    assert torch.equal(other.sensitivity, torch.ones(8, 8))
    assert not Spectral().state_dict()
    assert not list(objective.parameters())


# ------------------------------------------------------------------ sensitivity


class Reads(nn.Module):
    """Says which sign one frequency has; sure of nothing else."""

    def __init__(self, row: int, column: int, size: tuple[int, int]) -> None:
        super().__init__()
        height, width = size
        self.wave = wave(row, column, height=height, width=width, device=torch.device("cpu"))

    def forward(self, images: Tensor) -> Tensor:
        found = (images * self.wave).mean(dim=(1, 2, 3))
        return torch.stack([found, -found], dim=1)


@pytest.mark.parametrize(
    ("size", "where"), [((8, 8), (2, 3)), ((7, 5), (6, 1)), ((6, 8), (5, 0)), ((6, 8), (3, 4))]
)
def test_a_planted_frequency_is_found(size: tuple[int, int], where: tuple[int, int]):
    net = Reads(*where, size)
    labels = torch.arange(40) % 2
    images = (0.5 + 0.05 * (1 - 2 * labels)[:, None, None] * net.wave)[:, None]
    found = sensitivity_map(net, images, labels, generator=stream(0), strength=0.2)
    assert found.shape == size
    assert torch.equal(found, whole(found[:, : size[1] // 2 + 1], size[1]))
    mirror = (-where[0] % size[0], -where[1] % size[1])
    assert {tuple(place) for place in found.nonzero().tolist()} == {where, mirror}
    assert 0.25 < found[where] < 0.75  # half of the signs are against it
    weak = sensitivity_map(net, images, labels, generator=stream(0), strength=0.04)
    assert not weak.any()
    Spectral(sensitivity=found)  # and may be given


def test_the_map_depends_on_signs():
    net, (images, labels) = sharp_net(), batch(6, (5, 6))
    before = digest(net.state_dict())
    maps = [
        sensitivity_map(net, images, labels, generator=stream(seed), batch_size=6)
        for seed in (0, 0, 1)
    ]
    assert torch.equal(maps[0], maps[1])
    assert not torch.equal(maps[0], maps[2])
    assert (maps[0] * 6 % 1).abs().max() < 1e-5  # whole images
    soft = F.one_hot(labels, CLASSES).float()
    assert torch.equal(sensitivity_map(net, images, soft, generator=stream(0)), maps[0])
    assert digest(net.state_dict()) == before


def test_waves_have_the_published_norm_by_default():
    net, (images, labels) = sharp_net(), batch(12, (5, 6))
    default = sensitivity_map(net, images, labels, generator=stream(0))
    published = sensitivity_map(net, images, labels, generator=stream(0), strength=8 / 32)
    stronger = sensitivity_map(net, images, labels, generator=stream(0), strength=1.0)
    assert torch.equal(default, published)  # a norm of 8 on each channel of 32x32
    assert not torch.equal(default, stronger)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (3, 0), (0, 4), (1, 2), (5, 3)])
def test_waves_are_those_of_the_transform(row: int, column: int):
    waves = torch.fft.fft2(wave(row, column, height=6, width=8, device=torch.device("cpu"))).abs()
    places = {(row, column), (-row % 6, -column % 8)}
    assert {tuple(place) for place in (waves > 1e-3).nonzero().tolist()} == places
    assert waves.square().sum() == pytest.approx(48 * 48, rel=1e-4)


# ------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "swap"}, "Spectral: mode is 'swap'; expected one of 'mix', 'attack'"),
        ({"steps": -1}, "Spectral: steps is -1"),
        ({"step": 0.0}, "Spectral: step is 0.0; expected a finite number above 0"),
        ({"views": 0}, "Spectral: views is 0"),
        ({"consistency": -1.0}, "Spectral: consistency is -1.0"),
        ({"mode": "attack", "consistency": 0.0}, "consistency is 0.0; .* above 0"),
        ({"gain": -0.5}, "Spectral: gain is -0.5"),
        ({"brightness": float("nan")}, "Spectral: brightness is nan"),
        ({"scale": "pixel"}, "Spectral: scale is 'pixel'"),
        ({"sensitivity": "x"}, "sensitivity is 'x'; expected a dense tensor"),
        ({"sensitivity": torch.ones(3)}, r"sensitivity has shape \(3,\)"),
        ({"sensitivity": -torch.ones(4, 4)}, "sensitivity goes from -1 to -1"),
        ({"sensitivity": torch.arange(16.0).view(4, 4)}, r"ifftshift"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        Spectral(**options)


def test_bad_batches():
    images, labels = batch()
    with pytest.raises(ValueError, match=r"spatial size \(8, 8\), the sensitivity is for \(4, 4\)"):
        attacked(sharp_net(), images, labels, sensitivity=torch.ones(4, 4))
    with pytest.raises(ValueError, match=r"expected \(B, C, H, W\)"):
        attacked(sharp_net(), images[..., 0], labels)
    with pytest.raises(ValueError, match="strength is 0"):
        sensitivity_map(sharp_net(), images, labels, generator=stream(0), strength=0)
