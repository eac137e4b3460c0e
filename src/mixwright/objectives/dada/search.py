"""The search: network and policy learn in turns, one on either half of the images."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor, nn
from torch.optim import SGD, Adam

from mixwright.objectives.criteria import Criterion, CrossEntropy
from mixwright.objectives.dada.influence import Order, influence
from mixwright.objectives.dada.policy import Draw, Policy
from mixwright.objectives.dada.relax import relax
from mixwright.outputs import take_logits

_PAUSE = 10.0  # seconds between two lines in the log
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How a search goes; see ``DADA`` for ranges."""

    epochs: int = 20
    batch_size: int = 32
    lr: float = 0.1  # the highest of the network's SGD, which falls to 0 along a cosine
    momentum: float = 0.9  # of that SGD
    weight_decay: float = 5e-4  # of that SGD
    grad_clip: float = 5.0  # largest norm of the network's gradient
    policy_lr: float = 5e-3  # of the policy's Adam
    order: Order = "second"
    criterion: Criterion = field(default_factory=CrossEntropy)


@dataclass(frozen=True, slots=True)
class SearchProgress:
    """How far a search is, after each of its epochs.

    ``loss`` is the epoch's mean on augmented images; ``spread`` the entropy of the pairs' chances
    as a share of the largest possible, 1 as long as nothing was learned; ``seconds_left`` an
    estimate for the rest of the search.
    """

    epoch: int
    epochs: int
    loss: float
    spread: float
    seconds_left: float = 0.0


@dataclass(frozen=True, slots=True)
class Examples:
    """Images with their labels, on the device of the network."""

    images: Tensor  # (M, C, H, W) uint8, or floating in [0, 1]
    labels: Tensor  # (M,) or (M, K)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return chosen images in [0, 1], and their labels."""
        rows = rows.to(self.labels.device)
        images = self.images[rows]
        return (images.float() if images.is_floating_point() else images / 255), self.labels[rows]


