"""The averaged teacher of learned mixers: a slow copy of the student that takes part in a step."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor, nn

from mixwright.arguments import check_choice, check_number, check_whole
from mixwright.objectives.running_statistics import (
    BatchNorm,
    BatchStatistics,
    Population,
    measuring,
    passing,
    tracking,
    update,
)
from mixwright.objectives.teacher import frozen_copy, move, tensors
from mixwright.taps import Tap, bare, classifier, entering, evaluating, hooked, named_layer
from mixwright.taps.layers import first_tensor
from mixwright.taps.sites import map_of

Statistics = Literal["clean", "official", "average", "recompute"]
"""Where a teacher's running statistics come from; see ``Teacher``."""
STATISTICS: tuple[Statistics, ...] = get_args(Statistics)


def momentum(
    progress: float, *, start: float = 0.999, end: float = 0.999999, hold: float = 0.1
) -> float:
    """Return a teacher's momentum: held for a while, then rising along half a cosine.

    It is ``start`` before ``hold`` and ``end - (end - start) (1 + cos(pi progress)) / 2`` from
    there. The cosine counts from the beginning of training, so there is a small step at ``hold``.
    All four are in [0, 1]; ``progress`` is t / T of step t, counted from 0.

    Example:
        >>> [round(momentum(t / 4, end=1.0), 6) for t in range(4)]
        [0.999, 0.999146, 0.9995, 0.999854]

    Source: Liu et al., "AutoMix", ECCV 2022, arXiv:2103.13027; Westlake-AI/openmixup.
    Departs: their code copies the student once where ``hold`` is less than a step.
    """
    for name, value in (("progress", progress), ("start", start), ("end", end), ("hold", hold)):
        check_number("momentum", name, value, high=1.0)
    if progress < hold:
        return start
    return end - (end - start) * (1.0 + math.cos(math.pi * progress)) / 2.0


@dataclass(frozen=True, slots=True)
class Look:
    """What a teacher makes of a batch of whole images."""

    features: Tensor  # (B, c, h, w) float32 of the layer that was asked for, without a graph
    logits: Tensor | None  # (B, K) of the teacher's head; None where the forward ended at the layer


