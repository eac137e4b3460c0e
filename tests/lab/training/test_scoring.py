"""What is measured once, after the last epoch: clean training images, temperature scaling."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lab.training import tiny
from lab.training.test_heads import net
from lab.training.test_resume import KilledError, kill_at
from lab.training.tiny import CLASSES, digest, recipe, tiny_data, tiny_net
from mixwright.lab.data.lazy import LazyImages
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.evaluation import ece, logits_of, nll, rescale, topk_accuracy
from mixwright.lab.training import scoring
from mixwright.lab.training.folder import read_metrics, read_result
from mixwright.lab.training.recipe import Recipe
from mixwright.lab.training.result import Result
from mixwright.objectives.adautomix import AdAutoMix

NEW = ("ece_scaled", "temperature")


def run(folder: Path, of: Recipe, **changes: Any) -> Result:
    return tiny.run(folder, of, **{"rescale": rescale, **changes})


def logits(model: nn.Module, images: ImageSet | LazyImages) -> Any:
    return logits_of(model, [(images.images.float() / 255, images.labels)])


def test_the_trained_weights_are_judged_on_training_images_as_they_are(tmp_path: Path) -> None:
    """Crop, flip, mixing and dropout change the images of the epochs, and these not."""
    model, data = tiny_net(), tiny_data()
    result = run(tmp_path, recipe(epochs=2), model=model, data=data)
    own = logits(model, data.train)
    assert result.clean_train is not None
    assert result.clean_train["images"] == len(data.train) == 40
    assert result.clean_train["top1"] == pytest.approx(topk_accuracy(*own), abs=1e-9)
    assert result.clean_train["nll"] == pytest.approx(nll(*own), rel=1e-6)
    assert result.clean_train["top1"] != result.train["accuracy"]


def test_of_many_training_images_a_fixed_share_of_each_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the images, and the labels of 22, 12 and 6 images are those of 11, 6 and 3."""
    monkeypatch.setattr(scoring, "CLEAN_TRAIN", 20)
    data = tiny_data()
    labels = torch.tensor([0] * 22 + [1] * 12 + [2] * 6)
    data = replace(data, train=ImageSet(data.train.images, labels))
    asked: list[list[int]] = []

    def noting(model: nn.Module, batches: Any, **given: Any) -> Any:
        from mixwright.lab.evaluation import evaluate

        asked.append(torch.cat([own for _, own in batches]).bincount(minlength=CLASSES).tolist())
        return evaluate(model, batches, **given)

    for folder in ("one", "two"):
        result = run(tmp_path / folder, recipe(epochs=1), data=data, evaluate=noting, rescale=None)
        assert result.clean_train is not None
        assert (asked[-1], result.clean_train["images"]) == ([11, 6, 3], 20)
    first, second = (read_result(tmp_path / name) for name in ("one", "two"))
    assert first is not None
    assert second is not None
    assert first.clean_train == second.clean_train


def test_temperature_scaling_of_every_column_is_in_its_scores(tmp_path: Path) -> None:
    model, data = tiny_net(), tiny_data()
    result = run(tmp_path, recipe(epochs=2), model=model, data=data)
    own = logits(model, data.test)
    found = rescale(*own)
    assert found.ece_scaled is not None
    assert result.scores["raw"]["ece"] == pytest.approx(ece(*own), abs=1e-6)
    assert result.scores["raw"]["ece_scaled"] == pytest.approx(found.ece_scaled, abs=1e-4)
    assert result.scores["raw"]["temperature"] == pytest.approx(found.temperature, rel=1e-4)
    assert result.scores["ema"]["temperature"] != result.scores["raw"]["temperature"]
    # Once: neither the lines of the epochs nor the best epoch have them.
    assert not [line for line in read_metrics(tmp_path) if set(NEW) & {*line["test"]["raw"]}]
    assert not set(NEW) & {*result.best["raw"]}
    record = json.loads((tmp_path / "result.json").read_text())
    assert Result.from_record(record) == result
    assert record["clean_train"] == result.clean_train


def test_the_temperature_is_fitted_on_validation_images_where_there_are_some(
    tmp_path: Path,
) -> None:
    model, data = tiny_net(), tiny_data()
    data = replace(data, validation=tiny_data(test=31).test)
    result = run(tmp_path, recipe(epochs=2), model=model, data=data)
    assert data.validation is not None
    found = rescale(*logits(model, data.test), held_out=logits(model, data.validation))
    assert result.scores["raw"]["temperature"] == pytest.approx(found.temperature, rel=1e-4)
    assert not set(NEW) & {*result.validation["raw"]}


def test_both_heads_have_theirs(tmp_path: Path) -> None:
    result = run(tmp_path, recipe(epochs=1), objective=AdAutoMix(), model=net())
    assert {"raw", "ema", "teacher", "raw_mixed"} < {*result.scores}
    assert all(set(NEW) <= {*scores} for scores in result.scores.values())
    assert result.clean_train is not None


def test_nothing_is_drawn_and_a_run_that_goes_on_measures_the_same(tmp_path: Path) -> None:
    straight = run(tmp_path / "straight", recipe(epochs=3), model=(model := tiny_net()))
    plain = tiny_net()
    unscaled = run(tmp_path / "plain", recipe(epochs=3), model=plain, rescale=None)
    assert digest(model.state_dict()) == digest(plain.state_dict())
    assert not set(NEW) & {*unscaled.scores["raw"]}
    with pytest.raises(KilledError):
        run(tmp_path / "killed", recipe(epochs=3), on_progress=kill_at(2, 2))
    resumed = run(tmp_path / "killed", recipe(epochs=3))
    # And one that ended after its last epoch, before its result was there.
    (tmp_path / "straight/result.json").unlink()
    later = run(tmp_path / "straight", recipe(epochs=3))
    for other in (resumed, later):
        assert (other.scores, other.clean_train) == (straight.scores, straight.clean_train)


def test_results_from_before_are_read_and_a_column_that_lacks_one_is_not(tmp_path: Path) -> None:
    result = run(tmp_path, recipe(epochs=1))
    record = json.loads((tmp_path / "result.json").read_text())
    del record["scores"]["ema"]["ece_scaled"]
    with pytest.raises(ValueError, match="a column of scores lacks ece_scaled"):
        Result.from_record(record)
    for scores in record["scores"].values():
        for name in NEW:
            scores.pop(name, None)
    del record["clean_train"]
    (tmp_path / "result.json").write_text(json.dumps(record))
    old = read_result(tmp_path)
    assert old is not None
    assert old.clean_train is None
    # Finished is finished: nothing is measured for it now.
    assert run(tmp_path, recipe(epochs=1)) == old
    assert old.hash == result.hash
