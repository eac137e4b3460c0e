"""The same command on a finished comparison: its record at once, remade where it is stale."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mixwright.lab.analysis.store import read_findings
from mixwright.lab.cli import main
from mixwright.lab.experiments import comparing

COMMAND = [
    "compare", "none", "mixup", "--seeds", "1", "--epochs", "1", "--train-size", "20",
    "--batch-size", "10", "--workers", "1", "--out", "out",
]  # fmt: skip

AT_ONCE = """
import sys
from mixwright.lab.cli import main
assert main(sys.argv[1:]) == 0
heavy = {"torch", "scipy", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
"""


class RemadeError(Exception):
    """The record is made anew."""


def test_a_finished_comparison_is_shown_at_once_and_remade_where_it_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(COMMAND) == 0
    first = capsys.readouterr().out
    record, page = Path("out/comparison.json"), Path("out/report.html")
    whole, shown = record.read_bytes(), page.read_bytes()

    # In a process of its own, which imports nothing that takes seconds.
    done = subprocess.run(
        [sys.executable, "-c", AT_ONCE, *COMMAND], capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert "2 of 2 runs are there already\nnothing has changed since 2" in done.stdout
    assert (record.read_bytes(), page.read_bytes()) == (whole, shown)
    # The same words about the same numbers: heading, table, answer, where the files are.
    said = [line for line in first.splitlines() if line and not line.endswith(" s")]
    for line in said[:2] + said[said.index(next(x for x in said if "EMA top-1" in x)) :]:
        assert line in done.stdout
    with monkeypatch.context() as patched:

        def remade(*_: object, **__: object) -> None:
            raise RemadeError

        patched.setattr(comparing, "compare_runs", remade)
        assert main(COMMAND) == 0
        for change in (lambda: record.write_bytes(whole[:-9]), page.unlink):
            change()
            with pytest.raises(RemadeError):
                main(COMMAND)
            record.write_bytes(whole)
            page.write_bytes(shown)
            assert main(COMMAND) == 0
    record.write_bytes(whole[: len(whole) // 2])
    page.unlink()
    capsys.readouterr()
    assert main(COMMAND) == 0
    assert "nothing has changed" not in capsys.readouterr().out
    assert read_findings(record).parts["scores"].groups
    assert page.is_file()
    assert main(COMMAND) == 0
    assert "nothing has changed" in capsys.readouterr().out
