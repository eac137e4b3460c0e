"""Names are data: through every command, to terminals of any encoding, without a warning."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Generator, Sequence
from html import escape
from pathlib import Path

import pytest
import torch
from PIL import Image

from lab.reports.pages import ABOUT, made_group
from mixwright.lab.analysis.analyse import analyse
from mixwright.lab.analysis.findings import Findings
from mixwright.lab.analysis.store import read_findings, write_findings
from mixwright.lab.cli import main
from mixwright.lab.cli.console import PlainConsole
from mixwright.lab.cli.errors import users_words
from mixwright.lab.cli.progress import display, say
from mixwright.lab.cli.table import numbers_table
from mixwright.lab.experiments.executors.base import Event, Job

DOG = "\N{CJK UNIFIED IDEOGRAPH-72D7}"
LITERAL = ("$5", "a_b$", "_hidden", r"\alpha", "[red]", ":dog:", "<b>&\"'", DOG, "x" * 120)
SHOWN = {
    "0": "class 0",
    "\x1b[31mred": r"\x1b[31mred",
    "line\nbreak": r"line\nbreak",
    "\N{RIGHT-TO-LEFT OVERRIDE}evil": r"\u202eevil",
    os.fsdecode(b"caf\xe9"): r"caf\xe9",
}
"""Names that are shown otherwise than they are."""
SMALL = ("--epochs", "1", "--batch-size", "8", "--image-size", "16", "--model", "smallconv")


@contextlib.contextmanager
def ascii_terminal() -> Generator[tuple[io.BytesIO, io.BytesIO]]:
    """Standard output and error of a terminal that knows ASCII alone, for a ``with`` block."""
    out, err = io.BytesIO(), io.BytesIO()
    streams = [
        io.TextIOWrapper(file, encoding="ascii", errors="strict", write_through=True)
        for file in (out, err)
    ]
    with contextlib.redirect_stdout(streams[0]), contextlib.redirect_stderr(streams[1]):
        yield out, err
    for stream in streams:
        stream.detach()


def write_pictures(root: Path, names: Sequence[str]) -> None:
    generator = torch.Generator().manual_seed(0)
    for place, name in enumerate(names):
        for split in ("train", "test"):
            folder = root / split / name
            folder.mkdir(parents=True)
            pixels = torch.randint(256, (16, 16, 3), generator=generator, dtype=torch.uint8)
            pixels[..., 0] = 17 * place
            Image.fromarray(pixels.numpy()).save(folder / "one.png")


def test_names_of_any_kind_reach_every_page_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = "folder:" + os.fsdecode(b"ab:dog:[x]\xe9")
    names = [*LITERAL, *SHOWN]
    write_pictures(Path(data.removeprefix("folder:")), names)
    out = "out:dog:[red]"
    compare = ("compare", "none", "cutmix", "--data", data, *SMALL, "--seeds", "1")
    evaluate = ("evaluate", out, "--only", "accuracy cam", "--weights", "raw", "--out", "e")
    gallery = ("gallery", "cutmix", "--data", data, "--image-size", "16", "--count", "14")
    with ascii_terminal() as terminal:
        assert main([*compare, "--workers", "1", "--out", out]) == 0
        assert main(["report", out]) == 0
        assert main(evaluate) == 0
        assert main([*gallery, "--out", "g"]) == 0

    classes = sorted(os.fsencode(name).decode("ascii", "backslashreplace") for name in names)
    found = sorted(
        name.encode().decode("ascii", "backslashreplace")
        for name in read_findings(Path(out)).about.data.classes
    )
    assert found == classes
    wanted = {
        escape(name).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") for name in LITERAL
    }
    wanted |= set(SHOWN.values())
    wanted = {f"{name}:" if name in ("$5", "class 0", r"caf\xe9") else name for name in wanted}
    page = Path("g/gallery.html").read_text(encoding="utf-8")
    shown = set(re.findall(r"<bdi>(.*?) \d+ %</bdi>", page, flags=re.DOTALL))
    assert shown == wanted
    page = (Path(out) / "report.html").read_text(encoding="utf-8")
    assert r"smallconv on ab:dog:[x]\xe9</h1>" in page
    text = "".join(file.getvalue().decode("ascii") for file in terminal)
    assert f"in {out}" in text
    assert f"report  {out}/report.html" in text
    assert "1.00x" in text  # the step of no mixing, in the table


def test_a_console_takes_no_markup_and_obeys_no_name() -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, width=100, force_terminal=False)
    names = ["[red]x[/red]", "[/]", ":dog:", "\x1b[31mred", "a\tb"]
    table = numbers_table("[b]head[/b]", ("[i]",), console, title=":cat:", caption="[/nothing]")
    for name in names:
        table.add_row(name, "[1]")
        say(console, f"say {name}")
    console.print(table)
    text = file.getvalue()
    for name in ("[red]x[/red]", "[/]", ":dog:", r"\x1b[31mred", r"a\tb"):
        assert f"say {name}\n" in text
        assert text.count(name) == 2
    for other in ("[b]head[/b]", "[i]", ":cat:", "[/nothing]", "[1]"):
        assert other in text


def test_bars_take_no_markup() -> None:
    file = io.StringIO()
    console = PlainConsole(file=file, width=100, force_terminal=True)
    job = Job("[/]:dog:\x07", Path("a"), Path("a"), {})
    with display(console, total=1, finished=0) as shown:
        shown.tell(Event("start", job))
        shown.tell(Event("failed", job, {"error": "[/b] why"}))
    assert r"[/]:dog:\x07: FAILED: [/b] why" in file.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_tables_stay_aligned_where_characters_are_replaced(encoding: str) -> None:
    file = io.BytesIO()
    stream = io.TextIOWrapper(file, encoding=encoding, write_through=True)
    console = PlainConsole(file=stream, width=60)
    table = numbers_table(DOG, ("top-1 %",), console)
    table.add_row("a", "6.2 ± 0.1")
    table.add_row(DOG, "6.2")
    console.print(table)
    lines = [line.rstrip("| ") for line in file.getvalue().decode(encoding).splitlines()]
    ends = {len(line) for line in lines if re.search(r"\d$", line) and "top" not in line}
    assert len(ends) == 1
    assert any(r"\u72d7" in line for line in lines)


@pytest.mark.parametrize("words", [("list", "methods"), ("--help",), ("theory", "--help")])
def test_what_there_is_is_told_in_ascii(words: Sequence[str]) -> None:
    with ascii_terminal() as (out, _):
        assert main(words) == 0
    assert len(out.getvalue()) > 500


def test_a_mistake_is_told_without_its_control_characters() -> None:
    with ascii_terminal() as (_, err):
        assert main(["c\x1b[31mé\udce9"]) == 2
    assert rb"there is no command c\x1b[31m\xe9\xe9." in err.getvalue()


@pytest.mark.parametrize("fail", [lambda: "é".encode("ascii"), lambda: b"\xff".decode()])
def test_errors_of_encoding_are_not_the_users(fail: object) -> None:
    with pytest.raises(UnicodeError), users_words():
        fail()  # type: ignore[operator]


def test_a_process_of_the_c_locale_writes_its_page(tmp_path: Path) -> None:
    parts, arrays = analyse(
        {"accuracy": [made_group("none", "", [summary(0.61)]), made_group(DOG, "", [summary(0.6)])]}
    )
    record = write_findings(tmp_path, Findings(kind="evaluation", about=ABOUT, parts=parts), arrays)
    env = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    env |= {"PYTHONIOENCODING": "ascii"}
    command = (sys.executable, "-W", "error", "-m", "mixwright", "report", str(record))
    out = os.fsdecode(bytes(tmp_path / "new") + b"\xe9")
    done = subprocess.run([*command, "--out", out], env=env, capture_output=True, check=False)
    assert done.stderr == b""
    assert done.returncode == 0
    assert done.stdout.endswith(rb"new\xe9/report.html" + os.linesep.encode())
    assert DOG in (Path(out) / "report.html").read_text(encoding="utf-8")


def summary(top1: float) -> dict[str, object]:
    return {
        "images": 100, "top1": top1, "top5": 0.9, "macro": 0.6, "per_class": [0.5] * 6,
        "class_names": list("abcdef"), "protocol": "final", "protocols": None,
    }  # fmt: skip
