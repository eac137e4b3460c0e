"""Training methods in two scenarios, and what follows for the pair that is asked about.

    run_scenarios(methods={"none": None, "mixup": MixUp(), "cutmix": CutMix()}, rung="sprites",
                  data=None, seeds=3, epochs=20, train_size=3000, test_size=2000, folder=None,
                  progress=quiet) -> Scenarios

``Scenarios.summaries[method]`` has one plain dict a seed, ready for JSON and for a ``Group``:

    {"seed": 0, "tasks": {"texture": {"small": {"top1": ..., "ema_top1": ..., "nll": ...,
     "train_accuracy": ..., "object_share": ..., "seconds": ...}, "large": {...}}, ...},
     "pair": ["cutmix", "mixup"], "rung": ..., "model": ..., "epochs": ..., ...}
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mixwright.arguments import check_choice, check_whole
from mixwright.lab.analysis.statistics import Interval, t_interval
from mixwright.lab.data.digest import images_digest
from mixwright.lab.data.sets import Dataset
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.evaluation.subject import quiet
from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.theory.scenarios.tasks import (
    RUNGS,
    SIZES,
    Rung,
    Size,
    Task,
    cifar_task,
    crop_task,
    sprite_tasks,
)
from mixwright.lab.training.loop import train
from mixwright.lab.training.recipe import Recipe
from mixwright.lab.training.result import Result
from mixwright.mixers.mixer import Mixer
from mixwright.objectives.mixed import Mixed

PAIR = ("cutmix", "mixup")
"""Whose difference is compared between the scenarios, where both were trained."""

Summary = dict[str, Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scenarios:
    """Scores of every method in both scenarios.

    Args:
        summaries: method -> one summary a seed.
        seeds: of the runs, in the order of the summaries.
        tasks: names of the tasks.
        pair: the two methods whose difference is asked about.
    """

    summaries: dict[str, list[Summary]]
    seeds: tuple[int, ...]
    tasks: tuple[str, ...]
    pair: tuple[str, str]

    def delta(
        self, task: str, size: Size, *, first: str | None = None, second: str | None = None
    ) -> Interval:
        """Difference in top-1 of two methods in one scenario, paired by seed.

        Args:
            task: its name.
            size: of the objects.
            first: a method; the first of the pair by default.
            second: another; the second of the pair by default.

        Returns:
            the mean over seeds with its t interval, as a fraction; ends are NaN for one seed.
        """
        return t_interval(self._deltas(task, size, first or self.pair[0], second or self.pair[1]))

    def interaction(
        self, task: str, *, first: str | None = None, second: str | None = None
    ) -> Interval:
        """How much more the first method gains on the second where objects are small.

        ``I = delta(small) - delta(large)``, seed by seed; see ``delta``.
        """
        one, other = first or self.pair[0], second or self.pair[1]
        small, large = (self._deltas(task, size, one, other) for size in SIZES)
        return t_interval([a - b for a, b in zip(small, large, strict=True)])

    def _deltas(self, task: str, size: Size, first: str, second: str) -> list[float]:
        for name in (first, second):
            if name not in self.summaries:
                raise ValueError(
                    f"scenarios: {name} was not trained; expected one of "
                    f"{', '.join(self.summaries)}."
                )
        one, other = (
            [float(summary["tasks"][task][size]["top1"]) for summary in self.summaries[name]]
            for name in (first, second)
        )
        return [a - b for a, b in zip(one, other, strict=True)]

    def to_record(self) -> dict[str, Any]:
        """Everything as plain values, with the headline differences."""

        def plain(interval: Interval) -> dict[str, float | int | None]:
            low, high = (None if math.isnan(end) else end for end in (interval.low, interval.high))
            return {"mean": interval.mean, "low": low, "high": high, "seeds": interval.count}

        headline = {
            task: {
                **{f"delta_{size}": plain(self.delta(task, size)) for size in SIZES},
                "interaction": plain(self.interaction(task)),
            }
            for task in (self.tasks if set(self.pair) <= set(self.summaries) else ())
        }
        return {
            "pair": list(self.pair),
            "seeds": list(self.seeds),
            "tasks": list(self.tasks),
            "headline": headline,
            "summaries": self.summaries,
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Scenarios:
        """Read what ``to_record`` gave."""
        first, second = record["pair"]
        return cls(
            summaries={name: list(rows) for name, rows in record["summaries"].items()},
            seeds=tuple(record["seeds"]),
            tasks=tuple(record["tasks"]),
            pair=(first, second),
        )


def run_scenarios(
    *,
    methods: Mapping[str, Mixer | None],
    rung: Rung = "sprites",
    data: Dataset | None = None,
    seeds: int = 3,
    epochs: int = 20,
    train_size: int = 3000,
    test_size: int = 2000,
    model: str = "smallconv",
    batch_size: int = 50,
    lr: float = 3e-3,
    pair: tuple[str, str] = PAIR,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Callable[[float, str], None] = quiet,
) -> Scenarios:
    """Train every method on the same task with small and with large objects.

    Training and test images share the regime, so that a scenario is another task and not only
    another augmentation. All methods of one seed begin with the same weights and see the same
    images in the same order; another seed has other sprites, places and cuts too. Images are not
    augmented but by the method. Training images are cut or placed once, not anew each epoch.

    Args:
        methods: name -> mixer; None trains on the images as they are.
        rung: ``"sprites"``, synthetic shapes, once told by texture and once by outline;
            ``"cifar"``, images of ``data`` reduced onto a background or enlarged in part;
            ``"crops"``, nearly all or a small part of larger images, at 32 pixels.
        data: photographs, for the last two.
        seeds: number of seeds, at least 1; an interval needs 2.
        epochs: of each run.
        train_size: images to learn from; at most what there is.
        test_size: images to be judged on; likewise.
        model: name of the network, as ``build_model`` takes it.
        batch_size: images a step.
        lr: highest learning rate of AdamW; it falls along a cosine after one epoch of warm-up.
        pair: the two methods that the scenarios are asked about, the first less the second.
        folder: where runs are kept: what is finished or under way there is not done again; None
            for a temporary one.
        device: where to train, e.g. ``cpu`` or ``cuda:0``.
        progress: told the share done, in [0, 1], and a short note.

    Returns:
        scores, and differences with their t intervals.

    Raises:
        ValueError: there are no methods or no data, or a number is out of range.
        RunError: the folder holds runs of other settings.
    """
    check_choice("run_scenarios", "rung", rung, RUNGS)
    for name, value in (("seeds", seeds), ("epochs", epochs), ("train_size", train_size),
                        ("test_size", test_size)):  # fmt: skip
        check_whole("run_scenarios", name, value, low=1)
    if not methods:
        raise ValueError("run_scenarios: there are no methods; expected at least one.")
    if rung != "sprites" and data is None:
        raise ValueError(
            f"run_scenarios: rung {rung} has no data; expected a data set of photographs, such as "
            'load_data("cifar10").'
        )
    base = Recipe(
        model=model,
        epochs=epochs,
        batch_size=batch_size,
        optimizer="adamw",
        lr=lr,
        weight_decay=0.05,
        warmup_epochs=min(1.0, float(epochs)),
        crop_padding=0,
        flip=False,
        eval_every=epochs,
    )
    protocol = {
        "pair": list(pair), "rung": rung, "model": model, "epochs": epochs,
        "train_size": train_size, "test_size": test_size, "batch_size": batch_size, "lr": lr,
        "weight_decay": base.weight_decay, "optimizer": base.optimizer,
    }  # fmt: skip
    summaries: dict[str, list[Summary]] = {name: [] for name in methods}
    names: tuple[str, ...] = ()
    with _folder(folder) as home:
        for seed in range(seeds):
            tasks = _tasks(rung, data, train_size=train_size, test_size=test_size, seed=seed)
            names = tuple(task.name for task in tasks)
            pieces = len(tasks) * len(SIZES) * len(methods)
            done, where = 0, torch.device(device)
            found: dict[str, dict[str, Any]] = {name: {} for name in methods}
            for task in tasks:
                for size in SIZES:
                    for name, mixer in methods.items():
                        note = f"{name}, {task.name}, {size} objects, seed {seed}"
                        progress((seed + done / pieces) / seeds, note)
                        place = home / f"{task.name}-{size}" / name / f"seed{seed}"
                        result = _train(
                            base, task, size, name, mixer, seed=seed, folder=place, device=where
                        )
                        found[name].setdefault(task.name, {})[size] = _scores(result, task, size)
                        done += 1
            for name, scores in found.items():
                summaries[name].append({"seed": seed, "tasks": scores, **protocol})
    progress(1.0, "done")
    return Scenarios(summaries=summaries, seeds=tuple(range(seeds)), tasks=names, pair=pair)


def _tasks(
    rung: Rung, data: Dataset | None, *, train_size: int, test_size: int, seed: int
) -> list[Task]:
    if rung == "sprites" or data is None:
        return sprite_tasks(train_size=train_size, test_size=test_size, seed=seed)
    make = cifar_task if rung == "cifar" else crop_task
    return [make(data, train_size=train_size, test_size=test_size, seed=seed)]


def _train(
    base: Recipe,
    task: Task,
    size: Size,
    name: str,
    mixer: Mixer | None,
    *,
    seed: int,
    folder: Path,
    device: torch.device,
) -> Result:
    data = task.data[size]
    images = f"{images_digest(data.train)[:8]} {images_digest(data.test)[:8]}"
    recipe = replace(
        base,
        data=f"{data.name} {images}",  # what is tested on is a part of what was asked
        method=f"{name} {mixer!r}",
        train_size=len(data.train),
        flip=False,  # augmented by the method alone
        seed=seed,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_model(
            recipe.model,
            num_classes=data.num_classes,
            image_size=data.image_size,
            channels=data.channels,
        )
    return train(
        recipe,
        model=Normalised(network, data.mean, data.std),
        objective=Mixed(mixer),
        data=data,
        evaluate=evaluate,
        folder=folder,
        device=device,
    )


def _scores(result: Result, task: Task, size: Size) -> dict[str, float]:
    return {
        "top1": result.scores["raw"]["top1"],
        "ema_top1": result.scores["ema"]["top1"],
        "nll": result.scores["raw"]["nll"],
        "train_accuracy": result.train["accuracy"],
        "object_share": task.object_share[size],
        "seconds": result.seconds,
    }


@contextmanager
def _folder(folder: Path | None) -> Generator[Path]:
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="mixwright-scenarios-") as path:
        yield Path(path)
