"""One frozen classifier whose features say how far images are from each other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from mixwright.checkpoint import CheckpointError, load_checkpoint
from mixwright.lab.data.classes import fit_classes
from mixwright.lab.evaluation.predictions import batch_logits, check_logits
from mixwright.lab.evaluation.subject import Subject
from mixwright.lab.training.convert import convert_checkpoint
from mixwright.lab.training.rebuild import rebuild
from mixwright.lab.training.recipe import Recipe
from mixwright.outputs import take_logits
from mixwright.taps import classifier, entering, evaluating

OWN = "its own model"
"""How a summary calls the reference where none was named."""


def read_features(model: nn.Module, batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Return what enters a classifier's last layer ``(M, D)``, and the logits ``(M, K)``.

    Float32 on the CPU, in the order of the batches ``(B, C, H, W)``, at least one.

    Example:
        >>> model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        >>> features, logits = read_features(model, [torch.ones(2, 1, 2, 2)])
        >>> features.shape, logits.shape
        (torch.Size([2, 4]), torch.Size([2, 3]))
    """
    features, logits = list[Tensor](), list[Tensor]()
    with evaluating(model), torch.inference_mode():
        for images in batches:
            nobody = torch.zeros(len(images), dtype=torch.int64, device=images.device)
            with entering(model, classifier(model, images)) as tap:
                logits.append(batch_logits(model, images, nobody).cpu())
            features.append(tap.value.float().flatten(1).cpu())
    found = torch.cat(logits)
    check_logits(found, torch.zeros(len(found), dtype=torch.int64))
    return torch.cat(features), found


def reference_of(subject: Subject, run: str) -> tuple[nn.Module, str]:
    """Return the classifier that judges, on the subject's device, and its name in a summary.

    ``run`` is a run folder or its ``last.pt``; empty for the subject's own model.
    """
    if not run:
        return subject.model, OWN
    path = Path(run).expanduser()
    state = convert_checkpoint(load_checkpoint(path / "last.pt" if path.is_dir() else path))
    missing = [
        name for name in ("recipe", "weights", "classes", "mean", "std") if name not in state
    ]
    if missing:
        raise CheckpointError(
            f"{run} has no {', '.join(missing)}; expected a run folder, or its last.pt."
        )
    data = subject.data
    numbers, _ = fit_classes(state["classes"], data.classes, what=run, where=data.name)
    if len(numbers) < len(state["classes"]):
        raise CheckpointError(
            f"{run} knows {len(state['classes'])} classes, {data.name} has {data.num_classes}; "
            "expected the same classes. Name a run on this data as reference."
        )
    model = rebuild(
        path,
        state,
        state["weights"]["raw"],
        image_size=data.image_size,
        channels=data.channels,
    )
    recipe = Recipe.from_json(state["recipe"])
    ordered = _Ordered(model, torch.tensor(numbers))
    return ordered.eval().to(subject.device), f"{recipe.method}, seed {recipe.seed}"


class _Ordered(nn.Module):
    """A classifier whose logits are in the order of other data's classes."""

    numbers: Tensor

    def __init__(self, model: nn.Module, numbers: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("numbers", numbers)

    def forward(self, images: Tensor) -> Tensor:
        logits = take_logits(self.model(images), who="reference", count=len(images))
        return logits.index_select(1, self.numbers)
