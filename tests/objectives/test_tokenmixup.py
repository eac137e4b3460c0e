"""TokenMixup against a slow version in loops, and its awkward corners."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from mixwright.lab.models.vit import Attention, Block, SmallViT
from mixwright.masks.assignment import assignment
from mixwright.mixers import CutMix, Mixer, MixUp
from mixwright.objectives.criteria import CrossEntropy
from mixwright.objectives.tokenmixup import TokenMixup
from mixwright.objectives.tokenmixup.horizontal import TokenPairs, saliency_pairs
from mixwright.objectives.tokenmixup.layers import encoders
from mixwright.objectives.tokenmixup.vertical import vertical
from mixwright.sampling import stream

IMAGES = torch.rand(6, 3, 16, 16, generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


class MeanViT(nn.Module):
    """Blocks without a class token: the mean of the tokens is classified."""

    num_prefix_tokens = 0

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.patch_embed = nn.Conv2d(3, 12, 4, stride=4)
        self.pos_embed = nn.Parameter(torch.randn(1, 16, 12))
        self.blocks = nn.Sequential(*(Block(12, 3) for _ in range(depth)))
        self.norm = nn.LayerNorm(12)
        self.fc = nn.Linear(12, 5)

    def forward(self, images: Tensor) -> Tensor:
        tokens = self.patch_embed(images).flatten(2).transpose(1, 2) + self.pos_embed
        return self.fc(self.norm(self.blocks(tokens)).mean(dim=1))


def _model(*, classed: bool = True, depth: int = 3) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind = SmallViT(num_classes=5, image_size=16, width=12, heads=3, depth=depth)
        model = kind if classed else MeanViT(depth)
        for name, one in model.named_parameters():
            if one.ndim > 1:  # attention that is far from even, features that differ
                one.data.normal_(std=0.5 if "qkv" in name else 0.4)
    return model


def _objective(model: nn.Module, *args: Any, **settings: Any) -> TokenMixup:
    objective = TokenMixup(*args, **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        objective.build(model, 5)
    return objective


# ------------------------------------------------------------------ the slow version


def _attention(attn: Attention, tokens: Tensor, others: Tensor) -> tuple[Tensor, Tensor]:
    """Output, and attention ``(B, heads, T, T')``, of queries and other keys and values."""
    wq, wk, wv = attn.qkv.weight.chunk(3)
    bq, bk, bv = attn.qkv.bias.chunk(3)
    q, k, v = tokens @ wq.T + bq, others @ wk.T + bk, others @ wv.T + bv
    length = q.shape[2] // attn.num_heads
    outs, maps = [], []
    for head in range(attn.num_heads):
        part = slice(head * length, (head + 1) * length)
        score = q[..., part] @ k[..., part].transpose(1, 2) / math.sqrt(length)
        score = (score - score.amax(dim=2, keepdim=True)).exp()
        maps.append(score / score.sum(dim=2, keepdim=True))
        outs.append(maps[-1] @ v[..., part])
    return torch.cat(outs, dim=2) @ attn.proj.weight.T + attn.proj.bias, torch.stack(maps, 1)


def _saliency(block: Block, tokens: Tensor, prefix: int) -> Tensor:
    normed = block.norm1(tokens)
    _, maps = _attention(block.attn, normed, normed)
    rows = []
    for one in maps.detach():
        mean = sum(one[head] for head in range(len(one))) / len(one)
        rows.append(mean[0, prefix:] if prefix else sum(mean) / len(mean))
    return torch.stack(rows)


def _mixed(tokens: Tensor, a: Tensor, easy: list[bool], objective: TokenMixup) -> Any:
    """Tokens, and the two weights of each sample with its partner, one number at a time."""
    rho, prefix = objective.rho, tokens.shape[1] - a.shape[1]
    count, places = a.shape
    gain = torch.zeros(count, count)
    for i in range(count):
        for j in range(count):
            gaps = [float(a[j, t] - a[i, t]) - rho for t in range(places)]
            gain[i, j] = sum(max(0.0, gap) for gap in gaps) if easy[i] else 0.0
    partner = assignment(gain).tolist()
    rows, shares = [], []
    for i, j in enumerate(partner):
        row = list(tokens[i].unbind(0))
        mine = theirs = 0.0
        for t in range(places):
            rival = easy.index(True) if objective.official_mask and any(easy) else i
            if easy[i] and float(a[j, t] - a[rival, t]) - rho > 0:
                row[prefix + t] = tokens[j, prefix + t]
                theirs += float(a[j, t])
            else:
                mine += float(a[i, t])
        rows.append(torch.stack(row))
        shares.append((i, j, mine / (mine + theirs)))
    return torch.stack(rows), shares


def _slow(model: Any, objective: TokenMixup, images: Tensor, targets: Tensor) -> Any:
    """Logits, mixed targets, the ScoreNet's losses and who was easy."""
    prefix = model.num_prefix_tokens
    tokens = model.patch_embed(images).flatten(2).transpose(1, 2)
    if prefix:
        tokens = torch.cat([model.cls_token.expand(len(images), -1, -1), tokens], dim=1)
    tokens = tokens + model.pos_embed
    each, easy, kept = torch.zeros(len(images)), [False] * len(images), []
    for number, block in enumerate(model.blocks):
        if objective.horizontal and number == objective.layer:
            assert objective.score is not None
            pooled = tokens[:, 0]
            if objective.score.pool is not None:
                share = objective.score.pool(tokens)[..., 0].softmax(dim=1)
                pooled = sum(share[:, t, None] * tokens[:, t] for t in range(tokens.shape[1]))
            each = -(targets * objective.score.head(pooled).log_softmax(1)).sum(dim=1)
            easy = [0.1 * float(one) <= objective.tau for one in each.detach()]
            a = _saliency(block, tokens, prefix)
            tokens, shares = _mixed(tokens, a, easy, objective)
            targets = torch.stack([w * targets[i] + (1 - w) * targets[j] for i, j, w in shares])
        others = tokens
        if objective.vertical and number < objective.vertical_layer:
            a = _saliency(block, tokens, prefix)
            best = [sorted(range(len(row)), key=lambda t: -row[t])[: objective.kappa] for row in a]
            kept.append(torch.stack([tokens[b, [prefix + t for t in best[b]]] for b in range(6)]))
        if objective.vertical and number == objective.vertical_layer:
            others = torch.cat([tokens, *kept], dim=1)
        tokens = tokens + _attention(block.attn, block.norm1(tokens), block.norm1(others))[0]
        tokens = tokens + block.mlp(block.norm2(tokens))
    tokens = model.norm(tokens)
    logits = model.fc(tokens[:, 0] if prefix else tokens.mean(dim=1))
    return logits, targets, each, easy


SETTINGS: dict[str, dict[str, Any]] = {
    "horizontal": {"rho": 0.01},
    "first-layer": {"layer": 0, "rho": 0.02, "lambda_s": 0.5},
    "official": {"rho": 0.01, "official_mask": True},
    "vertical": {"horizontal": False, "vertical": True, "kappa": 4},
    "both": {"layer": 2, "vertical": True, "vertical_layer": 1, "kappa": 3},
    "tokens-of-mixed-layers": {"layer": 1, "vertical": True, "vertical_layer": 2, "kappa": 2},
    "more-than-there-are": {"horizontal": False, "vertical": True},
}


@pytest.mark.parametrize(
    ("classed", "mixer"),
    [(True, None), (True, CutMix()), (False, CutMix())],
    ids=["class-token", "class-token-cutmix", "mean-cutmix"],
)
@pytest.mark.parametrize("name", SETTINGS)
def test_it_is_what_the_loops_say(name: str, classed: bool, mixer: Mixer | None) -> None:
    model = _model(classed=classed)
    objective = _objective(model, mixer, tau=0.0, **SETTINGS[name])
    seen, targets = IMAGES, F.one_hot(LABELS, 5).float()
    if mixer is not None:
        plan = mixer.plan(IMAGES, LABELS, generator=stream(3))
        seen, targets = plan.images(IMAGES), plan.targets(LABELS, 5)
    each = _slow(model, objective, seen, targets)[2].detach()
    objective.tau = 0.1 * float(each.sort().values[2:4].mean())
    losses = objective(model, IMAGES, LABELS, generator=stream(3), progress=0.0)
    logits, mixed, each, easy = _slow(model, objective, seen, targets)
    torch.testing.assert_close(losses.logits, logits, atol=1e-4, rtol=1e-4)
    expected = F.cross_entropy(logits, mixed)
    torch.testing.assert_close(losses.terms["loss"], expected, atol=1e-4, rtol=1e-4)
    if objective.horizontal:
        assert sum(easy) == 3  # both kinds are among them
        assert losses.plan is not None
        torch.testing.assert_close(losses.plan.targets(LABELS, 5), mixed, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(mixed, targets)
        expected = expected + objective.lambda_s * each.mean()
    torch.testing.assert_close(losses.total, expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(losses.total.detach(), sum(losses.terms.values()))


# ------------------------------------------------------------------ pairs


def test_prefix_tokens_are_kept_and_both_sources_get_gradients() -> None:
    tokens = torch.randn(2, 5, 3, generator=stream(5), requires_grad=True)
    taken = torch.tensor([[True, False, True], [False, False, False]])
    pairs = TokenPairs(torch.tensor([1, 0]), taken, torch.tensor([0.5, 1.0]))
    mixed = pairs.tokens(tokens, prefix=2)
    from_other = torch.tensor([[0, 0, 1, 0, 1], [0, 0, 0, 0, 0]]).bool()
    assert torch.equal(mixed[~from_other], tokens[~from_other])
    assert torch.equal(mixed[0, [2, 4]], tokens[1, [2, 4]])
    (gradient,) = torch.autograd.grad(mixed.sum(), tokens)
    assert gradient[..., 0].tolist() == [[1, 1, 0, 1, 0], [1, 1, 2, 1, 2]]
    torch.testing.assert_close(pairs.plan().weight, torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    pairs.plan().check()


def test_weights_are_detached_shares_and_gains_are_exact_where_nothing_is_gained() -> None:
    saliency = torch.rand(5, 9, generator=stream(6), requires_grad=True)
    pairs = saliency_pairs(saliency, torch.ones(5, dtype=torch.bool), rho=0.1)
    assert not pairs.weight.requires_grad
    assert bool(((pairs.weight > 0) & (pairs.weight < 1)).all())
    assert pairs.partner.sort().values.tolist() == list(range(5))
    nobody = saliency_pairs(saliency, torch.zeros(5, dtype=torch.bool), rho=0.0)
    empty = saliency_pairs(torch.zeros(5, 9), torch.ones(5, dtype=torch.bool), rho=0.0)
    far = saliency_pairs(saliency, torch.ones(5, dtype=torch.bool), rho=2.0)
    for pairs in (nobody, empty, far):
        assert not pairs.taken.any()
        assert pairs.weight.tolist() == [1.0] * 5


def test_saliency_is_compared_in_float32_under_autocast() -> None:
    # The difference, 0.006, is above rho and would be 0.0078 or 0.0039 in bfloat16.
    saliency = torch.tensor([[0.500, 0.5], [0.506, 0.1]])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for rho, taken in ((0.0059, True), (0.0061, False)):
            pairs = saliency_pairs(saliency, torch.tensor([True, False]), rho=rho)
            assert pairs.partner.tolist()[0] == (1 if taken else pairs.partner.tolist()[0])
            assert bool(pairs.taken[0, 0]) == taken
            assert not pairs.taken[1].any()


# ------------------------------------------------------------------ nothing to mix


@pytest.mark.parametrize("settings", [{"rho": 5.0, "tau": 100.0}, {"tau": 0.0}])
@pytest.mark.parametrize("mixer", [None, MixUp()])
def test_without_gain_or_easy_samples_it_is_the_mixer_alone(
    mixer: Mixer | None, settings: dict[str, float]
) -> None:
    model = _model()
    objective = _objective(model, mixer, **settings)
    losses = objective(model, IMAGES, LABELS, generator=stream(3), progress=0.0)
    seen, targets = IMAGES, F.one_hot(LABELS, 5).float()
    if mixer is not None:
        plan = mixer.plan(IMAGES, LABELS, generator=stream(3))
        seen, targets = plan.images(IMAGES), plan.targets(LABELS, 5)
    torch.testing.assert_close(losses.logits, model(seen))
    assert losses.plan is not None
    torch.testing.assert_close(losses.plan.targets(LABELS, 5), targets)


class _NoReads(TorchDispatchMode):
    """Fails where a value would go to the host or decide a shape."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.name()
        assert "local_scalar_dense" not in name, "a value is read"
        assert "nonzero" not in name, name
        assert "masked_select" not in name, name
        if name.startswith("aten::index"):
            assert all(one is None or one.dtype != torch.bool for one in (args[1] or [])), name
        return func(*args, **(kwargs or {}))


def test_the_host_reads_nothing() -> None:
    model = _model()
    objective = _objective(model, tau=0.16, vertical=True, layer=1, official_mask=True)
    with _NoReads():
        losses = objective(model, IMAGES, LABELS, generator=stream(3), progress=0.0)
        losses.total.backward()
    with pytest.raises(AssertionError, match="read"), _NoReads():
        losses.total.item()


def test_in_eval_mode_tokens_stay_as_they_are() -> None:
    model = _model().eval()
    objective = _objective(model, tau=100.0, vertical=True, layer=1)
    losses = objective(model, IMAGES, LABELS, generator=stream(3), progress=0.0)
    torch.testing.assert_close(losses.logits, model(IMAGES))
    torch.testing.assert_close(losses.terms["loss"], F.cross_entropy(model(IMAGES), LABELS))
    assert losses.plan is None
    assert float(losses.terms["score"]) > 0  # its parameters take part


def test_a_batch_of_one_and_soft_labels() -> None:
    model = _model()
    objective = _objective(model, CutMix(), tau=100.0, vertical=True, layer=2)
    soft = torch.rand(6, 5, generator=stream(4)).softmax(dim=1)
    one = objective(model, IMAGES[:1], soft[:1], generator=stream(3), progress=0.0)
    assert one.plan is not None
    torch.testing.assert_close(one.plan.targets(soft[:1]), soft[:1])
    hard = objective(model, IMAGES, LABELS, generator=stream(3), progress=0.0)
    dense = F.one_hot(LABELS, 5).float()
    same = objective(model, IMAGES, dense, generator=stream(3), progress=0.0)
    torch.testing.assert_close(hard.total, same.total)


# ------------------------------------------------------------------ attention layers


@pytest.mark.parametrize("batch_first", [True, False])
def test_torchs_own_attention_gets_more_keys_and_values(batch_first: bool) -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first)
    model = nn.Sequential(nn.Sequential(layer, layer_two := _like(layer)), nn.Linear(8, 3))
    if not batch_first:
        with pytest.raises(ValueError, match=r"\(B, T, D\) at once"):
            encoders(model)
        return
    found = encoders(model)
    assert [one.name for one in found] == ["0.0", "0.1"]
    assert [one.width for one in found] == [8, 8]
    tokens = torch.randn(2, 9, 8, generator=stream(5))
    with vertical(found, kappa=3):
        first = model[0](tokens)
        seen = model[0](tokens)
    assert torch.equal(first, seen)  # tokens of one forward are gone in the next
    # Post-norm: what enters the block enters its attention.
    _, maps = layer.self_attn(tokens, tokens, tokens, average_attn_weights=True)
    best = maps.mean(dim=1).topk(3, dim=1).indices
    others = torch.stack([tokens[b, best[b]] for b in range(2)])
    middle = layer(tokens)
    both = torch.cat([middle, others], dim=1)
    after = layer_two.norm1(middle + layer_two.self_attn(middle, both, both)[0])
    after = layer_two.norm2(after + layer_two.linear2(layer_two.linear1(after).relu()))
    torch.testing.assert_close(seen, after)


class _Worded(nn.TransformerEncoderLayer):
    """Calls its attention by the arguments' names."""

    def _sa_block(self, x: Tensor, *rest: Any, **named: Any) -> Tensor:
        return self.self_attn(query=x, key=x, value=x, need_weights=False)[0]


def test_attention_that_is_called_by_names_gets_the_same() -> None:
    outputs = []
    for kind in (nn.TransformerEncoderLayer, _Worded):
        torch.manual_seed(0)
        blocks = nn.Sequential(*(kind(8, 2, 16, dropout=0.0, batch_first=True) for _ in range(2)))
        model = nn.Sequential(blocks, nn.Linear(8, 3))
        with vertical(encoders(model), kappa=3):
            outputs.append(blocks(torch.randn(2, 9, 8, generator=stream(5))))
    torch.testing.assert_close(outputs[1], outputs[0])


class _Deep(nn.Module):
    """A layer whose attention lies two modules down."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.inner(tokens)


def test_a_layer_is_what_stands_in_the_row_however_deep_its_attention_lies() -> None:
    model = nn.Sequential(nn.Sequential(_Deep(), _Deep()), nn.Linear(8, 3))
    found = encoders(model)
    assert [layer.name for layer in found] == ["0.0", "0.1"]
    assert [layer.block for layer in found] == list(model[0])


def _like(layer: nn.TransformerEncoderLayer) -> nn.TransformerEncoderLayer:
    other = nn.TransformerEncoderLayer(
        8, 2, 16, dropout=0.0, batch_first=layer.self_attn.batch_first
    )
    for one in other.parameters():
        nn.init.normal_(one, generator=stream(9))
    return other


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"])
def test_timms_transformers_in_bfloat16(name: str) -> None:
    timm = pytest.importorskip("timm")
    model = timm.create_model(name, img_size=32, patch_size=8, num_classes=5, depth=4, embed_dim=48)
    objective = _objective(model, CutMix(), tau=100.0, rho=0.0, vertical=True)
    images = torch.rand(4, 3, 32, 32, generator=stream(1))
    for dtype in (torch.float32, torch.bfloat16):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            losses = objective(model, images, LABELS[:4], generator=stream(3), progress=0.0)
        losses.total.backward()
        assert losses.total.dtype == torch.float32
        assert losses.plan is not None
        sums = losses.plan.weight.sum(dim=1)
        torch.testing.assert_close(sums, torch.ones(4))
        assert bool((losses.plan.weight[:, 2:] > 0).any())


def test_torchvisions_transformer() -> None:
    models = pytest.importorskip("torchvision.models")
    model = models.VisionTransformer(32, 8, 4, 3, 24, 48, num_classes=5)
    objective = _objective(model, tau=100.0, rho=0.0, vertical=True)
    images = torch.rand(4, 3, 32, 32, generator=stream(1))
    losses = objective(model, images, LABELS[:4], generator=stream(3), progress=0.0)
    losses.total.backward()
    assert objective.score is not None
    assert objective.score.pool is None  # its class token is known
    assert losses.plan is not None
    assert bool((losses.plan.weight[:, 1] > 0).all())


def test_models_that_cannot_be_used_are_named() -> None:
    with pytest.raises(ValueError, match="no attention"):
        TokenMixup().build(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2)), 2)
    with pytest.raises(ValueError, match="layer is 2; expected 0 to 1"):
        TokenMixup().build(_model(depth=2), 5)
    with pytest.raises(ValueError, match="vertical_layer is 7; expected 0 to 2"):
        TokenMixup(horizontal=False, vertical=True, vertical_layer=7).build(_model(), 5)
    with pytest.raises(ValueError, match=r"ScoreNet is missing.*build"):
        TokenMixup()(_model(), IMAGES, LABELS, generator=stream(3), progress=0.0)
    again = _model()
    again.grad_checkpointing = True
    with pytest.raises(ValueError, match="grad_checkpointing"):
        TokenMixup().build(again, 5)


class Skipping(SmallViT):
    """Leaves its blocks out."""

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.patch_embed(images).mean(dim=(2, 3)))


@pytest.mark.parametrize("kind", ["horizontal", "vertical"])
def test_a_layer_that_does_not_run_is_named(kind: str) -> None:
    model = Skipping(num_classes=5, width=12, heads=3, depth=3)
    objective = _objective(model, horizontal=kind == "horizontal", vertical=kind == "vertical")
    with pytest.raises(ValueError, match=r"'blocks.2' did not run"):
        objective(model, IMAGES, LABELS, generator=stream(3), progress=0.0)


def test_hooks_go_after_an_error() -> None:
    model = _model()
    objective = _objective(model, tau=100.0, vertical=True, layer=2)

    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    handle = model.blocks[2].mlp.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="broken"):
        objective(model, IMAGES, LABELS, generator=stream(3), progress=0.0)
    handle.remove()
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
    torch.testing.assert_close(model(IMAGES), model(IMAGES))


def test_it_refuses_settings_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="both False"):
        TokenMixup(horizontal=False)
    bad: list[dict[str, Any]] = [{"tau": -1.0}, {"rho": float("nan")}, {"lambda_s": -0.1}]
    bad += [{"layer": -1}, {"layer": 1.5}, {"vertical_layer": 0}, {"kappa": 0}]
    for settings in bad:
        (word,) = settings
        with pytest.raises(ValueError, match=f"TokenMixup: {word} is"):
            TokenMixup(**settings)
    with pytest.raises(ValueError, match=r"mixer is <class .*an object with a plan"):
        TokenMixup(CutMix)  # type: ignore[arg-type]


def test_defaults_are_the_papers() -> None:
    found = {
        (h, v): (one.layer, one.kappa)
        for h, v in ((True, False), (False, True), (True, True))
        for one in [TokenMixup(horizontal=h, vertical=v)]
    }
    assert found[True, False][0] == 2
    assert found[False, True][1] == 80
    assert found[True, True] == (3, 3)


# ------------------------------------------------------------------ learning


@pytest.mark.parametrize("stop", [True, False])
def test_who_learns_from_the_score(stop: bool) -> None:
    model = _model()
    objective = _objective(model, rho=5.0, lambda_s=1.0, stop_score_gradient=stop)
    losses = objective(model, IMAGES, LABELS, generator=stream(3), progress=0.0)
    plain = F.cross_entropy(model(IMAGES), LABELS)
    weight = model.patch_embed.weight
    ours = torch.autograd.grad(losses.total, weight, retain_graph=True)[0]
    assert torch.allclose(ours, torch.autograd.grad(plain, weight)[0], atol=1e-5) == stop
    losses.total.backward()
    assert all(one.grad is not None for one in objective.parameters())
    assert all(float(one.grad.abs().sum()) > 0 for one in objective.parameters())
    assert len(objective.param_groups(None)) == 1


def test_the_score_uses_the_criterions_smoothing() -> None:
    model = _model()
    soft, hard = (
        _objective(model, rho=5.0, lambda_s=1.0, criterion=CrossEntropy(smoothing))(
            model, IMAGES, LABELS, generator=stream(3), progress=0.0
        ).terms["score"]
        for smoothing in (0.3, 0.0)
    )
    assert float(soft) != float(hard)


@pytest.mark.parametrize("settings", [{}, {"vertical": True, "layer": 2, "kappa": 4}])
def test_a_tiny_batch_is_learned(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = SmallViT(num_classes=5, image_size=16, width=24, heads=3, depth=3)
    objective = _objective(model, rho=0.01, lambda_s=1.0, **settings)
    images = IMAGES.sub(0.5).mul(4)
    optimizer = torch.optim.AdamW([*model.parameters(), *objective.parameters()], lr=5e-3)
    for number in range(1, 201):
        losses = objective(model, images, LABELS, generator=stream(3), progress=0.0)
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
        assert losses.plan is not None
        with torch.no_grad():
            logits = model(images)
        known = logits.argmax(dim=1).equal(LABELS)
        if number % 10 == 0 and known and float(F.cross_entropy(logits, LABELS)) < 0.8:
            return
    raise AssertionError("not learned in 200 steps")
