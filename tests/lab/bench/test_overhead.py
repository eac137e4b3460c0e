"""Overhead by pairs of blocks, on clocks that read what we set; and peaks of memory."""

from __future__ import annotations

import json
import random
import statistics
from functools import partial

import pytest
import torch

from mixwright.lab.bench import BenchRecord, run_bench
from mixwright.lab.bench.memory import peak_memory
from mixwright.lab.bench.overhead import Overhead, paired_overhead
from mixwright.lab.bench.steps import StepModel, TrainingStep, measure_steps
from mixwright.mixers import MixUp
from mixwright.objectives import Mixed


def test_a_method_that_takes_eleven_percent_longer():
    found = paired_overhead([1.11] * 200, [1.0] * 200)
    assert found.share == pytest.approx(0.11)
    assert (found.low, found.high) == (pytest.approx(0.11), pytest.approx(0.11))
    assert (found.pairs, found.rejected, found.steps) == (10, 0, 20)


def test_the_same_step_twice_has_no_overhead():
    covered = 0
    for seed in range(40):
        draw = random.Random(seed)
        own, plain = ([draw.uniform(0.95, 1.05) for _ in range(200)] for _ in range(2))
        found = paired_overhead(own, plain, seed=seed)
        covered += found.low <= 0 <= found.high
        assert abs(found.share) < 0.03
    assert covered >= 34  # of 40, 38 expected


def test_a_slowing_machine_changes_nothing():
    """Both steps get slower together, by a tenth from block to block."""
    plain = [1.1**block for block in range(10) for _ in range(3)]
    found = paired_overhead([1.25 * seconds for seconds in plain], plain, steps=3)
    assert found.share == pytest.approx(0.25)
    assert found.rejected == 0


def test_a_disturbed_pair_is_left_out_and_its_neighbours_stay():
    plain = [1.0] * 10
    own = [1.2] * 10
    plain[4], own[4] = 3.0, 1.2  # the vanilla block alone was hit
    found = paired_overhead(own, plain, steps=1)
    assert (found.pairs, found.rejected) == (9, 1)
    assert (found.share, found.low) == (pytest.approx(0.2), pytest.approx(0.2))
    for end in (0, 9):  # the first and the last have neighbours on one side only
        plain = [1.0] * 10
        plain[end] = 2.0
        assert paired_overhead(own, plain, steps=1).rejected == 1
    assert paired_overhead([1.2] * 3, [1.0, 1.14, 1.0], steps=1).rejected == 0


def test_blocks_are_medians_and_pairs_are_too():
    own = [2.0, 9.0, 2.0, 3.0, 3.0, 9.0, 4.0, 4.0, 4.0, 7.0]
    found = paired_overhead(own, [1.0] * 10, steps=3)  # the tenth turn is left over
    assert (found.share, found.pairs, found.steps) == (2.0, 3, 3)
    assert found.low == 1.0
    assert found.high == 3.0


@pytest.mark.parametrize(("turns", "steps"), [(5, 1), (19, 1), (30, 3), (200, 20), (900, 20)])
def test_length_of_blocks_follows_from_the_turns(turns, steps):
    assert paired_overhead([1.0] * turns, [1.0] * turns).steps == steps


def test_the_interval_is_a_bootstrap_over_pairs():
    draw = random.Random(1)
    ratios = [draw.uniform(1.0, 1.4) for _ in range(9)]
    found = paired_overhead(ratios, [1.0] * 9, steps=1)
    slow = sorted(statistics.median(draw.choices(ratios, k=9)) - 1 for _ in range(4000))
    assert found.low == pytest.approx(slow[100], abs=0.02)
    assert found.high == pytest.approx(slow[3900], abs=0.02)
    assert found == paired_overhead(ratios, [1.0] * 9, steps=1)


def test_of_an_even_number_of_pairs_the_two_in_the_middle_count():
    draw, ratios = random.Random(2), [float(ratio) for ratio in range(1, 11)]
    found = paired_overhead(ratios, [1.0] * 10, steps=1)
    slow = sorted(statistics.median(draw.choices(ratios, k=10)) - 1 for _ in range(20000))
    assert found.share == 4.5
    assert (found.low + found.high) / 2 == pytest.approx((slow[500] + slow[19500]) / 2, abs=0.26)
    assert found.low == pytest.approx(slow[500], abs=0.26)


def test_few_pairs_and_none():
    single = paired_overhead([1.5], [1.0])
    assert single == Overhead(share=0.5, low=None, high=None, pairs=1, rejected=0, steps=1)
    wild = paired_overhead([1.0] * 3, [1.0, 2.0, 4.0])
    assert wild == Overhead(share=None, low=None, high=None, pairs=0, rejected=3, steps=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: paired_overhead([1.0], [1.0, 1.0]), "1 and 2 turns"),
        (lambda: paired_overhead([], []), "0 and 0 turns"),
        (lambda: paired_overhead([1.0], [1.0], steps=2), "in blocks of 2"),
        (lambda: paired_overhead([1.0], [1.0], steps=0), "in blocks of 0"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_peak_is_of_the_call_alone():
    cpu = torch.device("cpu")
    if peak_memory(int, cpu) is None:
        pytest.skip("this system does not tell")
    large, small = 64 << 20, 1 << 20  # bytes

    def holding(count):
        return lambda: torch.ones(count // 4)

    rest = peak_memory(holding(small), cpu)
    most = peak_memory(holding(large), cpu)
    after = peak_memory(holding(small), cpu)
    assert most - rest == pytest.approx(large, rel=0.2)
    assert after < rest + large / 4  # the larger peak before is forgotten


def test_where_nobody_tells_the_call_is_made(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr("mixwright.lab.bench.memory._REFERENCES", tmp_path / "none" / "clear_refs")
    assert peak_memory(lambda: made.append(1), torch.device("cpu")) is None
    assert made == [1]


def test_training_steps_have_an_overhead_and_a_peak(tmp_path):
    def timer(call):
        call()
        return 1.11 if isinstance(call, TrainingStep) and call.timed_mixer is not None else 1.0

    record = measure_steps(
        {"mixup": partial(Mixed, MixUp())},
        device=torch.device("cpu"),
        timer=timer,
        rounds=5,
        model=StepModel("smallconv", (4, 3, 8, 8)),
    )
    none, mixup = record.rows
    assert none.overhead is None
    assert mixup.overhead.share == pytest.approx(0.11)
    assert (mixup.overhead.pairs, mixup.overhead.steps) == (5, 1)
    assert len(record.load) in (0, 2)
    assert (none.memory is None) == (mixup.memory is None)
    assert mixup.mixing.turns == 5  # the step whose peak was looked at is none of them
    whole = run_bench(["mixup"], shapes=[], training=True, rounds=2, timer=timer,
                      step_models=[StepModel("smallconv", (4, 3, 8, 8))])  # fmt: skip
    whole.write(tmp_path / "bench.json")
    assert BenchRecord.read(tmp_path / "bench.json") == whole
    # Older records have none of this.
    old = json.loads((tmp_path / "bench.json").read_text())
    for steps in old["steps"]:
        del steps["load"]
        for row in steps["rows"]:
            del row["overhead"], row["memory"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    assert BenchRecord.read(tmp_path / "old.json").steps[0].rows[1].overhead is None
