"""One step against a classifier: by formula, on linear models, and what a paper's code does."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lab.evaluation.judged import MEAN, STD, images_and_labels, small
from mixwright.lab.evaluation.attack.fgsm import fgsm
from mixwright.lab.evaluation.attack.legacy import legacy_fgsm
from mixwright.lab.evaluation.attack.losses import attack_loss, loss_gradient
from mixwright.lab.evaluation.predictions import correct_on
from mixwright.lab.evaluation.subject import NotApplicableError
from mixwright.lab.models.normalised import Normalised

EPS = 8 / 255


def judged(model: nn.Module | None = None) -> tuple[nn.Module, Tensor, Tensor]:
    images, labels = images_and_labels()
    return model or small(), images.float() / 255, labels


def test_moves_by_the_sign_of_the_cross_entropy() -> None:
    model, images, labels = judged()
    model.eval()
    pixels = images.double().requires_grad_()
    F.cross_entropy(model.double()(pixels), labels).backward()
    assert pixels.grad is not None
    expected = (images + EPS * pixels.grad.sign().float()).clamp(0, 1)
    found = fgsm(model.float(), images, labels, eps=EPS)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


def test_stays_in_the_ball_and_in_the_range_and_moves_by_exactly_eps() -> None:
    model, images, labels = judged()
    found = fgsm(model, images, labels, eps=EPS)
    assert float((found - images).abs().max()) <= EPS + 1e-7
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1
    inside = (found > 0) & (found < 1) & (found != images)
    assert inside.any()
    torch.testing.assert_close(
        (found - images)[inside].abs(), torch.full_like(found[inside], EPS), atol=1e-7, rtol=0
    )


def test_no_step_is_no_change() -> None:
    model, images, labels = judged()
    assert torch.equal(fgsm(model, images, labels, eps=0.0), images)


def test_a_linear_model_falls_where_its_margin_is_below_eps_times_the_weights() -> None:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(48, generator=generator)
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 2, bias=False))
    model[1].weight.data = torch.stack([torch.zeros(48), weight])
    images = torch.rand(200, 3, 4, 4, generator=generator) * 0.8 + 0.1  # no clipping
    margin = images.flatten(1) @ weight
    labels = (margin > 0).long()
    eps = 0.05
    after = correct_on(model, fgsm(model, images, labels, eps=eps), labels)
    expected = margin.abs() > eps * weight.abs().sum()
    assert 0 < int(expected.sum()) < 200
    assert torch.equal(after, expected)


def test_normalisation_in_the_first_layer_changes_nothing() -> None:
    model, images, labels = judged()
    whole = Normalised(model, MEAN, STD)
    folded = small()
    folded.load_state_dict(model.state_dict())
    std, mean = torch.tensor(STD).view(1, 3, 1, 1), torch.tensor(MEAN).view(1, 3, 1, 1)
    folded.conv1.weight.data = model.conv1.weight / std
    assert folded.conv1.bias is not None
    folded.conv1.padding = (0, 0)
    folded.conv1.bias.data = model.conv1.bias - (model.conv1.weight * mean / std).sum((1, 2, 3))
    around = nn.Sequential(Bordered(), folded)  # normalised zeros are the mean colour in pixels
    torch.testing.assert_close(
        fgsm(around, images, labels, eps=EPS), fgsm(whole, images, labels, eps=EPS)
    )


class Bordered(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        mean = torch.tensor(MEAN).view(1, 3, 1, 1)
        return F.pad(images - mean, (1, 1, 1, 1)) + mean


def test_a_saturated_softmax_does_not_hide_the_gradient() -> None:
    model, images, labels = judged()
    labels = model.eval()(images).argmax(dim=1)
    sharp = nn.Sequential(model, Times(3e4))
    pixels = images.clone().requires_grad_()
    F.cross_entropy(sharp(pixels), labels, reduction="sum").backward()
    assert pixels.grad is not None
    blind = (pixels.grad == 0).flatten(1).all(dim=1)
    assert blind.any()  # so the plain loss would see no way
    assert not (loss_gradient(sharp, images, labels) == 0).flatten(1).all(dim=1).any()
    assert not torch.equal(fgsm(sharp, images, labels, eps=EPS)[blind], images[blind])


class Times(nn.Module):
    def __init__(self, by: float) -> None:
        super().__init__()
        self.by = by

    def forward(self, logits: Tensor) -> Tensor:
        return self.by * logits


def test_losses_by_their_formulas() -> None:
    logits = torch.tensor([[4.0, 1.0, 3.0, 0.0], [0.0, 5.0, 2.0, 1.0]])
    labels = torch.tensor([0, 2])
    others = torch.tensor([[1.0, 3.0, 0.0], [0.0, 5.0, 1.0]])
    torch.testing.assert_close(
        attack_loss("ce", labels)(logits), others.logsumexp(dim=1) - torch.tensor([4.0, 2.0])
    )
    assert attack_loss("margin", labels)(logits).tolist() == [-1.0, 3.0]
    torch.testing.assert_close(attack_loss("dlr", labels)(logits), torch.tensor([-1 / 3, 3 / 4]))
    crossed = F.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(F.softplus(attack_loss("ce", labels)(logits)), crossed)


def test_the_model_is_left_as_it_was() -> None:
    model, images, labels = judged()
    model.bn.eval()
    before = {name: one.clone() for name, one in model.state_dict().items()}
    kept = images.clone()
    with torch.no_grad():
        fgsm(model, images, labels, eps=EPS)
    assert model.training
    assert not model.bn.training
    assert torch.equal(images, kept)
    assert all(weight.grad is None for weight in model.parameters())
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())


def test_batch_norm_speaks_from_its_running_statistics() -> None:
    model, images, labels = judged()
    assert model.training
    found = fgsm(model, images, labels, eps=EPS)
    assert int(model.bn.num_batches_tracked) == 0
    assert torch.equal(found, fgsm(model.eval(), images, labels, eps=EPS))
    alone = [
        fgsm(model, one[None], own[None], eps=EPS) for one, own in zip(images, labels, strict=True)
    ]
    torch.testing.assert_close(found, torch.cat(alone))


def test_a_model_that_writes_into_its_input_is_attacked_alike() -> None:
    model, images, labels = judged()
    images = images.clamp_min(0.01)  # a ReLU at 0 has no slope
    writing = nn.Sequential(nn.ReLU(inplace=True), model)
    assert torch.equal(fgsm(writing, images, labels, eps=EPS), fgsm(model, images, labels, eps=EPS))


def test_the_legacy_code_cuts_normalised_images_off() -> None:
    net, images, labels = judged()
    whole = Normalised(net, MEAN, STD)
    scaled = (images - whole.mean) / whole.std
    alone = legacy_fgsm(whole, images, labels, eps=0.0)
    assert torch.equal(alone, scaled.clamp(0, 1))
    pixels = scaled.clone().requires_grad_()
    F.cross_entropy(net.eval()(pixels), labels).backward()
    assert pixels.grad is not None
    moved = scaled + EPS * pixels.grad.sign()
    assert torch.equal(legacy_fgsm(whole, images, labels, eps=EPS), moved.clamp(0, 1))
    free = legacy_fgsm(whole, images, labels, eps=EPS, clamp=False)
    assert torch.equal(free, moved)
    in_pixels = (free * whole.std + whole.mean - images).abs().amax(dim=(0, 2, 3))
    torch.testing.assert_close(in_pixels, EPS * torch.tensor(STD), atol=1e-6, rtol=0)


def test_the_legacy_code_needs_a_normalisation_to_take_apart() -> None:
    model, images, labels = judged()
    with pytest.raises(NotApplicableError, match=r"a Small, does not say .* Normalised\(net"):
        legacy_fgsm(model, images, labels, eps=EPS)


class Detached(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images.detach().flatten(1)


@pytest.mark.parametrize(
    ("model", "labels", "eps", "message"),
    [
        (None, None, -0.1, "eps is -0.1"),
        (None, torch.zeros(3, dtype=torch.long), EPS, r"20 images with labels of shape \(3,\)"),
        (None, torch.zeros(20), EPS, "dtype torch.float32"),
        (Detached(), None, EPS, "no gradient of the logits"),
        (nn.Identity(), None, EPS, r"returned \(20, 3, 12, 12\)"),
        (nn.Sequential(nn.Flatten(), Times(torch.nan)), None, EPS, "20 of 20 images are NaN"),
    ],
)
def test_what_cannot_be_attacked(
    model: nn.Module | None, labels: Tensor | None, eps: float, message: str
) -> None:
    own, images, right = judged()
    with pytest.raises(ValueError, match=message):
        fgsm(model or own, images, right if labels is None else labels, eps=eps)


def test_inference_mode_is_refused() -> None:
    model, images, labels = judged()
    with torch.inference_mode(), pytest.raises(ValueError, match="inference_mode"):
        fgsm(model, images, labels, eps=EPS)


def test_dlr_wants_three_classes() -> None:
    with pytest.raises(ValueError, match="dlr needs at least 3 classes, the model has 2"):
        attack_loss("dlr", torch.tensor([0]))(torch.zeros(1, 2))
