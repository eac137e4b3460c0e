"""DADA: a policy of image operations, searched before the first epoch, then trained with."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import check_number, check_settings, check_unit, check_whole
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import check_batch
from mixwright.objectives.criteria import CriterionOrNone, CrossEntropy
from mixwright.objectives.dada.influence import Order
from mixwright.objectives.dada.policy import PAIRS, FoundPolicy, SubPolicy, augmented
from mixwright.objectives.dada.search import (
    Examples,
    Search,
    SearchProgress,
    SearchSettings,
    left_text,
)
from mixwright.objectives.objective import Losses, Objective
from mixwright.sampling import stream
from mixwright.taps import bare, deep_copy

_log = logging.getLogger(__name__)


@dataclass(kw_only=True, eq=False, repr=False)
class DADA(Objective):
    """Train on images changed by pairs of operations that a search has found to help.

    Fifteen operations (shears, shifts, tones, Cutout) make 105 pairs, each with a weight, two
    chances and two levels. The search trains a copy of the model on one half of a small set and
    moves all of them so that a training step helps most on the other half. The pairs of largest
    weight are kept; from then on each image of a batch gets one of them, and the plain loss
    trains the model. Labels are never mixed.

    Our own loop searches before the first epoch, on the weights that the model has then, and a
    run that is resumed keeps what was found. In a loop of your own call ``search`` once. Images
    are in [0, 1]; let the model normalise them.

    Args:
        search_epochs: passes over the half that the copy learns from, from 1; the paper uses 20.
        search_size: images to search on, both halves together, from 4; all where there are
            fewer. They are held in memory meanwhile. The paper uses 4,000.
        policies: sub-policies to keep, from 1 to 105; the paper uses 25.
        batch_size: images of each half in an iteration, from 2; fewer where a half is smaller.
            The authors use 32 on CIFAR-100 and 128 on CIFAR-10.
        lr: highest rate of the copy's SGD, above 0; theirs is 0.1.
        weight_decay: of that SGD, at least 0; theirs is 5e-4 on CIFAR-100, 2e-4 on CIFAR-10.
        policy_lr: rate of the policy's Adam, above 0; theirs is 5e-3.
        order: ``"second"`` judges a draw by the gradient on the other half after a step on it, as
            the authors do; ``"first"`` by the gradient before it, at 10 instead of 13 forwards'
            time an iteration.
        seed: of the search in our loop. It is apart from the run's, so that several processes,
            and several runs on one set, find what is the same where arithmetic is.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``, of search and
            training; None for the cross-entropy.

    Attributes:
        found: the sub-policies, part of the state that is saved.

    Raises:
        ValueError: an argument is out of range; in a step, nothing was searched yet, or
            images are outside [0, 1].

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
        >>> objective = DADA(search_epochs=1, policies=3)
        >>> objective.build(model, 2)
        >>> images, labels = torch.rand(8, 3, 4, 4), torch.tensor([0, 1] * 4)
        >>> policy = objective.search(images, labels, generator=stream(0))
        >>> len(policy), policy == objective.policy
        (3, True)
        >>> losses = objective(model, images, labels, generator=stream(1), progress=0.0)
        >>> losses.total.shape
        torch.Size([])

    Source: Li et al., "DADA: Differentiable Automatic Data Augmentation", ECCV 2020,
    arXiv:2003.03780. No policy of theirs is used.

    Departs from the authors' code: ``relax`` is applied to the measured product itself, and apart
    to pair and gates; images are searched on without crop, flip and Cutout of their own; tones
    are rounded to bytes by some operations only; and Cutout covers with mid grey, and a square of
    the share that is asked for, where Pillow's rectangle holds both its ends: of 32x32 pixels 37.0
    are covered on average at level 1 and 30.2 at level 0.9, there 46.6 and 34.7.
    """

    card = Card(
        title="DADA",
        paper="Li et al., ECCV 2020",
        link="https://arxiv.org/abs/2003.03780",
        needs="model",
        cost="two image operations a sample; before the first epoch a search of 1,240 iterations, "
        "each 13 forwards' time",
        note="No mixing: pairs of image operations that a search on a small part of the images has "
        "found to help.",
        labels="own",
        formula="105 pairs of operations: weights, chances and levels are moved so that a step "
        "on one half of a small set helps on the other\n"
        "x~ = x after one of the policies best pairs, drawn for each image\n"
        "y~ = y",
        limits="No mixing. The search comes before the first epoch and costs minutes to hours; "
        "what it finds belongs to its data and model. Operations that change the class of your "
        "images (turning digits, tones of medical images) are among those searched.",
        cites=("li2020dada",),
    )

    search_epochs: int = 20
    search_size: int = 4000
    policies: int = 25
    batch_size: int = 32
    lr: float = 0.1
    weight_decay: float = 5e-4
    policy_lr: float = 5e-3
    order: Order = "second"
    seed: int = 0
    criterion: CriterionOrNone = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_settings(self)
        least = {"search_epochs": 1, "search_size": 4, "policies": 1, "batch_size": 2}
        for name, low in least.items():
            check_whole("DADA", name, getattr(self, name), low=low)
        check_number("DADA", "policies", self.policies, low=1, high=len(PAIRS))
        check_number("DADA", "lr", self.lr, open_low=True)
        check_number("DADA", "weight_decay", self.weight_decay)
        check_number("DADA", "policy_lr", self.policy_lr, open_low=True)
        self.criterion = self.criterion or CrossEntropy()  # None stands for it
        self.settings = SearchSettings(
            epochs=self.search_epochs,
            batch_size=self.batch_size,
            lr=self.lr,
            weight_decay=self.weight_decay,
            policy_lr=self.policy_lr,
            order=self.order,
            criterion=self.criterion,
        )
        self.found = FoundPolicy(self.policies)
        self._model: tuple[Module, ...] = ()  # in a tuple it is no part of the objective

    @property
    def policy(self) -> tuple[SubPolicy, ...]:
        """The sub-policies that were found, the largest weight first; empty before a search."""
        return self.found.policy

    def describe(self) -> str:
        """Describe the found sub-policies in words, a line each.

        Example:
            >>> from mixwright.objectives.dada import PolicyStep
            >>> objective = DADA(policies=1)
            >>> objective.use([(PolicyStep("Rotate", 0.3, 0.9), PolicyStep("Invert", 0.05, 0.5))])
            >>> objective.describe()
            'turn by 24 degrees (30%), then invert (5%)'
        """
        return "\n".join(f"{first}, then {second}" for first, second in self.policy)

    def use(self, policy: Sequence[SubPolicy]) -> None:
        """Take a policy that was found elsewhere, of ``policies`` sub-policies, and do not search.

        Raises:
            ValueError: they are not as many, or name an unknown operation.
        """
        self.found.keep(policy)

    def build(self, model: Module, num_classes: int) -> None:
        """See ``Objective.build``; remembers the model, whose copy the search trains."""
        del num_classes
        self._model = (model,)

    def on_epoch_start(self, data: Any) -> None:
        """See ``Objective.on_epoch_start``; searches where nothing was found yet.

        All processes search alike, on the same images and from the same seed, and go on with what
        rank 0 found.
        """
        if self.policy:
            return
        generator = stream(self.seed, len(data.train))
        rows = torch.randperm(len(data.train), generator=generator)[: self.search_size]
        rows = rows.to(data.train.labels.device)
        images, labels = data.train.take(rows), data.train.labels[rows]
        _log.info("DADA searches on %d images before the first epoch", len(images))
        self.search(images, labels, generator=generator, on_progress=_log_progress)
        self.found.equalise()
        _log.info("DADA found:\n%s", self.describe())

    def search(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        generator: Generator,
        on_progress: Callable[[SearchProgress], None] | None = None,
    ) -> tuple[SubPolicy, ...]:
        """Search for a policy on images, whatever was found before.

        The model that ``build`` got is copied and stays as it is, torch's global generator too.

        Args:
            images: ``(M, C, H, W)`` uint8, or floating in [0, 1]; a few thousand are enough.
                Every other one of a random order is only judged on.
            labels: ``(M,)`` int64 or ``(M, K)`` floating.
            generator: CPU generator, source of all randomness.
            on_progress: called after each epoch of the search.

        Returns:
            The found sub-policies, which ``policy`` gives too.

        Raises:
            ValueError: ``build`` was not called, there are fewer than 4 images, or they are
                outside [0, 1].
        """
        if not self._model:
            raise ValueError(
                "DADA.search: there is no model yet; expected objective.build(model, num_classes) "
                "before a search."
            )
        if images.ndim != 4 or len(images) < 4 or len(labels) != len(images):
            raise ValueError(
                f"DADA.search: images have shape {tuple(images.shape)}, with {len(labels)} labels; "
                "expected (M, C, H, W) of at least 4 images, and a label for each."
            )
        if images.dtype != torch.uint8:
            check_unit("DADA.search", images)
        student = deep_copy(bare(self._model[0]))
        device = next(student.parameters()).device
        images, labels = images.to(device), labels.to(device)
        order = torch.randperm(len(images), generator=generator).to(device)
        halves = [Examples(images[rows], labels[rows]) for rows in (order[::2], order[1::2])]
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            search = Search(
                student,
                train=halves[0],
                valid=halves[1],
                settings=self.settings,
                generator=generator,
            )
            self.use(search.run(on_progress).best(len(self.found)))
        return self.policy

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
        check_batch("DADA", images, labels, dims=2)
        self.check_unit(images)
        if not self.policy:
            raise ValueError(
                "DADA: it has no policy yet; expected a search before the first step. mixwright's "
                "loop makes one before its first epoch; in a loop of your own call "
                "objective.search(images, labels, generator=...) once, after objective.build, or "
                "load the state of an objective that has searched."
            )
        changed = augmented(images, self.policy, generator=generator)
        logits = self._logits(model, changed)
        total = self.criterion(logits, labels).mean()
        return Losses(total, {"loss": total.detach()}, logits)


def _log_progress(progress: SearchProgress) -> None:
    _log.info(
        "DADA searches: epoch %d of %d, loss %.3f%s",
        progress.epoch, progress.epochs, progress.loss, left_text(progress.seconds_left),
    )  # fmt: skip
