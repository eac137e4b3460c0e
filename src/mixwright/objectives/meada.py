"""ME-ADA: adversarial images of the model's own making, learned from beside the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import check_number, check_settings, check_whole
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import check_batch
from mixwright.mixers.pair_mixer import draw_partners
from mixwright.objectives.criteria import CriterionOrNone, CrossEntropy
from mixwright.objectives.objective import Losses, Objective
from mixwright.taps import bare, classifier, entering, evaluating

_AT_ONCE = 128  # images that are made hard together; it decides memory and speed alone
# Twice the scale of the pixels is half the gradient, and half of the move is left of it.
_PUBLISHED_BATCH, _PUBLISHED_SCALE = 128, 2 * 2


@dataclass(kw_only=True, eq=False, repr=False)
class MEADA(Objective):
    """Make hard copies of the images by gradient ascent, and learn from both.

    For each image x of label y the pixels climb ``CE(f(x), y) + eta * H(f(x)) - gamma * D(x)``: the
    cross-entropy, the entropy of the prediction, in nats, and the mean squared distance of what
    enters the last Linear from what it was at the start. The network is in evaluation mode
    meanwhile. With ``eta=0`` this is ADA (Volpi et al. 2018).

    There are two forms. The published one makes the data grow: after ``every`` epochs, and again
    after twice as many, up to ``rounds`` times, all images there are get a hard copy with the same
    label, rounded to 8 bits, so that 50,000 images become 100,000 and then 200,000. The other form
    is ours, ``online``: that share of each batch is made hard within the step, by the same rule
    without rounding, and the data stay as they are.

    Args:
        steps: steps of the ascent, at least 1.
        lr: its step size as published, above 0: for the mean over a batch of 128 images scaled to
            [-1, 1]. Here images are in [0, 1] and each climbs alone, so that the size of a batch
            does not matter: by ``lr / 512`` times the gradient of its own objective.
        gamma: weight of the distance, at least 0.
        eta: weight of the entropy, at least 0.
        every: epochs before the data grow, and between two times, at least 1.
        rounds: how often they grow, at least 0; each doubles them.
        online: None to let the data grow; else the share of each batch that is made hard in the
            step, in [0, 1], rounded to whole images.
        criterion: per-sample loss that is learned by, ``(B, K)`` logits and labels to ``(B,)``. The
            ascent has the cross-entropy always.

    Attributes:
        epochs: epochs begun so far.
        added: ``(A, C, H, W)`` uint8 on the CPU, the hard images so far; None before the first.
            They are part of the state, so a checkpoint grows with the data.

    Raises:
        ValueError: an argument is out of range; in ``build``, the model has no Linear; at the
            first epoch, the images are not held in memory; images to be made hard are outside
            [0, 1].

    Example:
        >>> objective = MEADA(online=0.5, steps=2)
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
        >>> objective.build(model, 5)
        >>> batch = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape, losses.logits.shape
        (torch.Size([]), torch.Size([4, 5]))

    Source: Zhao et al., "Maximum-Entropy Adversarial Data Augmentation for Improved Generalization
    and Robustness", 2020, arXiv:2010.08001; ADA: Volpi et al. 2018, arXiv:1805.12018.

    Departs from the authors' code (garyzhao/ME-ADA: model_cifar.py), where the data grow one epoch
    earlier, images of a smaller last batch climb by larger steps, and pixels are cut off to 8 bits
    where ours are rounded. Several processes each make all the copies, so that all learn from the
    same data without a word between them; that stage gets no faster by their number.
    """

    card = Card(
        title="MEADA",
        paper="Zhao et al., NeurIPS 2020",
        link="https://arxiv.org/abs/2010.08001",
        needs="model",
        dims="any",
        cost="between epochs 15 forwards and 15 backwards to the pixels for each image, twice; "
        "with four times the data a published run of 100 epochs costs 3.8 times plain training",
        note="Hard copies of all images, made by gradient ascent on the model's own loss and "
        "entropy; the data double twice.",
        labels="own",
        formula="x~ = x after steps of ascent on  CE(f(x~), y) + eta entropy(f(x~)) - gamma "
        "|features of x~ - features of x|^2\n"
        "y~ = y; the data double after each of rounds times every epochs",
        limits="No mixing. Images must be held in memory, the data grow to four times their "
        "number, and epochs with them. Hard copies are made by the model as it is then: the label "
        "is trusted though the image has moved away from it.",
        cites=("zhao2020meada",),
    )

    steps: int = 15
    lr: float = 20.0
    gamma: float = 1.0
    eta: float = 10.0
    every: int = 10
    rounds: int = 2
    online: float | None = None
    criterion: CriterionOrNone = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_settings(self)
        check_whole("MEADA", "steps", self.steps, low=1, high=100_000)
        check_number("MEADA", "lr", self.lr, open_low=True)
        check_number("MEADA", "gamma", self.gamma)
        check_number("MEADA", "eta", self.eta)
        check_whole("MEADA", "every", self.every, low=1)
        check_whole("MEADA", "rounds", self.rounds, low=0)
        if self.online is not None:
            check_number("MEADA", "online", self.online, high=1.0)
        self.criterion = self.criterion or CrossEntropy()  # None stands for it
        self.epochs = 0
        self.added: Tensor | None = None
        self._grown: Any = None  # the data set with what was added, made once
        self._model: tuple[Module, ...] = ()  # in a tuple, so that its weights are not ours too

    def build(self, model: Module, num_classes: int) -> None:
        """See ``Objective.build``; notes the model that makes images hard between epochs."""
        del num_classes
        classifier(model)
        self._model = (model,)

    def forward(
        self,
        model: Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: Generator,
        progress: float,
    ) -> Losses:
        """See ``Objective.forward``."""
        del progress
        check_batch("MEADA", images, labels)
        count = round((self.online or 0.0) * len(images))
        if count:
            order = draw_partners(images, "perm", generator=generator)
            rows = order[:count]
            hard = self.harden(model, images[rows], labels[rows])
            images = images.index_copy(0, rows, hard.to(images.dtype))
        logits = self._logits(model, images)
        total = self.criterion(logits, labels).mean()
        return Losses(total, {"loss": total.detach()}, logits)

    def harden(self, model: Module, images: Tensor, labels: Tensor) -> Tensor:
        """Make images ``(B, C, *spatial)`` in [0, 1] hard for a model, each for itself, float32.

        The model's modes, statistics and gradients stay as they are.
        """
        self.check_unit(images)
        inner = bare(model)
        last = classifier(inner, images)
        rate = self.lr / (_PUBLISHED_BATCH * _PUBLISHED_SCALE)
        pixels = images.detach().float()
        with torch.enable_grad(), evaluating(inner), entering(inner, last) as tap:
            start: Tensor | None = None
            for _ in range(self.steps):
                pixels.requires_grad_()
                logits = self._logits(inner, pixels.to(images.dtype))
                start = tap.value.detach().clone() if start is None else start
                total = self._height(logits, labels, tap.value, start).sum()
                (slope,) = torch.autograd.grad(total, pixels)
                pixels = pixels.detach() + rate * slope
        return pixels.clamp_(0, 1)

    def on_epoch_start(self, data: Any) -> Any:
        """See ``Objective.on_epoch_start``; lets the data grow when their time has come."""
        if self.online is not None:
            return None
        self._check(data)
        self.epochs += 1
        times, rest = divmod(self.epochs - 1, self.every)
        if rest == 0 and 1 <= times <= self.rounds:
            images, labels = self._all(data)
            new = self._hard_copies(images, labels)
            self.added = new if self.added is None else torch.cat([self.added, new])
            self._grown = None
        if self.added is not None and self._grown is None:
            images, labels = self._all(data)
            self._grown = replace(data, train=replace(data.train, images=images, labels=labels))
        return self._grown

    def warnings(self, means: Mapping[str, float], *, progress: float) -> tuple[str, ...]:
        """See ``Objective.warnings``; says so when the run is too short for the data to grow."""
        del means
        epochs = round(self.epochs / progress) if progress > 0 else 0
        if self.online is not None or not self.rounds or not 0 < epochs <= self.every:
            return ()
        if epochs == 1:  # they grow between epochs
            return (
                "MEADA: the data never grow in a run of 1 epoch; expected at least 2. Train for "
                "longer, or take the online form.",
            )
        return (
            f"MEADA: the data never grow, since every is {self.every} in a run of {epochs} epochs; "
            f"expected less. Take every={max(1, epochs // 4)}, or the online form.",
        )

    def get_extra_state(self) -> dict[str, Any]:
        """Return what ``state_dict`` holds: the epochs begun and the images added."""
        return {"epochs": self.epochs, "added": self.added}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from what ``get_extra_state`` gave."""
        self.epochs, self.added, self._grown = state["epochs"], state["added"], None

    def _height(self, logits: Tensor, labels: Tensor, features: Tensor, start: Tensor) -> Tensor:
        """Return what each sample climbs, ``(B,)``."""
        with torch.autocast(logits.device.type, enabled=False):
            log = logits.float().log_softmax(dim=1)
            entropy = -(log.exp() * log).sum(dim=1)
            distance = (features.float() - start.float()).square().flatten(1).mean(dim=1)
            return CrossEntropy()(logits, labels) + self.eta * entropy - self.gamma * distance

    def _all(self, data: Any) -> tuple[Tensor, Tensor]:
        """Return images and labels of the run's own data and of what was added."""
        images, labels = data.train.images, data.train.labels
        if self.added is None:
            return images, labels
        if self.added.shape[1:] != images.shape[1:] or len(self.added) % len(images):
            raise ValueError(
                f"MEADA: {len(self.added)} images of {tuple(self.added.shape[1:])} were added to "
                f"other data than these {len(images)} of {tuple(images.shape[1:])}; expected the "
                "same data in each epoch. Begin a run of its own for other data."
            )
        copies = len(self.added) // len(images)
        return torch.cat([images, self.added.to(images.device)]), labels.repeat(1 + copies)

    def _hard_copies(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return a hard copy of each uint8 image, on the CPU."""
        if not self._model:
            raise ValueError(
                "MEADA: there is no model to make images hard for; expected "
                "objective.build(model, num_classes) before the first epoch."
            )
        (model,) = self._model
        device = next(bare(model).parameters()).device
        made: list[Tensor] = []
        for few, theirs in zip(images.split(_AT_ONCE), labels.split(_AT_ONCE), strict=True):
            hard = self.harden(model, few.to(device).float().div_(255), theirs.to(device))
            made.append(hard.mul_(255).round_().to(torch.uint8).cpu())
        return torch.cat(made)

    def _check(self, data: Any) -> None:
        """Refuse data that are decoded when they are wanted; such sets are no records."""
        if not is_dataclass(data.train):
            raise ValueError(
                f"MEADA: the {len(data.train):,} training images are not held in memory; expected "
                "a set that can grow. Use the online form, online=0.5 (METHOD meada:online=0.5), "
                "or smaller images (image_size)."
            )
