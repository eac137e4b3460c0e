"""The grammar of METHOD."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mixwright.lab.experiments.methods import parse_method, parse_methods
from mixwright.mixers import CutMix, MixUp
from mixwright.mixers.combine import OneOf
from mixwright.objectives.criteria import CrossEntropy
from mixwright.objectives.mixed import Mixed

OWN = """
from dataclasses import dataclass
from mixwright.mixers import MixUp
from mixwright.objectives.mixed import Mixed

@dataclass(frozen=True, kw_only=True)
class Mine:
    alpha: float = 1.0
    def plan(self, images, labels=None, *, generator, model=None):
        return MixUp(alpha=self.alpha).plan(images, labels, generator=generator)

class Learner(Mixed):
    pass

class Plain:
    pass
"""


@pytest.mark.parametrize(
    ("text", "mixer"),
    [
        ("none", None),
        ("mixup", MixUp()),
        ("mixup:alpha=0.2", MixUp(alpha=0.2)),
        ("mixup:alpha=2e-1,per=batch", MixUp(alpha=0.2, per="batch")),
        ("mixup:lam=none", MixUp()),
        ("mixup:alpha=1e+0", MixUp(alpha=1.0)),
        ("cutmix:minmax=0.2-0.8", CutMix(minmax=(0.2, 0.8))),
        ("cutmix:minmax=0.2;0.8", CutMix(minmax=(0.2, 0.8))),
        ("mixwright.objectives.mixed:Mixed:mixer=cutmix", CutMix()),
        ("mixwright.objectives.mixed:Mixed:mixer=none", None),
        ("mixup+cutmix:alpha=0.5", OneOf(MixUp(), CutMix(alpha=0.5))),
    ],
)
def test_a_method_means_its_mixer(text: str, mixer: object) -> None:
    method = parse_method(text)
    assert method.mixer() == mixer
    again = parse_method(method.text)
    assert again == method
    assert again.text == method.text


def test_spellings_of_one_method_are_one() -> None:
    methods = parse_methods(["mixup:per=batch,alpha=1.0", "mixup:alpha=1,per=batch", "mixup"])
    assert [method.text for method in methods] == ["mixup:alpha=1,per=batch", "mixup"]


def test_names_for_people_and_for_folders() -> None:
    method = parse_method("mixup+cutmix:alpha=0.5")
    assert method.label == "MixUp + CutMix (alpha 0.5)"
    assert method.slug == "mixup-cutmix-alpha-0.5"


def test_options_are_text_with_defaults_under_the_name_of_their_part() -> None:
    assert parse_method("none").options == {}
    options = parse_method("mixup:per=batch+cutmix:alpha=0.5").options
    assert {k: v for k, v in options.items() if k.startswith("mixup")} == {
        "mixup.alpha": "1", "mixup.lam": "none", "mixup.per": "batch", "mixup.pairing": "cycle",
    }  # fmt: skip
    assert (options["cutmix.alpha"], options["cutmix.per"]) == ("0.5", "sample")
    miamix = parse_method("miamix").options
    assert miamix["miamix.weights"] == "2;1;1;1;1"
    assert miamix["miamix.methods"] == "mixup;cutmix;fmix;gridmix;agmix"


def test_a_method_is_trained_with_the_criterion_given() -> None:
    criterion = CrossEntropy(label_smoothing=0.1)
    objective = parse_method("cutmix").objective(criterion)
    assert isinstance(objective, Mixed)
    assert objective.criterion is criterion
    assert objective.mixer == CutMix()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cutmx", ['no method "cutmx"', 'Did you mean "cutmix"?']),
        ("cutmix:alhpa=1", ['no option "alhpa"', 'Did you mean "alpha"?']),
        ("cutmix:alpha", ['cannot read "alpha"', "name:option=value"]),
        ("cutmix:", ['"cutmix:"', "an option is missing"]),
        ("mixup:alpha=1,", ["an option is missing", "commas"]),
        ("mixup:,alpha=1+cutmix", ["an option is missing"]),
        ("mixwright.mixers:CutMix:", ["an option is missing"]),
        ("cutmix:alpha=1,alpha=2", ["alpha is given twice"]),
        ("cutmix:alpha=wide", ["alpha=wide", "expected a number"]),
        ("cutmix:alpha=-1", ["CutMix", "alpha is -1"]),
        ("cutmix:per=smple", ["expected one of", 'Did you mean "sample"?']),
        ("cutmix:minmax=0.2;0.3;0.4", ["expected", "2 values"]),
        (
            "mixwright.objectives.mixed:Mixed:mixer=cutmx",
            ["Mixed: option mixer=cutmx: expected", 'Did you mean "cutmix"?'],
        ),
        ("none+cutmix", ["none cannot be joined"]),
        ("none:foo=1", ["none mixes nothing and has no options"]),
        ("mixed", ['no method "mixed"']),
        ("nowhere.at.all:Thing", ["no module nowhere.at.all"]),
        ("mixwright.mixers:CutMx", ["no class CutMx", 'Did you mean "CutMix"?']),
        ("", ['no method ""']),
    ],
)
def test_what_is_not_understood_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        parse_method(text)
    for word in words:
        assert word in str(caught.value)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    package = tmp_path / "mypackage"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "mypackage"]:
        monkeypatch.delitem(sys.modules, name)
    return "mypackage.mine"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("class :", "SyntaxError: invalid syntax"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("from mixwright.mixers import CutMx", "ImportError: cannot import name 'CutMx'"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_module_that_cannot_be_imported(own: str, text: str, cause: str) -> None:
    Path("mypackage/mine.py").write_text(text)
    with pytest.raises(ValueError) as caught:
        parse_method(f"{own}:Mine")
    assert f"module {own} cannot be imported" in str(caught.value)
    assert cause in str(caught.value)


def test_a_class_of_ones_own(own: str) -> None:
    method = parse_method(f"{own}:Mine:alpha=0.3+mixup")
    assert method.text == f"{own}:Mine:alpha=0.3+mixup"
    first = method.parts[0].make()
    assert first.alpha == 0.3
    assert parse_method(f"{own}:Learner").parts[0].learns


def test_a_class_that_is_no_mixer_is_refused(own: str) -> None:
    with pytest.raises(ValueError, match="no method plan"):
        parse_method(f"{own}:Plain")
    with pytest.raises(ValueError, match="stands alone"):
        parse_method(f"{own}:Learner+mixup")
