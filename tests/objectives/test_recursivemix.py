"""RecursiveMix: the paste, the labels, the second term and the history, step by step."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.lab.models import build_model
from mixwright.masks.mask_forms import Box
from mixwright.objectives.objective import Losses
from mixwright.objectives.recursivemix import RecursiveMix
from mixwright.objectives.regions import box_features
from mixwright.sampling import stream, uniform

CLASSES = 3


def _batch(count: int = 4, *, seed: int = 1, size: tuple[int, int] = (16, 24)) -> Any:
    like = torch.zeros(())
    images = uniform((count, 3, *size), device=like.device, generator=stream(seed))
    return images, torch.arange(seed, seed + count) % CLASSES


def _model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model("smallconv", num_classes=CLASSES, image_size=16).eval()


def _built(model: nn.Module, **settings: Any) -> RecursiveMix:
    objective = RecursiveMix(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        objective.build(model, CLASSES)
    return objective


def _step(objective: RecursiveMix, model: nn.Module, batch: Any, *, seed: int) -> Losses:
    return objective(model, *batch, generator=stream(seed), progress=0.0)


def _seen_by(model: nn.Module) -> list[Tensor]:
    seen: list[Tensor] = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    return seen


def _edges(losses: Losses) -> Tensor:
    assert losses.plan is not None
    assert isinstance(losses.plan.mask_form, Box)
    return losses.plan.mask_form.edges


def test_the_first_batch_is_not_mixed() -> None:
    model = _model()
    objective = _built(model)
    images, labels = _batch()
    losses = _step(objective, model, (images, labels), seed=1)
    assert torch.equal(losses.logits, model(images))
    torch.testing.assert_close(losses.total, F.cross_entropy(model(images), labels))
    assert losses.terms["history"].item() == 0
    assert objective.history is not None
    assert torch.equal(objective.history.images, images)
    assert torch.equal(objective.history.labels, F.one_hot(labels, CLASSES).float())
    losses.total.backward()
    assert all(p.grad is not None for p in objective.parameters())


@pytest.mark.parametrize("per", ["batch", "sample"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_the_whole_history_is_pasted_small(interpolation: Any, per: Any) -> None:
    model = _model()
    objective = _built(model, interpolation=interpolation, per=per)
    seen = _seen_by(model)
    labels_before: Tensor | None = None
    for step in range(1, 5):
        images, labels = _batch(seed=step)
        losses = _step(objective, model, (images, labels), seed=step)
        mine = F.one_hot(labels, CLASSES).float()
        shown, said = images.clone(), mine.clone()
        if labels_before is not None:
            old = seen[-2]
            for b, ((top, bottom), (left, right)) in enumerate(_edges(losses).tolist()):
                share = (bottom - top) * (right - left) / (16 * 24)
                said[b] = (1 - share) * mine[b] + share * labels_before[b]
                if share:
                    shown[b, :, top:bottom, left:right] = F.interpolate(
                        old[b : b + 1],
                        size=(bottom - top, right - left),
                        mode=interpolation,
                        align_corners=None if interpolation == "nearest" else True,
                    )[0]
            assert not torch.equal(shown, images)
        if interpolation == "nearest":
            assert torch.equal(seen[-1], shown)
        else:
            torch.testing.assert_close(seen[-1], shown, atol=1e-5, rtol=1e-5)
        assert objective.history is not None
        assert torch.equal(objective.history.images, seen[-1])
        assert torch.equal(objective.history.logits, losses.logits)
        torch.testing.assert_close(objective.history.labels, said)
        torch.testing.assert_close(objective.history.labels.sum(dim=1), torch.ones(4))
        labels_before = objective.history.labels


@pytest.mark.parametrize("share_head", [False, True])
def test_the_loss_by_hand(share_head: bool) -> None:
    model = _model()
    objective = _built(model, omega=0.7, per="sample", share_head=share_head)
    assert len(list(objective.parameters())) == (0 if share_head else 2)
    head = model.get_submodule("fc") if share_head else objective.head
    assert head is not None
    _step(objective, model, _batch(seed=1), seed=1)
    past = objective.history
    assert past is not None
    maps: list[Tensor] = []
    model.get_submodule("layer4").register_forward_hook(lambda *given: maps.append(given[2]))
    images, labels = _batch(seed=2)
    losses = _step(objective, model, (images, labels), seed=2)
    edges = _edges(losses)
    area = (edges[..., 1] - edges[..., 0]).prod(dim=1) / (16 * 24)
    assert area.max() > 0.1
    targets = (1 - area)[:, None] * F.one_hot(labels, CLASSES) + area[:, None] * past.labels
    mixed = F.cross_entropy(losses.logits, targets)
    found = head(box_features(maps[-1], edges, (16, 24))).log_softmax(dim=1)
    history = -(past.logits.softmax(dim=1) * found).sum(dim=1)
    second = (0.7 * area * history).mean()
    torch.testing.assert_close(losses.terms["mixed"], mixed)
    torch.testing.assert_close(losses.terms["history"], second)
    torch.testing.assert_close(losses.total, mixed + second)
    assert losses.plan is not None
    assert losses.labels is not None
    accuracy = losses.plan.accuracy(losses.logits, losses.labels)
    hit = targets.gather(1, losses.logits.argmax(dim=1, keepdim=True)).mean()
    torch.testing.assert_close(accuracy, hit)


def test_boxes_have_uniform_shares_and_one_serves_the_batch() -> None:
    images, _ = _batch(400, size=(32, 32))
    plan = RecursiveMix(per="sample").plan(images, 400, generator=stream(1))
    assert plan.lam is not None
    asked = 1 - plan.lam
    assert asked.max() <= 0.5
    assert abs(asked.mean() - 0.25) < 4 * 0.5 / 12**0.5 / 400**0.5
    assert plan.mask_form.means().unique().numel() > 50
    one = RecursiveMix().plan(images, 400, generator=stream(1))
    assert one.boxes is not None
    assert (one.boxes == one.boxes[0]).all()


def test_nothing_flows_back_through_the_history() -> None:
    model = _model()
    objective = _built(model)
    first, labels = _batch(seed=1)
    first.requires_grad_()
    _step(objective, model, (first, labels), seed=1).total.backward()
    assert first.grad is not None
    first.grad = None
    assert objective.history is not None
    assert not any(one.requires_grad for one in objective.history)
    _step(objective, model, _batch(seed=2), seed=2).total.backward()
    assert first.grad is None


def test_batches_of_other_sizes() -> None:
    model = _model()
    objective = _built(model)
    _step(objective, model, _batch(4, seed=1), seed=1)
    smaller = _step(objective, model, _batch(2, seed=2), seed=2)
    assert smaller.plan is not None
    assert (smaller.plan.weight[:, 1] > 0).all()
    larger = _step(objective, model, (batch := _batch(5, seed=3)), seed=3)
    assert larger.plan is not None
    assert larger.plan.lam is not None
    assert (larger.plan.weight[:2, 1] > 0).all()
    assert (larger.plan.weight[2:, 1] == 0).all()
    assert (larger.plan.lam[2:] == 1).all()
    assert objective.history is not None
    assert torch.equal(objective.history.images[2:], batch[0][2:])
    assert not torch.equal(objective.history.images[:2], batch[0][:2])
    other = _step(objective, model, _batch(5, seed=4, size=(24, 24)), seed=4)
    assert other.plan is not None
    assert (other.plan.weight[:, 1] == 0).all()


def test_epochs_forget_unless_told_otherwise() -> None:
    model = _model()
    for reset in (True, False):
        objective = _built(model, reset=reset)
        _step(objective, model, _batch(seed=1), seed=1)
        objective.on_epoch_start(None)
        assert (objective.history is None) == reset


def _copy(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("steps", [0, 2])
def test_a_saved_run_continues_bit_for_bit(steps: int) -> None:
    model = _model()
    objective = _built(model)
    for step in range(steps):
        _step(objective, model, _batch(seed=step), seed=step)
    state = _copy(objective.state_dict())
    other = RecursiveMix()
    other.build(model, CLASSES)
    _step(other, model, _batch(seed=9), seed=9)  # of another life
    other.load_state_dict(state)
    gradients: list[dict[str, Tensor]] = []
    for one in (objective, other):
        for step in (5, 6):
            model.zero_grad()
            one.zero_grad()
            _step(one, model, _batch(seed=step), seed=step).total.backward()
        named = [*model.named_parameters(), *one.named_parameters()]
        gradients.append({name: p.grad for name, p in named if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])
    assert objective.history is not None
    assert other.history is not None
    assert all(torch.equal(a, b) for a, b in zip(objective.history, other.history, strict=True))


def test_the_history_moves_with_the_objective() -> None:
    model = _model()
    objective = _built(model)
    _step(objective, model, _batch(), seed=1)
    objective.to("meta")
    assert objective.history is not None
    assert {one.device.type for one in objective.history} == {"meta"}


def test_images_of_any_dtype_keep_it() -> None:
    model = nn.Sequential(_Float(), _model())
    objective = _built(model)
    for step in (1, 2):
        images, labels = _batch(seed=step)
        _step(objective, model, ((images * 255).to(torch.uint8), labels), seed=step)
    assert objective.history is not None
    assert objective.history.images.dtype == torch.uint8


class _Float(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.float() / 255


def test_maps_that_the_head_cannot_read_are_refused() -> None:
    flat = nn.Sequential(nn.Conv2d(3, 6, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    model = nn.Sequential(flat, nn.Linear(24, CLASSES))
    with pytest.raises(ValueError, match=r"RecursiveMix: layer .* \(4, 24, h, w\)"):
        _step(_built(model), model, _batch(), seed=1)
    model = _model()
    with pytest.raises(ValueError, match="layer 'layer1' gives maps of shape"):
        _step(_built(model, layer="layer1"), model, _batch(), seed=1)


def _unbuilt() -> None:
    _step(RecursiveMix(), _model(), _batch(), seed=1)


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (_unbuilt, r"expected objective.build\(model, num_classes\)"),
        (lambda: RecursiveMix(alpha=1.5), "RecursiveMix: alpha is 1.5"),
        (lambda: RecursiveMix(omega=-1), "RecursiveMix: omega is -1"),
        (lambda: RecursiveMix(per="pixel"), "RecursiveMix: per is 'pixel'"),  # pyright: ignore
        (lambda: RecursiveMix(interpolation="cubic"), "interpolation is 'cubic'"),  # pyright: ignore
        (lambda: _built(_model(), layer="layer9"), "no layer 'layer9'"),
    ],
)
def test_mistakes_are_named(act: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        act()
