"""Networks of masks: against themselves written out, and what all of them promise."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from masknets.slow import attended, enlarged, project, told
from mixwright.masknets import MaskGenerator, MaskNet, MixBlock, PairBlock
from mixwright.masknets.pairblock import bent
from mixwright.sampling import normal, stream, uniform

PAIRS = (MixBlock(6), MixBlock(6, encode_lam=True), PairBlock(6), PairBlock(6, k=None))
MANY = (
    MaskGenerator(6),
    MaskGenerator(6, encode_lam=True, upsample="nearest"),
    MaskGenerator(6, activation=None),
    MaskGenerator(6, norm=True, encode_lam=True),
)
NETS = PAIRS + MANY


def _name(net: MaskNet) -> str:
    return f"{type(net).__name__}{list(net.settings.values())}"


nets = pytest.mark.parametrize("net", NETS, ids=_name)


def _features(
    count: int, sources: int, channels: int = 6, *, seed: int = 0, size: tuple[int, int] = (2, 3)
) -> Tensor:
    shape = (count, sources, channels, *size)
    return normal(shape, device=torch.device("cpu"), generator=stream(seed)).abs()


def _shares(count: int, sources: int, *, seed: int = 1) -> Tensor:
    drawn = uniform((count, sources), device=torch.device("cpu"), generator=stream(seed)) + 0.05
    return drawn / drawn.sum(dim=1, keepdim=True)


def _awake(net: MaskNet, *, seed: int = 3, scale: float = 0.5) -> MaskNet:
    """Make the same network with weights large enough that everything matters."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = type(net)(**net.settings)
    rng = stream(seed)
    with torch.no_grad():
        for one in made.parameters():
            one.add_(scale * normal(tuple(one.shape), device=one.device, generator=rng))
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.copy_(
                    normal((module.num_features,), device=module.running_mean.device, generator=rng)
                )
                module.running_var.fill_(2.0)
    return made


def _by_hand(net: MaskNet, features: Tensor, lam: Tensor, size: tuple[int, int]) -> Tensor:
    """Give the masks of a network in evaluation mode, one place at a time."""
    masks = torch.zeros(*features.shape[:2], *size, dtype=torch.float64)
    for b, (maps, shares) in enumerate(zip(features, lam, strict=True)):
        if isinstance(net, MaskGenerator):
            logits = _generator_by_hand(net, maps, shares)
            shown = torch.stack([enlarged(one, size, net.upsample) for one in logits])
            masks[b] = shown.exp() / shown.exp().sum(dim=0)
            continue
        if isinstance(net, MixBlock):
            first, second = (told(maps[n], shares[n], net.encode_lam) for n in (0, 1))
            query, key = project(net.query, first), project(net.query, second)
            value = project(net.value, second)[0]
        else:
            assert isinstance(net, PairBlock)
            lam_1 = float(shares[0])
            if net.k is not None:
                k = net.k + 1
                lam_1 = (4 / 3 * lam_1**3 - 2 * lam_1**2 + k * lam_1) / (k - 2 / 3)
            both = torch.cat([maps[0] * (1 + lam_1), maps[1] * (1 + (1 - lam_1))])
            query, key = project(net.query, both), project(net.key, both)
            hidden = _normalised(net.value[1], project(net.value[0], maps[1]))
            hidden = torch.where(hidden > 0, hidden, hidden.exp() - 1)
            value = project(net.value[3], hidden)[0]
        s = 1 / (1 + (-enlarged(attended(query, [key], value), size, net.upsample)).exp())
        masks[b] = torch.stack([1 - s, s])
    return masks


def _generator_by_hand(net: MaskGenerator, maps: Tensor, shares: Tensor) -> list[Tensor]:
    seen = [told(one, share, net.encode_lam) for one, share in zip(maps, shares, strict=True)]

    def branch(layers: Any, one: Tensor) -> Tensor:
        found = project(layers[0], one)
        if net.settings["norm"]:
            found = _normalised(layers[1], found)
        return found.clamp_min(0) if net.settings["activation"] else found

    queries = [branch(net.query, one) for one in seen]
    keys = [branch(net.key, one) for one in seen]
    return [
        attended(
            queries[n], [keys[i] for i in range(len(seen)) if i != n], project(net.value, one)[0]
        )
        for n, one in enumerate(seen)
    ]


