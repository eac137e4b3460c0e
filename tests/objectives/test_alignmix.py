"""AlignMix: what is moved where, against the formula in float64."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixwright.lab.models import build_model
from mixwright.masks.sinkhorn import early_stopped_transport, square_distances, transport
from mixwright.mixers.mixup import MixUp
from mixwright.objectives import alignmix
from mixwright.objectives.alignmix import AlignMix, Moved, aligned, rearranged
from mixwright.objectives.mixed import Mixed
from mixwright.plan import MixPlan
from mixwright.sampling import normal, stream, uniform

IMAGES = uniform((4, 3, 16, 16), device=torch.device("cpu"), generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 0])
SETTINGS: dict[str, Any] = {"width": 5, "eps": 0.1, "iters": 200}


def _normal(*shape: int, seed: int = 1) -> Tensor:
    return normal(shape, device=torch.device("cpu"), generator=stream(seed))


def _plan(lam: float) -> MixPlan:
    return MixUp(lam=lam, pairing="roll").plan(torch.zeros(4, 3, 8, 8), generator=stream(2))


def _scaled_by_hand(own: Tensor, partner: Tensor, eps: float) -> Tensor:
    """R of two sets of places ``(P, C)``: rows are the sample's, columns the partner's."""
    cost = torch.stack([(place - partner).square().sum(dim=1) for place in own]).double()
    logs = -cost / eps
    for _ in range(500):
        logs = logs - logs.logsumexp(dim=0, keepdim=True)
        logs = logs - logs.logsumexp(dim=1, keepdim=True)
    return logs.exp()


def _shares(target: Tensor, source: Tensor) -> Tensor:
    return transport(square_distances(target, source), eps=0.1, iters=50)


@pytest.mark.parametrize("moved", ["partner", "own"])
def test_features_are_mixed_by_the_formula(moved: Moved) -> None:
    features = _normal(4, 5, 2, 3) * 0.2
    found = aligned(_plan(0.7), features, "layer", moved, **SETTINGS)
    for b in range(4):
        own, partner = features[b].flatten(1).T, features[b - 1].flatten(1).T  # (P, C)
        shares = _scaled_by_hand(own, partner, 0.1).float()
        if moved == "partner":
            by_hand = 0.7 * own + 0.3 * shares @ partner
        else:
            by_hand = 0.7 * shares.T @ own + 0.3 * partner
        torch.testing.assert_close(found[b].flatten(1).T, by_hand, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("moved", ["partner", "own"])
def test_all_of_a_map_is_moved_alike_wherever_it_lies(moved: Moved) -> None:
    """A rearranged map keeps its mean over places, which no other weights would."""
    features = _normal(4, 5, 3, 3) * 8
    lam = 0.0 if moved == "partner" else 1.0
    found = aligned(_plan(lam), features, "layer", moved, **SETTINGS)
    kept = features.roll(1, dims=0) if moved == "partner" else features
    torch.testing.assert_close(found.mean(dim=(2, 3)), kept.mean(dim=(2, 3)), atol=1e-4, rtol=0)
    far = features + torch.tensor([0.0, 500.0, 1000.0, 1500.0]).view(4, 1, 1, 1)
    there = aligned(_plan(lam), far, "layer", moved, **SETTINGS)
    there = there - (far - features).roll(1 if moved == "partner" else 0, dims=0)
    torch.testing.assert_close(there, found, atol=0.05, rtol=0)


@pytest.mark.parametrize("moved", ["partner", "own"])
def test_the_official_solver_counts_rows_by_the_sample_whichever_is_moved(moved: Moved) -> None:
    features = _normal(4, 5, 2, 3) * 4
    found = aligned(_plan(0.7), features, "x", moved, width=5, eps=0.1, iters=7, solver="official")
    own = features.flatten(2).transpose(1, 2)  # (B, P, C)
    partner = own.roll(1, dims=0)
    cost = (own[:, :, None] - partner[:, None]).square().sum(dim=3)
    shares = early_stopped_transport(cost, eps=0.1, iters=7)  # (B, own, partner)
    assert (shares.sum(dim=2) - 1).abs().max() > 0.2
    if moved == "partner":
        by_hand = 0.7 * own + 0.3 * shares @ partner
    else:
        by_hand = 0.7 * shares.transpose(1, 2) @ own + 0.3 * partner
    torch.testing.assert_close(found.flatten(2).transpose(1, 2), by_hand, atol=1e-3, rtol=1e-3)


def test_the_two_directions_differ() -> None:
    features = _normal(4, 5, 2, 3)
    one, other = (aligned(_plan(0.7), features, "x", m, **SETTINGS) for m in ("partner", "own"))
    assert not torch.allclose(one, other, atol=0.1)


def test_with_all_of_the_sample_it_stays_as_it_is() -> None:
    features = _normal(4, 5, 3, 3)
    assert torch.equal(aligned(_plan(1.0), features, "layer", "partner", **SETTINGS), features)
    partner = aligned(_plan(0.0), features, "layer", "own", **SETTINGS)
    assert torch.equal(partner, features.roll(1, dims=0))


@pytest.mark.parametrize(
    ("shape", "axis", "first"),
    [((4, 5, 3, 4), 1, 0), ((4, 3, 4, 5), 3, 0), ((4, 11, 5), 2, 2), ((4, 9, 5), 2, 0)],
)
def test_places_that_changed_order_are_put_back(
    shape: tuple[int, ...], axis: int, first: int
) -> None:
    like = _normal(*shape) * 3
    places = like.movedim(axis, 1).flatten(2)  # (B, C, P)
    order = torch.randperm(places.shape[2] - first, generator=stream(4)) + first
    order = torch.cat([torch.arange(first), order])
    shuffled = places[:, :, order].view(like.movedim(axis, 1).shape).movedim(1, axis)
    assert not torch.allclose(shuffled, like)
    for features in (shuffled, like):
        found = rearranged(features, like=like, width=5, shares=_shares)
        torch.testing.assert_close(found, like, atol=1e-3, rtol=1e-3)


def test_tokens_of_no_place_stay_in_front() -> None:
    like, features = _normal(2, 10, 5), _normal(2, 10, 5, seed=2)
    found = rearranged(features, like=like, width=5, shares=_shares)
    assert torch.equal(found[:, 0], features[:, 0])
    assert not torch.equal(found[:, 1:], features[:, 1:])


def test_the_assignment_is_not_differentiated_and_both_samples_are() -> None:
    features = (_normal(4, 5, 2, 2) * 0.2).requires_grad_()
    aligned(_plan(0.7), features, "layer", "partner", **SETTINGS)[1, 3, 0, 1].backward()
    assert features.grad is not None
    own, partner = (features[b].detach().flatten(1).T for b in (1, 0))
    shares = _scaled_by_hand(own, partner, 0.1).float()
    expected = torch.zeros(4, 5, 4)
    expected[1, 3, 1] = 0.7
    expected[0, 3] = 0.3 * shares[1]
    torch.testing.assert_close(features.grad.flatten(2), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_half_precision_maps_keep_dtype_and_memory_format(layout: torch.memory_format) -> None:
    wide = _normal(4, 5, 3, 4)
    features = wide.bfloat16().contiguous(memory_format=layout)
    with torch.autocast("cpu", torch.bfloat16):
        found = aligned(_plan(0.7), features, "layer", "own", **SETTINGS)
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=layout)
    expected = aligned(_plan(0.7), features.float(), "layer", "own", **SETTINGS)
    torch.testing.assert_close(found.float(), expected, atol=3e-2, rtol=3e-2)


def _watch(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Moved]]:
    """Note where features are aligned, and which are moved."""
    seen: list[tuple[str, Moved]] = []

    def noting(
        plan: MixPlan, features: Tensor, layer: str, moved: Moved, **settings: Any
    ) -> Tensor:
        seen.append((layer, moved))
        return aligned(plan, features, layer, moved, **settings)

    monkeypatch.setattr(alignmix, "aligned", noting)
    return seen


def test_batches_draw_input_or_alignment_and_its_direction(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model("smallconv", num_classes=3, image_size=16).eval()
    seen = _watch(monkeypatch)
    objective, plain = AlignMix(p_input=0.25, iters=2), Mixed(MixUp(alpha=2.0))
    count = 64
    for seed in range(count):
        before = len(seen)
        found = objective(model, IMAGES, LABELS, generator=stream(seed), progress=0.0)
        if len(seen) == before:
            other = plain(model, IMAGES, LABELS, generator=stream(seed), progress=0.0)
            assert torch.equal(found.total, other.total)
    ways = Counter(moved for _, moved in seen)
    assert {layer for layer, _ in seen} == {"layer4"}
    assert abs(len(seen) / count - 0.75) < 4 * (0.75 * 0.25 / count) ** 0.5
    assert abs(ways["own"] / len(seen) - 0.5) < 4 * 0.5 / len(seen) ** 0.5


def test_the_layer_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build_model("smallconv", num_classes=3, image_size=16)
    seen = _watch(monkeypatch)
    named = AlignMix(p_input=0.0, layer="layer2")
    named.build(model, 3)
    named(model, IMAGES, LABELS, generator=stream(0), progress=0.0).total.backward()
    assert seen[0][0] == "layer2"
    with pytest.raises(ValueError, match="no layer 'layer9'; the nearest are"):
        AlignMix(layer="layer9").build(model, 3)


def test_a_layer_without_places_is_refused() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    with pytest.raises(ValueError, match=r"AlignMix: layer '0' gives shape \(4, 768\)"):
        AlignMix(p_input=0.0, layer="0")(model, IMAGES, LABELS, generator=stream(0), progress=0.0)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alpha": -1.0}, "AlignMix, in its MixUp: alpha is -1"),
        ({"eps": 0.0}, "AlignMix: eps is 0.0"),
        ({"iters": 0}, "AlignMix: iters is 0"),
        ({"solver": "early"}, "AlignMix: solver is 'early'"),
        ({"p_input": 1.5}, "AlignMix: p_input is 1.5"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AlignMix(**settings)
