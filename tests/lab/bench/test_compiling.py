"""Mixers measured compiled, beside themselves."""

from __future__ import annotations

import pytest
import torch

from lab.bench.clocks import TINY, counting
from mixwright.lab.bench import BenchRecord, run_bench
from mixwright.lab.bench.compiling import _first_sentence


@pytest.mark.usefixtures("no_peers")
def test_compiled_mixers_stand_beside_themselves(monkeypatch):
    monkeypatch.setattr("mixwright.lab.bench.run.WARM_UP", 1)
    compiled = []
    true_compile = torch.compile

    def noting(function, **settings):
        compiled.append(settings["backend"])
        return true_compile(function, **settings)

    monkeypatch.setattr(torch, "compile", noting)
    # Turns of all, then the first compiled call, then lerp, copy, as it is, and compiled.
    first = [9.0] * 7 + [2.0, 1.0, 6.0, 3.0, 4.0, 1.5, 8.0]
    clock = iter([*first, 30.0] + [9.0] * 4 + [4.0, 2.0, 5.0, 3.0])

    def timer(call):
        call()
        return next(clock)

    record = run_bench(["cutmix"], shapes=[TINY], rounds=1, compile="eager", timer=timer)
    (shape,) = record.shapes
    assert [row.part for row in shape.rows if row.name == "cutmix"][-2:] == [
        "with targets", "compiled",
    ]  # fmt: skip
    row = shape.rows[-1]
    assert (row.cold, row.time.median, row.units, row.times_eager) == (30.0, 3.0, 0.75, 0.6)
    assert (row.times_copy, row.budget) == (1.5, None)
    assert shape.rows[-2].time.median == 8.0
    assert shape.not_compiled == {}
    assert compiled == ["eager"]
    assert next(clock, None) is None


@pytest.mark.usefixtures("no_peers")
def test_what_does_not_compile_says_why_and_nothing_else_breaks(tmp_path):
    def refuse(graph, inputs):
        raise RuntimeError("no working C++ compiler found\n\nSet ... for more")

    name = "refusing"
    if name not in torch.compiler.list_backends(exclude_tags=()):
        torch._dynamo.register_backend(refuse, name=name)
    names, given = ["mixup", "cutmix"], {"shapes": [TINY], "rounds": 1, "timer": counting()}
    record = run_bench(names, compile=name, **given)
    (shape,) = record.shapes
    why = "RuntimeError: no working C++ compiler found"
    assert shape.not_compiled == dict.fromkeys(names, why)
    assert "compiled" not in {row.part for row in shape.rows}
    record.write(tmp_path / "bench.json")
    assert BenchRecord.read(tmp_path / "bench.json") == record


@pytest.mark.usefixtures("no_peers")
def test_a_wrong_backend_loses_nothing_that_was_measured():
    record = run_bench(["mixup"], shapes=[TINY], rounds=1, compile="nonsense", timer=counting())
    (shape,) = record.shapes
    assert shape.not_compiled["mixup"].startswith("Mix: compile is 'nonsense'; expected True")
    assert shape.rows[-1].part == "with targets"


def test_the_sentence_of_a_compiler_is_that_which_says_what_is_wrong():
    torn = "backend='inductor' raised:\nInvalidCxxCompiler: No working C++ compiler\n\nSet ...\n"
    assert _first_sentence(RuntimeError(torn)) == "InvalidCxxCompiler: No working C++ compiler"
    assert _first_sentence(RuntimeError()) == "RuntimeError"
