"""Turns, their order, and what is made of them, by clocks that read what we set."""

from __future__ import annotations

import pytest
import torch

from mixwright.lab.bench.timing import Timing, in_turn, part_timer_for, timer_for, wall


def test_calls_take_turns_in_every_round():
    seen = []
    calls = [lambda name=name: seen.append(name) for name in "abc"]

    def timer(call):
        call()
        return 1.0  # long calls: no untimed one before

    turns = in_turn(calls, timer=timer, warm_up=2, rounds=3)
    assert "".join(seen) == "abc" * 5
    assert turns == [[1.0] * 3] * 3


def test_the_warm_up_does_not_count():
    read = iter([50.0, 60.0, 50.0, 60.0, 1.0, 2.0, 3.0, 4.0])
    turns = in_turn([int, str], timer=lambda call: next(read), warm_up=2, rounds=2)
    assert turns == [[1.0, 3.0], [2.0, 4.0]]


def test_short_calls_are_made_once_untimed_before_their_turn():
    seen = []
    timed = []

    def timer(call):
        timed.append(call())
        return 0.001

    in_turn([lambda: seen.append(0)], timer=timer, warm_up=1, rounds=4)
    assert (len(seen), len(timed)) == (1 + 2 * 4, 1 + 4)


def test_brief_calls_are_made_several_times_a_turn_and_no_time_more():
    made = {"brief": 0, "longer": 0, "long": 0}
    takes = {"brief": 0.0019, "longer": 0.002, "long": 0.01}

    def call(name):
        made[name] += 1
        return name

    def timer(one):
        before = dict(made)
        name = one()
        return takes[name] * (made[name] - before[name])

    calls = [lambda name=name: call(name) for name in made]
    turns = in_turn(calls, timer=timer, warm_up=1, rounds=2, at_once=5)
    assert made == {"brief": 1 + 2 * 5, "longer": 1 + 2 * 2, "long": 1 + 2}
    assert turns == [[pytest.approx(seconds)] * 2 for seconds in takes.values()]


@pytest.mark.parametrize(
    ("each", "rounds"),
    [(1.0, 15), (100.0, 10), (0.02, 300), (0.005, 300)],  # 30 s of two calls, 10 to 300 rounds
)
def test_rounds_fill_the_time(each, rounds):
    turns = in_turn([int, int], timer=lambda call: each, warm_up=1, rounds=None)
    assert [len(seconds) for seconds in turns] == [rounds, rounds]


def test_timing_sums_up_turns():
    seconds = [10.0, 1.0, 2.0, 4.0, 3.0]
    wanted = Timing(least=1.0, median=3.0, mean=4.0, spread=5.5, turns=5)
    assert Timing.of(seconds) == wanted
    assert Timing.of([2.0]) == Timing(least=2.0, median=2.0, mean=2.0, spread=0.0, turns=1)


def test_the_wall_clock_makes_the_call():
    made = []
    assert wall(lambda: made.append(1)) >= 0
    assert made == [1]
    assert timer_for(torch.device("cpu")) is wall


def test_a_part_of_a_call_is_timed_by_the_same_timer():
    made = []

    def timer(call):
        call()
        return 0.25

    seconds = part_timer_for(torch.device("cpu"), timer)(lambda: made.append(1))
    assert made == [1]
    assert seconds() == 0.25


def test_on_cuda_a_part_is_read_when_all_is_done(monkeypatch):
    events = []

    class Event:
        def __init__(self, *, enable_timing):
            assert enable_timing

        def record(self, stream):
            events.append("mark")

        def elapsed_time(self, end):
            events.append("read")
            return 250.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: events.append("wait"))
    seconds = part_timer_for(torch.device("cuda"), wall)(lambda: events.append("call"))
    assert events == ["mark", "call", "mark"]
    assert seconds() == 0.25
