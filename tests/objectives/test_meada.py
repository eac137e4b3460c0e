"""MEADA: what the pixels climb, how the data grow, and the form without growth."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab.training.test_resume import KilledError, kill_at, left
from lab.training.tiny import CLASSES, digest, recipe, run, tiny_data, tiny_net
from mixwright.lab.data.lazy import EncodedImages, LazyImages
from mixwright.lab.models.vit import SmallViT
from mixwright.objectives.meada import MEADA
from mixwright.sampling import stream
from mixwright.taps import classifier, evaluating

GENTLE = {"steps": 3, "lr": 2.0}


def built(model: nn.Module, **options: Any) -> MEADA:
    objective = MEADA(**{**GENTLE, **options})
    objective.build(model, CLASSES)
    return objective


def sharp_net() -> nn.Module:
    """The tiny net, with logits that differ and statistics that are not the batch's."""
    net = tiny_net()
    with torch.no_grad():
        net[-1].weight.mul_(8)
        net[1].running_mean.add_(0.1)
        net[1].running_var.mul_(0.5)
    return net


def batch(count: int = 6, seed: int = 0) -> tuple[Tensor, Tensor]:
    images = 0.3 + 0.4 * torch.rand(count, 3, 8, 8, generator=stream(seed))
    return images, torch.arange(count) % CLASSES


def height(
    net: nn.Module, images: Tensor, labels: Tensor, start: Tensor, gamma: float, eta: float
) -> Tensor:
    """The objective of one image after the other, written out."""
    values = []
    for x, y, x0 in zip(images, labels, start, strict=True):
        z, z0 = net[:-1](x[None])[0], net[:-1](x0[None])[0].detach()
        p = torch.softmax(net[-1](z), dim=0)
        entropy = -sum(q * q.log() for q in p)
        values.append(-p[y].log() + eta * entropy - gamma * ((z - z0) ** 2).sum() / len(z))
    return torch.stack(values)


# ------------------------------------------------------------------ the ascent


@pytest.mark.parametrize(("gamma", "eta"), [(1.0, 10.0), (30.0, 0.0), (0.0, 2.0)])
def test_pixels_climb_as_written_out(gamma: float, eta: float):
    net, (images, labels) = sharp_net().eval(), batch(3)
    found = built(net, gamma=gamma, eta=eta, lr=200.0).harden(net, images, labels)
    own = images.clone()
    for _ in range(3):
        own.requires_grad_()
        total = height(net, own, labels, images, gamma, eta).sum()
        (slope,) = torch.autograd.grad(total, own)
        own = own.detach() + 200.0 / 512 * slope
    assert (own - images).abs().max() > 0.05
    torch.testing.assert_close(found, own.clamp(0, 1))


def test_the_step_is_the_published_one_for_their_batch_and_scale():
    """The mean over 128 images scaled to [-1, 1], stepped by 20, and scaled back."""
    net, (images, labels) = sharp_net().eval(), batch(128)
    found = built(net, steps=1, lr=20.0).harden(net, images, labels)
    scaled = (2 * images - 1).requires_grad_()
    logits = net((scaled + 1) / 2)
    p = logits.softmax(1)
    loss = F.cross_entropy(logits, labels) - 10 * (p * p.log()).sum(1).mean()
    (slope,) = torch.autograd.grad(loss, scaled)
    theirs = (scaled.detach() + 20 * slope + 1) / 2
    torch.testing.assert_close(found, theirs.clamp(0, 1))


def test_the_height_rises_step_by_step():
    net, (images, labels) = sharp_net().eval(), batch()
    heights = [height(net, images, labels, images, 1.0, 10.0)]
    for steps in range(1, 9):
        hard = built(net, steps=steps, lr=0.5).harden(net, images, labels)
        heights.append(height(net, hard, labels, images, 1.0, 10.0))
    rises = torch.stack(heights).diff(dim=0)
    assert (rises > 0).all()


