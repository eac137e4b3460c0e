"""Turns, their order, and what is made of them, by clocks that tell what we say."""

from __future__ import annotations

import pytest
import torch

from mixwright.bench.timing import Timing, in_turn, timer_for, wall


def test_candidates_take_turns_in_every_round():
    seen = []
    calls = [lambda name=name: seen.append(name) for name in "abc"]

    def timer(call):
        call()
        return 1.0  # long calls: no untimed one before

    turns = in_turn(calls, timer=timer, warm_up=2, rounds=3)
    assert "".join(seen) == "abc" * 5
    assert turns == [[1.0] * 3] * 3


def test_short_calls_are_made_once_untimed_before_their_turn():
    seen = []
    timed = []

    def timer(call):
        timed.append(call())
        return 0.001

    in_turn([lambda: seen.append(0)], timer=timer, warm_up=1, rounds=4)
    assert (len(seen), len(timed)) == (1 + 2 * 4, 1 + 4)


@pytest.mark.parametrize(
    ("each", "rounds"),
    [(1.0, 15), (100.0, 10), (0.02, 300), (0.005, 300)],  # 30 s of two calls, 10 to 300 rounds
)
def test_rounds_fill_the_time(each, rounds):
    turns = in_turn([int, int], timer=lambda call: each, warm_up=1, rounds=None)
    assert [len(one) for one in turns] == [rounds, rounds]


def test_timing_sums_up_turns():
    seconds = [5.0, 1.0, 2.0, 4.0, 3.0]
    assert Timing.of(seconds) == Timing(least=1.0, median=3.0, spread=3.0, turns=5)
    assert Timing.of([2.0]) == Timing(least=2.0, median=2.0, spread=0.0, turns=1)


def test_the_wall_clock_makes_the_call():
    made = []
    assert wall(lambda: made.append(1)) >= 0
    assert made == [1]
    assert timer_for(torch.device("cpu")) is wall
