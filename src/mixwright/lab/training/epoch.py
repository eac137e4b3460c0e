"""One epoch of training."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn

from mixwright.lab.training.folder import RunError
from mixwright.lab.training.learner import without_sync
from mixwright.lab.training.meter import MeanMeter, StepTimer
from mixwright.lab.training.optimiser import set_rates
from mixwright.lab.training.session import Session
from mixwright.objectives.objective import Losses
from mixwright.sampling import Stream, stream


class DivergedError(RunError):
    """A loss or a weight is no longer a finite number."""


T = TypeVar("T")
MicroBatches = list[tuple[Tensor, Tensor]]

# Before the names of an objective's terms and diagnostics, which are its own to choose.
TERM, DIAGNOSTIC = "term ", "diagnostic "


@dataclass(frozen=True)
class EpochSummary:
    """An epoch of training in numbers.

    Args:
        means: loss, accuracy, and each term (``TERM`` before its name) and diagnostic
            (``DIAGNOSTIC``) of the objective, means over the images of all processes.
        lr: learning rate of the last step.
        seconds: wall time, with what the objective does before the first step, without evaluation.
        step_seconds: median time of an optimiser step.
    """

    means: dict[str, float]
    lr: float
    seconds: float
    step_seconds: float
    images: int


def train_epoch(
    session: Session, epoch: int, on_means: Callable[[int, dict[str, float], float], None]
) -> EpochSummary:
    """Train for one pass over the images, from epoch 1; the session changes.

    ``on_means`` is called now and then with the steps done, the means so far and the rate.
    """
    recipe = session.recipe
    seeds = streams(recipe.seed, session.world.rank, epoch)
    # Dropout draws from torch's global generator, which is put back at the end of the run.
    torch.manual_seed(int(torch.randint(2**62, (), generator=seeds[Stream.MODULES])))
    meter, timer = MeanMeter(), StepTimer(session.device)
    session.train_mode()
    started, images, rate = time.perf_counter(), 0, 0.0
    session.begin_epoch()
    steps = session.steps
    read_every = max(1, min(50, steps // 4))  # each reading makes an accelerator wait
    batches = session.train.epoch(order=seeds[Stream.ORDER], augment=seeds[Stream.AUGMENT])
    timer.lap()
    for step, group in enumerate(in_groups(batches, recipe.accumulate)):
        progress = (epoch - 1 + step / steps) / recipe.epochs  # epochs may differ in their steps
        rate = train_step(session, group, meter, seeds[Stream.MIX], progress, epoch)
        images += sum(len(labels) for _, labels in group)
        timer.lap()
        if epoch == 1 and step == 0:  # what is wrong from the start shows before minutes of it
            _finite(meter.means(session.world), session, epoch, 1)
        if (step + 1) % read_every == 0 and step + 1 < steps:
            means = _finite(meter.means(session.world), session, epoch, step + 1)
            on_means(step + 1, means, rate)
    means = _finite(meter.means(session.world), session, epoch, steps)
    seconds = time.perf_counter() - started
    _check_weights(session, epoch)
    images = sum(session.world.gather(images))
    return EpochSummary(means, rate, seconds, timer.median(), images)


def streams(seed: int, rank: int, epoch: int) -> list[Generator]:
    """The generators of an epoch, at ``Stream.ORDER``, ``AUGMENT``, ``MIX`` and ``MODULES``.

    Those of the order are alike on all ranks, all others differ. Order, crops and flips do not
    depend on the method, so that runs of one seed see the same images whatever mixes them.
    """
    own = [stream(seed, rank, epoch, word) for word in (Stream.AUGMENT, Stream.MIX, Stream.MODULES)]
    return [stream(seed, epoch, Stream.ORDER), *own]


def train_step(
    session: Session,
    group: MicroBatches,
    meter: MeanMeter,
    generator: Generator,
    progress: float,
    epoch: int,
) -> float:
    """Step by the gradients of the mean loss over a group's images; return the model's rate."""
    recipe, device = session.recipe, session.device
    whole = sum(len(labels) for _, labels in group)
    mixing = epoch <= recipe.epochs - recipe.mix_off_epochs
    for number, (images, labels) in enumerate(group, start=1):
        images, pool = _views(images, labels, mixing=mixing)
        if recipe.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        with nullcontext() if number == len(group) else without_sync(session.learner):
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                losses: Losses = session.learner(
                    images, pool, generator=generator, progress=progress, mixing=mixing
                )
            (losses.total * (len(labels) / whole)).backward()
        terms = {TERM + name: value for name, value in losses.terms.items()}
        more = {DIAGNOSTIC + name: value for name, value in losses.diagnostics.items()}
        accuracy = _accuracy(losses, pool)
        meter.add({**terms, **more, "loss": losses.total, "accuracy": accuracy}, len(labels))
    return _update(session, progress)


def _views(images: Tensor, labels: Tensor, *, mixing: bool) -> tuple[Tensor, Tensor]:
    """Return images in all their views, with a label each; without mixing the first view alone."""
    if not mixing:
        return images[: len(labels)], labels
    return images, labels.repeat(len(images) // len(labels))


@torch.no_grad()
def _accuracy(losses: Losses, labels: Tensor) -> Tensor:
    if losses.plan is None:
        return (losses.logits.argmax(dim=1) == labels).float().mean()
    return losses.plan.accuracy(losses.logits, labels if losses.labels is None else losses.labels)


def _update(session: Session, progress: float) -> float:
    """Step all players; return the model's learning rate."""
    recipe, optimizer = session.recipe, session.optimizer
    if recipe.grad_clip is not None:  # each player by itself: one must not silence the other
        for player in (session.model, session.objective):
            if any(weight.grad is not None for weight in player.parameters()):
                nn.utils.clip_grad_norm_(player.parameters(), recipe.grad_clip)
    step, warmup = 1 / (recipe.epochs * session.steps), recipe.warmup_epochs / recipe.epochs
    rate = set_rates(optimizer, progress, step=step, warmup=warmup)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    session.update_averages()
    session.objective.after_step(session.model)
    return rate


