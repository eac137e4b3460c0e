"""The ratio of two near-far ratios and its interval over images; maps and profiles."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lab.reports.pages import made_group
from mixwright.lab.analysis.findings import Group
from mixwright.lab.analysis.gradients import (
    InputGradients,
    analyse,
    profile_half_widths,
    relative_near_far,
    relative_near_far_of_runs,
)
from mixwright.sampling import stream


def images(seed: int, count: int = 400) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    near = 1 + 0.3 * torch.rand(count, generator=generator)
    return near, near * (0.4 + 0.2 * torch.rand(count, generator=generator))


def test_a_model_beside_itself_is_one_and_sure() -> None:
    found = relative_near_far(images(0), images(0), generator=stream(0))
    assert found.mean == pytest.approx(1.0)
    assert found.low == pytest.approx(1.0)
    assert found.high == pytest.approx(1.0)


def test_it_is_the_ratio_of_ratios_of_means() -> None:
    (near, far), (base_near, base_far) = images(0), images(1)
    expected = float(near.mean() / far.mean() / (base_near.mean() / base_far.mean()))
    found = relative_near_far(images(0), images(1), generator=stream(0))
    assert found.mean == pytest.approx(expected)
    assert found.low < expected < found.high
    assert found.count == 400


def test_its_spread_is_that_of_the_delta_method() -> None:
    (near, far), (base_near, base_far) = images(0), images(1)
    columns = [one.double() for one in (near, far, base_near, base_far)]
    signs = (1, -1, -1, 1)
    moved = sum(
        sign * (one - one.mean()) / one.mean() for sign, one in zip(signs, columns, strict=True)
    )
    found = relative_near_far(images(0), images(1), generator=stream(0))
    assert isinstance(moved, Tensor)
    error = float(moved.std()) / 400**0.5 * found.mean
    assert found.deviation == pytest.approx(error, rel=0.1)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_images_must_be_the_same() -> None:
    with pytest.raises(ValueError, match="on the same images"):
        relative_near_far(images(0), images(1, 399), generator=stream(0))


def test_runs_are_averaged_image_by_image_first() -> None:
    own = [
        {"near": torch.tensor([1.0, 3.0]), "far": torch.ones(2)},
        {"near": torch.tensor([3.0, 5.0]), "far": torch.ones(2)},
    ]
    other = [{"near": torch.tensor([2.0, 2.0]), "far": torch.tensor([1.0, 3.0])}] * 2
    found = relative_near_far_of_runs(own, other, generator=stream(0))
    assert found is not None
    assert found.mean == pytest.approx(3.0)  # mean near 2 and 4, far 1; the other's ratio is 1
    assert found.count == 2


def test_runs_of_other_images_have_no_ratio() -> None:
    near, far = images(0, 5)
    five, four = {"near": near, "far": far}, {"near": near[:4], "far": far[:4]}
    one = {"near": near[:1], "far": far[:1]}
    for own, other in (([five], [four]), ([one], [one]), ([], [])):
        assert relative_near_far_of_runs(own, other, generator=stream(0)) is None


def test_half_widths_of_a_profile() -> None:
    profiles = torch.tensor([[1.0, 5.0], [3.0, 5.0], [100.0, 0.0]])
    found = profile_half_widths(profiles, torch.tensor([True, True, False]))
    assert found == pytest.approx([1.96, 0.0])  # deviation sqrt(2) over sqrt(2) images
    assert profile_half_widths(profiles[:1], torch.tensor([True])) is None


def run(near: list[float], far: list[float], middle: float) -> dict[str, Tensor]:
    return {
        "near": torch.tensor(near),
        "far": torch.tensor(far),
        "profiles": torch.tensor([[1.0, 0.5], [1.0, 0.7], [9.0, 9.0]]),
        "used": torch.tensor([True, True, False]),
        "mean": torch.tensor([[2.0, middle, 4.0]]),
        "highest": torch.tensor([[0.0, 8.0, 2.0]]),
    }


def group(name: str, *runs: dict[str, Tensor]) -> Group:
    summaries = [{"profile_mean": [1.0, 0.6]} for _ in runs]
    return made_group(name, "", summaries, runs, baseline=name == "none")


def test_ratios_are_set_against_the_baseline_and_maps_averaged() -> None:
    found, maps = analyse(
        [
            group("none", run([2.0, 2.0], [2.0, 2.0], 2.0)),
            group("mixup", run([2.0, 4.0], [1.0, 1.0], 4.0), run([50.0, 9.0], [1.0, 1.0], 8.0)),
        ]
    )
    # The baseline has the first seed alone: 3 / 1 to 2 / 2; single images give 2 and 4.
    assert list(found.relative) == ["mixup"]
    ratio = found.relative["mixup"]
    assert (ratio.mean, ratio.low, ratio.high) == pytest.approx((3.0, 2.0, 4.0))
    # (0.5 + 0.25) / 2 and (1 + 0.5) / 2; what is highest is the same in both runs.
    assert maps["mixup/mean"].tolist() == [[0.375, 1.0, 0.75]]
    assert maps["mixup/highest"].tolist() == [[0.0, 1.0, 0.25]]
    # Deviation 0.1 sqrt(2) over sqrt(2) images.
    assert list(found.over_images) == ["none"]
    first, second = found.over_images["none"]
    assert (first.low, first.mean, first.high) == (1.0, 1.0, 1.0)
    assert (second.low, second.mean, second.high) == pytest.approx((0.404, 0.6, 0.796))
    assert second.count == 2


def test_without_arrays_there_is_nothing_to_compare() -> None:
    bare = [
        made_group(name, "", [{"profile_mean": [1.0]}], baseline=name == "none")
        for name in ("none", "mixup")
    ]
    assert analyse(bare) == (InputGradients(), {})
