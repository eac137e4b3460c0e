"""Evaluations, augmentations and training steps bring what they need to the device."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from accelerator import CUDA, Accelerator
from lab.evaluation.judged import images_and_labels, small, subject
from lab.training.tiny import recipe, tiny_data, tiny_net
from mixwright.lab.data.augment import Augment, Augmentation, ResizedCrop
from mixwright.lab.data.erase import RandomErasing
from mixwright.lab.data.policies import parse_policy
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.experiments.evaluations.parts import parse_parts
from mixwright.lab.training.distributed import World
from mixwright.lab.training.epoch import in_groups, streams, train_step
from mixwright.lab.training.meter import MeanMeter
from mixwright.lab.training.session import prepare
from mixwright.mixers import MiAMix
from mixwright.objectives import Mixed
from mixwright.sampling import Stream, stream


@pytest.mark.parametrize(
    "text", ["accuracy", "calibration", "gap", "attack:steps=1,count=8", "occlusion:count=8"]
)
def test_parts_of_an_evaluation(text):
    (part,) = parse_parts(text)
    with Accelerator():
        model = small().to(CUDA)
        part.measure(dataclasses.replace(subject(model), device=CUDA))


def test_scores():
    images, labels = images_and_labels()
    with Accelerator() as device:
        model = small().to(CUDA)
        batches = [(part.float().to(CUDA), labels[:10].to(CUDA)) for part in images.split(10)]
        device.waits.clear()
        evaluate(model, batches)
    assert all("scores.py" in wait or "reliability.py" in wait for wait in device.waits)


AUGMENTATIONS: dict[str, Augmentation] = {
    "shift": Augment(crop_padding=2),
    "reflect": Augment(crop_padding=2, padding="reflect"),
    "resized": ResizedCrop(scale=0.4),
    "randaugment": parse_policy("randaugment:layers=8"),
    "trivialaugment": parse_policy("trivialaugment"),
    "erase": RandomErasing(1.0, (0.5,) * 3, (0.2,) * 3),
    "erase const": RandomErasing(1.0, (0.5,) * 3, (0.2,) * 3, mode="const"),
}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations_wait_for_nothing(name):
    with Accelerator() as device:
        images = torch.zeros(16, 3, 12, 12, dtype=torch.uint8, device=CUDA)
        for seed in range(2):  # other operations are drawn
            changed = AUGMENTATIONS[name](images, generator=stream(seed))
            assert (changed.device, changed.dtype) == (CUDA, torch.uint8)
    assert device.waits == []


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")  # by deepcopy
def test_a_training_step_waits_once_an_epoch_for_the_order():
    options = {"precision": "bf16", "grad_clip": 1.0, "channels_last": True, "crop_padding": 4}
    with Accelerator() as device:
        session = prepare(
            recipe(**options), model=tiny_net(), objective=Mixed(MiAMix()), data=tiny_data(),
            world=World(), device=CUDA,
        )  # fmt: skip
        seeds, meter = streams(0, 0, 1), MeanMeter()
        batches = session.train.epoch(order=seeds[Stream.ORDER], augment=seeds[Stream.AUGMENT])
        device.waits.clear()
        for step, group in enumerate(in_groups(batches, 1)):
            train_step(session, group, meter, seeds[Stream.MIX], step / 4, 1)
    assert step == 3
    assert len(device.waits) == 1
    assert "batches.py" in device.waits[0]
    assert {weight.device for weight in session.ema.model.parameters()} == {CUDA}