def _normalised(norm: nn.BatchNorm2d, maps: Tensor) -> Tensor:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    numbers = (norm.running_mean, norm.running_var, norm.weight, norm.bias)
    mean, var, weight, bias = (one.detach().double()[:, None, None] for one in numbers)
    return (maps - mean) / (var + norm.eps).sqrt() * weight + bias


@nets
def test_masks_are_those_written_out(net: MaskNet) -> None:
    net = _awake(net).eval()
    for sources in (2,) if net.sources else (2, 3):
        features, lam = _features(2, sources), _shares(2, sources)
        for size in ((4, 6), (5, 7), (1, 2)):  # a multiple of the map, none, and fewer
            with torch.no_grad():
                mask = net(features, lam, size=size)
                wanted = _by_hand(net, features, lam, size).float()
            torch.testing.assert_close(mask, wanted, atol=2e-6, rtol=2e-5)
            assert mask.std() > 0.003  # or anything would do


@nets
def test_masks_share_each_pixel(net: MaskNet) -> None:
    for sources in (2,) if net.sources else (2, 3, 4, 7):
        for count in (1, 5):
            mask = _awake(net, scale=2.0)(
                _features(count, sources), _shares(count, sources), size=(9, 11)
            )
            assert mask.shape == (count, sources, 9, 11)
            assert mask.dtype == torch.float32
            assert mask.min() >= 0
            assert (mask.sum(dim=1) - 1).abs().max() < 1e-6


@pytest.mark.parametrize("net", MANY, ids=_name)
def test_permuting_sources_permutes_masks(net: MaskNet) -> None:
    net = _awake(net, scale=1.0)
    features, lam = _features(3, 4), _shares(3, 4)
    order = [2, 0, 3, 1]
    straight = net(features, lam, size=(6, 8))
    assert (straight[:, 0] - straight[:, 1]).abs().max() > 0.05
    permuted = net(features[:, order], lam[:, order], size=(6, 8))
    torch.testing.assert_close(permuted, straight[:, order], atol=1e-6, rtol=0)


@nets
def test_masks_know_the_share_only_if_told(net: MaskNet) -> None:
    net = _awake(net).eval()
    features = _features(2, 2)
    first, second = (net(features, _shares(2, 2, seed=seed), size=(6, 8)) for seed in (1, 2))
    tells = isinstance(net, PairBlock) or bool(net.settings["encode_lam"])
    assert torch.equal(first, second) is not tells


@nets
def test_each_sample_has_a_share_of_its_own(net: MaskNet) -> None:
    net = _awake(net).eval()
    features, lam = _features(4, 2), _shares(4, 2)
    together = net(features, lam, size=(6, 8))
    one_by_one = [net(features[i : i + 1], lam[i : i + 1], size=(6, 8)) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(one_by_one), atol=1e-6, rtol=0)


@nets
def test_first_masks_are_flat(net: MaskNet) -> None:
    torch.manual_seed(0)
    net = type(net)(**net.settings | {"channels": 256})
    features = _features(4, 3 if net.sources is None else 2, 256, size=(8, 8))
    mask = net(features, _shares(*features.shape[:2]), size=(32, 32))
    even = 1 / features.shape[1]
    if isinstance(net, PairBlock):  # its values are normalised, then multiplied by 0.01 x 128
        assert (mask - even).abs().max() < 0.15
    else:
        assert mask.flatten(2).std(dim=2).mean() < 3e-3
        assert (mask.mean(dim=(2, 3)) - even).abs().max() < 0.06


NO_EFFECT = {"PairBlock": {"key.bias"}, "MaskGenerator": {"value.bias"}}


@nets
def test_gradients_reach_what_has_an_effect(net: MaskNet) -> None:
    net = _awake(net)
    mask = net(_features(4, 2), _shares(4, 2), size=(6, 8))
    (mask[:, 0] * _features(4, 1, 1, size=(6, 8))[:, 0, 0]).sum().backward()
    idle = set(NO_EFFECT.get(type(net).__name__, ()))
    if net.settings.get("activation", "relu") is None:
        idle.add("key.0.bias")
    for name, one in net.named_parameters():
        assert one.grad is not None, name
        largest = one.grad.abs().max()
        assert largest < 1e-5 if name in idle else largest > 1e-4, name