def test_the_distance_holds_images_back():
    net, (images, labels) = sharp_net().eval(), batch()
    moved = []
    for gamma in (0.0, 100.0, 1e4):
        # The step shrinks with the weight, or the ascent would leap over its summit.
        objective = built(net, gamma=gamma, lr=4.0 / (1 + gamma), steps=30)
        hard = objective.harden(net, images, labels)
        moved.append((hard - images).abs().mean().item())
    assert moved[0] > 10 * moved[1] > 100 * moved[2]
    assert moved[2] < 1e-4


def test_each_image_climbs_alone():
    net, (images, labels) = sharp_net(), batch(7)
    objective = built(net)
    together = objective.harden(net, images, labels)
    for k in range(7):
        alone = objective.harden(net, images[k : k + 1], labels[k : k + 1])
        torch.testing.assert_close(alone[0], together[k])


def test_large_steps_stay_within_the_image():
    net, (images, labels) = sharp_net(), batch()
    hard = built(net, lr=1e4).harden(net, images, labels)
    assert hard.min() == 0
    assert hard.max() == 1


def test_the_model_is_as_it_was():
    net = sharp_net()
    net[3].eval()
    net[0].requires_grad_(False)
    images, labels = batch()
    net(images).square().sum().backward()
    kept = copy.deepcopy(net.state_dict())
    gradients = [None if p.grad is None else p.grad.clone() for p in net.parameters()]
    modes = [m.training for m in net.modules()]
    given = images.clone()
    with torch.no_grad():  # asked for between epochs, it needs its own gradients all the same
        hard = built(net).harden(net, images, labels)
    assert (hard - images).abs().max() > 1e-3
    assert not hard.requires_grad
    assert torch.equal(images, given)
    assert not images.requires_grad
    assert digest(net.state_dict()) == digest(kept)
    assert [m.training for m in net.modules()] == modes
    assert [p.requires_grad for p in net.parameters()] == [False] + [True] * 4
    for before, after in zip(gradients, (p.grad for p in net.parameters()), strict=True):
        assert (before is None) == (after is None)
        assert before is None or torch.equal(before, after)
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in net.modules())


def test_transformers_climb_too():
    model = SmallViT(num_classes=CLASSES, image_size=8, patch=4, width=16, depth=1, heads=2)
    images, labels = batch()
    hard = built(model, lr=20.0).harden(model, images, labels)
    assert (hard - images).abs().max() > 1e-4
    with evaluating(model), torch.no_grad():
        rises = [F.cross_entropy(model(x), labels) for x in (images, hard)]
    assert rises[1] > rises[0]


# ------------------------------------------------------------------ data that grow


def grow(objective: MEADA, data: Any, epochs: int) -> list[Any]:
    return [objective.on_epoch_start(data) for _ in range(epochs)]


def test_the_data_double_after_every_so_many_epochs():
    net, data = sharp_net(), tiny_data(train=20)
    given = grow(built(net, every=2), data, 8)
    sizes = [20 if one is None else len(one.train) for one in given]
    assert sizes == [20, 20, 40, 40, 80, 80, 80, 80]
    assert given[2] is given[3]
    assert given[4] is given[7]
    last = given[4].train
    for k in range(4):
        assert torch.equal(last.labels[20 * k : 20 * k + 20], data.train.labels)
    assert torch.equal(last.images[:20], data.train.images)
    assert torch.equal(last.images[:40], given[2].train.images)
    assert last.images.dtype == torch.uint8
    assert len(data.train) == 20
    assert replace(given[4], train=data.train).classes == data.classes
    assert not torch.equal(last.images[20:40], last.images[:20])
    assert not torch.equal(last.images[60:], last.images[40:60])


def test_copies_are_the_hard_images_rounded():
    net, data = sharp_net(), tiny_data(train=20)
    objective = built(net, every=1)
    grow(objective, data, 2)
    images = data.train.images.float() / 255
    hard = objective.harden(net, images, data.train.labels)
    assert objective.added is not None
    assert (objective.added.float() / 255 - hard).abs().max() <= 0.5 / 255 + 1e-6


