"""A run is evaluated with the last layer that learns, or with both where both do."""

from __future__ import annotations

import copy
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lab.training.test_learned import net
from lab.training.test_resume import KilledError, kill_at
from lab.training.tiny import CLASSES, Blend, digest, recipe, run, tiny_data
from mixwright.checkpoint import load_checkpoint, save_checkpoint
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.training.convert import convert_checkpoint
from mixwright.lab.training.heads import saved_columns, wearing
from mixwright.objectives import AdAutoMix, AutoMix, Objective

MIXED_ALONE: dict[str, Any] = {
    "game": "paper", "clean": False, "plain": False, "judged": False, "cosine": False,
}  # fmt: skip
COLUMNS = ["raw", "ema", "teacher"]
ALL = [*COLUMNS, "raw_mixed", "ema_mixed", "teacher_mixed"]


def scored(model: nn.Module, head: nn.Linear | None = None) -> dict[str, Any]:
    """What a model comes to on the test images, with another last layer in its place."""
    model = copy.deepcopy(model)
    if head is not None:
        assert isinstance(model, nn.Sequential)
        model[-1] = head
    test = tiny_data().test
    return asdict(evaluate(model, [(test.images.float() / 255, test.labels)]))


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    one, other = ({k: v for k, v in scores.items() if k != "top5"} for scores in (one, other))
    return one == pytest.approx(other, rel=1e-5)


def test_a_head_that_learns_alone_is_what_is_evaluated(tmp_path: Path) -> None:
    """Trained away from where it began, while the model's own last layer never moves."""
    model, objective = net(), AdAutoMix(**MIXED_ALONE)
    result = run(tmp_path, recipe(epochs=4, lr=0.3), model=model, objective=objective)
    assert torch.equal(model[-1].weight, net()[-1].weight)  # type: ignore[index]
    assert result.heads == dict.fromkeys(COLUMNS, "mixed")
    assert list(result.scores) == list(result.best) == COLUMNS
    assert same(result.scores["raw"], scored(model, objective.head))
    assert objective.teacher is not None
    teacher = objective.teacher
    assert same(result.scores["teacher"], scored(teacher.model, teacher.head))
    assert not same(result.scores["raw"], scored(model))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["heads"] for line in lines] == [result.heads] * 4
    assert lines[-1]["test"] == result.scores
    best = max(lines, key=lambda line: line["test"]["raw"]["top1"])
    assert load_checkpoint(tmp_path / "best.pt")["epoch"] == best["epoch"]


@pytest.mark.parametrize("make", [AutoMix, AdAutoMix])
def test_both_heads_are_shown_where_both_learn(tmp_path: Path, make: type[Objective]) -> None:
    model, objective = net(), make()
    assert isinstance(objective, AutoMix | AdAutoMix)
    result = run(tmp_path, recipe(epochs=2), model=model, objective=objective)
    assert result.heads == dict.fromkeys(COLUMNS, "own") | dict.fromkeys(ALL[3:], "mixed")
    assert list(result.scores) == ALL
    assert objective.teacher is not None
    for column, one, head in (
        ("raw", model, None),
        ("raw_mixed", model, objective.head),
        ("teacher", objective.teacher.model, None),
        ("teacher_mixed", objective.teacher.model, objective.teacher.head),
    ):
        assert same(result.scores[column], scored(one, head)), column
    own, mixed = (result.scores[column] for column in ("ema", "ema_mixed"))
    assert own["nll"] != mixed["nll"]


def test_epochs_without_mixing_train_the_own_head_too(tmp_path: Path) -> None:
    of = recipe(epochs=2, mix_off_epochs=1)
    result = run(tmp_path, of, model=net(), objective=AdAutoMix(**MIXED_ALONE))
    assert list(result.heads) == ALL


def test_one_head_is_not_worth_a_word(tmp_path: Path) -> None:
    result = run(tmp_path, recipe(epochs=1))
    assert result.heads == {}
    assert "heads" not in json.loads((tmp_path / "metrics.jsonl").read_text())
    assert "heads" not in load_checkpoint(tmp_path / "last.pt")


@pytest.mark.parametrize("settings", [{}, MIXED_ALONE], ids=["both", "alone"])
def test_saved_weights_are_those_that_were_evaluated(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    result = run(tmp_path, recipe(epochs=2), model=net(), objective=AdAutoMix(**settings))
    for name in ("last.pt", "best.pt"):
        state = load_checkpoint(tmp_path / name)
        columns = saved_columns(state)
        assert list(columns) == list(result.scores)
    columns = saved_columns(load_checkpoint(tmp_path / "last.pt"))
    for column, weights in columns.items():
        model = net()
        model.load_state_dict(weights)
        assert same(scored(model), result.scores[column]), column


@pytest.mark.parametrize("settings", [{}, MIXED_ALONE], ids=["both", "alone"])
def test_a_resumed_run_has_the_same_heads(tmp_path: Path, settings: dict[str, Any]) -> None:
    def go(folder: str, **more: Any) -> Any:
        objective = AdAutoMix(**settings)
        return run(tmp_path / folder, recipe(epochs=3), model=net(), objective=objective, **more)

    straight = go("straight")
    with pytest.raises(KilledError):
        go("killed", on_progress=kill_at(2, 2))
    resumed = go("killed")
    assert (resumed.scores, resumed.best) == (straight.scores, straight.best)
    one, other = (load_checkpoint(tmp_path / name / "last.pt") for name in ("straight", "killed"))
    assert digest(one["heads"]) == digest(other["heads"])


def test_heads_of_a_run_from_before_are_found(tmp_path: Path) -> None:
    """In last.pt of a learned mixer, all but their average; such a run continues."""
    of = recipe(epochs=2, method="adautomix:clean=false,game=paper")
    run(tmp_path, of, model=net(), objective=AdAutoMix(clean=False, game="paper"))
    state = load_checkpoint(tmp_path / "last.pt")
    heads = state.pop("heads")
    found = convert_checkpoint(state)["heads"]
    assert found["columns"] == {"raw": "mixed", "teacher": "mixed"}
    assert found["layer"] == heads["layer"] == "fc"
    del heads["mixed"]["ema"]
    assert digest(found["mixed"]) == digest(heads["mixed"])
    (tmp_path / "result.json").unlink()
    save_checkpoint(tmp_path / "last.pt", state)
    result = run(tmp_path, of, model=net(), objective=AdAutoMix(clean=False, game="paper"))
    assert list(result.scores) == COLUMNS
    blend = run(tmp_path / "blend", recipe(epochs=1), objective=Blend())
    assert list(blend.scores) == ["raw", "ema"]
    assert "heads" not in convert_checkpoint(load_checkpoint(tmp_path / "blend" / "last.pt"))


def test_a_head_is_worn_for_a_while_also_by_a_layer_without_bias() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, CLASSES, bias=False))
    head, images = nn.Linear(4, CLASSES), torch.rand(2, 1, 2, 2)
    before = copy.deepcopy(model.state_dict())
    with wearing(model, "1", head) as worn:
        assert torch.equal(worn(images), head(images.flatten(1)))
    assert model[1].bias is None
    assert digest(model.state_dict()) == digest(before)
    assert [name for name, _ in model.named_parameters()] == ["1.weight"]
