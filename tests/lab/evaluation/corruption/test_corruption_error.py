"""Means over types and severities, by every convention, with known answers."""

from __future__ import annotations

import pytest

from mixwright.lab.evaluation.corruption.constants import BENCHMARK_TYPES, FAMILIES, TYPES
from mixwright.lab.evaluation.corruption.corruption_error import (
    ALEXNET_CLEAN_ERROR,
    ALEXNET_ERROR,
    corruption_errors,
    family_accuracy,
    mean_accuracy,
    mean_corruption_error,
    relative_corruption_errors,
)


def table() -> dict[str, list[float]]:
    return {name: [0.9 - 0.01 * k - 0.05 * s for s in range(5)] for k, name in enumerate(TYPES)}


def test_alexnet_is_the_unit_whatever_the_order_of_types() -> None:
    alexnet = {name: [1 - error] * 5 for name, error in reversed(ALEXNET_ERROR.items())}
    errors = corruption_errors(alexnet)
    assert list(errors) == list(BENCHMARK_TYPES)
    assert sum(errors.values()) / 15 == pytest.approx(1.0, abs=1e-12)
    relative = relative_corruption_errors(alexnet, clean=1 - ALEXNET_CLEAN_ERROR)
    assert list(relative.values()) == pytest.approx([1.0] * 15)


def test_alexnet_is_keyed_by_name() -> None:
    assert set(ALEXNET_ERROR) == set(BENCHMARK_TYPES)
    assert ALEXNET_ERROR["brightness"] == 0.564592
    assert ALEXNET_ERROR["impulse_noise"] == 0.922640
    assert ALEXNET_ERROR["jpeg_compression"] == 0.606500
    half = {name: [0.5] * 5 for name in TYPES} | {"fog": [0.2, 0.4, 0.1, 0.3, 0.0]}
    assert corruption_errors(half)["fog"] == pytest.approx(4.0 / (5 * 0.819324))


def test_mean_accuracy_and_error_add_up() -> None:
    for types in (None, BENCHMARK_TYPES, ("fog",)):
        both = mean_accuracy(table(), types) + mean_corruption_error(table(), types)
        assert both == pytest.approx(1.0, abs=1e-12)


def test_means_are_over_all_images_together() -> None:
    everything = [value for values in table().values() for value in values]
    assert mean_accuracy(table()) == pytest.approx(sum(everything) / 95)
    fifteen = [value for name in BENCHMARK_TYPES for value in table()[name]]
    assert mean_accuracy(table(), BENCHMARK_TYPES) == pytest.approx(sum(fifteen) / 75)


def test_families() -> None:
    assert sorted(TYPES) == sorted({name for names in FAMILIES.values() for name in names})
    assert len(TYPES) == 19
    assert set(TYPES) - set(BENCHMARK_TYPES) == {
        "speckle_noise", "gaussian_blur", "spatter", "saturate"
    }  # fmt: skip
    found = family_accuracy(table())
    assert found["noise"] == pytest.approx(0.8 - 0.01)
    weights = {family: len(names) for family, names in FAMILIES.items()}
    mean = sum(found[family] * weights[family] for family in found) / 19
    assert mean == pytest.approx(mean_accuracy(table()))
    assert list(family_accuracy({"fog": [1.0], "contrast": [1.0]})) == []


def test_what_was_not_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="snow asked for, but the table has fog"):
        mean_accuracy({"fog": [0.5]}, ["fog", "snow"])
    with pytest.raises(ValueError, match="nothing asked for"):
        mean_accuracy({})
    short = table() | {"snow": [0.5] * 4}
    with pytest.raises(ValueError, match="snow not measured at all five"):
        corruption_errors(short)
