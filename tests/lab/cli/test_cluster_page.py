"""The commands of docs/cluster.md: understood by the parser, and its Makefile carried out."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from mixwright.lab.cli.options import CompareOptions
from mixwright.lab.cli.parser import parse
from mixwright.lab.cli.shared_work import parse_part
from mixwright.lab.experiments.executors.resources import read_resources

PAGE = (Path(__file__).parents[3] / "docs" / "cluster.md").read_text()
# Those that stand for themselves; those in other text have variables, which are given values.
COMMANDS = re.findall(r"^    (mixwright compare .*)$", PAGE, re.M)
WITHIN = [
    re.sub(r"\$SLURM_ARRAY_TASK_ID|\$\(\(JOB_COMPLETION_INDEX \+ 1\)\)", "3", found)
    for found in re.findall(r"[\"'](mixwright compare [^\"']*)[\"']", PAGE)
]


@pytest.mark.parametrize("command", [*COMMANDS, *WITHIN])
def test_commands_are_understood(command: str) -> None:
    _, name, *words = shlex.split(command)
    options = parse(CompareOptions, words, prog=f"mixwright {name}", about="")
    assert options.methods == ("none", "mixup", "cutmix")
    assert options.out in ("runs/mine", "/shared/mine")
    read_resources(options.executor, options.resources)
    parse_part(options.part)


def test_what_the_page_shows() -> None:
    parts = [parse_part(found) for found in re.findall(r"--part (\d/\d)$", PAGE, re.M)]
    assert parts == [(1, 3), (2, 3), (3, 3)]
    assert len(COMMANDS) == 7  # one machine, three parts, collecting, Ray, SLURM
    assert len(WITHIN) == 2  # Kubernetes, and an array of one's own
    assert {"ray", "slurm"} <= set(re.findall(r"--executor (\w+)", PAGE))


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
def test_the_makefile(tmp_path: Path) -> None:
    (block,) = re.findall(r"```make\n(.*?)```", PAGE, re.S)
    (tmp_path / "Makefile").write_text(block)
    stub = tmp_path / "mixwright"
    stub.write_text('#!/bin/sh\necho "$@" >> asked\n')
    stub.chmod(0o755)
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    subprocess.run(["make", "-j3"], cwd=tmp_path, check=True, capture_output=True, env=path)
    asked = (tmp_path / "asked").read_text().splitlines()
    base = "compare none mixup cutmix --out runs/mine"
    assert sorted(asked[:3]) == [f"{base} --part {number}/3" for number in (1, 2, 3)]
    assert asked[3:] == [f"{base} --collect"]
