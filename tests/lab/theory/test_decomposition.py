"""The expansion against models where it is exact, brute-force Hessians, and its own order."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mixwright.lab.theory.decomposition import decompose, derivatives_along
from mixwright.lab.theory.plans import PlannedBatch, draw_plans
from mixwright.mixers import Cutout, HMix, MiAMix, MixUp, OneOf, ResizeMix


def data(count=6, classes=3, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(count, 2, 3, 3, generator=rng).double(), torch.arange(count) % classes


def net(seed=0, classes=3):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(2, 4, 2), nn.Tanh(), nn.Flatten(), nn.Linear(16, classes)
        ).double()


def nats(logits, labels):
    return F.cross_entropy(logits, labels, reduction="none")


def batches(mixer, count=12, seed=0, **more):
    images, labels = data()
    rng = torch.Generator().manual_seed(seed)
    return list(
        draw_plans(mixer, images.float(), labels, count=count, generator=rng, batch_size=6, **more)
    )


def exactly(drawn):
    return [PlannedBatch(batch.images.double(), batch.labels, batch.plan) for batch in drawn]


class Bowl(nn.Module):
    """Logits that are quadratic in the image."""

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(5)
        self.form = torch.randn(3, 18, 18, generator=rng).double()
        self.line = torch.randn(3, 18, generator=rng).double()

    def forward(self, images):
        flat = images.flatten(1)
        return torch.einsum("bi,kij,bj->bk", flat, self.form, flat) + flat @ self.line.T


def test_expansion_is_exact_for_quadratic_models():
    """Logits quadratic and loss linear in them, then logits linear and loss quadratic."""
    drawn = exactly(batches(OneOf(MixUp(), HMix())))
    chosen = decompose(Bowl(), drawn, criterion=lambda z, y: z.gather(1, y[:, None])[:, 0])
    assert abs(chosen.remainder.mean) < 1e-6  # plans' shares are float32
    assert abs(chosen.r3.mean) > 0.01
    assert chosen.r2.mean == 0
    linear = nn.Sequential(nn.Flatten(), nn.Linear(18, 3)).double()
    squared = decompose(
        linear, drawn, criterion=lambda z, y: (z - F.one_hot(y, 3)).square().sum(dim=1)
    )
    assert abs(squared.remainder.mean) < 1e-6
    assert squared.r2.mean > 0.001
    assert squared.r3.mean == 0


@pytest.mark.parametrize("mixer", [MixUp(), HMix(), Cutout(length=2), MiAMix(), ResizeMix()])
def test_terms_equal_those_of_whole_hessians(mixer):
    model, drawn = net(), exactly(batches(mixer))
    found = decompose(model, drawn, criterion=nats)
    sums = torch.zeros(6).double()
    for images, labels, plan in drawn:
        mixed = plan.images(images)
        row = torch.zeros(6).double()
        row[0] = nats(model(images), labels).mean()
        for b in range(len(plan)):
            for n, index in enumerate(plan.index[b].tolist()):
                weight = float(plan.weight[b, n])
                if index < 0 or weight == 0:
                    continue
                at, label = images[index], labels[index]
                way = (mixed[b] - at).flatten()

                def logits(x):
                    return model(x.view(1, 2, 3, 3))[0]

                jacobian = torch.func.jacrev(logits)(at.flatten())
                hessians = torch.func.hessian(logits)(at.flatten())
                p = logits(at.flatten()).softmax(0)
                slope = p - F.one_hot(label, 3)
                moved = jacobian @ way
                row[1] += weight * nats(model(mixed[b : b + 1]), label[None])[0] / len(plan)
                row[2] += weight * nats(model(at[None]), label[None])[0] / len(plan)
                row[3] += weight * slope @ moved / len(plan)
                spread = torch.diag(p) - torch.outer(p, p)
                row[4] += weight * moved @ spread @ moved / 2 / len(plan)
                bend = torch.einsum("i,kij,j->k", way, hessians, way)
                row[5] += weight * slope @ bend / 2 / len(plan)
        sums += row / len(drawn)
    plain, mixed, start, r1, r2, r3 = sums.tolist()
    for estimate, value in (
        (found.plain, plain),
        (found.mixed, mixed),
        (found.labels, start - plain),
        (found.r1, r1),
        (found.r2, r2),
        (found.r3, r3),
        (found.remainder, mixed - start - r1 - r2 - r3),
    ):
        assert estimate.mean == pytest.approx(value, abs=1e-9)


def test_remainder_is_of_third_order():
    images, labels = data()
    left = []
    for share in (0.02, 0.01):
        rng = torch.Generator().manual_seed(0)
        mixer = MixUp(lam=1 - share)
        plan = mixer.plan(images, generator=rng)
        plan = plan.replace(weight=torch.tensor([[1.0, 0.0]]).repeat(6, 1))
        left.append(
            decompose(net(), [PlannedBatch(images, labels, plan)], criterion=nats).remainder.mean
        )
    assert left[0] / left[1] == pytest.approx(8, rel=0.1)


def test_nothing_mixed_adds_nothing_and_labels_are_told_apart():
    images, labels = data()
    rng = torch.Generator().manual_seed(0)
    same = MixUp(lam=1.0).plan(images, generator=rng)
    found = decompose(net(), [PlannedBatch(images, labels, same)], criterion=nats)
    assert found.added == pytest.approx(0, abs=1e-12)
    heavy = same.replace(weight=same.weight * 1.5)
    found = decompose(net(), [PlannedBatch(images, labels, heavy)], criterion=nats)
    assert found.labels.mean == pytest.approx(found.plain.mean / 2)
    assert found.remainder.mean == pytest.approx(0, abs=1e-12)
    assert found.explained == pytest.approx(1)


def test_relu_networks_do_not_bend():
    model = nn.Sequential(nn.Flatten(), nn.Linear(18, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))
    assert decompose(model.double(), exactly(batches(MixUp())), criterion=nats).r3.mean == 0


def test_the_path_begins_and_ends_where_it_should():
    found = decompose(net(), exactly(batches(HMix())), criterion=nats, steps=(0.5,))
    (start, first), (half, _), (end, last) = found.path
    assert (start, half, end) == (0.0, 0.5, 1.0)
    assert first.mean == pytest.approx(found.plain.mean + found.labels.mean)
    assert last == found.mixed
    summary = found.summary()
    total = sum(summary[name] for name in ("plain", "labels", "r1", "r2", "r3", "remainder"))
    assert total == pytest.approx(summary["mixed"])


def test_the_model_is_put_back_and_batches_do_not_mix_by_statistics():
    images, labels = data()
    model = nn.Sequential(nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(18, 3)).double()
    before = model[0].running_mean.clone()
    found = decompose(model, exactly(batches(MixUp())), criterion=nats)
    assert model.training
    assert torch.equal(model[0].running_mean, before)
    assert found.plain.mean == pytest.approx(
        float(nats(model.eval()(images), labels).mean().detach())
    )


def test_errors_are_over_batches():
    drawn = exactly(batches(MixUp(), count=24))
    each = [decompose(net(), [batch], criterion=nats) for batch in drawn]
    found = decompose(net(), drawn, criterion=nats)
    values = torch.tensor([part.r2.mean for part in each]).double()
    assert found.batches == 4
    assert found.r2.error == pytest.approx(float(values.std() / 2))
    assert found.images == sum(part.images for part in each)


def test_attention_is_followed_twice():
    def attend(x):
        return F.scaled_dot_product_attention(x, x * 2, x + 1)

    rng = torch.Generator().manual_seed(0)
    x, d = (torch.randn(1, 1, 4, 8, generator=rng).double() for _ in range(2))
    value, slope, bend = derivatives_along(attend, x, d)
    step = 1e-3
    up, down = attend(x + step * d), attend(x - step * d)
    torch.testing.assert_close(value, attend(x))
    torch.testing.assert_close(slope, (up - down) / (2 * step), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(bend, (up - 2 * value + down) / step**2, atol=1e-3, rtol=1e-3)


def test_broken_models_and_no_batches_raise():
    images, labels = data()
    plan = MixUp().plan(images, generator=torch.Generator().manual_seed(0))
    broken = net()
    with torch.no_grad():
        broken[3].bias[0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        decompose(broken, [PlannedBatch(images, labels, plan)])
    with pytest.raises(ValueError, match="no batches"):
        decompose(net(), [])
