"""The page on reproducing a table: its commands are understood, its file is a table."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from mixwright.lab.cli.parser import parse
from mixwright.lab.cli.reproduce import ReproduceOptions, words_of
from mixwright.lab.cli.reproduce_checks import check_commands
from mixwright.lab.experiments.published.commands import commands
from mixwright.lab.experiments.published.load import find_item, item_names, read_item

PAGE = (Path(__file__).parents[3] / "docs" / "reproduce.md").read_text()


def test_every_command_of_the_page_is_understood() -> None:
    found = re.findall(r"^    mixwright reproduce (.*)$", PAGE, re.M)
    assert len(found) == 6
    for words in found:
        options = parse(ReproduceOptions, shlex.split(words), prog="mixwright reproduce", about="")
        for name in options.items:
            if not name.endswith(".toml"):
                assert options.scale in (None, *find_item(name).scale_names)
    for name in re.findall(r"`((?:miamix|hmix|adautomix):[\w-]+)`", PAGE):
        assert name in item_names()


def test_the_file_of_the_page_is_a_table() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.S)
    item = read_item(text, where="my.toml")
    planned = commands(item.at("tiny"), Path("out"))
    every = [(command, words_of(command, ReproduceOptions())) for command in planned]
    check_commands(every, data_too=True)
    assert [words for _, words in every] == [
        shlex.split(
            "compare 'none' cutmix automix --data digits --epochs 2 --seeds 2 --out out/runs"
        )
    ]
    assert [command.command for command in commands(item, Path("out"))] == ["compare", "evaluate"]
    shown = re.findall(r"`(\w+)`", PAGE.partition("- A **step** is ")[2].partition(".")[0])
    assert shown == ["compare", "train", "evaluate", "gallery", "bench", "theory"]
