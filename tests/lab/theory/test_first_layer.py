"""The first layer's regulariser against whole Jacobians, drawn plans, and its own gradient."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lab.reports.pages import made_group, sections_of, tables
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.reports.formatting import NONE
from mixwright.lab.theory.closed_forms import mixup_coefficient
from mixwright.lab.theory.decomposition import decompose
from mixwright.lab.theory.first_layer import (
    filter_noise,
    first_layer,
    first_layer_regulariser,
    measure_first_layer,
)
from mixwright.lab.theory.moments import gram, second_moments
from mixwright.lab.theory.plans import PlannedBatch, draw_plans
from mixwright.lab.theory.relation import rank_correlation
from mixwright.mixers import CutMix, MixUp


def images(count=5, size=4, seed=0):
    return torch.rand(count, 2, size, size, generator=torch.Generator().manual_seed(seed)).double()


def net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        inner = nn.Sequential(
            nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(48, 3)
        )
        return Normalised(inner, mean=[0.4, 0.5], std=[0.5, 0.25]).double()


def filters():
    """A first layer behind a normalisation, and nothing else."""
    inner = nn.Sequential(net().model[0], nn.Flatten())
    return Normalised(inner, mean=[0.4, 0.5], std=[0.5, 0.25]).double()


def pairs_of(mixer, size=4, count=512, pool=64):
    rng = torch.Generator().manual_seed(1)
    blank = torch.zeros(pool, 1, size, size)
    plans = [batch.plan for batch in draw_plans(mixer, blank, count=count, generator=rng)]
    return gram(plans, (size, size), dtype=torch.float64)[0], plans


def all_pairs(model, pictures, pairs):
    return first_layer_regulariser(
        model, pictures, pairs, partners=len(pictures) - 1, generator=torch.Generator()
    )


def test_value_is_that_of_whole_jacobians():
    model, pictures = net(), images()
    pairs, _ = pairs_of(CutMix())
    expected, count = 0.0, len(pictures)
    for i in range(count):
        jacobian = torch.func.jacrev(lambda x: model(x[None])[0])(pictures[i]).flatten(2)
        p = model(pictures[i : i + 1])[0].softmax(0)
        spread = torch.diag(p) - torch.outer(p, p)
        for r in set(range(count)) - {i}:
            seen = (jacobian * (pictures[r] - pictures[i]).flatten(1)).sum(dim=1)
            expected += float(torch.einsum("kj,kl,li,ji->", seen, spread, seen, pairs).detach()) / 2
    found = all_pairs(model, pictures, pairs)
    assert float(found.detach()) == pytest.approx(expected / count / (count - 1), rel=1e-9)


def test_value_is_the_expectation_of_r2_over_plans():
    """The same masks on every pair of images: moments and plans are then the same average."""
    model, pictures = net(), images()
    labels = torch.arange(5) % 3
    _, plans = pairs_of(CutMix(), count=8, pool=8)
    mask, weight = plans[0].mask, plans[0].weight
    drawn = []
    for number in range(len(mask)):
        for shift in range(1, 5):
            me = torch.arange(5)
            plan = CutMix().plan(pictures, generator=torch.Generator().manual_seed(0))
            drawn.append(
                PlannedBatch(
                    pictures,
                    labels,
                    plan.replace(
                        index=torch.stack([me, me.roll(shift)], dim=1),
                        mask=mask[number : number + 1].expand(5, -1, -1, -1),
                        weight=weight[number : number + 1].expand(5, -1),
                    ),
                )
            )
    pairs, _ = gram(plans[:1], (4, 4), dtype=torch.float64)
    found = decompose(model, drawn, steps=()).r2.mean
    assert float(all_pairs(model, pictures, pairs).detach()) == pytest.approx(found, rel=1e-5)


def test_gradient_is_that_of_the_quadratic_form():
    """For a dense first layer R2 = 1/2 tr(W C W' H) with C and H worked out by hand."""
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = nn.Sequential(nn.Flatten(), nn.Linear(8, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    pictures = images(count=3, size=2)
    pairs, _ = pairs_of(MixUp(), size=2)
    weight = model[1].weight
    found = all_pairs(model, pictures, pairs)
    (gradient,) = torch.autograd.grad(found, weight)
    value, expected = 0.0, torch.zeros_like(weight)
    repeated = pairs.repeat(2, 2)  # the same for both channels
    for i in range(3):
        z = model[1](pictures[i].flatten())
        behind = torch.func.jacrev(lambda z: model[3](torch.tanh(z)))(z)  # (K, 5)
        p = model(pictures[i : i + 1])[0].softmax(0)
        form = behind.T @ (torch.diag(p) - torch.outer(p, p)) @ behind
        for r in {0, 1, 2} - {i}:
            d = (pictures[r] - pictures[i]).flatten()
            noise = repeated * torch.outer(d, d)
            value += float(torch.trace(weight @ noise @ weight.T @ form).detach()) / 2 / 6
            expected += (form @ weight @ noise / 6).detach()
    assert float(found.detach()) == pytest.approx(value, rel=1e-9)
    torch.testing.assert_close(gradient, expected)
    assert torch.autograd.grad(all_pairs(model, pictures, pairs), model[3].weight,
                               allow_unused=True) == (None,)  # fmt: skip


def test_filters_feel_the_coefficient_of_mixup():
    pictures = images(count=20, size=6)
    flat = torch.full((11, 11), mixup_coefficient(1.0)).double()
    noise = filter_noise(filters(), pictures, flat)
    torch.testing.assert_close(noise.coefficient, torch.full((3,), 1 / 6).double())


@pytest.mark.parametrize(("size", "counted"), [(6, True), (33, False)])
def test_the_measurement_says_what_mixup_asks_of_each_filter(size, counted):
    pictures = torch.rand(5, 2, size, size, generator=torch.Generator().manual_seed(3))
    layer = nn.Conv2d(2, 3, 2, bias=False)
    layer.weight.data = torch.ones(3, 2, 2, 2) * torch.tensor([1.0, -1.0]).repeat(2).view(
        1, 1, 2, 2
    )
    layer.weight.data[0] = 1
    model = nn.Sequential(layer, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    flat = torch.full((2 * size - 1, 2 * size - 1), 0.25).double()  # lam 1/2: E[lam (1 - lam)]
    found = measure_first_layer(
        MixUp(lam=0.5), model, pictures, torch.zeros(5).long(), offsets=flat, count=4
    )
    assert found.summary["layer"] == "3 of 2 x 2 pixels"
    assert found.summary["coefficient"] == pytest.approx([0.25] * 3)
    assert found.summary["roughness"] == pytest.approx([0, 1, 1])  # sums, and differences twice
    assert found.arrays["coefficient"].tolist() == found.summary["coefficient"]
    if not counted:  # too many pairs of pixels
        assert found.summary["r2_moments"] is None
        return
    # The model is W x with x the means of windows; of all pairs of images
    # R2 = 1/2 lam (1 - lam) E[(z' - z)' (diag(p) - p p') (z' - z)], z the logits.
    logits = model(pictures).detach()
    p = logits.softmax(dim=1)
    total = 0.0
    for i in range(5):
        for j in range(5):
            moved = logits[j] - logits[i]
            total += float((p[i] * moved.square()).sum() - (p[i] * moved).sum() ** 2)
    assert found.summary["r2_moments"] == pytest.approx(total / 20 / 8, rel=1e-4)


def test_large_images_have_a_row_without_r2_by_moments():
    summary = {"model": "a net", "layer": "1 of 2 x 2 pixels", "r2_moments": None, "r2": None}
    summary |= {"coefficient": [0.25], "roughness": [0.0]}
    section = sections_of("first-layer", [made_group("mixup", "", [summary])])["first-layer"]
    assert tables(section)[0].rows == (("Mixup", "0.250", "0.250", "0.250", NONE, NONE),)


def test_noise_is_what_moves_the_filters_outputs():
    """On noise images, where every place is like every other, against mixtures really made."""
    model = filters()
    rng = torch.Generator().manual_seed(0)
    pictures = torch.rand(256, 2, 12, 12, generator=rng).double()
    drawn = list(draw_plans(CutMix(), pictures, count=2048, generator=rng))
    moments = second_moments([batch.plan for batch in drawn], (12, 12))
    noise = filter_noise(model, pictures, moments.a)
    conv = model.model[0]
    moved, count = torch.zeros(3).double(), 0
    for batch, _, plan in drawn:
        mixed = plan.images(batch)
        for n in range(2):
            change = (mixed - batch[plan.index[:, n]]) / model.std
            out = nn.functional.conv2d(change, conv.weight).square().mean(dim=(2, 3)).detach()
            moved += (plan.weight[:, n : n + 1].double() * out).sum(dim=0)
        count += len(plan)
    torch.testing.assert_close(noise.noise, moved / count, rtol=0.03, atol=0)
    rough = torch.zeros(2, 2, 2, 2).double()
    rough[0], rough[1, :, 0, 0], rough[1, :, 0, 1] = 1, 1, -1
    layer = nn.Conv2d(2, 2, 2, bias=False).double()
    layer.weight.data = rough
    felt = filter_noise(nn.Sequential(layer, nn.Flatten()), pictures, moments.a)
    assert felt.roughness.tolist() == [0, 1]


def test_the_first_layer_is_the_one_that_is_met_first():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last, self.first = nn.Linear(4, 2), nn.Conv2d(2, 1, 3)

        def forward(self, x):
            return self.last(self.first(x).flatten(1))

    model = Backwards().double()
    assert first_layer(model, images()) is model.first
    with pytest.raises(ValueError, match="no Conv2d"):
        first_layer(nn.Flatten(), images())
    dense = nn.Sequential(nn.Flatten(), nn.Linear(32, 2)).double()
    with pytest.raises(ValueError, match="expected a Conv2d"):
        filter_noise(dense, images(), torch.zeros(7, 7))
    with pytest.raises(ValueError, match="all pairs of pixels"):
        all_pairs(net(), images(), torch.zeros(3, 3))
    with torch.inference_mode(), pytest.raises(ValueError, match=r"torch\.inference_mode"):
        all_pairs(net(), images(), torch.zeros(16, 16).double())
    with pytest.raises(ValueError, match="partners is 5"):
        first_layer_regulariser(
            net(), images(), torch.zeros(16, 16).double(), partners=5, generator=torch.Generator()
        )


def test_rank_correlation():
    scipy = pytest.importorskip("scipy.stats")
    rng = torch.Generator().manual_seed(0)
    half = torch.randint(0, 5, (2, 24), generator=rng).double()  # with ties
    maps = [torch.cat([values, torch.tensor([9.0]), values.flip(0)]).view(7, 7) for values in half]
    expected = scipy.spearmanr(*(map_.flatten()[:25].numpy() for map_ in maps)).statistic
    assert rank_correlation(*maps) == pytest.approx(expected)
    assert rank_correlation(maps[0], -(maps[0] ** 3)) == pytest.approx(-1)
    holes = maps[0].clone()
    holes[0, 0] = float("nan")
    assert rank_correlation(maps[0], holes) == pytest.approx(1)
    assert rank_correlation(torch.ones(3, 3), maps[0][:3, :3]) != 0  # NaN
    with pytest.raises(ValueError, match="one shape"):
        rank_correlation(torch.zeros(3, 3), torch.zeros(5, 5))
