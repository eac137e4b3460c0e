"""``p``, ``clean``, ``@batch`` and numbers that change: what every mixer METHOD takes."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import torch

from lab.training.test_resume import KilledError, kill_at, left
from lab.training.tiny import recipe, run, tiny_net
from mixwright.lab.analysis.sweep import find_sweeps
from mixwright.lab.experiments.comparing import options_by_method
from mixwright.lab.experiments.methods import parse_method, parse_methods
from mixwright.lab.experiments.schedules import Ramp
from mixwright.lab.experiments.theory_measurements import methods_with_masks
from mixwright.lab.training.recipe import Recipe, recipe_hash
from mixwright.mixers import CutMix, MixUp, OneOf, Scheduled, Sometimes, set_progress
from mixwright.objectives.criteria import CrossEntropy
from mixwright.objectives.mixed import Mixed
from mixwright.sampling import stream

IMAGES = torch.rand(64, 1, 8, 8, generator=stream(1))

OWN = """
from dataclasses import dataclass
from mixwright.mixers import MixUp

@dataclass(frozen=True, kw_only=True)
class Plain:
    alpha: float = 1.0
    def plan(self, images, labels=None, *, generator, model=None):
        return MixUp(alpha=self.alpha).plan(images, labels, generator=generator)

@dataclass(frozen=True, kw_only=True)
class Chancy(Plain):
    p: float = 0.9

class Growing:
    def __init__(self, rate: float = 1.0):
        self.rate = rate
    def plan(self, images, labels=None, *, generator, model=None):
        return MixUp(alpha=self.rate).plan(images, labels, generator=generator)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "mixes_of_mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "mixes_of_mine", raising=False)
    return "mixes_of_mine"


# ------------------------------------------------------------------ what a text means

BOTH = OneOf(MixUp(), CutMix(alpha=2.0))


@pytest.mark.parametrize(
    ("text", "mixer", "clean"),
    [
        ("cutmix:p=0.5", Sometimes(CutMix(), 0.5), 0.0),
        ("cutmix:p=0", Sometimes(CutMix(), 0.0), 0.0),
        ("cutmix:p=1", CutMix(), 0.0),
        ("cutmix:p=0.5,per=batch", Sometimes(CutMix(per="batch"), 0.5, per="batch"), 0.0),
        ("mixup:clean=1", MixUp(), 1.0),
        ("cutmix:alpha=2,clean=0.5,p=0.1", Sometimes(CutMix(alpha=2.0), 0.1), 0.5),
        ("mixup+cutmix:alpha=2", BOTH, 0.0),
        ("mixup+cutmix:alpha=2,clean=1,p=0.5", Sometimes(BOTH, 0.5), 1.0),
        ("mixup+cutmix@batch", OneOf(MixUp(), CutMix(), per="batch"), 0.0),
        (
            "mixup+cutmix@batch:clean=2,p=0.25",
            Sometimes(OneOf(MixUp(), CutMix(), per="batch"), 0.25, per="batch"),
            2.0,
        ),
        ("mixwright.mixers:CutMix:p=0.5", Sometimes(CutMix(), 0.5), 0.0),
    ],
)
def test_a_method_is_its_mixer_and_the_weight_of_whole_images(
    text: str, mixer: object, clean: float
) -> None:
    method = parse_method(text)
    assert method.text == text  # canonical
    assert parse_method(method.text) == method
    assert method.mixer() == mixer
    objective = method.objective(CrossEntropy())
    assert isinstance(objective, Mixed)
    assert (objective.mixer, objective.clean) == (mixer, clean)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("cutmix:p=.50,alpha=1.0", "cutmix:alpha=1,p=0.5"),
        ("mixup+cutmix:p=0.5@batch", "mixup+cutmix@batch:p=0.5"),
        ("mixup+cutmix:p=0.5,alpha=2 @batch : clean=1", "mixup+cutmix:alpha=2@batch:clean=1,p=0.5"),
        ("cutmix:p= 0 to 1", "cutmix:p=0to1"),
        ("cutmix:alpha=1e0to.5", "cutmix:alpha=1to0.5"),
    ],
)
def test_spellings(text: str, canonical: str) -> None:
    assert parse_method(text).text == canonical


