"""What a run of a METHOD takes, from a few real training steps, an evaluation and a checkpoint."""

from __future__ import annotations

import contextlib
import json
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef

from mixwright.checkpoint import CheckpointError, save_checkpoint
from mixwright.files import append_line
from mixwright.lab.bench.memory import peak_memory
from mixwright.lab.bench.timing import Call, processor, timer_for, wall
from mixwright.lab.data.cores import usable_cores
from mixwright.lab.data.lazy import LazyImages
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.experiments.run import dataset_of
from mixwright.lab.experiments.step_costs import Steps, bare
from mixwright.lab.training.loop import torch_set_for
from mixwright.lab.training.mask_snapshots import save_mask_snapshots
from mixwright.lab.training.recipe import Recipe
from mixwright.lab.training.scoring import CLEAN_TRAIN, Scoring
from mixwright.outputs import take_logits
from mixwright.taps import deep_copy

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.training.session import Session

_LONG = 2.0  # seconds: longer steps and evaluations are measured on fewer images
# Steps that are counted: as many as fill the seconds.
_SECONDS, _FEWEST, _MOST = 0.15, 2, 12
_DECODED = 16  # images whose decoding is timed
_LINE = 1000  # letters in the line of an epoch
_WIDEST = 20_000  # bytes that a pixel leaves behind in a wide network that keeps the image's size
_STATUS, _KIB = Path("/proc/self/status"), 1024


@dataclass(frozen=True, kw_only=True)
class ImageNeeds:
    """What one image of a training step needs of a network, without mixing.

    Attributes:
        bytes: kept for the way back.
        seconds: there and back on the processor; infinite where two images may not fit in memory.
        fixed: bytes whatever the images: weights, gradients, momentum, average.
    """

    bytes: float
    seconds: float
    fixed: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a run takes.

    Seconds are of the processor, whose wall clock runs ``slowdown`` as fast where others are at
    work or threads share it, and of the wall clock where a disk is waited for. On CUDA they are
    those of the device.

    Attributes:
        wall: seconds of the wall clock of all that was measured, in which ``busy`` seconds of the
            processor passed: a few steps are too short to tell how they are slowed down.
        ready: seconds of the wall clock that the process took until it could train.
        start: seconds once a run, before its first epoch.
        step: seconds of a training step.
        epoch: seconds of the training steps of an epoch.
        evaluation: seconds of the scores of an epoch; ``end`` of those after the last one.
        save: seconds of the wall clock of an epoch's line and its checkpoint; ``better`` of the
            best one's.
        snapshot: seconds of the masks that a learned mixer leaves in some epochs.
        checkpoints: bytes of a run's checkpoints; ``snapshot_bytes`` of the masks of one epoch.
        memory: most bytes that the process, or on CUDA the device, had in use, without the
            libraries that all processes share; None where the system does not say.
        free: bytes of the CUDA device that were free before; None for the CPU.
    """

    wall: float = 1.0
    busy: float = 1.0
    ready: float = 0.0
    start: float
    step: float
    epoch: float
    evaluation: float
    end: float
    save: float
    better: float
    snapshot: float
    checkpoints: int
    snapshot_bytes: int
    memory: int | None = None
    free: int | None = None


def image_needs(model: nn.Module, shape: Sequence[int], *, free: int | None) -> ImageNeeds:
    """Return what an image of ``(C, H, W)`` needs, where ``free`` bytes of memory are left.

    Two images are taken there and back; where they might not fit, they are only imagined, which
    needs no memory but seconds to import. Running statistics of the model change.
    """
    pixels = math.prod(shape[1:])
    size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    if free is not None and 2 * pixels * _WIDEST + 4 * size > free:
        imagined = deep_copy(model).to("meta")
        needed, _ = _there_and_back(imagined, torch.empty(2, *shape, device="meta"))
        return ImageNeeds(bytes=needed / 2, seconds=math.inf, fixed=4 * size)
    images = torch.rand(2, *shape)
    needed, seconds = _there_and_back(model, images)
    if seconds < _LONG:  # the first call finds much to set up
        _, seconds = _there_and_back(model, images)
    return ImageNeeds(bytes=needed / 2, seconds=seconds / 2, fixed=4 * size)


def _there_and_back(model: nn.Module, images: Tensor) -> tuple[int, float]:
    """Bytes that images leave on their way through a network, and the seconds there and back."""
    weights = {StorageWeakRef(weight.untyped_storage()) for weight in model.parameters()}
    kept: dict[StorageWeakRef, int] = {}

    def keep(value: Tensor) -> Tensor:
        storage = value.untyped_storage()
        if StorageWeakRef(storage) not in weights:
            kept[StorageWeakRef(storage)] = storage.nbytes()
        return value

    def call() -> None:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            loss = take_logits(model(images), who="estimate").square().mean()
        loss.backward()

    model.train()
    seconds = processor(call) / torch.get_num_threads()
    return sum(kept.values()), seconds


def images_together(recipe: Recipe, images: int) -> int:
    """Return how many of the ``images`` there are on their way through the network together."""
    return min(recipe.batch_size // recipe.accumulate, images)


def least_memory(recipe: Recipe, needs: ImageNeeds, *, images: int) -> float:
    """Return bytes that a step needs at the least, whatever the method; ``images`` are in the set.

    Example:
        >>> needs = ImageNeeds(bytes=1000.0, seconds=0.1, fixed=500)
        >>> least_memory(Recipe(batch_size=8, accumulate=2), needs, images=100)
        4500.0
    """
    half = 0.5 if recipe.precision == "bf16" else 1.0
    return needs.fixed + half * needs.bytes * images_together(recipe, images)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Do what a worker is asked for, who began at some time; plain values in and out."""
    recipe = Recipe.from_json(json.dumps(request["recipe"]))
    data = dataset_of(
        recipe,
        request["data_name"],
        data_dir=request["data_dir"],
        skip_unreadable=request["skip_unreadable"],
    )
    _set_up()
    ready = time.monotonic() - request["began"]
    found = measure_run(
        recipe,
        data,
        device=torch.device(request["device"]),
        needs=ImageNeeds(**request["needs"]),
        trust=request["trust"],
        workers=request["workers"],
    )
    return asdict(replace(found, ready=ready))


