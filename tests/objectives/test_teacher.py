"""The exponential moving average, against its recursion written out."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixwright.objectives.teacher import EMA


class Net(nn.Module):
    """Weights, running statistics, a counter and a shared tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)
        self.bn = nn.BatchNorm2d(3)
        self.fc = nn.Linear(3, 3)
        self.tied = nn.Linear(3, 3)
        self.tied.weight = self.fc.weight
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.tied(self.fc(self.bn(self.conv(x)).mean(dim=(2, 3)))) * self.scale


def disturb(model: nn.Module) -> None:
    """Change everything as a training step might."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
        model(torch.randn(4, 2, 5, 5).to(next(model.parameters()).dtype))


def floats(model: nn.Module) -> dict[str, Tensor]:
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {key: value for key, value in named.items() if value.is_floating_point()}


def test_follows_the_recursion_with_its_warm_up() -> None:
    torch.manual_seed(0)
    model = Net()
    ema = EMA(model, decay=0.3)
    expected = {key: value.detach().double().clone() for key, value in floats(model).items()}
    for t in range(12):
        disturb(model)
        ema.update(model)
        d = min(0.3, (1 + t) / (10 + t))
        for key, value in floats(model).items():
            expected[key] = d * expected[key] + (1 - d) * value.detach().double()
        assert ema.t == t + 1
    assert (1 + 1) / (10 + 1) < 0.3 < (1 + 11) / (10 + 11)  # both branches were taken
    got = floats(ema.model)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(got[key].double(), value, rtol=1e-6, atol=1e-6)
    assert "bn.running_var" in expected
    assert "scale" in expected
    assert ema.model.bn.num_batches_tracked == model.bn.num_batches_tracked == 12


def test_one_update_is_exact_to_a_rounding() -> None:
    torch.manual_seed(0)
    model = nn.Linear(300, 300)
    ema = EMA(model, decay=0.999)
    ema.t = 100_000
    before = ema.model.weight.clone()
    with torch.no_grad():
        model.weight.normal_()
    ema.update(model)
    exact = 0.999 * before.double() + (1 - 0.999) * model.weight.detach().double()
    scale = max(before.abs().max().item(), model.weight.abs().max().item())
    assert (ema.model.weight.double() - exact).abs().max().item() <= 1e-7 * scale


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_are_averaged_in_float32(dtype: torch.dtype) -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2)).to(dtype)
    with torch.no_grad():
        model[0].weight.fill_(1.0)
    ema = EMA(model, decay=0.999)
    ema.t = 100_000
    with torch.no_grad():
        model[0].weight.fill_(2.0)
    ema.update(model)
    assert {value.dtype for value in floats(ema.model).values()} == {torch.float32}
    assert model[0].weight.dtype == dtype
    # 1.001 is not a number of half precision: there the update would be lost.
    torch.testing.assert_close(ema.model[0].weight, torch.full((2, 2), 1.001))
    assert ema.model(torch.zeros(1, 2)).dtype == torch.float32


def test_double_precision_stays() -> None:
    assert EMA(nn.Linear(1, 1).double(), decay=0.9).model.weight.dtype == torch.float64


def test_the_copy_is_apart_from_the_model_and_at_rest() -> None:
    torch.manual_seed(0)
    model = Net().train()
    ema = EMA(model, decay=0.9)
    assert model.training
    assert not any(module.training for module in ema.model.modules())
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert ema.model.tied.weight is ema.model.fc.weight
    addresses = {key: value.data_ptr() for key, value in floats(ema.model).items()}
    assert not addresses.keys() - floats(model).keys()
    assert not set(addresses.values()) & {value.data_ptr() for value in floats(model).values()}
    disturb(model)
    own = {key: value.clone() for key, value in floats(model).items()}
    ema.update(model)
    assert {key: value.data_ptr() for key, value in floats(ema.model).items()} == addresses
    assert all(torch.equal(value, own[key]) for key, value in floats(model).items())


class Compiled(nn.Module):
    """The shape of what ``torch.compile`` returns, without its seconds of import."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self._orig_mod = model