OLD = {
    "none": "79b14eb2",
    "mixup+cutmix:alpha=0.5": "6ae66210",
    "cutmix:alpha=0.2,per=batch": "9d8702cc",
    "adautomix:clean=false": "01f4146d",
    "transmix:p=0.3": "928110ac",
}
"""METHODs and hashes of their recipes, as the version before these options gave them."""


def test_texts_from_before_are_what_they_were() -> None:
    for text, digest in OLD.items():
        assert parse_method(text).text == text
        assert recipe_hash(Recipe(method=text)) == digest


def test_names_for_people_and_folders() -> None:
    for text, label, slug in (
        ("cutmix:alpha=0.2,p=0.5", "CutMix (alpha 0.2, p 0.5)", "cutmix-alpha-0.2-p-0.5"),
        ("mixup+cutmix:p=0.5", "MixUp + CutMix, p 0.5", "mixup-cutmix-p-0.5"),
        ("mixup+cutmix@batch", "MixUp + CutMix per batch", "mixup-cutmix-batch"),
        (
            "mixup+cutmix:alpha=2@batch:clean=1",
            "MixUp + CutMix (alpha 2) per batch, clean 1",
            "mixup-cutmix-alpha-2-batch-clean-1",
        ),
        ("cutmix:p=0to0.5", "CutMix (p 0 to 0.5)", "cutmix-p-0to0.5"),
    ):
        method = parse_method(text)
        assert (method.label, method.slug) == (label, slug)


def test_grids() -> None:
    for text, several in (
        ("cutmix:p=0.5|1", ["cutmix:p=0.5", "cutmix:p=1"]),
        ("mixup:clean=0|1", ["mixup:clean=0", "mixup:clean=1"]),
        (
            "mixup:alpha=1|2+cutmix:p=0.5|1@batch",
            [f"mixup:alpha={alpha}+cutmix@batch:p={p}" for alpha in (1, 2) for p in (0.5, 1)],
        ),
        (
            "mixup+cutmix@batch:clean=0|1,p=0.5",
            ["mixup+cutmix@batch:clean=0,p=0.5", "mixup+cutmix@batch:clean=1,p=0.5"],
        ),
        ("cutmix:p=0to1|1to0|1", ["cutmix:p=0to1", "cutmix:p=1to0", "cutmix:p=1"]),
    ):
        assert [method.text for method in parse_methods([text])] == several


def test_a_grid_is_a_sweep_of_which_the_plain_method_is_a_point() -> None:
    methods = parse_methods(["none", "cutmix", "cutmix:p=0.5", "mixup:clean=0|0.5|2"])
    options = options_by_method(methods)
    assert options["cutmix"] == {"cutmix.p": "1"}
    assert options["mixup:clean=0"] == {"mixup.clean": "0"}
    sweeps = {sweep.name: sweep for sweep in find_sweeps(options).sweeps}
    assert (sweeps["cutmix"].option, sweeps["cutmix"].values) == ("p", (0.5, 1.0))
    assert (sweeps["mixup"].option, sweeps["mixup"].values) == ("clean", (0.0, 0.5, 2.0))
    assert options_by_method(parse_methods(["mixup+cutmix:p=0.5"])) == {
        "mixup+cutmix:p=0.5": {"p": "0.5"}
    }


def test_objectives_keep_their_own_options() -> None:
    transmix = parse_method("transmix:p=0.3")
    assert transmix.parts[0].options == {"p": 0.3}
    assert not transmix.mixing
    assert parse_method("adautomix:clean=false").parts[0].options == {"clean": False}


def test_classes_of_users(own: str) -> None:
    plain = parse_method(f"{own}:Plain:alpha=2,clean=1,p=0.5")
    assert (plain.mixing, plain.parts[0].options) == ({"p": 0.5, "clean": 1.0}, {"alpha": 2.0})
    chancy = parse_method(f"{own}:Chancy:p=0.5,clean=1")
    assert (chancy.mixing, chancy.parts[0].options) == ({"clean": 1.0}, {"p": 0.5})
    assert chancy.options["mixes_of_mine:Chancy.p"] == "0.5"
    both = parse_method(f"mixup+{own}:Chancy:p=0.5@batch:p=0.25")  # its own, and of the whole
    assert both.text == f"mixup+{own}:Chancy:p=0.5@batch:p=0.25"
    assert parse_method(both.text) == both
    assert (both.mixing, both.parts[1].options) == ({"p": 0.25}, {"p": 0.5})


