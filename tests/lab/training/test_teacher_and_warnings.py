"""An objective's own teacher as the third column, and what it finds wrong with itself."""

import copy
import hashlib
import json

import pytest
import torch
from torch import nn

from lab.training.tiny import Blend, digest, recipe, run, tiny_data, tiny_net
from mixwright.checkpoint import load_checkpoint
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.training import loop
from mixwright.lab.training.result import Result, warning_spans
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
        object.__setattr__(losses, "diagnostics", {"share": torch.tensor(0.25)})
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
    teacher = result.scores["teacher"]
    assert teacher["top1"] == scores.top1
    assert teacher["nll"] == pytest.approx(scores.nll, rel=1e-6)
    assert teacher != result.scores["raw"]
    lines = metrics(tmp_path)
    assert [line["test"] and [*line["test"]] for line in lines] == [
        None, ["raw", "ema", "teacher"], None, ["raw", "ema", "teacher"],
    ]  # fmt: skip
    assert lines[3]["test"]["teacher"] == teacher
    assert result.best["teacher"] == {**teacher, "epoch": 2}  # frozen: the earlier of equals
    assert [p.scores["teacher"] for p in seen[-2:]] == [teacher["top1"]] * 2
    assert seen[0].scores == {}
    for name in ("last.pt", "best.pt"):
        assert digest(load_checkpoint(tmp_path / name)["weights"]["teacher"]) == digest(
            tiny_net().state_dict()
        )
    assert objective.kept is not None
    assert objective.kept[1].training  # type: ignore[index]  # the mode it had is back
    written = json.loads((tmp_path / "result.json").read_text())
    assert Result.from_record(written) == result


def test_without_a_teacher_there_is_no_third_column(tmp_path):
    result = run(tmp_path, recipe(epochs=1))
    assert [*result.scores] == ["raw", "ema"]
    assert result.warnings == []
    assert [*result.best] == ["raw", "ema"]
    assert [*load_checkpoint(tmp_path / "last.pt")["weights"]] == ["raw", "ema"]
    assert metrics(tmp_path)[0]["warnings"] == []


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
    at_the_end = ["judged"]  # the raw weights on training images
    assert told == ["equal 0", "equal 1", *each, "equal 1", "equal 2", *each, *at_the_end]


def test_warnings_are_kept_with_their_epochs(tmp_path):
    objective, seen = Taught(), []
    result = run(tmp_path, recipe(), objective=objective, on_progress=seen.append)
    assert [line["warnings"] for line in metrics(tmp_path)] == [
        ["flat by 0.1"], [], ["flat by 0.3", "too large"], ["flat by 0.4"],
    ]  # fmt: skip
    assert result.warnings == [
        {"first": 1, "last": 4, "message": "flat by 0.4"},
        {"first": 3, "last": 3, "message": "too large"},
    ]
    # Those of the newest finished epoch: an epoch under way does not silence them.
    ends = {(p.epoch, p.step): p.warnings for p in seen}
    assert ends[1, 1] == ()
    assert ends[1, 4] == ends[2, 1] == ("flat by 0.1",)
    assert ends[2, 4] == ends[3, 3] == ()
    assert ends[3, 4] == ends[4, 1] == ("flat by 0.3", "too large")
    means, progress = objective.asked[0]
    assert means.keys() == {"loss", "accuracy", "mix", "size", "share"}
    assert means["share"] == pytest.approx(0.25)
    assert means["mix"] == metrics(tmp_path)[0]["train"]["terms"]["mix"]
    assert progress == 0.25


def test_epochs_without_mixing_raise_no_warning(tmp_path):
    objective = Taught()
    result = run(tmp_path, recipe(mix_off_epochs=2), objective=objective)
    assert len(objective.asked) == 2
    assert result.warnings == [{"first": 1, "last": 1, "message": "flat by 0.1"}]
    assert metrics(tmp_path)[3]["warnings"] == []


class KilledError(Exception):
    pass


def test_teacher_and_warnings_outlive_an_interruption(tmp_path):
    def die(progress):
        if (progress.epoch, progress.step) == (4, 2):
            raise KilledError

    straight = run(tmp_path / "straight", recipe(), objective=Taught())
    with pytest.raises(KilledError):
        run(tmp_path / "killed", recipe(), objective=Taught(), on_progress=die)
    seen = []
    resumed = run(tmp_path / "killed", recipe(), objective=Taught(), on_progress=seen.append)
    assert seen[0].warnings == ("flat by 0.3", "too large")
    assert (resumed.scores, resumed.warnings) == (straight.scores, straight.warnings)


def test_a_checkpoint_from_before_there_were_warnings_goes_on(tmp_path, monkeypatch):
    save = loop.save_checkpoint

    def as_before(path, state):
        state = copy.deepcopy(state)
        weights = state.pop("weights")
        ema = {"t": state.pop("ema_updates"), "model": weights["ema"]}
        state |= {"model": weights["raw"], "ema": ema}
        if "record" in state:
            state["records"] = [state.pop("record")]
            del state["records"][0]["warnings"]
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
    assert run(tmp_path, recipe()).warnings == []


def test_warnings_that_differ_in_numbers_count_as_one():
    lines = [
        {"epoch": 1, "warnings": ["off by 2e-05 of 10"]},
        {"epoch": 2, "warnings": []},
        {"epoch": 3, "warnings": ["other", "off by 0.3 of 10"]},
    ]
    assert warning_spans(lines) == [
        {"first": 1, "last": 3, "message": "off by 0.3 of 10"},
        {"first": 3, "last": 3, "message": "other"},
    ]
