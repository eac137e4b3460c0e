"""The stored command of a comparison, taken apart and changed."""

from __future__ import annotations

import dataclasses

import pytest

from mixwright.lab.analysis.next_command import SWITCHES, read_command
from mixwright.lab.analysis.next_steps import OF_COMPARE
from mixwright.lab.cli.options import CompareOptions, TrainOptions


def test_options_and_methods_are_told_apart() -> None:
    text = (
        "mixwright compare none --seeds 2 'miamix:p_self=0|0.1' --trust cutmix --train_size=500 "
        "--data 'folder:my images'"
    )
    command = read_command(text)
    assert command is not None
    assert command.methods == ("none", "miamix:p_self=0|0.1", "cutmix")
    assert command.value("--train-size") == "500"
    assert command.value("--data") == "folder:my images"
    assert command.value("--out") is None
    assert command.with_option("--seeds", "5").text() == (
        "mixwright compare none 'miamix:p_self=0|0.1' cutmix --trust --train-size 500 "
        "--data 'folder:my images' --seeds 5"
    )
    assert command.with_methods(["none"]).with_option("--out", "there").text() == (
        "mixwright compare none --seeds 2 --trust --train-size 500 --data 'folder:my images' "
        "--out there"
    )


def test_the_last_of_an_option_given_twice_counts() -> None:
    command = read_command("mixwright compare --seeds 2 --seeds=4 -- none")
    assert command is not None
    assert (command.value("--seeds"), command.methods) == ("4", ("none",))


def test_what_collects_trains_nothing_and_is_not_what_comes_next() -> None:
    command = read_command("mixwright compare none mixup --collect --out there --executor ray")
    assert command is not None
    text = "mixwright compare none mixup --out there --executor ray --seeds 5"
    assert command.with_option("--seeds", "5").text() == text


@pytest.mark.parametrize("text", ["", "mixwright evaluate runs", "python x.py", "mixwright 'comp"])
def test_other_commands_are_none(text: str) -> None:
    assert read_command(text) is None


def test_what_train_does_not_take_is_left_out_of_its_command() -> None:
    compare, train = (
        {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(options)}
        for options in (CompareOptions, TrainOptions)
    )
    assert compare - train - {"--methods"} <= OF_COMPARE


def test_switches_are_those_of_the_command() -> None:
    switches = {
        f"--{field.name.replace('_', '-')}"
        for field in dataclasses.fields(CompareOptions)
        if isinstance(field.default, bool)
    }
    assert switches <= SWITCHES
