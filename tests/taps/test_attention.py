"""Attention read from a forward, against softmax written out and against timm's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mixwright.lab.models import Normalised
from mixwright.lab.models.vit import SmallViT
from mixwright.taps.attention import (
    attending,
    attention_layers,
    attention_name,
    prefix_tokens,
    qkv,
    scaling,
    weights,
)


def vit(**options: Any) -> SmallViT:
    torch.manual_seed(0)
    model = SmallViT(**{"num_classes": 3, "image_size": 16, "width": 16, "depth": 2, **options})
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model


class Torchvision(nn.Module):
    """The names and calls of torchvision's ViT, small; ``first`` puts the batch first."""

    def __init__(self, first: bool = True) -> None:
        super().__init__()
        self.class_token = nn.Parameter(torch.randn(1, 1, 8))
        self.conv_proj = nn.Conv2d(3, 8, 4, stride=4)
        self.self_attention = nn.MultiheadAttention(8, 2, batch_first=first)
        self.first = first
        self.head = nn.Linear(8, 3)

    def tokens(self, images: Tensor) -> Tensor:
        tokens = self.conv_proj(images).flatten(2).transpose(1, 2)
        return torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)

    def forward(self, images: Tensor) -> Tensor:
        x = self.tokens(images)
        x = x if self.first else x.transpose(0, 1)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        return self.head(x[:, 0] if self.first else x[0])


def slow(q: Tensor, k: Tensor) -> Tensor:
    """Softmax of attention, one query at a time: (T, d), (T, d) to (T, T)."""
    rows: list[Tensor] = []
    for one in q:
        scores = torch.stack([(one * other).sum() for other in k]) / len(one) ** 0.5
        rows.append(scores.exp() / scores.exp().sum())
    return torch.stack(rows)


@torch.no_grad()
def slow_vit(model: SmallViT, images: Tensor) -> Tensor:
    """Last attention of a small ViT, (B, heads, T, T), from its layers one after another."""
    tokens = model.patch_embed(images).flatten(2).mT
    tokens = torch.cat([model.cls_token.expand(len(images), 1, -1), tokens], 1) + model.pos_embed
    for block in list(model.blocks)[:-1]:
        tokens = block(tokens)
    attention = model.blocks[-1].attn
    done = attention.qkv(model.blocks[-1].norm1(tokens))
    width, heads = done.shape[-1] // 3, attention.num_heads
    each = width // heads
    return torch.stack(
        [
            torch.stack(
                [
                    slow(
                        one[:, h * each : (h + 1) * each],
                        one[:, width + h * each : width + (h + 1) * each],
                    )
                    for h in range(heads)
                ]
            )
            for one in done
        ]
    )


def test_rows_of_a_small_vit_are_those_of_its_softmax():
    model, images = vit(), torch.randn(2, 3, 16, 16)
    with attending(model) as seen:
        model(images)
    whole = slow_vit(model, images).mean(dim=1)
    assert seen.grid == (4, 4)
    torch.testing.assert_close(seen.class_row(), whole[:, 0, 1:])
    torch.testing.assert_close(seen.mean_row(), whole[:, 1:, 1:].mean(dim=1))
    assert whole[:, 0, 1:].std() > 0.005  # far from uniform, where many mistakes would not show


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_rows_of_torchs_own_attention(first: bool, training: bool):
    torch.manual_seed(0)
    model, images = Torchvision(first).train(training), torch.randn(2, 3, 8, 16) * 3
    with attending(model) as seen:
        model(images)
    x = model.tokens(images)
    x = x if first else x.transpose(0, 1)
    whole = model.self_attention(x, x, x, need_weights=True)[1].detach()
    torch.testing.assert_close(seen.class_row(), whole[:, 0, 1:])
    torch.testing.assert_close(seen.mean_row(), whole[:, 1:, 1:].mean(dim=1))
    assert seen.grid == (2, 4)


def test_whole_attention_of_given_tokens_and_its_parts():
    model, images = vit(), torch.randn(2, 3, 16, 16)
    attention = model.blocks[-1].attn
    tokens = torch.randn(2, 5, 16, requires_grad=True)
    whole = weights(attention, tokens)
    assert not whole.requires_grad
    torch.testing.assert_close(whole.sum(dim=-1), torch.ones(2, 4, 5))
    q, k, v = qkv(attention, tokens)
    scores = (scaling(attention) * q @ k.mT).softmax(dim=-1)
    torch.testing.assert_close(scores, whole)
    done = attention.proj((whole @ v).transpose(1, 2).reshape(2, 5, 16))
    torch.testing.assert_close(done, attention(tokens))
    assert q.requires_grad
    with attending(model) as seen:
        model(images)
    entered: list[Tensor] = []
    handle = attention.register_forward_hook(lambda _m, given, _o: entered.append(given[0]))
    model(images)
    handle.remove()
    row = weights(attention, entered[0]).mean(dim=1)[:, 0, 1:]
    torch.testing.assert_close(row, seen.class_row())
    own = Torchvision().self_attention
    tokens = torch.randn(2, 5, 8)
    torch.testing.assert_close(weights(own, tokens).mean(dim=1), own(tokens, tokens, tokens)[1])
    with pytest.raises(ValueError, match="Linear is no attention layer"):
        qkv(nn.Linear(2, 2), tokens)


