"""What mixing adds to real training: its share of a step of forward, backward and SGD."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from mixwright.bench.budgets import STEP_SHARE
from mixwright.bench.candidates import CLASSES
from mixwright.bench.mixing import batch
from mixwright.bench.record import StepRecord, StepRow
from mixwright.bench.timing import Timer, Timing, in_turn
from mixwright.mixers.mixer import Mixer
from mixwright.models.build import build_model
from mixwright.objectives.criteria import CrossEntropy
from mixwright.plan import MixPlan
from mixwright.sampling import stream

Precision = Literal["fp32", "bf16"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")

MODEL, SHAPE = "resnet18_cifar", (128, 3, 32, 32)


class Step:
    """One training step, called again and again; it times its own mixing.

    Args:
        model: the network; trained in place.
        optimizer: of its weights.
        mixer: None trains on the images as they are.
        images: the batch.
        labels: its class indices.
        precision: ``"bf16"`` runs forward and loss under autocast.
        timer: makes a call and gives its seconds.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        mixer: Mixer | None,
        *,
        images: Tensor,
        labels: Tensor,
        precision: Precision,
        timer: Timer,
    ) -> None:
        self.model, self.optimizer, self.mixer = model, optimizer, mixer
        self.images, self.labels = images, labels
        self.precision, self.timer = precision, timer
        self.mixing: list[float] = []
        self._generator = stream(0)
        self._criterion = CrossEntropy()
        self._plan: MixPlan | None = None
        self._mixed = images

    def __call__(self) -> None:
        """Train on the batch once."""
        self.mixing.append(0.0 if self.mixer is None else self.timer(self._mix))
        with torch.autocast(
            self.images.device.type, torch.bfloat16, enabled=self.precision == "bf16"
        ):
            logits = self.model(self._mixed)
            if self._plan is None:
                loss = self._criterion(logits, self.labels).mean()
            else:
                loss = self._plan.loss(self._criterion, logits, self.labels)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _mix(self) -> None:
        assert self.mixer is not None
        self._plan = self.mixer.plan(self.images, self.labels, generator=self._generator)
        self._mixed = self._plan.images(self.images)


def measure_steps(
    mixers: Mapping[str, Mixer],
    *,
    device: torch.device,
    timer: Timer,
    warm_up: int = 1,
    rounds: int = 5,
    precision: Precision = "fp32",
    model: str = MODEL,
    shape: Sequence[int] = SHAPE,
) -> StepRecord:
    """Time training steps without mixing and with each mixer, in turn, on one network.

    Args:
        mixers: by name; ``"none"`` is added.
        device: where.
        timer: makes a call and gives its seconds.
        warm_up: steps of each that are not counted, at least 1.
        rounds: steps of each that are.
        precision: arithmetic of the network.
        model: a name of ``models``.
        shape: (B, C, H, W) of the batch.
    """
    images, labels = batch(shape, device)
    with torch.random.fork_rng(devices=[]):  # fresh weights come from the global generator
        network = build_model(
            model, num_classes=CLASSES, image_size=shape[-1], channels=shape[1]
        ).to(device)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    kinds: dict[str, Mixer | None] = {"none": None, **mixers}
    steps = [
        Step(
            network, optimizer, mixer, images=images, labels=labels, precision=precision,
            timer=timer,
        )
        for mixer in kinds.values()
    ]  # fmt: skip
    turns = in_turn(steps, timer=timer, warm_up=warm_up, rounds=rounds)
    plain = Timing.of(turns[0])
    return StepRecord(
        model=model,
        shape=tuple(shape),
        precision=precision,
        warm_up=warm_up,
        rounds=rounds,
        rows=tuple(
            _row(name, whole, step.mixing[-len(whole) :], plain)
            for name, whole, step in zip(kinds, turns, steps, strict=True)
        ),
    )


def _row(name: str, whole: Sequence[float], mixing: Sequence[float], plain: Timing) -> StepRow:
    step, mixed = Timing.of(whole), Timing.of(mixing)
    share = mixed.least / step.least
    budget = STEP_SHARE.get(name)
    return StepRow(
        name=name,
        step=step,
        mixing=mixed,
        share=share,
        median_share=statistics.median(a / b for a, b in zip(mixing, whole, strict=True)),
        difference=step.least / plain.least - 1,
        budget=budget,
        within=None if budget is None else share <= budget,
    )
