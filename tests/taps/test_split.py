"""Attention with a layer each for queries, keys and values, against softmax written out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.taps.attention import attending, attention_layers, prefix_tokens


class Attention(nn.Module):
    """As Hugging Face has it: the names of ``words``, the mask added by the fused kernel."""

    def __init__(self, words: tuple[str, str, str] = ("q_proj", "k_proj", "v_proj")) -> None:
        super().__init__()
        self.words, self.num_attention_heads, self.scaling = words, 2, 0.7
        for word in words:
            self.add_module(word, nn.Linear(8, 8))
        self.o_proj = nn.Linear(8, 8)

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **kwargs: Any
    ) -> tuple[Tensor, None]:
        parts = [self.get_submodule(word)(hidden_states) for word in self.words]
        q, k, v = (part.unflatten(2, (2, 4)).transpose(1, 2) for part in parts)
        done = F.scaled_dot_product_attention(q, k, v, attention_mask, scale=self.scaling)
        return self.o_proj(done.transpose(1, 2).flatten(2)), None


class Model(nn.Module):
    """A class token and a register before 2 x 4 places."""

    def __init__(self, attention: nn.Module | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.config = SimpleNamespace(model_type="mine")
        self.cls_token = nn.Parameter(torch.randn(1, 1, 8))
        self.register_tokens = nn.Parameter(torch.randn(1, 1, 8))
        self.conv = nn.Conv2d(3, 8, 4, stride=4)
        self.attention = Attention() if attention is None else attention
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)
        self.head = nn.Linear(8, 3)

    def tokens(self, images: Tensor) -> Tensor:
        tokens = self.conv(images).flatten(2).transpose(1, 2)
        front = [
            part.expand(len(tokens), -1, -1) for part in (self.cls_token, self.register_tokens)
        ]
        return torch.cat([*front, tokens], dim=1)

    def forward(self, pixel_values: Tensor, **named: Any) -> Tensor:
        return self.head(self.attention(hidden_states=self.tokens(pixel_values), **named)[0][:, 0])


@torch.no_grad()
def slow(attention: Attention, tokens: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attention (B, T, T), its mean over the heads, one query and one head at a time."""
    query, key = (attention.get_submodule(word)(tokens) for word in attention.words[:2])
    found = torch.zeros(len(tokens), 2, tokens.shape[1], tokens.shape[1])
    for b in range(len(tokens)):
        for head in (0, 1):
            part = slice(4 * head, 4 * head + 4)
            for i, one in enumerate(query[b]):
                scores = torch.stack([0.7 * (one[part] * other[part]).sum() for other in key[b]])
                if bias is not None:
                    scores = scores + bias[min(b, len(bias) - 1), min(head, bias.shape[1] - 1), i]
                share = (scores - scores.max()).exp()
                found[b, head, i] = share / share.sum()
    return found.mean(dim=1)


@pytest.mark.parametrize("words", [("q_proj", "k_proj", "v_proj"), ("query", "key", "value")])
def test_rows_are_those_of_the_softmax(words: tuple[str, str, str]):
    model, images = Model(Attention(words)), torch.randn(2, 3, 8, 16)
    with attending(model) as seen:
        model(pixel_values=images)
    whole = slow(model.attention, model.tokens(images))
    assert seen.grid == (2, 4)
    torch.testing.assert_close(seen.class_row(), whole[:, 0, 2:])
    torch.testing.assert_close(seen.mean_row(), whole[:, 2:, 2:].mean(dim=1))
    assert whole[:, 0, 2:].std() > 0.005


@pytest.mark.parametrize("heads", [1, 2])
def test_a_mask_counts_where_it_is_added_and_where_it_is_a_switch(heads: int):
    model, images = Model(), torch.randn(2, 3, 8, 16)
    added = torch.randn(1, heads, 10, 10)
    with attending(model) as seen:
        model(images, attention_mask=added)
    whole = slow(model.attention, model.tokens(images), added)
    torch.testing.assert_close(seen.class_row(), whole[:, 0, 2:])
    torch.testing.assert_close(seen.mean_row(), whole[:, 2:, 2:].mean(dim=1))
    allowed = torch.rand(2, 1, 1, 10) < 0.5
    allowed[..., 0] = True
    with attending(model) as seen:
        model(images, attention_mask=allowed)
    bias = torch.where(allowed, 0.0, -torch.inf).expand(2, 1, 10, 10)
    whole = slow(model.attention, model.tokens(images), bias)
    torch.testing.assert_close(seen.class_row(), whole[:, 0, 2:])
    with attending(model) as seen:  # the mask of an earlier forward is forgotten
        model(images)
    whole = slow(model.attention, model.tokens(images))
    torch.testing.assert_close(seen.class_row(), whole[:, 0, 2:])


def test_tensors_that_turn_queries_are_refused():
    model, images = Model(), torch.randn(2, 3, 8, 16)
    turns = (torch.ones(10, 4), torch.ones(10, 4))
    with attending(model), pytest.raises(ValueError, match="beside its hidden_states, its kwargs"):
        model(images, position_embeddings=turns)


class Bottleneck(nn.Module):
    """Makes a low-rank update, as adapters put in the place of a Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.base, self.down, self.up = nn.Linear(8, 8), nn.Linear(8, 2), nn.Linear(2, 8)
        self.in_features = self.out_features = 8

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + self.up(self.down(x))


def test_layers_put_in_place_of_a_linear_are_read_too():
    attention = Attention()
    attention.q_proj = Bottleneck()
    model, images = Model(attention), torch.randn(2, 3, 8, 16)
    with attending(model) as seen:
        model(images)
    whole = slow(attention, model.tokens(images))
    torch.testing.assert_close(seen.class_row(), whole[:, 0, 2:])


@pytest.mark.parametrize(
    "part",
    [
        {"q_norm": nn.LayerNorm(4)},
        {"spatial_reduction": nn.Conv2d(8, 8, 2, stride=2)},
        {"logit_scale": nn.Parameter(torch.ones(2))},
        {"is_causal": True},
        {"scaling": None},
        {"num_attention_heads": 3},
        {"relative_position_bias": nn.Linear(2, 2)},
    ],
)
def test_layers_that_attend_by_more_are_not_read(part: dict[str, Any]):
    attention = Attention()
    for word, value in part.items():
        setattr(attention, word, value)
    with pytest.raises(ValueError, match="Model has no attention that can be read"):
        attention_layers(Model(attention))


def test_tokens_in_front_are_counted_among_the_parameters():
    assert prefix_tokens(Model(), 33) == 2  # what is left beside the largest square would be 8
    plain = Model()
    del plain.cls_token, plain.register_tokens
    assert prefix_tokens(plain, 33) == 0
