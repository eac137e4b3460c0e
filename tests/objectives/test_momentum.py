"""The averaged teacher: its weights, its passes, its running statistics, each written out."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor, nn

from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.models.vit import SmallViT
from mixwright.objectives.momentum import STATISTICS, Teacher, momentum
from mixwright.taps import classifier, tapping

CLASSES = 5


class Net(nn.Module):
    """Two norms, dropout, a part that does not run, and one Linear at the end."""

    def __init__(self, mu: float | None = 0.1) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.norm1 = nn.BatchNorm2d(4, momentum=mu)
        self.second = nn.Conv2d(4, 6, 3, stride=2)
        self.norm2 = nn.BatchNorm2d(6, momentum=0.3)
        self.frozen = nn.BatchNorm2d(6, track_running_stats=False)
        self.spare = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.first(x)).relu_()
        x = self.frozen(self.norm2(self.second(x))).relu()
        return self.fc(self.dropout(x.mean(dim=(2, 3))))


def pair(statistics: str = "clean", mu: float | None = 0.1) -> tuple[Net, nn.Linear, Teacher]:
    torch.manual_seed(0)
    model = Net(mu).double()
    model(torch.randn(6, 3, 8, 8).double())  # running statistics of their own
    head = nn.Linear(6, CLASSES).double()
    return model, head, Teacher(model, head, statistics=statistics)


def batch(seed: int, rows: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, 3, 8, 8, generator=generator, dtype=torch.float64) * seed + seed


def floats(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def check_same(one: nn.Module, two: nn.Module, atol: float = 1e-12) -> None:
    for (name, a), (_, b) in zip(one.named_buffers(), two.named_buffers(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=atol, msg=name)


def training(model: nn.Module) -> nn.Module:
    """A copy whose norms update as torch has it, without dropout."""
    made = copy.deepcopy(model).eval()
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.train()
    return made


# ---------------------------------------------------------------------- weights


@pytest.mark.parametrize("statistics", STATISTICS)
def test_weights_follow_and_buffers_only_in_average(statistics):
    model, head, teacher = pair(statistics)
    model, head, teacher = model.float(), head.float(), teacher.float()
    expected = floats(teacher)
    pointers = [value.data_ptr() for value in teacher.state_dict().values()]
    buffers = {name for name, _ in teacher.named_buffers()}
    for m in (0.9, 0.5, 0.999, 0.25):
        with torch.no_grad():
            for weight in (*model.parameters(), *head.parameters()):
                weight.add_(torch.randn_like(weight))
        model(batch(2).float())
        students = {f"model.{name}": value for name, value in model.state_dict().items()}
        students |= {f"head.{name}": value for name, value in head.state_dict().items()}
        for name, value in expected.items():
            if name in buffers and statistics != "average":
                continue
            if value.is_floating_point():
                expected[name] = m * value.double() + (1 - m) * students[name].double()
            else:
                expected[name] = students[name].clone()
        teacher.follow(nn.DataParallel(model), head, m)
    for name, value in teacher.state_dict().items():
        error = (value.double() - expected[name].double()).abs().max()
        assert error <= 1e-7 * 4 * max(1.0, float(expected[name].abs().max())), name
    assert pointers == [value.data_ptr() for value in teacher.state_dict().values()]
    before = floats(teacher)
    teacher.follow(model, head, 1.0)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert not torch.equal(before["head.weight"], head.weight)


def test_one_step_is_exact_to_a_rounding():
    model, head, teacher = pair()
    model, head, teacher = model.float(), head.float(), teacher.float()
    with torch.no_grad():
        for weight in (*model.parameters(), *head.parameters()):
            weight.add_(torch.randn_like(weight))
    own = {name: value.detach().double() for name, value in teacher.named_parameters()}
    teacher.follow(model, head, 0.999)
    students = [*model.parameters(), *head.parameters()]
    for (name, value), student in zip(teacher.named_parameters(), students, strict=True):
        wanted = 0.999 * own[name] + (1 - 0.999) * student.double()
        assert (value.double() - wanted).abs().max() <= 1e-7 * wanted.abs().max(), name


def test_half_precision_weights_are_averaged_in_float32():
    model, head = Net().bfloat16(), nn.Linear(6, CLASSES).bfloat16()
    teacher = Teacher(model, head)
    assert {value.dtype for value in teacher.parameters()} == {torch.float32}
    look = teacher.look(batch(1).bfloat16(), "second")
    assert look.features.dtype == torch.float32
    assert look.logits is not None
    assert look.logits.dtype == torch.float32
    before = teacher.head.weight.clone()
    with torch.no_grad():
        head.weight.add_(0.5)
    teacher.follow(model, head, 0.999)
    torch.testing.assert_close(
        (teacher.head.weight - before) / (head.weight.float() - before),
        torch.full_like(before, 0.001),
        rtol=1e-2,
        atol=0,
    )


def test_what_cannot_be_done_is_said():
    model, head, teacher = pair()
    with pytest.raises(ValueError, match="statistics is 'mean'; expected one of 'clean'"):
        Teacher(model, head, statistics="mean")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"Teacher\.follow: 1 tensors .* as 'head\.bias'"):
        teacher.follow(model, nn.Linear(6, CLASSES, bias=False), 0.5)
    with pytest.raises(ValueError, match="momentum is -1; expected"):
        teacher.follow(model, head, -1)
    with pytest.raises(ValueError, match="clean_again is -1; expected a whole number"):
        teacher.settle(-1)
    with pytest.raises(ValueError, match="no layer 'third'"):
        teacher.look(batch(1), "third")
    with pytest.raises(ValueError, match="'spare' gave no tensor"):
        teacher.look(batch(1), "spare")


# ---------------------------------------------------------------------- schedule


def test_momentum_holds_and_then_rises_along_a_cosine():
    steps, held = 50, 5
    values = [momentum(t / steps) for t in range(steps)]
    assert values[:held] == [0.999] * held
    # 1 - m falls as the square of a cosine of half the angle.
    for t in range(held, steps):
        wanted = 1e-6 + (1e-3 - 1e-6) * math.cos(math.pi * t / steps / 2) ** 2
        assert 1 - values[t] == pytest.approx(wanted, rel=1e-9)
    assert 1 - values[held] == pytest.approx(1e-6 + 999e-6 * 0.975528258, rel=1e-8)
    assert 1 - values[-1] == pytest.approx(1e-6 + 999e-6 * 0.000986636, rel=1e-6)
    assert momentum(0.24, start=0.5, end=0.99996, hold=0.25) == 0.5
    assert momentum(0.5, start=0.5, end=1.0, hold=0.25) == pytest.approx(0.75)
    assert momentum(1.0) == 0.999999
    assert momentum(0.0, hold=0.0) == pytest.approx(0.999)


@pytest.mark.parametrize("wrong", [{"progress": 1.5}, {"start": -0.1}, {"end": 2}, {"hold": None}])
def test_momentum_refuses_numbers_out_of_range(wrong):
    with pytest.raises(ValueError, match=f"momentum: {next(iter(wrong))} is"):
        momentum(**{"progress": 0.5, **wrong})


# ---------------------------------------------------------------------- running statistics


@pytest.mark.parametrize("mu", [0.1, None])
@pytest.mark.parametrize("again", [0, 2, 3])
def test_the_closed_form_is_what_running_all_passes_leaves(mu, again):
    _, _, teacher = pair("official", mu)
    slow = training(teacher.model)
    for seed in (1, 3):  # two steps
        clean, mixed = batch(seed), batch(seed + 1)
        for images in (clean, mixed, *[clean] * again):
            slow(images)
        teacher.look(clean, "second")
        teacher.judge(mixed)
        teacher.settle(again)
        check_same(teacher.model, slow)
        teacher.settle(again)  # nothing is left to settle
        check_same(teacher.model, slow)


def test_the_closed_form_of_the_specification():
    """``r = (1-mu)^(n+2) r + mu (1-mu)^(n+1) c + mu (1-mu)^n m + (1 - (1-mu)^n) c``."""
    _, _, teacher = pair("official")
    clean, mixed, n, mu = batch(1), batch(2), 3, 0.1
    norm, first = teacher.model.norm1, teacher.model.first
    r = norm.running_var.clone()
    c, m = (first(x).var(dim=(0, 2, 3)) for x in (clean, mixed))
    teacher.look(clean, "second")
    teacher.judge(mixed)
    torch.testing.assert_close(norm.running_var, r, rtol=0, atol=0)  # not before it is settled
    teacher.settle(n)
    q = 1 - mu
    wanted = q ** (n + 2) * r + mu * q ** (n + 1) * c + mu * q**n * m + (1 - q**n) * c
    torch.testing.assert_close(norm.running_var, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("whole", [True, False])
def test_clean_leaves_what_one_clean_pass_leaves(whole):
    _, _, teacher = pair("clean")
    slow = training(teacher.model)
    slow(batch(1))
    teacher.look(batch(1), "first", whole=whole)
    teacher.judge(batch(2))
    teacher.settle(3)
    check_same(teacher.model, slow)


@pytest.mark.parametrize("statistics", ["average", "recompute"])
def test_the_others_are_left_alone_by_a_step(statistics):
    _, _, teacher = pair(statistics)
    before = copy.deepcopy(teacher.model)
    teacher.look(batch(1), "second")
    teacher.judge(batch(2))
    teacher.settle(3)
    check_same(teacher.model, before, atol=0)


def test_the_backward_may_come_after_the_statistics():
    for statistics in STATISTICS:
        _, _, teacher = pair(statistics)
        images = batch(1).requires_grad_()
        logits = teacher.judge(images)
        teacher.look(batch(1), "second")
        teacher.settle(2)
        logits.square().sum().backward()
        assert images.grad is not None


def test_recompute_measures_all_rows_as_one_batch():
    _, _, teacher = pair("recompute")
    parts = [batch(1, 6), batch(2, 3), batch(5, 7)]
    seen: dict[str, list[Tensor]] = {"norm1": [], "norm2": []}
    slow = training(teacher.model)
    for name, inputs in seen.items():
        layer = getattr(slow, name)
        layer.register_forward_pre_hook(
            lambda module, given, inputs=inputs: inputs.append(given[0].clone())
        )
    for part in parts:
        slow(part)
    spare = copy.deepcopy(teacher.model.spare)
    teacher.recompute((part, torch.zeros(len(part))) for part in parts)
    for name, inputs in seen.items():
        norm, rows = getattr(teacher.model, name), torch.cat(inputs)
        torch.testing.assert_close(
            norm.running_mean, rows.mean(dim=(0, 2, 3)), rtol=1e-12, atol=1e-12
        )
        torch.testing.assert_close(
            norm.running_var, rows.var(dim=(0, 2, 3)), rtol=1e-12, atol=1e-12
        )
        assert norm.num_batches_tracked == 3
        assert norm.momentum == getattr(slow, name).momentum
        assert not norm._forward_pre_hooks
    check_same(teacher.model.spare, spare, atol=0)  # it does not run
    with pytest.raises(ValueError, match="0 batches; expected at least one"):
        teacher.recompute([])


@pytest.mark.parametrize("statistics", ["clean", "official", "average"])
def test_only_recompute_asks_for_batches(statistics):
    _, _, teacher = pair(statistics)
    teacher.recompute(iter([None]))  # pyright: ignore[reportArgumentType]
    plain = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Linear(6, CLASSES))
    Teacher(plain, nn.Linear(6, CLASSES), statistics="recompute").recompute([])


# ---------------------------------------------------------------------- passes


@pytest.mark.parametrize("statistics", STATISTICS)
def test_a_permuted_batch_gives_permuted_features_and_logits(statistics):
    _, _, teacher = pair(statistics)
    images, order = batch(1), torch.randperm(6)
    one, two = teacher.look(images, "second"), teacher.look(images[order], "second")
    torch.testing.assert_close(one.features[order], two.features, rtol=0, atol=1e-6)
    assert one.logits is not None
    assert two.logits is not None
    torch.testing.assert_close(one.logits[order], two.logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(teacher.judge(images), one.logits, rtol=0, atol=0)
    assert not one.logits.requires_grad


@pytest.mark.parametrize("statistics", STATISTICS)
def test_a_look_that_ends_early_sees_the_same(statistics):
    _, _, teacher = pair(statistics)
    full = teacher.look(batch(1), "norm1")
    ran: list[int] = []
    handle = teacher.model.norm2.register_forward_hook(lambda *_: ran.append(1))
    early = teacher.look(batch(1), "norm1", whole=False)  # what follows writes into it
    assert len(ran) == (statistics in ("clean", "official"))
    handle.remove()
    assert early.logits is None
    assert full.logits is not None
    assert torch.equal(early.features, full.features)
    assert (early.features < 0).any()
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in teacher.modules())


def test_a_judgement_reaches_the_images_and_no_weight():
    model, head, teacher = pair()
    images = batch(1).requires_grad_()
    logits = teacher.judge(images)
    torch.testing.assert_close(logits, teacher.judge(images), rtol=0, atol=0)
    slow = training(model)
    with tapping(slow, "dropout") as tap:
        slow(images)
    torch.testing.assert_close(logits, head(tap.value), rtol=0, atol=1e-12)
    logits.square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0
    assert all(value.grad is None for value in (*teacher.parameters(), *model.parameters()))
    assert not any(value.requires_grad for value in teacher.parameters())


@pytest.mark.parametrize("asked", [True, False])
def test_modes_are_the_teachers_own(asked):
    _, _, teacher = pair()
    owner = nn.ModuleList([teacher]).train(asked)
    assert not any(module.training for module in teacher.model.modules())
    teacher.model.train(asked)  # behind its back: a pass has its modes and gives these back
    modes = [module.training for module in owner.modules()]
    assert torch.equal(teacher.judge(batch(1)), teacher.judge(batch(1)))
    teacher.look(batch(1), "second")
    assert [module.training for module in owner.modules()] == modes


def test_everything_comes_back_after_an_error():
    _, _, teacher = pair("official")
    before = copy.deepcopy(teacher.model)
    teacher.model.norm2.register_forward_pre_hook(lambda *_: 1 / 0)
    for act in (teacher.judge, lambda images: teacher.look(images, "first")):
        with pytest.raises(ZeroDivisionError):
            act(batch(1))
        check_same(teacher.model, before, atol=0)
        assert teacher.model.norm1.momentum == 0.1
        assert teacher.model.norm1.track_running_stats
    teacher.settle(2)
    check_same(teacher.model, before, atol=0)


def test_state_goes_round():
    model, head, teacher = pair("official")
    teacher.look(batch(1), "second")
    teacher.judge(batch(2))
    teacher.settle(2)
    with torch.no_grad():
        head.weight.add_(1.0)
    teacher.follow(model, head, 0.5)
    other = Teacher(Net().double(), nn.Linear(6, CLASSES).double(), statistics="official")
    other.load_state_dict(teacher.state_dict())
    for one in (teacher, other):
        one.look(batch(3), "second")
        one.settle(1)
    assert torch.equal(teacher.judge(batch(1)), other.judge(batch(1)))
    check_same(teacher, other, atol=0)
    again = copy.deepcopy(teacher)
    again.look(batch(1), "second")
    again.settle(0)
    assert not torch.equal(again.model.norm1.running_mean, teacher.model.norm1.running_mean)


# ---------------------------------------------------------------------- networks


def networks() -> dict[str, tuple[nn.Module, str]]:
    torch.manual_seed(0)
    conv = build_model("smallconv", num_classes=CLASSES, image_size=16)
    thin = build_model("resnet8", num_classes=CLASSES, image_size=16)
    vit = SmallViT(num_classes=CLASSES, image_size=16, width=8, depth=2, heads=2)
    return {
        "smallconv": (conv, "layer3"),
        "resnet8": (thin, "layer2"),
        "vit": (vit, "blocks.0"),
        "normalised": (Normalised(copy.deepcopy(conv), [0.5] * 3, [0.2] * 3), "layer3"),
    }


@pytest.mark.parametrize("name", ["smallconv", "resnet8", "vit", "normalised"])
@pytest.mark.parametrize("statistics", ["official", "average"])
def test_our_networks_have_teachers(name, statistics):
    model, layer = networks()[name]
    width = classifier(model).in_features
    head = nn.Linear(width, CLASSES)
    with torch.no_grad():  # the head as the model's own layer: logits are known
        head.load_state_dict(classifier(model).state_dict())
    teacher = Teacher(nn.DataParallel(model), head, statistics=statistics)
    images = torch.rand(4, 3, 16, 16, requires_grad=True)
    look = teacher.look(images, layer)
    assert look.logits is not None
    torch.testing.assert_close(look.logits, training(model)(images).detach(), rtol=0, atol=1e-6)
    assert look.features.shape[0] == 4
    assert look.features.ndim == 4
    early = teacher.look(images, layer, whole=False).features
    torch.testing.assert_close(early, look.features, rtol=0, atol=0)
    teacher.judge(images).sum().backward()
    teacher.settle(2)
    teacher.follow(model, head, 0.9)
    assert images.grad is not None
    with torch.autocast("cpu", torch.bfloat16):
        seen = teacher.look(images, layer)
        assert seen.features.dtype == torch.float32
        assert teacher.judge(images).dtype == torch.float32


@pytest.mark.parametrize("in_place", [True, False])
def test_compiled_models_have_teachers_that_run_as_they_were_written(in_place):
    model, head, plain = pair()
    torch._dynamo.reset()
    if in_place:
        model.compile(backend="eager")
    compiled = model if in_place else torch.compile(model, backend="eager")
    compiled(batch(1))
    teacher = Teacher(compiled, head)
    teacher.load_state_dict(plain.state_dict())
    for layer in ("second", "first"):
        look = teacher.look(batch(2), layer)
        assert torch.equal(look.features, plain.look(batch(2), layer).features)
    assert torch.equal(teacher.judge(batch(2)), plain.judge(batch(2)))
    teacher.model.compile(backend="eager")  # what a loop may do to it later
    early = teacher.look(batch(2), "first", whole=False)
    assert torch.equal(early.features, plain.look(batch(2), "first").features)
    teacher.follow(compiled, head, 0.5)
