"""What the analysis makes of theory: errors over draws, closed forms, filters, designs."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from lab.reports.pages import made_group
from mixwright.lab.analysis import decomposition, design, first_layer, moments
from mixwright.lab.analysis.findings import Group

CLOSED = torch.tensor([[0.1, 0.2, 0.1], [0.2, 0.3, 0.2], [0.1, 0.2, 0.1]])


def drawn(a0_error: float | None, deviation: float | None) -> dict[str, Any]:
    closed = {"mean": 0.1, "a0": 0.3, "deviation": deviation, "rule": "x"}
    return {"a0_error": a0_error, "mean_error": 0.06, "closed": closed}


def maps(value: float) -> dict[str, torch.Tensor]:
    return {
        "a": torch.full((3, 3), value),
        "diagonal": torch.full((2, 2), 2 * value),
        "closed": CLOSED,
    }


def test_moments_of_draws_are_joined() -> None:
    group = made_group("mixup", "", [drawn(0.03, 1.5), drawn(0.04, 1.25)], [maps(0.25), maps(0.75)])
    found, arrays = moments.analyse([group])
    own = found.methods["mixup"]
    # sqrt(0.03**2 + 0.04**2) / 2 and sqrt(2 * 0.06**2) / 2.
    assert own.a0_error == pytest.approx(0.025)
    assert own.mean_error == pytest.approx(0.06 / math.sqrt(2))
    assert own.deviation == 1.5
    # Around the middle lie four of 0.1 and four of 0.2.
    assert own.closed_profile == pytest.approx((0.3, 0.15))
    assert arrays["mixup/a"].tolist() == [[0.5] * 3] * 3
    assert arrays["mixup/diagonal"].tolist() == [[1.0] * 2] * 2


def test_moments_without_error_closed_form_or_arrays() -> None:
    single = {"a0_error": None, "mean_error": math.nan, "closed": None}
    groups = [made_group("none", "", [single]), made_group("mixup", "", [drawn(0.1, None)])]
    found, arrays = moments.analyse(groups)
    none, mixup = found.methods.values()
    assert math.isnan(none.a0_error)
    assert math.isnan(none.mean_error)
    assert math.isnan(none.deviation)
    assert math.isnan(mixup.deviation)
    assert none.closed_profile == mixup.closed_profile == ()
    assert arrays == {}


def expanded(mixed: float, remainder: float, error: float | None) -> dict[str, Any]:
    terms = {"plain": 1.0, "mixed": mixed, "remainder": remainder}
    return terms | {f"{name}_error": error for name in ("mixed", *decomposition.TERMS)}


def test_the_expansion_explains_all_but_the_remainder() -> None:
    group = made_group("mixup", "", [expanded(1.5, 0.15, 0.3), expanded(1.7, 0.09, 0.4)])
    found, arrays = decomposition.analyse([group])
    own = found.methods["mixup"]
    assert own.added == pytest.approx(0.6)
    assert own.explained == pytest.approx(0.8)  # 0.48 of 0.6
    assert own.errors == pytest.approx(dict.fromkeys(("mixed", *decomposition.TERMS), 0.25))
    assert arrays == {}


def test_where_nothing_is_added_nothing_is_explained() -> None:
    found, _ = decomposition.analyse([made_group("none", "", [expanded(1.0, 0.0, None)])])
    assert found.methods["none"].added == 0
    assert math.isnan(found.methods["none"].explained)
    assert all(math.isnan(error) for error in found.methods["none"].errors.values())


def test_filters_feel_from_least_to_most() -> None:
    group: Group = made_group("mixup", "", [{"coefficient": [0.4, 0.1, 0.3, 0.2]}])
    found, arrays = first_layer.analyse([group])
    own = found.methods["mixup"]
    assert (own.least, own.median, own.most) == (0.1, 0.2, 0.4)  # of the middle two the lower
    assert arrays == {}


def test_designs_keep_their_maps() -> None:
    kept = {name: torch.ones(1, dtype=torch.float64) for name in ("wanted", "achieved", "samples")}
    groups = [
        made_group("near", "", [{}], [kept | {"error": torch.ones(1)}]),
        made_group("far", "", [{}]),
    ]
    found, arrays = design.analyse(groups)
    assert found is None
    assert [*arrays] == ["near/wanted", "near/achieved", "near/samples"]
