"""Training steps with each method, of forward, backward and SGD, beside plain ones."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from mixwright.lab.bench.benchmarks import CLASSES
from mixwright.lab.bench.budgets import STEP_SHARE, STEP_TIMES, exact_times
from mixwright.lab.bench.memory import peak_memory
from mixwright.lab.bench.mixing import batch
from mixwright.lab.bench.overhead import paired_overhead
from mixwright.lab.bench.record import StepRecord, StepRow
from mixwright.lab.bench.solver import measure_solver
from mixwright.lab.bench.timed_mixer import TimedMixer
from mixwright.lab.bench.timing import PartTimer, Timer, Timing, in_turn, part_timer_for
from mixwright.lab.models.build import build_model
from mixwright.lab.models.names import MODELS
from mixwright.objectives.mixed import Mixed
from mixwright.objectives.objective import Objective
from mixwright.sampling import stream

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")

MakeObjective = Callable[[], Objective]
"""Makes an objective, not yet built for a network."""

_TEXT = re.compile(r"([^@]+)(?:@(\d+)x(\d+)x(\d+)x(\d+))?")
_TRIED = 4  # images on which methods are tried


@dataclass(frozen=True, slots=True)
class StepModel:
    """The name of a network to train, and the shape (B, C, H, W) of its batch."""

    name: str
    shape: tuple[int, ...]

    @classmethod
    def read(cls, text: str) -> StepModel:
        """Read ``NAME`` or ``NAME@BxCxHxW``.

        Our own networks get 128 images of 32 pixels, others 32 of 224, where no shape is given.

        Example:
            >>> StepModel.read("resnet18_cifar"), StepModel.read("deit_tiny@8x3x224x224").shape
            (StepModel(name='resnet18_cifar', shape=(128, 3, 32, 32)), (8, 3, 224, 224))
        """
        found = _TEXT.fullmatch(text.strip())
        if not found or (found[2] and min(map(int, found.groups()[1:])) < 1):
            raise ValueError(
                f"network {text.strip()!r}: expected NAME, or NAME@BxCxHxW such as "
                "deit_tiny_patch16_224@32x3x224x224."
            )
        shape = (128, 3, 32, 32) if found[1] in MODELS else (32, 3, 224, 224)
        return cls(found[1], tuple(map(int, found.groups()[1:])) if found[2] else shape)

    def build(self) -> nn.Module:
        """Build the network, with the same weights each time; ValueError if there is none."""
        with torch.random.fork_rng(devices=[]):  # fresh weights come from the global generator
            torch.manual_seed(0)
            return build_model(
                self.name,
                num_classes=CLASSES,
                image_size=self.shape[-1],
                channels=self.shape[1],
            )


STEP_MODEL = StepModel.read("resnet18_cifar")
"""Where the budgets of training steps hold."""


class TrainingStep:
    """One training step, called again and again; it times its own mixing.

    The network is trained in place; the objective is not yet built, and of a ``Mixed`` one the
    mixer is timed by ``time_part``. ``"bf16"`` runs forward and loss under autocast.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        objective: Objective,
        *,
        images: Tensor,
        labels: Tensor,
        precision: Precision,
        time_part: PartTimer,
    ) -> None:
        views = objective.views_wanted()  # a step of as many outputs as there are images
        images, labels = torch.cat([images] * views), labels.repeat(views)
        self.timed_mixer: TimedMixer | None = None
        self.mixes = isinstance(objective, Mixed)
        if isinstance(objective, Mixed) and objective.mixer is not None:
            self.timed_mixer = TimedMixer(objective.mixer, time_part)
            objective = Mixed(self.timed_mixer, objective.criterion, objective.clean)
        self.model, self.optimizer = model, optimizer
        self.objective = _built(objective, model, images.device)
        self.images, self.labels, self.precision = images, labels, precision
        self._mixing: list[Sequence[Callable[[], float]]] = []
        self._generator = stream(0)
        heads = [weight for weight in self.objective.parameters() if weight.requires_grad]
        self._heads = torch.optim.SGD(heads, lr=0.01, momentum=0.9) if heads else None

    def __call__(self) -> None:
        """Train on the batch once."""
        if self.timed_mixer is not None:
            self.timed_mixer.parts = []
        with torch.autocast(
            self.images.device.type, torch.bfloat16, enabled=self.precision == "bf16"
        ):
            losses = self.objective(
                self.model, self.images, self.labels, generator=self._generator, progress=0.5
            )
        losses.total.backward()
        for optimizer in (self.optimizer, self._heads):
            if optimizer is not None:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        self.objective.after_step(self.model)
        if self.mixes:
            self._mixing.append(() if self.timed_mixer is None else self.timed_mixer.parts)

    def run_untimed(self) -> None:
        """Train on the batch once, without timing the mixing."""
        if self.timed_mixer is None:
            return self()
        time_part, self.timed_mixer.time_part = self.timed_mixer.time_part, _untimed
        try:
            self()
        finally:
            self.timed_mixer.time_part = time_part

    @property
    def mixing(self) -> list[float]:
        """Seconds of mixing in each step so far; empty for objectives that are not ``Mixed``."""
        return [sum((seconds() for seconds in parts), 0.0) for parts in self._mixing]


