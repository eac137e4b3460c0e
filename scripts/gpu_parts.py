"""The parts of ``check_gpu``; each runs in a process of its own, which the script starts.

    python scripts/gpu_parts.py PART FOLDER '{"device": "cuda", "small": false, ...}'

A part appends what it finds to ``FOLDER/PART.jsonl``, line by line, so that one that is killed
leaves what it had found. It fails by raising.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))

import torch  # noqa: E402

from mixwright.files import plain  # noqa: E402

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.training.recipe import Recipe

LIBRARIES = (
    *("pytest", "hypothesis", "numpy", "scipy", "Pillow", "pyarrow", "matplotlib", "jinja2"),
    *("jsonargparse", "torchvision", "timm", "kornia", "triton"),
)
METHODS = ("none", "mixup", "cutmix", "miamix", "puzzlemix", "automix", "adautomix")
# Those that read attention train a transformer.
ATTENTIVE = ("transmix", "tokenmixup", "mixpro", "smmix")
# An objective that searches a policy first, which takes longer than all of this.
SEARCHES = ("dada",)
# What runs on a device in ways of its own; tests of text, files and figures are left out.
TESTS = ("tests/test_device.py", "tests/mixers/test_learned.py", "tests/test_sampling.py")


@dataclass(frozen=True)
class Setting:
    """What the script was asked for.

    Attributes:
        device: ``cuda`` or ``cpu``.
        small: take tiny networks, images and counts.
        data: what ``--data`` of the command line takes; None for images that are made up.
        data_dir: where it lies.
    """

    device: str
    small: bool
    data: str | None = None
    data_dir: str | None = None

    @property
    def cuda(self) -> bool:
        """Whether what only CUDA reports can be measured."""
        return self.device == "cuda"

    @property
    def where(self) -> torch.device:
        """The device by its number, which not all calls guess."""
        return (
            torch.device("cuda", torch.cuda.current_device()) if self.cuda else torch.device("cpu")
        )


Say = Callable[..., None]
"""Writes one row of what is found."""


class Skipped(Exception):  # noqa: N818
    """There is nothing to run the part with; the message says what is missing."""


# ------------------------------------------------------------------ what is here


def about(setting: Setting, say: Say) -> None:
    """Say what device, versions and libraries there are."""
    found: dict[str, Any] = {}
    if setting.cuda:
        properties = torch.cuda.get_device_properties(setting.where)
        found = {
            "name": properties.name,
            "memory_bytes": properties.total_memory,
            "capability": f"{properties.major}.{properties.minor}",
            "bf16": torch.cuda.is_bf16_supported(),
            "devices": torch.cuda.device_count(),
            "cudnn": torch.backends.cudnn.version(),
        }
        torch.ones(8, device=setting.where).sum().item()  # a device that does not work shows here
    libraries: dict[str, str] = {}
    for name in LIBRARIES:
        try:
            libraries[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            libraries[name] = "missing"
    say(
        python=platform.python_version(),
        platform=platform.platform(),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        device=found or "cpu",
        libraries=libraries,
        missing=[name for name, version in libraries.items() if version == "missing"],
    )


def tests(setting: Setting, say: Say) -> None:
    """Run the tests that depend on the device."""
    missing = [
        name
        for name in ("pytest", "hypothesis", "numpy", "scipy")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        raise Skipped(f"{', '.join(missing)} missing")
    import pytest

    os.chdir(ROOT)  # where hypothesis keeps what it makes
    counts: dict[str, int] = {}

    class Counting:
        """Writes each failure at once, so that a run that is killed leaves it."""

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.when == "call" or report.outcome != "passed":
                counts[report.outcome] = counts.get(report.outcome, 0) + 1
            if report.failed:
                say(failed=report.nodeid, why=report.longreprtext.splitlines()[-8:])

    files = [str(ROOT / name) for name in (TESTS[-1:] if setting.small else TESTS)]
    words = ["-q", "-p", "no:cacheprovider", "--device", setting.device]
    code = pytest.main([*words, *files], plugins=[Counting()])
    say(**counts, exit_code=int(code))
    if code:
        raise RuntimeError(f"pytest ended with {code!r}")


# ------------------------------------------------------------------ mixers and steps


def waits(setting: Setting, say: Say) -> None:
    """Count how often the host waits for the device, in mixers and in training steps."""
    if not setting.cuda:
        say(not_measured="waits are seen on CUDA alone; the calls are made all the same")
    waiting: list[str] = []

    def count(name: str, call: Callable[[], object]) -> None:
        # Kernels are loaded, and the first batch is looked at.
        for _ in range(3 if setting.cuda else 0):
            call()
        places = _waits(setting, call)
        say(name=name, waits=len(places) if setting.cuda else None, places=sorted({*places})[:5])
        if places:
            waiting.append(name)

    images, labels = _batch(setting)
    for name, call in _mixer_calls(setting, images, labels):
        count(f"mixer {name}", call)
    for name, call in _step_calls(setting):
        count(f"step {name}", call)
    if waiting:
        raise RuntimeError(f"the host waits in {', '.join(waiting)}")


def _waits(setting: Setting, call: Callable[[], object]) -> list[str]:
    """Return the places at which one call waited."""
    if not setting.cuda:
        call()
        return []
    torch.cuda.synchronize()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            call()
        finally:
            torch.cuda.set_sync_debug_mode("default")
    wanted = [w for w in caught if "synchronizing CUDA operation" in str(w.message)]
    return [f"{Path(w.filename).name}:{w.lineno}" for w in wanted]


def memory(setting: Setting, say: Say) -> None:
    """Measure the most memory of mixers, and time and memory of training steps in bf16."""
    from mixwright.lab.bench.memory import peak_memory
    from mixwright.lab.bench.steps import StepModel, measure_steps
    from mixwright.lab.bench.timing import timer_for

    images, labels = _batch(setting, large=True)
    size = images.numel() * images.element_size()
    for name, call in _mixer_calls(setting, images, labels):
        call()
        before = torch.cuda.memory_allocated() if setting.cuda else 0
        peak = peak_memory(call, setting.where)
        more = None if peak is None or not setting.cuda else peak - before
        say(mixer=name, peak_bytes=more, batches=more and round(more / size, 2), process_bytes=peak)
    text = "smallconv@8x3x16x16" if setting.small else "resnet18_cifar"
    names = METHODS[1:4] if setting.small else METHODS[1:]
    record = measure_steps(
        {name: _objective(name) for name in names},
        device=setting.where,
        timer=timer_for(setting.where),
        warm_up=1 if setting.small else 8,
        rounds=2 if setting.small else 20,
        precision="bf16",
        model=StepModel.read(text),
    )
    for row in record.rows:
        say(step=row.name, peak_bytes=row.memory, seconds=row.step.median, times=row.times)
    if record.refused:
        raise RuntimeError(f"refused: {record.refused}")


def bench(setting: Setting, say: Say) -> None:
    """Time every mixer beside a lerp, a copy, and other libraries where they are installed."""
    from mixwright.lab.bench import run_bench
    from mixwright.lab.bench.budgets import LARGE, SMALL

    record = run_bench(
        ["mixup", "cutmix", "miamix"] if setting.small else None,
        shapes=[(8, 3, 16, 16)] if setting.small else (SMALL, LARGE),
        device=setting.where,
        rounds=2 if setting.small else 20,
        on_message=print,
    )
    say(libraries=record.libraries, clock="device events" if setting.cuda else "wall clock")
    for shape in record.shapes:
        for row in shape.rows:
            say(
                shape=list(shape.shape), group=row.group, name=row.name, part=row.part,
                median_seconds=row.time.median, least_seconds=row.time.least,
                times_lerp=row.times_lerp, times_copy=row.times_copy, units=row.units,
            )  # fmt: skip


def _batch(setting: Setting, *, large: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    from mixwright.lab.bench.budgets import LARGE, SMALL
    from mixwright.lab.bench.mixing import batch

    shape = (8, 3, 16, 16) if setting.small else LARGE if large else SMALL
    return batch(shape, setting.where)


def _mixer_calls(
    setting: Setting, images: torch.Tensor, labels: torch.Tensor
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield every policy mixer, as what draws a plan and applies it to images and labels."""
    from mixwright.lab.bench.benchmarks import CLASSES
    from mixwright.lab.models.smallconv import SmallConv
    from mixwright.mixers import MIXERS
    from mixwright.mixers.combine import views_of
    from mixwright.sampling import stream

    model = SmallConv(num_classes=CLASSES).to(setting.where)
    for name, kind in MIXERS.items():
        if setting.small and name not in ("cutmix", "miamix", "saliencymix"):
            continue
        mixer, generator = kind(), stream(0)
        views = views_of(mixer)

        def call(mixer: Any = mixer, generator: Any = generator, views: int = views) -> object:
            pool, wanted = torch.cat([images] * views), labels.repeat(views)
            plan = mixer.plan(pool, wanted, generator=generator, model=model)
            return plan.images(pool), plan.targets(wanted, CLASSES)

        yield name, call


