"""How the sets of weights of a run are scored: in its epochs, and once after the last one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from mixwright.lab.data.batches import Batches
from mixwright.lab.data.subset import stratified_rows
from mixwright.lab.training.heads import MIXED, wearing, weights_of
from mixwright.lab.training.session import Session
from mixwright.taps import evaluating

CLEAN_TRAIN = 2000
"""Training images, at most, that the trained weights are judged on at the end."""

Columns = dict[str, dict[str, Any]]
"""Scores by column; see ``heads``."""
_Predictions = dict[str, list[tuple[Tensor, Tensor]]]


class NumbersLike(Protocol):
    """A dataclass of numbers."""

    __dataclass_fields__: ClassVar[dict[str, Any]]


class ScoresLike(NumbersLike, Protocol):
    """A dataclass of numbers with a ``top1``, such as ``evaluation.Scores``."""

    @property
    def top1(self) -> float:
        """Share of images whose first guess is right."""
        ...


class Evaluate(Protocol):
    """How a model is scored; ``evaluation.evaluate`` is one.

    ``reduce`` adds up over processes and is given where there are several; ``keep`` is told the
    logits and labels of each batch, and is given where they are wanted.
    """

    def __call__(
        self,
        model: nn.Module,
        batches: Batches,
        /,
        *,
        reduce: Callable[[Tensor], Tensor] | None = None,
        keep: Callable[[Tensor, Tensor], object] | None = None,
    ) -> ScoresLike:
        """Return the model's scores over the batches."""
        ...


class Rescale(Protocol):
    """What temperature scaling would make of logits; ``evaluation.rescale`` is one."""

    def __call__(
        self,
        logits: Tensor,
        labels: Tensor,
        /,
        *,
        held_out: tuple[Tensor, Tensor] | None = None,
    ) -> NumbersLike:
        """Return measures of ``(M, K)`` logits under a temperature fitted on ``held_out``."""
        ...


class Scoring:
    """Scores the columns of a session."""

    def __init__(self, session: Session, evaluate: Evaluate, rescale: Rescale | None) -> None:
        self.session = session
        self.evaluate = evaluate
        self.rescale = rescale
        self._kept: tuple[_Predictions, _Predictions] | None = None

    def test_and_validation(self, *, last: bool) -> tuple[Columns, Columns | None]:
        """Scores of every column on the test images, and on images for validation, or None.

        What the models say is kept from the ``last`` time for ``at_the_end``.
        """
        session, kept = self.session, (_new(), _new())
        keep = kept if last and self.rescale is not None else (None, None)
        tests = self._scored(session.test, keep[0])
        judges = None
        if session.validation is not None:
            judges = self._scored(session.validation, keep[1])
        if keep[0] is not None:
            self._kept = kept
        return tests, judges

    def clean_train(self) -> dict[str, Any]:
        """Top-1 and NLL of the raw column on training images as they are, of each class its share.

        The images are the same in every run on the same data, and no stream of the run is drawn
        from.
        """
        session, images = self.session, self.session.data.train
        rows = stratified_rows(images.labels, min(CLEAN_TRAIN, len(images)))
        batches = session.make_test(images.subset(rows))
        scores = self._scored(batches, None, columns=("raw",))["raw"]
        return {"top1": scores["top1"], "nll": scores["nll"], "images": scores["count"]}

    def at_the_end(self) -> Columns:
        """What temperature scaling makes of the test images' scores, by column; see ``Rescale``."""
        if self.rescale is None:
            return {}
        if self._kept is None:  # continued after its last epoch
            self.test_and_validation(last=True)
        assert self._kept is not None
        tests, judges = (self._together(kept) for kept in self._kept)
        found: Columns = {}
        for column, one in tests.items():
            given = partial(self.rescale, *one, held_out=judges.get(column))
            found[column] = asdict(self.session.world.first_does(given))
        return found

    def _scored(
        self,
        batches: Batches,
        kept: _Predictions | None,
        columns: tuple[str, ...] | None = None,
    ) -> Columns:
        """Scores of every column, or of some, over batches."""
        session = self.session
        given: dict[str, Any] = {"reduce": session.world.sum} if session.world.size > 1 else {}
        models, heads = session.models(), session.mixed_heads()
        scores: Columns = {}
        for column, kind in session.columns().items():
            if columns is not None and column not in columns:
                continue
            if kept is not None:
                given["keep"] = _keeper(kept, column)
            name = weights_of(column)
            head = heads[name] if kind == MIXED else None
            # A teacher may keep norm layers in a mode of its own.
            with evaluating(models[name]), wearing(models[name], session.layer, head) as model:
                scores[column] = asdict(self.evaluate(model, batches, **given))
        return scores

    def _together(self, kept: Mapping[str, list[tuple[Tensor, Tensor]]]) -> dict[str, Any]:
        """Logits and labels of all processes, in the order of the set, by column."""
        found: dict[str, tuple[Tensor, Tensor]] = {}
        for column in self.session.columns():
            parts = [pair for own in self.session.world.gather(kept[column]) for pair in own]
            if parts:
                logits, labels = zip(*parts, strict=True)
                found[column] = torch.cat(logits), torch.cat(labels)
        return found


def _new() -> _Predictions:
    return defaultdict(list)


def _keeper(kept: _Predictions, column: str) -> Callable[[Tensor, Tensor], None]:
    def keep(logits: Tensor, labels: Tensor) -> None:
        # Copies outside of inference mode can be used in any computation later.
        with torch.inference_mode(mode=False):
            kept[column].append((logits.cpu().clone(), labels.cpu().clone()))

    return keep
