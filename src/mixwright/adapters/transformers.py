"""Mixing in the Trainer of Hugging Face: in its training steps, or as its data collator.

The library itself is imported when one of these is made.
"""

from __future__ import annotations

import logging
import sys
import weakref
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import Module

from mixwright.adapters.mix import Mix
from mixwright.arguments import MissingModelError, shown
from mixwright.files import write_whole
from mixwright.outputs import take_logits
from mixwright.requirements import require

_log = logging.getLogger(__name__)

_Trainer: Any = object  # what the mixin stands in front of


class MixTrainerMixin(_Trainer):
    """Mix in the training steps of a Trainer: ``class MixTrainer(MixTrainerMixin, Trainer)``.

    A step's batch is mixed on its device, once for each batch where gradients are accumulated;
    evaluation and prediction see images and labels as they are, and so does ``compute_metrics``.
    Mixers that look at the model get it, and ``mix.progress`` is the share of steps that is done.
    ``mix.mixing = False`` switches mixing off; a ``mix`` in evaluation mode too, with a warning.

    Draws are saved in each checkpoint folder, a file for each process, and go on exactly where
    training resumes from one with as many processes.

    The loss is ``mixed_cross_entropy`` (unless ``compute_loss_func`` is given), with the Trainer's
    ``label_smoothing_factor``, in training and in evaluation: a model that is handed mixed labels,
    which are floating, would take them for several classes at once, train by binary cross-entropy,
    and store that in its ``config.problem_type``. A model whose config says
    ``"multi_label_classification"`` already has the binary cross-entropy of the Trainer.

    Args:
        mix: what mixes; its ``labels_getter`` finds images and labels. None where the
            ``data_collator`` is a ``MixCollator``, which has mixed already.
        *args: those of the Trainer.
        **kwargs: likewise.

    Raises:
        ImportError: transformers is missing or older than 4.50.
        ValueError: neither ``mix`` nor a ``MixCollator`` is given, or both.

    Example::

        class MixTrainer(MixTrainerMixin, Trainer): ...

        trainer = MixTrainer(model, training_arguments, mix=Mix(CutMix(), num_classes=10), ...)
    """

    mix: Mix

    def __init__(self, *args: Any, mix: Mix | None = None, **kwargs: Any) -> None:
        require("transformers", "4.50", "transformers")
        super().__init__(*args, **kwargs)
        collator: Any = self.data_collator
        mixed = isinstance(collator, MixCollator)
        own: Any = collator.mix if mixed and mix is None else mix
        if not isinstance(own, Mix) or (mixed and mix is not None):
            raise ValueError(
                f"MixTrainerMixin: mix is {shown(mix)} and the data_collator a "
                f"{type(collator).__name__}; expected mix=Mix(...), or a MixCollator, and not both."
            )
        self.mix = own
        self._mixes_in_steps = not mixed
        self._in_step = False
        self._told_evaluation = False  # that the mix is in that mode
        self._columns = 1  # numbers of a label among those that the Trainer has counted
        own_loss: Any = self.compute_loss_func
        if own_loss is None:
            # For evaluation too: where there is such a function, the Trainer counts labels for it.
            # It does not hold the trainer: freed late, in a cycle, a loader waits for its workers.
            trainer: Any = weakref.proxy(self)
            self.compute_loss_func = partial(type(self)._mixed_loss, trainer)

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """Mix the batch of a step; see ``Trainer.training_step``."""
        if self.state.max_steps > 0:
            self.mix.progress = min(1.0, self.state.global_step / self.state.max_steps)
        self._in_step = True
        try:
            return super().training_step(*args, **kwargs)
        finally:
            self._in_step = False

    def compute_loss(self, model: Module, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Mix the batch where a training step asks; see ``Trainer.compute_loss``."""
        labels = inputs.get("labels")
        floating = isinstance(labels, Tensor) and labels.is_floating_point()
        self._columns = labels.shape[-1] if floating else 1
        if self._in_step and self._mixes_in_steps:
            if self.mix.mixing and not self.mix.training and not self._told_evaluation:
                self._told_evaluation = True
                _log.warning(
                    "MixTrainerMixin: the mix is in evaluation mode, so batches are not mixed; "
                    "call mix.train(), or set mix.mixing = False where that is meant."
                )
            inputs = self.mix(inputs, model=model)
        return super().compute_loss(model, inputs, *args, **kwargs)

    def get_eval_dataloader(self, *args: Any, **kwargs: Any) -> Any:
        """Give a loader that never mixes; see ``Trainer.get_eval_dataloader``."""
        with self._collating_unmixed():
            return super().get_eval_dataloader(*args, **kwargs)

    def get_test_dataloader(self, *args: Any, **kwargs: Any) -> Any:
        """Give a loader that never mixes; see ``Trainer.get_test_dataloader``."""
        with self._collating_unmixed():
            return super().get_test_dataloader(*args, **kwargs)

    @contextmanager
    def _collating_unmixed(self) -> Generator[None]:
        """Let loaders that are made meanwhile collate alone, whoever iterates them and when."""
        collator: Any = self.data_collator
        if isinstance(collator, MixCollator):
            self.data_collator = collator.collate
        try:
            yield
        finally:
            self.data_collator = collator

    def _mixed_loss(self, outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Tensor:
        config = getattr(self.model, "config", None)
        if num_items_in_batch is not None:
            num_items_in_batch = num_items_in_batch / self._columns
        return _loss(
            outputs,
            labels,
            num_items_in_batch,
            label_smoothing=self.args.label_smoothing_factor,
            several=getattr(config, "problem_type", None) == "multi_label_classification",
        )

    # The Trainer's own pair for the state of training: both get the checkpoint's folder, in every
    # process, and neither is called where a checkpoint is of the model alone. Callbacks that save
    # are told no folder, and their state is that of the first process.
    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        folder = Path(output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        state = self.mix.state_dict()
        write_whole(folder / _file(self.args.process_index), lambda file: torch.save(state, file))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is None:
            return
        # A process that was not there takes the first one's, of which Mix begins another stream.
        ranks = (self.args.process_index, 0)
        paths = [Path(checkpoint, _file(rank)) for rank in ranks]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            _log.warning("%s holds no %s: draws of Mix begin anew.", checkpoint, paths[0].name)
            return
        self.mix.load_state_dict(torch.load(path, weights_only=True))


class MixCollator:
    """Collate samples for the Trainer and mix them, in training alone: ``data_collator=``.

    The Trainer has one collator for all its loaders. In a ``MixTrainer`` those of evaluation and
    test get ``collate``, which mixes nothing. In another Trainer this one does not mix for
    ``Trainer.evaluate`` and ``Trainer.predict``, but it cannot know a loader of
    ``get_eval_dataloader`` or ``get_test_dataloader`` that you, or an ``evaluation_loop`` of your
    own, iterate: make that one with ``collate_fn=collator.collate``.

    Draws come from (seed, epoch, worker, batch), as those of ``Mix.collate``; loaders fetch ahead,
    so a resumed run draws from the same laws but does not repeat the very draws.
    ``MixTrainerMixin`` with ``mix=`` does, knows the model, and mixes on the device.

    Give it to a ``MixTrainer``, or give the Trainer ``compute_loss_func=mixed_cross_entropy``
    beside it: a model that is handed the mixed labels itself trains by binary cross-entropy.

    Args:
        mix: what mixes, with a mixer that needs no model.
        collate: makes a batch of samples; None for transformers' ``default_data_collator``, which
            names labels ``labels``.

    Raises:
        ImportError: transformers is missing or older than 4.50.
        ValueError: ``mix`` is no ``Mix``; at the first batch, its mixer needs the model.

    Example::

        trainer = MixTrainer(model, arguments, data_collator=MixCollator(mix), ...)
    """

    def __init__(self, mix: Mix, collate: Callable[[Sequence[Any]], Any] | None = None) -> None:
        library = require("transformers", "4.50", "transformers")
        if not isinstance(mix, Mix):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(
                f"MixCollator: mix is {shown(mix)}; expected a Mix, such as "
                "Mix(CutMix(), num_classes=10)."
            )
        self.mix = mix
        self.collate = library.default_data_collator if collate is None else collate
        self._sent_to_evaluation = False  # of the copy in a worker that was spawned

    def __call__(self, samples: Sequence[Any]) -> Any:
        """Make a batch with mixed images and targets ``(B, K)`` floating."""
        batch, mix = self.collate(samples), self.mix
        if not mix.mixing or self._sent_to_evaluation or _evaluating():
            return batch
        try:
            return mix._mixed(batch, mix._loaded)  # pyright: ignore[reportPrivateUsage]
        except MissingModelError as error:
            raise ValueError(
                f"MixCollator: {str(error).split(':')[0]} looks at the model, and a collator has "
                "none; expected a mixer that does not, or no MixCollator and mix=Mix(...) given to "
                "a trainer with MixTrainerMixin."
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """Pickle: a worker that is spawned does not see who started it."""
        return {**self.__dict__, "_sent_to_evaluation": self._sent_to_evaluation or _evaluating()}


def mixed_cross_entropy(
    outputs: Any, labels: Tensor | None, num_items_in_batch: Any = None
) -> Tensor:
    """Cross-entropy for a Trainer whose batches may be mixed: ``compute_loss_func=``.

    A Trainer tells its ``compute_loss_func`` nothing of ``label_smoothing_factor``, which has no
    effect here: smooth with ``Mix(label_smoothing=...)``, or use ``MixTrainerMixin``.

    Args:
        outputs: what the model returned, with ``logits`` ``(B, K)``.
        labels: ``(B,)`` class indices, -100 for none; or ``(B, K)`` floating, mixed.
        num_items_in_batch: numbers in the labels of all batches of the step, as the Trainer counts
            them; None takes the mean over this batch.

    Returns:
        The loss, 0-d float32.

    Raises:
        ValueError: there are no logits or no labels, or their shapes do not fit.

    Example:
        >>> outputs, half = {"logits": torch.zeros(2, 4)}, torch.tensor([[0.5, 0.5, 0.0, 0.0]] * 2)
        >>> mixed_cross_entropy(outputs, half).item() == torch.tensor(4.0).log().item()
        True
    """
    if isinstance(labels, Tensor) and labels.is_floating_point() and num_items_in_batch is not None:
        num_items_in_batch = num_items_in_batch / labels.shape[-1]
    return _loss(outputs, labels, num_items_in_batch)


def _loss(
    outputs: Any,
    labels: Tensor | None,
    rows: Any,
    *,
    label_smoothing: float = 0.0,
    several: bool = False,
) -> Tensor:
    """Return the loss summed over the batch and divided by ``rows``; where None, its mean."""
    logits = take_logits(outputs, who="mixed_cross_entropy").float()
    if labels is None:
        raise ValueError(
            "mixed_cross_entropy: the batch has no 'labels'; expected the Trainer's name for them. "
            "Name the column of the data set 'label' or 'labels', and keep it: "
            "remove_unused_columns=False where a transform makes it."
        )
    labels = labels.to(logits.device)
    if labels.is_floating_point() and labels.shape[-1] != logits.shape[-1]:
        raise ValueError(
            f"mixed_cross_entropy: the labels have {labels.shape[-1]} classes and the model "
            f"{logits.shape[-1]} logits; expected one number, that of Mix(num_classes=...) and of "
            "the model's num_labels."
        )
    if several:
        each = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        each = each.mean(dim=1)
        return each.mean() if rows is None else each.sum() / rows
    labels = labels.float() if labels.is_floating_point() else labels
    reduction = "mean" if rows is None else "sum"
    loss = F.cross_entropy(logits, labels, reduction=reduction, label_smoothing=label_smoothing)
    return loss if rows is None else loss / rows


def _file(rank: int) -> str:
    return f"mixwright_{rank}.pt"


def _evaluating() -> bool:
    """Whether one of the Trainer's loops of evaluation is under way, further up the stack.

    The Trainer gives one collator to all loaders and tells it nothing. A worker that was forked has
    the stack of the loop that started it.
    """
    frame = sys._getframe()  # pyright: ignore[reportPrivateUsage]
    while frame is not None:
        loop = frame.f_code.co_name in ("evaluation_loop", "prediction_loop")
        if loop and str(frame.f_globals.get("__name__")).startswith("transformers.trainer"):
            return True
        frame = frame.f_back
    return False
