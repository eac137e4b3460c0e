"""Attention of Hugging Face's models read from one forward, against what they give when eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.mixers import AttentiveCutMix, PuzzleMix, SaliencyMix, SnapMix
from mixwright.objectives import ManifoldMix, TokenMix, TransMix
from mixwright.saliency import ClassActivation, InputGradient
from mixwright.taps.attention import attending, attention_layers, prefix_tokens

transformers: Any = pytest.importorskip("transformers")

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}


def make(family: str, **options: Any) -> nn.Module:
    """A tiny model of random weights, large enough for attention that is far from even."""
    torch.manual_seed(0)
    made = getattr(transformers, f"{family}Config")
    config = made(**{**SIZES, "num_labels": 5, **options})
    model = getattr(transformers, f"{family}ForImageClassification")(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def vision(family: str) -> nn.Module:
    vision = {name: SIZES[name] for name in SIZES}
    text = {name: SIZES[name] for name in list(SIZES)[:4]} | {"vocab_size": 8}
    tokens = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(
        vision_config=vision, text_config={**text, **tokens}, num_labels=5
    )
    model = getattr(transformers, f"{family}ForImageClassification")(config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


Make = Callable[[], nn.Module]

# The model, its tokens in front, and whether the class is read from the first of them.
FAMILIES: dict[str, tuple[Make, int, bool]] = {
    "vit": (lambda: make("ViT"), 1, True),
    "deit": (lambda: make("DeiT"), 2, True),
    "dinov2": (lambda: make("Dinov2"), 1, True),
    "dinov2 with registers": (lambda: make("Dinov2WithRegisters", num_register_tokens=3), 4, True),
    "beit": (
        lambda: make("Beit", use_relative_position_bias=True, use_mean_pooling=False),
        1,
        True,
    ),
    "beit, pooled": (lambda: make("Beit", use_shared_relative_position_bias=True), 1, False),
    "clip": (lambda: vision("CLIP"), 1, False),
    "siglip": (lambda: vision("Siglip"), 0, False),
}


def eager(model: Any, images: Tensor, **options: Any) -> list[Tensor]:
    """The model's own attentions, as it gives them when it computes them written out."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        return list(model(pixel_values=images, output_attentions=True, **options).attentions)


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_are_those_that_the_model_gives_when_eager(family: str):
    build, prefix, by_class = FAMILIES[family]
    model, images = build(), torch.randn(2, 3, 32, 32)
    assert model.config._attn_implementation == "sdpa"  # which gives no attentions
    for layer in (None, attention_layers(model)[0]):
        with attending(model, layer) as seen, torch.no_grad():
            logits = model(pixel_values=images).logits
        model.set_attn_implementation("sdpa")
        whole = eager(model, images)[-1 if layer is None else 0].mean(dim=1)
        assert prefix_tokens(model, whole.shape[1]) == prefix
        assert seen.grid == (4, 4)
        mean = whole[:, prefix:, prefix:].mean(dim=1)
        torch.testing.assert_close(seen.mean_row(), mean)
        wanted = whole[:, 0, prefix:] if by_class else mean
        torch.testing.assert_close(seen.class_row(), wanted)
        assert whole[:, 0, prefix:].std() > 5e-4
        model.set_attn_implementation("sdpa")
        torch.testing.assert_close(model(images).logits, logits)  # and the model is as it was


def test_images_that_are_not_square():
    model, images = make("ViT", image_size=(16, 64), patch_size=(8, 8)), torch.randn(2, 3, 16, 64)
    with attending(model) as seen:
        model(images)
    whole = eager(model, images)[-1].mean(dim=1)
    assert seen.grid == (2, 8)
    torch.testing.assert_close(seen.class_row(), whole[:, 0, 1:])