def _step_calls(setting: Setting) -> Iterator[tuple[str, Callable[[], object]]]:
    """Yield real training steps: none, a mixer, and every objective."""
    from mixwright.lab.training.distributed import World
    from mixwright.lab.training.epoch import in_groups, streams, train_step
    from mixwright.lab.training.meter import MeanMeter
    from mixwright.lab.training.recipe import Recipe
    from mixwright.lab.training.session import prepare
    from mixwright.objectives import OBJECTIVES
    from mixwright.sampling import Stream

    data = _made(100, 16, 16)
    names = ["none", "miamix", *(name for name in OBJECTIVES if name not in ("mixed", *SEARCHES))]
    if setting.small:
        names = ["none", "automix", "transmix"]
    for name in names:
        model = "smallvit" if name in ATTENTIVE else "smallconv"
        recipe = Recipe(model=model, batch_size=10, precision="bf16", grad_clip=1.0)
        session = prepare(
            recipe, model=_model(recipe, data), objective=_objective(name)(), data=data,
            world=World(), device=setting.where,
        )  # fmt: skip
        session.learner.train()
        session.begin_epoch()
        seeds, meter = streams(0, 0, 1), MeanMeter()
        batches = session.train.epoch(order=seeds[Stream.ORDER], augment=seeds[Stream.AUGMENT])
        groups = in_groups(batches, 1)

        def call(s: Any = session, g: Any = groups, m: Any = meter, seeds: Any = seeds) -> object:
            return train_step(s, next(g), m, seeds[Stream.MIX], 0.0, 1)

        yield name, call


