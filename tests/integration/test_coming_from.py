"""The table of other libraries: what it says of those that are installed holds of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

import mixwright as mw
from mixwright.adapters.timm import Mixup

os.environ["KERAS_BACKEND"] = "torch"

import keras
import kornia.augmentation as K
from torchvision.transforms import v2

PAGE = (Path(__file__).parents[2] / "docs" / "coming-from.md").read_text()
ROWS, SIZE = 32, (12, 9)


def _own(targets: Tensor) -> Tensor:
    return targets[torch.arange(ROWS), torch.arange(ROWS)]


def _torchvision(transform: Any) -> Tensor:
    return _own(transform(torch.rand(ROWS, 1, *SIZE), torch.arange(ROWS))[1])[:1]


def _kornia(transform: Any) -> Tensor:
    """Shares of the partner are turned over; the default of CutMix gives these too."""
    _, triples = transform(torch.rand(ROWS, 1, *SIZE), torch.arange(ROWS))
    first, second, lam = triples.reshape(-1, 3).T
    own = lam if getattr(transform, "use_correct_lambda", False) else 1 - lam
    return torch.where(first == second, torch.ones(()), own)


def _keras(layer: Any) -> Tensor:
    batch = {"images": torch.rand(ROWS, *SIZE, 3), "labels": torch.eye(ROWS)}
    return _own(layer(batch, training=True)["labels"].cpu())


KEYS = {"data_keys": ["input", "class"]}
Line = tuple[str, Callable[[], Any], Callable[[Any], Tensor]]
LINES: dict[str, Line] = {
    "torchvision mixup": (
        'mw.MixUp(per="batch", pairing="roll")',
        lambda: v2.MixUp(num_classes=ROWS),
        _torchvision,
    ),
    "torchvision cutmix": (
        'mw.CutMix(per="batch", pairing="roll")',
        lambda: v2.CutMix(num_classes=ROWS),
        _torchvision,
    ),
    "kornia mixup": (
        'mw.MixUp(alpha=1.0, pairing="perm")',
        lambda: K.RandomMixUpV2(**KEYS),
        _kornia,
    ),
    "kornia cutmix": (
        'mw.CutMix(box="fit", pairing="perm")',
        lambda: K.RandomCutMixV2(**KEYS, use_correct_lambda=True),
        _kornia,
    ),
    "kornia cutmix by default": (
        'mw.CutMix(box="fit", pairing="perm")',
        lambda: K.RandomCutMixV2(**KEYS),
        _kornia,
    ),
    "keras mixup": (
        'mw.MixUp(alpha=0.2, pairing="perm")',
        lambda: keras.layers.MixUp(alpha=0.2, seed=3),
        _keras,
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_label_shares_follow_the_same_law(line: str) -> None:
    written, make, read = LINES[line]
    assert f"`{written}`" in PAGE
    mixer, generator = eval(written), torch.Generator().manual_seed(8)
    rows, batches = (1, 600) if mixer.per == "batch" else (ROWS, 30)
    state = torch.get_rng_state()
    torch.manual_seed(7)
    transform = make()
    wanted = torch.cat([read(transform) for _ in range(batches)])
    torch.set_rng_state(state)
    images, labels = torch.zeros(ROWS, 1, *SIZE), torch.arange(ROWS)
    plans = [mixer.plan(images, generator=generator) for _ in range(batches)]
    mine = torch.cat([_own(plan.targets(labels, ROWS))[:rows] for plan in plans])
    law = stats.ks_2samp(*(np.round(part.double().numpy(), 5) for part in (mine, wanted)))
    assert law.pvalue > 1e-3, law


def test_what_is_to_be_written_can_be_written() -> None:
    written = re.findall(r"`(mw\.[A-Za-z.]+\([^`]*\))`", PAGE)
    names = {"mw": mw, "mixer": mw.MixUp(), "first": mw.MixUp(), "second": mw.CutMix(), "p": 0.5}
    skipped = [line for line in written if "..." in line or "torchvision" in line]
    made = [eval(line, names) for line in written if line not in skipped]
    assert len(made) > 30
    assert len(skipped) < 10
    objectives = (mw.ManifoldMix, mw.TransMix, mw.AlignMix, mw.AdAutoMix)
    drawing = [one for one in made if not isinstance(one, (Mixup, *objectives))]
    assert all(callable(one.plan) for one in drawing)


def test_torchvision_pairs_with_the_sample_before() -> None:
    _, targets = v2.MixUp(num_classes=4)(torch.rand(4, 1, 2, 2), torch.arange(4))
    plan = mw.MixUp(pairing="roll").plan(torch.rand(4, 1, 2, 2), generator=torch.Generator())
    assert [row.nonzero().flatten().tolist() for row in targets] == [[0, 3], [0, 1], [1, 2], [2, 3]]
    assert [sorted(row) for row in plan.index.tolist()] == [[0, 3], [0, 1], [1, 2], [2, 3]]


def test_kornias_lambda_is_the_partners_share() -> None:
    levels = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    for _ in range(20):
        mixed, triples = K.RandomMixUpV2(**KEYS)(levels, torch.tensor([0, 1]))
        if triples[0, 0] != triples[0, 1]:
            torch.testing.assert_close(mixed[0, 0, 0, 0], triples[0, 2])


def test_the_blocks_of_both_pages_run() -> None:
    other = (Path(__file__).parents[2] / "docs" / "integrations" / "other.md").read_text()
    for text in (PAGE, other):
        page: dict[str, Any] = {}
        for block in re.findall(r"```python\n(.*?)```", text, re.S):
            exec(compile(block, "page", "exec"), page)
        assert page["mixed"].shape == (8, 3, 32, 32)