def _finite(means: dict[str, float], session: Session, epoch: int, step: int) -> dict[str, float]:
    """Return the means; refuse a loss or a term that is not a finite number."""
    watched = {name: mean for name, mean in means.items() if not name.startswith(DIAGNOSTIC)}
    bad = next((name for name, mean in watched.items() if not math.isfinite(mean)), None)
    if bad is None or bad == "accuracy":
        return means
    name = bad.removeprefix(TERM)
    what = "the loss" if name == "loss" else f"the loss term {name!r}"
    if epoch == step == 1:
        raise DivergedError(
            f"training cannot begin: {what} of the first step is {means[bad]}, before any weight "
            f"has changed; expected a finite number. Look at the forward pass of "
            f"{session.recipe.model}, at the weights that it starts from, and at the images."
        )
    raise diverged(f"{what} is {means[bad]}", session, epoch, f" by step {step}")


def _check_weights(session: Session, epoch: int) -> None:
    """Refuse weights that are not finite: a bad gradient in the last step shows there only."""
    players = (session.model, session.objective)
    named = list(itertools.chain.from_iterable(player.named_parameters() for player in players))
    norms = torch.stack([weight.detach().float().norm() for _, weight in named]).tolist()
    for (name, _), norm in zip(named, norms, strict=True):
        if not math.isfinite(norm):
            raise diverged(f"the weight {name!r} is not finite", session, epoch)


def diverged(what: str, session: Session, epoch: int, when: str = "") -> DivergedError:
    """What ends a run that ``what`` became of in an epoch, and what to do about it."""
    kept = f"the checkpoint of epoch {epoch - 1} is kept" if epoch > 1 else "no checkpoint yet"
    return DivergedError(
        f"training diverged: {what} in epoch {epoch}{when}; {kept}. Lower lr (it is "
        f"{session.recipe.lr}), warm up longer or set grad_clip, in a folder of its own."
    )


def in_groups(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Yield ``size`` items at a time, and what is left over."""
    while group := list(itertools.islice(items, size)):
        yield group
