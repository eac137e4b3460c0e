"""Training, from a recipe to a result."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mixwright import __version__
from mixwright.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from mixwright.lab.data.classes import class_list
from mixwright.lab.data.identity import DataIdentity, data_identity
from mixwright.lab.data.sets import Dataset
from mixwright.lab.training.convert import convert_checkpoint
from mixwright.lab.training.distributed import join, others_may_be_lost
from mixwright.lab.training.epoch import (
    DIAGNOSTIC,
    TERM,
    EpochSummary,
    diverged,
    streams,
    train_epoch,
)
from mixwright.lab.training.folder import Record, RunFolder, median_step
from mixwright.lab.training.machine import commit, machine
from mixwright.lab.training.mask_snapshots import is_snapshot_epoch, save_mask_snapshots
from mixwright.lab.training.pages import kept_pages
from mixwright.lab.training.progress import Progress
from mixwright.lab.training.recipe import Recipe, RecipeError, differences, recipe_hash
from mixwright.lab.training.result import Result, chosen_on, warning_spans
from mixwright.lab.training.scoring import Columns, Evaluate, Rescale, Scoring
from mixwright.lab.training.session import (
    Session,
    check_augmentations,
    check_partners,
    prepare,
)
from mixwright.objectives.objective import Objective
from mixwright.outputs import NotFiniteError
from mixwright.sampling import Stream, stream

_CONTINUED = (
    *("recipe", "weights", "ema_updates", "optimizer", "objective"),
    *("epoch", "best", "seconds", "record"),
)


def train(
    recipe: Recipe,
    *,
    model: nn.Module,
    objective: Objective,
    data: Dataset,
    evaluate: Evaluate,
    folder: str | Path,
    device: torch.device | str = "cpu",
    identity: DataIdentity | None = None,
    rescale: Rescale | None = None,
    on_progress: Callable[[Progress], None] | None = None,
) -> Result:
    """Train a model by a recipe, in a folder that remembers how far it came.

    Called again with the same recipe and folder, an interrupted run continues after its last
    finished epoch, on the CPU bit for bit as if nothing had happened; a finished one returns its
    result at once. All draws come from the recipe's seed, the process's rank and the epoch, and
    torch's global generator is left as it was found.

    Started by ``torchrun`` or ``srun``, the processes train together: ``batch_size`` counts over
    all of them, each draws its own augmentation and mixing, metrics are over all images, and
    rank 0 alone writes. Batch norm's running statistics are each process's own within an epoch;
    those of rank 0 are evaluated and saved, and all continue from them.

    Raw and averaged weights are evaluated in float32 every ``eval_every`` epochs and after the
    last one, and with them the teacher of an objective that has one of its own; each through the
    last layer that learns, or one after the other through both (see ``heads``). Where the data have
    images for validation, the best epoch is chosen on them and on nothing else; the test images are
    scored as well, for the curves. Once, after the last epoch, the raw weights are scored on
    training images as they are, and ``rescale`` is asked about every column. After each epoch with
    mixing the objective is asked for warnings, which stop nothing.

    Args:
        recipe: what to do. Its data, model and method only name the next three arguments.
        model: images ``(B, C, H, W)`` in [0, 1] to logits ``(B, K)``; moved to the device and
            changed.
        objective: how it learns; not built yet.
        data: images to train and to test on.
        evaluate: how models are scored.
        folder: the run's own folder; see ``RunFolder``.
        device: ``cpu``, ``cuda`` (of several, the one of the local rank) or another of torch's.
        identity: what the data are; None to work it out.
        rescale: what temperature scaling would make of the final scores; its measures are added to
            them. None adds nothing.
        on_progress: called on rank 0 a few times an epoch, and after each epoch is saved.

    Returns:
        The result, which ``result.json`` holds too.

    Raises:
        RunError: the folder is another recipe's or other data's, foreign, or in use; or another
            process was not met, or was lost.
        CheckpointError: ``last.pt`` is damaged, or a checkpoint cannot be written.
        RecipeError: the batch cannot be divided by the processes, or leaves nobody to mix with,
            or an augmentation does not fit the images.
        DivergedError: a loss, a weight or logits of tests became NaN or infinite; the last
            checkpoint is kept.
    """
    world = join(device)
    # Before anything is written.
    check_partners(recipe, objective, images=len(data.train), world=world)
    check_augmentations(recipe, data)
    if identity is None:  # worked out by the first process, which keeps the folder
        identity = world.first_does(lambda: data_identity(data))
    run = RunFolder(Path(folder), recipe, identity)
    world.first_does(run.open)
    run.data_known = world.share(run.data_known)
    try:
        finished = world.first_does(run.result)
        if finished is not None:
            return finished
        here = world.device(device)
        with torch_set_for(recipe, here), others_may_be_lost():
            session = prepare(
                recipe, model=model, objective=objective, data=data, world=world, device=here
            )
            return _Run(run, session, Scoring(session, evaluate, rescale), on_progress).finish()
    finally:
        run.close()


class _Run:
    """The epochs of one call of ``train``."""

    def __init__(
        self,
        folder: RunFolder,
        session: Session,
        scoring: Scoring,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.folder = folder
        self.session = session
        self.scoring = scoring
        self.on_progress = on_progress
        self.epoch = 0
        self.records: list[Record] = []
        self.best: Columns = {}
        self.scores: Columns | None = None  # of the last epoch, if evaluated
        self.chosen_by: Columns | None = None  # likewise, on validation images
        self.newest_scores: Columns = {}
        self.warnings: tuple[str, ...] = ()  # of the newest finished epoch
        self.earlier_seconds = 0.0  # of earlier calls
        self.started = time.perf_counter()
        self.steps_done = 0

    def finish(self) -> Result:
        """Train the epochs that are missing."""
        try:
            return self._finish()
        except NotFiniteError as error:  # while losses were finite: of norms that only tests take
            raise diverged(error.what, self.session, self.epoch) from error

    def _finish(self) -> Result:
        self._resume()
        recipe = self.session.recipe
        while self.epoch < recipe.epochs:
            self.epoch += 1
            summary = train_epoch(self.session, self.epoch, self._report)
            self.session.equalise()
            self._evaluate()
            self.newest_scores = self.scores or self.newest_scores
            better = self._keep_best()
            self.warnings = self._warnings(summary.means)
            self.records.append(self._record(summary))
            self.session.world.first_does(lambda better=better: self._save(better=better))
            self.steps_done += self.session.steps
            self._report(0, summary.means, summary.lr, finished=True)
        result = self._result()
        self.session.world.first_does(lambda: self.folder.finish(result.to_record()))
        return result

    def _resume(self) -> None:
        """Continue from the last checkpoint, where there is one."""
        world, folder = self.session.world, self.folder

        def read() -> tuple[dict[str, Any], list[Record]] | None:
            if not folder.last.exists():
                folder.rewind(0)
                return None
            state = convert_checkpoint(load_checkpoint(folder.last))
            _check_resumable(state, self.session.recipe, self.session.data, folder.last)
            known = state.pop("records", [state["record"]])
            return state, folder.rewind(state["epoch"], known)

        found = world.first_does(read)
        if found is not None:
            state, self.records = found
            self.session.restore(state)
            self.epoch, self.best = state["epoch"], state["best"]
            self.earlier_seconds = state["seconds"]
            self.scores = self.records[-1]["test"]
            self.chosen_by = self.records[-1].get("validation")
            self.newest_scores = next((r["test"] for r in reversed(self.records) if r["test"]), {})
            self.warnings = tuple(self.records[-1]["warnings"])

    def _evaluate(self) -> None:
        """Score what there is to score in epochs that are evaluated; see ``Session.columns``."""
        session, recipe = self.session, self.session.recipe
        self.scores = self.chosen_by = None
        if self.epoch % recipe.eval_every and self.epoch < recipe.epochs:
            return
        seeds = streams(recipe.seed, session.world.rank, self.epoch)  # the epoch's images again
        batches = session.train.epoch(order=seeds[Stream.ORDER], augment=seeds[Stream.AUGMENT])
        session.objective.before_evaluation(
            (images[: len(labels)], labels) for images, labels in batches
        )
        session.equalise()  # each process has measured its own part
        session.model.eval()
        self.scores, self.chosen_by = self.scoring.test_and_validation(
            last=self.epoch == recipe.epochs
        )

    def _warnings(self, means: dict[str, float]) -> tuple[str, ...]:
        """Ask the objective what went wrong; not about epochs that did not mix."""
        recipe = self.session.recipe
        if self.epoch > recipe.epochs - recipe.mix_off_epochs:
            return ()
        named = _by_name(means)
        flat = {**named.pop("diagnostics"), **named.pop("terms"), **named}
        return self.session.objective.warnings(flat, progress=self.epoch / recipe.epochs)

    def _keep_best(self) -> bool:
        """Note the best epoch of each column; return whether the raw weights improved."""
        tests, judges = self.scores or {}, self.chosen_by
        better: Columns = {}
        for name, scores in tests.items():
            found: dict[str, Any] = {**scores, "epoch": self.epoch}
            if judges is not None:
                found["validation_top1"] = judges[name]["top1"]
            by = "top1" if judges is None else "validation_top1"
            if name not in self.best or found[by] > self.best[name].get(by, -1.0):
                better[name] = found
        self.best = {**self.best, **better}
        return "raw" in better

    def _save(self, *, better: bool) -> None:
        """Write the epoch's line, then the checkpoints: ``last.pt`` marks the epoch as done."""
        self.folder.append(self.records[-1])
        if is_snapshot_epoch(self.epoch, self.session.recipe.epochs):
            session = self.session
            save_mask_snapshots(
                self.folder.path, self.epoch, objective=session.objective, data=session.data
            )
        position = {"epoch": self.epoch, "best": self.best, "seconds": self._seconds()}
        if better:
            save_checkpoint(self.folder.best, {**self.session.weights(), **position})
        state = {**self.session.state(), **position, "record": self.records[-1]}
        save_checkpoint(self.folder.last, state)

    def _record(self, summary: EpochSummary) -> Record:
        session, recipe, heads = self.session, self.session.recipe, self._heads()
        return {
            "epoch": self.epoch,
            "progress": self.epoch / recipe.epochs,
            "lr": summary.lr,
            "train": _by_name(summary.means),
            "test": self.scores,
            **({} if session.validation is None else {"validation": self.chosen_by}),
            **({"heads": heads} if heads else {}),
            "warnings": list(self.warnings),
            "seconds": summary.seconds,
            "step_seconds": summary.step_seconds,
            "images_per_second": summary.images / summary.seconds,
            "seed": recipe.seed,
            "commit": commit(),
            "method": recipe.method,
        }

    def _result(self) -> Result:
        session, recipe = self.session, self.session.recipe
        if self.scores is None:
            raise RuntimeError("the last epoch is always evaluated")
        clean_train, rescaled = self.scoring.clean_train(), self.scoring.at_the_end()
        return Result(
            recipe=recipe,
            hash=recipe_hash(recipe),
            seed=recipe.seed,
            commit=commit(),
            mixwright=__version__,
            torch=torch.__version__,
            machine={**machine(session.device), "processes": session.world.size},
            epochs=recipe.epochs,
            train=self.records[-1]["train"],
            scores={name: {**own, **rescaled.get(name, {})} for name, own in self.scores.items()},
            best=self.best,
            clean_train=clean_train,
            heads=self._heads(),
            validation=self.chosen_by or {},
            chosen_on=chosen_on(recipe, validated=session.validation is not None),
            set_by_data=session.set_by_data,
            step_seconds=median_step(self.records),
            seconds=self._seconds(),
            parameters=sum(p.numel() for p in session.model.parameters() if p.requires_grad),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            warnings=warning_spans(self.records),
            data=self.folder.digest,
        )

    def _heads(self) -> dict[str, str]:
        """The head of each column; empty where there is no other than the model's own."""
        return self.session.columns() if self.session.mixed_heads() else {}

    def _seconds(self) -> float:
        return self.earlier_seconds + time.perf_counter() - self.started

    def _report(
        self, step: int, means: dict[str, float], lr: float, *, finished: bool = False
    ) -> None:
        """Report how far the run is; ``finished`` when the epoch has been saved."""
        session, recipe = self.session, self.session.recipe
        if self.on_progress is None or not session.world.first:
            return
        done = self.steps_done + step
        left = (recipe.epochs - self.epoch) * session.steps
        left += 0 if finished else session.steps - step
        self.on_progress(
            Progress(
                epoch=self.epoch,
                epochs=recipe.epochs,
                step=session.steps if finished else step,
                steps=session.steps,
                loss=means["loss"],
                accuracy=means["accuracy"],
                lr=lr,
                seconds_left=left * (time.perf_counter() - self.started) / done,
                scores={name: scores["top1"] for name, scores in self.newest_scores.items()},
                warnings=self.warnings,
            )
        )


