"""The shipped tables: all that the papers have, numbers that agree with what the papers say too."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixwright.lab.cli.reproduce import ReproduceOptions, words_of
from mixwright.lab.cli.reproduce_checks import check_commands
from mixwright.lab.experiments.published.commands import commands
from mixwright.lab.experiments.published.cost import FORWARD, Speed, item_seconds
from mixwright.lab.experiments.published.item import PublishedItem
from mixwright.lab.experiments.published.load import find_item, item_names, read_item

MIAMIX = (
    "table-cifar table-cifar-c layers self-mixing mask-augmentation weights agmix overhead "
    "significance non-natural transformers"
)
HMIX = "table2 table3 figure4 masks scenarios theory"


def test_every_table_and_figure_of_the_papers_is_named() -> None:
    wanted = [f"miamix:{name}" for name in MIAMIX.split()]
    wanted += [f"hmix:{name}" for name in HMIX.split()]
    wanted += [f"adautomix:table{number}" for number in range(1, 12)]
    wanted += [f"adautomix:figure{number}" for number in range(1, 15)]
    assert sorted(item_names()) == sorted(wanted)
    assert [name for name in item_names() if name.startswith("adautomix:table")][-2:] == [
        "adautomix:table10",
        "adautomix:table11",
    ]


@pytest.mark.parametrize("name", item_names())
def test_every_item_is_whole(name: str) -> None:
    item = find_item(name)
    if item.same_as:
        assert find_item(item.same_as).steps
    for scale in item.scale_names:
        planned = commands(item.at(scale), Path("out"))
        every = [(command, words_of(command, ReproduceOptions())) for command in planned]
        check_commands(every, data_too=False)
        for column in item.at(scale).columns:
            assert column.step in {step.name for step in item.at(scale).steps}
    if item.steps:
        assert item.scale_names[0] == "tiny"
    assert all(value.source for value in item.protocol.values())


def test_numbers_have_the_differences_that_the_papers_print() -> None:
    """Gains and deltas stand in the papers as numbers of their own."""
    gains = {
        "adautomix:table1": (0.28, 0.58, 1.66, 0.24, 1.86, 2.17, 0.36, 0.30, 0.13),
        "adautomix:table2": (1.01, 0.69, 0.36, 0.44, 0.30, 0.21),
    }
    for name, printed in gains.items():
        found = [column.published for column in find_item(name).columns]
        assert len(found) == len(printed)
        for numbers, gain in zip(found, printed, strict=True):
            assert round(numbers["AdAutoMix"] - numbers["AutoMix"], 2) == gain
            assert max(numbers, key=numbers.__getitem__) == "AdAutoMix"
    # Table 3 has the gain over the second best, which for Cars is not AutoMix.
    cub, cars = (column.published for column in find_item("adautomix:table3").columns)
    assert round(cub["AdAutoMix"] - cub["AutoMix"], 2) == 0.43
    assert round(cars["AdAutoMix"] - cars["MixUp"], 2) == 0.20
    # The text on Table 5 has two steps of Table 8.
    (eight,) = (column.published for column in find_item("adautomix:table8").columns)
    base, _, mce, _, whole = eight.values()
    assert (round(mce - base, 2), round(whole - mce, 2)) == (0.66, 1.51)
    (three,) = (column.published for column in find_item("hmix:table3").columns)
    assert {row: round(value - three["Vanilla"], 2) for row, value in three.items()} == {
        "Vanilla": 0.0,
        "MixUp": 2.1,
        "CutMix": 2.36,
        "Stochastic MixUp & CutMix": 2.45,
        "HMix": 2.7,
        "GMix": 2.45,
    }
    small, large = (column.published for column in find_item("hmix:scenarios").columns)
    assert round(small["CutMix"] - small["MixUp"], 1) == 6.1
    assert round(large["CutMix"] - large["MixUp"], 1) == -0.7


def test_some_numbers_as_the_papers_have_them() -> None:
    (corrupted, _) = find_item("miamix:table-cifar-c").columns
    assert corrupted.published == {"AutoMix": 58.36, "MiAMix": 58.99}
    first = find_item("hmix:table2").columns[0]
    assert "PuzzleMix" not in first.published
    assert (first.published["Vanilla"], first.published["GMix"]) == (73.23, 75.75)
    ten = find_item("adautomix:table10")
    assert [column.published["N = 3"] for column in ten.columns] == [82.32, 95.92, 0.2418]
    assert (
        find_item("adautomix:table11").columns[0].published["Spectral Adversarial MixUp"] == 54.01
    )
    hidden = find_item("adautomix:table7").columns
    assert len(hidden) == 20
    assert [column.path for column in hidden[:2]] == ["accuracy.0", "accuracy.1"]
    assert hidden[9].published["AdAutoMix"] == 9.91
    assert hidden[19].published["CutMix"] == 2.21


def test_contradictions_are_named() -> None:
    resnext = find_item("adautomix:table1").columns[1]
    assert sorted(resnext.contradicted) == ["CutMix", "FMix", "ResizeMix", "SaliencyMix"]
    assert "78.32" in resnext.contradicted["CutMix"]
    assert find_item("adautomix:table4").not_recovered


def test_learned_mixers_are_reported_by_their_teacher_and_keep_a_floor() -> None:
    item = find_item("adautomix:table1")
    assert {label: row.weights for label, row in item.rows.items() if row.weights != "raw"} == {
        "AutoMix": "teacher",
        "AdAutoMix": "teacher",
    }
    assert item.steps[0].options["recipe"] == "automix-cifar"


ITEM = """
title = "mine"
paper = "ours"
[rows]
a = {method = "none"}
b = {method = "mixup"}
[[steps]]
name = "runs"
command = "compare"
options = {data = "digits"}
[[columns]]
head = "top-1"
step = "runs"
published = {a = 1.0}
source = "ours"
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('paper = "ours"', "", "my.toml: field 'paper' is missing."),
        ("title", "tittle", "field 'tittle' is not known. Did you mean 'title'?"),
        ('title = "mine"', "title = mine", "my.toml: not TOML (Invalid value"),
        ('"compare"', '"compair"', "steps[0].command is 'compair'; expected one of compare, "),
        ('step = "runs"', 'step = "run"', "columns[0].step names 'run'; expected one of runs."),
        ("published = {a", "published = {c", "columns[0].published names 'c'; expected one of a"),
        ("{a = 1.0}", '{a = "1"}', "columns[0].published['a'] is '1'; expected a finite number"),
        ('"mixup"', '"mixup", weights = "emma"', "rows.b.weights names 'emma'; expected one of ra"),
        ('source = "ours"', "", "columns[0].source is empty; expected where its published"),
        ('name = "runs"', 'name = "../runs"', "steps[0].name is '../runs'; expected letters"),
        ("options", 'pictures = ["../a.png"]\noptions', "steps[0].pictures names '../a.png'; exp"),
        ("options", 'of = ["runs"]\noptions', "steps[0].of names 'runs'; expected one of nothing"),
        ("options", "each_row = true\noptions", "expected <row> in the name of a step"),
        ('[[steps]]\nname = "runs"\ncommand = "compare"\noptions = {data = "digits"}\n', "",
         "columns[0].step names 'runs'; expected one of nothing"),
        ("[[columns]]", "[[steps]]\nname = 'e'\ncommand = 'evaluate'\nof = ['runs']\n"
         "[scales.tiny]\nabout = 'x'\nsteps = {e = {}}\n[[columns]]",
         "scales.tiny.steps, whose e measures others, names 'runs'; expected one of e."),
        ("[rows]", "[scales.big]\nabout = 'x'\nsteps = {}\n[rows]", "has the key 'big'; expected"),
        ("[rows]", "[scales.tiny]\nabout = 'x'\nsteps = {}\n[rows]", "scales.tiny.steps is empty"),
        ('name = "runs"', 'name = "."', "steps[0].name is '.'; expected letters"),
        ('name = "runs"', 'name = ".."', "steps[0].name is '..'; expected letters"),
        ('name = "runs"', 'name = "a<b>"', "steps[0].name is 'a<b>'; expected letters"),
        ('name = "runs"', f'name = "{101 * "a"}"', "expected letters, digits and dashes"),
        ('name = "runs"', 'name = "<row>"\neach_row = true',
         "columns[0].step names 'runs'"),
        ('b = {method = "mixup"}\n[[steps]]\nname = "runs"',
         '"a!" = {method = "mixup"}\n[[steps]]\nname = "x-<row>"\neach_row = true',
         "steps[0] is done for each row, and 'a!' would have the folder 'a', as 'a' has; expected"),
        ('b = {method = "mixup"}\n[[steps]]\nname = "runs"',
         '"+" = {method = "mixup"}\n[[steps]]\nname = "<row>"\neach_row = true',
         "steps[0] is done for each row, and '+' would have the folder ''; expected letters"),
        ("[rows]", "[scales.tiny]\nabout = 'x'\nrows = ['b']\nsteps = {runs = {}}\n[rows]",
         "scales.tiny.rows has none of those of the step runs, a; expected one of them"),
        ("{a = 1.0}", '{a = 1.0}\nleads = [["b", "b"]]',
         "columns[0].leads has b against itself; expected another row."),
        ("{a = 1.0}", "{a = inf}", "columns[0]: a is inf; expected a finite number"),
        ('b = {method = "mixup"}\n[[steps]]',
         'scale = {method = "mixup"}\n[[columns]]\nhead = "x"\nstep = "runs"\n'
         "published = {scale = nan}\nsource = 'x'\n[[steps]]",
         "columns[0]: scale is nan; expected a finite number"),
        ("{a = 1.0}", "{a = 1.0}\nscale = nan", "expected a finite number"),
        ("{a = 1.0}", "{a = 1.0}\ndigits = -3", "columns[0].digits is -3; expected a whole number"),
        ('[rows]\na = {method = "none"}\nb = {method = "mixup"}\n', "",
         "rows is empty, and steps[0] names no methods; expected what compare is to do."),
    ],
)  # fmt: skip
def test_a_damaged_file_is_one_sentence(old: str, new: str, message: str) -> None:
    assert old in ITEM
    own = ITEM.replace("options", "rows = ['a']\noptions") if "rows = ['b']" in new else ITEM
    with pytest.raises(ValueError) as raised:
        read_item(own.replace(old, new, 1), where="my.toml")
    text = str(raised.value)
    assert message in text
    assert "\n" not in text
    assert text.startswith("my.toml: ")