def _set_up() -> None:
    """Let torch import what it wants for a first step, in seconds that belong to no method."""
    weight = torch.zeros(1, requires_grad=True)
    weight.sum().backward()
    torch.optim.SGD([weight], lr=0.1).step()


def measure_run(
    recipe: Recipe,
    data: Dataset,
    *,
    device: torch.device,
    needs: ImageNeeds,
    trust: bool = False,
    workers: int = 1,
) -> Measured:
    """Take a few steps of a recipe, score a batch and write the checkpoints, each timed.

    ``workers`` processes are at work at a time, which share the cores for decoding. Nothing stays:
    the files are temporary, and torch's global generator is as it was.
    """
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None
    part = _part(recipe, data, needs) if device.type == "cpu" else 1.0
    resting = peak_memory(lambda: None, device) if part < 1 else None
    found: list[Measured] = []
    with torch_set_for(recipe, device):
        memory = peak_memory(
            lambda: found.append(
                _measured(
                    recipe, data, device, part=part, needs=needs, trust=trust, workers=workers
                )
            ),
            device,
        )
    if memory is not None and resting is not None:  # what images need grows with their number
        whole = images_together(recipe, len(data.train)) * needs.bytes
        memory += int((1 / part - 1) * max(memory - resting, part * whole))
    if memory is not None and device.type == "cpu":
        memory -= _shared()
    return replace(found[0], memory=memory, free=free)


def _shared() -> int:
    """Bytes of files in memory, such as torch's libraries, which all processes have in common."""
    lines = _STATUS.read_text().splitlines()
    return next((int(line.split()[1]) * _KIB for line in lines if line.startswith("RssFile:")), 0)


def _part(recipe: Recipe, data: Dataset, needs: ImageNeeds) -> float:
    """The part of the images of a step that is measured, where one would take long."""
    images = min(recipe.batch_size, len(data.train))
    return min(1.0, max(2, int(_LONG / needs.seconds)) / images)


