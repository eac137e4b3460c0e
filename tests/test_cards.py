"""What cards say of labels and papers, against plans that were drawn and docs/references.bib."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cases import CASES
from mixwright.lab.models.resnet import ThinResNet
from mixwright.lab.models.vit import SmallViT
from mixwright.mixers import CARDS, MIXERS, CoMixup
from mixwright.objectives import DADA, OBJECTIVE_CARDS, OBJECTIVES, Mixed, Objective
from mixwright.objectives.dada import PolicyStep
from mixwright.plan import MixPlan
from mixwright.sampling import stream
from probe import probe

ALL_CARDS = CARDS | OBJECTIVE_CARDS
CLASSES, SIDE = 3, 32
BIBLIOGRAPHY = Path(__file__).parents[1] / "docs" / "references.bib"


def rule_of(plan: MixPlan | None) -> str:
    """Find by which rule the labels of a plan are weighed."""
    if plan is None:
        return "own"
    area = plan.mask.float().mean(dim=tuple(range(2, plan.mask.ndim)))
    own = torch.zeros_like(plan.weight)
    own[:, 0] = 1

    def is_weight(other: Tensor) -> bool:
        return torch.allclose(plan.weight, other, atol=1e-5)

    if is_weight(own):
        return "own"
    if is_weight(area):
        return "mask"
    if plan.lam is not None and torch.allclose(plan.weight[:, 0], plan.lam, atol=1e-5):
        return "share"
    return "content"


def batch(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise in which each class lights a corner of its own, so that saliency differs."""
    images = torch.rand(count, 3, SIDE, SIDE, generator=stream(seed)) / 4
    labels = torch.arange(count) % CLASSES
    for image, label in zip(images, labels.tolist(), strict=True):
        row, column = divmod(label, 2)
        image[:, row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] += 0.75
    return images, labels


@pytest.mark.parametrize("name", MIXERS)
def test_labels_of_a_mixer_are_weighed_as_its_card_says(name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    images, labels = batch(8, 0)
    mixer: Any = case.mixer if name != "comixup" else CoMixup(saliency=lambda x, *_, **__: x[:, 0])
    model = probe("cpu")
    plan = mixer.plan(images, labels, generator=stream(1), model=model)
    assert rule_of(plan) == CARDS[name].labels


def network(transformer: bool) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if transformer:
            return SmallViT(num_classes=CLASSES, width=16, depth=4, heads=2)
        return ThinResNet(8, num_classes=CLASSES)


def one_step(objective: Objective, model: nn.Module) -> MixPlan | None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        objective.build(model, CLASSES)
    if isinstance(objective, DADA):  # its search comes before the first step
        objective.use([(PolicyStep("Invert", 0.5, 0.5), PolicyStep("Rotate", 0.5, 0.7))] * 25)
    generator, plan = stream(0), None
    for seed in range(2):  # the first batch of RecursiveMix has no history
        plan = objective(model, *batch(6, seed), generator=generator, progress=0.5).plan
    return plan


@pytest.mark.parametrize("name", OBJECTIVES)
def test_labels_of_an_objective_are_weighed_as_its_card_says(name: str) -> None:
    cls: Any = OBJECTIVES[name]
    if cls is Mixed:  # by its mixer's rule
        assert OBJECTIVE_CARDS[name].labels == "mask"
        return
    always = {
        "p": 1.0,
        "p_input": 0.0,
        "tau": 10.0,
        "rho": 0.0,
    }  # so that the step is the method's own
    options = {key: always[key] for key in always if key in inspect.signature(cls).parameters}
    try:
        plan = one_step(cls(**options), network(transformer=False))
    except ValueError:
        plan = one_step(cls(**options), network(transformer=True))
    assert rule_of(plan) == OBJECTIVE_CARDS[name].labels


def entries() -> dict[str, dict[str, str]]:
    """The entries of the bibliography by key: their fields without the braces of BibTeX."""
    found: dict[str, dict[str, str]] = {}
    for _, key, body in re.findall(
        r"^@(\w+)\{(\w+),\n(.*?)^\}", BIBLIOGRAPHY.read_text(), re.M | re.S
    ):
        fields = re.findall(r"^  (\w+) = \{(.*)\},$", body, re.M)
        assert len(fields) == body.count("\n"), key
        found[key] = {name: re.sub(r"[{}]", "", value) for name, value in fields}
    return found


def test_the_bibliography_holds_what_cards_cite_and_nothing_else() -> None:
    cited = {key for card in ALL_CARDS.values() for key in card.cites}
    assert cited == set(entries())
    assert all(card.cites for card in ALL_CARDS.values())


@pytest.mark.parametrize("key", entries())
def test_an_entry_is_complete(key: str) -> None:
    entry = entries()[key]
    assert {"title", "author", "year"} <= set(entry)
    assert key.startswith(entry["author"].split(",")[0].lower().replace("-", "") + entry["year"])
    assert re.fullmatch(r"\d{4}\.\d{5}", entry.get("eprint", "2000.00000"))
    assert ("archiveprefix" in entry) == ("eprint" in entry)


@pytest.mark.parametrize("name", ALL_CARDS)
def test_a_card_and_its_papers_agree(name: str) -> None:
    card, cls = ALL_CARDS[name], (MIXERS | OBJECTIVES)[name]
    said = " ".join((inspect.getdoc(cls) or "").split()).lower()
    for key in card.cites:
        entry = entries()[key]
        first = entry["author"].split(",")[0]
        assert first in card.paper
        assert entry["year"] in card.paper
        if name != "mixed":  # cited for its clean weight alone
            assert entry["title"].lower() in said
        venue = re.search(r"\((\w+)\)", entry.get("booktitle", ""))
        assert venue is None or venue[1] in card.paper
    prints = [entry["eprint"] for key in card.cites if (entry := entries()[key]).get("eprint")]
    if "arxiv.org" in card.link:
        assert card.link.removeprefix("https://arxiv.org/abs/") in prints


@pytest.mark.parametrize("name", ALL_CARDS)
def test_a_card_is_filled_in(name: str) -> None:
    card = ALL_CARDS[name]
    assert card.note.endswith(".")
    assert card.formula.count("\n") >= 1
    assert len(card.limits) > 60
    assert card.limits.endswith(".")
