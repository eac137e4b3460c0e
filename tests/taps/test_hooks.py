"""Reading and replacing what a layer gives."""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from mixwright.taps import INPUT, classifier, entering, evaluating, replacing, tapping


def chain() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(inplace=True), nn.Linear(4, 2))


def test_a_tap_holds_the_value_with_its_graph():
    model, x = chain(), torch.rand(5, 3)
    with tapping(model, "0") as tap:
        out = model(x)
    (grad,) = torch.autograd.grad(out.sum(), tap.value)
    assert grad.shape == (5, 4)
    with tapping(nn.DataParallel(model), "2") as tap:
        assert torch.equal(model(x), tap.value)


def test_a_layer_that_did_not_run_is_named():
    with tapping(chain(), "1") as tap:
        pass
    with pytest.raises(ValueError, match="layer '1' gave no tensor"):
        _ = tap.value
    with pytest.raises(ValueError, match="no layer '7'"), tapping(chain(), "7"):
        pass


@pytest.mark.parametrize("by_name", [True, False])
def test_what_enters_a_layer_is_held_with_its_graph(by_name):
    model, x = chain(), torch.rand(5, 3)
    with entering(nn.DataParallel(model), "2" if by_name else classifier(model)) as tap:
        out = model(x)
    torch.testing.assert_close(tap.value, model[:2](x))
    (grad,) = torch.autograd.grad(out.sum(), tap.value)
    torch.testing.assert_close(grad, model[2].weight.sum(0).expand(5, 4))
    with entering(model, "0") as first:
        model(x)
    assert first.value is x
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_what_enters_by_a_keyword_counts_too():
    class Asks(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(input=x)

    model, x = Asks(), torch.rand(5, 3)
    with entering(model, model.fc) as tap:
        model(x)
    assert tap.value is x


def test_layers_that_nothing_enters_are_named():
    model = chain()
    with entering(model, "1") as tap:
        pass
    with pytest.raises(ValueError, match="layer '1' was given no tensor"):
        _ = tap.value
    with pytest.raises(ValueError, match="no layer '7'"), entering(model, "7"):
        pass
    with pytest.raises(ValueError, match="Linear was given that is no layer of this Seq"):
        entering(model, nn.Linear(3, 4)).__enter__()


def test_replacing_changes_what_goes_on():
    model, x = chain(), torch.rand(5, 3)
    wanted = model[2](model[0](x).flip(0).relu())
    with replacing(model, "0", lambda features: features.flip(0)):
        assert torch.allclose(model(x), wanted)
    with replacing(model, INPUT, lambda images: images * 2):
        doubled = model(x)
    assert torch.allclose(doubled, model(x * 2))


def test_the_first_of_several_outputs_is_meant():
    class Two(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, int]:
            return x, 3

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.two = Two()

        def forward(self, x: Tensor) -> Tensor:
            value, number = self.two(x)
            return value * number

    model, x = Whole(), torch.ones(2)
    with tapping(model, "two") as tap, replacing(model, "two", lambda value: value + 1):
        assert model(x).tolist() == [6, 6]
    assert torch.equal(tap.value, x)


class Pair(NamedTuple):
    """What a layer gives that names its outputs."""

    tokens: Tensor
    rest: str


@pytest.mark.parametrize(
    "several",
    [
        lambda x: Pair(x, "rest"),
        lambda x: OrderedDict(tokens=x, rest="rest"),
        lambda x: [x, "rest"],
    ],
)
def test_the_first_of_named_outputs_is_meant_and_the_kind_stays(several):
    class Layer(nn.Module):
        def forward(self, x: Tensor):
            return several(2 * x)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Layer()

        def forward(self, x: Tensor):
            return self.layer(x)

    model, x = Model(), torch.rand(3)
    with replacing(model, "layer", lambda value: value + 1), tapping(model, "layer") as tap:
        out = model(x)
    assert type(out) is type(several(x))
    first, rest = out.values() if isinstance(out, OrderedDict) else out
    assert torch.equal(first, 2 * x + 1)
    assert rest == "rest"
    assert torch.equal(tap.value, 2 * x + 1)


def test_a_layer_that_gives_no_tensor_is_named_when_it_is_to_be_changed():
    class Layer(nn.Module):
        def forward(self, x: Tensor):
            return {"size": len(x)}

    with (
        pytest.raises(ValueError, match="layer '0' gives a dict that holds no tensor first"),
        replacing(model := nn.Sequential(Layer()), "0", lambda value: value),
    ):
        model(torch.rand(2))


def test_the_input_is_changed_where_it_is_given_by_name():
    class Model(nn.Module):
        def forward(self, *, labels: int, pixel_values: Tensor) -> Tensor:
            return pixel_values + labels

    model, x = Model(), torch.rand(2)
    with replacing(model, INPUT, lambda value: -value):
        assert torch.equal(model(labels=1, pixel_values=x), 1 - x)


def test_hooks_are_gone_after_an_error():
    model = chain()
    with pytest.raises(RuntimeError, match="stop"), tapping(model, "0"):
        raise RuntimeError("stop")
    with pytest.raises(RuntimeError, match="stop"), replacing(model, INPUT, lambda x: x):
        raise RuntimeError("stop")
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_each_module_gets_its_own_mode_back():
    model = chain()
    model[1].eval()
    inside: list[bool] = []

    def fail() -> None:
        with evaluating(model):
            inside.extend(module.training for module in model.modules())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert inside == [False] * 4
    assert [module.training for module in model.modules()] == [True, True, False, True]


@pytest.mark.parametrize("in_place", [True, False])
def test_models_that_are_already_compiled_are_read_and_changed_too(in_place):
    model, x = chain(), torch.rand(5, 3)
    wanted = model[2](model[0](x).flip(0).relu())
    model[1] = nn.ReLU()
    torch._dynamo.reset()
    if in_place:
        model.compile(backend="eager")
    compiled = model if in_place else torch.compile(model, backend="eager")
    plain = compiled(x)
    with replacing(compiled, "0", lambda features: features.flip(0)), tapping(compiled, "2") as tap:
        mixed = compiled(x)
    torch.testing.assert_close(mixed, wanted)
    assert tap.value is mixed
    with entering(compiled, "2") as tap:
        compiled(x)
    torch.testing.assert_close(model[2](tap.value), plain)
    torch.testing.assert_close(compiled(x), plain)


@pytest.mark.parametrize("layer", ["spare", "rows"])
def test_replacing_in_a_layer_that_does_not_run_is_an_error(layer):
    model = chain()
    model[0].add_module("spare", nn.Linear(4, 4))
    model[0].add_module("rows", nn.ModuleList([nn.Linear(4, 4)]))
    with (
        pytest.raises(ValueError, match=f"layer '0.{layer}' did not run"),
        replacing(model, f"0.{layer}", torch.neg),
    ):
        model(torch.rand(5, 3))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_replacing_in_a_layer_that_runs_twice_is_an_error():
    shared = nn.ReLU()
    model = nn.Sequential(nn.Linear(3, 4), shared, nn.Linear(4, 4), shared)
    with (
        pytest.raises(ValueError, match="'1' runs more than once"),
        replacing(model, "1", torch.neg),
    ):
        model(torch.rand(5, 3))
    with replacing(model, "0", torch.neg):  # once in each of two forwards
        assert torch.equal(model(torch.ones(5, 3)), model(torch.ones(5, 3)))


def test_a_pass_without_gradients_leaves_no_cast_weights_behind():
    """Torch 2.6 takes them for the step's own, whose gradients would then be missing."""
    model, x = nn.Linear(3, 4), torch.rand(5, 3)
    with torch.autocast("cpu", torch.bfloat16):
        with torch.no_grad(), evaluating(model):
            model(x)
        model(x).sum().backward()
    assert model.weight.grad is not None


def test_a_copied_tap_is_not_written_into_by_later_layers():
    model = nn.Sequential(nn.Identity(), nn.ReLU(inplace=True))
    images = torch.tensor([[-1.0, 2.0]])
    with tapping(model, "0", copied=True) as tap:
        model(images.clone())
    assert tap.value.tolist() == [[-1.0, 2.0]]
    with tapping(model, "0") as tap:
        model(images.clone())
    assert tap.value.tolist() == [[0.0, 2.0]]
