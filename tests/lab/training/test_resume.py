"""A run that was killed continues, bit for bit, as if nothing had happened."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lab.training.tiny import Blend, Turns, digest, recipe, run, tiny_data
from mixwright.checkpoint import CheckpointError, load_checkpoint
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.training.folder import RunError

# The clock, and the commit, which may change between two processes.
TIMES = {"seconds", "step_seconds", "images_per_second", "commit"}


def left(folder):
    """Everything a run leaves that another process must leave alike."""
    last = load_checkpoint(folder / "last.pt")
    best = load_checkpoint(folder / "best.pt")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "last": {k: digest(v) for k, v in last.items() if k not in {*TIMES, "records"}},
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
        (None, "has no optimizer, objective, records"),  # the run's own best.pt
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


CHILD = """
import os, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from lab.training.tiny import recipe, run

def die(progress):
    if (progress.epoch, progress.step) == (3, 2):
        os._exit(9)

run(Path(sys.argv[1]), recipe(), on_progress=die)
"""


def test_a_process_that_dies_is_continued_by_another(tmp_path):
    tests = Path(__file__).parents[2]
    died = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path / "killed")], cwd=tests, check=False
    )
    assert died.returncode == 9
    run(tmp_path / "straight", recipe())
    run(tmp_path / "killed", recipe())
    assert left(tmp_path / "killed") == left(tmp_path / "straight")


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