def _check_resumable(state: dict[str, Any], recipe: Recipe, data: Dataset, path: Path) -> None:
    """Refuse a checkpoint that this recipe's run cannot continue from, or not on these data."""
    advice = "Delete it to train from the start, or copy this run's own in its place."
    missing = [name for name in _CONTINUED if name not in state]
    if missing:
        raise CheckpointError(
            f"checkpoint {path} has no {', '.join(missing)}; expected what a run needs to continue "
            f"(a best.pt holds weights alone). {advice}"
        )
    try:
        other = differences(Recipe.from_json(state["recipe"]), recipe)
    except RecipeError as error:
        raise CheckpointError(f"checkpoint {path}: {error} {advice}") from error
    if other:
        fields = ", ".join(f"{name} {was!r} not {now!r}" for name, (was, now) in other.items())
        raise CheckpointError(
            f"checkpoint {path} belongs to another recipe ({fields}); expected this run's. {advice}"
        )
    classes = tuple(state.get("classes", data.classes))
    if classes != data.classes:
        raise CheckpointError(
            f"checkpoint {path} knows the classes {class_list(classes)}, {data.name} has "
            f"{class_list(data.classes)}; expected the same in the same order. {advice}"
        )


def _by_name(means: dict[str, float]) -> dict[str, Any]:
    def those(prefix: str) -> dict[str, float]:
        return {k.removeprefix(prefix): v for k, v in means.items() if k.startswith(prefix)}

    return {
        "loss": means["loss"],
        "accuracy": means["accuracy"],
        "terms": those(TERM),
        "diagnostics": those(DIAGNOSTIC),
    }


@contextlib.contextmanager
def torch_set_for(recipe: Recipe, device: torch.device) -> Generator[None, None, None]:
    """Set torch's global generator and switches, and the allocator; restore them at the end."""
    strict = torch.are_deterministic_algorithms_enabled()
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    search = torch.backends.cudnn.benchmark
    with kept_pages(device), torch.random.fork_rng([device] if device.type == "cuda" else []):
        # For what an objective builds; each epoch seeds anew.
        torch.manual_seed(int(torch.randint(2**62, (), generator=stream(recipe.seed))))
        torch.use_deterministic_algorithms(
            strict or recipe.deterministic, warn_only=lenient and not recipe.deterministic
        )
        torch.backends.cudnn.benchmark = not recipe.deterministic
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=lenient)
            torch.backends.cudnn.benchmark = search