# ------------------------------------------------------------------ what it does


def _mixed(text: str, batches: int = 40) -> list[list[bool]]:
    """Which samples are mixed, batch by batch."""
    mixer, generator = parse_method(text).mixer(), stream(2)
    assert mixer is not None
    return [
        (mixer.plan(IMAGES, generator=generator).weight[:, 0] < 1).tolist() for _ in range(batches)
    ]


@pytest.mark.parametrize("text", ["mixup:lam=0.5,p=0.3", "mixup:lam=0.5+mixup:lam=0.25,p=0.3"])
def test_p_is_the_chance_of_a_sample(text: str) -> None:
    counts = [sum(batch) for batch in _mixed(text)]
    samples = 64 * len(counts)
    assert sum(counts) / samples == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / samples))
    assert len(set(counts)) > 5  # not all or none


@pytest.mark.parametrize(
    "text", ["mixup:lam=0.5,p=0.3,per=batch", "mixup:lam=0.5+mixup:lam=0.25@batch:p=0.3"]
)
def test_p_is_the_chance_of_a_batch_where_a_batch_is_drawn(text: str) -> None:
    counts = [sum(batch) for batch in _mixed(text, 200)]
    assert set(counts) == {0, 64}
    assert sum(counts) / 64 / 200 == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 200))


def test_a_batch_has_one_of_several_mixers() -> None:
    shares = {}
    for text in ("mixup:lam=0.5+mixup:lam=0.25", "mixup:lam=0.5+mixup:lam=0.25@batch"):
        mixer, generator = parse_method(text).mixer(), stream(3)
        shares[text] = [
            set(mixer.plan(IMAGES, generator=generator).weight[:, 0].tolist()) for _ in range(40)
        ]
    each, whole = shares.values()
    assert all(batch == {0.5, 0.25} for batch in each)
    assert {frozenset(batch) for batch in whole} == {frozenset({0.5}), frozenset({0.25})}


# ------------------------------------------------------------------ numbers that change


def test_a_ramp_is_even_and_keeps_its_ends() -> None:
    assert [Ramp(1, 0.5)(t) for t in (0.0, 0.25, 0.5, 1.0)] == [1.0, 0.875, 0.75, 0.5]
    thirds = [Ramp(1 / 3, 1 / 3)(step / 997) for step in range(998)]
    assert set(thirds) == {1 / 3}
    assert Ramp(0.1, 0.7)(1.0) == 0.7


def test_chances_options_and_weights_follow_training() -> None:
    mixer = parse_method("mixup:lam=1to0.5,p=0to1").mixer()
    assert isinstance(mixer, Scheduled)
    for progress, p, lam in ((0.0, 0.0, 1.0), (0.25, 0.25, 0.875), (1.0, 1.0, 0.5)):
        set_progress(mixer, progress)
        now = mixer.at(progress)
        assert isinstance(now, Sometimes)
        assert now.p == p
        shares = set(mixer.plan(IMAGES, generator=stream(4)).weight[:, 0].tolist())
        assert shares == ({1.0, lam} if 0 < p < 1 else {lam})
    objective = parse_method("mixup:clean=0to4").objective(CrossEntropy())
    assert isinstance(objective, Mixed)
    assert callable(objective.clean)
    assert [objective.clean(progress) for progress in (0.0, 0.25, 1.0)] == [0.0, 1.0, 4.0]


def test_without_training_a_schedule_stands_at_its_middle() -> None:
    mixer = parse_method("mixup:lam=1to0.5+mixup:lam=1to0.5,p=0to1").mixer()
    assert isinstance(mixer, Scheduled)
    assert set(mixer.plan(IMAGES, generator=stream(4)).weight[:, 0].tolist()) == {1.0, 0.75}
    learned = parse_method("hmix:ratio=0.2to0.8").mixer()
    assert isinstance(learned, Scheduled)
    assert learned.at(learned.progress).ratio == 0.5


