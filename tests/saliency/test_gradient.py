"""Input-gradient saliency."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.saliency import InputGradient
from mixwright.sampling import stream
from probe import Probe


class Small(nn.Module):
    """Batch norm, dropout, two channels and three classes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(2)
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.drop = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        return self.drop(self.conv(self.norm(images)).tanh()).mean(dim=(2, 3))


def batch() -> tuple[Tensor, Tensor]:
    return torch.rand(4, 2, 6, 5, generator=stream(0)), torch.tensor([0, 1, 2, 1])


def test_it_is_the_root_mean_square_of_the_gradient_one_image_at_a_time():
    model, (images, labels) = Small(), batch()
    found = InputGradient()(images, labels, model=model)
    model.eval()
    for k in range(4):
        one = images[k : k + 1].clone().requires_grad_()
        F.cross_entropy(model(one), labels[k : k + 1]).backward()
        slow = (one.grad[0] ** 2).mean(dim=0).sqrt()
        torch.testing.assert_close(found[k] / found[k].sum(), slow / slow.sum())


def test_finite_differences_agree():
    model, (images, labels) = Small().double(), batch()
    images = images.double()
    found = InputGradient()(images, labels, model=model).double()
    model.eval()
    slow = torch.zeros(6, 5, dtype=torch.float64)
    for c in range(2):
        for r in range(6):
            for w in range(5):
                moved = images[:1].repeat(2, 1, 1, 1)
                moved[0, c, r, w] += 1e-5
                moved[1, c, r, w] -= 1e-5
                a, b = F.cross_entropy(model(moved), labels[[0, 0]], reduction="none")
                slow[r, w] += ((a - b) / 2e-5) ** 2 / 2
    slow = slow.sqrt().float()
    torch.testing.assert_close(
        found[0].float() / found[0].sum(), slow / slow.sum(), rtol=1e-3, atol=1e-6
    )


def test_soft_labels_will_do():
    model, (images, labels) = Small(), batch()
    dense = F.one_hot(labels, 3).float()
    torch.testing.assert_close(
        InputGradient()(images, dense, model=model), InputGradient()(images, labels, model=model)
    )


def test_training_mode_is_left_on_when_asked_for():
    model, (images, labels) = Small(), batch()
    before = model.norm.running_mean.clone()
    InputGradient()(images, labels, model=model)
    assert torch.equal(model.norm.running_mean, before)
    InputGradient(train_mode=True)(images, labels, model=model)
    assert not torch.equal(model.norm.running_mean, before)


def test_a_frozen_model_still_has_gradients_of_its_input():
    model, (images, labels) = Small().requires_grad_(False), batch()
    assert InputGradient()(images, labels, model=model).sum() > 0


def test_low_precision_does_not_lose_small_gradients():
    model, (images, labels) = Small(), batch()
    full = InputGradient()(images * 0.01, labels, model=model)
    with torch.autocast("cpu", torch.bfloat16):
        low = InputGradient()(images * 0.01, labels, model=model)
    assert low.dtype == torch.float32
    assert (low > 0).all()
    torch.testing.assert_close(low / low.sum(), full / full.sum(), rtol=0.1, atol=1e-3)


def test_models_without_a_gradient_say_so():
    class Cut(Probe):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.detach())

    images, labels = batch()
    for model in (Cut(), Cut().requires_grad_(False)):
        with pytest.raises(ValueError, match="no gradient of the loss reaches the images"):
            InputGradient()(images, labels, model=model)
    with (
        torch.inference_mode(),
        pytest.raises(ValueError, match="inference_mode"),
    ):
        InputGradient()(images, labels, model=Probe())


class Named:
    """An output as Hugging Face's models give it."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


@pytest.mark.parametrize(
    "wrap",
    [Named, lambda one: (one, None), lambda one: {"loss": None, "logits": one}],
    ids=["attribute", "tuple", "mapping"],
)
def test_logits_are_found_among_what_a_model_gives(wrap):
    class Wrapping(Small):
        def forward(self, images: Tensor) -> Tensor:
            return wrap(super().forward(images))

    plain, model, (images, labels) = Small(), Wrapping(), batch()
    model.load_state_dict(plain.state_dict())
    wanted = InputGradient()(images, labels, model=plain)
    assert torch.equal(InputGradient()(images, labels, model=model), wanted)


def test_a_model_that_gives_no_logits_is_named():
    class Mute(Small):
        def forward(self, images: Tensor) -> Tensor:
            return {"scores": super().forward(images)}  # type: ignore[return-value]

    with pytest.raises(ValueError, match="the model returned a dict; expected logits"):
        InputGradient()(*batch(), model=Mute())


def test_a_model_may_write_into_its_input():
    class Writing(Small):
        def forward(self, images: Tensor) -> Tensor:
            return super().forward(images.sub_(0.5))

    plain, model, (images, labels) = Small(), Writing(), batch()
    model.load_state_dict(plain.state_dict())
    kept = images.clone()
    wanted = InputGradient()(images - 0.5, labels, model=plain)
    assert torch.equal(InputGradient()(images, labels, model=model), wanted)
    assert torch.equal(images, kept)


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8])
def test_labels_of_any_whole_numbers_will_do(dtype):
    model, (images, labels) = Small(), batch()
    wanted = InputGradient()(images, labels, model=model)
    assert torch.equal(InputGradient()(images, labels.to(dtype), model=model), wanted)
    hot = F.one_hot(labels, 3)
    for several in (hot, hot.bool()):
        torch.testing.assert_close(InputGradient()(images, several, model=model), wanted)
