"""What the objectives with a learned mixer share: settings, players, and how they move."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor
from torch import distributed as dist
from torch.nn import Linear, Module, init
from torch.nn.parallel import DistributedDataParallel

from mixwright.arguments import (
    HIGHEST_RATE,
    check_number,
    check_range,
    check_settings,
    check_whole,
)
from mixwright.masknets import MaskLoss, MaskLossName, MaskNet, Upsampling
from mixwright.mixers.learned import MOST_SOURCES, LearnedMixer
from mixwright.mixers.mixer import Per, check_batch
from mixwright.mixers.sources import Of, Sources, draw_sources
from mixwright.objectives.criteria import CriterionOrNone, CrossEntropy
from mixwright.objectives.grouped import grouped_norm
from mixwright.objectives.momentum import Statistics, Teacher, momentum
from mixwright.objectives.objective import Objective
from mixwright.objectives.teacher import warmed
from mixwright.outputs import take_logits
from mixwright.taps import bare, classifier, entering, evaluating, hooked, tapping
from mixwright.taps.sites import example_images, map_of, mask_stage


@dataclass(frozen=True)
class Players:
    """What ``build`` makes for a model."""

    network: MaskNet
    teacher: Teacher  # the average of the student, whose features the network reads
    head: Linear  # the student's layer for mixed images; its own last layer is for whole ones
    layer: str  # name of the stage that is read


@dataclass(kw_only=True, eq=False, repr=False)
class Learning(Objective):
    """A classifier, its averaged teacher, and a mask network that learns beside them.

    In each step the teacher looks at the whole images; from its features the network makes masks.
    The student, the model that is trained, learns from whole images through its own last layer
    and from mixed ones through a second one, ``head``. The network learns through the teacher,
    whose weights stand still: gradients pass through it to the mixed images and their masks. All
    players share one backward; the routes of their gradients are kept apart.

    Subclasses define ``make_network`` and ``forward``; the fields here are settings that all of
    them have, and a subclass that is a dataclass too adds its own or gives other defaults.

    Args:
        alpha: both parameters of the Beta law of the shares; 0 turns mixing off for the student.
        margin: samples of which one image has a share of 1 - margin or more, the student sees as
            MixUp mixes them; in [0, 0.5].
        mask_weight: weight of a penalty on masks, at least 0.
        mask_loss: which penalty; see ``masknets.MaskLoss``.
        upsample: how masks are enlarged, ``"nearest"`` or ``"bilinear"``.
        layer: the layer whose map is read; None takes the one before the last stage
            (``taps.sites.mask_stage``).
        image_size: side of the images in pixels, for models that do not say and run at no common
            size; None otherwise.
        per: ``"batch"``, one share a batch, as the authors; or ``"sample"``.
        momentum: of the teacher at the beginning, in [0, 1].
        momentum_end: of the teacher at the end; the authors use 0.99999 for large images and
            0.99996 for transformers.
        momentum_hold: part of training before the momentum begins to rise; 0.25 for transformers.
        momentum_warmup: whether the teacher's t-th move, from 0, has a momentum of at most
            (1 + t) / (10 + t), so that short runs have a teacher worth asking: without it a
            momentum of 0.999 keeps a third of the first weights after 1,000 steps.
        statistics: the teacher's running statistics of batch normalisation; see ``Teacher``.
        mask_lr: highest learning rate of the mask network; None for the model's.
        mask_min_lr: rate that it falls to; None for the model's.
        batched: whether the student's passes are made as one, batch normalisation by groups:
            the same numbers, fewer and larger kernels. A compiled model runs as it was written
            then, as it does for mixed images in any case, whose features are read by a hook.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``.

    Attributes:
        network, teacher, head: made by ``build``.

    Raises:
        ValueError: an argument is out of range; in ``build``, the model has no stages or no Linear
            layer at its end; in a step, ``build`` was not called.
    """

    sources: Sources = field(init=False, default=2)
    margin_of: Of = field(init=False, default="largest")
    alpha: float = 2.0
    margin: float = 0.08
    mask_weight: float = 0.1
    mask_loss: MaskLossName = "l1+variance"
    upsample: Upsampling = "bilinear"
    layer: str | None = None
    image_size: int | None = None
    per: Per = "batch"
    momentum: float = 0.999
    momentum_end: float = 0.999999
    momentum_hold: float = 0.1
    momentum_warmup: bool = True
    statistics: Statistics = "clean"
    mask_lr: float | None = None
    mask_min_lr: float | None = None
    batched: bool = False
    criterion: CriterionOrNone = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_settings(self)
        name = type(self).__name__
        if isinstance(self.sources, tuple):
            check_range(name, "sources", self.sources, low=2)
        for number in self.sources if isinstance(self.sources, tuple) else (self.sources,):
            check_whole(name, "sources", number, low=2, high=MOST_SOURCES)
        if self.image_size is not None:
            check_whole(name, "image_size", self.image_size, low=1)
        check_number(name, "alpha", self.alpha)
        check_number(name, "margin", self.margin, high=0.5)
        for option in ("momentum", "momentum_end", "momentum_hold"):
            check_number(name, option, getattr(self, option), high=1.0)
        if self.mask_lr is not None:
            check_number(name, "mask_lr", self.mask_lr, high=HIGHEST_RATE, open_low=True)
        if self.mask_min_lr is not None:
            check_number(name, "mask_min_lr", self.mask_min_lr)
        check_number(name, "mask_weight", self.mask_weight)
        self.criterion = self.criterion or CrossEntropy()  # None stands for it
        self.mask_penalty = MaskLoss(self.mask_loss)
        self.steps, self.updates = 0, 0  # made so far: batches, and moves of the teacher
        self._moved = False  # whether a batch was learned from since the teacher last moved
        self._progress = 0.0
        self.network: MaskNet | None = None
        self.teacher: Teacher | None = None
        self.head: Linear | None = None
        self._layer, self._classes = "", 0

    # ------------------------------------------------------------------ before the first step

    def make_network(self, channels: int) -> MaskNet:
        """Make the network for features of so many channels, with initial weights."""
        raise NotImplementedError(f"{type(self).__name__} defines no make_network")

    def build(self, model: Module, num_classes: int) -> None:
        """See ``Objective.build``; makes network, teacher and head.

        Raises:
            ValueError: the model has no Linear layer at its end or shows no stage to read, or it
                does not run on blank images (then give ``image_size``).
        """
        images = example_images(model, self.image_size)
        last = _logits_layer(type(self).__name__, model, images, num_classes)
        dtype = torch.promote_types(last.weight.dtype, torch.float32)
        self._layer = self.layer or mask_stage(model, images)
        self._classes = num_classes
        self.head = Linear(last.in_features, num_classes).to(last.weight.device, dtype)
        init.normal_(self.head.weight, std=0.01)
        init.zeros_(self.head.bias)
        self.teacher = Teacher(model, self.head, statistics=self.statistics)
        with torch.no_grad(), tapping(self.teacher.model, self._layer) as tap:
            self.teacher.model.eval()(images.to(dtype))
        channels, *grid = map_of(model, tap.value, images).shape[1:]
        if max(grid) < 2:
            raise ValueError(
                f"{type(self).__name__}: layer {self._layer!r} gives a map of one place, of which "
                "masks would be flat; expected rows and columns. Name an earlier layer."
            )
        self.teacher.train()
        self.network = self.make_network(channels).to(last.weight.device)

    def players(self) -> Players:
        """Return what ``build`` made."""
        if self.network is None or self.teacher is None or self.head is None:
            raise ValueError(
                f"{type(self).__name__}: it has no teacher yet; expected objective.build(model, "
                "num_classes) before the first step and before the optimiser is made."
            )
        return Players(self.network, self.teacher, self.head, self._layer)

    # ------------------------------------------------------------------ in a step

    def begin(self, model: Module, images: Tensor, labels: Tensor, progress: float) -> Players:
        """Check a batch and note how far training is; the first line of each ``forward``."""
        name = type(self).__name__
        check_batch(name, images, labels, dims=2)
        check_number(name, "progress", progress, high=1.0)
        players = self.players()
        if isinstance(model, DistributedDataParallel) and dist.get_world_size() > 1:
            raise ValueError(
                f"{name}: model is wrapped in DDP by itself, so the processes' heads and networks "
                "of masks would drift apart; expected one wrapped module that holds both. Wrap a "
                "module that calls the objective with the plain model, as docs/learned-mixers.md "
                "shows."
            )
        if torch.is_grad_enabled():  # else it only measures, as for a validation loss
            self._progress, self._moved = progress, True
            self.steps += 1
        if self.steps == 500 and self.updates == 0:
            warnings.warn(
                f"{name}: 500 batches and the teacher has never moved; expected "
                "objective.after_step(model) after each optimiser step.",
                stacklevel=3,
            )
        return players

    def draw(self, images: Tensor, count: int, *, generator: Generator) -> tuple[Tensor, Tensor]:
        """Draw rows and shares; see ``draw_sources``."""
        return draw_sources(
            len(images),
            count,
            alpha=self.alpha,
            device=images.device,
            generator=generator,
            per=self.per,
        )

    def student(
        self, model: Module, images: Tensor | None, mixes: Sequence[Tensor]
    ) -> tuple[Tensor | None, list[Tensor]]:
        """Run the student on whole images (None leaves this pass out) and on mixed batches.

        Returns logits ``(B, K)`` of the model's own last layer for the whole images, and of
        ``head`` for each mixed batch.
        """
        head = self.players().head
        batches = ([] if images is None else [images]) + list(mixes)
        rows = len(batches[0])
        last = classifier(model, batches[0])
        if self.batched and len(batches) > 1:
            with grouped_norm(model, len(batches)), entering(model, last) as tap:
                own = list(self._logits(model, torch.cat(batches)).split(rows))
            entered = list(tap.value.split(rows))
        else:
            own, entered = list[Tensor](), list[Tensor]()
            for number, batch in enumerate(batches):
                # No hook for whole images: a compiled model would run uncompiled with one.
                whole = images is not None and number == 0
                with nullcontext() if whole else entering(model, last) as tap:
                    own.append(self._logits(model, batch))
                entered.append(own[-1] if tap is None else tap.value)
        first = 0 if images is None else 1
        logits = [head(value.to(_head_dtype(head, value))) for value in entered[first:]]
        return (own[0] if first else None), logits

    # ------------------------------------------------------------------ around the steps

    def settle(self, clean_again: int) -> None:
        """Bring the teacher's running statistics on, at the end of a step; see ``Teacher``."""
        if torch.is_grad_enabled():
            self.players().teacher.settle(clean_again)

    def after_step(self, model: Module) -> None:
        """See ``Objective.after_step``; moves the teacher, if there was a batch to learn from.

        While mixing is off at the end of a run it stands still: its running statistics would.
        """
        if not self._moved:
            return
        self._moved = False
        players = self.players()
        rate = momentum(
            self._progress, start=self.momentum, end=self.momentum_end, hold=self.momentum_hold
        )
        if self.momentum_warmup:
            rate = warmed(rate, self.updates)
        self.updates += 1
        players.teacher.follow(model, players.head, rate)

    def needs_partner(self) -> bool:
        """See ``Objective.needs_partner``; masks part two images."""
        return True

    def mixed_heads(self) -> dict[str, Linear]:
        """See ``Objective.mixed_heads``; ``head``, and the teacher's average of it."""
        if self.head is None or self.teacher is None:
            return {}
        return {"raw": self.head, "teacher": self.teacher.head}

    def before_evaluation(self, batches: Any) -> None:
        """See ``Objective.before_evaluation``; measures the teacher's running statistics."""
        self.players().teacher.recompute(batches)

    def own_teacher(self) -> Module | None:
        """See ``Objective.own_teacher``."""
        return None if self.teacher is None else self.teacher.model

    def trained_mixer(self) -> LearnedMixer:
        """See ``Objective.trained_mixer``: frozen copies of the network and of the teacher."""
        players = self.players()
        return LearnedMixer(
            players.teacher.model,
            players.network,
            layer=players.layer,
            sources=self.sources,
            alpha=self.alpha,
            per=self.per,
            margin=self.margin,
            margin_of=self.margin_of,
            about={"method": type(self).__name__},
        )

    def compiled_parts(self) -> tuple[Module, ...]:
        """See ``Objective.compiled_parts``."""
        return () if self.network is None else (self.network,)

    def param_groups(self, recipe: Any) -> list[dict[str, Any]]:
        """See ``Objective.param_groups``: the head as the model, the network with own rates."""
        players = self.players()
        rates = {"lr": self.mask_lr, "min_lr": self.mask_min_lr}
        own = {name: rate for name, rate in rates.items() if rate is not None}
        groups = [
            {"params": list(players.head.parameters()), "name": "head"},
            {"params": list(players.network.parameters()), "name": "masks", **own},
        ]
        if getattr(recipe, "decay_norms", True):
            return groups
        return [part for group in groups for part in _by_decay(group)]

    def warnings(self, means: Mapping[str, float], *, progress: float) -> tuple[str, ...]:
        """See ``Objective.warnings``; looks at the masks."""
        sentences = list[str]()
        spread, largest = means.get("mask spread", 1.0), means.get("mask largest", 0.0)
        if spread < 5e-3 and progress > (0.2 if self.steps > 500 else 0.5):
            sentences.append(
                f"masks are flat (they vary by {spread:.4f} over an image, {5e-3:g} is the least "
                "that shows): the student trains on plain mixtures. Raise mask_lr, or name an "
                "earlier layer."
            )
        follows = means.get("mask follows lam", 0.0)
        if largest > 0.95 and follows < 0.5 and progress > 0.05:
            sentences.append(
                f"one source takes all (its masks cover {largest:.0%} of the image): labels "
                "no longer say what is seen. Add a mask loss, or lower mask_lr."
            )
        return tuple(sentences)

    def get_extra_state(self) -> dict[str, Any]:
        """Return what a run needs beside tensors to continue."""
        return {"steps": self.steps, "updates": self.updates}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from what ``get_extra_state`` returned."""
        self.steps, self.updates = int(state["steps"]), int(state["updates"])


def _logits_layer(name: str, model: Module, images: Tensor, num_classes: int) -> Linear:
    """Return the model's last Linear, if it is what makes the logits."""
    last = classifier(model, images)
    ran = list[None]()
    handle = last.register_forward_hook(lambda *_: ran.append(None))
    try:
        with torch.no_grad(), evaluating(bare(model)), hooked():
            logits = take_logits(bare(model)(images), who=name, count=len(images))
    finally:
        handle.remove()
    if logits.shape[1] != num_classes:
        raise ValueError(
            f"{name}: for {len(images)} images the model returns {tuple(logits.shape)}; expected "
            f"logits of shape ({len(images)}, {num_classes}), one for each class. Build it for "
            "these classes, or wrap it so that it returns its logits."
        )
    if last.out_features != num_classes or len(ran) != 1:
        raise ValueError(
            f"{name}: the model's last Linear gives {last.out_features} numbers and runs "
            f"{len(ran)} times in a forward; expected {num_classes}, the number of classes, and "
            "once. Build the model for these classes, with a Linear that makes its logits."
        )
    return last


def _by_decay(group: dict[str, Any]) -> list[dict[str, Any]]:
    """Split a group into parameters with and without weight decay, as those of the model are."""
    flat = [parameter for parameter in group["params"] if parameter.ndim < 2]
    rest = [parameter for parameter in group["params"] if parameter.ndim >= 2]
    return [
        {**group, "params": rest},
        {**group, "params": flat, "name": f"{group['name']}, biases", "weight_decay": 0.0},
    ]


def _head_dtype(head: Linear, value: Tensor) -> torch.dtype:
    """Return the dtype that the head takes: under autocast the value's own will do."""
    return value.dtype if torch.is_autocast_enabled(value.device.type) else head.weight.dtype
