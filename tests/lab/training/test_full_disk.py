"""A full disk is called by its name, what was saved before stays, and all goes on with room."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from lab.training.tiny import recipe, run
from mixwright.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from mixwright.files import DiskFullError, write_json
from mixwright.lab.cli import main
from mixwright.lab.experiments.executors import worker
from mixwright.lab.training.folder import RunError, RunFolder
from mixwright.lab.training.recipe import Recipe


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a disk can be mounted by root alone")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def fill(disk: Path) -> Callable[[int], Path]:
    """Leaves so many bytes of the disk."""

    def fill(left: int) -> Path:
        room = os.statvfs(disk)
        (disk / "ballast").write_bytes(b"x" * (room.f_bavail * room.f_frsize - left))
        return disk

    return fill


def test_a_checkpoint(fill: Callable[[int], Path]) -> None:
    disk = fill(60_000)
    save_checkpoint(disk / "last.pt", {"epoch": 1})
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(disk / "last.pt", {"epoch": 2, "weights": torch.zeros(100_000)})
    said = f"no space left on {disk}; the checkpoint before it is still there. Make room"
    assert said in str(caught.value)
    assert load_checkpoint(disk / "last.pt")["epoch"] == 1
    assert sorted(entry.name for entry in disk.iterdir()) == ["ballast", "last.pt"]


def test_records(fill: Callable[[int], Path], disk: Path) -> None:
    with RunFolder(disk / "run", recipe()) as folder:
        fill(0)
        for write in (folder.append, folder.finish):
            with pytest.raises(RunError, match=f"to: no space left on {disk / 'run'}. Make room"):
                write({"epoch": 1, "text": "x" * 5000})
    with pytest.raises(DiskFullError) as caught:
        write_json(disk / "record.json", {"text": "x" * 5000})
    assert str(caught.value) == f"no space left on {disk}"


def test_a_run_goes_on_when_there_is_room_again(
    fill: Callable[[int], Path], tmp_path: Path
) -> None:
    disk = fill(45_000)
    straight = run(tmp_path / "straight", recipe(epochs=30))
    with pytest.raises((CheckpointError, RunError), match="no space left on"):
        run(disk / "run", recipe(epochs=30))
    (disk / "ballast").unlink()
    resumed = run(disk / "run", recipe(epochs=30))
    assert (resumed.scores, resumed.best) == (straight.scores, straight.best)
    assert not list((disk / "run").glob(".*.tmp"))


@pytest.mark.parametrize("left", [0, 20_000], ids=["nowhere", "a checkpoint's"])
def test_a_worker_says_it_in_a_sentence(fill: Callable[[int], Path], left: int) -> None:
    """Its log lies on the full disk too."""
    disk, out = fill(left), io.StringIO()
    of = Recipe(data="digits", train_size=20, batch_size=10, epochs=1, warmup_epochs=0)
    request = {"recipe": asdict(of), "folder": str(disk / "run"), "data_dir": None,
               "log": str(disk / "logs" / "run.log")}  # fmt: skip
    worker.serve(request, out)
    *_, last = map(json.loads, out.getvalue().splitlines())
    assert last["kind"] == "failed"
    assert "no space left on" in last["error"]
    assert "\n" not in last["error"]
    log = disk / "logs" / "run.log"
    assert not log.exists() or "Traceback" not in log.read_text()


def test_the_command_says_it_in_a_sentence(
    fill: Callable[[int], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    disk = fill(20_000)
    short = [
        "--epochs",
        "1",
        "--train-size",
        "20",
        "--batch-size",
        "10",
        "--out",
        str(disk / "run"),
    ]
    assert main(["train", "none", *short]) == 2
    said = capsys.readouterr().err
    assert f"could not be written: no space left on {disk / 'run'}; nothing was written." in said
    assert "enforce fail" not in said