def test_images_that_do_not_move_are_the_same_in_8_bits():
    every_value = torch.arange(256, dtype=torch.uint8).repeat(3).view(4, 3, 8, 8)
    data = tiny_data()
    data = replace(data, train=type(data.train)(every_value, torch.zeros(4, dtype=torch.int64)))
    objective = built(sharp_net(), every=1, lr=1e-9)
    grow(objective, data, 2)
    assert objective.added is not None
    assert torch.equal(objective.added, every_value)


def test_more_images_than_are_made_at_once(monkeypatch: pytest.MonkeyPatch):
    from mixwright.objectives import meada

    net, data = sharp_net(), tiny_data(train=20)
    whole, parts = built(net, every=1), built(net, every=1)
    grow(whole, data, 2)
    monkeypatch.setattr(meada, "_AT_ONCE", 7)
    grow(parts, data, 2)
    assert whole.added is not None
    assert parts.added is not None
    assert torch.equal(whole.added, parts.added)


def test_a_saved_state_gives_the_same_data():
    net, data = sharp_net(), tiny_data(train=20)
    objective, other = built(net, every=2), built(net, every=2)
    grow(objective, data, 4)
    other.load_state_dict(copy.deepcopy(objective.state_dict()))
    assert torch.equal(other.added, objective.added)
    images = [one.on_epoch_start(data).train.images for one in (objective, other)]
    assert torch.equal(*images)
    assert len(images[0]) == 80
    assert not list(objective.parameters())
    with pytest.raises(ValueError, match=r"60 images of \(3, 8, 8\) were added to other data"):
        other._all(tiny_data(train=21))


def test_images_that_are_not_in_memory_are_refused_at_once():
    stored = EncodedImages([b""] * 5, torch.zeros(5, dtype=torch.int64), [""] * 5)
    data = replace(tiny_data(), train=LazyImages(stored, image_size=8))
    with pytest.raises(ValueError, match=r"5 training images are not held .* online=0\.5"):
        built(tiny_net()).on_epoch_start(data)
    assert built(tiny_net(), online=0.5).on_epoch_start(data) is None


def test_a_run_too_short_to_grow_says_so():
    objective = built(tiny_net(), every=10)
    grow(objective, tiny_data(), 1)
    (sentence,) = objective.warnings({}, progress=1 / 10)
    assert "never grow, since every is 10 in a run of 10 epochs" in sentence
    assert "Take every=2" in sentence
    assert objective.warnings({}, progress=1 / 11) == ()
    for every in (1, 10):  # no every lets the data grow after the only epoch
        objective = built(tiny_net(), every=every)
        grow(objective, tiny_data(), 1)
        (sentence,) = objective.warnings({}, progress=1.0)
        assert "in a run of 1 epoch; expected at least 2. Train for longer" in sentence
        assert "every=" not in sentence
    assert built(tiny_net(), online=0.5).warnings({}, progress=0.5) == ()


# ------------------------------------------------------------------ the loop


