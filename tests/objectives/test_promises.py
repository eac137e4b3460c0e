"""What every objective promises, run for each name of ``OBJECTIVES``."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from accelerator import CUDA, Accelerator
from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.models.vit import SmallViT
from mixwright.mixers import CutMix, PuzzleMix
from mixwright.objectives import (
    DADA,
    MEADA,
    OBJECTIVES,
    AdAutoMix,
    AlignMix,
    AutoMix,
    DecoupledMix,
    Losses,
    ManifoldMix,
    Mixed,
    MixPro,
    Objective,
    RecursiveMix,
    SMMix,
    Spectral,
    TokenMix,
    TokenMixup,
    TransMix,
)
from mixwright.objectives.dada import PolicyStep
from mixwright.sampling import stream
from mixwright.taps import evaluating

CLASSES = 4
MAKERS: dict[str, Callable[[], Objective]] = {
    **OBJECTIVES,
    "mixed-puzzlemix": lambda: Mixed(PuzzleMix(iterations=20)),
    "manifoldmix-layer": lambda: ManifoldMix(layers=("layer2",), per="batch"),
    "alignmix-layer": lambda: AlignMix(p_input=0.0, per="batch"),
    "decoupledmix-cutmix": lambda: DecoupledMix(CutMix(), mode="less", power=2.0),
    "recursivemix-shared": lambda: RecursiveMix(share_head=True, per="sample", omega=0.5),
    "tokenmix-always": lambda: TokenMix(p=1.0),
    "tokenmixup-both": lambda: TokenMixup(CutMix(), vertical=True, layer=2, vertical_layer=1),
    "transmix-always": lambda: TransMix(p=1.0),
    "mixpro-always": lambda: MixPro(p=1.0),
    "smmix-always": lambda: SMMix(p=1.0),
    "automix-batched": lambda: AutoMix(batched=True, encode_lam=True, per="sample"),
    "automix-average": lambda: AutoMix(statistics="average", mask_anneal=True),
    "adautomix-paper": lambda: AdAutoMix(game="paper", encode_lam=True, mask_weight=0.1),
    "adautomix-pairs": lambda: AdAutoMix(sources=2, statistics="official", margin_of="first"),
    "spectral-attack": lambda: Spectral(mode="attack"),
    "spectral-views": lambda: Spectral(views=2, consistency=1.0),
    "meada-online": lambda: MEADA(online=0.5, steps=2),
    "adautomix-many": lambda: AdAutoMix(game="averaged", sources=(3, 5), batched=True),
}
OFF: dict[str, Callable[[], Objective]] = {
    "manifoldmix": lambda: ManifoldMix(alpha=0.0),
    "alignmix": lambda: AlignMix(alpha=0.0),
    "alignmix-fixed": lambda: AlignMix(lam=1.0, p_input=0.0),
    "decoupledmix": lambda: DecoupledMix(CutMix(alpha=0.0)),
    "recursivemix": lambda: RecursiveMix(alpha=0.0),
    "transmix": lambda: TransMix(alpha=0.0, p=1.0),
}
NEEDS_ATTENTION = ("transmix", "tokenmixup", "mixpro", "smmix")
NEEDS_CLASS_NUMBERS = ("decoupledmix",)
DRAWS_NOTHING = ("mixed", "tokenmixup", "meada")  # without a mixer
STUDENT_PASSES = {
    **{"automix": 2, "samix": 2, "adautomix": 3, "adautomix-pairs": 2},
    **{"spectral-attack": 2, "spectral-views": 3},
}
every = pytest.mark.parametrize("name", MAKERS)


@functools.cache
def _network(attentive: bool) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if attentive:
            net: nn.Module = SmallViT(
                num_classes=CLASSES, image_size=16, width=32, depth=3, heads=2
            )
        else:
            net = build_model("smallconv", num_classes=CLASSES, image_size=16)
    return Normalised(net, [0.5] * 3, [0.25] * 3)


def made(
    name: str, makers: dict[str, Callable[[], Objective]] = MAKERS
) -> tuple[Objective, nn.Module]:
    model = copy.deepcopy(_network(name.startswith(NEEDS_ATTENTION)))
    objective = makers[name]()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        objective.build(model, CLASSES)
    if isinstance(objective, DADA):  # else it would want a search first
        objective.use([(PolicyStep("Brightness", 0.5, 0.4), PolicyStep("ShearX", 0.5, 0.6))] * 25)
    return objective, model


def batch(count: int = 8) -> tuple[Tensor, Tensor]:
    labels = torch.arange(count) % CLASSES
    images = torch.rand(count, 3, 16, 16, generator=stream(0)) * 0.5
    for k, label in enumerate(labels.tolist()):  # each class lights a corner of its own
        r, c = divmod(label, 2)
        images[k, :, 8 * r : 8 * r + 8, 8 * c : 8 * c + 8] += 0.5
    return images, labels


def step(
    objective: Objective,
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    seed: int = 0,
    progress: float = 0.0,
) -> Losses:
    return objective(model, images, labels, generator=stream(seed), progress=progress)


def values(losses: Losses) -> list[Tensor]:
    plan = [] if losses.plan is None else [losses.plan.index, losses.plan.weight]
    return [losses.total, losses.logits, *losses.terms.values(), *plan]


@every
def test_nothing_waits_for_the_device(name):
    objective, model = made(name)
    with Accelerator() as device:
        model.to(CUDA)
        objective.to(CUDA)
        images, labels = (part.to(CUDA) for part in batch())
        # The first batch is looked at, to refuse images that are not in [0, 1].
        for seed in range(2):
            device.waits.clear()
            losses = step(objective, model, images, labels, seed)
            losses.total.backward()
            objective.after_step(model)
    assert device.waits == []
    assert {value.device for value in values(losses)} == {CUDA}


@every
def test_losses_are_finite_and_the_terms_add_up(name):
    objective, model = made(name)
    images, labels = batch()
    for seed in range(4):  # several, since some draw what they do
        losses = step(objective, model, images, labels, seed)
        assert losses.total.shape == ()
        assert losses.total.dtype == torch.float32
        assert losses.total.isfinite()
        assert losses.logits.shape == (8, CLASSES)
        assert not any(term.requires_grad for term in losses.terms.values())
        assert sum(losses.terms.values()) == pytest.approx(float(losses.total.detach()), rel=1e-4)
        if losses.plan is not None:
            pool = labels if losses.labels is None else losses.labels
            losses.plan.check()
            assert not losses.plan.weight.requires_grad
            assert 0 <= losses.plan.accuracy(losses.logits, pool) <= 1


@every
def test_one_generator_gives_one_step_and_inputs_stay(name):
    images, labels = batch()
    kept, state = images.clone(), torch.random.get_rng_state()
    runs = []
    for seed in (0, 0, 1):
        objective, model = made(name)
        step(objective, model, images, labels, seed)  # some begin with the second
        runs.append(values(step(objective, model, images, labels, seed)))
    assert all(torch.equal(a, b) for a, b in zip(runs[0], runs[1], strict=True))
    same = [a.shape == b.shape and torch.equal(a, b) for a, b in zip(*runs[1:], strict=False)]
    assert all(same) == (name in DRAWS_NOTHING)
    assert torch.equal(images, kept)
    assert torch.equal(torch.random.get_rng_state(), state)


@every
def test_every_parameter_takes_part_in_every_step(name):
    """Else DDP would wait for gradients that never come."""
    objective, model = made(name)
    images, labels = batch()
    for seed in range(6):
        step(objective, model, images, labels, seed).total.backward()
        for owner in (objective, model):
            for key, parameter in owner.named_parameters():
                if parameter.requires_grad:
                    assert parameter.grad is not None, key
                    assert parameter.grad.isfinite().all(), key
        objective.zero_grad()
        model.zero_grad()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert all(module.training for module in model.modules())


@every
def test_running_statistics_see_the_passes_of_a_step(name):
    objective, model = made(name)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    step(objective, model, *batch())
    passes = STUDENT_PASSES.get(name) or STUDENT_PASSES.get(name.partition("-")[0], 1)
    assert all(int(norm.num_batches_tracked) == passes for norm in norms)


@every
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_odd_batches_and_a_batch_of_one_will_do(name, count):
    objective, model = made(name)
    model.eval()  # one image has no batch statistics
    for seed in range(3):
        losses = step(objective, model, *batch(count), seed)
        assert losses.total.isfinite()
        assert losses.logits.shape == (count, CLASSES)


@every
def test_soft_labels_train_or_are_refused(name):
    objective, model = made(name)
    images, labels = batch()
    soft = F.one_hot(labels, CLASSES).float()
    if name.startswith(NEEDS_CLASS_NUMBERS):
        with pytest.raises(ValueError, match="expected class numbers"):
            step(objective, model, images, soft)
        return
    for seed in range(3):
        first, again = made(name), made(name)
        hard = step(*first, images, labels, seed)
        dense = step(*again, images, soft, seed)
        torch.testing.assert_close(dense.total, hard.total, rtol=1e-4, atol=1e-5)


@every
def test_autocast_and_channels_last_will_do(name):
    objective, model = made(name)
    images, labels = batch()
    model.to(memory_format=torch.channels_last)
    images = images.contiguous(memory_format=torch.channels_last)
    for seed in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            losses = step(objective, model, images, labels, seed)
        losses.total.backward()
        assert losses.total.dtype == torch.float32
        assert losses.total.isfinite()
        for parameter in (*model.parameters(), *objective.parameters()):
            assert (parameter.grad is not None) is parameter.requires_grad
            parameter.grad = None


@every
def test_state_is_saved_and_loaded(name, tmp_path):
    objective, model = made(name)
    images, labels = batch()
    for seed in range(2):
        step(objective, model, images, labels, seed)
    torch.save(objective.state_dict(), tmp_path / "state.pt")
    other = MAKERS[name]()
    other.build(model, CLASSES)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    twin = copy.deepcopy(model)
    for seed in range(2, 4):
        a = values(step(objective, model, images, labels, seed))
        b = values(step(other, twin, images, labels, seed))
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_tiny_batch_is_learned(name):
    objective, model = made(name)
    images, labels = batch()
    parameters = [*model.parameters(), *objective.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2e-3)
    generator = stream(0)
    for k in range(300):
        losses = objective(model, images, labels, generator=generator, progress=k / 300)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        objective.after_step(model)
        if k % 20 == 19 and _knows(model, images, labels):
            return
    raise AssertionError("not learned in 300 steps")


@torch.no_grad()
def _knows(model: nn.Module, images: Tensor, labels: Tensor) -> bool:
    with evaluating(model):
        return bool((model(images).argmax(dim=1) == labels).all())


@pytest.fixture(scope="module")
def _alone() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@every
@pytest.mark.usefixtures("_alone")
def test_a_model_inside_ddp_learns_the_same(name):
    plain, model = made(name)
    other, inner = made(name)
    # Older ones write the buffers anew in every forward, which a second one before the backward
    # pass cannot bear.
    syncs = "forward_sync_buffers" not in inspect.signature(DistributedDataParallel).parameters
    wrapped = DistributedDataParallel(inner, **({"broadcast_buffers": False} if syncs else {}))
    images, labels = batch()
    for seed in range(3):
        one = step(plain, model, images, labels, seed)
        two = step(other, wrapped, images, labels, seed)
        torch.testing.assert_close(two.total, one.total)
        for losses, net in ((one, model), (two, inner)):
            net.zero_grad()
            losses.total.backward()
        for a, b in zip(model.parameters(), inner.parameters(), strict=True):
            torch.testing.assert_close(b.grad, a.grad)


@every
def test_a_compiled_model_learns_the_same(name):
    plain, model = made(name)
    other, compiled = made(name)
    model.eval()
    compiled.eval()
    images, labels = batch()
    compiled.compile(backend="eager")
    compiled(images)  # the graph is made without hooks
    for seed in range(3):
        expected = step(plain, model, images, labels, seed)
        found = step(other, compiled, images, labels, seed)
        torch.testing.assert_close(values(found), values(expected))


@pytest.mark.parametrize("name", OFF)
def test_without_mixing_it_is_plain_training(name):
    objective, model = made(name, OFF)
    images, labels = batch()
    for seed in range(3):
        losses = step(objective, model, images, labels, seed)
        logits = model(images)
        torch.testing.assert_close(losses.logits, logits)
        torch.testing.assert_close(losses.total, F.cross_entropy(logits, labels))


@pytest.mark.parametrize("name", NEEDS_ATTENTION)
def test_a_model_without_attention_is_refused(name):
    objective = OBJECTIVES[name]()
    model = copy.deepcopy(_network(False))

    def train() -> None:
        objective.build(model, CLASSES)
        for seed in range(20):  # some draw another method now and then
            step(objective, model, *batch(), seed)

    with pytest.raises(ValueError, match=r"attention.*transformer|transformer.*attention"):
        train()
