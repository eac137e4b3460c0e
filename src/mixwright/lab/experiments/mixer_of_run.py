"""What ``load_mixer`` asks of the laboratory: an encoder by its name, and the mixer of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from mixwright.checkpoint import CheckpointError, fill
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.experiments.trained import learns_mixer
from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import normalised
from mixwright.lab.models.own import check_trusted
from mixwright.lab.training.convert import convert_checkpoint
from mixwright.lab.training.learner import build_criterion
from mixwright.lab.training.recipe import Recipe
from mixwright.mixers.learned import LearnedMixer
from mixwright.objectives import OBJECTIVES

_BUILD = ("name", "num_classes", "image_size", "channels")  # arguments of build_model
_SCALE = ("mean", "std")  # of Normalised


def encoder_from(
    how: Mapping[str, Any], file: Path | None = None, *, trust: bool = False
) -> nn.Module:
    """Build an encoder, with first weights, from the arguments of ``build_model``.

    ``mean`` and ``std``, both or neither, wrap it in ``Normalised``. ``file`` is where they were
    read; without ``trust`` it may name a network of the user's whose module is imported already.

    Raises:
        ValueError: something is missing or unknown, or there is no such model.
    """
    missing = [name for name in _BUILD if name not in how]
    odd = [name for name in how if name not in (*_BUILD, *_SCALE)]
    scaled = [name for name in _SCALE if how.get(name) is not None]
    if missing or odd or len(scaled) == 1:
        raise ValueError(
            f"encoder has {', '.join(how)}; expected {', '.join(_BUILD)}, and mean and std where "
            "it is wrapped in Normalised."
        )
    if file is not None:
        check_trusted(how["name"], file, trust=trust)
    net = build_model(
        how["name"],
        num_classes=int(how["num_classes"]),
        image_size=int(how["image_size"]),
        channels=int(how["channels"]),
    )
    return normalised(net, how["mean"], how["std"]) if scaled else net


def mixer_of_run(
    file: Path,
    state: Mapping[str, Any],
    encoder: Callable[[dict[str, Any]], nn.Module],
    *,
    trust: bool,
) -> LearnedMixer:
    """Return the mixer that a run has learned, from its checkpoint's state; see ``load_mixer``."""
    state = convert_checkpoint(state)
    recipe = Recipe.from_json(state["recipe"])
    method = parse_method(recipe.method, file=file, trust=trust)
    objective = method.objective(build_criterion(recipe))
    if not learns_mixer(type(objective)):
        known = [name for name, cls in OBJECTIVES.items() if learns_mixer(cls)]
        raise CheckpointError(
            f"{file}: its method is {recipe.method}, which learns no mixer; expected a run of one "
            f"that does: {', '.join(known)}."
        )
    channels, side = int(state["shape"][0]), int(state["shape"][1])
    how: dict[str, Any] = {"name": recipe.model, "num_classes": len(state["classes"])}
    how |= {"image_size": side, "channels": channels, "mean": state["mean"], "std": state["std"]}
    model = encoder(how)
    fill(model, state["weights"]["raw"], file, recipe.model)
    objective.build(model, len(state["classes"]))
    fill(objective, state["objective"], file, recipe.method)
    mixer: object = objective.trained_mixer()
    if not isinstance(mixer, LearnedMixer):
        raise CheckpointError(
            f"{file}: trained_mixer() of its method, {recipe.method}, gives a "
            f"{type(mixer).__name__}; expected a LearnedMixer."
        )
    mixer.about = {"encoder": how, "recipe": state["recipe"]}
    return mixer
