"""The search: repeatable, in the right direction."""

from __future__ import annotations

import copy
import logging

import pytest
import torch
from torch import Tensor, nn

from mixwright.objectives.criteria import CrossEntropy
from mixwright.objectives.dada.influence import influence
from mixwright.objectives.dada.operations import NAMES
from mixwright.objectives.dada.policy import PAIRS, Draw
from mixwright.objectives.dada.relax import Noise
from mixwright.objectives.dada.search import Examples, Search, SearchProgress, SearchSettings
from mixwright.sampling import stream

INVERT = torch.tensor([NAMES[a] == "Invert" or NAMES[b] == "Invert" for a, b in PAIRS])


def linear(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.1), nn.Linear(16, 2))


def halves(count: int = 32, channels: int = 1) -> tuple[Examples, Examples]:
    """Bright images of class 1 to learn from, but dark ones to be judged on."""
    labels = torch.arange(count) % 2
    noise = torch.rand(2, count, channels, 4, 4, generator=stream(8)) * 0.2
    bright = labels.float().view(-1, 1, 1, 1) * 0.8 + noise[0]
    dark = (1 - labels.float()).view(-1, 1, 1, 1) * 0.8 + noise[1]
    return Examples(bright, labels), Examples(dark, labels)


def search(settings: SearchSettings, seed: int = 0) -> Search:
    train, valid = halves()
    return Search(linear(), train=train, valid=valid, settings=settings, generator=stream(seed))


def state(one: Search) -> list[Tensor]:
    return [*one.model.state_dict().values(), *one.policy.state_dict().values()]


def run(settings: SearchSettings, seed: int = 0) -> Search:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        one = search(settings, seed)
        one.run()
    return one


def test_it_moves_towards_inverting():
    found = run(SearchSettings(epochs=30, batch_size=16, lr=0.05, policy_lr=0.1)).policy
    share = found.weights.detach().softmax(dim=0)[INVERT].sum()
    assert share > 0.14  # 14 of 105 are 0.133
    own = [
        found.chances[k, pair.index(NAMES.index("Invert"))].detach()
        for k, pair in enumerate(PAIRS)
        if INVERT[k]
    ]
    assert torch.stack(own).mean() > found.chances[~INVERT].mean() + 0.02


def test_one_seed_one_search():
    settings = SearchSettings(epochs=2, batch_size=8)
    first, again, other = run(settings), run(settings), run(settings, 1)
    assert all(torch.equal(a, b) for a, b in zip(state(first), state(again), strict=True))
    assert not torch.equal(first.policy.weights, other.policy.weights)


def test_progress_is_told():
    told: list[SearchProgress] = []
    one = search(SearchSettings(epochs=3, batch_size=8))
    with torch.random.fork_rng(devices=[]):
        one.run(told.append)
    assert [(each.epoch, each.epochs) for each in told] == [(1, 3), (2, 3), (3, 3)]
    assert all(each.loss > 0 and 0 < each.spread <= 1 for each in told)
    assert told[2].spread < told[0].spread
    assert one.done == 3 * 4
    assert one.sgd.param_groups[0]["lr"] < 0.01


def test_levels_follow_the_sum_of_the_pixels_gradients():
    one = search(SearchSettings(batch_size=8))
    images, labels = one.train.take(torch.arange(8))
    others, other_labels = one.valid.take(torch.arange(8))
    model = copy.deepcopy(one.model).eval()
    weights = list(model.parameters())
    brightness = NAMES.index("Brightness")
    pair = PAIRS.index((NAMES.index("Posterize"), brightness))
    noise = Noise.draw(len(PAIRS), generator=stream(3))
    draw = Draw(noise, pair, (False, True), (0.5, 0.5))
    pixels = draw.images(images, generator=stream(0)).requires_grad_()
    given = {"rate": 0.1, "reach": 1e-2}

    def loss(x: Tensor) -> Tensor:
        return CrossEntropy()(model(x), labels).mean()

    def valid() -> Tensor:
        return CrossEntropy()(model(others), other_labels).mean()

    value, slope = influence(weights, pixels, loss, valid, **given)
    level = torch.tensor(0.5, requires_grad=True)  # added to every pixel
    small = 1e-2
    above, _ = influence(
        weights, pixels.detach() + small * level, loss, valid, order="first", **given
    )
    one._move(draw, value, slope.sum())
    grad = one.policy.levels.grad
    assert grad is not None
    assert grad[pair, 1] == -slope.sum()
    assert grad.count_nonzero() == 1  # the other operation was not done, other pairs not drawn
    below, _ = influence(
        weights, pixels.detach() - small * level, loss, valid, order="first", **given
    )
    _, slope = influence(weights, pixels, loss, valid, order="first", **given)
    torch.testing.assert_close((above - below) / small, slope.sum(), rtol=2e-2, atol=1e-4)


def test_chances_and_levels_stay_in_range():
    one = run(SearchSettings(epochs=20, batch_size=16, policy_lr=0.5))
    assert one.policy.chances.min() >= 0.01
    assert one.policy.chances.max() <= 0.99
    assert one.policy.levels.min() >= 0
    assert one.policy.levels.max() <= 1
    assert one.policy.weights.isfinite().all()


def test_the_best_come_first():
    one = search(SearchSettings())
    with torch.no_grad():
        one.policy.weights[7] = 2.0
        one.policy.weights[100] = 1.0
        one.policy.chances[7] = torch.tensor([0.25, 0.75])
        one.policy.levels[7] = torch.tensor([0.125, 1.0])
    best = one.policy.best(3)
    assert [tuple(NAMES.index(step.operation) for step in pair) for pair in best[:2]] == [
        PAIRS[7],
        PAIRS[100],
    ]
    assert [(step.chance, step.level) for step in best[0]] == [(0.25, 0.125), (0.75, 1.0)]
    assert len(PAIRS) == len(set(PAIRS)) == len(one.policy.best(105)) == 105


def test_long_epochs_say_how_far_the_search_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    one = search(SearchSettings(epochs=2, batch_size=8))  # two epochs of four iterations
    improve = one.improve_model

    def slow(images: Tensor, labels: Tensor) -> Tensor:
        now[0] += 6.0  # seconds
        return improve(images, labels)

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(one, "improve_model", slow)
    seen: list[SearchProgress] = []
    with caplog.at_level(logging.INFO, logger="mixwright"):
        one.run(seen.append)
    # After 12 and 24 of 48 seconds; the epoch's own line stands at 24 too.
    assert [record.getMessage() for record in caplog.records] == [
        "DADA searches: iteration 2 of 8, about 36 s left",
        "DADA searches: iteration 4 of 8, about 24 s left",
        "DADA searches: iteration 6 of 8, about 12 s left",
        "DADA searches: iteration 8 of 8",
    ]
    assert [progress.seconds_left for progress in seen] == [24.0, 0.0]
