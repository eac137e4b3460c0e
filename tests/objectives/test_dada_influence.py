"""The finite difference, against double backward."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mixwright.objectives.dada.influence import influence
from mixwright.sampling import stream


@pytest.mark.parametrize("order", ["second", "first"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_it_is_what_double_backward_gives(order, momentum):
    rng = stream(5)
    weight = (torch.randn(3, 12, generator=rng, dtype=torch.float64) * 0.3).requires_grad_()
    bias = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    unused = torch.ones(2, dtype=torch.float64, requires_grad=True)
    images, others = torch.rand(2, 8, 12, generator=rng, dtype=torch.float64)
    labels, other_labels = torch.randint(3, (2, 8), generator=rng)
    buffer = torch.randn(3, 12, generator=rng, dtype=torch.float64) * 0.1
    rate, decay = 0.5, 0.01

    pixels = images.clone().requires_grad_()
    loss = F.cross_entropy(pixels @ weight.T + bias, labels)
    by_weight, by_bias = torch.autograd.grad(loss, (weight, bias), create_graph=True)
    moved, moved_bias = weight.detach().clone(), bias.detach().clone()
    if order == "second":
        moved -= rate * (momentum * buffer + by_weight.detach() + decay * moved)
        moved_bias -= rate * (by_bias.detach() + decay * moved_bias)
    moved.requires_grad_()
    moved_bias.requires_grad_()
    other = F.cross_entropy(others @ moved.T + moved_bias, other_labels)
    along = torch.autograd.grad(other, (moved, moved_bias))
    product = (along[0] * by_weight).sum() + (along[1] * by_bias).sum()
    (slope,) = torch.autograd.grad(product, pixels)

    before = [one.detach().clone() for one in (weight, bias, unused)]
    found = influence(
        [weight, bias, unused],
        images,
        lambda x: F.cross_entropy(x @ weight.T + bias, labels),
        lambda: F.cross_entropy(others @ weight.T + bias, other_labels),
        rate=rate,
        order=order,
        momentum=momentum,
        weight_decay=decay,
        buffers={weight: buffer},
        reach=1e-3,
    )
    torch.testing.assert_close(found[0], product.detach(), rtol=1e-5, atol=0)
    torch.testing.assert_close(found[1], slope, rtol=1e-4, atol=1e-8)
    after = (weight, bias, unused)
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))
    assert all(one.grad is None for one in after)


def test_it_says_how_much_a_step_helps():
    """The first order of what a small step changes of the other loss."""
    rng = stream(6)
    weight = torch.randn(3, 12, generator=rng, dtype=torch.float64).requires_grad_()
    images, others = torch.rand(2, 8, 12, generator=rng, dtype=torch.float64)
    labels = torch.randint(3, (8,), generator=rng)
    product, _ = influence(
        [weight],
        images,
        lambda x: F.cross_entropy(x @ weight.T, labels),
        lambda: F.cross_entropy(others @ weight.T, labels),
        rate=1e-4,
        reach=1e-3,
    )
    before = F.cross_entropy(others @ weight.T, labels)
    (slope,) = torch.autograd.grad(F.cross_entropy(images @ weight.T, labels), weight)
    after = F.cross_entropy(others @ (weight - 1e-4 * slope).T, labels)
    torch.testing.assert_close((before - after) / 1e-4, product, rtol=1e-3, atol=0)


def test_a_flat_loss_moves_nothing():
    weight = torch.ones(2, 3, requires_grad=True)
    product, slope = influence(
        [weight],
        torch.ones(4, 3),
        lambda x: (x @ weight.T).mean(),
        lambda: 0 * weight.sum(),
        rate=0.1,
    )
    assert product == 0
    assert torch.equal(slope, torch.zeros(4, 3))
