"""Every option of every method can be written in a METHOD: its default, and each of its words."""

from __future__ import annotations

import inspect
import typing
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from mixwright.lab.experiments.alternatives import alternatives
from mixwright.lab.experiments.methods import parse_method, parse_methods
from mixwright.lab.settings import default_texts, option_types
from mixwright.mixers import MIXERS, FMix, MiAMix, MixUp
from mixwright.mixers.fieldmix import Design, FieldMix
from mixwright.objectives import OBJECTIVES, AdAutoMix, CrossEntropy

METHODS = {**MIXERS, **{name: cls for name, cls in OBJECTIVES.items() if name != "mixed"}}
PAPER = {
    "game": "paper",
    "encode_lam": True,
    "rectify": False,
    "margin": 0.0,
    "momentum_end": 1.0,
    "momentum_hold": 0.0,
    "momentum_warmup": False,
}


def _texts(cls: type) -> dict[str, str | None]:
    """The text of each default; for what is made anew for each object ``none`` stands."""
    made = [one for one in fields(cls) if one.init] if is_dataclass(cls) else []
    factories = {one.name: "none" for one in made if one.default_factory is not MISSING}
    return default_texts(cls) | factories


def _words(kind: Any) -> list[str]:
    """Every word of a type, of the members of a union too."""
    if typing.get_origin(kind) is Literal:
        return list(typing.get_args(kind))
    return [word for member in typing.get_args(kind) for word in _words(member)]


@pytest.mark.parametrize("name", METHODS)
def test_every_default_is_text_and_reads_back(name: str) -> None:
    cls = METHODS[name]
    plain, signature = parse_method(name), inspect.signature(cls).parameters
    for option, text in _texts(cls).items():
        assert text is not None, f"{name}: no text stands for the default of {option}"
        word = f"{name}:{option}={text}"
        assert alternatives(word) == [word]
        method = parse_method(word)
        assert parse_method(method.text) == method
        default = signature[option].default
        if text != "none":
            assert method.parts[0].options == {option: default}
        # A recipe trains the same, with the run's criterion and not with one of the option's.
        criterion = CrossEntropy(0.0 if name == "decoupledmix" else 0.25)
        found, wanted = method.objective(criterion), plain.objective(criterion)
        assert getattr(found, "criterion", None) == getattr(wanted, "criterion", None) == criterion
        assert repr(found) == repr(wanted)
        assert method.mixer() == plain.mixer() or name in OBJECTIVES


@pytest.mark.parametrize("name", METHODS)
def test_every_word_of_an_option_reads_back(name: str) -> None:
    for option, kind in option_types(METHODS[name]).items():
        for word in _words(kind):
            text = f"{name}:{option}={word}"
            try:
                (method,) = parse_methods([text])
            except ValueError as error:  # some words ask for other options beside them
                assert "there is no method" not in str(error)  # noqa: PT017
                assert "cannot read" not in str(error)  # noqa: PT017
                continue
            assert method.parts[0].options == {option: word}
            assert parse_method(method.text) == method


def test_a_word_with_a_plus_stands_beside_others_and_in_grids() -> None:
    found = parse_methods(["samix:mask_loss=l1|l1+variance,eta=0", "mixup+cutmix:alpha=1e+0+fmix"])
    assert [method.text for method in found] == [
        "samix:eta=0,mask_loss=l1",
        "samix:eta=0,mask_loss=l1+variance",
        "mixup+cutmix:alpha=1+fmix",
    ]
    with pytest.raises(ValueError, match='no method "variances"'):
        parse_method("samix:mask_loss=l1+variances")


def test_layers_of_miamix_are_named() -> None:
    mixer = parse_method("miamix:methods=mixup;fmix,weights=1;3").mixer()
    assert mixer == MiAMix(methods=(MixUp(), FMix()), weights=(1.0, 3.0))
    with pytest.raises(ValueError, match=r"methods=resizemix.*expected the name of a mixer.*fmix"):
        parse_method("miamix:methods=resizemix,weights=1")


def test_fieldmix_takes_the_name_of_a_file(tmp_path: Path) -> None:
    design = Design.of(torch.ones(16, 16), alpha=0.5)
    design.save(tmp_path / "x.json")
    wanted = FieldMix(design=design)
    assert FieldMix(design=str(tmp_path / "x.json")) == wanted
    word = f"mixwright.mixers.fieldmix:FieldMix:design={tmp_path / 'x.json'}"
    assert parse_method(word).mixer() == wanted
    assert str in typing.get_args(typing.get_type_hints(FieldMix)["design"])


def test_the_preset_of_the_paper_is_its_options_written_out() -> None:
    by_hand = ",".join(f"{k}={str(v).lower()}" for k, v in PAPER.items())
    named = parse_method("adautomix:preset=paper")
    assert named == parse_method(f"adautomix:{by_hand}")
    assert named.text == (
        "adautomix:encode_lam=true,game=paper,margin=0,momentum_end=1,momentum_hold=0,"
        "momentum_warmup=false,rectify=false"
    )
    made = named.objective(CrossEntropy())
    assert isinstance(made, AdAutoMix)
    assert {option: getattr(made, option) for option in PAPER} == PAPER
    assert repr(AdAutoMix.preset("paper")) == repr(made)
    assert named.label == "AdAutoMix (preset paper)"


def test_options_beside_a_preset_win_and_the_game_alone_is_as_before() -> None:
    more = parse_method("adautomix:margin=0.1,preset=paper,beta=0.5")
    assert more.parts[0].options == PAPER | {"margin": 0.1, "beta": 0.5}
    assert repr(AdAutoMix.preset("paper", margin=0.1, beta=0.5)) == repr(more.parts[0].make())
    assert parse_method("adautomix:beta=0.5,preset=paper").label == (
        "AdAutoMix (beta 0.5, preset paper)"
    )
    alone = parse_method("adautomix:game=paper")
    assert alone.text == "adautomix:game=paper"
    assert (alone.parts[0].make().rectify, alone.parts[0].make().margin) == (True, 0.03)


def test_presets_that_do_not_exist_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r'preset=papre: expected one of paper\. Did you mean "paper'
    ):
        parse_method("adautomix:preset=papre")
    with pytest.raises(ValueError, match='AutoMix has no option "preset"'):
        parse_method("automix:preset=paper")
    with pytest.raises(
        ValueError, match="AdAutoMix: preset is 'official'; expected one of 'paper'"
    ):
        AdAutoMix.preset("official")
