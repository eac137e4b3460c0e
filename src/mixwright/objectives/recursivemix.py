"""RecursiveMix: the last mixed batch, made small, pasted into the next one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mixwright import sampling
from mixwright.arguments import check_number, check_settings
from mixwright.masks.box import box_sides, clipped_box
from mixwright.masks.mask_forms import Box
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per, check_batch
from mixwright.objectives.criteria import CriterionOrNone, CrossEntropy
from mixwright.objectives.objective import Losses, Objective
from mixwright.objectives.regions import box_features
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.taps import as_map, classifier, last_map, named_layer, tapping
from mixwright.warps import Rect

Resize = Literal["nearest", "bilinear"]


class History(NamedTuple):
    """What a step leaves for the next one."""

    images: Tensor  # (B, C, H, W), mixed
    labels: Tensor  # (B, K) float32, mixed as the images are
    logits: Tensor  # (B, K) float32, the model's


@dataclass(kw_only=True, eq=False, repr=False)
class RecursiveMix(Objective):
    """Paste the whole previous mixed image, made small, into the image at its place in the batch.

    What is pasted shows a pasted image itself, and so on, ever smaller. Labels mix by the share
    of the box. A second term asks the features under the box for what the model predicted
    of the pasted image a step before:

        loss = mixed loss + omega * mean_b (share of box_b * cross-entropy_b of the box features)

    The first batch, and samples at a place where the batch before had none, are not mixed; images
    of another size than before start a new history. Nothing flows back through the history. It
    is part of the state, so that a run continues from a checkpoint as if it had not stopped.

    Args:
        alpha: largest share of the image that the box may have before it is clipped, in [0, 1];
            the share is uniform. 0 turns mixing off. The paper uses 0.5.
        omega: weight of the second term, at least 0. The paper uses 0.1 on CIFAR and 0.5 on
            ImageNet.
        interpolation: ``"nearest"``, exact for every dtype (the authors' default);
            ``"bilinear"`` with the corner pixels on the box's corners.
        share_head: whether the model's classifier also reads the features of the box; by default
            a linear layer of their own does, which is not needed after training.
        per: ``"batch"``, one box for all (the authors' code); ``"sample"``, one for each.
        reset: whether each epoch starts without a history (the authors' code).
        layer: name of the layer whose maps ``(B, C, h, w)`` or ``(B, h, w, C)``, or square tokens
            ``(B, T, C)``, are read under the box; None for the last one before the last Linear.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``.

    Raises:
        ValueError: an argument is out of range; in ``build``, the model has no such layer.

    Example:
        >>> objective = RecursiveMix()
        >>> pooled = torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
        >>> model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), *pooled, torch.nn.Linear(8, 5))
        >>> objective.build(model, num_classes=5)
        >>> batch = torch.rand(4, 3, 6, 6), torch.tensor([0, 1, 2, 3])
        >>> for _ in range(2):
        ...     losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> sorted(losses.terms)
        ['history', 'mixed']

    Source: Yang et al., "RecursiveMix: Mixed Learning with History", 2022, arXiv:2203.06844;
    implus/RecursiveMix-pytorch: utils.py, main.py.

    Departs from the authors' code, which refuses batches larger than the one before and boxes
    without rows or columns, writes into the batch that it was given, keeps no history in its
    checkpoints, and scales both sides of the box by the ratio of the widths.
    """

    card = Card(
        title="RecursiveMix",
        paper="Yang et al., NeurIPS 2022",
        link="https://arxiv.org/abs/2203.06844",
        needs="model",
        cost="two passes over the pixels; memory for one more batch",
        note="The mixed image of the step before, made small and pasted, and a loss that ties "
        "both views.",
        formula="a box of share r ~ U(0, alpha), clipped; H = the mixed batch of the step before\n"
        "x~ = x, with H at the same place in the batch resized into the box\n"
        "y~ = w y + (1 - w) y_H,  w = 1 - area of the box / (H W)\n"
        "loss = L(f(x~), y~) + omega (1 - w) CE(features of the box, f(H))",
        limits="Keeps a batch of images and predictions in memory and in checkpoints. The order of "
        "batches matters, so a run cannot be repeated from its seed alone with another batch size. "
        "What is pasted is small, as in ResizeMix.",
        cites=("yang2022recursivemix",),
    )

    alpha: float = 0.5
    omega: float = 0.1
    interpolation: Resize = "nearest"
    share_head: bool = False
    per: Per = "batch"
    reset: bool = True
    layer: str | None = None
    criterion: CriterionOrNone = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_settings(self)
        check_number("RecursiveMix", "alpha", self.alpha, high=1.0)
        check_number("RecursiveMix", "omega", self.omega)
        self.criterion = self.criterion or CrossEntropy()  # None stands for it
        self.num_classes = 0
        self.head: nn.Linear | None = None
        self.history: History | None = None

    def build(self, model: nn.Module, num_classes: int) -> None:
        """See ``Objective.build``; makes the head, on the classifier's device."""
        like = classifier(model)
        if self.layer is not None:
            named_layer(model, self.layer)
        self.num_classes = num_classes
        if not self.share_head:
            self.head = nn.Linear(like.in_features, num_classes).to(like.weight.device)

    def on_epoch_start(self, data: Any) -> None:
        """See ``Objective.on_epoch_start``; forgets the history where ``reset`` is set."""
        if self.reset:
            self.history = None

    def forward(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: Generator,
        progress: float,
    ) -> Losses:
        """See ``Objective.forward``."""
        self._check(images, labels)
        now = MixPlan.identity(images).targets(labels, self.num_classes).float()
        past, rows = self._past(images, now)
        plan = self.plan(images, rows, generator=generator)
        pool = torch.cat([now, past.labels])
        mixed_images = plan.images(torch.cat([images, past.images]))
        layer = last_map(model, images) if self.layer is None else self.layer
        with tapping(model, layer) as tap:
            logits = self._logits(model, mixed_images)
        mixed = plan.loss(self.criterion, logits, pool)
        box_logits = self._box_logits(model, tap.value, plan, layer)
        each = F.cross_entropy(box_logits.float(), past.logits.softmax(dim=1), reduction="none")
        history = self.omega * (plan.weight[:, 1] * each).mean()
        self.history = History(mixed_images.detach(), plan.targets(pool), logits.detach().float())
        terms = {"mixed": mixed.detach(), "history": history.detach()}
        return Losses(mixed + history, terms, logits, plan, pool)

    def plan(self, images: Tensor, rows: int, *, generator: Generator) -> MixPlan:
        """Plan a batch whose pool of 2 B rows is itself and the history of the first ``rows``."""
        count, size = len(images), (images.shape[2], images.shape[3])
        with drawing(images):
            number = torch.arange(count, device=images.device)
            mixing = number < rows
            drawn = 1 if self.per == "batch" else count
            area = sampling.uniform(
                (drawn,), high=self.alpha, device=images.device, generator=generator
            )
            place = sampling.uniform((drawn, 2), device=images.device, generator=generator)
            box = clipped_box(box_sides(area, size), place, size)
            edges = torch.where(mixing[:, None, None], box, 0)
            whole = torch.zeros_like(edges)
            whole[:, 0, 1], whole[:, 1, 1] = size
            warp = Rect(
                source=whole.float(),
                target=edges.float(),
                size=size,
                interpolation="nearest" if self.interpolation == "nearest" else "corners",
            )
            return MixPlan.pair(
                number + count,
                Box(edges, size),
                warp=(None, warp),
                lam=torch.where(mixing, 1 - area, 1.0),
                pool=2 * count,
            )

    def get_extra_state(self) -> dict[str, Tensor]:
        """Return the history for ``state_dict``; empty where there is none."""
        return {} if self.history is None else self.history._asdict()

    def set_extra_state(self, state: dict[str, Tensor]) -> None:
        """Take the history from ``load_state_dict``; it is brought to the images' device."""
        self.history = History(*(state[name] for name in History._fields)) if state else None

    # The history is state but no buffer, since its size is not known before the first batch: it is
    # saved as extra state, and follows ``.to(...)`` here.
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> RecursiveMix:
        super()._apply(fn, recurse)
        if self.history is not None:
            self.history = History(*(fn(tensor) for tensor in self.history))
        return self

    def _check(self, images: Tensor, labels: Tensor) -> None:
        check_batch("RecursiveMix", images, labels, dims=2)
        if not self.num_classes:
            raise ValueError(
                "RecursiveMix: the number of classes and the head are not known; expected "
                "objective.build(model, num_classes) before the first step and the optimiser."
            )

    def _past(self, images: Tensor, now: Tensor) -> tuple[History, int]:
        """Return a history, filled up with the batch itself, and how many of its rows are real."""
        blank = History(images, now, torch.zeros_like(now))
        past = self.history
        if past is None or past.images.shape[1:] != images.shape[1:]:
            return blank, 0
        rows = min(len(past.images), len(images))
        joined = (
            torch.cat([old[:rows].to(new), new[rows:]])
            for old, new in zip(past, blank, strict=True)
        )
        return History(*joined), rows

    def _box_logits(self, model: nn.Module, features: Tensor, plan: MixPlan, layer: str) -> Tensor:
        """Return the logits of what the map shows under the box."""
        head = classifier(model) if self.head is None else self.head
        maps = as_map(features, head.in_features)
        if maps.shape[:2] != (len(plan), head.in_features):
            raise ValueError(
                f"RecursiveMix: layer {layer!r} gives maps of shape {tuple(maps.shape)}; expected "
                f"({len(plan)}, {head.in_features}, h, w), as wide as the input of the last "
                "Linear. Name another layer: RecursiveMix(layer=...)."
            )
        box = plan.mask_form
        assert isinstance(box, Box)
        return head(box_features(maps, box.edges, (box.size[0], box.size[1])))
