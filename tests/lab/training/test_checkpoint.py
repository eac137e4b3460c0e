"""Checkpoints are whole or absent, and what is not one is told."""

import errno
import os
import pickle
import signal
import threading

import pytest
import torch

from mixwright.checkpoint import CheckpointError, load_checkpoint, save_checkpoint

STATE = {"epoch": 3, "weights": {"a": torch.arange(5000.0)}, "best": {}, "note": None}


@pytest.fixture
def path(tmp_path):
    save_checkpoint(tmp_path / "last.pt", STATE)
    return tmp_path / "last.pt"


def test_what_is_saved_comes_back(path):
    state = load_checkpoint(path)
    assert state["epoch"] == 3
    assert state["note"] is None
    assert torch.equal(state["weights"]["a"], STATE["weights"]["a"])
    assert [entry.name for entry in path.parent.iterdir()] == ["last.pt"]


def _flip_in_the_middle(data: bytes) -> bytes:
    at = data.index(torch.arange(5000.0).numpy().tobytes()) + 9000
    return data[:at] + bytes([data[at] ^ 255]) + data[at + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: b"hello",
        lambda data: pickle.dumps({"epoch": 3}),
        _flip_in_the_middle,  # torch.load alone reads this without a word
    ],
    ids=["half", "one byte short", "empty", "text", "pickle", "one byte changed"],
)
def test_damage_is_found_and_named(path, damage):
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert str(path) in message
    assert "expected a whole file that mixwright saved" in message
    assert "Delete it to train from the start" in message


class Harm:
    """What a pickle could do."""

    def __reduce__(self):
        return os.mkdir, ("/tmp/should-not-be-run",)


def test_code_in_a_file_is_not_run(path, monkeypatch):
    ran = []
    monkeypatch.setattr(os, "mkdir", ran.append)
    torch.save({"format": "mixwright-checkpoint", "version": 1, "harm": Harm()}, path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(path)
    assert not ran


@pytest.mark.parametrize("foreign", [{"weight": torch.ones(2)}, torch.ones(2), {"format": "x"}])
def test_files_of_others_are_refused(path, foreign):
    torch.save(foreign, path)
    with pytest.raises(CheckpointError, match=r"without our mark; .*load_state_dict"):
        load_checkpoint(path)


def test_other_versions_are_refused(path):
    torch.save({"format": "mixwright-checkpoint", "version": 99}, path)
    with pytest.raises(CheckpointError, match="has version 99; this mixwright reads 1"):
        load_checkpoint(path)


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"does not exist; expected .* last.pt or best.pt"):
        load_checkpoint(tmp_path / "last.pt")


FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("torch.save", FULL),
        ("torch.save", RuntimeError("enforce fail: unexpected pos 704 vs 598")),
        ("os.fsync", FULL),
        ("pathlib.Path.replace", FULL),
    ],
    ids=["write", "torch's writer", "fsync", "replace"],
)
def test_a_full_disk_leaves_the_checkpoint_before(path, monkeypatch, where, error):
    def full(*_args, **_kwargs):
        raise error

    before = path.read_bytes()
    monkeypatch.setattr(where, full)
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(path, {**STATE, "epoch": 4})
    said = f"no space left on {path.parent}" if error is FULL else str(error)
    assert f"last.pt could not be written: {said}; " in str(caught.value)
    assert "the checkpoint before it is still there. Make room" in str(caught.value)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["last.pt"]


def test_a_disk_that_fills_up_while_torch_writes(path, tmp_path):
    """/dev/full takes no byte; torch's writer reports that as an error of its own."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / f".best.pt.{os.getpid()}.tmp").symlink_to("/dev/full")
    with pytest.raises(CheckpointError, match=rf"no space left on {folder}; nothing was written"):
        save_checkpoint(folder / "best.pt", STATE)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
@pytest.mark.parametrize("taken", [10, 70_000], ids=["its head", "a tensor"])
def test_ctrl_c_while_torch_writes_is_an_interrupt(path, taken):
    """A pipe that nobody empties holds torch's writer up until Ctrl-C comes."""
    before = path.read_bytes()
    pipe = path.parent / f".last.pt.{os.getpid()}.tmp"
    os.mkfifo(pipe)

    def press() -> None:
        with pipe.open("rb") as end:
            end.read(taken)
            os.kill(os.getpid(), signal.SIGINT)
            interrupted.wait(10)

    interrupted = threading.Event()
    pressing = threading.Thread(target=press)
    pressing.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(path, {**STATE, "more": torch.zeros(100_000)})
    finally:
        interrupted.set()
        pressing.join()
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["last.pt"]


def test_an_interrupt_that_was_over_before_is_no_cause(path, monkeypatch):
    """Only what happens while the file is written can have stopped the writing."""

    def broken(*_args):
        raise RuntimeError("a fault of torch's")

    monkeypatch.setattr("torch.save", broken)
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with pytest.raises(CheckpointError, match="a fault of torch's"):
            save_checkpoint(path, STATE)


def test_an_interrupt_while_writing_leaves_the_checkpoint_before(path, monkeypatch):
    def interrupted(*_args):
        raise KeyboardInterrupt

    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, {**STATE, "epoch": 4})
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["last.pt"]


def test_the_file_reaches_the_disk_before_it_takes_the_name(path, monkeypatch):
    order = []
    sync, move = os.fsync, type(path).replace
    monkeypatch.setattr("os.fsync", lambda handle: (order.append("fsync"), sync(handle))[1])
    monkeypatch.setattr(
        "pathlib.Path.replace", lambda self, to: (order.append("replace"), move(self, to))[1]
    )
    save_checkpoint(path, STATE)
    assert order == ["fsync", "replace", "fsync"]  # the file, then the folder
