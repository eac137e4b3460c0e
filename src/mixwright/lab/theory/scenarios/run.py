"""Train methods on small and on large objects: one summary a method and seed.

    run_scenarios(methods={"none": None, "mixup": MixUp(), "cutmix": CutMix()})

gives per method one ``Measurement`` a seed, whose summary is ready for JSON:

    {"seed": 0, "tasks": {"texture": {"small": {"top1": ..., "ema_top1": ..., "nll": ...,
     "train_accuracy": ..., "object_share": ..., "seconds": ...}, "large": {...}}, ...},
     "pair": ["cutmix", "mixup"], "dataset_kind": ..., "model": ..., "epochs": ..., ...}
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mixwright.arguments import check_choice, check_whole
from mixwright.lab.data.digest import images_digest
from mixwright.lab.data.sets import Dataset
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.evaluation.subject import Measurement, quiet
from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.theory.scenarios.tasks import (
    DATASET_KINDS,
    SIZES,
    DatasetKind,
    Size,
    Task,
    cifar_task,
    sprite_tasks,
)
from mixwright.lab.training.loop import train
from mixwright.lab.training.recipe import Recipe
from mixwright.lab.training.result import Result
from mixwright.mixers.mixer import Mixer
from mixwright.objectives.mixed import Mixed

PAIR = ("cutmix", "mixup")
"""Whose difference is compared between the scenarios, where both were trained."""


def run_scenarios(
    *,
    methods: Mapping[str, Mixer | None],
    dataset_kind: DatasetKind = "sprites",
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
) -> dict[str, list[Measurement]]:
    """Train every method on the same task with small and with large objects.

    Training and test images share the regime, so that a scenario is another task and not only
    another augmentation. All methods of one seed begin with the same weights and see the same
    images in the same order; another seed has other sprites, positions and cuts too. Images are
    augmented by the method alone, and cut or placed once, not anew each epoch.

    Args:
        methods: name -> mixer; None trains on the images as they are.
        dataset_kind: ``"sprites"``, synthetic shapes, once classified by texture and once by
            outline; ``"cifar"``, images of ``data`` reduced onto a background or enlarged in part.
        data: photographs, for the latter.
        seeds: number of seeds, at least 1; an interval needs 2.
        epochs: of each run.
        train_size: images to learn from; at most what there is.
        test_size: images to test on; likewise.
        model: name of the network, as ``build_model`` takes it.
        batch_size: images a step.
        lr: highest learning rate of AdamW; it falls along a cosine after one epoch of warm-up.
        pair: the two methods whose difference is asked about, the first less the second.
        folder: where runs are kept; a finished run is not repeated, an interrupted one resumes.
            None for a temporary folder.
        device: where to train, e.g. ``cpu`` or ``cuda:0``.
        progress: called with the share done, in [0, 1], and a short note.

    Raises:
        ValueError: there are no methods or no data, or a number is out of range.
        RunError: the folder holds runs of other settings.
    """
    check_choice("run_scenarios", "dataset_kind", dataset_kind, DATASET_KINDS)
    for name, value in (("seeds", seeds), ("epochs", epochs), ("train_size", train_size),
                        ("test_size", test_size)):  # fmt: skip
        check_whole("run_scenarios", name, value, low=1)
    if not methods:
        raise ValueError("run_scenarios: there are no methods; expected at least one.")
    if dataset_kind != "sprites" and data is None:
        raise ValueError(
            f"run_scenarios: dataset_kind {dataset_kind} has no data; expected a data set of "
            'photographs, such as load_data("cifar10").'
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
        flip=False,  # images are augmented by the method alone
        eval_every=epochs,
    )
    protocol = {
        "pair": list(pair), "dataset_kind": dataset_kind, "model": model, "epochs": epochs,
        "train_size": train_size, "test_size": test_size, "batch_size": batch_size, "lr": lr,
        "weight_decay": base.weight_decay, "optimizer": base.optimizer,
    }  # fmt: skip
    found: dict[str, list[Measurement]] = {name: [] for name in methods}
    with (
        tempfile.TemporaryDirectory(prefix="mixwright-scenarios-")
        if folder is None
        else nullcontext(folder)
    ) as home:
        for seed in range(seeds):
            tasks = _tasks(dataset_kind, data, train_size, test_size, seed)
            scores: dict[str, dict[str, dict[str, Any]]] = {
                name: {task.name: {} for task in tasks} for name in methods
            }
            runs: list[tuple[Task, Size, str]] = [
                (task, size, name) for task in tasks for size in SIZES for name in methods
            ]
            for done, (task, size, name) in enumerate(runs):
                note = f"{name}, {task.name}, {size} objects, seed {seed}"
                progress((seed + done / len(runs)) / seeds, note)
                recipe = replace(base, method=f"{name} {methods[name]!r}", seed=seed)
                run_folder = Path(home) / f"{task.name}-{size}" / name / f"seed{seed}"
                result = _train(recipe, task.data[size], methods[name], run_folder, device)
                scores[name][task.name][size] = _scores(result, task.object_share[size])
            for name, results in found.items():
                results.append(
                    Measurement(summary={"seed": seed, "tasks": scores[name], **protocol})
                )
    progress(1.0, "done")
    return found


def _tasks(
    dataset_kind: DatasetKind, data: Dataset | None, train_size: int, test_size: int, seed: int
) -> list[Task]:
    if dataset_kind == "sprites" or data is None:
        return sprite_tasks(train_size=train_size, test_size=test_size, seed=seed)
    return [cifar_task(data, train_size=train_size, test_size=test_size, seed=seed)]


def _train(recipe: Recipe, data: Dataset, mixer: Mixer | None, folder: Path, device: str) -> Result:
    # The folder of a run refuses another recipe, so the recipe names all that decides the scores:
    # the images by their digests, those of the test too.
    images = f"{images_digest(data.train)[:8]} {images_digest(data.test)[:8]}"
    recipe = replace(recipe, data=f"{data.name} {images}", train_size=len(data.train))
    with torch.random.fork_rng(devices=[]):  # fresh weights come from the global generator
        torch.manual_seed(recipe.seed)
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
        device=torch.device(device),
    )


def _scores(result: Result, object_share: float) -> dict[str, float]:
    return {
        "top1": result.scores["raw"]["top1"],
        "ema_top1": result.scores["ema"]["top1"],
        "nll": result.scores["raw"]["nll"],
        "train_accuracy": result.train["accuracy"],
        "object_share": object_share,
        "seconds": result.seconds,
    }
