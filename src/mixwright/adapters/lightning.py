"""``MixCallback``: mixing in Lightning's ``Trainer.fit``, and nowhere else.

Importing this needs Lightning, as ``lightning`` or as ``pytorch_lightning``.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from mixwright.adapters.mix import Mix
from mixwright.arguments import shown
from mixwright.outputs import take_logits
from mixwright.plan import MixPlan
from mixwright.requirements import require
from mixwright.taps import named_layer

# 2.6.2 and 2.6.3 were malicious uploads. Both packages hold the same code, and a callback of one
# serves the trainer of the other: trainers look for hooks by name.
_old = find_spec("lightning") is None and find_spec("pytorch_lightning") is not None
_name = "pytorch_lightning" if _old else "lightning"
require(_name, "2.5", "lightning", excluded=("2.6.2", "2.6.3"))
_Callback: Any = import_module(_name if _old else "lightning.pytorch").Callback


class MixCallback(_Callback):
    """Mix the batches of ``Trainer.fit`` on their device, right before ``training_step``.

    ``training_step`` gets mixed images, and targets ``(B, K)`` floating in place of labels; its
    loss has to take them, as ``torch.nn.functional.cross_entropy`` does. Validation, its sanity
    check, test and prediction see batches as they are. Each batch is mixed by itself, also where
    gradients are accumulated.

    - ``mix.progress`` follows the run before each batch, for ``Scheduled``: the share of
      ``max_epochs`` or ``max_steps`` that is done, the larger where both are set. A run without
      either end leaves it as it is.
    - Mixers that look at the model get the LightningModule, whose ``forward`` then has to give
      logits of images; or the part that ``model`` names.
    - Where ``training_step`` returns its logits beside the loss, ``{"loss": ..., "logits": ...}``,
      the accuracy of each epoch's mixed batches is logged: the share of label weight at the
      predicted class, by ``MixPlan.accuracy``.
    - Lightning's tuner, ``lr_find`` and ``scale_batch_size``, tries mixed batches too.
    - A mix that is in evaluation mode when the fit begins mixes nothing and is warned of.
    - The trainer's checkpoints hold the draws of all ranks; a run that goes on from one, with as
      many ranks, draws on exactly. Ranks draw differently.

    A trainer takes one of them, since two would mix what is mixed already: ``OneOf`` holds several
    mixers.

    Args:
        mix: what mixes; its ``labels_getter`` finds images and labels in batches of any structure.
        model: name of the submodule that mixers look at, such as ``"net"``; None for the
            LightningModule.
        log: name under which the accuracy is logged; None for no log.

    Raises:
        ValueError: ``mix`` is no ``Mix``; in ``fit``, the trainer has another ``MixCallback``, the
            module has no submodule ``model``, or as for ``mix(batch)``.

    Example::

        trainer = Trainer(callbacks=[MixCallback(Mix(CutMix(), num_classes=10))])
    """

    def __init__(
        self, mix: Mix, *, model: str | None = None, log: str | None = "train_mixed_accuracy"
    ) -> None:
        super().__init__()
        if not isinstance(mix, Mix):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(
                f"MixCallback: mix is {shown(mix)}; expected a Mix, such as "
                "Mix(CutMix(), num_classes=10)."
            )
        self.mix = mix
        self.model = model
        self.log_name = log
        self._drawn: tuple[MixPlan, Any] | None = None  # of the batch that is trained on
        self._undo: Callable[[], None] | None = None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Begin to mix, before tuners try learning rates or batch sizes in ``on_fit_start``."""
        if stage != "fit":
            return
        count = sum(isinstance(callback, MixCallback) for callback in trainer.callbacks)
        if count > 1:
            raise ValueError(
                f"MixCallback: the trainer has {count} of them, which would mix batches that are "
                "mixed already; expected one. Let it choose for each sample, as by "
                "Mix(mw.OneOf(mw.CutMix(), mw.MixUp()), ...)."
            )
        self._stop()
        # A callback is shown the batch but cannot replace it: Lightning passes on the object that
        # it has, and labels in a tuple cannot become targets, of another shape and dtype, in place.
        # So the strategy's step that brings a batch to the device is followed by the mixing, the
        # one place that batches of every loop pass: behind on_after_batch_transfer of the module
        # or the data module, whichever has it, and before all training hooks. It is the strategy's
        # attribute, not its class's, and lives as long as the fit, also where Lightning's tuner has
        # put the trainer's callbacks aside.
        strategy = trainer.strategy
        transfer = strategy.batch_to_device

        @functools.cache  # at the first batch: configure_model may not have made the layer yet
        def looked_at() -> Module:
            return pl_module if self.model is None else named_layer(pl_module, self.model)

        @functools.wraps(transfer)
        def transfer_and_mix(batch: Any, *args: Any, **kwargs: Any) -> Any:
            batch = transfer(batch, *args, **kwargs)
            return self._mixed(batch, trainer, looked_at()) if trainer.training else batch

        def undo() -> None:
            if vars(strategy).get("batch_to_device") is transfer_and_mix:
                del strategy.batch_to_device

        strategy.batch_to_device = transfer_and_mix
        self._undo = undo

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Say what would otherwise be seen late, or not at all."""
        if self.model is not None:
            named_layer(pl_module, self.model)
        if not self.mix.training and trainer.is_global_zero:
            warnings.warn(
                "MixCallback: the mix is in evaluation mode, so that batches are trained on "
                "unmixed; expected mix.train() before the fit. To train without mixing set "
                "mix.mixing = False.",
                stacklevel=2,
            )

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Mix no longer."""
        self._stop()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """Mix no longer: after an error Lightning does not tear callbacks down."""
        self._stop()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the accuracy on the mixed batch, where the step returned its logits."""
        drawn, self._drawn = self._drawn, None
        if self.log_name is None or drawn is None or not isinstance(outputs, Mapping):
            return
        if outputs.get("logits") is None:
            return
        plan, labels = drawn
        logits = take_logits(outputs, who="MixCallback", count=len(plan))
        pl_module.log(
            self.log_name,
            plan.accuracy(logits, labels, ignore_index=self.mix.ignore_index),
            on_step=False,
            on_epoch=True,
            batch_size=len(plan),
            sync_dist=True,
        )

    def state_dict(self) -> dict[str, Any]:
        """Give the state of the draws of all ranks; all ranks have to call it, as Lightning does.

        Without a group of processes there is one rank.
        """
        own = self.mix.state_dict()
        if _world() == 1:
            return {"ranks": [own]}
        # Only the first rank writes the checkpoint, and no rank knows how far others have drawn.
        ranks: list[Any] = [None] * _world()
        torch.distributed.all_gather_object(ranks, own)
        return {"ranks": ranks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of this rank; one that was not there begins a stream of its own."""
        ranks = state_dict["ranks"]
        rank = torch.distributed.get_rank() if _world() > 1 else 0
        self.mix.load_state_dict(ranks[rank if rank < len(ranks) else 0])

    def _mixed(self, batch: Any, trainer: Any, model: Module) -> Any:
        if (progress := _progress(trainer)) is not None:
            self.mix.progress = progress
        self._drawn = None
        if not self.mix.training or not self.mix.mixing:
            return batch

        def draw(images: Tensor, labels: Any) -> MixPlan:
            plan = self.mix.plan(images, labels, model=model)
            self._drawn = plan, labels
            return plan

        return self.mix._mixed(batch, draw)  # pyright: ignore[reportPrivateUsage]

    def _stop(self) -> None:
        if self._undo is not None:
            self._undo()
        self._undo = self._drawn = None


def _progress(trainer: Any) -> float | None:
    """Return the share of training that is done before this batch; None where no end is known."""
    shares = list[float]()
    loop = trainer.fit_loop.epoch_loop
    if trainer.max_epochs is not None and trainer.max_epochs > 0:
        batches, done = trainer.num_training_batches, loop.batch_progress.current.ready
        within = done / batches if math.isfinite(batches) and batches else 0.0
        shares.append((trainer.current_epoch + within) / trainer.max_epochs)
    if trainer.max_steps > 0:
        shares.append(trainer.global_step / trainer.max_steps)
    return min(max(shares), 1.0) if shares else None


def _world() -> int:
    ready = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if ready else 1