def _measured(
    recipe: Recipe, data: Dataset, device: torch.device, *, part: float, needs: ImageNeeds,
    trust: bool, workers: int,
) -> Measured:  # fmt: skip
    clock = _Clock(device)
    whole = min(recipe.batch_size, len(data.train))
    images = round(part * whole)
    short = replace(bare(recipe), compile=False)  # which would take longer than all of this
    if part < 1:
        short = replace(short, batch_size=images, accumulate=1)
    made: list[Steps] = []
    start = clock(lambda: made.append(Steps(short, data, device, trust=trust)))
    (steps,) = made
    start += clock(steps.begin)
    an_image = _a_step(steps, clock) / images
    session = steps.session
    epoch = an_image * len(session.train_data.train)
    a_test, before = _scoring(session, images, clock, needs)
    judged = len(data.test) + (0 if data.validation is None else len(data.validation))
    evaluation = a_test * judged + before * len(session.train_data.train)
    end = a_test / len(session.columns()) * min(CLEAN_TRAIN, len(data.train))
    if (read := session.train.decoded) is not None:
        epoch = _decoded(epoch, read, device, workers)
    if (read := session.test.decoded) is not None:
        evaluation = _decoded(evaluation, read, device, workers)
    return replace(
        _saved(session), wall=clock.wall, busy=clock.busy, start=start, step=an_image * whole,
        epoch=epoch, evaluation=evaluation, end=end,
    )  # fmt: skip


class _Clock:
    """Times calls by the processor or the device, and adds up what they take on the wall clock."""

    def __init__(self, device: torch.device) -> None:
        self._device = timer_for(device) if device.type == "cuda" else None
        self.wall = self.busy = 0.0

    def __call__(self, call: Call) -> float:
        if self._device is not None:
            seconds = self._device(call)
            self.wall += seconds
        else:
            taken: list[float] = []
            self.wall += wall(lambda: taken.append(processor(call)))
            (seconds,) = taken
        self.busy += seconds
        return seconds


def _a_step(steps: Steps, clock: _Clock) -> float:
    """Mean seconds of a few steps, after one that finds much to set up."""
    clock(steps)
    taken: list[float] = []
    while len(taken) < _FEWEST or (sum(taken) < _SECONDS and len(taken) < _MOST):
        taken.append(clock(steps))
        if taken[0] > _FEWEST * _LONG:
            break
    return statistics.fmean(taken)


def _scoring(
    session: Session, images: int, clock: _Clock, needs: ImageNeeds
) -> tuple[float, float]:
    """Seconds of the scores of a test image, and of what the objective does before, an image."""
    data = session.data
    count = min(len(data.test), session.test.batch_size)
    if session.device.type == "cpu":
        # There alone takes about a third of there and back.
        count = min(count, max(2, int(3 * _LONG / (len(session.columns()) * needs.seconds))))
    rows = torch.arange(images)
    known = session.train_data.train.take(rows).to(session.device).float().div_(255)
    labels = session.train_data.train.labels[rows].to(session.device)
    before = clock(lambda: session.objective.before_evaluation(iter([(known, labels)])))
    few = data.test.take(torch.arange(count)), data.test.labels[:count]
    short = replace(session, test=session.make_test(ImageSet(*few)), validation=None)
    scoring = Scoring(short, evaluate, None)
    session.model.eval()
    seconds = clock(lambda: scoring.test_and_validation(last=False))
    if seconds < _SECONDS:  # the first call finds much to set up
        seconds = clock(lambda: scoring.test_and_validation(last=False))
    return seconds / count, before / images


def _decoded(seconds: float, images: LazyImages, device: torch.device, workers: int) -> float:
    """Seconds of a pass over images that are decoded meanwhile."""
    count = min(_DECODED, len(images))
    alone = processor(lambda: images.take(torch.arange(count))) / count * len(images)
    if not images.workers:
        return seconds + alone
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    shared = (seconds * threads + alone) * workers / usable_cores()
    return max(seconds, alone / images.workers, shared)


def _saved(session: Session) -> Measured:
    """What a run leaves on the disk, and how long that takes; nothing where no file can be made."""
    found = Measured(
        start=0.0, step=0.0, epoch=0.0, evaluation=0.0, end=0.0, save=0.0, better=0.0, snapshot=0.0,
        checkpoints=0, snapshot_bytes=0,
    )  # fmt: skip
    with contextlib.suppress(OSError, CheckpointError), tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        line = "-" * _LINE

        def masks() -> None:
            save_mask_snapshots(folder, 1, objective=session.objective, data=session.data)

        found = replace(
            found,
            save=wall(lambda: save_checkpoint(folder / "last.pt", session.state()))
            + wall(lambda: append_line(folder / "lines", line)),
            better=wall(lambda: save_checkpoint(folder / "best.pt", session.weights())),
            snapshot=wall(masks),
        )
        sizes = {path.parent == folder: 0 for path in folder.rglob("*")}
        for path in folder.rglob("*.pt"):
            sizes[path.parent == folder] += path.stat().st_size
        found = replace(found, checkpoints=sizes.get(True, 0), snapshot_bytes=sizes.get(False, 0))
    return found