def test_wrappers_are_looked_through() -> None:
    torch.manual_seed(0)
    model = Net()
    plain = EMA(model, decay=0.9)
    wrapped: list[nn.Module] = [Compiled(model), nn.DataParallel(Compiled(model))]
    others = [EMA(wrapper, decay=0.9) for wrapper in wrapped]
    disturb(model)
    plain.update(model)
    for wrapper, other in zip(wrapped, others, strict=True):
        assert type(other.model) is Net
        other.update(wrapper)
        for key, value in floats(plain.model).items():
            assert torch.equal(floats(other.model)[key], value)


class Recurrent(nn.Module):
    """Keeps computed weights in a list too."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.utils.weight_norm(nn.LSTM(2, 2), "weight_hh_l0")

    def forward(self, rows: Tensor) -> Tensor:
        return self.inner(rows[:, None])[0][:, 0]


@pytest.mark.filterwarnings("ignore:.torch.nn.utils.weight_norm.:FutureWarning")
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Sequential(nn.utils.weight_norm(nn.Linear(2, 2))),
        lambda: nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 2))),
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))),
        Recurrent,
    ],
    ids=["weight_norm", "spectral_norm", "parametrised", "recurrent"],
)
def test_models_with_computed_weights_are_averaged_too(make: Callable[[], nn.Module]) -> None:
    model = make()
    rows = torch.rand(3, 2)
    model(rows).sum().backward()  # leaves weights that belong to a graph
    model.eval()
    ema = EMA(model, decay=0.0)  # follows the model at once
    torch.testing.assert_close(ema.model(rows), model(rows))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.5)
    ema.update(model)
    torch.testing.assert_close(ema.model(rows), model(rows))
    resumed = EMA(make(), decay=0.0)
    resumed.load_state_dict(ema.state_dict())
    torch.testing.assert_close(resumed.model(rows), model(rows))


def test_a_saved_average_goes_on_bit_for_bit() -> None:
    torch.manual_seed(0)
    model = Net()
    ema = EMA(model, decay=0.99)
    for _ in range(3):
        disturb(model)
        ema.update(model)
    file = io.BytesIO()
    torch.save({"ema": ema.state_dict(), "model": model.state_dict()}, file)
    file.seek(0)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    fresh = Net()
    fresh.load_state_dict(state["model"])
    resumed = EMA(Net(), decay=0.99)
    resumed.load_state_dict(state["ema"])
    assert resumed.t == 3
    for step in range(3):
        twin = copy.deepcopy(torch.get_rng_state())
        disturb(model)
        ema.update(model)
        torch.set_rng_state(twin)
        disturb(fresh)
        resumed.update(fresh)
        for key, value in floats(ema.model).items():
            assert torch.equal(floats(resumed.model)[key], value), (step, key)


@pytest.mark.parametrize(("decay", "kept"), [(0.0, 0.0), (1.0, 0.1)])
def test_the_ends_of_the_range(decay: float, kept: float) -> None:
    model = nn.Linear(1, 1)
    ema = EMA(model, decay=decay)
    with torch.no_grad():
        ema.model.weight.fill_(1.0)
        model.weight.fill_(0.0)
    ema.update(model)
    assert ema.model.weight.item() == pytest.approx(kept, abs=1e-7)


@pytest.mark.parametrize("decay", [-0.1, 1.1, float("nan")])
def test_decay_out_of_range(decay: float) -> None:
    with pytest.raises(
        ValueError, match=r"decay is .*; expected a (finite number|number in \[0, 1\])"
    ):
        EMA(nn.Linear(1, 1), decay=decay)


def test_another_model_is_refused() -> None:
    ema = EMA(nn.Linear(1, 1), decay=0.9)
    with pytest.raises(ValueError, match="in only one of model and average"):
        ema.update(nn.Linear(1, 1, bias=False))
    assert ema.t == 0
