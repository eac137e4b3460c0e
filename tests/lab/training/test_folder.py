"""A run folder belongs to one recipe and one process."""

import errno
import json
import os
import signal
import subprocess
import sys

import pytest

from lab.training.tiny import recipe
from mixwright.files import LOCK, is_locked, remove_unfinished
from mixwright.lab.experiments.grid import alone_in
from mixwright.lab.training.folder import (
    RunError,
    RunFolder,
    median_step,
    read_identity,
    read_metrics,
    read_result,
)
from mixwright.lab.training.recipe import Recipe


def test_a_new_folder_takes_the_recipe(tmp_path):
    with RunFolder(tmp_path / "deep" / "run", recipe()) as run:
        assert (run.path / "recipe.json").read_text() == recipe().to_json()
        assert run.result() is None
    with RunFolder(tmp_path / "deep" / "run", recipe()):
        pass  # the same recipe may come again


def test_another_recipe_is_refused_by_the_fields_that_differ(tmp_path):
    with RunFolder(tmp_path, recipe()):
        pass
    with pytest.raises(RunError) as caught, RunFolder(tmp_path, recipe(lr=0.2, seed=8)):
        pass
    message = str(caught.value)
    assert "lr 0.1 there, 0.2 now; seed 7 there, 8 now." in message
    assert "epochs" not in message
    assert (tmp_path / "recipe.json").read_text() == recipe().to_json()