def test_a_file_without_commands_has_to_say_why() -> None:
    with pytest.raises(ValueError, match="steps is empty; expected at least one command"):
        read_item('title = "x"\npaper = "y"', where="my.toml")


def test_scales_replace_options_rows_and_methods() -> None:
    text = ITEM + (
        '[scales.tiny]\nabout = "less"\nrows = ["b"]\nmethods = {b = "mixup:alpha=0.2"}\n'
        "[scales.tiny.steps]\nruns = {epochs = 1}\n"
    )
    item = read_item(text, where="my.toml")
    assert item.scale_names == ("tiny", "paper")
    (command,) = commands(item.at("tiny"), Path("out"))
    assert (command.words, command.options) == (("mixup:alpha=0.2",), {"epochs": 1})
    (command,) = commands(item.at("paper"), Path("out"))
    assert (command.words, command.options) == (("none", "mixup"), {"data": "digits"})


def test_a_step_for_each_row_starts_from_the_runs_of_that_row() -> None:
    found = commands(find_item("adautomix:table3"), Path("out"))
    assert len(found) == 1 + 2 * 6
    tuned = next(command for command in found if command.step == "cub200-adautomix")
    assert tuned.words == ("none",)
    assert tuned.options["init"] == "out/imagenet/runs/adautomix-s{seed}-*"


