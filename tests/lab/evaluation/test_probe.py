"""The linear probe: against scikit-learn, a slow version, and what must hold of any model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mixwright.lab.data import Dataset, ImageSet, load_data
from mixwright.lab.evaluation.probe import (
    STRENGTHS,
    Probe,
    choose_strength,
    fit_readout,
    penultimate,
)
from mixwright.lab.evaluation.subject import NotApplicableError, Subject
from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised


def clusters(count: int, width: int, classes: int, *, apart: float, seed: int = 0):
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    centres = apart * torch.randn(classes, width, generator=rng)
    return centres[labels] + torch.randn(count, width, generator=rng), labels


def gradient(x: Tensor, labels: Tensor, weight: Tensor, bias: Tensor, strength: float) -> Tensor:
    """Of the definition, by autograd."""
    flat = torch.cat([weight.flatten(), bias]).requires_grad_()
    w, b = flat[: weight.numel()].view(weight.shape), flat[weight.numel() :]
    loss = nn.functional.cross_entropy(x @ w + b, labels) + strength / 2 * w.square().sum()
    return torch.autograd.grad(loss, flat)[0]


@pytest.mark.parametrize("strength", [1e-3, 1e-1, 10.0])
def test_the_minimum_is_that_of_the_definition(strength: float):
    features, labels = clusters(90, 6, 3, apart=0.7)
    features[:, 5] = 4.0  # a feature that never changes
    found = fit_readout(features, labels, classes=3, strength=strength)
    x = (features.double() - features.double().mean(dim=0)) / features.double().std(
        dim=0, correction=0
    ).clamp_min(1e-9)
    slope = gradient(x, labels, found.weight, found.bias, strength)
    assert slope.abs().max() < 1e-4
    assert found.converged
    assert found.weight[5].abs().max() == 0
    torch.testing.assert_close(found(features), x @ found.weight + found.bias)


@pytest.mark.parametrize("strength", [1e-2, 1.0])
def test_as_scikit_learn(strength: float):
    linear = pytest.importorskip("sklearn.linear_model")
    features, labels = clusters(120, 5, 4, apart=0.8)
    x = (features.double() - features.double().mean(0)) / features.double().std(0, correction=0)
    other = linear.LogisticRegression(C=1 / (len(x) * strength), tol=1e-8, max_iter=2000)
    wanted = other.fit(x.numpy(), labels.numpy()).predict_proba(x.numpy())
    found = fit_readout(features, labels, classes=4, strength=strength)(features).softmax(dim=1)
    assert np.abs(found.numpy() - wanted).max() < 1e-4


def test_separable_features_give_all_and_random_labels_chance():
    features, labels = clusters(400, 8, 4, apart=6.0)
    train, test = torch.arange(400) < 300, torch.arange(400) >= 300
    strength, scores = choose_strength(features[train], labels[train], classes=4)
    found = fit_readout(features[train], labels[train], classes=4, strength=strength)
    assert (found(features[test]).argmax(dim=1) == labels[test]).all()
    assert max(scores) == 1
    mixed = labels[torch.randperm(400, generator=torch.Generator().manual_seed(1))]
    found = fit_readout(features[train], mixed[train], classes=4, strength=0.1)
    right = (found(features[test]).argmax(dim=1) == mixed[test]).double().mean()
    assert abs(right - 0.25) < 3 * (0.25 * 0.75 / 100) ** 0.5


def test_the_strongest_of_equals_is_chosen():
    features, labels = clusters(200, 4, 2, apart=8.0)
    strength, scores = choose_strength(features, labels, classes=2, strengths=(1e-4, 1e-1, 1e-2))
    assert scores == [1.0, 1.0, 1.0]
    assert strength == 1e-1


def test_strength_matters_where_features_are_many():
    features, labels = clusters(60, 100, 2, apart=0.15)
    strength, scores = choose_strength(features, labels, classes=2)
    assert len(scores) == len(STRENGTHS)
    assert scores[STRENGTHS.index(strength)] == max(scores)
    with pytest.raises(ValueError, match="every class has a single image"):
        choose_strength(features[:2], torch.tensor([0, 1]), classes=2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"strength": 0.0}, "strength is 0.0; expected a finite number above 0"),
        ({"labels": torch.zeros(3, dtype=torch.int64)}, r"features have shape \(4, 2\) and labels"),
        ({"features": torch.full((4, 2), torch.nan)}, "not finite"),
    ],
)
def test_what_cannot_be_fitted(change: dict[str, Any], says: str):
    given = {"features": torch.zeros(4, 2), "labels": torch.zeros(4, dtype=torch.int64)}
    with pytest.raises(ValueError, match=says):
        fit_readout(**{**given, "classes": 2, "strength": 1.0, **change})


def images(count: int, seed: int, *, classes: int = 3, side: int = 16) -> ImageSet:
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    pixels = torch.randint(100, (count, 3, side, side), generator=rng)
    pixels[torch.arange(count), labels] += 100
    return ImageSet(pixels.to(torch.uint8), labels)


def subject(net: nn.Module | None = None, **more: Any) -> Subject:
    data = Dataset(
        name="made up", train=images(30, 1), test=images(15, 2), classes=("a", "b", "c"),
        mean=(0.5,) * 3, std=(0.2,) * 3, note="",
    )  # fmt: skip
    if net is None:
        torch.manual_seed(0)
        net = build_model("smallconv", num_classes=3, image_size=16)
    model = Normalised(net, data.mean, data.std)
    return Subject(model=model, data=data, ids=torch.arange(15), **more)


def test_features_are_what_enters_the_last_layer():
    who = subject(batch_size=4)
    who.model.train()
    before = {name: value.clone() for name, value in who.model.state_dict().items()}
    found = penultimate(who, who.data.test)
    assert who.model.training
    who.model.eval()
    logits = who.model(who.data.test.images.float() / 255)
    fc = who.model.model.fc
    torch.testing.assert_close(found @ fc.weight.T + fc.bias, logits, atol=1e-5, rtol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in who.model.state_dict().items())


def test_on_digits_the_model_stays_bit_for_bit_and_the_score_too():
    who = subject(batch_size=100)
    before = {name: value.clone() for name, value in who.model.state_dict().items()}
    state = torch.random.get_rng_state()
    first, again = (Probe(train_size=60).measure(who) for _ in range(2))
    assert all(torch.equal(value, before[name]) for name, value in who.model.state_dict().items())
    assert all(weight.requires_grad for weight in who.model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert first.summary == again.summary
    digits = load_data("digits", train_size=60, image_size=16)
    assert torch.equal(first.arrays["labels"], digits.test.labels)
    assert first.summary["top1"] == pytest.approx(float(first.arrays["correct"].double().mean()))
    sets = [digits.train, digits.test]
    x, y = (penultimate(who, one) for one in sets)
    readout = fit_readout(x, digits.train.labels, classes=10, strength=first.summary["strength"])
    right = readout(y).argmax(dim=1) == digits.test.labels
    assert torch.equal(first.arrays["correct"], right)
    most = max(digits.test.labels.tolist().count(label) for label in range(10))
    assert first.summary["largest_class"] == most / 797
    assert first.summary["train_images"] == 60
    assert first.summary["chance"] == 0.1
    assert first.summary["top1"] > 0.3  # even a network that learned nothing shows pixels
    assert first.summary["strength"] in STRENGTHS
    fixed = Probe(train_size=60, strength=0.5).measure(who).summary
    assert (fixed["strength"], fixed["held_out"]) == (0.5, None)


def test_features_are_cached():
    class Cache:
        def __init__(self) -> None:
            self.kept: dict[str, Any] = {}

        def get_or_compute(self, key: str, make: Any, *, shared: bool = False) -> Any:
            assert not shared  # they hang on the data that is probed
            if key not in self.kept:
                self.kept[key] = make()
            return self.kept[key]

    cache, steps = Cache(), []
    who = subject(cache=cache, progress=lambda share, note: steps.append(share))
    found = Probe(train_size=40).measure(who).summary
    assert sorted(cache.kept) == ["test", "train"]
    for weight in who.model.parameters():
        weight.data.fill_(torch.nan)
    assert Probe(train_size=40).measure(who).summary == found
    assert steps == sorted(steps[:3]) * 2


class Tokens(nn.Module):
    """Its last Linear makes tokens, not logits."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(16, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images.mean(dim=1)).mean(dim=1)


@pytest.mark.parametrize(
    ("net", "says"),
    [
        (nn.Sequential(nn.Conv2d(3, 3, 16), nn.Flatten()), "has no Linear layer"),
        (Tokens(), r"takes \(\d+, 16, 16\) and gives 3 values"),
    ],
)
def test_models_that_have_no_such_features(net: nn.Module, says: str):
    with pytest.raises(NotApplicableError, match=says):
        Probe(train_size=20).measure(subject(net))


def test_broken_weights_raise():
    who = subject()
    with torch.no_grad():
        next(who.model.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match="features of 20 of 20 images are not finite"):
        Probe(train_size=20).measure(who)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"train_size": -1}, "train_size is -1; expected a whole number"),
        ({"strength": -1.0}, "strength is -1.0; expected a finite number at least 0"),
    ],
)
def test_options_that_are_refused(options: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=says):
        Probe(**options)
