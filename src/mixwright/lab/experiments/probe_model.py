"""A small net, trained on the spot, for methods that look through a model; and which these are.

What a model looks at means something where it knows more than chance does: that is measured on
images that it was not trained on, unless they are too few to tell, and training goes on until it is
so, or a budget ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from mixwright.arguments import counted
from mixwright.lab.data.classes import fitted
from mixwright.lab.evaluation.predictions import correct_on
from mixwright.lab.experiments.run import new_model
from mixwright.lab.experiments.saved import load_saved
from mixwright.lab.training.recipe import Recipe
from mixwright.mixers import CARDS
from mixwright.outputs import take_logits

if TYPE_CHECKING:
    from mixwright.lab.data.lazy import LazyImages
    from mixwright.lab.data.sets import Dataset, ImageSet
    from mixwright.lab.experiments.methods import Method

MODEL = "smallconv"
_STEPS, _BATCH = 120, 32
_PIXELS = 32 * 32  # at which it takes so many steps; larger images get fewer
_ROUNDS = 4  # of training, each twice as long as the one before, while it knows too little
_MEASURED = 512  # images at most that show what it knows
_MARGIN = 0.25  # of what chance leaves, that it must know beside
_LUCK = 1e-3  # how often guesses may pass for knowledge


@dataclass(frozen=True, eq=False)
class ProbeModel:
    """A model that methods look through, and how it came about.

    Args:
        model: for images in [0, 1], in evaluation mode.
        note: a sentence on it, for captions.
        name: the model in a few words.
        data: the data set, its classes numbered as the model numbers them.
        doubt: a sentence that says why maps of what it sees mean little, or nothing.
    """

    model: nn.Module
    note: str
    name: str
    data: "Dataset"
    doubt: str = ""


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """How many images a model knows, and how many it would have to.

    Args:
        right: images that it knows.
        count: images that it was shown.
        kind: what they are, ``held-out`` or ``training``.
        chance: the share that is right where the most frequent class is always the answer.
        wanted: how many it must know for its maps to mean something; None where even all of them
            may be right by chance.
    """

    right: int
    count: int
    kind: str
    chance: float
    wanted: int | None

    @property
    def doubt(self) -> str:
        """Why maps of what the model sees mean little, in a sentence; nothing where they do not."""
        if self.wanted is None:
            return (
                "Whether the model knows enough for its maps to mean something cannot be told: "
                f"there are {self.count} {self.kind} images."
            )
        if self.right >= self.wanted:
            return ""
        return (
            f"The model knows too little for its maps to mean something: {self}; "
            f"{self.wanted / self.count:.0%} would be enough."
        )

    def __str__(self) -> str:
        """Say how much it knows."""
        return (
            f"it knows {self.right / self.count:.0%} of {self.count} {self.kind} images (chance is "
            f"{self.chance:.0%})"
        )


def knowledge_of(model: nn.Module, data: "Dataset") -> Knowledge:
    """Measure what a model knows of validation images, of test images where there are none.

    Where these are too few to tell, training images are looked at.
    """
    known = _known(model, data.validation or data.test, "held-out")
    return known if known.wanted is not None else _known(model, data.train, "training")


def _known(model: nn.Module, images: "ImageSet | LazyImages", kind: str) -> Knowledge:
    count = min(len(images), _MEASURED)
    rows = torch.linspace(0, len(images) - 1, count).round().long()  # of all classes
    labels = images.labels[rows]
    right = sum(
        int(correct_on(model, images.take(some).float() / 255, images.labels[some]).sum())
        for some in rows.split(_BATCH)
    )
    chance = labels.bincount().max().item() / count
    wanted = wanted_of(count, chance)
    return Knowledge(right=right, count=count, kind=kind, chance=chance, wanted=wanted)


def wanted_of(count: int, chance: float) -> int | None:
    """How many of ``count`` images to know: a quarter of what ``chance`` leaves, and no luck.

    None where guesses may be right for all of them more often than once in a thousand times.

    Example:
        >>> wanted_of(100, 0.1), wanted_of(10, 0.5), wanted_of(9, 0.5)
        (33, 10, None)
    """
    from scipy.stats import binom

    # The fewest that guesses reach no more often than ``_LUCK``.
    least = int(binom.isf(_LUCK, count, chance)) + 1
    least = max(least, ceil(count * (chance + _MARGIN * (1 - chance))))
    return least if least <= count else None


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
    recipe, epochs = saved.recipe, counted(saved.epoch, "epoch")
    known = knowledge_of(saved.models["raw"], data)
    note = (
        f"Methods that look through a model look through a {recipe.model} that was trained on "
        f"{recipe.data} with {recipe.method} for {epochs}; {known}."
    )
    name = f"a {recipe.model} trained on {recipe.data} with {recipe.method}"
    if known.doubt:
        on_message(f"{known.doubt} Another --run may know more.")
    return ProbeModel(saved.models["raw"], note, name, data, known.doubt)


def train_probe_model(
    data: "Dataset",
    *,
    seed: int,
    on_message: Callable[[str], None] | None = None,
    name: str = MODEL,
) -> ProbeModel:
    """Train a network on unmixed images until it knows enough for maps of what it sees.

    A first round takes a few seconds; where the net knows too little then, it goes on for rounds
    that are each twice as long, four in all. ``name`` is as ``build_model`` takes it. The same net
    for the same data, seed and machine.
    """
    steps = max(20, min(_STEPS, _STEPS * _PIXELS // data.image_size**2))

    def say(message: str) -> None:
        if on_message is not None:
            on_message(message)

    say(f"training {name} on {data.name} for {steps} steps, to look through it ...")
    model = new_model(Recipe(model=name, seed=seed), data)
    generator = torch.Generator().manual_seed(seed)
    _train(model, data, name=name, steps=steps, generator=generator)
    known, taken = knowledge_of(model, data), steps
    for turn in range(1, _ROUNDS):
        if not known.doubt or known.wanted is None:
            break
        more = steps * 2**turn
        say(f"{known}, too little to look through it: {more} steps more ...")
        _train(model, data, name=name, steps=more, generator=generator)
        known, taken = knowledge_of(model, data), taken + more
    say(f"{known}, after {taken} steps")
    if known.doubt:
        say(f"{known.doubt} Train one with mixwright train, and name its folder with --run.")
    note = (
        f"Methods that look through a model look through a {name} that was trained on unmixed "
        f"images of {data.name} for {taken} steps just before; {known}."
    )
    return ProbeModel(
        model.eval(), note, f"a {name} trained briefly on {data.name}", data, known.doubt
    )


def _train(
    model: nn.Module, data: "Dataset", *, name: str, steps: int, generator: torch.Generator
) -> None:
    """Train for so many steps, along one cosine."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(data.train), (_BATCH,), generator=generator)
        images, labels = data.train.take(rows).float() / 255, data.train.labels[rows]
        F.cross_entropy(take_logits(model(images), who=f"model {name}"), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        rate.step()


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
