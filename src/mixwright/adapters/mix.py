"""``Mix``: a mixer with everything it needs in the user's own loop."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Generator, Tensor
from torch.nn import Module
from torch.utils.data import default_collate, get_worker_info

from mixwright.arguments import check_number, check_whole
from mixwright.mixers.combine import set_progress
from mixwright.mixers.mixer import Mixer, check_mixer
from mixwright.plan import MixPlan
from mixwright.sampling import Stream, stream


class Mix:
    """Mix batches in your own loop: ``images, targets = mix(images, labels)``.

    Call it after the batch has moved to the device. Targets are dense floats for any criterion
    that takes class probabilities, ``torch.nn.functional.cross_entropy`` above all. It holds no
    model; mixers that need one get it with every call.

    Args:
        mixer: what to draw, for example ``CutMix()``.
        num_classes: K, needed when labels are class indices; never guessed.
        label_smoothing: share of each target spread evenly over all classes, in [0, 1); the
            same before and after mixing, since both are linear.
        seed: of all draws; None takes ``torch.initial_seed()``. Ranks of an initialised
            ``torch.distributed`` draw differently.

    Raises:
        ValueError: ``mixer`` has no plan method, or a number is out of range.

    Example:
        >>> from mixwright.mixers import CutMix
        >>> mix = Mix(CutMix(), num_classes=10, seed=0)
        >>> images, targets = mix(torch.rand(4, 3, 32, 32), torch.tensor([1, 2, 3, 4]))
        >>> targets.shape, targets.sum(dim=1).tolist()
        (torch.Size([4, 10]), [1.0, 1.0, 1.0, 1.0])
    """

    def __init__(
        self,
        mixer: Mixer,
        *,
        num_classes: int | None = None,
        label_smoothing: float = 0.0,
        seed: int | None = None,
    ) -> None:
        check_mixer("Mix", mixer)
        if num_classes is not None:
            check_whole("Mix", "num_classes", num_classes, low=1)
        check_number("Mix", "label_smoothing", label_smoothing)
        if label_smoothing >= 1:
            raise ValueError(f"Mix: label_smoothing is {label_smoothing}; expected less than 1.")
        self.mixer = mixer
        self.num_classes = num_classes
        self.label_smoothing = float(label_smoothing)
        self.seed = torch.initial_seed() if seed is None else int(seed)
        self.training = True
        self._generator: Generator | None = None  # made at the first draw, when ranks are known
        self._rank: int | None = None
        # In shared memory, so that loader workers that live on see a new epoch.
        self._epoch = torch.tensor(-1).share_memory_()
        self._progress = 0.0
        self._batches = 0
        self._batches_of: tuple[int, ...] = ()

    def __call__(
        self, images: Tensor, labels: Tensor, *, model: Module | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch; in evaluation mode give it back unchanged.

        Args:
            images: ``(B, C, *spatial)``; not written.
            labels: ``(B,)`` int64 class indices, or ``(B, K)`` floating, soft or multi-hot.
            model: the classifier, for mixers that need one.

        Returns:
            Mixed images (dtype, device and memory format as given) and targets ``(B, K)``
            floating.

        Raises:
            ValueError: shapes do not fit, ``num_classes`` is missing, a label is out of range.
        """
        if not self.training:
            return images, labels
        plan = self.plan(images, labels, model=model)
        return plan.images(images), self.targets(plan, labels)

    def plan(
        self, images: Tensor, labels: Tensor | None = None, *, model: Module | None = None
    ) -> MixPlan:
        """Draw the plan of a batch, to take the pieces from it.

        ``plan.images(images)``, ``plan.loss(criterion, logits, labels)``,
        ``plan.accuracy(logits, labels)``, ``plan.labels(labels)`` and ``plan.weight`` serve loops
        that mix losses instead of targets; ``mix.targets(plan, labels)`` gives dense targets.

        Args:
            images: ``(B, C, *spatial)``.
            labels: needed by the mixers that say so.
            model: the classifier, for mixers that need one.

        Returns:
            The plan; in evaluation mode the identity.
        """
        if not self.training:
            return MixPlan.identity(images)
        return self.mixer.plan(images, labels, generator=self._source(), model=model)

    def targets(self, plan: MixPlan, labels: Tensor) -> Tensor:
        """Give the dense targets of a plan, smoothed; ``(B, K)`` floating."""
        targets = plan.targets(labels, self.num_classes)
        if self.label_smoothing == 0:
            return targets
        return torch.lerp(
            targets, torch.full_like(targets, 1 / targets.shape[1]), self.label_smoothing
        )

    def collate(self, samples: Sequence[Any]) -> tuple[Tensor, Tensor]:
        """Collate samples of a ``DataLoader`` and mix them: ``collate_fn=mix.collate``.

        Draws come from (seed, epoch, worker, batch), so that workers differ and the same run
        repeats itself. The epoch is the one of ``set_epoch``, or else the loader's own seed,
        which it draws anew for each pass.

        Args:
            samples: pairs of an image tensor ``(C, *spatial)``, all of one shape, and a label.

        Returns:
            Mixed images (uint8 stays uint8, rounded) and targets, as ``mix(...)`` gives them.
        """
        images, labels = default_collate(list(samples))
        if not self.training:
            return images, labels
        worker = get_worker_info()
        epoch = int(self._epoch)
        source = (epoch,) if worker is None else (epoch, worker.id)
        if worker is not None and epoch < 0:
            source = (worker.seed,)
        if source != self._batches_of:
            self._batches_of, self._batches = source, 0
        rank = _rank() if self._rank is None else self._rank
        words = (self.seed, rank, Stream.LOADER, *source, self._batches)
        self._batches += 1
        plan = self.mixer.plan(images, labels, generator=stream(*words))
        return plan.images(images), self.targets(plan, labels)

    def set_epoch(self, epoch: int) -> None:
        """Tell the loader form which epoch begins; reaches workers that are already running."""
        check_number("Mix", "epoch", epoch)
        self._epoch.fill_(int(epoch))

    @property
    def progress(self) -> float:
        """Share of training that is done, in [0, 1]; set it for ``Scheduled`` mixers."""
        return self._progress

    @progress.setter
    def progress(self, value: float) -> None:
        set_progress(self.mixer, value)
        self._progress = float(value)

    def train(self, mode: bool = True) -> Self:
        """Switch mixing on (or off, with False)."""
        self.training = mode
        return self

    def eval(self) -> Self:
        """Switch mixing off: batches pass unchanged."""
        return self.train(False)

    def state_dict(self) -> dict[str, Any]:
        """Give what a resumed run needs to draw on exactly: generator, epoch, progress."""
        return {
            "seed": self.seed,
            "generator": self._source().get_state(),
            "epoch": int(self._epoch),
            "progress": self._progress,
            "batches": self._batches,
            "batches_of": list(self._batches_of),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a ``state_dict``.

        Raises:
            KeyError: the dictionary is not one of ``Mix``.
        """
        self.seed = state["seed"]
        self._source().set_state(state["generator"])
        self._epoch.fill_(state["epoch"])
        self.progress = state["progress"]
        self._batches = state["batches"]
        self._batches_of = tuple(state["batches_of"])

    def __repr__(self) -> str:
        """Show the settings."""
        return (
            f"Mix({self.mixer!r}, num_classes={self.num_classes}, "
            f"label_smoothing={self.label_smoothing:g}, seed={self.seed})"
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle for loader workers that are spawned and know no rank of their own."""
        # As bytes: a tensor would travel as shared memory, gone before a spawned worker opens it.
        generator = bytes(self._source().get_state().tolist())
        return self.__dict__ | {"_generator": generator, "_rank": _rank()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle in a loader worker."""
        self.__dict__.update(state)
        self._generator = Generator()
        self._generator.set_state(torch.tensor(list(state["_generator"]), dtype=torch.uint8))

    def _source(self) -> Generator:
        if self._generator is None:
            self._generator = stream(self.seed, _rank())
        return self._generator


def _rank() -> int:
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank()
    return int(os.environ.get("RANK", "0"))  # torchrun's, before the group is made
