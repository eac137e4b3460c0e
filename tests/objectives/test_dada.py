"""DADA as an objective: searching, applying, saving, in the real loop."""

from __future__ import annotations

import copy
import io
import json
import logging
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lab.training.tiny import CLASSES, digest, recipe, run, tiny_data, tiny_net
from mixwright.lab.data.lazy import EncodedImages, LazyImages
from mixwright.lab.data.sets import Dataset
from mixwright.objectives.dada import DADA, PolicyStep, SearchProgress
from mixwright.sampling import stream

INVERT = PolicyStep("Invert", 1.0, 0.5)
NEVER = PolicyStep("Equalize", 0.0, 0.5)


def small(**changes: Any) -> DADA:
    return DADA(**{"search_epochs": 1, "batch_size": 8, "policies": 4, **changes})


def built(**changes: Any) -> tuple[DADA, nn.Module]:
    objective, model = small(**changes), tiny_net()
    objective.build(model, CLASSES)
    return objective, model


def examples(count: int = 24) -> tuple[Tensor, Tensor]:
    train = tiny_data(count).train
    assert not isinstance(train, LazyImages)
    return train.images, train.labels


def step(objective: DADA, model: nn.Module, images: Tensor, labels: Tensor, seed: int = 0) -> Any:
    return objective(model, images, labels, generator=stream(seed), progress=0.0)


def test_a_step_is_the_plain_loss_on_changed_images():
    objective, model = built(policies=1)
    objective.use([(INVERT, NEVER)])
    images, labels = examples()
    images = images / 255
    model.eval()
    losses = step(objective, model, images, labels)
    torch.testing.assert_close(losses.logits, model(1 - images))
    torch.testing.assert_close(losses.total, F.cross_entropy(model(1 - images), labels))
    assert losses.plan is None
    assert list(losses.terms) == ["loss"]
    assert not losses.terms["loss"].requires_grad


# ------------------------------------------------------------------ searching


def test_a_search_leaves_model_and_global_generator_alone():
    objective, model = built()
    kept, state = copy.deepcopy(model.state_dict()), torch.random.get_rng_state()
    told: list[SearchProgress] = []
    images, labels = examples()
    policy = objective.search(images, labels, generator=stream(0), on_progress=told.append)
    assert policy == objective.policy
    assert len(policy) == 4
    assert len(told) == 1
    assert digest(model.state_dict()) == digest(kept)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(one.grad is None for one in model.parameters())
    assert not list(objective.parameters())
    again, _ = built()
    floats = images / 255
    assert again.search(floats, labels, generator=stream(0)) == policy
    assert again.search(images, labels, generator=stream(1)) != policy
    assert again.search(images, F.one_hot(labels, 3).float(), generator=stream(0))


def test_it_is_told_in_words():
    objective, _ = built(policies=2)
    assert objective.policy == ()
    assert objective.describe() == ""
    objective.use(
        [(PolicyStep("ShearX", 0.25, 0.0), PolicyStep("Posterize", 1.0, 0.5)), (INVERT, NEVER)]
    )
    assert objective.describe().splitlines() == [
        "shear rows by 0.30 (25%), then keep 6 bits (100%)",
        "invert (100%), then equalize (0%)",
    ]


def test_an_epoch_begins_with_a_search_only_once():
    objective, _ = built(search_size=20)
    data = tiny_data(40)
    assert objective.on_epoch_start(data) is None
    policy = objective.policy
    objective.search = None  # type: ignore[method-assign, assignment]
    assert objective.on_epoch_start(data) is None
    assert objective.policy == policy