def _objective(name: str) -> Callable[[], Any]:
    from mixwright.lab.experiments.methods import parse_method
    from mixwright.objectives.criteria import CrossEntropy

    method = parse_method(name)
    return lambda: method.objective(CrossEntropy())


# ------------------------------------------------------------------ training and evaluation


def train_none(setting: Setting, say: Say) -> None:
    """Train ten epochs without mixing."""
    _train(setting, say, "none", epochs=10)


def train_miamix(setting: Setting, say: Say) -> None:
    """Train ten epochs with MiAMix."""
    _train(setting, say, "miamix", epochs=10)


def train_adautomix(setting: Setting, say: Say) -> None:
    """Train one epoch with AdAutoMix."""
    _train(setting, say, "adautomix", epochs=1)


def _train(setting: Setting, say: Say, method: str, *, epochs: int) -> None:
    from mixwright.lab.evaluation.scores import evaluate
    from mixwright.lab.training.folder import read_metrics
    from mixwright.lab.training.loop import train

    data, note = _data(setting)
    recipe = _recipe(setting, method, epochs=min(2, epochs) if setting.small else epochs)
    say(data=note, recipe=asdict(recipe))
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")

        def on_progress(now: Any) -> None:
            if now.step == now.steps:  # the epoch has been saved
                last = read_metrics(run)[-1]
                say(
                    epoch=last["epoch"],
                    images_per_second=last["images_per_second"],
                    step_seconds=last["step_seconds"],
                    train_loss=last["train"]["loss"],
                    top1={name: scores["top1"] for name, scores in (last["test"] or {}).items()},
                )

        result = train(
            recipe, model=_model(recipe, data), objective=_objective(method)(), data=data,
            evaluate=evaluate, folder=run, device=setting.where, on_progress=on_progress,
        )  # fmt: skip
    say(
        seconds=result.seconds,
        parameters=result.parameters,
        peak_bytes=torch.cuda.max_memory_allocated() if setting.cuda else None,
    )


