"""The small transformer: sizes, gradients, the same numbers as timm's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mixwright.lab.models import ModelError, build_model
from mixwright.lab.models.vit import SmallViT


def tiny(**options: Any) -> SmallViT:
    torch.manual_seed(0)
    return SmallViT(
        **{"num_classes": 4, "image_size": 16, "width": 16, "depth": 2, "heads": 2, **options}
    )


def test_the_named_network_has_its_size_and_ends_in_fc():
    model = build_model("smallvit", num_classes=10, image_size=32)
    assert isinstance(model, SmallViT)
    assert sum(parameter.numel() for parameter in model.parameters()) == 683_242
    assert model.fc.out_features == 10
    assert len(model.blocks) == 6
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    grey = build_model("smallvit", num_classes=3, image_size=12, channels=1)
    assert grey(torch.rand(2, 1, 12, 12)).shape == (2, 3)


def test_every_parameter_gets_a_gradient():
    model = tiny()
    F.cross_entropy(model(torch.rand(4, 3, 16, 16)), torch.arange(4)).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.count_nonzero() > 0, name


def test_other_sizes_get_positions_between():
    model = tiny().eval()
    assert model(torch.rand(2, 3, 24, 8)).shape == (2, 4)
    assert model._positions(4, 4) is model.pos_embed
    with torch.no_grad():
        model.pos_embed[:, 1:] = torch.arange(4.0).repeat_interleave(4).view(1, 16, 1)
    places = model._positions(8, 4)[0, 1:, 0].view(8, 4)
    assert torch.equal(places[0], places[0, :1].expand(4))
    assert (places[1:, 0] > places[:-1, 0]).all()  # rows stay rows


def test_patches_are_read_row_by_row_and_positions_tell_them_apart():
    model = tiny(depth=0)
    nn.init.zeros_(model.cls_token)
    image = torch.zeros(1, 3, 16, 16)
    image[:, :, 4:8, 8:12] = 1  # row 1, column 2
    tokens = model.patch_embed(image).flatten(2)[0].mT
    assert tokens.abs().sum(dim=1).nonzero().flatten().tolist() == [6]
    moved = image.roll(4, dims=3)
    deep = tiny().eval()
    for parameter in deep.parameters():
        nn.init.normal_(parameter, std=0.5)
    assert (deep(image) - deep(moved)).abs().max() > 0.01
    nn.init.zeros_(deep.pos_embed)
    torch.testing.assert_close(deep(image), deep(moved), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [(15, 16), (16, 18)])
def test_sizes_that_are_no_patches(size: tuple[int, int]):
    with pytest.raises(ValueError, match="multiples of 4 pixels"):
        tiny()(torch.rand(1, 3, *size))


def test_arguments_that_do_not_fit():
    with pytest.raises(ModelError, match="image_size is 30; expected a multiple of 4"):
        build_model("smallvit", num_classes=2, image_size=30)
    with pytest.raises(ValueError, match="width 10; expected multiples of patch, 4, and heads, 4"):
        SmallViT(num_classes=2, width=10)


def test_a_tiny_batch_is_learned():
    model = tiny()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(8, 3, 16, 16, generator=generator)
    labels = torch.arange(8) % 4
    optimiser = torch.optim.AdamW(model.parameters(), 5e-3)
    for _ in range(100):
        loss = F.cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.1


def test_it_computes_what_timms_does():
    timm = pytest.importorskip("timm", exc_type=ImportError)
    model = tiny().eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    theirs = timm.models.VisionTransformer(
        img_size=16, patch_size=4, embed_dim=16, depth=2, num_heads=2, num_classes=4
    ).eval()
    names = {"patch_embed.": "patch_embed.proj.", "fc.": "head.", ".mlp.0.": ".mlp.fc1."}
    names[".mlp.2."] = ".mlp.fc2."
    state = {}
    for name, value in model.state_dict().items():
        for ours, other in names.items():
            name = name.replace(ours, other)
        state[name] = value
    theirs.load_state_dict(state)
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(model(images), theirs(images), rtol=1e-4, atol=1e-4)
