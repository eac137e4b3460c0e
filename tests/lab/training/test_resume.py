"""A run that was killed continues, bit for bit, as if nothing had happened."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lab.training.tiny import Blend, Turns, digest, recipe, run, tiny_data
from mixwright.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.training.folder import RunError, read_identity, read_metrics, read_result

# The clock, and the commit, which may change between two processes.
TIMES = {"seconds", "step_seconds", "images_per_second", "commit"}


def left(folder):
    """Everything a run leaves that another process must leave alike."""
    last = load_checkpoint(folder / "last.pt")
    best = load_checkpoint(folder / "best.pt")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "last": {k: digest(v) for k, v in last.items() if k not in {*TIMES, "record"}},
        "best": {k: digest(v) for k, v in best.items() if k not in TIMES},
        "metrics": [{k: v for k, v in line.items() if k not in TIMES} for line in lines],
    }


class KilledError(Exception):
    pass


def kill_at(epoch, step):
    def on_progress(progress):
        if (progress.epoch, progress.step) == (epoch, step):
            raise KilledError

    return on_progress


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"precision": "bf16", "channels_last": True},
        {"accumulate": 2, "grad_clip": 1.0},
        {"optimizer": "adamw", "lr": 0.01, "eval_every": 3},
        {"mix_off_epochs": 2},
        {"augment": "randaugment:chance=1", "erase": 0.5, "crop_padding_mode": "reflect"},
    ],
    ids=lambda changes: "-".join(changes) or "plain",
)
@pytest.mark.parametrize(("epoch", "step"), [(2, 4), (3, 2)], ids=["boundary", "within"])
def test_resumed_is_straight(tmp_path, changes, epoch, step):
    of = recipe(**changes)
    straight = run(tmp_path / "straight", of)
    with pytest.raises(KilledError):
        run(tmp_path / "killed", of, on_progress=kill_at(epoch, step))
    assert load_checkpoint(tmp_path / "killed" / "last.pt")["epoch"] == 2
    torch.manual_seed(99)  # the new process is not in the old one's state
    objective = Blend()
    resumed = run(tmp_path / "killed", of, objective=objective)
    assert left(tmp_path / "killed") == left(tmp_path / "straight")
    assert (resumed.scores, resumed.best) == (straight.scores, straight.best)
    assert int(objective.steps) == 16
    assert resumed.seconds > 0


@pytest.mark.parametrize("kind", ["sgd", "adamw"])
def test_players_of_two_kinds_resume_straight(tmp_path, kind):
    of = recipe(optimizer=kind, lr=0.01, grad_clip=1.0)
    run(tmp_path / "straight", of, objective=Turns())
    with pytest.raises(KilledError):
        run(tmp_path / "killed", of, objective=Turns(), on_progress=kill_at(3, 2))
    run(tmp_path / "killed", of, objective=Turns())
    assert left(tmp_path / "killed") == left(tmp_path / "straight")
    saved = load_checkpoint(tmp_path / "killed" / "last.pt")["optimizer"]
    assert len(saved["parts"]) == 2


def test_killed_before_the_first_epoch_ends(tmp_path):
    run(tmp_path / "straight", recipe(epochs=2))
    with pytest.raises(KilledError):
        run(tmp_path / "killed", recipe(epochs=2), on_progress=kill_at(1, 2))
    assert not (tmp_path / "killed" / "last.pt").exists()
    run(tmp_path / "killed", recipe(epochs=2))
    assert left(tmp_path / "killed") == left(tmp_path / "straight")


def test_killed_between_the_line_and_the_checkpoint(tmp_path, monkeypatch):
    """The line of epoch 3 is there, its checkpoint is not: no line is doubled."""
    from mixwright.lab.training import loop

    run(tmp_path / "straight", recipe())
    save = loop.save_checkpoint

    def killed(path, state):
        if state["epoch"] == 3:
            raise KilledError
        save(path, state)

    monkeypatch.setattr(loop, "save_checkpoint", killed)
    with pytest.raises(KilledError):
        run(tmp_path / "killed", recipe())
    assert len((tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()) == 3
    monkeypatch.setattr(loop, "save_checkpoint", save)
    run(tmp_path / "killed", recipe())
    assert left(tmp_path / "killed") == left(tmp_path / "straight")


@pytest.mark.parametrize(
    ("taken", "message"),
    [
        ({"seed": 5}, "another recipe .seed 5 not 7."),
        ({"method": "blends", "lr": 0.2}, "method 'blends' not .*, lr 0.2 not "),
        (None, "has no optimizer, objective, record;"),  # the run's own best.pt
    ],
)
def test_a_foreign_checkpoint_is_refused(tmp_path, taken, message):
    folder = tmp_path / "here"
    with pytest.raises(KilledError):
        run(folder, recipe(), on_progress=kill_at(2, 4))
    source = folder / "best.pt"
    if taken is not None:
        run(tmp_path / "other", recipe(**taken))
        source = tmp_path / "other" / "last.pt"
    (folder / "last.pt").write_bytes(source.read_bytes())
    before = (folder / "metrics.jsonl").read_bytes()
    with pytest.raises(CheckpointError, match=message):
        run(folder, recipe())
    assert (folder / "metrics.jsonl").read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks on this system")
def test_processes_that_are_killed_are_continued_by_others():
    """``kill -9`` at random moments; see ``kills``, which takes any number of them."""
    command = [sys.executable, "-m", "lab.training.kills", "3"]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "runs compared" in done.stdout


def test_a_longer_test_set_does_not_disturb_training(tmp_path):
    """Evaluation draws nothing that training would miss."""
    run(tmp_path / "a", recipe(epochs=2), data=tiny_data(test=23))
    run(tmp_path / "b", recipe(epochs=2, eval_every=2), data=tiny_data(test=31))
    states = [load_checkpoint(tmp_path / name / "last.pt") for name in "ab"]
    assert digest(states[0]["weights"]["raw"]) == digest(states[1]["weights"]["raw"])


def other(data):
    """The same set with one pixel changed."""
    images = data.train.images.clone()
    images[0, 0, 0, 0] ^= 255
    return replace(data, train=ImageSet(images, data.train.labels))


def stopped(folder):
    with pytest.raises(KilledError):
        run(folder, recipe(), on_progress=kill_at(2, 4))
    return folder


def test_other_images_are_no_data_to_continue_with(tmp_path):
    folder = stopped(tmp_path / "run")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(RunError) as caught:
        run(folder, recipe(), data=other(tiny_data()))
    label = tiny_data().classes[int(tiny_data().train.labels[0])]
    assert f"belongs to other data: train: class {label!r} has other images" in str(caught.value)
    with pytest.raises(RunError, match=r"test: \d+ images of class 'red' there, \d+ now"):
        run(folder, recipe(), data=tiny_data(test=40))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    finished = run(folder, recipe())
    assert finished.data == json.loads((folder / "result.json").read_text())["data"] != ""
    with pytest.raises(RunError, match="belongs to other data"):  # nor is its result given
        run(folder, recipe(), data=other(tiny_data()))


def test_a_checkpoint_of_other_classes_is_refused_without_the_folders_word(tmp_path):
    folder = stopped(tmp_path / "run")
    (folder / "data.json").unlink()
    turned = replace(tiny_data(), classes=("green", "red", "blue"))
    with pytest.raises(CheckpointError, match="knows the classes 'red', 'green', 'blue', tiny has"):
        run(folder, recipe(), data=turned)


def test_runs_from_before_digests_continue_on_any_images(tmp_path):
    folder = stopped(tmp_path / "run")
    (folder / "data.json").unlink()
    finished = run(folder, recipe(), data=other(tiny_data()))
    assert (finished.epochs, finished.data) == (4, "")
    assert not (folder / "data.json").exists()  # it cannot be known what it was begun on


def test_a_folder_that_was_left_before_its_recipe_is_taken(tmp_path):
    run(tmp_path / "whole", recipe(epochs=1, warmup_epochs=0))
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut" / "data.json").write_bytes((tmp_path / "whole" / "data.json").read_bytes())
    run(tmp_path / "cut", recipe(epochs=1, warmup_epochs=0))
    (tmp_path / "cut" / "data.json").write_text("{")
    with pytest.raises(RunError, match=r"data.json cannot be read"):
        run(tmp_path / "cut", recipe(epochs=1, warmup_epochs=0))
    (tmp_path / "cut" / "data.json").unlink()
    (tmp_path / "cut" / "data.json").mkdir()
    with pytest.raises(RunError, match=r"data.json cannot be read \(.*Remove this file"):
        read_identity(tmp_path / "cut")


def test_a_checkpoint_does_not_grow_with_the_epochs(tmp_path):
    """The lines of earlier epochs stand in metrics.jsonl alone."""
    sizes = {}
    for epochs in (2, 40):
        of = recipe(epochs=epochs)
        run(tmp_path / str(epochs), of, data=tiny_data(train=10, test=3))
        sizes[epochs] = (tmp_path / str(epochs) / "last.pt").stat().st_size
    assert sizes[40] < sizes[2] + 500  # numbers of more digits; a line has 800 bytes
    state = load_checkpoint(tmp_path / "40" / "last.pt")
    assert state["record"] == read_metrics(tmp_path / "40")[-1]
    assert "records" not in state


def test_a_checkpoint_of_before_knows_the_lines_of_all_epochs(tmp_path):
    run(tmp_path / "straight", recipe())
    with pytest.raises(KilledError):
        run(tmp_path / "old", recipe(), on_progress=kill_at(3, 2))
    lines = read_metrics(tmp_path / "old")
    state = load_checkpoint(tmp_path / "old" / "last.pt")
    del state["record"]
    save_checkpoint(tmp_path / "old" / "last.pt", {**state, "records": lines})
    (tmp_path / "old" / "metrics.jsonl").unlink()
    run(tmp_path / "old", recipe())
    assert left(tmp_path / "old") == left(tmp_path / "straight")


def tear(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def without(*path):
    """Take a part out of a JSON file."""

    def damage(file):
        record = json.loads(file.read_text())
        at = record
        for name in path[:-1]:
            at = at[name]
        del at[path[-1]]
        file.write_text(json.dumps(record))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        tear,
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"\xff\xfe\x00"),
        lambda file: file.write_text("[]"),
        lambda file: file.write_text('{"format": 1, "train": 3}'),
        lambda file: file.unlink(),
        without("step_seconds"),
        without("scores"),
        without("scores", "ema"),
        without("scores", "raw", "top1"),
        without("scores", "raw", "nll"),
        without("best", "raw"),
        without("best", "ema", "ece"),
    ],
)
def test_a_damaged_result_is_written_anew_by_the_same_command(tmp_path, damage):
    first = run(tmp_path, recipe(epochs=2))
    lines = (tmp_path / "metrics.jsonl").read_bytes()
    damage(tmp_path / "result.json")
    assert read_result(tmp_path) is None
    again = run(tmp_path, recipe(epochs=2))
    assert read_result(tmp_path) == again
    clock = {"seconds": 0.0, "finished": "", "commit": None}
    assert replace(again, **clock) == replace(first, **clock)
    assert (tmp_path / "metrics.jsonl").read_bytes() == lines


def test_a_result_of_a_newer_format_is_left_alone(tmp_path):
    run(tmp_path, recipe(epochs=1))
    newer = '{"format": 99}'
    (tmp_path / "result.json").write_text(newer)
    with pytest.raises(RunError, match=r"format 99; this mixwright reads 1 and 2"):
        run(tmp_path, recipe(epochs=1))
    assert (tmp_path / "result.json").read_text() == newer