@pytest.mark.parametrize("side", [32, 40])  # of 40 pixels, the map is padded to whole windows
@pytest.mark.parametrize("block", [0, 1])  # the second is shifted
def test_windows_of_swin(side: int, block: int):
    torch.manual_seed(0)
    depths = [block + 1, 2]  # the last block of a stage is the one whose attention it gives
    config = transformers.SwinConfig(
        embed_dim=8, depths=depths, num_heads=[2, 2], window_size=4, image_size=side, patch_size=4
    )
    model = transformers.SwinForImageClassification(config).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    images = torch.randn(2, 3, side, side)
    with attending(model, f"swin.encoder.layers.0.blocks.{block}") as seen, torch.no_grad():
        model(images)
    windows = eager(model, images)[0].mean(dim=1)  # (B windows, 16, 16)
    grid = side // 4
    padded, shift = -(-grid // 4) * 4, 2 * block
    whole = torch.zeros(2, grid * grid, grid * grid)
    windows = windows.view(2, padded // 4, padded // 4, 16, 16)
    for down in range(padded // 4):
        for across in range(padded // 4):
            # Places of the padded map, rolled by the shift, that this window looks at.
            where = [
                ((down * 4 + row + shift) % padded, (across * 4 + column + shift) % padded)
                for row in range(4)
                for column in range(4)
            ]
            for i, (y, x) in enumerate(where):
                for j, (v, u) in enumerate(where):
                    if max(y, x, v, u) < grid:
                        whole[:, y * grid + x, v * grid + u] = windows[:, down, across, i, j]
    assert seen.grid == (grid, grid)
    torch.testing.assert_close(seen.mean_row(), whole.mean(dim=1))
    torch.testing.assert_close(seen.class_row(), whole.mean(dim=1))  # it has no class token


def test_transmix_weighs_by_the_attention_of_the_mixed_images():
    model = make("ViT")
    images, labels = torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    objective = TransMix(p=1.0)
    objective.build(model, 5)
    losses = objective(
        model, images, labels, generator=torch.Generator().manual_seed(0), progress=0.0
    )
    plan = losses.plan
    assert plan is not None
    row = eager(model, plan.images(images))[-1].mean(dim=1)[:, 0, 1:]
    keep = plan.mask[:, 0].expand(4, 32, 32)[:, ::8, ::8].flatten(1)  # each token's first pixel
    own = (row * keep).sum(dim=1) / row.sum(dim=1)
    area = plan.mask[:, 0].mean(dim=(1, 2))
    torch.testing.assert_close(plan.weight[:, 0], (own + area) / 2)
    losses.total.backward()
    assert all(weight.grad is not None for weight in model.vit.layers[0].parameters())


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("Swinv2", {"embed_dim": 8, "depths": [1], "num_heads": [2], "window_size": 4}),
        ("ConvNext", {"hidden_sizes": [8, 8], "depths": [1, 1], "num_stages": 2}),
    ],
)
def test_models_without_attention_of_this_kind_are_refused(family: str, options: dict[str, Any]):
    config = getattr(transformers, f"{family}Config")(image_size=32, num_labels=5, **options)
    model = getattr(transformers, f"{family}ForImageClassification")(config)
    with pytest.raises(ValueError, match=f"{family}ForImageClassification has no attention that"):
        attention_layers(model)


# ------------------------------------------------------------------ maps, layers and gradients


def small(family: str) -> Any:
    torch.manual_seed(0)
    options = {
        "ViT": SIZES,
        "DeiT": SIZES,
        "Swin": {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 2},
        "ConvNext": {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2},
        "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    }[family]
    if family == "ResNet":
        options = {**options, "layer_type": "basic"}
    elif family != "ViT":
        options = {"image_size": 32, **options}
    config = getattr(transformers, f"{family}Config")(num_labels=5, **options)
    return getattr(transformers, f"{family}ForImageClassification")(config).eval()


def last_features(family: str, model: Any, images: Tensor) -> Tensor:
    """The map (B, C, h, w) of the last hidden state, as the model's own output has it."""
    inner = model.base_model
    with torch.no_grad():
        state = inner(images).last_hidden_state
    if state.ndim == 4:
        return state
    state = state[:, {"ViT": 1, "DeiT": 2, "Swin": 0}[family] :]
    side = int(state.shape[1] ** 0.5)
    return state.mT.unflatten(2, (side, side))


@pytest.mark.parametrize("family", ["ViT", "DeiT", "Swin", "ConvNext", "ResNet"])
def test_maps_and_gradients_are_those_of_the_models_own_outputs(family: str):
    model, images, labels = small(family), torch.rand(3, 3, 32, 32), torch.tensor([0, 4, 2])
    features = last_features(family, model, images)
    linear = [layer for layer in model.classifier.modules() if isinstance(layer, nn.Linear)][-1]
    found = torch.einsum("bchw,bc->bhw", features, linear.weight.detach()[labels])
    wanted = F.interpolate(found[:, None], (32, 32), mode="bilinear")[:, 0]
    wanted = wanted - wanted.amin(dim=(1, 2), keepdim=True)
    torch.testing.assert_close(
        ClassActivation()(images, labels, model=model), wanted, atol=1e-4, rtol=1e-4
    )
    pixels = images.clone().requires_grad_()
    losses = F.cross_entropy(model(pixel_values=pixels).logits, labels, reduction="none")
    (slope,) = torch.autograd.grad(losses.sum(), pixels)
    given = InputGradient()(images, labels, model=model)
    torch.testing.assert_close(
        given / given.sum(), slope.square().mean(dim=1).sqrt() / slope.square().mean(1).sqrt().sum()
    )


def test_manifoldmix_mixes_what_a_layer_gives():
    model = small("ViT")
    images, labels = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    objective = ManifoldMix(layers=("vit.layers.0",))
    losses = objective(
        model, images, labels, generator=torch.Generator().manual_seed(0), progress=0.0
    )
    plan = losses.plan
    assert plan is not None
    lam = plan.weight[:, 0].view(4, 1, 1)
    assert not torch.equal(lam, torch.ones_like(lam))
    vit = model.vit
    tokens = vit.layers[0](vit.embeddings(images))
    tokens = lam * tokens + (1 - lam) * tokens[plan.index[:, 1]]
    logits = model.classifier(vit.layernorm(vit.layers[1](tokens))[:, 0])
    torch.testing.assert_close(losses.logits, logits)


@pytest.mark.parametrize("family", ["ViT", "DeiT", "Swin", "ConvNext", "ResNet"])
def test_methods_that_look_into_a_model_run_on_it_as_it_is(family: str):
    model = small(family).train()
    images, labels = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
    generator = torch.Generator().manual_seed(0)
    for mixer in (PuzzleMix(), SnapMix(), SaliencyMix(), AttentiveCutMix()):
        plan = mixer.plan(images, labels, generator=generator, model=model)
        plan.check()
        assert (plan.weight[:, 0] < 1).any()
    methods: list[Any] = [ManifoldMix(), TokenMix(p=1.0)]
    if family not in ("ConvNext", "ResNet"):
        methods.append(TransMix(p=1.0))
    for objective in methods:
        objective.build(model, 5)
        model.zero_grad()
        losses = objective(model, images, labels, generator=generator, progress=0.5)
        losses.total.backward()
        first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        assert first.weight.grad is not None
        assert first.weight.grad.abs().sum() > 0