def test_a_folder_of_something_else_is_refused_untouched(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg"):
        (tmp_path / name).touch()
    with (
        pytest.raises(RunError, match=r"no recipe.json but holds a.jpg, b.jpg, c.jpg, \.\.\."),
        RunFolder(tmp_path, recipe()),
    ):
        pass
    assert len(list(tmp_path.iterdir())) == 4


def test_a_damaged_recipe_is_refused(tmp_path):
    (tmp_path / "recipe.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"), RunFolder(tmp_path, recipe()):
        pass


@pytest.mark.parametrize("levels", [101, 600, 100_000])  # Python itself gives up at about 1,000
def test_files_that_are_nested_too_deep_are_damaged(tmp_path, levels):
    deep = '{"epoch": 1, "train": {"loss": ' + "[" * levels + "]" * levels + "}}"
    for name in ("recipe.json", "data.json", "result.json", "metrics.jsonl"):
        (tmp_path / name).write_text(deep)
    assert read_result(tmp_path) is None
    assert read_metrics(tmp_path) == []
    with pytest.raises(RunError, match=r"data\.json cannot be read \(it is nested"):
        read_identity(tmp_path)
    with (
        pytest.raises(RunError, match=r"recipe\.json cannot be read .*not valid JSON .*nested"),
        RunFolder(tmp_path, recipe()),
    ):
        pass


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be used"), RunFolder(tmp_path / "file", recipe()):
        pass


def test_two_processes_do_not_share_a_folder(tmp_path):
    pytest.importorskip("fcntl")
    with (
        RunFolder(tmp_path, recipe()),
        pytest.raises(RunError, match="in use by another process"),
        RunFolder(tmp_path, recipe()),
    ):
        pass
    with RunFolder(tmp_path, recipe()):
        pass


def line_of(epoch, **more):
    return {"epoch": epoch, "train": {"loss": epoch / 4}, "test": None, "warnings": [], **more}


@pytest.mark.parametrize("whole", [1, 2, 3])
@pytest.mark.parametrize("tail", [b"", b'{"epoch": 3, "lo', b"\xff\x00\xfe"])
def test_lines_are_brought_to_the_checkpoint(tmp_path, caplog, whole, tail):
    """The checkpoint is of epoch 2 and knows its line alone; the file may have more, or less."""
    lines = [line_of(1, train={"loss": float("nan")}), line_of(2), line_of(3)]
    with RunFolder(tmp_path, recipe()) as run:
        for line in lines[:whole]:
            run.append(line)
        with (tmp_path / "metrics.jsonl").open("ab") as file:
            file.write(tail)
        records = run.rewind(2, [lines[1]])
        run.append(lines[2])
    found = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert found == [line_of(1, train={"loss": None}), *lines[1:]]  # JSON knows no NaN
    assert [record["epoch"] for record in records] == [1, 2]
    assert not caplog.records


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("damage", ["", '{"epoch": 9', "[1]", "null", '{"epoch": "1"}', "7", "\0"])
def test_a_damaged_line_is_lost_alone(tmp_path, caplog, place, damage):
    lines = [json.dumps(line_of(epoch)) for epoch in (1, 2, 3)]
    lines[place] = damage
    with RunFolder(tmp_path, recipe()) as run:
        (tmp_path / "metrics.jsonl").write_text("\n".join(lines))
        records = run.rewind(3, [line_of(3)])
    kept = sorted({1, 2, 3} - ({place + 1} - {3}))
    assert [record["epoch"] for record in records] == kept
    assert [record["epoch"] for record in read_metrics(tmp_path)] == kept
    said = [record.getMessage() for record in caplog.records]
    assert said == ([] if place == 2 else [
        f"{tmp_path / 'metrics.jsonl'}: the lines of 1 of 3 epochs are missing or damaged; the run "
        "goes on without."
    ])  # fmt: skip


def test_a_line_has_reached_the_disk_when_it_is_added(tmp_path, monkeypatch):
    order = []
    sync = os.fsync

    def note(handle):
        order.append((tmp_path / "metrics.jsonl").read_text())
        sync(handle)

    with RunFolder(tmp_path, recipe()) as run:
        monkeypatch.setattr("os.fsync", note)
        run.append(line_of(1))
        run.append(line_of(2))
    first, second = (json.dumps(line_of(epoch)) + "\n" for epoch in (1, 2))
    assert order == [first, first, first + second]  # the first time the folder's list as well


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with RunFolder(tmp_path, recipe()) as run:
        monkeypatch.setattr("mixwright.lab.training.folder.write_whole", full)
        with pytest.raises(RunError, match=r"No space left on device. Make room"):
            run.finish({})
        assert run.result() is None


@pytest.mark.parametrize("name", ["recipe.json", "metrics.jsonl", "last.pt", "result.json"])
def test_a_folder_where_a_file_should_be_is_named(tmp_path, name):
    with RunFolder(tmp_path, recipe()):
        pass
    (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / name).mkdir()
    with (
        pytest.raises(RunError, match=f"{name} is a folder; expected a file. Move it away"),
        RunFolder(tmp_path, recipe()),
    ):
        pass
    assert read_metrics(tmp_path) == []
    assert read_result(tmp_path) is None


def test_what_killed_processes_had_begun_to_write_is_removed(tmp_path):
    pytest.importorskip("fcntl")
    with RunFolder(tmp_path / "inner", recipe()):
        pass
    left = [".last.pt.123.tmp", "masks/.epoch-0001.pt.99.tmp"]
    kept = ["mine.tmp", ".notes.tmp", "inner/.last.pt.5.tmp"]  # of others, and under another lock
    for name in (*left, *kept):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "recipe.json").write_text(recipe().to_json())
    with RunFolder(tmp_path, recipe()):
        assert not any((tmp_path / name).exists() for name in left)
        assert all((tmp_path / name).exists() for name in kept)


