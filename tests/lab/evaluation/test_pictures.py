"""The arrays that an evaluation calls pictures are those it keeps, as figures can show them."""

from __future__ import annotations

import pytest
import torch

from lab.evaluation.judged import small, subject
from mixwright.lab.evaluation import (
    Attack,
    Cam,
    Corruption,
    Diversity,
    Evaluation,
    Fidelity,
    Gradients,
    Occlusion,
)
from mixwright.lab.experiments.evaluations.parts import PARTS, part_class
from mixwright.mixers import CutMix


@pytest.mark.parametrize(
    "evaluation",
    [
        Attack(count=4, steps=1, legacy=False),
        Cam(pairs=3, shown=2, layer="conv2"),
        Corruption(types=("fog",), severities=(1,)),
        Diversity(pairs=2, draws=2),
        Fidelity(count=4, distances=0),
        Gradients(count=4, probes=0),
        Occlusion(ratios=(0.0, 0.5), seeds=1, count=4),
    ],
    ids=lambda evaluation: evaluation.name,
)
def test_pictures_are_kept(evaluation: Evaluation) -> None:
    arrays = evaluation.measure(subject(small(), mixer=CutMix())).arrays
    kept = {name for name in evaluation.pictures if not name.startswith("epochs.")}
    assert kept <= set(arrays)
    assert all(torch.isfinite(arrays[name].double()).all() for name in kept)
    if evaluation.pictures:  # what stays in the arrays alone is for inference
        assert not kept & {"correct", "ids", "near", "far", "energy"}


def test_every_evaluation_says_which_arrays_are_pictures() -> None:
    assert all(isinstance(part_class(name).pictures, tuple) for name in PARTS)
