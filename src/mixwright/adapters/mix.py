"""``Mix``: a mixer with everything it needs in the user's own loop."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, overload

import torch
from torch import Generator, Tensor
from torch.nn import Module
from torch.utils.data import get_worker_info

from mixwright.adapters.batches import LabelsGetter, find
from mixwright.adapters.compiled import compiled_images
from mixwright.adapters.mix_state import EXTRA_STATE, SEED_BITS, MixState, is_seed
from mixwright.adapters.ranks import known_rank
from mixwright.adapters.samples import collated
from mixwright.adapters.shared_state import SharedState, is_spawning
from mixwright.arguments import MissingModelError, check_arguments, check_number, check_whole, plain
from mixwright.mixers.combine import set_progress
from mixwright.mixers.mixer import Mixer, mixer_text
from mixwright.plan import MixPlan
from mixwright.plan.labelling import as_labels, one_hot_classes
from mixwright.sampling import Stream, stream
from mixwright.tensors import check_tensor

_SAME = ("mixer", "num_classes", "label_smoothing", "seed", "labels_getter", "ignore_index")
_SETTINGS = {name: name for name in _SAME} | {"compile_images": "compile"}  # attribute: argument

_log = logging.getLogger(__name__)


class Mix(Module):
    """Mix batches in your own loop: ``images, targets = mix(images, labels)``, ``mix(batch)``.

    Call it after the batch has moved to the device. Targets are dense floats for any criterion
    that takes class probabilities, ``torch.nn.functional.cross_entropy`` above all. It holds no
    model; mixers that need one get it with every call.

    A batch may be of any structure: dictionaries, lists, tuples, named tuples and dataclasses
    within one another. What comes back is of the same containers, with mixed images and targets
    in place of images and labels and all else as it was; the batch itself is not written. Its
    images are the one tensor of four axes beside the labels.

    It may be a part of a model: ``eval()`` of the model then switches the mixing of calls off, and
    the model's ``state_dict()`` holds the state of the draws under one key. The mixer itself is no
    submodule: a learned one is neither trained, moved, cast nor saved with the model (it goes to
    the images' device by itself). The loader form heeds ``mixing`` alone.

    Args:
        mixer: what to draw, for example ``CutMix()``.
        num_classes: K, needed when labels are class indices; never guessed.
        label_smoothing: share of each target spread evenly over all classes, in [0, 1); the
            same before and after mixing, since both are linear.
        seed: of all draws, any whole number; None takes ``torch.initial_seed()``. Ranks, of an
            initialised ``torch.distributed`` or else of the variable ``RANK``, draw differently.
        labels_getter: how labels are found in a batch that is not two values, images and labels,
            much as in torchvision. ``"default"``: the second part of a tuple or list, where that
            is no dictionary; else what is named ``labels``, else ``label``, in any spelling, else
            the first whose name has ``label`` in it. A callable is given the batch and returns its
            labels, which targets replace; loader workers that are spawned need one that can be
            pickled.
        ignore_index: a class index that stands for "not known", such as -100; needs
            ``num_classes``; see ``MixPlan.targets``. None for none.
        compile: mix the pixels in a graph of ``torch.compile``; a name chooses its backend. Plans
            are drawn outside of it, and are the same; pixels agree but for the last bit. It is
            compiled at the first batch, and anew where batches or masks take another shape. See
            ``mixwright bench --compile`` for what it saves; nothing on large images on a CPU.

    Raises:
        ValueError: ``mixer`` has no plan method, or a number is out of range; at the first batch,
            ``compile`` names no backend.

    Example:
        >>> from mixwright.mixers import CutMix
        >>> mix = Mix(CutMix(), num_classes=10, seed=0)
        >>> images, targets = mix(torch.rand(4, 3, 32, 32), torch.tensor([1, 2, 3, 4]))
        >>> targets.shape, targets.sum(dim=1).tolist()
        (torch.Size([4, 10]), [1.0, 1.0, 1.0, 1.0])
    """

    mixer: Mixer
    num_classes: int | None
    label_smoothing: float
    labels_getter: LabelsGetter = "default"  # in the class for objects that 0.1 pickled
    ignore_index: int | None = None
    compile_images: bool | str = False

    @check_arguments
    def __init__(
        self,
        mixer: Mixer,
        *,
        num_classes: int | None = None,
        label_smoothing: float = 0.0,
        seed: int | None = None,
        labels_getter: LabelsGetter = "default",
        ignore_index: int | None = None,
        compile: bool | str = False,  # noqa: A002  the word of torch and its users
    ) -> None:
        super().__init__()
        if num_classes is not None:
            check_whole("Mix", "num_classes", num_classes, low=1)
        check_number("Mix", "label_smoothing", label_smoothing)
        if label_smoothing >= 1:
            raise ValueError(f"Mix: label_smoothing is {label_smoothing}; expected less than 1.")
        seed = torch.initial_seed() if seed is None else seed
        if not is_seed(seed):
            raise ValueError(
                f"Mix: seed is {seed!r}; expected a whole number of at most {SEED_BITS} bits."
            )
        self.mixer = mixer
        self.num_classes = num_classes
        self.label_smoothing = float(label_smoothing)
        self.labels_getter = labels_getter
        self.ignore_index = ignore_index
        self.compile_images = compile  # ``Module`` has a method ``compile``
        self._shared = SharedState(seed=seed)
        self._told = 0.0  # the progress that the mixer of this process knows
        self._generator: Generator | None = None  # made at the first draw, when ranks are known
        self._owner: tuple[int, ...] = (0,)  # of the generator: a rank, in a worker its seed too
        self._rank_of_worker: int | None = None  # of one that was spawned and knows none itself
        self._batches = 0
        self._batches_of: tuple[int, ...] = ()

    if TYPE_CHECKING:  # what torch's own signature does not say

        @overload
        def __call__(
            self, images: Tensor, labels: Tensor, *, model: Module | None = None
        ) -> tuple[Tensor, Tensor]: ...

        @overload
        def __call__(
            self, images: Any, labels: Any = None, *, model: Module | None = None
        ) -> Any: ...

        def __call__(self, images: Any, labels: Any = None, *, model: Module | None = None) -> Any:
            """See ``forward``."""
            ...

    def forward(self, images: Any, labels: Any = None, *, model: Module | None = None) -> Any:
        """Mix a batch; in evaluation mode, or while ``mixing`` is off, give it back unchanged.

        Args:
            images: ``(B, C, *spatial)``; not written. Or a batch that holds images
                ``(B, C, H, W)`` and labels.
            labels: ``(B,)`` class indices of any whole type, or ``(B, K)`` floating, soft or
                multi-hot; a tensor, a NumPy array or a list. Left out where ``images`` is a batch.
            model: the classifier, for mixers that need one.

        Returns:
            Mixed images (dtype, device and memory format as given) and targets ``(B, K)``
            floating; of a batch the same containers with both in place.

        Raises:
            ValueError: shapes do not fit, ``num_classes`` is missing, a label is out of range, or
                a batch does not show what are its images and labels.
        """
        batch = images if labels is None else (images, labels)
        if not self.training or not self.mixing:
            return batch
        return self._mixed(batch, lambda pixels, found: self.plan(pixels, found, model=model))

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
            The plan; in evaluation mode, or while ``mixing`` is off, the identity.
        """
        if not self.training or not self.mixing:
            return MixPlan.identity(images)
        check_tensor("Mix", "images", images)
        labels = None if labels is None else as_labels(labels, device=images.device)
        self._follow_progress()
        return self._drawn(images, labels, generator=self._source(), model=model)

    def targets(self, plan: MixPlan, labels: Tensor) -> Tensor:
        """Give the dense targets of a plan, smoothed; ``(B, K)`` floating."""
        targets = plan.targets(labels, self.num_classes, ignore_index=self.ignore_index)
        if self.label_smoothing == 0:
            return targets
        even = torch.full_like(targets, 1 / targets.shape[1])
        if self.ignore_index is not None:
            even = even * targets.sum(dim=1, keepdim=True)  # nothing is spread of what is unknown
        return torch.lerp(targets, even, self.label_smoothing)

    def collate(self, samples: Sequence[Any]) -> Any:
        """Collate samples of a ``DataLoader`` and mix them: ``collate_fn=mix.collate``.

        Draws come from (seed, epoch, worker, batch), so that workers differ and the same run
        repeats itself. The epoch is the one of ``set_epoch``, or else the loader's own seed,
        which it draws anew for each pass. While ``mixing`` is off samples are collated only;
        ``train()`` and ``eval()`` do nothing here, since loaders fetch ahead.

        Args:
            samples: pairs of an image tensor ``(C, *spatial)``, all of one shape, and a label; or
                dictionaries, lists or tuples, of which ``torch.utils.data.default_collate`` makes
                a batch that holds images ``(B, C, H, W)`` and labels.

        Returns:
            Mixed images (uint8 stays uint8, rounded) and targets, as ``mix(...)`` gives them; of
            dictionaries the batch with both in place, as ``mix(batch)`` gives it.

        Raises:
            ValueError: no batch can be made of the samples, the mixer needs a model, which a
                collate function has not, or as for ``mix(...)``.
        """
        batch = collated(samples, self.labels_getter)
        if not self.mixing:
            return batch
        try:
            return self._mixed(batch, self._loaded)
        except MissingModelError as error:
            raise error.at("A collate function") from None

    def _loaded(self, images: Tensor, labels: Any) -> MixPlan:
        """Draw the plan of a batch in the loader."""
        self._follow_progress()
        worker = get_worker_info()
        epoch = self._shared.epoch
        source = (epoch,) if worker is None else (epoch, worker.id)
        if worker is not None and epoch < 0:
            source = (worker.seed,)
        if source != self._batches_of:
            self._batches_of, self._batches = source, 0
        words = (self.seed, self._own_rank(), Stream.LOADER, *source, self._batches)
        self._batches += 1
        return self._drawn(images, labels, generator=stream(*words), model=None)

    def _mixed(self, batch: Any, draw: Callable[[Tensor, Any], MixPlan]) -> Any:
        """Put mixed images and targets into a batch."""
        found = find(batch, self.labels_getter, who="Mix")
        plan = draw(found.images, found.labels)
        if len(plan) != plan.pool and not found.is_pair:
            raise ValueError(
                f"Mix: {type(self.mixer).__name__} makes {len(plan)} images of {plan.pool}, and "
                "what else is in the batch would not fit; expected images and labels alone, "
                "mix(images, labels)."
            )
        apply = plan.images
        if self.compile_images is not False:  # within a graph of the user's there is none of ours
            apply = partial(compiled_images(self.compile_images), plan)
        return found.replaced(apply(found.images), self.targets(plan, found.labels))

    def _drawn(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """Let the mixer draw; labels that say no class are rows of zeros to it."""
        if labels is not None and self.ignore_index is not None:
            labels = as_labels(labels, device=images.device)
            if labels.ndim == 1 and not labels.is_floating_point():
                # A loss would take -100, but maps of a class would be those of another one.
                labels = one_hot_classes(labels, self.num_classes, self.ignore_index)
        return self.mixer.plan(images, labels, generator=generator, model=model)

    # ------------------------------------------------------------------ what changes in training

    def set_epoch(self, epoch: int) -> None:
        """Tell the loader form which epoch begins; reaches workers that are already running."""
        check_whole("Mix", "epoch", epoch, low=0)
        self._shared.epoch = int(epoch)

    @property
    def progress(self) -> float:
        """Share of training that is done, in [0, 1]; set it for ``Scheduled`` mixers.

        It reaches workers that are already running; batches that they have fetched stay.
        """
        return self._shared.progress

    @progress.setter
    def progress(self, value: float) -> None:
        set_progress(self.mixer, value)
        self._shared.progress = self._told = float(value)

    @property
    def mixing(self) -> bool:
        """Whether batches are mixed, by calls and in the loader.

        Set it to False to switch mixing off, for the last epochs for example: it reaches workers
        that are already running. ``train()`` and ``eval()`` do not move it.
        """
        return self._shared.mixing

    @mixing.setter
    def mixing(self, value: bool) -> None:
        if not isinstance(plain(value), bool):
            raise ValueError(f"Mix: mixing is {value!r}; expected True or False.")
        self._shared.mixing = bool(value)

    @property
    def seed(self) -> int:
        """Seed of all draws."""
        return self._shared.seed

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse other settings, of which workers that run would not know."""
        if name not in _SETTINGS:
            super().__setattr__(name, value)
        elif name in self.__dict__ or name == "seed":
            raise AttributeError(
                f"Mix: {name} stays as it was made, since loader workers that run would not learn "
                f"of another. Make another Mix({_SETTINGS[name]}=...), or set progress, mixing or "
                "the epoch."
            )
        else:
            # Past torch, which would make a learned mixer, a module, a part of the user's model.
            object.__setattr__(self, name, value)

    # ------------------------------------------------------------------ saving

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Give what a resumed run needs to draw on exactly: generator, epoch, progress, ...

        A model that this is a part of puts the same dictionary under one key of its own.
        """
        if args or kwargs:  # asked by a model, for its own dictionary
            return super().state_dict(*args, **kwargs)
        return {
            "seed": self.seed,
            "generator": self._source().get_state(),
            "epoch": self._shared.epoch,
            "progress": self.progress,
            "batches": self._batches,
            "batches_of": list(self._batches_of),
            "mixing": self.mixing,
            "rank": self._owner[0],
            "mixer": mixer_text(self.mixer),
        }

    def load_state_dict(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> None:
        """Take over a ``state_dict``; all of it, or nothing where it does not fit.

        The rank that saved it goes on exactly. Another rank begins a stream of its own, so that
        one state loaded on all ranks lets each draw differently.

        Args:
            state_dict: of this version or an older one, or what a model has of it under its key.
            strict: as torch has it; a state always has to fit.
            assign: as torch has it; nothing here is a parameter.

        Raises:
            KeyError: a key is missing: the dictionary is not one of ``Mix``.
            ValueError: a key is unknown or has a value of another kind, or another mixer saved it.
        """
        del strict, assign
        state = MixState.read(state_dict, mixer=mixer_text(self.mixer))
        # Nothing can fail from here on.
        own = self._own_rank()
        self._shared.seed = state.seed
        self._shared.epoch = state.epoch
        self._shared.mixing = self.mixing if state.mixing is None else state.mixing
        self.progress = state.progress
        self._batches, self._batches_of = state.batches, state.batches_of
        self._generator = state.generator
        self._owner = (_rank_of(state, own=own),)
        self._source()

    def get_extra_state(self) -> dict[str, Any]:
        """Give a model what its own ``state_dict`` holds of this."""
        return self.state_dict()

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Take from a model what its ``state_dict`` held of this."""
        self.load_state_dict(state)

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Any,
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Take a model's checkpoint; one from before ``Mix`` was a module may lack this."""
        missing: list[str] = []
        try:
            super()._load_from_state_dict(
                state_dict, prefix, local_metadata, strict, missing, unexpected_keys, error_msgs
            )
        except (KeyError, ValueError) as error:
            error_msgs.append(f"{prefix}{EXTRA_STATE}: {error.args[0]}")
        if missing:
            _log.warning("The checkpoint has no %s: draws of Mix begin anew.", missing[0])

    def __repr__(self) -> str:
        """Show the settings."""
        return (
            f"Mix({self.mixer!r}, num_classes={self.num_classes}, "
            f"label_smoothing={self.label_smoothing:g}, seed={self.seed}{self._more()})"
        )

    def _more(self) -> str:
        getter, index, compiled = self.labels_getter, self.ignore_index, self.compile_images
        return (
            ("" if getter == "default" else f", labels_getter={getter!r}")
            + ("" if index is None else f", ignore_index={index}")
            + ("" if compiled is False else f", compile={compiled!r}")
        )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle: for a loader worker that is spawned the same state, for a copy its own."""
        state = self.__dict__.copy()
        if self._generator is not None:
            # As bytes: a tensor would travel as shared memory, gone before a worker opens it.
            state["_generator"] = bytes(self._generator.get_state().tolist())
        if is_spawning():
            state["_rank_of_worker"] = self._own_rank()  # the worker may know no rank of its own
        else:
            state["_shared"] = copy.copy(self._shared)
            state["_rank_of_worker"] = None
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickle."""
        super().__setstate__(state)
        if isinstance(state["_generator"], bytes):
            self._generator = Generator()
            self._generator.set_state(torch.tensor(list(state["_generator"]), dtype=torch.uint8))

    # ------------------------------------------------------------------ who draws

    def _source(self) -> Generator:
        """Give the generator of calls, one of its own for each rank and each loader worker."""
        worker = get_worker_info()
        rank = self._own_rank()
        owner = (rank,) if worker is None else (rank, worker.seed)
        if self._generator is None:
            self._generator, self._owner = stream(self.seed, *owner), owner
        elif owner != self._owner:
            # Copied, loaded or forked from another that draws on: from here the two must differ.
            state = bytes(self._generator.get_state().tolist())
            place = int.from_bytes(hashlib.blake2b(state, digest_size=8).digest(), "little")
            self._generator = stream(self.seed, *owner, Stream.OTHER_OWNER, place)
            self._owner = owner
        return self._generator

    def _own_rank(self) -> int:
        if self._rank_of_worker is not None:
            return self._rank_of_worker
        known = known_rank()
        return self._owner[0] if known is None else known

    def _follow_progress(self) -> None:
        """Let the mixer of a worker know the progress that was set in the main process."""
        if (progress := self._shared.progress) != self._told:
            set_progress(self.mixer, progress)
            self._told = progress


def _rank_of(state: MixState, *, own: int) -> int:
    """Give the rank that saved a state; -1 for one that is not this one, but does not say which."""
    if state.rank is not None:
        return state.rank
    # States of 0.1 name no rank, but a generator keeps its seed, which depends on the rank.
    mine = state.generator.initial_seed() == stream(state.seed, own).initial_seed()
    return own if mine or known_rank() is None else -1
