"""``Mixup`` and ``FastCollateMixup`` with timm's arguments; against timm itself in integration."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from accelerator import CUDA, Accelerator
from mixwright import CutMix, Mix, MixUp, PuzzleMix, Scheduled, SnapMix
from mixwright.adapters.timm import FastCollateMixup, Mixup
from mixwright.masks.box import centred_box
from mixwright.sampling import stream

METHODS: dict[str, dict[str, Any]] = {
    "mixup": {"mixup_alpha": 0.8},
    "cutmix": {"mixup_alpha": 0.0, "cutmix_alpha": 1.0},
    "both": {"mixup_alpha": 0.8, "cutmix_alpha": 1.0},
    "minmax": {"mixup_alpha": 0.0, "cutmix_minmax": [0.2, 0.8]},
}


def _who(count: int, *, side: int = 8) -> Tensor:
    """Images of which sample k alone lights channel k."""
    return torch.eye(count)[:, :, None, None].expand(count, count, side, side)


def _mixup(count: int, **settings: Any) -> Mixup:
    return Mixup(**({"label_smoothing": 0.0, "num_classes": count, "seed": 0} | settings))


def _rgb(*levels: int) -> list[tuple[Tensor, int]]:
    return [
        (torch.full((3, 4, 4), level, dtype=torch.uint8), label)
        for label, level in enumerate(levels)
    ]


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
@pytest.mark.parametrize("method", METHODS)
def test_labels_say_what_the_pixels_show_of_sample_and_mirror_image(
    method: str, mode: str, count: int
) -> None:
    mixup = _mixup(count, mode=mode, prob=0.8, **METHODS[method])
    own = torch.eye(count, dtype=torch.bool)
    for _ in range(4):
        images, targets = mixup(_who(count), torch.arange(count))
        torch.testing.assert_close(images.mean(dim=(2, 3)), targets, atol=1e-6, rtol=0)
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(count))
        assert (targets[~(own | own.flip(0))] == 0).all()
        if count % 2:  # the sample in the middle met itself
            middle = count // 2
            assert torch.equal(images[middle], _who(count)[middle])


def test_a_batch_a_pair_or_an_element_has_a_draw_of_its_own() -> None:
    kept = {
        mode: [_mixup(8, mode=mode)(_who(8), torch.arange(8))[1].diagonal() for _ in range(2)][1]
        for mode in ("batch", "pair", "elem")
    }
    assert len(kept["batch"].unique()) == 1
    assert torch.equal(kept["pair"], kept["pair"].flip(0))
    assert len(kept["pair"].unique()) == 4
    assert len(kept["elem"].unique()) == 8


def test_pairs_share_their_box() -> None:
    mixup = _mixup(6, mode="pair", **METHODS["both"])
    for _ in range(5):
        images, _ = mixup(_who(6), torch.arange(6))
        own = torch.stack([images[k, k] for k in range(6)])
        assert torch.equal(own, own.flip(0))


def test_chances_count_batches_or_elements() -> None:
    def unmixed(mode: str, **settings: Any) -> list[int]:
        mixup = _mixup(50, mode=mode, prob=0.25, **settings)
        kept = [mixup(_who(50, side=1), torch.arange(50))[1].diagonal() for _ in range(200)]
        return [int((row == 1).sum()) for row in kept]

    batches = unmixed("batch")
    assert {*batches} == {0, 50}
    assert 130 < batches.count(50) < 168  # of 200, 150 expected, 6.1 the standard deviation
    elements = unmixed("elem")
    assert abs(sum(elements) / 10_000 - 0.75) < 0.018  # four standard deviations
    pairs = unmixed("pair")
    assert all(count % 2 == 0 for count in pairs)
    assert abs(sum(pairs) / 10_000 - 0.75) < 0.025


def test_the_switch_chooses_cutmix_with_its_chance() -> None:
    mixup = _mixup(50, mode="elem", switch_prob=0.2, mixup_alpha=50.0, cutmix_alpha=50.0)
    cut = 0
    for _ in range(100):
        images, _ = mixup(_who(50), torch.arange(50))
        cut += sum(images[k, k].unique().numel() == 2 for k in range(50))
    assert abs(cut / 5000 - 0.2) < 0.023  # four standard deviations


def test_uncorrected_labels_weigh_what_was_asked_for() -> None:
    mixup = _mixup(64, mode="elem", mixup_alpha=0.0, cutmix_alpha=1.0, correct_lam=False)
    plan = mixup.mix.plan(_who(64), torch.arange(64))
    own = plan.images(_who(64)).mean(dim=(2, 3)).diagonal()
    assert plan.lam is not None
    assert torch.equal(plan.weight[:, 0], plan.lam)
    assert (own >= plan.lam - 1e-6).all()  # clipping and rounding keep more
    assert (own > plan.lam + 0.05).any()


def test_drawn_sides_are_those_of_timm() -> None:
    # int(10 * 0.25) = 2 to int(10 * 0.65) - 1 = 5 rows, int(7 * 0.25) = 1 to int(7 * 0.65) - 1 = 3.
    mixup = _mixup(300, mode="elem", mixup_alpha=0.0, cutmix_minmax=(0.25, 0.65))
    plan = mixup.mix.plan(torch.zeros(300, 1, 10, 7))
    assert plan.boxes is not None
    sides = plan.boxes[..., 1] - plan.boxes[..., 0]
    assert sides[:, 0].unique().tolist() == [2, 3, 4, 5]
    assert sides[:, 1].unique().tolist() == [1, 2, 3]
    assert (plan.boxes[..., 0] >= 0).all()
    assert (plan.boxes[..., 1] <= torch.tensor([10, 7])).all()
    assert plan.boxes[sides[:, 0] == 5][:, 0, 0].unique().tolist() == [0, 1, 2, 3, 4, 5]
    torch.testing.assert_close(plan.weight[:, 1], sides.prod(dim=1) / 70)


def test_boxes_of_odd_sides_are_whole() -> None:
    sides = torch.tensor([[3, 4], [3, 4], [3, 4], [5, 5]])
    position = torch.tensor([[0.5, 0.5], [0.0, 0.0], [0.99, 0.99], [0.5, 0.5]])
    edges = centred_box(sides, position, (10, 8))
    assert edges.tolist() == [
        [[4, 7], [2, 6]],  # rows 5 - 1 to 5 + 2, columns 4 - 2 to 4 + 2
        [[0, 2], [0, 2]],
        [[8, 10], [5, 8]],
        [[3, 8], [2, 7]],
    ]


def test_targets_are_smoothed_as_timm_smooths_them() -> None:
    mixup = Mixup(num_classes=4, seed=0)  # label_smoothing=0.1
    mixup.mixup_enabled = False
    images = torch.rand(2, 3, 4, 4)
    same, targets = mixup(images, torch.tensor([1, 3]))
    assert torch.equal(same, images)
    expected = torch.tensor([[0.025, 0.925, 0.025, 0.025], [0.025, 0.025, 0.025, 0.925]])
    torch.testing.assert_close(targets, expected)
    mixup.mixup_enabled = True
    mixed, targets = mixup(images, torch.tensor([1, 3]))
    lam = ((mixed[0] - images[1]) / (images[0] - images[1])).median()
    torch.testing.assert_close(targets[0], lam * expected[0] + (1 - lam) * expected[1])


def test_multi_hot_labels_are_smoothed_towards_a_half() -> None:
    mixup = Mixup(num_classes=3, label_smoothing=0.2, multi_label=True, seed=0)
    labels = torch.tensor([[1, 0, 1], [0, 0, 1]])
    plan = copy.deepcopy(mixup).mix.plan(_who(2))
    _, targets = mixup(_who(2), labels)
    lam = float(plan.weight[0, 0])
    first, second = torch.tensor([0.9, 0.1, 0.9]), torch.tensor([0.1, 0.1, 0.9])
    torch.testing.assert_close(targets[0], lam * first + (1 - lam) * second)
    torch.testing.assert_close(targets[1], lam * second + (1 - lam) * first)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("method", METHODS)
def test_the_input_is_not_written_and_its_dtype_stays(method: str, dtype: torch.dtype) -> None:
    images = (torch.rand(5, 3, 8, 8, generator=stream(1)) * 200).to(dtype)
    before = images.clone()
    mixed, targets = Mixup(**METHODS[method], num_classes=5, seed=3)(images, torch.arange(5))
    assert torch.equal(images, before)
    assert not torch.equal(mixed, before)
    assert (mixed.dtype, targets.dtype) == (dtype, torch.float32)


@pytest.mark.parametrize("mode", ["batch", "pair", "elem"])
@pytest.mark.parametrize("method", ["both", "minmax"])
def test_a_device_is_not_waited_for(method: str, mode: Any) -> None:
    mixup = Mixup(**METHODS[method], mode=mode, prob=0.5, num_classes=5, seed=0)
    several = Mixup(**METHODS[method], mode=mode, num_classes=5, multi_label=True, seed=0)
    with Accelerator() as device:
        images = torch.rand(5, 3, 8, 6, device=CUDA)
        for _ in range(3):
            mixed, targets = mixup(images, torch.zeros(5, dtype=torch.int64, device=CUDA))
            several(images, torch.zeros(5, 5, device=CUDA))
    assert (mixed.device, targets.device) == (CUDA, CUDA)
    assert device.waits == []


def test_draws_follow_torchs_seed_alone() -> None:
    def drawn(seed: int, numpy_seed: int) -> Tensor:
        torch.manual_seed(seed)
        np.random.seed(numpy_seed)
        return Mixup(num_classes=8)(_who(8), torch.arange(8))[1]

    state = torch.get_rng_state()
    assert torch.equal(drawn(1, 1), drawn(1, 2))
    assert not torch.equal(drawn(1, 1), drawn(2, 1))
    torch.set_rng_state(state)


def test_a_saved_state_draws_on() -> None:
    mixup, other = _mixup(8), _mixup(8)
    mixup(_who(8), torch.arange(8))
    other.mix.load_state_dict(mixup.mix.state_dict())
    for _ in range(2):
        first, second = (one(_who(8), torch.arange(8)) for one in (mixup, other))
        assert torch.equal(first[0], second[0])


def test_any_mixer_takes_the_place_of_both() -> None:
    mixer = CutMix(alpha=0.5)
    mixed = Mixup(mixer=mixer, num_classes=8, label_smoothing=0.1, seed=4)(_who(8), torch.arange(8))
    expected = Mix(mixer, num_classes=8, label_smoothing=0.1, seed=4)(_who(8), torch.arange(8))
    assert torch.equal(mixed[0], expected[0])
    assert torch.equal(mixed[1], expected[1])


def test_the_chance_of_mixing_holds_for_any_mixer() -> None:
    whole = Mixup(mixer=MixUp(), prob=0.5, num_classes=50, label_smoothing=0.0, seed=0)
    each = Mixup(mixer=MixUp(), prob=0.5, mode="elem", num_classes=50, label_smoothing=0.0, seed=0)
    counts = [
        [int((one(_who(50, side=1), torch.arange(50))[1].diagonal() == 1).sum()) for _ in range(40)]
        for one in (whole, each)
    ]
    assert {*counts[0]} == {0, 50}
    assert all(10 < count < 40 for count in counts[1])


def test_progress_reaches_a_scheduled_mixer() -> None:
    mixer = Scheduled(lambda progress: MixUp(lam=1 - progress / 2))
    mixup = Mixup(mixer=mixer, num_classes=2, label_smoothing=0.0)
    mixup.mix.progress = 0.5
    assert mixup(_who(2), torch.arange(2))[1].tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_a_mixer_that_looks_through_a_model_is_given_it() -> None:
    mixup = Mixup(mixer=SnapMix(), num_classes=4, seed=0)
    images, labels = torch.rand(4, 3, 16, 16), torch.arange(4)
    with pytest.raises(ValueError, match="model"):
        mixup(images, labels)
    conv = torch.nn.Conv2d(3, 4, 3)
    model = torch.nn.Sequential(
        conv, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, 4)
    )
    assert mixup(images, labels, model=model)[1].shape == (4, 4)


def test_it_shows_and_keeps_its_settings() -> None:
    mixup = Mixup(0.8, 1.0, None, 0.9, 0.4, "elem", False, 0.0, 7, seed=1)
    assert (mixup.mixup_alpha, mixup.cutmix_alpha, mixup.cutmix_minmax) == (0.8, 1.0, None)
    assert (mixup.mix_prob, mixup.switch_prob, mixup.mode) == (0.9, 0.4, "elem")
    assert (mixup.correct_lam, mixup.label_smoothing, mixup.num_classes) == (False, 0.0, 7)
    assert Mixup(cutmix_minmax=[0.2, 0.8]).cutmix_alpha == 1.0  # as timm forces it
    with pytest.raises(AttributeError, match=r"mode stays as it was made.*mixup_enabled"):
        mixup.mode = "batch"
    assert repr(mixup).startswith("Mixup(mixer=Sometimes(")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mixup_alpha": -1}, "mixup_alpha is -1; expected a finite number at least 0"),
        ({"cutmix_alpha": float("nan")}, "cutmix_alpha is nan"),
        ({"mixup_alpha": 0.0}, "expected one of them to turn a method on"),
        ({"cutmix_minmax": (0.5,)}, r"cutmix_minmax is \(0.5,\); expected two numbers"),
        ({"cutmix_minmax": (0.8, 0.2)}, r"expected \(low, high\) with low <= high"),
        ({"cutmix_minmax": (0.2, 1.5)}, "cutmix_minmax is 1.5; .* at most 1"),
        ({"prob": 1.5}, "prob is 1.5; expected a finite number at least 0 and at most 1"),
        ({"switch_prob": -0.1}, "switch_prob is -0.1"),
        ({"mode": "element"}, "mode is 'element'; expected one of 'batch', 'pair', 'elem'"),
        ({"mode": "half"}, r"mode is 'half'; expected one of 'batch', 'pair', 'elem'\."),
        ({"label_smoothing": 2}, "label_smoothing is 2"),
        ({"num_classes": 0}, "num_classes is 0; expected a whole number, at least 1"),
        ({"num_classes": 10.5}, "num_classes is 10.5; expected a whole number"),
        ({"multi_label": 1}, "multi_label is 1; expected True or False"),
        ({"mixer": CutMix}, r"mixer is .*Make an object of it: CutMix\(\.\.\.\)"),
        ({"mixer": CutMix(), "mixup_alpha": 0.8}, r"mixup_alpha is 0.8 and mixer is CutMix\("),
        ({"mixer": CutMix(), "cutmix_alpha": 1.0}, "cutmix_alpha is 1.0 and mixer is"),
        ({"mixer": CutMix(), "cutmix_minmax": (0.2, 0.8)}, "cutmix_(alpha|minmax) is"),
        ({"mixer": CutMix(), "switch_prob": 0.4}, "switch_prob is 0.4 and mixer is"),
        ({"mixer": CutMix(), "correct_lam": False}, "correct_lam is False and mixer is"),
        ({"mixer": CutMix(), "mode": "pair"}, "mode is 'pair' and mixer is"),
    ],
)
def test_bad_arguments_are_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"Mixup: .*{words}"):
        Mixup(**settings)


def test_a_mixer_stands_beside_alphas_that_are_off() -> None:
    # A training script hands all its flags over, of which timm's are 0 by default.
    assert Mixup(0.0, 0.0, mixer=CutMix()).mix.mixer == CutMix()


@pytest.mark.parametrize(
    ("labels", "settings", "words"),
    [
        (torch.eye(4), {}, r"shape \(4, 4\); expected class indices .*multi_label=True"),
        (torch.arange(4), {"multi_label": True}, r"expected multi-hot labels \(B, 4\)"),
        (torch.zeros(4, 5), {"multi_label": True}, r"expected multi-hot labels \(B, 4\)"),
        (torch.arange(1, 5), {}, "labels run from 1 to 4; expected 0 to 3"),
    ],
)
def test_labels_of_another_kind_are_refused(
    labels: Tensor, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        _mixup(4, **settings)(_who(4), labels)


def test_class_indices_may_be_truth_values() -> None:
    mixup = _mixup(2)
    mixup.mixup_enabled = False
    assert mixup(_who(2), torch.tensor([True, False]))[1].tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_boxes_too_narrow_for_the_image_are_refused() -> None:
    mixup = Mixup(cutmix_minmax=(0.5, 0.55), mixup_alpha=0.0, num_classes=4)
    with pytest.raises(ValueError, match=r"of 8 pixels sides from 4 to below 4; expected at least"):
        mixup(_who(4), torch.arange(4))


# ---------------------------------------------------------------------- in the loader


def test_collating_mixes_bytes_and_rounds() -> None:
    samples = _rgb(0, 1, 100, 255)
    images, targets = FastCollateMixup(num_classes=4, label_smoothing=0.0, seed=2)(samples)
    lam = float(targets[0, 0])
    assert 0 < lam < 1
    levels = [0, 1, 100, 255]
    expected = [
        round(lam * level + (1 - lam) * other)
        for level, other in zip(levels, levels[::-1], strict=True)
    ]
    assert images.dtype == torch.uint8
    assert images[:, 0, 0, 0].tolist() == expected
    assert targets[1].tolist() == pytest.approx([0, lam, 1 - lam, 0])


@pytest.mark.parametrize(("count", "rows"), [(6, 3), (5, 3), (2, 1)])
@pytest.mark.parametrize("method", METHODS)
def test_a_half_batch_is_mixed_with_the_other_half(method: str, count: int, rows: int) -> None:
    samples = [(255 * image.byte(), k) for k, image in enumerate(_who(count))]
    collate = FastCollateMixup(
        **METHODS[method], mode="half", label_smoothing=0.0, num_classes=count, seed=0
    )
    images, targets = collate(samples)
    assert images.shape == (rows, count, 8, 8)
    torch.testing.assert_close(images.float().mean((2, 3)) / 255, targets, atol=2e-3, rtol=0)
    own = torch.eye(count, dtype=torch.bool)
    assert (targets[~(own | own.flip(0))[:rows]] == 0).all()
    if count == 6:
        assert len(targets.diagonal().unique()) == 3
    collate.mixup_enabled = False
    images, targets = collate(samples)
    assert torch.equal(images, torch.stack([image for image, _ in samples[:rows]]))
    assert torch.equal(targets, torch.eye(count)[:rows])


@pytest.mark.parametrize("mode", ["batch", "pair", "elem", "half"])
def test_a_batch_of_one_meets_itself(mode: Any) -> None:
    images, targets = FastCollateMixup(0.8, 1.0, mode=mode, num_classes=1, seed=0)(_rgb(77))
    assert (images == 77).all()
    assert images.shape == (1, 3, 4, 4)
    assert targets.tolist() == [[1.0]]


@pytest.mark.parametrize("mode", ["batch", "pair", "elem", "half"])
def test_arrays_of_the_data_set_are_not_written(mode: Any) -> None:
    arrays = [np.full((3, 8, 8), 60 * k, dtype=np.uint8) for k in range(4)]
    samples = [(array, np.int64(k)) for k, array in enumerate(arrays)]
    collate = FastCollateMixup(0.0, 1.0, mode=mode, num_classes=4, seed=0)
    images, _ = collate(samples)
    assert all((array == 60 * k).all() for k, array in enumerate(arrays))
    assert not torch.equal(images[0], torch.from_numpy(arrays[0]))


def test_collating_takes_multi_hot_labels_and_goes_on_smoothing_them_when_off() -> None:
    samples = [(image, torch.tensor([1, 0])) for image, _ in _rgb(0, 0, 0)]
    collate = FastCollateMixup(num_classes=2, multi_label=True, label_smoothing=0.2)
    for enabled in (True, False):
        collate.mixup_enabled = enabled
        torch.testing.assert_close(collate(samples)[1], torch.tensor([[0.9, 0.1]] * 3))


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([(torch.rand(3, 4, 4), 0)] * 2, "images have dtype torch.float32; expected uint8"),
        (
            [torch.zeros(3, 4, 4, dtype=torch.uint8)],
            "a sample is a Tensor of shape .*; expected a pair",
        ),
        ([{"image": torch.zeros(3, 4, 4, dtype=torch.uint8), "label": 0}], "sample is a dict"),
        ([], "no samples"),
        ([(torch.zeros(3, 4, 4, dtype=torch.uint8), 7)] * 2, "labels run from 7 to 7"),
        ([(torch.zeros(3, 4, 4, dtype=torch.uint8), [0.0, 1.0])] * 2, "expected class indices"),
    ],
)
def test_other_samples_are_refused(samples: list[Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FastCollateMixup(num_classes=2)(samples)


def test_collating_by_a_mixer_that_needs_a_model_is_refused_with_the_way_that_works() -> None:
    collate = FastCollateMixup(mixer=PuzzleMix(), num_classes=2)
    samples = [(torch.zeros(3, 16, 16, dtype=torch.uint8), k) for k in (0, 1)]
    with pytest.raises(ValueError, match=r"A collate function has no model: mix in the training"):
        collate(samples)


def test_an_epoch_that_is_told_repeats_its_draws() -> None:
    collate = FastCollateMixup(mode="elem", num_classes=4, seed=1)
    drawn = []
    for epoch in (0, 1, 0):
        collate.mix.set_epoch(epoch)
        drawn.append(torch.stack([collate(_rgb(0, 9, 50, 200))[1] for _ in range(2)]))
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0][0], drawn[0][1])


def _targets(loader: DataLoader[Any]) -> list[list[float]]:
    return [row for _, targets in loader for row in targets.tolist()]


@pytest.mark.parametrize(("context", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_differ_and_the_switch_reaches_those_that_run(context: str, workers: int) -> None:
    if context not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {context} here")
    collate = FastCollateMixup(num_classes=2, label_smoothing=0.0, seed=1)
    loader = DataLoader(
        _rgb(0, 255) * 4,  # pyright: ignore
        batch_size=2,
        num_workers=workers,
        persistent_workers=True,
        collate_fn=collate,
        multiprocessing_context=context,
        generator=stream(3),
    )
    mixed = _targets(loader)
    assert len({row[0] for row in mixed[::2]}) == 4
    collate.mixup_enabled = False
    assert _targets(loader) == [[1.0, 0.0], [0.0, 1.0]] * 4
    collate.mixup_enabled = True
    assert len({row[0] for row in _targets(loader)[::2]}) == 4


def test_copies_are_collates_too() -> None:
    collate = FastCollateMixup(num_classes=4, seed=1)
    for other in (pickle.loads(pickle.dumps(collate)), copy.copy(collate), copy.deepcopy(collate)):
        assert type(other) is FastCollateMixup
        assert isinstance(other, FastCollateMixup)
        assert other.mode == "batch"
    other = pickle.loads(pickle.dumps(collate))
    assert torch.equal(other(_rgb(0, 9, 50, 200))[0], collate(_rgb(0, 9, 50, 200))[0])
