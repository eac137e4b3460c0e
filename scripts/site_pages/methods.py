"""The pages of all methods, and the table that leads to them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from mixwright.mixers import MIXERS
from mixwright.objectives import OBJECTIVES
from site_pages.card_page import METHOD_CARDS, METHODS, card_page
from site_pages.examples import TRANSFORMERS
from site_pages.pictures import Picture, write_photographs, write_pictures
from site_pages.record_rows import step_times

FOLDER = "methods"

_SHORT_RULES = {
    "mask": "mean of the mask",
    "share": "share drawn",
    "content": "what is seen",
    "own": "not mixed",
}
_WHY_NONE = {
    "mixed": "Its pictures are those of the mixer that it is given.",
    "manifoldmix": "There is no picture: what is mixed are features inside the network. At the "
    "input it is [MixUp](mixup.md).",
    "alignmix": "There is no picture: what is mixed are the last features. Half of the batches are "
    "mixed as images, by [MixUp](mixup.md).",
    "decoupledmix": "Its pictures are those of the mixer that it is given, [MixUp](mixup.md) by "
    "default: what differs is the loss.",
    "recursivemix": "There is no picture of a single step: each pastes the mixture of the step "
    "before, as [ResizeMix](resizemix.md) pastes an image.",
    "tokenmixup": "There is no picture: tokens are replaced inside the network.",
    "smmix": "There is no picture: both windows follow the attention of a transformer that is "
    "being trained.",
    "meada": "There is no picture: nothing is mixed, and the change of the pixels is too small to "
    "see at this size.",
    "dada": "There is no picture: nothing is mixed, and what is done to an image is found by a "
    "search on your data.",
    "spectral": "There is no picture: amplitudes follow the model that is being trained.",
}
_LEARNED = (
    "A picture depends on what its mask network has learned, and before training it has learned "
    "nothing: `mixwright gallery trained:run=PATH` draws that of a run of yours. What ours "
    "learned, in short runs, is [in the records](../records/cifar10-resnet8-learned.md)."
)


def write_method_pages(pages: Path, *, pictures: bool = True) -> list[str]:
    """Write the page of every method and the table of all; return their places in the site."""
    folder = pages / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    if pictures:
        write_photographs(folder / "pictures")
    for name in METHODS:
        drawn = _drawn(name, folder / "pictures") if pictures else []
        text = card_page(name, drawn, _WHY_NONE.get(name, _LEARNED))
        (folder / f"{name}.md").write_text(text)
    (folder / "index.md").write_text(_index())
    return [f"{FOLDER}/index.md", *(f"{FOLDER}/{name}.md" for name in METHODS)]


def _drawn(name: str, folder: Path) -> list[Picture]:
    """Pictures of a mixer, or of the mixer of an objective whose masks are its own."""
    if name in MIXERS:
        return write_pictures(name, MIXERS[name](), folder)
    if name in _WHY_NONE:
        return []
    mixer: Any = getattr(OBJECTIVES[name](), "mixer", None)
    return [] if not dataclasses.is_dataclass(mixer) else write_pictures(name, mixer, folder)


def _index() -> str:
    return (
        "---\ntitle: All methods\n---\n\n# All methods\n\n"
        "Every method of mixwright, each with a page of its own: formula, pictures, cost, how "
        "labels are weighed, when not to use it, options and citation. How they are put together "
        "stands in [methods](../methods.md), which one to take in "
        "[the guide](../which-method.md).\n\n"
        "## Mixers\n\nWhat is mixed with what, where, and how much of each label.\n\n"
        + _table(MIXERS)
        + "\n\n## Training objectives\n\nHow a model learns from mixing; they run the model "
        "themselves.\n\n"
        + _table(OBJECTIVES)
        + "\n\nA step is counted in forwards and backwards and compared with one without mixing; "
        "the measured step is a median on a CPU that other work shared ([records]"
        "(../records/index.md#what-a-training-step-costs)).\n\n"
        "The photographs are scikit-image's: cat by Stefan van der Walt, coffee by Rachel "
        "Michetti, rocket by SpaceX (all CC0), astronaut by NASA (public domain).\n"
    )


def _table(names: dict[str, Any]) -> str:
    rows: list[str] = []
    for name in names:
        card = METHOD_CARDS[name]
        looks = "transformer" if card.note.endswith(TRANSFORMERS) else card.needs
        steps = list(step_times(name).values())
        measured = f"{steps[0]:.2f}" if steps else "\N{EN DASH}"
        rows.append(
            f"| [{card.title}]({name}.md) | {card.note} | {looks} | {_SHORT_RULES[card.labels]} | "
            f"{card.times:.2f} | {measured} |"
        )
    return (
        "| method | what it does | needs | labels | exact step | measured |\n"
        "|---|---|---|---|---|---|\n" + "\n".join(rows)
    )