def _untimed(call: Callable[[], object]) -> Callable[[], float]:
    call()
    return lambda: 0.0


def measure_steps(
    learners: Mapping[str, MakeObjective],
    *,
    device: torch.device,
    timer: Timer,
    warm_up: int = 1,
    rounds: int = 5,
    precision: Precision = "fp32",
    model: StepModel = STEP_MODEL,
) -> StepRecord:
    """Time training steps without mixing and with each method, in turn, on one network.

    ``learners`` make objectives, by METHOD; the record names methods that refuse the network.
    """
    images, labels = batch(model.shape, device)
    network = model.build().to(device)
    taken, refused = _tried(learners, network, images, labels)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    with torch.random.fork_rng(devices=[]):  # heads come from the global generator
        steps = {
            name: TrainingStep(
                network, optimizer, make(), images=images, labels=labels, precision=precision,
                time_part=part_timer_for(device, timer),
            )
            for name, make in {"none": Mixed, **taken}.items()
        }  # fmt: skip
    load = _load()
    turns = in_turn(list(steps.values()), timer=timer, warm_up=warm_up, rounds=rounds)
    load = (*load, *_load())
    rows = tuple(
        _row(
            name,
            whole,
            step.mixing[-len(whole) :],
            plain=turns[0],
            memory=peak_memory(step.run_untimed, device),
            limited=model == STEP_MODEL,
        )
        for (name, step), whole in zip(steps.items(), turns, strict=True)
    )
    puzzle = next((row.step.mean for row in rows if row.name == "puzzlemix"), None)
    return StepRecord(
        model=model.name,
        shape=model.shape,
        precision=precision,
        warm_up=warm_up,
        rounds=rounds,
        rows=rows,
        refused=refused,
        solver=()
        if puzzle is None
        else measure_solver(images, step=puzzle, timer=timer, warm_up=warm_up, rounds=rounds),
        load=load,
    )


def _load() -> tuple[float, ...]:
    """Return how many processes wanted a core in the last minute, where the system says so."""
    return os.getloadavg()[:1] if hasattr(os, "getloadavg") else ()


def _tried(
    learners: Mapping[str, MakeObjective], network: nn.Module, images: Tensor, labels: Tensor
) -> tuple[dict[str, MakeObjective], dict[str, str]]:
    """Find out on a few images which methods take the network, and why the others do not."""
    taken: dict[str, MakeObjective] = {}
    refused: dict[str, str] = {}
    images, labels = images[:_TRIED], labels[:_TRIED]
    for name, make in learners.items():
        try:
            with torch.random.fork_rng(devices=[]):
                objective = _built(make(), network, images.device)
            with torch.no_grad():
                objective(network, images, labels, generator=stream(0), progress=0.0)
        except ValueError as error:
            refused[name] = str(error)
        else:
            taken[name] = make
    return taken, refused


def _built(objective: Objective, network: nn.Module, device: torch.device) -> Objective:
    objective.build(network, CLASSES)
    return objective.to(device)


def _row(
    name: str,
    whole: Sequence[float],
    mixing: Sequence[float],
    *,
    plain: Sequence[float],
    memory: int | None,
    limited: bool,
) -> StepRow:
    step, none = Timing.of(whole), Timing.of(plain)
    mixed = Timing.of(mixing) if mixing else None
    share = mixed.mean / step.mean if mixed else None
    times = step.mean / none.mean
    share_budget = STEP_SHARE.get(name) if limited else None
    times_budget = STEP_TIMES.get(name) if limited else None
    kept = [
        value is not None and value <= limit
        for value, limit in ((share, share_budget), (times, times_budget))
        if limit is not None
    ]
    return StepRow(
        name=name,
        step=step,
        times=times,
        least_times=step.least / none.least,
        exact=exact_times(name),
        mixing=mixed,
        share=share,
        share_budget=share_budget,
        times_budget=times_budget,
        within=all(kept) if kept else None,
        overhead=None if whole is plain else paired_overhead(whole, plain),
        memory=memory,
    )
