"""Data that grow during a run: steps, learning rates, and going on from a checkpoint."""

import json
from dataclasses import replace

import pytest
import torch

from lab.training.test_resume import KilledError, kill_at, left
from lab.training.tiny import Blend, Doubling, recipe, run, tiny_data
from mixwright.lab.data.sets import Dataset
from mixwright.lab.training.schedule import learning_rate


def test_steps_rates_and_progress_follow_the_epochs(tmp_path):
    objective, seen = Doubling(), []
    of = recipe(epochs=4, warmup_epochs=1.5, min_lr=0.01)
    run(tmp_path, of, objective=objective, on_progress=seen.append)
    assert [p.steps for p in seen if p.step == p.steps] == [4, 8, 8, 8]
    calls = iter(objective.calls)
    places = [(epoch, k, steps) for epoch, steps in enumerate([4, 8, 8, 8]) for k in range(steps)]
    for epoch, k, steps in places:
        assert next(calls)["progress"] == pytest.approx((epoch + k / steps) / 4)
    assert next(calls, None) is None
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    for epoch, line in enumerate(lines):
        steps = 8 if epoch else 4
        last = (epoch + (steps - 1) / steps) / 4
        run_ = {"step": 1 / (4 * steps), "warmup": 1.5 / 4, "highest": 0.1, "lowest": 0.01}
        assert line["lr"] == pytest.approx(learning_rate(last, **run_))


def test_added_images_are_learned_from(tmp_path):
    """Without augmentation every image of the set is seen once an epoch, old and new."""
    objective = Doubling()
    data = tiny_data()
    kept = digest_of(data.train.images)
    of = recipe(epochs=3, crop_padding=0, flip=False, batch_size=1)
    run(tmp_path, of, objective=objective, data=data)
    seen = [call["images"] for call in objective.calls]
    assert len(seen) == 40 + 80 + 80
    first, second, third = ({*part} for part in (seen[:40], seen[40:120], seen[120:]))
    assert len(first) == 40
    assert first < second
    assert len(second) == 80
    assert third == second
    assert digest_of(data.train.images) == kept


def digest_of(images):
    return int(images.long().sum()), tuple(images.shape)


@pytest.mark.parametrize(("epoch", "step"), [(1, 4), (2, 6), (3, 2)])
def test_a_resumed_run_grows_as_a_straight_one(tmp_path, epoch, step):
    """Killed before the data grew, within the epoch in which they do, and after."""
    run(tmp_path / "straight", recipe(), objective=Doubling())
    with pytest.raises(KilledError):
        run(
            tmp_path / "killed",
            recipe(),
            objective=Doubling(),
            on_progress=kill_at(epoch, step),
        )
    torch.manual_seed(99)
    run(tmp_path / "killed", recipe(), objective=Doubling())
    assert left(tmp_path / "killed") == left(tmp_path / "straight")


def test_data_may_shrink_and_come_back(tmp_path):
    class Part(Blend):
        epochs = 0

        def on_epoch_start(self, data):
            self.epochs += 1
            if self.epochs != 2:
                return None
            train = type(data.train)(data.train.images[:20], data.train.labels[:20])
            return replace(data, train=train)

    seen = []
    run(tmp_path, recipe(epochs=3), objective=Part(), on_progress=seen.append)
    assert [p.steps for p in seen if p.step == p.steps] == [4, 2, 4]


def test_what_is_no_data_set_is_refused(tmp_path):
    class Wrong(Blend):
        def on_epoch_start(self, data: Dataset):
            return data.train

    with pytest.raises(TypeError, match="Wrong: on_epoch_start returned a ImageSet; expected a da"):
        run(tmp_path, recipe(), objective=Wrong())


def test_processes_with_other_data_do_not_wait_for_each_other(tmp_path, monkeypatch):
    from mixwright.lab.training.distributed import World

    monkeypatch.setattr(World, "gather", lambda self, value: [value, 7])
    with pytest.raises(ValueError, match=r"Blend: on_epoch_start gave the processes sets of \[40,"):
        run(tmp_path, recipe(), objective=Blend())