class Search:
    """Learn a policy together with a network.

    An iteration draws one sub-policy for a batch of ``train``, measures by ``influence`` how
    much a step on it would help on a batch of ``valid``, moves the policy towards what
    helps (``relax`` for weights and chances; the sum of the pixels' gradients for the levels of
    operations that were done, as if each added its level to every pixel), and then makes the
    network's own step on a new draw. The network is changed, and in training mode from here on.
    Its dropout draws from torch's global generator, which the caller seeds; all else is drawn from
    ``generator``.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        train: Examples,
        valid: Examples,
        settings: SearchSettings,
        generator: Generator,
    ) -> None:
        self.model = model.train()
        self.train, self.valid = train, valid
        self.settings, self.generator = settings, generator
        self.policy = Policy()
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.sgd = SGD(
            self.weights,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
        )
        self.adam = Adam(self.policy.parameters(), lr=settings.policy_lr, betas=(0.5, 0.999))
        self.done = 0
        self._began = self._said = time.monotonic()

    @property
    def batch(self) -> int:
        """Images of a batch: as asked for, or all where a half has fewer."""
        return min(self.settings.batch_size, len(self.train), len(self.valid))

    @property
    def steps(self) -> int:
        """Iterations of an epoch; what does not fill a batch waits for another epoch."""
        return min(len(self.train), len(self.valid)) // self.batch

    def run(self, on_progress: Callable[[SearchProgress], None] | None = None) -> Policy:
        """Search to the end, and give the policy."""
        self._began = self._said = time.monotonic()
        for epoch in range(1, self.settings.epochs + 1):
            loss = self.epoch()
            if on_progress is not None:
                epochs, spread, left = self.settings.epochs, self._spread(), self._seconds_left()
                on_progress(SearchProgress(epoch, epochs, loss, spread, left))
                self._said = time.monotonic()
        return self.policy

    def epoch(self) -> float:
        """Make an epoch; gives the mean training loss."""
        orders = [
            torch.randperm(len(half), generator=self.generator) for half in (self.train, self.valid)
        ]
        losses: list[Tensor] = []
        for step in range(self.steps):
            rows = slice(step * self.batch, (step + 1) * self.batch)
            images, labels = self.train.take(orders[0][rows])
            self._set_rate()
            self.improve_policy(images, labels, *self.valid.take(orders[1][rows]))
            losses.append(self.improve_model(images, labels))
            self.done += 1
            self._say()
        return float(torch.stack(losses).mean())

    def improve_policy(
        self, images: Tensor, labels: Tensor, valid_images: Tensor, valid_labels: Tensor
    ) -> None:
        """Move the policy, by batches of both halves."""
        drawn = self.policy.draw(generator=self.generator)
        mixed = drawn.images(images, generator=self.generator)
        chance = int(torch.randint(2**31, (), generator=self.generator))

        def loss(images: Tensor, labels: Tensor) -> Tensor:
            torch.manual_seed(chance)  # the same dropout in all passes that are compared
            return self.settings.criterion(self._logits(images), labels).mean()

        value, slope = influence(
            self.weights,
            mixed,
            lambda pixels: loss(pixels, labels),
            lambda: loss(valid_images, valid_labels),
            rate=self.sgd.param_groups[0]["lr"],
            order=self.settings.order,
            momentum=self.settings.momentum,
            weight_decay=self.settings.weight_decay,
            buffers=self._buffers(),
        )
        self._move(drawn, *torch.stack([value, slope.sum()]).float().cpu().unbind())

    def improve_model(self, images: Tensor, labels: Tensor) -> Tensor:
        """Make the network's step on a new draw; gives its loss, 0-d."""
        drawn = self.policy.draw(generator=self.generator)
        logits = self._logits(drawn.images(images, generator=self.generator))
        loss = self.settings.criterion(logits, labels).mean()
        self.sgd.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.weights, self.settings.grad_clip)
        self.sgd.step()
        return loss.detach()

    def _move(self, drawn: Draw, value: Tensor, slope: Tensor) -> None:
        """Step up the estimated gradient of what a draw is worth."""
        policy = self.policy
        found = relax(value, policy.values, drawn.noise, policy.control)
        square = found.weights.square().sum() + found.chances.square().sum()
        control = list(policy.control.parameters())
        slopes = torch.autograd.grad(square, control)
        levels = torch.zeros_like(policy.levels)
        levels[drawn.pair] = torch.tensor(drawn.done) * slope
        policy.weights.grad = -found.weights.detach()
        policy.chances.grad = -found.chances.detach()
        policy.levels.grad = -levels
        for parameter, slope in zip(control, slopes, strict=True):
            parameter.grad = slope
        self.adam.step()
        policy.tidy()

    def _say(self) -> None:
        """Log how far the search is, where an epoch takes so long that one would wonder."""
        now = time.monotonic()
        if now - self._said >= _PAUSE:
            self._said = now
            total = self.settings.epochs * self.steps
            _log.info(
                "DADA searches: iteration %d of %d%s",
                self.done, total, left_text(self._seconds_left()),
            )  # fmt: skip

    def _seconds_left(self) -> float:
        total = self.settings.epochs * self.steps
        return (time.monotonic() - self._began) * (total - self.done) / max(1, self.done)

    def _logits(self, images: Tensor) -> Tensor:
        return take_logits(self.model(images), who="DADA", count=len(images))

    def _buffers(self) -> dict[Tensor, Tensor]:
        state = self.sgd.state
        return {w: state[w]["momentum_buffer"] for w in self.weights if state.get(w)}

    def _set_rate(self) -> None:
        share = self.done / (self.settings.epochs * self.steps)
        self.sgd.param_groups[0]["lr"] = self.settings.lr * (1 + math.cos(math.pi * share)) / 2

    @torch.no_grad()
    def _spread(self) -> float:
        log = self.policy.weights.log_softmax(dim=0)
        return float(-(log.exp() * log).sum() / math.log(len(log)))


def left_text(seconds: float) -> str:
    """Say how long the rest takes; nothing at the end.

    Example:
        >>> left_text(40.2), left_text(300), left_text(0.2)
        (', about 40 s left', ', about 5 min left', '')
    """
    if seconds < 1:
        return ""
    return (
        f", about {seconds:.0f} s left" if seconds < 90 else f", about {seconds / 60:.0f} min left"
    )