class Teacher(nn.Module):
    """A copy of a classifier and of its head for mixed images that follows them slowly.

    In its passes batch normalisation uses the batch's statistics, also where the student's is
    frozen, and everything else is in evaluation mode: no dropout, no stochastic depth. So a
    permuted batch gives permuted features, and one pass over whole images serves all its uses.

    Its own running statistics, with which it is evaluated, are not averages of the student's.
    ``statistics`` says where they come from:

    - ``clean``: the passes over whole images.
    - ``official``: all passes that the authors' code makes, in their order; see ``settle``.
    - ``average``: the student's, averaged as the weights are.
    - ``recompute``: whole images, measured before an evaluation; see ``recompute``.

    A step is ``look``, ``judge``, ``settle`` and, after the optimiser's, ``follow``. Nothing is
    read back from the device. Compiled models and their wrappers may be given; the copy runs as it
    was written.

    Args:
        model: the student; copied at once, half-precision weights as float32.
        head: takes what enters the student's last Linear and gives logits; copied too.
        statistics: see above.

    Raises:
        ValueError: ``statistics`` is none of the four.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten())
        >>> model.append(nn.Linear(16, 10))[0].weight.requires_grad
        True
        >>> teacher = Teacher(model, nn.Linear(16, 10))
        >>> images = torch.rand(8, 1, 4, 4, requires_grad=True)
        >>> look = teacher.look(images, "1")
        >>> look.features.shape, look.features.requires_grad
        (torch.Size([8, 4, 2, 2]), False)
        >>> logits = teacher.judge(images)  # with a graph to the images
        >>> teacher.settle(0)
        >>> teacher.follow(model, teacher.head, momentum(0.0))

    Source: Liu et al., "AutoMix", ECCV 2022, arXiv:2103.13027; Westlake-AI/openmixup.
    Departs: there dropout and stochastic depth are on in the teacher.
    """

    model: nn.Module
    """The averaged model; its own last layer is the one for whole images."""
    head: nn.Linear
    """The averaged head for mixed images."""
    statistics: Statistics

    def __init__(
        self, model: nn.Module, head: nn.Linear, *, statistics: Statistics = "clean"
    ) -> None:
        super().__init__()
        check_choice("Teacher", "statistics", statistics, STATISTICS)
        self.statistics = statistics
        self.model = frozen_copy(model)
        made = frozen_copy(head)
        assert isinstance(made, nn.Linear)
        self.head = made
        self._norms = [norm for norm in self.model.modules() if isinstance(norm, BatchNorm)]
        self._tracking = tracking(self.model)
        self._clean: BatchStatistics | None = None
        self._mixed: BatchStatistics | None = None
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Set the modes that a teacher has, whatever is asked for."""
        super().train(mode)
        self.model.eval()  # each pass of a step sets batch normalisation by itself
        return self

    @torch.no_grad()
    def look(self, images: Tensor, layer: str, *, whole: bool = True) -> Look:
        """Run whole images ``(B, C, H, W)`` without a graph, and keep what ``layer`` gives.

        Without ``whole`` there are no logits: the forward ends at the layer, unless the running
        statistics of later layers need it.
        """
        images = self._given(images)
        measured = bool(self._tracking) and self.statistics in ("clean", "official")
        tap, ends = Tap(layer), not whole and not measured

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            value = first_tensor(output)
            if value is not None:  # a copy, as later layers may write into it
                tap.hold(value.to(torch.float32, copy=True))
            if ends:
                raise _LayerReachedError

        logits = None
        with contextlib.ExitStack() as stack:
            stack.enter_context(hooked())
            stack.callback(named_layer(self.model, layer).register_forward_hook(keep).remove)
            statistics = stack.enter_context(self._passing(measured))
            if ends:
                with contextlib.suppress(_LayerReachedError):
                    self.model(images)
            else:
                logits = self._logits(images)
        self._clean = statistics or self._clean
        return Look(map_of(self.model, tap.value, images), logits if whole else None)

    def judge(self, images: Tensor) -> Tensor:
        """Run mixed images and return the head's logits with a graph to the images."""
        images = self._given(images)
        measured = bool(self._tracking) and self.statistics == "official"
        with self._passing(measured) as statistics:
            logits = self._logits(images)
        self._mixed = statistics or self._mixed
        return logits

    def settle(self, clean_again: int) -> None:
        """Bring the running statistics to where the step's passes take them.

        ``clean`` is one pass over whole images; ``official`` is one over whole images, one over
        mixed ones, and ``clean_again`` more over whole ones, of which none has to be made: 0 in
        the authors' AutoMix, and in their AdAutoMix 2 for two images and N for N. The other two
        do nothing.
        """
        check_whole("Teacher.settle", "clean_again", clean_again, low=0)
        # The authors pass the same whole images through the teacher several times a step, and each
        # pass moves its running statistics. n passes over one batch have a closed form, so that one
        # pass and a power do for all.
        clean, mixed = self._clean, self._mixed
        self._clean = self._mixed = None
        if clean is not None:
            update(self._tracking, clean)
        if mixed is not None:
            update(self._tracking, mixed)
        if clean is not None and self.statistics == "official":
            update(self._tracking, clean, times=clean_again)

    def follow(self, model: nn.Module, head: nn.Linear, momentum: float) -> None:
        """Move towards the student, ``own = m own + (1 - m) student``, after the optimiser's step.

        Buffers stay as they are, except in ``average``. From a momentum of 1 on nothing moves.
        """
        check_number("Teacher.follow", "momentum", momentum)
        if momentum >= 1.0:
            return
        buffers = self.statistics == "average"
        own, other = (
            {
                **{f"model.{name}": t for name, t in tensors(body, buffers=buffers).items()},
                **{f"head.{name}": t for name, t in tensors(top).items()},
            }
            for body, top in ((self.model, self.head), (bare(model), head))
        )
        move(own, other, 1.0 - momentum, who="Teacher.follow")

    @torch.no_grad()
    def recompute(self, batches: Iterable[tuple[Tensor, Any]]) -> None:
        """Measure the running statistics anew, over all rows of some batches of whole images.

        Does nothing, and asks for no batch, unless ``statistics`` is ``recompute`` and the model
        has batch normalisation. Labels are not looked at.

        Source: Wu and Johnson, "Rethinking 'Batch' in BatchNorm", 2021, arXiv:2105.07576.
        """
        if self.statistics != "recompute" or not self._tracking:
            return
        population = Population(self._tracking)
        empty = True
        for images, _ in batches:
            empty = False
            with self._modes(), population.watching():
                self.model(self._given(images))
        if empty:
            raise ValueError(
                "Teacher.recompute: there are 0 batches; expected at least one of whole images. "
                "Give a list, or a fresh loader: an iterator may have been used up."
            )
        population.write()

    def _given(self, images: Tensor) -> Tensor:
        return images.to(self.head.weight.dtype)

    @contextlib.contextmanager
    def _modes(self) -> Generator[None]:
        with evaluating(self.model):
            for norm in self._norms:
                norm.training = True
            yield

    @contextlib.contextmanager
    def _passing(self, measured: bool) -> Generator[BatchStatistics | None]:
        """Make a pass inside that leaves modes and running statistics as they were."""
        with self._modes():
            if measured:
                with measuring(self._tracking) as statistics:
                    yield statistics
            else:
                with passing(self._tracking):
                    yield None

    def _logits(self, images: Tensor) -> Tensor:
        with entering(self.model, classifier(self.model, images)) as tap:
            self.model(images)
        logits = self.head(tap.value.to(self.head.weight.dtype))
        return logits.to(torch.promote_types(logits.dtype, torch.float32))


class _LayerReachedError(Exception):
    """Ends a forward whose later layers are not needed."""
