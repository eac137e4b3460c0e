"""An objective's own teacher as the third column, and what it finds wrong with itself."""

import copy
import hashlib
import json

import pytest
import torch
from torch import nn

from lab.training.tiny import Blend, digest, recipe, run, tiny_data, tiny_net
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.training import loop
from mixwright.lab.training.checkpoint import load_checkpoint
from mixwright.lab.training.result import Result, sounded
from mixwright.lab.training.session import Session


class Taught(Blend):
    """Keeps the first weights as its teacher, whose norm layers stay in train mode."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: nn.Module | None = None
        self.measured: list[list[str]] = []
        self.asked: list[tuple[dict[str, float], float]] = []

    def build(self, model, num_classes):
        super().build(model, num_classes)
        self.kept = copy.deepcopy(model).requires_grad_(False)

    def train(self, mode=True):
        super().train(mode)
        if self.kept is not None:
            self.kept.train()
        return self

    def forward(self, model, images, labels, *, generator, progress):
        losses = super().forward(model, images, labels, generator=generator, progress=progress)
        object.__setattr__(losses, "seen", {"share": torch.tensor(0.25)})
        return losses

    def before_evaluation(self, batches):
        self.measured.append(
            [hashlib.sha256(images.numpy().tobytes()).hexdigest() for images, _ in batches]
        )

    def own_teacher(self):
        return self.kept

    def warnings(self, means, *, progress):
        self.asked.append((dict(means), progress))
        epoch = round(4 * progress)
        found = [f"flat by 0.{epoch}"] if epoch != 2 else []
        return (*found, "too large") if epoch == 3 else tuple(found)


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_the_own_teacher_is_a_column_of_its_own(tmp_path):
    objective, seen = Taught(), []
    of = recipe(epochs=4, eval_every=2)
    result = run(tmp_path, of, objective=objective, on_progress=seen.append)
    test = tiny_data().test
    scores = evaluate(tiny_net(), [(test.images.float() / 255, test.labels)])
    assert result.teacher is not None
    assert result.teacher["top1"] == scores.top1
    assert result.teacher["nll"] == pytest.approx(scores.nll, rel=1e-6)
    assert result.teacher != result.raw
    lines = metrics(tmp_path)
    assert [line["test"] and [*line["test"]] for line in lines] == [
        None, ["raw", "ema", "teacher"], None, ["raw", "ema", "teacher"],
    ]  # fmt: skip
    assert lines[3]["test"]["teacher"] == result.teacher
    assert result.best["teacher"] == {**result.teacher, "epoch": 2}  # frozen: the earlier of equals
    assert [p.teacher for p in seen[-2:]] == [result.teacher["top1"]] * 2
    assert seen[0].teacher is None
    for name in ("last.pt", "best.pt"):
        assert digest(load_checkpoint(tmp_path / name)["teacher"]) == digest(
            tiny_net().state_dict()
        )
    assert objective.kept is not None
    assert objective.kept[1].training  # type: ignore[index]  # the mode it had is back
    written = json.loads((tmp_path / "result.json").read_text())
    assert Result.from_record(written) == result


def test_without_a_teacher_there_is_no_third_column(tmp_path):
    result = run(tmp_path, recipe(epochs=1))
    assert result.teacher is None
    assert result.alarms == []
    assert [*result.best] == ["raw", "ema"]
    assert load_checkpoint(tmp_path / "last.pt")["teacher"] is None
    assert metrics(tmp_path)[0]["alarms"] == []
    written = json.loads((tmp_path / "result.json").read_text())
    del written["teacher"], written["alarms"]  # a result of before there were such fields
    assert Result.from_record(written) == result


def test_before_an_evaluation_the_epochs_images_come_again_unmixed(tmp_path, monkeypatch):
    """And what each process measured of them is made the same before anything is judged."""
    told = []
    objective = Taught()
    monkeypatch.setattr(
        Session, "equalise", lambda self: told.append(f"equal {len(objective.measured)}")
    )

    def judge(model, batches, **together):
        told.append("judged")
        return evaluate(model, batches, **together)

    run(tmp_path, recipe(epochs=2), objective=objective, evaluate=judge)
    of_each = [call["images"] for call in objective.calls]
    assert objective.measured == [of_each[:4], of_each[4:]]
    each = ["judged"] * 3
    assert told == ["equal 0", "equal 1", *each, "equal 1", "equal 2", *each]


def test_alarms_are_kept_with_their_epochs(tmp_path):
    objective, seen = Taught(), []
    result = run(tmp_path, recipe(), objective=objective, on_progress=seen.append)
    assert [line["alarms"] for line in metrics(tmp_path)] == [
        ["flat by 0.1"], [], ["flat by 0.3", "too large"], ["flat by 0.4"],
    ]  # fmt: skip
    assert result.alarms == [
        {"first": 1, "last": 4, "said": "flat by 0.4"},
        {"first": 3, "last": 3, "said": "too large"},
    ]
    # Those of the newest finished epoch: an epoch under way does not silence them.
    ends = {(p.epoch, p.step): p.alarms for p in seen}
    assert ends[1, 1] == ()
    assert ends[1, 4] == ends[2, 1] == ("flat by 0.1",)
    assert ends[2, 4] == ends[3, 3] == ()
    assert ends[3, 4] == ends[4, 1] == ("flat by 0.3", "too large")
    means, progress = objective.asked[0]
    assert means.keys() == {"loss", "accuracy", "mix", "size", "share"}
    assert means["share"] == pytest.approx(0.25)
    assert means["mix"] == metrics(tmp_path)[0]["train"]["terms"]["mix"]
    assert progress == 0.25


def test_epochs_without_mixing_raise_no_alarm(tmp_path):
    objective = Taught()
    result = run(tmp_path, recipe(mix_off_epochs=2), objective=objective)
    assert len(objective.asked) == 2
    assert result.alarms == [{"first": 1, "last": 1, "said": "flat by 0.1"}]
    assert metrics(tmp_path)[3]["alarms"] == []


class KilledError(Exception):
    pass


def test_teacher_and_alarms_outlive_an_interruption(tmp_path):
    def die(progress):
        if (progress.epoch, progress.step) == (4, 2):
            raise KilledError

    straight = run(tmp_path / "straight", recipe(), objective=Taught())
    with pytest.raises(KilledError):
        run(tmp_path / "killed", recipe(), objective=Taught(), on_progress=die)
    seen = []
    resumed = run(tmp_path / "killed", recipe(), objective=Taught(), on_progress=seen.append)
    assert seen[0].alarms == ("flat by 0.3", "too large")
    assert (resumed.teacher, resumed.alarms) == (straight.teacher, straight.alarms)


def test_a_checkpoint_of_before_there_were_alarms_goes_on(tmp_path, monkeypatch):
    save = loop.save_checkpoint

    def as_before(path, state):
        state = {name: value for name, value in state.items() if name != "teacher"}
        state = copy.deepcopy(state)
        for record in state.get("records", []):
            record.pop("alarms", None)
        for group in state.get("optimizer", {}).get("param_groups", []):
            for key in ("highest", "lowest", "warms"):
                del group[key]
            group["lr_scale"] = 1.0
        save(path, state)

    def die(progress):
        if (progress.epoch, progress.step) == (2, 4):
            raise KilledError

    monkeypatch.setattr(loop, "save_checkpoint", as_before)
    with pytest.raises(KilledError):
        run(tmp_path, recipe(), on_progress=die)
    monkeypatch.setattr(loop, "save_checkpoint", save)
    assert run(tmp_path, recipe()).alarms == []


def test_alarms_that_differ_in_numbers_count_as_one():
    lines = [
        {"epoch": 1, "alarms": ["off by 2e-05 of 10"]},
        {"epoch": 2},
        {"epoch": 3, "alarms": ["other", "off by 0.3 of 10"]},
    ]
    assert sounded(lines) == [
        {"first": 1, "last": 3, "said": "off by 0.3 of 10"},
        {"first": 3, "last": 3, "said": "other"},
    ]