def test_values_have_no_graph_and_full_precision_under_autocast():
    model, images = vit(), torch.randn(2, 3, 16, 16)
    with attending(model) as seen:
        model(images)
    exact = seen.class_row()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with attending(model) as seen:
            model(images)
        row = seen.class_row()
    assert row.dtype == torch.float32
    assert not row.requires_grad
    torch.testing.assert_close(row, exact, atol=0.02, rtol=0)
    half = row.to(torch.bfloat16).float()
    assert not torch.equal(half, row)  # softmax in full precision, not rounded to 8 bits


def count_hooks(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def test_hooks_are_gone_also_after_an_error():
    model = vit()
    with attending(model):
        assert count_hooks(model) == 3
    with pytest.raises(RuntimeError, match="stop"), attending(model):
        raise RuntimeError("stop")
    assert count_hooks(model) == 0


def test_the_forward_itself_does_not_change():
    model, images = vit(), torch.randn(2, 3, 16, 16)
    plain = model(images)
    plain.sum().backward()
    before = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    with attending(model) as seen:
        logits = model(images)
        seen.class_row()
    logits.sum().backward()
    assert torch.equal(plain, logits)
    assert all(torch.equal(a, p.grad) for a, p in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda model: Normalised(model, [0.5] * 3, [0.5] * 3),
        lambda model: nn.DataParallel(model),
    ],
)
def test_wrapped_models(wrap: Callable[[nn.Module], nn.Module]):
    model, images = vit(), torch.rand(2, 3, 16, 16)
    wrapped = wrap(model)
    with attending(wrapped, "blocks.1") as seen:
        wrapped(images)
    inside = (images - 0.5) / 0.5 if isinstance(wrapped, Normalised) else images
    with attending(model) as plain:
        model(inside)
    assert torch.equal(seen.class_row(), plain.class_row())


def test_layers_by_name():
    model = vit(depth=3)
    assert attention_layers(model) == ("blocks.0.attn", "blocks.1.attn", "blocks.2.attn")
    assert attention_name(model) == "blocks.2.attn"
    assert attention_name(model, "blocks.0") == attention_name(model, "blocks.0.attn")
    assert attention_name(Normalised(model, [0.0], [1.0]), "blocks.0") == "model.blocks.0.attn"
    with pytest.raises(ValueError, match=r"'blocks.7' is no attention layer.*blocks.1.attn"):
        attention_name(model, "blocks.7")
    assert attention_layers(Torchvision()) == ("self_attention",)


def test_models_without_attention_are_told_so():
    with pytest.raises(ValueError, match=r"Linear has no attention.*smallvit, a vit, deit or swin"):
        attention_layers(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"taps: Linear has no attention"):
        attention_layers(Normalised(nn.Linear(2, 2), [0.5], [0.5]))


def test_layers_that_fold_places_into_the_batch_are_refused():
    class Folded(nn.Module):
        """Like MobileViT: four sequences for each image."""

        def __init__(self) -> None:
            super().__init__()
            self.patch_embed = nn.Conv2d(3, 16, 4, stride=4)
            self.attn = vit().blocks[0].attn

        def forward(self, images: Tensor) -> Tensor:
            tokens = self.patch_embed(images).flatten(2).mT
            return self.attn(tokens.reshape(4 * len(images), -1, 16))

    model = Folded()
    with attending(model) as seen:
        model(torch.randn(1, 3, 16, 16))
    with pytest.raises(ValueError, match="'attn' ran on 4 sequences for 1 images"):
        seen.class_row()
    with pytest.raises(ValueError, match="Name another layer"):
        _ = seen.grid


def test_what_cannot_be_read_is_said():
    model = vit()
    with attending(model) as seen:
        pass
    with pytest.raises(ValueError, match=r"'blocks.1.attn' did not run"):
        seen.class_row()
    torch_model = Torchvision()
    x = torch.randn(1, 3, 8)
    with attending(torch_model), pytest.raises(ValueError, match="another key than query"):
        torch_model.self_attention(x, x + 1, x)
    with attending(torch_model), pytest.raises(ValueError, match="or a mask"):
        torch_model.self_attention(x, x, x, attn_mask=torch.zeros(3, 3))
    with attending(model) as seen:
        model.blocks[-1](torch.randn(1, 8, 16))
    with pytest.raises(ValueError, match="7 image tokens make no grid"):
        _ = seen.grid


