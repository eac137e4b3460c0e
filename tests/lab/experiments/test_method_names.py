"""Names of methods as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixwright.lab.experiments.grid import recipe_of, run_name
from mixwright.lab.experiments.method_names import method_names
from mixwright.lab.experiments.methods import parse_method, parse_methods
from mixwright.mixers import MIXERS, CutMix
from mixwright.objectives import OBJECTIVES

MODULE = """
from mixwright.mixers import MixUp

class Mine:
    def plan(self, images, labels=None, *, generator, model=None):
        return MixUp().plan(images, labels, generator=generator)
"""


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("CutMix", "cutmix"),
        ("CUTMIX", "cutmix"),
        ("Cut-Mix", "cutmix"),
        ("MixUp", "mixup"),
        ("Input Mixup", "mixup"),
        ("MiAMix", "miamix"),
        ("PuzzleMix", "puzzlemix"),
        ("Puzzle Mix", "puzzlemix"),
        ("Co-Mixup", "comixup"),
        ("co_mixup", "comixup"),
        ("Saliency Grafting", "saliencygrafting"),
        ("Attentive CutMix", "attentivecutmix"),
        ("Guided-Mixup", "guidedmixup"),
        ("Manifold Mixup", "manifoldmix"),
        ("ManifoldMix", "manifoldmix"),
        ("AlignMixup", "alignmix"),
        ("Decoupled Mixup", "decoupledmix"),
        ("AdAutoMix", "adautomix"),
        ("Adversarial AutoMixup", "adautomix"),
        ("ME-ADA", "meada"),
        ("None", "none"),
    ],
)
def test_spellings_of_papers_are_names(written: str, name: str) -> None:
    method = parse_method(written)
    assert method == parse_method(name)
    assert method.text == name


def test_every_class_may_be_written_by_its_own_name() -> None:
    """Among the names there are no two that one spelling could mean."""
    for cls in (*MIXERS.values(), *OBJECTIVES.values()):
        if cls.__name__ != "Mixed":
            assert parse_method(cls.__name__).parts[0].cls is cls
    assert len({name.replace("-", "") for name in method_names()}) == len(method_names())


def test_options_and_joined_methods_of_any_spelling_have_the_canonical_text() -> None:
    method = parse_method("Cut-Mix:alpha=0.2+Mix-Up@batch:p=0.5")
    assert method.text == "cutmix:alpha=0.2+mixup@batch:p=0.5"
    assert parse_method("DecoupledMix:mixer=CutMix") == parse_method("decoupledmix:mixer=cutmix")
    assert parse_method("MiAMix:methods=MixUp;Cut-Mix,weights=1;1").text == (
        "miamix:methods=mixup;cutmix,weights=1;1"
    )
    assert [method.text for method in parse_methods(["CutMix", "cutmix", "Cut-Mix"])] == ["cutmix"]


def test_the_folder_of_a_run_is_that_of_the_canonical_name() -> None:
    names = {
        run_name(method, recipe_of(method, {"epochs": 3}, seed=0, learned=None))
        for method in map(parse_method, ("Co-Mixup", "comixup"))
    }
    (name,) = names
    assert name.startswith("comixup-s0-")


def test_a_module_of_the_users_may_be_called_like_a_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "co_mixup.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    assert parse_method("co_mixup:Mine").text == "co_mixup:Mine"
    with pytest.raises(ValueError, match='cannot read "alpha"'):  # an option without its value
        parse_method("Cut-Mix:alpha")


@pytest.mark.parametrize(
    ("written", "apart", "joined"),
    [
        ("cutmix,mixup", "cutmix mixup", "cutmix+mixup"),
        ("cutmix mixup", "cutmix mixup", "cutmix+mixup"),
        ("CutMix, MixUp", "CutMix MixUp", "CutMix+MixUp"),
        ("cutmix:alpha=1,mixup", "cutmix:alpha=1 mixup", "cutmix:alpha=1+mixup"),
        (
            "cutmix:alpha=1,p=0.5,mixup:alpha=2,fmix",
            "cutmix:alpha=1,p=0.5 mixup:alpha=2 fmix",
            "cutmix:alpha=1,p=0.5+mixup:alpha=2+fmix",
        ),
        ("none,cutmx", "none cutmx", "none+cutmx"),
    ],
)
def test_methods_joined_by_commas_are_told_how_to_be_written(
    written: str, apart: str, joined: str
) -> None:
    with pytest.raises(ValueError, match="with blanks between them") as caught:
        parse_methods([written])
    assert f": {apart}. " in str(caught.value)
    assert str(caught.value).endswith(f"write {joined}.")


@pytest.mark.parametrize(
    ("written", "meant"),
    [("cutmix :p=0.5", "cutmix:p=0.5"), ("mixup + cutmix", "mixup+cutmix"),
     ("mixup+ cutmix", "mixup+cutmix")],
)  # fmt: skip
def test_blanks_beside_signs_are_no_methods_of_their_own(written: str, meant: str) -> None:
    with pytest.raises(ValueError, match="has blanks beside its signs; write") as caught:
        parse_method(written)
    assert str(caught.value).endswith(f"; write {meant}.")
    assert parse_method(meant).text == meant


def test_a_comma_left_over_from_a_list() -> None:
    with pytest.raises(ValueError, match=r'"cutmix," ends in a comma; write cutmix\.'):
        parse_methods(["cutmix,", "mixup"])


def test_blanks_behind_commas_of_options_stay() -> None:
    assert parse_method("cutmix:alpha=0.2, per=batch").mixer() == CutMix(alpha=0.2, per="batch")


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Vanilla", 'there is no method "Vanilla"; it is written none.'),
        ("RegMixup", 'there is no method "RegMixup"; it is written mixup:clean=1.'),
        ("CIFAR-10", 'there is no method "CIFAR-10"; it is a data set, given by --data cifar10.'),
        ("resnet20", 'there is no method "resnet20"; it is a network, given by --model resnet20.'),
        ("pictures", "images are given by --data folder:pictures."),
        ("cutmx", 'Did you mean "cutmix"?'),
    ],
)
def test_what_is_no_method_is_told_what_it_is(
    written: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pictures" / "cats").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="there is no method") as caught:
        parse_method(written)
    assert said in str(caught.value)
