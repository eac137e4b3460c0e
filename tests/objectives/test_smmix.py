"""SMMix: windows of most and least attention, and three losses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mixwright.lab.models import Normalised, build_model
from mixwright.masks.windows import extreme_windows, inside_windows
from mixwright.mixers import CutMix
from mixwright.objectives.smmix import SMMix, divergence, means, pasted, places
from mixwright.sampling import stream
from mixwright.taps.attention import attending
from objectives.transformers import batch, learned, step, vit


def built(model: nn.Module, **options: Any) -> SMMix:
    objective = SMMix(**{"p": 1.0, "pairing": "flip", **options})
    with torch.random.fork_rng():
        torch.manual_seed(1)
        objective.build(model, 3)
    return objective


# ------------------------------------------------------------------ windows


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_windows_are_those_of_every_sum(side: int):
    maps = torch.rand(4, 5, 6, generator=stream(0))
    least, most = extreme_windows(maps, side)
    for b in range(4):
        sums = {
            (r, c): maps[b, r : r + side, c : c + side].sum().item()
            for r in range(5 - side + 1)
            for c in range(6 - side + 1)
        }
        for edges, choose in ((least, min), (most, max)):
            row, column = choose(sums, key=sums.__getitem__)
            assert edges[b].tolist() == [[row, row + side], [column, column + side]]


def test_windows_of_crafted_maps():
    maps = torch.ones(1, 4, 4)
    maps[0, 2:, 1:3], maps[0, 0, 3] = 3.0, 0.0
    least, most = extreme_windows(maps, 2)
    assert most.tolist() == [[[2, 4], [1, 3]]]
    assert least.tolist() == [[[0, 2], [2, 4]]]
    inside = inside_windows(torch.cat([least, most]), (4, 4))
    assert inside.sum().item() == 8
    assert torch.equal(inside[1], (maps[0] == 3).float())


def test_the_partners_window_lies_in_the_samples():
    images, _ = batch(4)
    source = torch.tensor([[[0, 2], [1, 3]], [[2, 4], [2, 4]], [[1, 3], [0, 2]], [[0, 2], [0, 2]]])
    target = source.roll(1, 0)
    partner = torch.tensor([3, 2, 1, 0])
    plan = pasted(images, partner, source=source, target=target, grid=(4, 4)).check()
    found, expected = plan.images(images), images.clone()
    for b in range(4):
        (r, _), (c, _) = (4 * target[b]).tolist()
        (s, _), (t, _) = (4 * source[b]).tolist()
        expected[b, :, r : r + 8, c : c + 8] = images[partner[b], :, s : s + 8, t : t + 8]
    assert torch.equal(found, expected)
    torch.testing.assert_close(plan.weight, torch.tensor([[0.75, 0.25]] * 4))


def test_a_step_takes_the_windows_of_its_attention():
    model, (images, _) = vit(sharp=0.3).eval(), batch()
    with attending(model) as seen:
        model(images)
    least, most = extreme_windows(seen.mean_row().view(-1, 4, 4), 2)
    losses = step(built(model, sides=(0.5, 0.5)), model)
    plan = losses.plan
    assert plan is not None
    assert torch.equal(plan.boxes, 4 * least)
    assert torch.equal(plan.warp[1].source, 4.0 * most.flip(0))
    assert plan.weight[0].tolist() == [0.75, 0.25]


def test_sides_are_drawn_evenly_from_the_range_of_the_grid():
    objective, generator = SMMix(), stream(0)
    sides = [objective._side(14, generator=generator) for _ in range(400)]
    assert set(sides) == set(range(3, 11))
    assert max(sides.count(side) for side in set(sides)) < 80
    assert {objective._side(4, generator=generator) for _ in range(50)} == {1, 2, 3}
    assert {objective._side(2, generator=generator) for _ in range(20)} == {1}
    assert objective._side(1, generator=generator) == 1


# ------------------------------------------------------------------ losses


def test_regions_part_the_tokens():
    tokens = torch.rand(2, 16, 5, generator=stream(0))
    inside = inside_windows(torch.tensor([[[0, 2], [0, 2]], [[1, 4], [1, 4]]]), (4, 4))
    out, within = means(tokens, 1 - inside, inside)
    for b in range(2):
        flat = inside[b].flatten().bool()
        torch.testing.assert_close(within[b], tokens[b, flat].mean(dim=0))
        torch.testing.assert_close(out[b], tokens[b, ~flat].mean(dim=0))
    assert means(tokens, torch.zeros(2, 4, 4))[0].abs().sum() == 0


def test_divergence_is_zero_where_predictions_are_as_wanted():
    wanted = torch.randn(4, 5, generator=stream(0))
    assert divergence(wanted, wanted + 3).item() == pytest.approx(0, abs=1e-6)
    other = torch.randn(4, 5, generator=stream(1), requires_grad=True)
    p, q = wanted.softmax(1), other.softmax(1)
    slow = (p * (p / q).log()).sum(dim=1).mean()
    torch.testing.assert_close(divergence(wanted, other), slow)
    assert divergence(wanted.requires_grad_(), other).requires_grad
    divergence(wanted, other).backward()
    assert wanted.grad is None


def test_a_whole_step_is_the_formula():
    model, (images, labels) = vit(sharp=0.3).eval(), batch()
    objective = built(model, sides=(0.5, 0.5))
    losses = step(objective, model)
    plan = losses.plan
    assert plan is not None
    tokens: list[torch.Tensor] = []
    handle = model.norm.register_forward_hook(lambda _m, _i, out: tokens.append(out[:, 1:]))
    logits = model(plan.images(images))
    handle.remove()
    clean = model(images).detach()
    inside = inside_windows(plan.boxes // 4, (4, 4)).flatten(1)[..., None]
    pasted_in = (tokens[0] * inside).sum(1) / 4
    around = (tokens[0] * (1 - inside)).sum(1) / 12
    head = objective.head
    assert head is not None
    mixed = 0.75 * F.cross_entropy(logits, labels) + 0.25 * F.cross_entropy(logits, labels.flip(0))
    regions = F.cross_entropy(head(around), labels) + F.cross_entropy(
        head(pasted_in), labels.flip(0)
    )
    target = (0.75 * clean + 0.25 * clean.flip(0)).softmax(1)
    kl = F.kl_div(logits.log_softmax(1), target, reduction="batchmean")
    assert {name: round(value.item(), 4) for name, value in losses.terms.items()} == {
        "mixed": round(mixed.item(), 4),
        "regions": round(regions.item() / 2, 4),
        "consistency": round(kl.item(), 4),
    }
    torch.testing.assert_close(losses.total, mixed + regions / 2 + kl)
    factors = built(model, sides=(0.5, 0.5), regions=2.0, consistency=0.0)
    torch.testing.assert_close(step(factors, model).total, mixed + regions)


def test_the_look_before_leaves_no_trace():
    model = vit(sharp=0.3)
    model.blocks[0].eval()
    objective = built(model)
    modes = {name: module.training for name, module in model.named_modules()}
    calls: list[tuple[bool, bool]] = []
    model.register_forward_hook(
        lambda m, _i, _o: calls.append((m.training, torch.is_grad_enabled()))
    )
    step(objective, model)
    assert calls[0] == (False, False)
    assert calls[-1] == (True, True)
    assert calls.count((True, True)) == 1
    assert {name: module.training for name, module in model.named_modules()} == modes
    before = len(calls)
    step(objective, model)
    assert len(calls) - before == 2  # one look, one training forward


def test_every_parameter_takes_part_in_every_step():
    model = vit()
    for p in (0.0, 1.0):
        objective = built(model, p=p)
        losses = step(objective, model)
        losses.total.backward()
        assert all(one.grad is not None for one in objective.parameters())
        assert sorted(losses.terms) == ["consistency", "mixed", "regions"]
        torch.testing.assert_close(sum(losses.terms.values()), losses.total.detach())
    assert len(objective.param_groups(None)[0]["params"]) == 2


def test_odd_batches_one_image_and_wrapped_models():
    model = vit(sharp=0.3)
    objective = built(model)
    odd = step(objective, model, count=5).plan
    assert odd.index[2].tolist() == [2, 2]
    one = step(objective, model, count=1)
    assert one.plan.weight.tolist() == [[1.0, 0.0]]
    wrapped = Normalised(model, [0.0] * 3, [1.0] * 3)
    torch.testing.assert_close(step(objective, wrapped).total, step(objective, model).total)
    other = step(built(model, p=0.0, otherwise=CutMix(lam=0.5)), model).plan
    assert other.lam.tolist() == [0.5] * 6


def test_models_of_lower_precision():
    model = vit().bfloat16()
    objective = built(model)
    images, labels = batch()
    losses = objective(model, images.bfloat16(), labels, generator=stream(3), progress=0.0)
    losses.total.backward()
    assert losses.total.isfinite()
    assert objective.head is not None
    assert objective.head.weight.grad.count_nonzero() > 0


def test_last_maps_of_every_form():
    tokens = torch.rand(2, 16, 5)
    model = vit()
    options = {"model": model, "grid": (4, 4), "width": 5}
    assert torch.equal(places(torch.cat([tokens[:, :1], tokens], 1), **options), tokens)
    maps = tokens.view(2, 4, 4, 5)
    assert torch.equal(places(maps, **options), tokens)
    assert torch.equal(places(maps.permute(0, 3, 1, 2), **options), tokens)
    with pytest.raises(ValueError, match=r"last map has shape \(2, 10, 5\); expected the 4 x 4"):
        places(torch.rand(2, 10, 5), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sides": (0.5, 0.2)}, "SMMix: sides is"),
        ({"sides": (0.0, 0.5)}, "SMMix: sides is"),
        ({"pairing": "next"}, "SMMix: pairing is 'next'"),
        ({"consistency": -1.0}, "SMMix: consistency is -1.0"),
        ({"regions": float("nan")}, "SMMix: regions is nan"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        SMMix(**options)


def test_what_cannot_be():
    with pytest.raises(ValueError, match="SmallConv has no attention"):
        SMMix().build(build_model("smallconv", num_classes=3, image_size=16), 3)
    with pytest.raises(ValueError, match=r"expected objective\.build"):
        step(SMMix(p=1.0), vit())


def test_a_tiny_batch_is_learned():
    assert learned(SMMix())