def test_prefix_tokens():
    assert prefix_tokens(vit(), 17) == 1
    assert prefix_tokens(Torchvision(), 17) == 1
    assert [prefix_tokens(nn.Identity(), length) for length in (16, 17, 18, 197)] == [0, 1, 2, 1]


# ------------------------------------------------------------------ timm as the oracle


def unfused(model: nn.Module, images: Tensor, layer: str) -> Tensor:
    """Softmax of one layer of timm's with fused attention off, as its dropout sees it."""
    attention = model.get_submodule(layer)
    attention.fused_attn = False
    rows: list[Tensor] = []
    handle = attention.attn_drop.register_forward_hook(lambda _m, _i, out: rows.append(out))
    model(images)
    handle.remove()
    attention.fused_attn = True
    return rows[0].detach()


def shaken(model: nn.Module) -> nn.Module:
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=1.5 * parameter[0].numel() ** -0.5)
    return model.eval()


@pytest.mark.parametrize(
    ("name", "options", "prefix"),
    [
        ("vit_tiny_patch16_224", {}, 1),
        ("deit_tiny_distilled_patch16_224", {}, 2),
        ("vit_tiny_patch16_224", {"qk_norm": True, "reg_tokens": 2}, 3),
        ("vit_tiny_patch16_224", {"global_pool": "avg"}, 1),
        ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg"}, 0),
    ],
)
def test_rows_of_timm_transformers(name: str, options: dict[str, Any], prefix: int):
    timm = pytest.importorskip("timm", exc_type=ImportError)
    torch.manual_seed(0)
    model = shaken(timm.create_model(name, img_size=(64, 32), depth=2, **options))
    images = torch.randn(2, 3, 64, 32)
    with attending(model) as seen:
        model(images)
    whole = unfused(model, images, "blocks.1.attn").mean(dim=1)
    mean = whole[:, prefix:, prefix:].mean(dim=1)
    pooled = "global_pool" in options
    torch.testing.assert_close(seen.mean_row(), mean)
    torch.testing.assert_close(seen.class_row(), mean if pooled else whole[:, 0, prefix:])
    assert seen.grid == (4, 2)
    assert prefix_tokens(model, whole.shape[1]) == prefix


@pytest.mark.parametrize(("side", "window", "layer"), [(64, 4, 1), (64, 3, 1), (64, 3, 0)])
def test_rows_of_swin_windows_lie_at_their_places(side: int, window: int, layer: int):
    timm = pytest.importorskip("timm", exc_type=ImportError)
    torch.manual_seed(0)
    name = "swin_tiny_patch4_window7_224"
    model = timm.create_model(name, img_size=side, window_size=window, depths=(2, 1, 1, 1))
    model, images = shaken(model), torch.randn(2, 3, side, side)
    block = model.layers[0].blocks[layer]
    with attending(model, f"layers.0.blocks.{layer}") as seen:
        model(images)
    attention = unfused(model, images, f"layers.0.blocks.{layer}.attn").mean(dim=1)
    size = side // 4
    padded = -(-size // window) * window
    # Where each token of each window comes from: numbers of places through the block's own path.
    place = torch.arange(1, size * size + 1.0).view(size, size)
    place = place.roll([-one for one in block.shift_size], dims=(0, 1))
    plane = torch.zeros(padded, padded)
    plane[:size, :size] = place
    expected = torch.zeros(2, size * size)
    windows = (padded // window) ** 2
    for b in range(2):
        for w in range(windows):
            row, column = divmod(w, padded // window)
            rows = slice(row * window, row * window + window)
            names = plane[rows, column * window : column * window + window].flatten().long() - 1
            for i, query in enumerate(names.tolist()):
                for j, key in enumerate(names.tolist()):
                    if query >= 0 and key >= 0:
                        expected[b, key] += attention[b * windows + w, i, j] / size**2
    assert seen.grid == (size, size)
    torch.testing.assert_close(seen.mean_row(), expected)
    torch.testing.assert_close(seen.class_row(), expected)
    if window == 4:
        torch.testing.assert_close(expected.sum(dim=1), torch.ones(2))


def test_torchvisions_vit_and_timms_exotic_ones():
    timm = pytest.importorskip("timm", exc_type=ImportError)
    torchvision = pytest.importorskip("torchvision", exc_type=ImportError)
    model = torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=3).eval()
    images = torch.randn(2, 3, 32, 32)
    with attending(model) as seen:
        model(images)
    assert seen.class_row().shape == (2, 16)
    assert seen.name == "encoder.layers.encoder_layer_1.self_attention"
    for name in ("beit_base_patch16_224", "vit_relpos_small_patch16_224", "xcit_nano_12_p16_224"):
        with (
            torch.device("meta"),
            pytest.raises(ValueError, match="no attention that can be read"),
        ):
            attention_layers(timm.create_model(name))