def test_a_run_grows_learns_and_continues(tmp_path):
    of, data = recipe(epochs=3, batch_size=10), tiny_data(train=20, test=10)
    options = GENTLE | {"every": 1, "lr": 20.0}
    seen = []
    run(
        tmp_path / "straight",
        of,
        objective=MEADA(**options),
        data=data,
        on_progress=seen.append,
    )
    assert [p.steps for p in seen if p.step == p.steps] == [2, 4, 8]
    for epoch, step in ((2, 2), (3, 4)):  # where the data grow, with and without earlier copies
        folder, killed = tmp_path / f"killed{epoch}", kill_at(epoch, step)
        with pytest.raises(KilledError):
            run(folder, of, objective=MEADA(**options), data=data, on_progress=killed)
        run(folder, of, objective=MEADA(**options), data=data)
        assert left(folder) == left(tmp_path / "straight")
    lines = [json.loads(x) for x in (tmp_path / "straight/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["train"]["loss"] < lines[0]["train"]["loss"]


# ------------------------------------------------------------------ the form without growth


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.5, 3), (0.3, 2), (1.0, 6)])
def test_a_share_of_the_batch_is_made_hard(share: float, count: int):
    net, (images, labels) = sharp_net().eval(), batch()
    classifier(net, images)  # looks once for the Linear that runs last
    seen: list[Tensor] = []
    net.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0].detach()))
    objective = built(net, online=share)
    losses = objective(net, images, labels, generator=stream(3), progress=0.0)
    assert len(seen) == (4 if count else 1)
    learned = seen[-1]
    changed = (learned != images).flatten(1).any(dim=1)
    assert int(changed.sum()) == count
    hard = objective.harden(net, images, labels)
    expected = torch.where(changed[:, None, None, None], hard, images)
    torch.testing.assert_close(learned, expected)
    torch.testing.assert_close(losses.total, F.cross_entropy(net(expected), labels))
    assert losses.plan is None


def test_without_growth_the_step_is_plain():
    net, (images, labels) = tiny_net(dropout=0.0), batch()
    losses = built(net)(net, images, labels, generator=stream(0), progress=0.0)
    torch.testing.assert_close(losses.total, F.cross_entropy(net(images), labels))


def test_rows_are_drawn():
    net, (images, labels) = sharp_net().eval(), batch()
    objective = built(net, online=0.5)
    totals = {
        objective(net, images, labels, generator=stream(seed), progress=0.0).total.item()
        for seed in (0, 1, 2, 0)
    }
    assert len(totals) == 3


def test_under_autocast_and_in_lower_precision():
    net, (images, labels) = sharp_net(), batch()
    objective = built(net, online=0.5)
    with torch.autocast("cpu", torch.bfloat16):
        losses = objective(net, images, labels, generator=stream(0), progress=0.0)
    losses.total.backward()
    assert losses.total.dtype == torch.float32
    assert all(p.grad is not None for p in net.parameters())
    half = sharp_net().bfloat16()
    losses = objective(half, images.bfloat16(), labels, generator=stream(0), progress=0.0)
    assert losses.total.isfinite()


def test_soft_labels_are_those_of_their_class():
    net, (images, labels) = sharp_net().eval(), batch()
    soft = F.one_hot(labels, CLASSES).float()
    objective = built(net, online=1.0)
    torch.testing.assert_close(
        objective.harden(net, images, soft), objective.harden(net, images, labels)
    )


@pytest.mark.parametrize("options", [{}, {"online": 0.5, "steps": 2}])
def test_a_tiny_batch_is_learned(options: dict[str, Any]):
    net, data = tiny_net(dropout=0.0), tiny_data(train=9)
    images, labels = data.train.images / 255, data.train.labels
    objective = built(net, **options)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    generator = stream(0)
    for k in range(300):
        losses = objective(net, images, labels, generator=generator, progress=k / 300)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        if k % 20 == 19:
            with evaluating(net), torch.no_grad():
                if (net(images).argmax(dim=1) == labels).all():
                    return
    raise AssertionError("not learned in 300 steps")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "MEADA: steps is 0; expected a whole number, at least 1"),
        ({"lr": 0.0}, "MEADA: lr is 0.0; expected a finite number above 0"),
        ({"gamma": -1.0}, "MEADA: gamma is -1.0"),
        ({"eta": float("inf")}, "MEADA: eta is inf"),
        ({"every": 0}, "MEADA: every is 0"),
        ({"rounds": 1.5}, "MEADA: rounds is 1.5"),
        ({"online": 1.5}, "MEADA: online is 1.5; .* at most 1"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        MEADA(**options)


def test_growing_needs_a_model():
    objective = MEADA(every=1)
    with pytest.raises(ValueError, match=r"expected objective\.build"):
        grow(objective, tiny_data(), 2)
    with pytest.raises(ValueError, match="no Linear layer"):
        objective.build(nn.Conv2d(3, 3, 1), CLASSES)
