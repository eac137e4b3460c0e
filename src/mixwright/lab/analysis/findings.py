"""What a comparison, an evaluation or a theory run found: one record for all three.

Records are what ran: a summary of plain numbers for each seed. Analysis adds what they are worth
(intervals, differences, tests), once, and all of it is stored as JSON; maps and pictures that
figures need lie beside it as ``.npz``. Pages and tables only format what stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from mixwright.lab.analysis.statistics import Contrast, Interval

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 3
"""Of the record; ``convert`` brings records of formats 1 and 2 to it."""

Kind = Literal["comparison", "evaluation", "theory", "reproduction"]

WEIGHTS = {
    "raw": "trained weights",
    "ema": "EMA",
    "teacher": "own teacher",
    "raw_mixed": "trained weights, mixed head",
    "ema_mixed": "EMA, mixed head",
    "teacher_mixed": "own teacher, mixed head",
}
"""Sets of weights of a run as they are evaluated (``training.heads``), and how people call them."""

SHORT_WEIGHTS = {
    "raw": "trained",
    "ema": "EMA",
    "teacher": "teacher",
    "raw_mixed": "trained, mixed head",
    "ema_mixed": "EMA, mixed head",
    "teacher_mixed": "teacher, mixed head",
}
"""The same in heads of tables."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Group:
    """One method (or model) with one set of weights over its seeds, in one part of the findings.

    Attributes:
        key: unique in its part; METHOD and weights, or the model's name.
        name: how people call the method or model.
        label: the name with its weights, where there are several.
        method: METHOD of its runs; empty for models that are not ours.
        slug: the method's name in files.
        weights: one of ``WEIGHTS``; empty where it is about no such set.
        baseline: whether others are compared with it, those of the same ``checkpoint``.
        checkpoint: the file of its weights where that is not a run's last, such as ``best.pt``.
        seeds: of its runs; ``(None,)`` for a model that has none.
        folders: of its runs, relative to the record; empty where they have none.
        summaries: what was measured, one a seed.
        intervals: of every number in the summaries over the seeds, by path (``bins.15.ece``).
        differences: to the baseline, by path; of numbers that have a name (entries of lists have
            none).
        arrays: measured tensors, one mapping a seed; kept for the analysis, not in the record.
    """

    key: str
    name: str
    label: str
    method: str = ""
    slug: str = ""
    weights: str = ""
    baseline: bool = False
    checkpoint: str = ""
    seeds: tuple[int | None, ...] = (None,)
    folders: tuple[str, ...] = ()
    summaries: tuple[dict[str, Any], ...] = ()
    intervals: dict[str, Interval] = field(default_factory=dict[str, Interval])
    differences: dict[str, Contrast] = field(default_factory=dict[str, Contrast])
    # Tensors; declared as anything, since records are read where torch is not imported.
    arrays: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)

    @property
    def first(self) -> dict[str, Any]:
        """The summary of the first seed, for what all seeds share."""
        return self.summaries[0]


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One chapter of the findings: all groups that it was measured for.

    Attributes:
        groups: methods and models, in the order of the command.
        options: of the evaluation.
        numbers: what the analysis found beyond intervals and differences, as plain values.
    """

    groups: tuple[Group, ...]
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    numbers: dict[str, Any] = field(default_factory=dict[str, Any])

    def group(self, key: str) -> Group | None:
        """The group of that key, if there is one."""
        return next((group for group in self.groups if group.key == key), None)

    @property
    def several_seeds(self) -> bool:
        """Whether some group has more than one run, so that there are intervals over runs."""
        return any(len(group.seeds) > 1 for group in self.groups)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A run that did not finish: method and seed, and the last lines it wrote."""

    name: str
    error: str


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """What a record keeps about its data set.

    Attributes:
        name: as given to ``load_data``.
        note: where it comes from.
        classes: their names, by label.
        train: images to train on.
        test: images that were judged on.
        validation: images that the best epoch was chosen on; 0 where it was the test images.
        shape: ``(C, H, W)`` of an image.
        digest: of the images, by content; empty in older records.
    """

    name: str
    note: str
    classes: tuple[str, ...]
    train: int
    test: int
    shape: tuple[int, ...]
    validation: int = 0
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class About:
    """Where findings come from.

    Attributes:
        command: that made them.
        finished: ISO time.
        seconds: of work, summed over all runs.
        machine: where it ran; see ``training.machine``.
        commit: of the working copy; None outside one, several joined by commas.
        versions: of mixwright and torch.
        data: the data set.
        recipe: what all runs share; None where there is none.
        details: what else decides the numbers, by name (``parallel``, ``parameters``, ``seed``).
        failures: runs that did not finish.
        skipped: what was asked for and not measured, a sentence each with its reason.
    """

    command: str
    finished: str
    seconds: float
    machine: dict[str, Any]
    commit: str | None
    versions: dict[str, str]
    data: Dataset
    recipe: dict[str, Any] | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any])
    failures: tuple[Failure, ...] = ()
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Findings:
    """Everything that a page shows but its pictures.

    Attributes:
        kind: of command that made them.
        about: where they come from.
        parts: chapters by name, in the order of the page.
        format: of the record.
    """

    kind: Kind
    about: About
    parts: dict[str, Part]
    format: int = FORMAT


Arrays = Mapping[str, "Tensor"]
"""Maps and pictures of findings, under ``part/group key/name``."""
