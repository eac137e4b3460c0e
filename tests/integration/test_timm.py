"""The timm adapter against timm itself: its arithmetic, its statistics, its loader and its loop."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import timm.data
import timm.loss
import torch
from PIL import Image
from scipy import stats
from timm.data import mixup as theirs
from torch import Tensor

from mixwright import CutMix, MixPlan
from mixwright.adapters.timm import FastCollateMixup, Mixup
from mixwright.sampling import stream

PAGE = Path(__file__).parents[2] / "docs" / "integrations" / "timm.md"
METHODS: dict[str, dict[str, Any]] = {
    "mixup": {"mixup_alpha": 0.8},
    "cutmix": {"mixup_alpha": 0.0, "cutmix_alpha": 1.0},
    "uncorrected": {"mixup_alpha": 0.0, "cutmix_alpha": 1.0, "correct_lam": False},
    "both": {"mixup_alpha": 0.8, "cutmix_alpha": 1.0, "prob": 0.8},
    "minmax": {"mixup_alpha": 0.0, "cutmix_minmax": (0.2, 0.8)},
}


@pytest.mark.parametrize("name", ["Mixup", "FastCollateMixup"])
def test_arguments_order_and_defaults_are_timms(name: str) -> None:
    ours = {"Mixup": Mixup, "FastCollateMixup": FastCollateMixup}[name]
    expected = inspect.signature(getattr(timm.data, name)).parameters
    mine = inspect.signature(ours).parameters
    assert [*mine][: len(expected)] == [*expected]
    assert [mine[key].default for key in expected] == [one.default for one in expected.values()]
    assert {*mine} - {*expected} == {"mixer", "seed"}
    assert all(mine[key].kind is inspect.Parameter.KEYWORD_ONLY for key in ("mixer", "seed"))


# ---------------------------------------------------------------------- the same draws, fed to both


@contextmanager
def _fed(plan: MixPlan, *, rows: int) -> Iterator[None]:
    """Let timm draw what is in a plan: shares, and boxes where there are some."""
    kept = plan.weight[:rows, 0].numpy()
    cut = np.zeros(rows, dtype=bool)
    if plan.boxes is not None:
        some = (plan.boxes[:rows, :, 0] < plan.boxes[:rows, :, 1]).all(dim=1).numpy()
        cut = some | plan.mask_form.binary  # an empty box is one where all rows have boxes
    boxes = iter(plan.boxes[:rows][cut].tolist()) if plan.boxes is not None else iter(())
    shares = iter(kept[cut].tolist())

    def box(*_: Any, **__: Any) -> tuple[tuple[int, ...], float]:
        (top, bottom), (left, right) = next(boxes)
        return (top, bottom, left, right), next(shares)

    asked = np.where(cut, np.float32(0.5), kept)  # a share of 1 would end it before the box
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "cutmix_bbox_and_lam", box)
        patch.setattr(theirs.Mixup, "_params_per_elem", lambda *_: (asked, cut))
        one = (float(asked[0]), bool(cut[0]))
        patch.setattr(theirs.Mixup, "_params_per_batch", lambda *_: one)
        yield


def _drawn(ours: Mixup, images: Tensor, labels: Tensor) -> MixPlan:
    """What the next call will draw, which stays to be drawn."""
    state = ours.mix.state_dict()
    plan = ours.mix.plan(images, labels)
    ours.mix.load_state_dict(state)
    return plan


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
@pytest.mark.parametrize("method", METHODS)
def test_the_same_draws_give_the_same_pixels_and_targets(method: str, mode: Any) -> None:
    images = torch.randn(8, 3, 13, 10, generator=stream(1))
    labels = torch.randint(0, 5, (8,), generator=stream(2))
    ours = Mixup(**METHODS[method], mode=mode, num_classes=5, seed=0)
    timms = timm.data.Mixup(**METHODS[method], mode=mode, num_classes=5)
    for _ in range(6):
        plan = _drawn(ours, images, labels)
        mine, my_targets = ours(images, labels)
        with _fed(plan, rows=4 if mode == "pair" else 8):
            wanted, wanted_targets = timms(images.clone(), labels)
        torch.testing.assert_close(mine, wanted, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(my_targets, wanted_targets, atol=1e-6, rtol=0)


@pytest.mark.parametrize("kind", ["tensor", "array"])
@pytest.mark.parametrize("mode", ["batch", "pair", "elem", "half"])
@pytest.mark.parametrize("method", METHODS)
def test_the_same_draws_give_the_same_collated_bytes(method: str, mode: Any, kind: str) -> None:
    images = torch.randint(0, 256, (8, 3, 13, 10), generator=stream(1), dtype=torch.uint8)
    labels = torch.randint(0, 5, (8,), generator=stream(2))
    ours = FastCollateMixup(**METHODS[method], mode=mode, num_classes=5, seed=0)
    timms = timm.data.FastCollateMixup(**METHODS[method], mode=mode, num_classes=5)
    recorded: list[MixPlan] = []
    planned = MixPlan.images

    def recording(plan: MixPlan, batch: Tensor) -> Tensor:
        recorded.append(plan)
        return planned(plan, batch)

    def samples() -> list[Any]:
        rows = [image.clone() if kind == "tensor" else image.numpy().copy() for image in images]
        return list(zip(rows, labels.tolist(), strict=True))

    for _ in range(6):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(MixPlan, "images", recording)
            mine, my_targets = ours(samples())
        with _fed(recorded[-1], rows=4 if mode in ("pair", "half") else 8):
            wanted, wanted_targets = timms(samples())
        assert mine.dtype == wanted.dtype == torch.uint8
        differ = (mine.int() - wanted.int()).abs()
        assert int(differ.max()) <= 1  # where rounding is on the edge
        assert float(differ.float().mean()) < 2e-3
        torch.testing.assert_close(my_targets, wanted_targets.float(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("multi_label", [False, True])
def test_targets_are_timms_with_mixing_off(smoothing: float, multi_label: bool) -> None:
    labels = torch.tensor([[1, 0, 1], [0, 0, 1]]) if multi_label else torch.tensor([2, 0])
    settings = {"num_classes": 3, "label_smoothing": smoothing, "multi_label": multi_label}
    ours, timms = Mixup(**settings), timm.data.Mixup(**settings)
    ours.mixup_enabled = timms.mixup_enabled = False
    images = torch.rand(2, 3, 4, 4)
    mine, wanted = ours(images, labels), timms(images.clone(), labels)
    assert torch.equal(mine[0], wanted[0])
    torch.testing.assert_close(mine[1], wanted[1])


def test_multi_hot_targets_are_timms() -> None:
    images, labels = (
        torch.rand(4, 3, 8, 8),
        torch.eye(4)[:, :3].int() | 1 - torch.eye(4)[:, :3].int(),
    )
    ours = Mixup(num_classes=3, multi_label=True, seed=0)
    timms = timm.data.Mixup(num_classes=3, multi_label=True)
    plan = _drawn(ours, images, labels)
    with _fed(plan, rows=4):
        wanted = timms(images.clone(), labels)[1]
    torch.testing.assert_close(ours(images, labels)[1], wanted)


# ---------------------------------------------------------------------- free draws, compared by law


def _observed(mixer: Any, *, rows: int, batches: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of own labels, and whether a box was cut, as seen in what a mixer returns.

    Brightness tells the samples apart: a mixed sample of one level only was averaged.
    """
    levels = torch.linspace(1, 2, rows).view(rows, 1, 1, 1).expand(rows, 1, 12, 9)
    shares, cuts = [], []
    for _ in range(batches):
        images, targets = mixer(levels.clone(), torch.arange(rows))
        shares.append(targets.diagonal())
        flat = images.flatten(1)
        cuts.append(flat.min(dim=1).values < flat.max(dim=1).values - 1e-4)
    return torch.stack(shares).double().numpy(), torch.stack(cuts).numpy()


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
@pytest.mark.parametrize("method", METHODS)
def test_shares_and_cuts_follow_the_same_law(method: str, mode: Any) -> None:
    rows, batches = (2, 800) if mode == "batch" else (50, 60)
    settings = METHODS[method] | {"mode": mode, "label_smoothing": 0.0, "num_classes": rows}
    np.random.seed(11)
    theirs_shares, theirs_cuts = _observed(timm.data.Mixup(**settings), rows=rows, batches=batches)
    shares, cuts = _observed(Mixup(**settings, seed=12), rows=rows, batches=batches)
    # Rows of one draw are one observation.
    count = {"batch": 1, "pair": rows // 2, "elem": rows}[mode]
    mine, wanted = shares[:, :count].ravel(), theirs_shares[:, :count].ravel()
    # Both round their shares, mine in float32.
    law = stats.ks_2samp(mine.round(6), wanted.round(6))
    assert law.pvalue > 1e-3, law
    rate, wanted_rate = cuts[:, :count].mean(), theirs_cuts[:, :count].mean()
    spread = max((wanted_rate * (1 - wanted_rate) * 2 / mine.size) ** 0.5, 1e-9)
    assert abs(rate - wanted_rate) <= 3.5 * spread


@pytest.mark.parametrize("size", [(12, 9), (7, 7)])
@pytest.mark.parametrize("minmax", [None, (0.2, 0.8)])
def test_boxes_follow_the_same_law(minmax: Any, size: tuple[int, int]) -> None:
    count = 6000
    ours = Mixup(0.0, 1.0, minmax, mode="elem", num_classes=2, seed=1)
    plan = ours.mix.plan(torch.zeros(count, 1, *size))
    assert plan.boxes is not None
    mine = plan.boxes.flatten(1)  # top, bottom, left, right
    np.random.seed(5)
    drawn = [
        theirs.cutmix_bbox_and_lam((1, *size), lam, ratio_minmax=minmax)[0]
        for lam in np.random.beta(1.0, 1.0, count)
    ]
    wanted = torch.tensor(np.array(drawn))
    whole = torch.cat([mine, wanted])
    assert {*mine[:, 0].tolist()} == {*wanted[:, 0].tolist()}
    for name, values in {
        "top": whole[:, 0],
        "height": whole[:, 1] - whole[:, 0],
        "left": whole[:, 2],
        "width": whole[:, 3] - whole[:, 2],
        "row and height": whole[:, 0] * 100 + whole[:, 1],
    }.items():
        kinds = values.unique()
        table = torch.stack(
            [(half[:, None] == kinds).sum(dim=0) for half in (values[:count], values[count:])]
        )
        often = table.sum(dim=0) >= 10
        assert stats.chi2_contingency(table[:, often].numpy()).pvalue > 1e-3, name


# ---------------------------------------------------------------------- timm's loader and loop


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, one class bright on the left and one on the right."""
    root = tmp_path_factory.mktemp("pictures")
    for split, count in (("train", 24), ("val", 8)):
        for place in range(count):
            label = place % 2
            pixels = torch.randint(0, 80, (32, 32, 3), generator=stream(place), dtype=torch.uint8)
            pixels[:, 16 * label : 16 * label + 16] += 150
            file = root / split / "ab"[label] / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.numpy()).save(file)
    return root


def _loader(folder: Path, split: str, **settings: Any) -> Any:
    return timm.data.create_loader(
        timm.data.create_dataset("", root=str(folder), split=split),
        input_size=(3, 32, 32),
        batch_size=8,
        is_training=split == "train",
        no_aug=True,
        mean=(0.0, 0.0, 0.0),
        std=(1 / 255, 1 / 255, 1 / 255),  # pixels stay bytes
        device=torch.device("cpu"),
        **settings,
    )


def test_the_prefetching_loader_mixes_and_switches_mixing_off(folder: Path) -> None:
    collate = FastCollateMixup(num_classes=2, label_smoothing=0.0, seed=0)
    loader = _loader(folder, "train", num_workers=2, collate_fn=collate)
    assert isinstance(loader, timm.data.loader.PrefetchLoader)
    assert loader.mixup_enabled is True
    images, targets = (torch.cat(part) for part in zip(*loader, strict=True))
    assert images.shape == (24, 3, 32, 32)
    # The share of the right half's brightness is the share of its class.
    left, right = images[..., :16].mean(dim=(1, 2, 3)), images[..., 16:].mean(dim=(1, 2, 3))
    torch.testing.assert_close((right - left) / 300 + 0.5, targets[:, 1], atol=0.03, rtol=0)
    assert ((targets > 0.02) & (targets < 0.98)).any()
    assert len(targets[:, 0].unique()) > 3  # workers draw differently
    loader.mixup_enabled = False  # what timm's training script does at --mixup-off-epoch
    assert collate.mixup_enabled is False
    assert loader.mixup_enabled is False
    for _, plain in loader:  # workers that were running all along
        assert ((plain == 0) | (plain == 1)).all()


@pytest.mark.parametrize("prefetcher", [True, False])
def test_timms_loop_trains_with_it(folder: Path, prefetcher: bool) -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"mixup_alpha": 0.8, "cutmix_alpha": 1.0, "num_classes": 2}
    collate_fn, mixup_fn = None, None
    if prefetcher:
        collate_fn = FastCollateMixup(**settings, seed=0)
    else:
        mixup_fn = Mixup(**settings, seed=0)
    train = _loader(
        folder, "train", num_workers=0, collate_fn=collate_fn, use_prefetcher=prefetcher
    )
    val = _loader(folder, "val", num_workers=0, use_prefetcher=prefetcher)
    model = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten(), torch.nn.Linear(12, 2)
    )
    loss_fn = timm.loss.SoftTargetCrossEntropy()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    soft = []
    for epoch in range(6):
        if epoch == 5:  # --mixup-off-epoch
            if prefetcher and train.mixup_enabled:
                train.mixup_enabled = False
            elif mixup_fn is not None:
                mixup_fn.mixup_enabled = False
        shares = []
        for images, target in train:
            if not prefetcher:
                assert mixup_fn is not None
                images, target = mixup_fn(images, target)
            loss = loss_fn(model(images / 255), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            shares.append(target[:, 0])
        soft.append(torch.cat(shares))
    assert all(((one > 0.06) & (one < 0.94)).any() for one in soft[:5])
    smoothed = torch.tensor([0.05, 0.95])
    assert (soft[5][:, None] - smoothed).abs().min(dim=1).values.max() < 1e-6
    with torch.no_grad():
        hits = [(model(x / 255).argmax(1) == y).float() for x, y in val]
    assert torch.cat(hits).mean() == 1.0


def test_isinstance_and_copies_hold_beside_timm() -> None:
    collate = FastCollateMixup(num_classes=2)
    assert isinstance(collate, timm.data.FastCollateMixup)
    assert isinstance(collate, FastCollateMixup)
    assert not isinstance(collate, CutMix)
    assert type(collate) is FastCollateMixup


def test_the_blocks_of_the_page_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    assert blocks
    page: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), page)
