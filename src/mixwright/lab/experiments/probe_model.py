"""A small net, trained on the spot, for methods that look through a model; and which these are."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from mixwright.lab.data.classes import fitted
from mixwright.lab.experiments.run import new_model
from mixwright.lab.experiments.saved import load_saved
from mixwright.lab.training.recipe import Recipe
from mixwright.mixers import CARDS
from mixwright.outputs import take_logits

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.methods import Method

MODEL = "smallconv"
_STEPS, _BATCH = 120, 32
_PIXELS = 32 * 32  # at which it takes so many steps; larger images get fewer


@dataclass(frozen=True, eq=False)
class ProbeModel:
    """A model that methods look through, and how it came about.

    Args:
        model: for images in [0, 1], in evaluation mode.
        note: a sentence on it, for captions.
        name: the model in a few words.
        data: the data set, its classes numbered as the model numbers them.
    """

    model: nn.Module
    note: str
    name: str
    data: "Dataset"


def find_probe_model(
    data: "Dataset",
    run: str | None,
    *,
    seed: int,
    on_message: Callable[[str], None],
    trust: bool = False,
    model: str | None = None,
) -> ProbeModel:
    """Return the trained model of a run folder or checkpoint, else a net trained on the spot.

    ``trust`` imports the module of a network of the user's that the run names; ``model`` is the
    net that is trained, ``MODEL`` where none is named.

    Raises:
        ValueError: the run cannot be read, or does not fit the data; or there is no such net, or it
            is named beside a run.
    """
    if run is None:
        return train_probe_model(data, seed=seed, on_message=on_message, name=model or MODEL)
    if model is not None:
        raise ValueError(
            f"--run {run} and --model {model} are both given; expected one: the model of the run, "
            "or a network that is trained for a few seconds."
        )
    saved = load_saved(Path(run), image_size=data.image_size, channels=data.channels, trust=trust)
    data, sentence = fitted(data, saved.classes, what=f"--run {run}", where=f"--data {data.name}")
    if sentence:
        on_message(sentence)
    recipe, epochs = saved.recipe, f"{saved.epoch} epoch{'' if saved.epoch == 1 else 's'}"
    note = (
        f"Methods that look through a model look through a {recipe.model} that was trained on "
        f"{recipe.data} with {recipe.method} for {epochs}."
    )
    name = f"a {recipe.model} trained on {recipe.data} with {recipe.method}"
    return ProbeModel(saved.models["raw"], note, name, data)


def train_probe_model(
    data: "Dataset",
    *,
    seed: int,
    on_message: Callable[[str], None] | None = None,
    name: str = MODEL,
) -> ProbeModel:
    """Train a network for a few seconds on unmixed images, enough for maps of what it sees.

    ``name`` is as ``build_model`` takes it. The same net for the same data, seed and machine.
    """
    pixels = data.image_size**2
    steps = max(20, min(_STEPS, _STEPS * _PIXELS // pixels))
    if on_message is not None:
        on_message(f"training {name} on {data.name} for {steps} steps, to look through it ...")
    model = new_model(Recipe(model=name, seed=seed), data)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    known, seen = 0, 0
    for step in range(steps):
        rows = torch.randint(len(data.train), (_BATCH,), generator=generator)
        images, labels = data.train.take(rows).float() / 255, data.train.labels[rows]
        logits = take_logits(model(images), who=f"model {name}")
        F.cross_entropy(logits, labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        rate.step()
        if step >= 3 * steps // 4:
            known += int((logits.argmax(dim=1) == labels).sum())
            seen += len(labels)
    note = (
        f"Methods that look through a model look through a {name} that was trained on unmixed "
        f"images of {data.name} for {steps} steps just before; it knew {known / seen:.0%} of the "
        "last training images."
    )
    return ProbeModel(model.eval(), note, f"a {name} trained briefly on {data.name}", data)


def looks_through_model(method: "Method") -> bool:
    """Return whether a method's mixer may need a model to draw a plan.

    True for mixers whose card says so, and for classes of users, which have no card.
    """
    mixer = method.mixer()
    if mixer is None:
        return False
    if method.parts[0].learns:
        names = [type(mixer).__name__.lower()]
    else:
        names = [part.name for part in method.parts if part.name != "trained"]  # has its own
    return any(name not in CARDS or CARDS[name].needs == "model" for name in names)