def test_a_folder_that_could_not_be_taken_is_not_held(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    run = RunFolder(tmp_path, recipe())
    with monkeypatch.context() as patch:
        patch.setattr("mixwright.lab.training.folder.write_whole", full)
        with pytest.raises(RunError, match="cannot be used"):
            run.open()
    with RunFolder(tmp_path, recipe()):
        pass


def test_a_folder_in_use_keeps_what_is_being_written(tmp_path):
    pytest.importorskip("fcntl")
    with RunFolder(tmp_path, recipe()):
        (tmp_path / ".last.pt.123.tmp").touch()
        with pytest.raises(RunError, match="in use"), RunFolder(tmp_path, recipe()):
            pass
        assert (tmp_path / ".last.pt.123.tmp").exists()


# Takes a lock, forks a child that lives on, and waits to be killed.
HOLDER = """
import os, sys, time
from pathlib import Path
from mixwright.lab.experiments.grid import alone_in
from mixwright.lab.training.folder import RunFolder
from mixwright.lab.training.recipe import Recipe

with RunFolder(Path(sys.argv[1]), Recipe(seed=7)), alone_in(Path(sys.argv[2])):
    child = os.fork()
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on this system")
def test_a_lock_ends_with_its_process_though_children_live(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    command = [sys.executable, "-c", HOLDER, str(run), str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        child = int(holder.stdout.readline())
        try:
            with pytest.raises(RunError, match="in use"):
                RunFolder(run, Recipe(seed=7)).open()
            holder.kill()
            holder.wait()
            os.kill(child, 0)  # it lives
            with RunFolder(run, Recipe(seed=7)), alone_in(out):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


WRITER = """
import sys, time
from pathlib import Path
from mixwright.lab.experiments.grid import alone_in

with alone_in(Path(sys.argv[1])):
    print("holds", flush=True)
    time.sleep(60)
"""


def test_whoever_writes_a_record_is_waited_for_until_killed(tmp_path):
    pytest.importorskip("fcntl")
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        (tmp_path / ".record.json.1.tmp").touch()
        with pytest.raises(ValueError, match="another mixwright is at work"), alone_in(tmp_path):
            pass
        assert (tmp_path / ".record.json.1.tmp").exists()
        waited = []

        def kill():
            waited.append(is_locked(tmp_path / LOCK))
            holder.kill()

        with alone_in(tmp_path, on_wait=kill):
            assert waited == [True]
            assert is_locked(tmp_path / LOCK)
            assert not (tmp_path / ".record.json.1.tmp").exists()
    assert not is_locked(tmp_path / LOCK)


def test_a_folder_that_is_being_made_keeps_what_is_written_in_it(tmp_path, monkeypatch):
    """Its lock comes between the listing of the folder around it and its own."""
    inner, walk = tmp_path / "inner", os.walk
    inner.mkdir()

    def late(folder):
        for found in walk(folder):
            yield found
            if found[0] == str(tmp_path):
                (inner / LOCK).touch()
                (inner / ".recipe.json.5.tmp").touch()

    monkeypatch.setattr(os, "walk", late)
    remove_unfinished(tmp_path)
    assert (inner / ".recipe.json.5.tmp").exists()


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, caplog):
    fcntl = pytest.importorskip("fcntl")

    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with RunFolder(tmp_path, recipe()):
        assert f"{tmp_path}: the file system has no locks" in caplog.text


def test_median_step_leaves_out_the_first_epoch():
    records = [{"step_seconds": s} for s in (9.0, 1.0, 4.0, 2.0)]
    assert median_step(records) == 2.0
    assert median_step(records[:1]) == 9.0


def test_metrics_are_read_by_epoch_and_what_is_damaged_is_not(tmp_path):
    assert read_metrics(tmp_path) == []
    lines = [line_of(epoch) for epoch in (1, 2, 3)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text("\n" + text + '{"epoch": 4, "te')
    assert read_metrics(tmp_path) == lines
    (tmp_path / "metrics.jsonl").write_text('{"epoch"\n' + text)
    assert read_metrics(tmp_path) == lines
    (tmp_path / "copy.jsonl").write_bytes(b"\x80\n" + text.encode() + text.encode()[:60])
    assert read_metrics(tmp_path / "copy.jsonl") == lines
    twice = json.dumps(line_of(2, lr=0.5)) + "\n"  # the later one counts
    (tmp_path / "metrics.jsonl").write_text(text + twice)
    assert [line.get("lr") for line in read_metrics(tmp_path)] == [None, 0.5, None]