@nets
def test_masks_are_float32_and_finite_whatever_comes(net: MaskNet) -> None:
    net = _awake(net)
    features, lam = 1000 * _features(3, 2), _shares(3, 2)
    plain = net(features.bfloat16().float(), lam, size=(6, 8))
    with torch.autocast("cpu", torch.bfloat16):
        mask = net(features.bfloat16(), lam, size=(6, 8))
    assert mask.dtype == torch.float32
    assert mask.isfinite().all()
    torch.testing.assert_close(mask, plain, atol=0, rtol=0)
    for one in torch.autograd.grad(mask[:, 0].square().sum(), list(net.parameters())):
        assert one.isfinite().all()


@nets
def test_a_nan_is_not_hidden(net: MaskNet) -> None:
    net = _awake(net)
    with torch.no_grad():
        net.query.get_parameter(next(iter(dict(net.query.named_parameters())))).fill_(torch.nan)
    assert net(_features(2, 2), _shares(2, 2), size=(6, 8)).isnan().any()


@nets
def test_settings_make_the_network_again(net: MaskNet) -> None:
    net = _awake(net).eval()
    again = type(net)(**net.settings).eval()
    assert again.settings == net.settings
    again.load_state_dict(net.state_dict())
    features, lam = _features(2, 2), _shares(2, 2)
    assert torch.equal(again(features, lam, size=(6, 8)), net(features, lam, size=(6, 8)))


@nets
def test_float64_stays(net: MaskNet) -> None:
    mask = _awake(net).double()(_features(2, 2).double(), _shares(2, 2), size=(6, 8))
    assert mask.dtype == torch.float64


@pytest.mark.parametrize(
    ("net", "count"),
    [
        (MaskGenerator(256), 66_049),
        (MaskGenerator(1024), 1_050_625),
        (MaskGenerator(384, encode_lam=True), 148_610),
        (MaskGenerator(768, encode_lam=True), 592_130),
        (MaskGenerator(256, encode_lam=True), 66_306),
        (MaskGenerator(1024, encode_lam=True), 1_051_650),
        (MaskGenerator(1, norm=True), 2 * (1 + 2) + 2),
        (MixBlock(256), 256 * 128 + 128 + 257),
        (MixBlock(256, encode_lam=True), 257 * 128 + 128 + 258),
        (PairBlock(256), 2 * (512 * 128 + 128) + 256 * 128 + 2 * 128 + 128),
    ],
    ids=lambda one: _name(one) if isinstance(one, MaskNet) else "",
)
def test_numbers_of_weights(net: MaskNet, count: int) -> None:
    assert sum(one.numel() for one in net.parameters()) == count


@pytest.mark.parametrize(("channels", "spread"), [(512, 0.01), (256, 0.01), (64, 0.04), (16, 0.1)])
def test_first_weights(channels: int, spread: float) -> None:
    """The authors' 0.01 from 256 channels on, larger ones for thin features."""
    torch.manual_seed(0)
    for net in (MixBlock(channels), PairBlock(channels), MaskGenerator(channels)):
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                assert module.weight.std().item() == pytest.approx(spread, rel=0.6)
                assert abs(module.weight.mean()) < spread
                assert module.bias is None or not module.bias.any()


def test_the_bend() -> None:
    lam = torch.linspace(0, 1, 101, dtype=torch.float64)
    for k in (0.0, 0.25, 3.0):
        r = bent(lam, k)
        wanted = (4 / 3 * lam**3 - 2 * lam**2 + (k + 1) * lam) / (k + 1 - 2 / 3)
        torch.testing.assert_close(r, wanted)
        torch.testing.assert_close(r[[0, 50, 100]], lam[[0, 50, 100]])
        torch.testing.assert_close(bent(1 - lam, k), 1 - r)
        assert (r.diff() >= -1e-9).all()
        assert ((r - 0.5).abs() <= (lam - 0.5).abs() + 1e-9).all()
    assert PairBlock(6, k=-1).k is None