def _seconds(item: PublishedItem, *, gflops: float = 1e12, step: float = 0.0) -> float | None:
    return item_seconds(item, Speed(gflops=gflops, step=step, together=1))


def test_costs_are_counted() -> None:
    """300 steps of 2 methods and 5 seeds, and the same by hand in operations."""
    text = ITEM.replace(
        '{data = "digits"}', "{train_size = 60, epochs = 100, batch_size = 20, eval_every = 100}"
    )
    item = read_item(text, where="my.toml")
    assert _seconds(item, step=0.1) == pytest.approx(2 * 3 * 300 * 0.1)
    forward = FORWARD["smallconv"]
    images = 2 * 3 * (3 * 60 * 100 + 2 * 797)  # two methods, three seeds; EMA and trained weights
    assert _seconds(item, gflops=2.0) == pytest.approx(images * forward / 2)
    own = text.replace("epochs = 100", 'model = "my.nets:one", epochs = 100')
    assert _seconds(read_item(own, where="my.toml")) is None


def test_operations_are_those_that_torch_counts() -> None:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from mixwright.lab.models import MODELS, build_model

    for name in ("smallconv", "resnet8", "resnet18_cifar", "preactresnet50"):
        assert name in MODELS
        with torch.device("meta"):
            model = build_model(name, num_classes=100, image_size=32).eval()
            images = torch.empty(1, 3, 32, 32)
        with FlopCounterMode(display=False) as counter:
            model(images)
        assert FORWARD[name] == pytest.approx(counter.get_total_flops() / 1e9, rel=0.02)
