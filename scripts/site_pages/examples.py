"""How each method is asked for: three lines of Python, and the command line."""

from __future__ import annotations

from mixwright.mixers import MIXERS
from mixwright.mixers.cards import Card

TRANSFORMERS = "for transformers."
"""How notes of cards end of methods that other networks cannot be trained with."""


def python_example(name: str, card: Card) -> str:
    """Code for a loop that has ``images``, ``labels`` and, where it is named, ``model``."""
    if name in MIXERS:
        looks = ", model=model" if card.needs == "model" else ""
        return (
            "import mixwright as mw\n\n"
            f"mix = mw.Mix(mw.{card.title}(), num_classes=10)\n"
            f"images, targets = mix(images, labels{looks})"
        )
    made = "mw.Mixed(mw.MixUp(), clean=1.0)" if name == "mixed" else f"mw.{card.title}()"
    search = (
        "objective.search(images, labels, generator=generator)  # once, on a few thousand images\n"
        if name == "dada"
        else ""
    )
    return (
        "import torch\nimport mixwright as mw\n\n"
        f"objective, generator = {made}, torch.Generator()\n"
        "objective.build(model, num_classes=10)  # before the optimiser is made\n"
        f"{search}"
        "losses = objective(model, images, labels, generator=generator, progress=0.0)\n"
        "losses.total.backward()"
    )


def command_example(name: str, card: Card) -> str:
    """The command that compares the method with no mixing."""
    if name == "mixed":  # it stands behind every mixer, with the option clean
        return "mixwright compare none mixup 'mixup:clean=1'"
    model = " --model smallvit" if card.note.endswith(TRANSFORMERS) else ""
    return f"mixwright compare none {name}{model}"
