"""The learning rate against values worked out by hand."""

import math

import pytest

from mixwright.lab.training.schedule import learning_rate


def test_hand_values():
    # 12 steps, 4 of warm-up, then 8 of cosine from 0.8 to 0.2: its middle is 0.5.
    run = {"step": 1 / 12, "warmup": 4 / 12, "highest": 0.8, "lowest": 0.2}
    rates = [learning_rate(s / 12, **run) for s in range(12)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8])
    assert rates[8] == pytest.approx(0.5)
    assert rates[6] == pytest.approx(0.2 + 0.6 * (1 + math.sqrt(0.5)) / 2)
    assert rates[10] == pytest.approx(0.2 + 0.6 * (1 - math.sqrt(0.5)) / 2)
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[-1] > 0.2


def test_without_warm_up_the_first_step_has_the_highest_rate():
    assert learning_rate(0.0, step=0.2, highest=0.3) == 0.3


def test_fractions_of_a_step_of_warm_up():
    rates = [learning_rate(s / 10, step=0.1, warmup=0.25, highest=1.0) for s in range(4)]
    assert rates[:2] == pytest.approx([0.4, 0.8])
    assert rates[2] == pytest.approx(1.0)  # between the end of the warm-up and the cosine
    assert rates[3] == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.5 / 7.5)))


def test_a_run_that_only_warms_up():
    rates = [learning_rate(s / 4, step=0.25, warmup=1.0, highest=1.0) for s in range(4)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0])


@pytest.mark.parametrize("steps", [7, 11, 30, 49, 103])
def test_rounding_of_shares_leaves_no_jump(steps):
    """The last step of the warm-up has the highest rate on either side of a rounding error."""
    for warmup in range(1, steps):
        run = {"step": 1 / steps, "warmup": warmup / steps, "highest": 0.7, "lowest": 0.1}
        assert learning_rate((warmup - 1) / steps, **run) == pytest.approx(0.7)
        assert learning_rate(warmup / steps, **run) == pytest.approx(0.7)


def test_a_finer_step_follows_the_same_curve():
    """When data grows, an epoch has more steps; the rate at a place of the cosine stays."""
    rates = [learning_rate(0.6, step=1 / n, warmup=0.1, highest=1.0) for n in (10, 20, 400)]
    assert rates[0] == rates[1] == rates[2]
