"""The page of every method: all its parts, made of what the method says, and code that runs."""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from mixwright.lab.models.resnet import ThinResNet
from mixwright.lab.models.vit import SmallViT
from mixwright.mixers import MIXERS
from mixwright.objectives import MixPro, TokenMix
from mixwright.sampling import stream
from site_pages import card_page as cards
from site_pages.card_page import METHOD_CARDS, METHODS, SECTIONS, card_page
from site_pages.examples import TRANSFORMERS, command_example, python_example
from site_pages.methods import write_method_pages
from site_pages.pictures import Picture

every = pytest.mark.parametrize("name", METHODS)


@pytest.fixture(autouse=True)
def _no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shares are measured anew for each page; here it is enough that they get there."""
    monkeypatch.setattr(cards, "measured_share", lambda mixer, lam: lam + 0.0625)


def parts_of(page: str) -> dict[str, str]:
    found = re.split(r"^## (.+)$", page, flags=re.M)
    return dict(zip(found[1::2], found[2::2], strict=True))


@every
def test_a_page_has_every_part(name: str) -> None:
    card = METHOD_CARDS[name]
    pictures = [Picture(file=f"{name}-0.webp", caption="lam = 0.5", alt="a mask")]
    page = card_page(name, pictures)
    parts = parts_of(page)
    assert set(SECTIONS) <= set(parts)
    assert all(text.strip() for text in parts.values())
    assert card.formula in parts["Formula"]
    assert f"](pictures/{name}-0.webp)" in parts["What it does"]
    assert card.limits in parts["When not to use it"]
    assert parts["Citation"].count("@") == len(card.cites)
    assert page.count(f"`src/mixwright/{'mixers' if name in MIXERS else 'objectives'}/") == 1


@every
def test_a_page_explains_every_option(name: str) -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (.+?) \| (.*) \|$", parts_of(card_page(name, []))["Options"], re.M
    )
    assert [option for option, *_ in rows] == list(inspect.signature(METHODS[name]).parameters)
    assert [option for option, default, text in rows if not text or not default] == []


def test_options_have_the_defaults_of_the_command_line() -> None:
    options = parts_of(card_page("cutmix", []))["Options"]
    assert "| `alpha` | `1` |" in options
    assert "| `box` | `official` |" in options
    assert "| `lam` | `none` |" in options


def test_a_page_says_how_the_records_judge() -> None:
    """Of benchmarks/results/README.md: FMix 93.0 on digits, 1.9 above no mixing, p 0.009."""
    row = next(
        line
        for line in card_page("fmix", []).splitlines()
        if line.startswith("| [digits](../records/digits.md)")
    )
    assert "`fmix` | 93.0 ± 0.6 | +1.9 ± 1.5 | 0.009 |" in row


def test_a_page_says_what_was_measured() -> None:
    """Of the records: 1.53, 1.80 and 3.02 plain steps; MixUp without targets 1.21 times a lerp."""
    assert "1.53 plain steps (resnet18_cifar), 1.80 plain steps" in card_page("puzzlemix", [])
    assert "3.02 plain steps (resnet18_cifar)" in card_page("automix", [])
    assert re.search(r"64 x 3 x 224 x 224:\*\* 4.\d ms, 1.21 times", card_page("mixup", []))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mixup", "yes, at each pixel (0.31 at lam 0.25"),
        ("hmix", "on average over the image"),
        ("cutmix", "| E[M] = lambda | no ("),
        ("puzzlemix", "not known: the mask follows the images"),
        ("guidedmixup", "no lambda is drawn"),
        ("smoothmix", "no lambda is drawn"),
        ("mixpro", "yes, at each pixel, up to whole cells"),
        ("recursivemix", "| E[M] = lambda | no |"),
        ("automix", "| E[M] = lambda | not held |"),
        ("spectral", "no lambda is drawn"),
        ("transmix", "no (0.31 at lam 0.25, 0.56 at lam 0.5, 0.81 at lam 0.75), as in CutMix"),
    ],
)
def test_a_page_says_whether_masks_keep_to_the_share(name: str, said: str) -> None:
    assert said in card_page(name, [])


def test_shares_of_cells_and_tokens_are_as_their_pages_say() -> None:
    """On 32 pixels: 4 x 4 cells, of which ceil(0.3 * 16) are kept; 8 x 8 tokens, 32 + 4 taken."""
    images = torch.zeros(1000, 1, 32, 32)
    cells = dataclasses.replace(MixPro().mixer, lam=0.3).plan(images, generator=stream(0))
    assert torch.allclose(cells.mask[:, 0].mean(dim=(1, 2)), torch.tensor(5 / 16))
    assert (cells.mask[:, 0].mean(dim=0) - 5 / 16).abs().max() < 5 * (0.25 / 1000) ** 0.5
    tokens = TokenMix().mixer.plan(images, generator=stream(0))
    assert torch.allclose(tokens.mask[:, 0].mean(dim=(1, 2)), torch.tensor(28 / 64))


@every
def test_the_python_of_a_page_runs(name: str) -> None:
    card = METHOD_CARDS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if card.note.endswith(TRANSFORMERS):
            model: Any = SmallViT(num_classes=10, width=16, depth=4, heads=2)
        else:
            model = ThinResNet(8, num_classes=10)
        code = python_example(name, card)
        if name == "dada":  # the search of the default, with a network, takes an hour
            code = code.replace("mw.DADA()", "mw.DADA(search_epochs=1, policies=2, order='first')")
            model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))
        there = {"images": torch.rand(8, 3, 32, 32), "labels": torch.arange(8), "model": model}
        exec(compile(code, name, "exec"), there)
    if name in MIXERS:
        assert there["targets"].shape == (8, 10)
        assert there["targets"].is_floating_point()
    else:
        assert next(model.parameters()).grad is not None


def test_commands_name_the_method_and_a_network_that_it_can_train() -> None:
    assert command_example("cutmix", METHOD_CARDS["cutmix"]) == "mixwright compare none cutmix"
    smallvit = "mixwright compare none smmix --model smallvit"
    assert command_example("smmix", METHOD_CARDS["smmix"]) == smallvit


def test_all_methods_are_in_the_table(tmp_path: Path) -> None:
    made = write_method_pages(tmp_path, pictures=False)
    assert len(made) == len(METHODS) + 1
    table = (tmp_path / "methods" / "index.md").read_text()
    for name, card in METHOD_CARDS.items():
        assert (tmp_path / "methods" / f"{name}.md").is_file()
        assert f"| [{card.title}]({name}.md) | {card.note} |" in table