def test_a_frozen_pair_block_masks_as_it_was_trained() -> None:
    """Values do not depend on the share, so that running statistics are those of all batches."""
    net = _awake(PairBlock(6))
    features = _features(32, 2)
    for step in range(60):
        seen = net(features, _shares(1, 2, seed=step).expand(32, 2), size=(6, 8))
    frozen = net.eval()(features, _shares(1, 2, seed=59).expand(32, 2), size=(6, 8))
    torch.testing.assert_close(frozen, seen, atol=1e-2, rtol=0)


def test_one_share_a_batch_is_divided_out_by_the_normalisation_of_values() -> None:
    """Why the values may be made of plain features: the authors' factor changes nothing."""
    value = _awake(PairBlock(6)).value
    second = _features(8, 1)[:, 0]
    torch.testing.assert_close(value(1.7 * second), value(second), atol=1e-4, rtol=1e-3)


def test_one_plane_of_shares_matters_under_batch_norm() -> None:
    net = _awake(MaskGenerator(6, norm=True, encode_lam=True))
    with torch.no_grad():
        net.value.weight[:, -1] = 0  # so that only queries and keys can tell
    masks = [
        net(_features(4, 2), torch.tensor([share, 1 - share]).expand(4, 2), size=(6, 8))
        for share in (0.1, 0.9)
    ]
    assert (masks[0] - masks[1]).abs().max() > 1e-3


def test_dropout_is_of_training() -> None:
    net = _awake(PairBlock(6, dropout=0.5))
    features, lam = _features(2, 2), _shares(2, 2)
    torch.manual_seed(0)
    assert not torch.equal(net(features, lam, size=(6, 8)), net(features, lam, size=(6, 8)))
    net.eval()
    assert torch.equal(net(features, lam, size=(6, 8)), net(features, lam, size=(6, 8)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MixBlock(0), r"MixBlock: channels is 0; expected a whole number, at least 1"),
        (lambda: PairBlock(6, upsample="cubic"), r"PairBlock: upsample is 'cubic'; .*'nearest'"),
        (lambda: PairBlock(6, k=-2), r"PairBlock: k is -2; expected a finite number at least 0"),
        (lambda: PairBlock(6, dropout=1.0), r"PairBlock: dropout is 1"),
        (
            lambda: MaskGenerator(6, activation="gelu"),
            r"activation is 'gelu'; expected one of 'relu'",
        ),
    ],
)
def test_bad_arguments(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("net", "features", "lam", "size", "message"),
    [
        (MixBlock(6), (2, 6, 3, 4), (2, 2), (6, 8), r"shape \(2, 6, 3, 4\).*\(B, N, c, h, w\)"),
        (
            MixBlock(6),
            (2, 3, 6, 3, 4),
            (2, 3),
            (6, 8),
            r"N = 3 sources; expected 2\. masknets\.MaskG",
        ),
        (MaskGenerator(6), (2, 1, 6, 3, 4), (2, 1), (6, 8), r"N = 1 sources; expected at least 2"),
        (PairBlock(6), (2, 2, 5, 3, 4), (2, 2), (6, 8), r"have 5 channels; expected 6"),
        (MaskGenerator(6), (2, 3, 6, 3, 4), (3,), (6, 8), r"lam has shape \(3,\).*\(2, 3\)"),
        (MixBlock(6), (2, 2, 6, 3, 4), (2, 2), (6, 0), r"size is \(6, 0\); expected \(rows, col"),
        (MixBlock(6).half(), (2, 2, 6, 3, 4), (2, 2), (6, 8), r"are torch.float16; expected fl"),
    ],
)
def test_what_does_not_fit(
    net: MaskNet,
    features: tuple[int, ...],
    lam: tuple[int, ...],
    size: tuple[int, int],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=rf"{type(net).__name__}: .*{message}"):
        net(torch.zeros(features), torch.zeros(lam), size=size)
    with pytest.raises(ValueError, match=r"dtype torch\.int64"):
        net(torch.zeros(2, 2, 6, 3, 4).long(), torch.zeros(2, 2), size=(6, 8))
