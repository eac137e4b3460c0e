"""What ManifoldMix, AlignMix and RecursiveMix promise alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mixwright.models import build_model
from mixwright.objectives.alignmix import AlignMix
from mixwright.objectives.manifoldmix import ManifoldMix
from mixwright.objectives.objective import Losses, Objective
from mixwright.objectives.recursivemix import RecursiveMix
from mixwright.sampling import stream, uniform

CLASSES = 3
IMAGES = uniform((6, 3, 16, 16), like=torch.zeros(()), generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])

MAKERS: dict[str, Callable[[], Objective]] = {
    "manifoldmix": ManifoldMix,
    "manifoldmix-layer": lambda: ManifoldMix(layers=("layer2",), per="batch"),
    "alignmix": AlignMix,
    "alignmix-layer": lambda: AlignMix(p_input=0.0, per="batch"),
    "recursivemix": RecursiveMix,
    "recursivemix-shared": lambda: RecursiveMix(share_head=True, per="sample", omega=0.5),
}
OFF: dict[str, Callable[[], Objective]] = {
    "manifoldmix": lambda: ManifoldMix(alpha=0.0),
    "alignmix": lambda: AlignMix(alpha=0.0),
    "alignmix-fixed": lambda: AlignMix(lam=1.0, p_input=0.0),
    "recursivemix": lambda: RecursiveMix(alpha=0.0),
}
every = pytest.mark.parametrize("name", MAKERS)


def _model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model("smallconv", num_classes=CLASSES, image_size=16)


def _built(make: Callable[[], Objective], model: nn.Module) -> Objective:
    objective = make()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        objective.build(model, CLASSES)
    return objective


def _step(
    objective: Objective,
    model: nn.Module,
    images: Tensor = IMAGES,
    labels: Tensor = LABELS,
    *,
    seed: int = 0,
) -> Losses:
    return objective(model, images, labels, generator=stream(seed), progress=0.0)


def _gradients(*modules: nn.Module) -> dict[str, Tensor | None]:
    return {name: p.grad for module in modules for name, p in module.named_parameters()}


@pytest.mark.parametrize("name", OFF)
def test_without_mixing_it_is_plain_training(name: str) -> None:
    model = _model()
    objective = _built(OFF[name], model)
    for seed in range(4):
        model.zero_grad()
        losses = _step(objective, model, seed=seed)
        losses.total.backward()
        found = _gradients(model)
        model.zero_grad(set_to_none=True)
        logits = model(IMAGES)
        plain = F.cross_entropy(logits, LABELS)
        plain.backward()
        torch.testing.assert_close(losses.logits, logits)
        torch.testing.assert_close(losses.total, plain)
        torch.testing.assert_close(found, _gradients(model))


@every
def test_every_parameter_takes_part_and_terms_add_up(name: str) -> None:
    model = _model()
    objective = _built(MAKERS[name], model)
    for seed in range(3):
        model.zero_grad()
        losses = _step(objective, model, seed=seed)
        losses.total.backward()
        assert None not in _gradients(model, objective).values()
        torch.testing.assert_close(sum(losses.terms.values()), losses.total.detach())
        assert not any(term.requires_grad for term in losses.terms.values())
        assert losses.logits.shape == (6, CLASSES)
        assert losses.plan is not None
        losses.plan.check()


@every
def test_draws_come_from_the_generator_alone_and_nothing_is_written(name: str) -> None:
    totals: list[Tensor] = []
    for seed in (7, 7, 8):
        model = _model()
        objective = _built(MAKERS[name], model)
        torch.manual_seed(seed)
        state, images = torch.random.get_rng_state(), IMAGES.clone()
        _step(objective, model, images, seed=seed)
        totals.append(_step(objective, model, images, seed=seed + 1).total)
        assert torch.equal(state, torch.random.get_rng_state())
        assert torch.equal(images, IMAGES)
        assert model.training
    assert torch.equal(totals[0], totals[1])
    assert not torch.equal(totals[0], totals[2])


@every
def test_a_batch_of_one_and_soft_labels(name: str) -> None:
    model = _model().eval()
    for images, labels in (
        (IMAGES[:1], LABELS[:1]),
        (IMAGES, torch.rand(6, CLASSES, generator=stream(5)).softmax(dim=1)),
    ):
        objective = _built(MAKERS[name], model)
        for seed in range(3):
            losses = _step(objective, model, images, labels, seed=seed)
            losses.total.backward()
            assert losses.total.isfinite()
            if len(images) == 1 and not isinstance(objective, RecursiveMix):
                torch.testing.assert_close(losses.logits, model(images))


@every
def test_soft_labels_of_one_class_are_class_indices(name: str) -> None:
    model = _model().eval()
    hard, soft = (_built(MAKERS[name], model) for _ in range(2))
    for seed in range(3):
        one = _step(hard, model, seed=seed).total
        other = _step(soft, model, labels=F.one_hot(LABELS, CLASSES).float(), seed=seed).total
        torch.testing.assert_close(one, other)


@every
def test_autocast_and_channels_last_change_little(name: str) -> None:
    model = _model().eval()
    plain, cast = (_built(MAKERS[name], model) for _ in range(2))
    for seed in range(3):
        expected = _step(plain, model, seed=seed)
        with torch.autocast("cpu", torch.bfloat16):
            images = IMAGES.contiguous(memory_format=torch.channels_last)
            found = _step(cast, model.to(memory_format=torch.channels_last), images, seed=seed)
        assert found.total.dtype == torch.float32
        torch.testing.assert_close(found.total, expected.total, atol=0.05, rtol=0.05)


@pytest.fixture(scope="module")
def _alone() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@every
@pytest.mark.usefixtures("_alone")
def test_a_model_inside_ddp_learns_the_same(name: str) -> None:
    model, inner = _model(), _model()
    wrapped = DistributedDataParallel(inner)
    objectives = [_built(MAKERS[name], one) for one in (model, wrapped)]
    for seed in range(3):
        model.zero_grad()
        wrapped.zero_grad()
        one, other = (
            _step(objective, net, seed=seed)
            for objective, net in zip(objectives, (model, wrapped), strict=True)
        )
        one.total.backward()
        other.total.backward()
        torch.testing.assert_close(one.total, other.total)
        torch.testing.assert_close(_gradients(model), _gradients(inner))


def test_a_compiled_model_learns_the_same() -> None:
    plain, compiled = _model().eval(), _model().eval()
    compiled.compile(backend="eager")
    compiled(IMAGES)  # the graph is made without hooks
    for name in ("manifoldmix-layer", "alignmix-layer", "recursivemix"):
        one, other = (_built(MAKERS[name], model) for model in (plain, compiled))
        for seed in range(2):
            expected = _step(one, plain, seed=seed).logits
            torch.testing.assert_close(_step(other, compiled, seed=seed).logits, expected)


@every
def test_it_learns_a_tiny_batch_by_heart(name: str) -> None:
    model = _model()
    objective = _built(MAKERS[name], model)
    groups = [{"params": list(model.parameters())}, *objective.param_groups(None)]
    optimizer = torch.optim.Adam(groups, lr=0.01)
    generator = stream(3)
    for _ in range(40):
        losses = objective(model, IMAGES, LABELS, generator=generator, progress=0.0)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        objective.after_step(model)
    with torch.no_grad():
        for _ in range(20):  # running statistics of what it has learnt
            model(IMAGES)
        logits = model.eval()(IMAGES)
    assert torch.equal(logits.argmax(dim=1), LABELS)
    assert F.cross_entropy(logits, LABELS) < 0.6 < F.cross_entropy(_model().eval()(IMAGES), LABELS)
