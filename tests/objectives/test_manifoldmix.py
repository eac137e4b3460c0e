"""ManifoldMix: which layer is mixed, and that what it gives is mixed as the plan says."""

from __future__ import annotations

import itertools
from collections import Counter

import pytest
import torch
from torch import Tensor, nn

from mixwright.lab.models import build_model
from mixwright.mixers.mixer import Per
from mixwright.mixers.mixup import MixUp
from mixwright.objectives.manifoldmix import ManifoldMix, mixed_features
from mixwright.objectives.mixed import Mixed
from mixwright.objectives.objective import Losses
from mixwright.sampling import Pairing, stream, uniform

IMAGES = uniform((6, 3, 8, 8), device=torch.device("cpu"), generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


class Layers(nn.Module):
    """A map, tokens and a vector on the way to the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.tokens = nn.Linear(4, 5)
        self.vector = nn.Linear(5, 6)
        self.windows = nn.Identity()
        self.fc = nn.Linear(6, 3)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.tokens(self.conv(images).relu().flatten(2).transpose(1, 2)).relu()
        self.windows(tokens.flatten(0, 1))
        return self.fc(self.vector(tokens.mean(dim=1)).relu())


def _layers() -> Layers:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Layers()


def _step(objective: ManifoldMix | Mixed, model: nn.Module, *, seed: int = 3) -> Losses:
    return objective(model, IMAGES, LABELS, generator=stream(seed), progress=0.0)


def _equal(one: Losses, other: Losses) -> bool:
    assert one.plan is not None
    assert other.plan is not None
    return (
        torch.equal(one.logits, other.logits)
        and torch.equal(one.total, other.total)
        and torch.equal(one.plan.weight, other.plan.weight)
        and torch.equal(one.plan.index, other.plan.index)
    )


@pytest.mark.parametrize(
    ("alpha", "per", "pairing"), [(2.0, "sample", "cycle"), (0.2, "batch", "perm")]
)
def test_at_the_input_it_is_mixup(alpha: float, per: Per, pairing: Pairing) -> None:
    model = _layers()
    here = ManifoldMix(alpha=alpha, layers=("input",), per=per, pairing=pairing)
    there = Mixed(MixUp(alpha=alpha, per=per, pairing=pairing))
    assert here.mixer == there.mixer
    assert _equal(_step(here, model), _step(there, model))


def test_identities_give_the_same_at_every_layer() -> None:
    model = nn.Sequential(nn.Identity(), nn.Identity(), nn.Flatten(), nn.Linear(192, 3))
    input_, *others = (
        _step(ManifoldMix(layers=(layer,)), model) for layer in ("input", "0", "1", "2")
    )
    for other in others:
        torch.testing.assert_close(other.logits, input_.logits)
        torch.testing.assert_close(other.total, input_.total)
    assert not torch.allclose(input_.logits, model(IMAGES))


@pytest.mark.parametrize("layer", ["conv", "tokens", "vector"])
def test_layers_of_any_rank_are_mixed_by_the_share(layer: str) -> None:
    model = _layers()
    losses = _step(ManifoldMix(layers=(layer,)), model)
    plan = losses.plan
    assert plan is not None
    share, partner = plan.weight[:, 0], plan.index[:, 1]

    def by_hand(features: Tensor) -> Tensor:
        lam = share.view(-1, *([1] * (features.ndim - 1)))
        return lam * features + (1 - lam) * features[partner]

    features = model.conv(IMAGES)
    features = (by_hand(features) if layer == "conv" else features).relu()
    features = model.tokens(features.flatten(2).transpose(1, 2))
    features = (by_hand(features) if layer == "tokens" else features).relu().mean(dim=1)
    features = model.vector(features)
    features = (by_hand(features) if layer == "vector" else features).relu()
    torch.testing.assert_close(losses.logits, model.fc(features))
    logs = losses.logits.log_softmax(dim=1)
    each = share * logs[range(6), LABELS] + (1 - share) * logs[range(6), LABELS[partner]]
    torch.testing.assert_close(losses.total, -each.mean())


def test_gradients_reach_both_sources_by_their_shares() -> None:
    last = nn.Linear(192, 3)
    model = nn.Sequential(nn.Identity(), nn.Flatten(), last)
    images = IMAGES.clone().requires_grad_()
    objective = ManifoldMix(layers=("0",), lam=0.7, pairing="roll")
    losses = objective(model, images, LABELS, generator=stream(3), progress=0.0)
    losses.logits[2, 1].backward()
    assert images.grad is not None
    weight = last.weight[1].detach().view(3, 8, 8)
    torch.testing.assert_close(images.grad[2], 0.7 * weight)
    torch.testing.assert_close(images.grad[1], 0.3 * weight)
    assert images.grad[[0, 3, 4, 5]].abs().sum() == 0


def test_each_batch_draws_one_of_the_input_and_two_stages() -> None:
    model = build_model("smallconv", num_classes=3, image_size=8).eval()
    objective = ManifoldMix()
    single = {
        layer: ManifoldMix(layers=(layer,)) for layer in ("input", "layer1", "layer2", "layer3")
    }
    drawn: Counter[str] = Counter()
    for seed in range(36):
        found = _step(objective, model, seed=seed)
        same = [name for name, one in single.items() if _equal(found, _step(one, model, seed=seed))]
        assert len(same) == 1
        drawn.update(same)
    assert set(drawn) == {"input", "layer1", "layer2"}
    assert min(drawn.values()) >= 4  # of 12


def test_stages_of_other_models_are_found() -> None:
    for name in ("preactresnet18", "resnet8"):
        model = build_model(name, num_classes=3, image_size=8).eval()
        drawn = {round(_step(ManifoldMix(), model, seed=s).total.item(), 6) for s in (0, 1, 4)}
        assert len(drawn) == 3


def test_unknown_layers_are_named_with_their_neighbours() -> None:
    model = build_model("smallconv", num_classes=3, image_size=8)
    objective = ManifoldMix(layers=("input", "layr2"))
    with pytest.raises(ValueError, match=r"no layer 'layr2'; the nearest are .*layer2"):
        objective.build(model, 3)
    with pytest.raises(ValueError, match="no layer 'layr2'"):
        _step(ManifoldMix(layers=("layr2",)), model)


def test_a_layer_whose_first_axis_is_not_the_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"layer 'windows' gives shape \(54, 5\)"):
        _step(ManifoldMix(layers=("windows",)), _layers())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"alpha": -1.0}, "ManifoldMix, in its MixUp: alpha is -1"),
        ({"lam": 1.5}, "lam is 1.5"),
        ({"per": "pixel"}, "per is 'pixel'"),
        ({"layers": ()}, r"layers is \(\)"),
        ({"layers": "layer1"}, "layers is 'layer1'"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        ManifoldMix(**settings)  # pyright: ignore[reportArgumentType]


def test_features_keep_their_dtype_and_memory_format() -> None:
    plan = MixUp().plan(IMAGES, generator=stream(3))
    for dtype, layout in itertools.product(
        (torch.float32, torch.bfloat16), (torch.contiguous_format, torch.channels_last)
    ):
        features = IMAGES.to(dtype).contiguous(memory_format=layout).requires_grad_()
        found = mixed_features(plan, features, "layer")
        assert found.dtype == dtype
        assert found.is_contiguous(memory_format=layout)
        torch.testing.assert_close(found, plan.images(IMAGES).to(dtype), atol=1e-2, rtol=1e-2)