def test_the_search_of_an_epoch_depends_on_its_own_seed_alone():
    policies = []
    for seed, noise in ((0, 1), (0, 2), (1, 1)):
        objective, _ = built(seed=seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(noise)  # ranks have other states
            objective.on_epoch_start(tiny_data(24))
        policies.append(objective.policy)
    assert policies[0] == policies[1] != policies[2]


def test_images_on_disk_will_do():
    data = tiny_data(16)
    files = [image.permute(1, 2, 0).numpy() for image in examples(16)[0]]
    stored = EncodedImages([_png(one) for one in files], ["x"] * 16, data.train.labels)
    lazy = LazyImages(stored, image_size=8, workers=0)
    plain, other = built()[0], built()[0]
    plain.on_epoch_start(data)
    changed = {**{name: getattr(data, name) for name in data.__dataclass_fields__}, "train": lazy}
    other.on_epoch_start(Dataset(**changed))
    assert plain.policy == other.policy != ()


def _png(pixels: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


# ------------------------------------------------------------------ in the loop


def test_a_run_searches_saves_and_resumes(tmp_path, caplog):
    of = recipe(epochs=2)
    with caplog.at_level(logging.INFO, logger="mixwright"):
        whole = run(tmp_path / "whole", of, objective=small())
    assert "DADA searches: epoch 1 of 1" in caplog.text
    assert "DADA found:" in caplog.text

    class Stops(DADA):
        def on_epoch_start(self, data: Any) -> None:
            if self.policy:
                raise KeyboardInterrupt
            super().on_epoch_start(data)

    settings = {"search_epochs": 1, "batch_size": 8, "policies": 4}
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "parts", of, objective=Stops(**settings))
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="mixwright"):
        parts = run(tmp_path / "parts", of, objective=small())
    assert "DADA" not in caplog.text  # nothing is searched again
    assert parts.scores["raw"] == whole.scores["raw"]
    first, second = (torch.load(tmp_path / name / "last.pt") for name in ("whole", "parts"))
    assert digest(first["weights"]["raw"]) == digest(second["weights"]["raw"])
    assert digest(first["objective"]) == digest(second["objective"])
    lines = (tmp_path / "parts" / "metrics.jsonl").read_text().splitlines()
    assert len([json.loads(line) for line in lines]) == 2


def test_loaded_is_searched():
    objective, model = built()
    images, labels = examples()
    objective.search(images, labels, generator=stream(0))
    other, _ = built()
    other.load_state_dict(objective.state_dict())
    assert other.policy == objective.policy
    pixels = images / 255
    model.eval()
    one, two = (step(each, model, pixels, labels) for each in (objective, other))
    assert torch.equal(one.total, two.total)
    assert copy.deepcopy(other).policy == other.policy


# ------------------------------------------------------------------ refusals


def test_a_step_before_a_search_says_what_to_do():
    objective, model = built()
    images, labels = examples(4)
    with pytest.raises(ValueError, match=r"no policy yet.*objective\.search\(images, labels"):
        step(objective, model, images / 255, labels)


def test_a_search_before_build_says_what_to_do():
    with pytest.raises(ValueError, match=r"objective\.build\(model, num_classes\)"):
        small().search(*examples(8), generator=stream(0))


@pytest.mark.parametrize("count", [0, 3])
def test_a_search_needs_images(count):
    images, labels = examples(8)
    with pytest.raises(ValueError, match="at least 4 images"):
        built()[0].search(images[:count], labels[:count], generator=stream(0))


def test_a_policy_of_another_kind_is_refused():
    objective, _ = built(policies=1)
    with pytest.raises(ValueError, match=r"2 sub-policies; expected 1.*DADA\(policies=2\)"):
        objective.use([(INVERT, NEVER)] * 2)
    with pytest.raises(ValueError, match="operation is 'Blur'"):
        objective.use([(PolicyStep("Blur", 0.5, 0.5), NEVER)])
    with pytest.raises(ValueError, match=r"chance is 1\.5"):
        objective.use([(PolicyStep("Invert", 1.5, 0.5), NEVER)])
    with pytest.raises(ValueError, match=r"level is -1"):
        objective.use([(PolicyStep("Invert", 0.5, -1), NEVER)])


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"search_epochs": 0}, "search_epochs is 0"),
        ({"search_size": 3}, "search_size is 3"),
        ({"policies": 0}, "policies is 0"),
        ({"policies": 106}, "policies is 106"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"lr": 0.0}, "lr is 0.0"),
        ({"weight_decay": -1.0}, "weight_decay is -1.0"),
        ({"policy_lr": float("nan")}, "policy_lr is nan"),
        ({"order": "third"}, "order is 'third'"),
    ],
)
def test_settings_out_of_range_are_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        DADA(**bad)
