"""A network from its checkpoint: built by the recipe's name, filled with the weights kept there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mixwright.checkpoint import CheckpointError
from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised, normalised
from mixwright.lab.models.own import check_trusted
from mixwright.lab.training.recipe import Recipe


def rebuild(
    path: Path,
    state: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    *,
    image_size: int,
    channels: int,
    trust: bool = False,
) -> Normalised:
    """Build the network of a checkpoint with one of its sets of weights, in evaluation mode.

    ``recipe``, ``classes``, ``mean`` and ``std`` of the state are read; ``path`` is for messages.
    torch's global generator is left as it was: first weights are drawn, but to be replaced.
    ``trust`` imports the module of a network of the user's, which otherwise is imported already.
    """
    recipe = Recipe.from_json(state["recipe"])
    check_trusted(recipe.model, path, trust=trust)
    with torch.random.fork_rng(devices=[]):
        net = build_model(
            recipe.model,
            num_classes=len(state["classes"]),
            image_size=image_size,
            channels=channels,
        )
    model = normalised(net, state["mean"], state["std"])
    for name, layer in model.named_modules():  # a head for mixed images has a bias in any case
        own = getattr(layer, "bias", None)
        if isinstance(layer, nn.Linear) and own is None and f"{name}.bias" in weights:
            layer.bias = nn.Parameter(torch.zeros(layer.out_features))
    try:
        model.load_state_dict(dict(weights))
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: its weights do not fit {recipe.model} for images of {channels} channels "
            f"and {image_size} pixels: {str(error).splitlines()[0]}"
        ) from None
    return model.eval()
