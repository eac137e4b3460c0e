"""The whole bench: every shape, the training step, and the record of both."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch

from mixwright import __version__
from mixwright.arguments import counted
from mixwright.lab.bench.benchmarks import default_mixers
from mixwright.lab.bench.budgets import LARGE, SMALL
from mixwright.lab.bench.mixing import measure_shape
from mixwright.lab.bench.record import BenchRecord, ShapeRecord, StepRecord
from mixwright.lab.bench.steps import (
    PRECISIONS,
    STEP_MODEL,
    MakeObjective,
    Precision,
    StepModel,
    measure_steps,
)
from mixwright.lab.bench.timing import Timer, timer_for
from mixwright.lab.training.machine import commit, machine
from mixwright.lab.training.pages import kept_pages
from mixwright.mixers import MIXERS
from mixwright.mixers.mixer import Mixer, check_mixer
from mixwright.objectives import OBJECTIVES
from mixwright.objectives.mixed import Mixed

WARM_UP = 3

# Steps of a method, not counted and counted. Accelerators load a kernel when it is first called,
# and PuzzleMix's four grids call different ones: the warm-up should draw all of them.
_STEPS, _STEPS_CUDA = (1, 5), (16, 50)


def run_bench(
    mixers: Mapping[str, Mixer] | Sequence[str] | None = None,
    *,
    shapes: Sequence[Sequence[int]] = (SMALL, LARGE),
    training: bool = False,
    objectives: Mapping[str, MakeObjective] | Sequence[str] | None = None,
    step_models: Sequence[StepModel] = (STEP_MODEL,),
    precisions: Sequence[Precision] = PRECISIONS,
    device: str | torch.device = "cpu",
    threads: int = 1,
    rounds: int | None = None,
    compile: bool | str = False,  # noqa: A002  the word of torch and its users
    timer: Timer | None = None,
    on_message: Callable[[str], None] | None = None,
) -> BenchRecord:
    """Measure how fast mixers are, beside a lerp, a copy, and other libraries.

    Args:
        mixers: by name, or names of ``MIXERS``; None for all of these, drawing per sample and
            per batch.
        shapes: of the batches, (B, C, H, W) each, B at least 2; may be empty.
        training: also measure training steps with the mixers and objectives, in those without
            mixing. Minutes a method on a CPU.
        objectives: for these steps: by name, callables that make them, or names of
            ``OBJECTIVES``; None for all of these if ``mixers`` is None too, else for none.
        step_models: networks that are trained, each with its batch; methods that refuse one are
            named in the record.
        precisions: arithmetic of these steps, one set of steps each.
        device: where to measure.
        threads: torch's, on the CPU, at least 1; set for the run only.
        rounds: turns of each benchmark, at least 1; None for 60 on (128, 3, 32, 32), about half a
            minute on other shapes (10 to 300 rounds), and 5 training steps, 50 on CUDA.
        compile: also measure ``Mix(mixer, compile=...)``, the first call and warm. Up to a minute a
            mixer and shape; graphs that this process had compiled are let go.
        timer: makes a call and gives its seconds; None for that of the device.
        on_message: called with what is measured next.

    Returns:
        The record.

    Raises:
        ValueError: a name is unknown, or a number or a shape is out of range.

    Example:
        >>> record = run_bench(["cutmix"], shapes=[(4, 3, 8, 8)], rounds=2)
        >>> [row.part for row in record.shapes[0].rows if row.name == "cutmix"]
        ['all', 'plan', 'apply', 'targets', 'with targets']
    """
    chosen = _chosen(mixers)
    learners = _learners(mixers, chosen, objectives)
    _check(shapes, threads=threads, rounds=rounds)
    where = torch.device(device)
    turn_timer = timer or timer_for(where)
    say = on_message or (lambda message: None)

    def steps_of(model: StepModel, precision: Precision) -> StepRecord:
        say(f"training steps of {model.name} in {precision}: {counted(len(learners), 'method')}")
        warm_up, usual = _STEPS_CUDA if where.type == "cuda" else _STEPS
        return measure_steps(
            learners, device=where, timer=turn_timer, warm_up=warm_up, rounds=rounds or usual,
            precision=precision, model=model,
        )  # fmt: skip

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        with kept_pages(where) as kept:
            records: list[ShapeRecord] = []
            libraries: dict[str, str] = {}
            with torch.random.fork_rng(devices=[]):  # peers draw from the global generator
                for shape in shapes:
                    also = "" if compile is False else ", then compiled"
                    say(f"{len(chosen)} mixers on {tuple(shape)}{also}")
                    record, libraries = measure_shape(
                        chosen, shape, device=where, timer=turn_timer, warm_up=WARM_UP,
                        rounds=rounds, backend=compile,
                    )  # fmt: skip
                    records.append(record)
            steps = [
                steps_of(model, precision)
                for model in (step_models if training else ())
                for precision in precisions
            ]
            return BenchRecord(
                started=started,
                mixwright=__version__,
                commit=commit(),
                torch=torch.__version__,
                machine=machine(where),
                device=str(where),
                threads=threads,
                pages_kept=kept,
                libraries=libraries,
                shapes=tuple(records),
                steps=tuple(steps),
            )
    finally:
        torch.set_num_threads(before)


def _chosen(mixers: Mapping[str, Mixer] | Sequence[str] | None) -> dict[str, Mixer]:
    if mixers is None:
        return default_mixers()
    if isinstance(mixers, Mapping):
        for mixer in mixers.values():
            check_mixer("run_bench", mixer)
        return dict(mixers)
    hint = ' Give a mixer with options as a mapping, {"cutmix 0.2": CutMix(alpha=0.2)}.'
    _check_names(mixers, MIXERS, "mixer", hint)
    return {name: MIXERS[name]() for name in mixers}


def _learners(
    mixers: Mapping[str, Mixer] | Sequence[str] | None,
    chosen: Mapping[str, Mixer],
    objectives: Mapping[str, MakeObjective] | Sequence[str] | None,
) -> dict[str, MakeObjective]:
    if mixers is None:
        chosen = {name: chosen[name] for name in MIXERS}  # once: drawing per batch changes little
    if objectives is None:
        objectives = list(OBJECTIVES) if mixers is None else []
    if not isinstance(objectives, Mapping):
        _check_names(objectives, OBJECTIVES, "objective")
        objectives = {name: OBJECTIVES[name] for name in objectives if name != "mixed"}
    return {name: partial(Mixed, mixer) for name, mixer in chosen.items()} | dict(objectives)


def _check_names(
    names: Iterable[str], known: Mapping[str, object], kind: str, hint: str = ""
) -> None:
    for name in names:
        if name not in known:
            raise ValueError(
                f"run_bench: there is no {kind} {name!r}; expected names of {kind.upper()}S: "
                f"{', '.join(known)}.{hint}"
            )


def _check(shapes: Sequence[Sequence[int]], *, threads: int, rounds: int | None) -> None:
    for shape in shapes:
        if len(shape) != 4 or min(shape) < 1 or shape[0] < 2:
            raise ValueError(
                f"run_bench: a shape is {tuple(shape)}; expected (B, C, H, W), at least 2 images "
                "and 1 of all else, such as (128, 3, 32, 32)."
            )
    for name, value in (("threads", threads), ("rounds", rounds)):
        if value is not None and value < 1:
            raise ValueError(f"run_bench: {name} is {value}; expected at least 1.")
