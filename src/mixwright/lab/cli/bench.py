"""``mixwright bench``: how fast the methods are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Literal

from mixwright.lab.cli.errors import UsageError, users_words
from mixwright.lab.cli.options import TrustOptions, device_option
from mixwright.lab.cli.parser import option, parse
from mixwright.lab.settings import option_flag

if TYPE_CHECKING:
    from mixwright.lab.bench.steps import MakeObjective, StepModel
    from mixwright.lab.experiments.methods import Method
    from mixwright.mixers.mixer import Mixer

ABOUT = """Measure every mixer beside an out-of-place lerp of two batches and beside torchvision,
timm and kornia where these are installed, all in turn in one run; the record is bench.json.
METHOD as in mixwright compare --help; without any, all of them, mixers per sample and per batch.
Mixers that look through a model look through a small one there. Medians are also counted in units:
on 128x3x32x32 of torchvision's MixUp, elsewhere of the lerp; goals are in units.

With --training the training steps of all methods too, in those without mixing and beside the
exact count of passes through the model; methods that a network is not made for are named.

Times on a busy machine say little: nothing else should run."""

NAME = "bench.json"
_SIZES = "B x C x H x W, such as 128x3x32x32"


@dataclass(frozen=True)
class BenchOptions(TrustOptions):
    """``mixwright bench``."""

    methods: tuple[str, ...] = option((), "what to measure", metavar="METHOD")
    shapes: str = option(
        "128x3x32x32,64x3x224x224", "batches, with commas between; none for no shape",
        metavar="SHAPES",
    )  # fmt: skip
    compile: bool = option(
        False, "measure mixers compiled too: the first call, and warm (up to a minute each)"
    )
    training: bool = option(False, "measure training steps too (minutes a method on a CPU)")
    step_models: str = option(
        "resnet18_cifar",
        "networks of these steps, with commas between (default resnet18_cifar); @BxCxHxW behind "
        "a name for its batch, else 128x3x32x32 for ours and 32x3x224x224 for timm's",
        metavar="NAMES",
    )
    precision: Literal["fp32", "bf16", "both"] = option(
        "both", "arithmetic of these steps (default both)"
    )
    repeats: int | None = option(
        None,
        "counted rounds (default: 60 on 128x3x32x32, half a minute on other shapes, 5 training "
        "steps or 50 on CUDA)",
        metavar="COUNT",
    )
    threads: int = option(1, "of torch on the CPU (default 1)", metavar="COUNT")
    device: str = device_option()
    out: str = option(
        "runs/bench", f"folder (default runs/bench); its {NAME} is replaced", metavar="DIR"
    )


def main(argv: Sequence[str]) -> int:
    """Run the command; see ``mixwright.lab.cli.main``."""
    options = parse(BenchOptions, argv, prog="mixwright bench", about=ABOUT)
    shapes = _shapes(options.shapes)
    if options.repeats is not None and options.repeats < 1:
        raise UsageError(f"--repeats is {options.repeats}; expected at least 1.")
    if options.threads < 1:
        raise UsageError(f"--threads is {options.threads}; expected at least 1.")
    for name in () if options.training else ("step_models", "precision"):
        if getattr(options, name) != getattr(BenchOptions, name):
            raise UsageError(
                f"{option_flag(name)} does nothing without --training, whose steps it is about; "
                "leave it out, or add --training."
            )
    if not shapes and not options.training:
        raise UsageError("--shapes is none and --training is not given: nothing to measure.")
    if options.compile and not shapes:
        raise UsageError(
            "--compile does nothing with --shapes none: training steps are not compiled; leave it "
            "out, or give shapes."
        )
    from mixwright.lab.bench import run_bench
    from mixwright.lab.cli.bench_tables import show
    from mixwright.lab.cli.prepare import devices, out_folder
    from mixwright.lab.cli.progress import open_console, say

    path, device = out_folder(options.out) / NAME, devices(options.device)[0]
    with users_words():
        methods = _methods(options)
        step_models = _step_models(options)
        path.parent.mkdir(parents=True, exist_ok=True)  # before minutes of measuring
    console = open_console()
    record = run_bench(
        _mixers(methods) if options.methods else None,
        objectives=_learners(methods) if options.methods else None,
        shapes=shapes,
        training=options.training,
        step_models=step_models,
        precisions=("fp32", "bf16") if options.precision == "both" else (options.precision,),
        device=device,
        threads=options.threads,
        rounds=options.repeats,
        compile=options.compile,
        on_message=lambda message: say(console, message),
    )
    with users_words():
        record.write(path)
    show(record, console)
    say(console, f"record  {path}")
    return 0


def _methods(options: BenchOptions) -> "list[Method]":
    from mixwright.lab.experiments.methods import parse_methods

    methods = parse_methods(options.methods, trust=options.trust)
    if not options.training and not all(method.parts for method in methods):
        raise UsageError(
            "none mixes nothing by itself: nothing to measure. Add --training for its steps."
        )
    methods = [method for method in methods if method.parts]  # steps of none are always measured
    for method in methods:
        if method.parts[0].learns and not options.training:
            raise UsageError(
                f"{method.text} is a training objective and mixes nothing by itself: nothing to "
                "measure. Add --training for its steps."
            )
    return methods


def _mixers(methods: "Sequence[Method]") -> "dict[str, Mixer]":
    return {
        method.text: mixer
        for method in methods
        if not method.parts[0].learns and (mixer := method.mixer()) is not None
    }


def _learners(methods: "Sequence[Method]") -> "dict[str, MakeObjective]":
    from mixwright.objectives.criteria import CrossEntropy

    return {method.text: partial(method.objective, CrossEntropy()) for method in methods}


def _step_models(options: BenchOptions) -> "list[StepModel]":
    if not options.training:
        return []
    from mixwright.lab.bench.steps import StepModel

    models = [StepModel.read(text) for text in options.step_models.split(",")]
    for model in models:
        model.build()  # a wrong name shows now, not after minutes
    return models


def _shapes(text: str) -> list[tuple[int, int, int, int]]:
    if text.strip().lower() == "none":
        return []
    shapes: list[tuple[int, int, int, int]] = []
    for word in text.split(","):
        sides = word.strip().lower().split("x")
        if len(sides) != 4 or not all(side.isdecimal() and int(side) for side in sides):
            raise UsageError(f"--shapes holds {word.strip()!r}; expected {_SIZES}.")
        count, channels, height, width = map(int, sides)
        if count < 2:
            raise UsageError(f"--shapes holds {word.strip()!r}; expected at least 2 images.")
        shapes.append((count, channels, height, width))
    return shapes