def evaluation(setting: Setting, say: Say) -> None:
    """Evaluate a model after one epoch of training, on the device and on the CPU."""
    import copy

    from mixwright.lab.evaluation.attack.fgsm import fgsm
    from mixwright.lab.evaluation.calibration.calibration import Calibration
    from mixwright.lab.evaluation.predictions import correct_on, logits_of
    from mixwright.lab.evaluation.scores import evaluate
    from mixwright.lab.evaluation.subject import Subject
    from mixwright.lab.training.loop import train

    data, note = _data(setting)
    recipe = _recipe(setting, "none", epochs=1)
    model = _model(recipe, data)
    with tempfile.TemporaryDirectory() as folder:
        train(
            recipe, model=model, objective=_objective("none")(), data=data, evaluate=evaluate,
            folder=Path(folder, "run"), device=setting.where,
        )  # fmt: skip
    model.eval()
    subject = Subject(
        model=model, data=data, ids=torch.arange(len(data.test)), device=setting.where
    )
    found = Calibration().measure(subject).summary
    say(
        data=note,
        ece=found["bins"]["15"]["ece"],
        nll=found["nll"],
        temperature=found["temperature"],
    )
    images, labels = next(subject.batches(250))
    moved = fgsm(model, images, labels, eps=8 / 255)
    clean, attacked = (float(correct_on(model, x, labels).float().mean()) for x in (images, moved))
    say(clean_top1=clean, fgsm_top1=attacked)
    here, _ = logits_of(model, [(images, labels)])
    there, _ = logits_of(copy.deepcopy(model).cpu(), [(images.cpu(), labels.cpu())])
    apart = float((here - there).abs().max() / there.abs().max())
    say(largest_difference_from_cpu=apart)
    if not apart < 0.05:  # convolutions may run in TF32, of ten bits
        raise RuntimeError(f"logits differ from the CPU's by {apart:.3g} of the largest")


def cost(setting: Setting, say: Say) -> None:
    """Measure what a training step costs in those without mixing, as a comparison does."""
    from mixwright.lab.experiments.step_costs import measure_step

    data, note = _data(setting)
    say(data=note, clock="device events" if setting.cuda else "processor time")
    for method in ("cutmix",) if setting.small else ("cutmix", "miamix", "automix", "adautomix"):
        recipe = _recipe(setting, method, epochs=2)
        found = measure_step(recipe, data, device=setting.where)
        say(method=method, **asdict(found))
        if not found.ratio > 0:
            raise RuntimeError(f"a step of {method} costs {found.ratio} of one without mixing")


def _recipe(setting: Setting, method: str, *, epochs: int) -> Recipe:
    from mixwright.lab.training.recipe import Recipe

    return Recipe(
        model="smallconv" if setting.small else "resnet18_cifar",
        method=method,
        epochs=epochs,
        batch_size=16 if setting.small else 128,
        precision="bf16",
        channels_last=True,
        ema_decay=0.9 if setting.small else 0.999,
    )


def _model(recipe: Recipe, data: Dataset) -> torch.nn.Module:
    from mixwright.lab.experiments.run import new_model

    return new_model(recipe, data)


def _data(setting: Setting) -> tuple[Dataset, str]:
    """Return the images that were asked for, or made-up ones of CIFAR-10's shape; and which."""
    if setting.data is not None:
        from mixwright.lab.data.load import load_data

        count = 100 if setting.small else None
        data = load_data(setting.data, data_dir=setting.data_dir, train_size=count)
        return data, setting.data
    if setting.small:
        return _made(48, 20, 16), "made up: noise of 16 x 16 pixels"
    return _made(50_000, 10_000, 32), "made up: noise of CIFAR-10's shape"


def _made(train: int, test: int, side: int) -> Dataset:
    """Return noise in ten classes, each a little brighter in a row of its own."""
    from mixwright.lab.data.sets import Dataset, ImageSet

    def images(count: int, seed: int) -> ImageSet:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % 10
        pixels = torch.randint(200, (count, 3, side, side), dtype=torch.uint8, generator=generator)
        pixels[torch.arange(count), :, labels] += 55
        return ImageSet(pixels, labels)

    return Dataset(
        name="made up",
        train=images(train, 1),
        test=images(test, 2),
        classes=tuple("abcdefghij"),
        mean=(0.4,) * 3,
        std=(0.25,) * 3,
        note="noise",
    )


PARTS: dict[str, Callable[[Setting, Say], None]] = {
    part.__name__: part
    for part in (
        *(about, tests, waits, memory, bench),
        *(train_none, train_miamix, train_adautomix, evaluation, cost),
    )
}


@contextmanager
def _rows(file: Path) -> Iterator[Say]:
    with file.open("w", encoding="utf-8") as lines:

        def say(**row: Any) -> None:
            lines.write(json.dumps(plain(row)) + "\n")
            lines.flush()
            sys.stdout.write(f"{row}\n")  # so that the last lines of a log say how far it was
            sys.stdout.flush()

        yield say


def main() -> int:
    """Run one part."""
    name, folder, words = sys.argv[1:]
    setting = Setting(**json.loads(words))
    with _rows(Path(folder, f"{name}.jsonl")) as say:
        try:
            PARTS[name](setting, say)
        except Skipped as error:
            say(skipped=str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
