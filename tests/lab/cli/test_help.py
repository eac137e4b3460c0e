"""What ``--help`` shows: commands that can be typed, and a default for every option."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from typing import Any

import pytest

from mixwright.lab.cli import main
from mixwright.lab.cli.examples import EXAMPLES
from mixwright.lab.cli.main import COMMANDS
from mixwright.lab.cli.options import CompareOptions, TrainOptions
from mixwright.lab.cli.parser import parse
from mixwright.lab.data.names import parse_data
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.experiments.presets import PRESETS
from mixwright.lab.models.names import MODELS

OPTIONS: dict[str, Any] = {
    name: {"compare": CompareOptions, "train": TrainOptions}.get(name)
    or getattr(import_module(f"mixwright.lab.cli.{name}"), f"{name.capitalize()}Options")
    for name in COMMANDS
}


def help_of(command: str, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> str:
    monkeypatch.setenv("COLUMNS", "200")
    assert main([command, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_says_its_default(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = help_of(command, capsys, monkeypatch)
    entries = re.split(r"\n  (?=--)", shown.partition("\noptions:\n")[2])
    assert len(entries) >= 2
    for entry in entries[1:]:
        assert "default" in entry.partition("\n\n")[0], entry


@pytest.mark.parametrize(
    ("option", "default"),
    [
        ("--epochs", "(default: 200 for digits and cifar10, 100 for your own images)"),
        ("--momentum", "(default 0.9)"),
        ("--nesterov", "(default true)"),
        ("--optimizer", "(default sgd; adamw for vision transformers)"),
        ("--grad-clip", "(default: none)"),
        ("--skip-unreadable", "(default: off)"),
        ("--seeds", "(default 3)"),
    ],
)
def test_defaults_are_those_that_runs_get(
    option: str, default: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = help_of("compare", capsys, monkeypatch)
    (entry,) = re.findall(rf"\n  {option}[ \n](?:.|\n)*?(?=\n  --|\n\n)", shown)
    assert entry.rstrip().endswith(default)


@pytest.mark.parametrize("command", COMMANDS)
def test_examples_are_commands_that_are_understood(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = help_of(command, capsys, monkeypatch)
    assert 2 <= len(EXAMPLES[command]) <= 4
    for words, about in EXAMPLES[command]:
        assert f"  mixwright {command} {words}".rstrip() + f"\n      {about}\n" in shown
        prog = f"mixwright {command}"
        options = parse(OPTIONS[command], shlex.split(words), prog=prog, about="")
        if hasattr(options, "methods"):
            parse_methods(options.methods)
        if getattr(options, "data", None):
            parse_data(options.data)
        assert getattr(options, "recipe", None) in (None, *PRESETS)
        assert getattr(options, "model", None) in (None, *MODELS)