def test_training_follows_and_resumes(tmp_path: Path) -> None:
    of = recipe(epochs=3, accumulate=2, mix_off_epochs=1, precision="bf16")
    method = parse_method("cutmix:alpha=1to0.5,clean=0to2,p=0to1")
    sizes: list[int] = []
    net = tiny_net()
    net.register_forward_pre_hook(
        lambda module, given: sizes.append(len(given[0])) if module.training else None
    )
    run(tmp_path / "straight", of, model=net, objective=method.objective(CrossEntropy()))
    # Micro batches of 5, two a step: the first step has a weight of 0, the last epoch no mixing.
    assert sizes == [5] * 2 + [10] * 14 + [5] * 8
    again = method.objective(CrossEntropy())
    with pytest.raises(KilledError):
        run(tmp_path / "killed", of, objective=again, on_progress=kill_at(2, 1))
    run(tmp_path / "killed", of, objective=method.objective(CrossEntropy()))
    assert left(tmp_path / "killed") == left(tmp_path / "straight")


# ------------------------------------------------------------------ what is not understood


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cutmix:p=1.5", ["p is 1.5; expected a finite number at least 0 and at most 1"]),
        ("cutmix:p=-0.1", ["p is -0.1"]),
        ("cutmix:p=nan", ["p is nan"]),
        ("cutmix:p=half", ["option p=half: expected a number, or two", "0to1"]),
        ("cutmix:p=0to2", ["p is 2.0; expected"]),
        ("cutmix:p=0to", ["option p=0to: expected a number, or two"]),
        ("cutmix:p=0toinf", ["0toinf is inf"]),
        ("mixup:clean=-1", ["clean is -1.0; expected a finite number at least 0"]),
        ("mixup:clean=inf", ["clean is inf"]),
        ("mixup:clean=1to-1", ["clean is -1.0"]),
        ("cutmix:clean", ['cannot read "clean"']),
        ("cutmix:claen=1", ['CutMix has no option "claen". Did you mean "clean"?', "p, clean."]),
        ("none:p=0.5", ["none mixes nothing and has no options"]),
        ("cutmix:p=0.5,p=1", ["option p is given twice"]),
        ("mixup+cutmix:p=0.5@batch:p=1", ["option p is given twice"]),
        ("mixup:p=0.5+cutmix", ["p is of the whole", "behind the last one", "mixup+cutmix:p=0.5"]),
        ("mixup:clean=1+cutmix:clean=1", ["clean is of the whole"]),
        ("mixup+cutmix@batch:alpha=1", ["alpha stands behind @batch; expected p or clean"]),
        ("mixup+cutmix@batch:", ["an option is missing"]),
        ("cutmix@batch", ["expected @batch behind the last of several", "per=batch"]),
        ("mixup@batch+cutmix", ["expected @batch behind the last of several"]),
        ("mixup+cutmix@bacth", ["expected @batch behind the last of several"]),
        ("manifoldmix:p=0.5", ['ManifoldMix has no option "p"']),
        ("automix:clean=1", ['AutoMix has no option "clean"']),
        ("manifoldmix:alpha=0to1", ["alpha=0to1: expected one number", "frozen dataclasses"]),
        ("cutmix:alpha=-1to1", ["CutMix: alpha is -1.0"]),
        ("cutmix:alpha=1to-1", ["CutMix: alpha is -1.0"]),
        ("cutmix:alpha=0to", ["CutMix: option alpha=0to: expected a number, or two"]),
        ("miamix:layers=1to2", ["option layers=1to2: expected none or a whole number"]),
        ("trained:run=a,p=2", ["p is 2.0"]),
        ("trained:p=0.5", ["expected trained:run=PATH"]),
    ],
)
def test_what_is_not_understood_is_named(text: str, words: list[str]) -> None:
    with pytest.raises(ValueError) as caught:
        parse_method(text)
    for word in words:
        assert word in str(caught.value)


def test_a_mixer_that_may_remember_has_no_schedule(own: str) -> None:
    with pytest.raises(ValueError, match=r"Growing: option rate=0to1: .* frozen dataclasses"):
        parse_method(f"{own}:Growing:rate=0to1")
    assert isinstance(parse_method(f"{own}:Growing:p=0to1").mixer(), Scheduled)


def test_theory_is_of_mixing_alone() -> None:
    with pytest.raises(ValueError, match=r"mixup:clean=1: clean adds a loss on whole images"):
        methods_with_masks(["mixup:clean=1"])
    assert len(methods_with_masks(["mixup:clean=0", "cutmix:p=0.5"])) == 2
