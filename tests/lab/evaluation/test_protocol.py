"""One accuracy of a run from those of its epochs."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from mixwright.lab.evaluation.protocol import PROTOCOLS, protocol_score, run_protocols


def rising(last: int, first: int = 1) -> dict[int, float]:
    return {epoch: epoch / 100 for epoch in range(first, last + 1)}


def test_known_answers() -> None:
    assert protocol_score(rising(89), epochs=89).value == pytest.approx(0.845)  # of 80 to 89
    old = protocol_score(rising(89), epochs=89, protocol="median11_compat")
    assert old.value == pytest.approx(0.84)  # of 79 to 89
    assert (len(old.epochs), old.asked) == (11, 11)
    final = protocol_score(rising(89), epochs=89, protocol="final")
    assert (final.value, final.epochs) == (0.89, (89,))
    best = protocol_score({**rising(89), 7: 0.99, 9: 0.99}, epochs=89, protocol="best")
    assert (best.value, best.epochs) == (0.99, (7,))
    # Only epochs 2 and 3 have validation images; epoch 1, the best on test images, is no choice.
    scores, validated = {1: 0.9, 2: 0.5, 3: 0.6}, {2: 0.1, 3: 0.2}
    best = protocol_score(scores, epochs=3, protocol="best", chosen_by=validated)
    assert (best.value, best.epochs) == (0.6, (3,))
    assert [protocol_score(rising(89), epochs=89, protocol=one).note for one in PROTOCOLS] == [
        "", "", "", "",
    ]  # fmt: skip


def test_a_median_does_not_ask_for_the_order() -> None:
    values = [0.8, 0.1, 0.9, 0.3, 0.7, 0.2, 0.6, 0.5, 0.4, 0.85]
    scores = dict(enumerate(values, start=11))
    assert protocol_score({**rising(10), **scores}, epochs=20).value == statistics.median(values)


def test_what_is_missing_is_said() -> None:
    short = protocol_score(rising(4), epochs=4)
    assert (short.value, short.epochs) == (0.025, (1, 2, 3, 4))
    assert short.note == "the run has 4 epochs"
    sparse = protocol_score({12: 0.5, 15: 0.6, 18: 0.7}, epochs=20)
    assert (sparse.value, sparse.epochs) == (0.6, (12, 15, 18))
    assert sparse.note == "3 of the last 10 were evaluated"
    both = protocol_score({3: 0.5, 6: 0.7}, epochs=6)
    assert both.note == "the run has 6 epochs, and 2 of the last 6 were evaluated"


@pytest.mark.parametrize(
    ("scores", "epochs", "protocol", "message"),
    [
        ({1: 0.5}, 20, "median10", "none of the last 10 of 20"),
        ({19: 0.5}, 20, "final", "none of the last 1 of 20"),
        ({21: 0.5}, 20, "final", "epoch 21 in a run of 20"),
        ({1: 0.5}, 1, "mean", "protocol is 'mean'"),
    ],
)
def test_bad_arguments(scores: Any, epochs: int, protocol: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        protocol_score(scores, epochs=epochs, protocol=protocol)


def lines(epochs: int, every: int = 1, *, top5: bool = True) -> list[dict[str, Any]]:
    made = []
    for epoch in range(1, epochs + 1):
        test = {
            column: {"top1": (epoch + shift) / 100, "top5": 1 - epoch / 100 if top5 else None}
            for column, shift in (("raw", 0), ("ema", 5))
        }
        made.append({"epoch": epoch, "test": test if epoch % every == 0 else None})
    return made


def test_columns_of_a_run_and_their_own_medians_of_top5() -> None:
    found = run_protocols(lines(20))
    assert set(found) == {"raw", "ema"}
    assert found["raw"]["median10"]["top1"] == pytest.approx(0.155)
    assert found["ema"]["median10"]["top1"] == pytest.approx(0.205)
    # Top-5 falls here while top-1 rises: each has its own best epoch and its own median.
    assert found["raw"]["best"]["top5"] == pytest.approx(0.99)
    assert found["raw"]["best"]["epochs"] == [20]
    assert found["raw"]["median10"]["top5"] == pytest.approx(0.845)
    assert found["raw"]["median11_compat"]["epochs"] == list(range(10, 21))
    assert run_protocols(lines(20, top5=False))["raw"]["final"]["top5"] is None
    assert run_protocols([]) == {}
    assert set(run_protocols(lines(25, every=20))["raw"]) == {"median10", "median11_compat", "best"}
    assert run_protocols(lines(4, every=2))["raw"]["median10"]["note"].startswith("the run has 4")
