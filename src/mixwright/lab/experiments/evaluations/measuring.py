"""Several models through several evaluations, each once: what is there already is read back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from mixwright import __version__
from mixwright.checkpoint import weights_digest
from mixwright.lab.data.digest import images_digest
from mixwright.lab.data.subset import stratified_rows
from mixwright.lab.evaluation.subject import (
    Evaluation,
    Measurement,
    NotApplicableError,
    Subject,
    Together,
)
from mixwright.lab.evaluation.validation import validate_model, validate_normalisation
from mixwright.lab.experiments.evaluations.cache import FolderCache, read_found, write_found
from mixwright.lab.experiments.evaluations.parts import part_text
from mixwright.mixers.combine import with_flips

if TYPE_CHECKING:
    from torch import Tensor

    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.experiments.evaluations.models_to_evaluate import ModelToEvaluate
    from mixwright.mixers import Mixer

KEPT = "kept from before"
"""The note of a part that was measured by an earlier command."""

_HELD = 2**30  # bytes of weights of models that wait together for images made once for all

_LOOKED_AT = 500  # test images by which a model is checked at the door


@dataclass(frozen=True, eq=False)
class Measured:
    """What one evaluation found for one model; None, with the reason, where there is nothing."""

    candidate: ModelToEvaluate
    evaluation: Evaluation
    found: Measurement | None
    reason: str = ""


class PartProgress(Protocol):
    """Called with how far an evaluation is."""

    def __call__(
        self, candidate: ModelToEvaluate, part: Evaluation, share: float, note: str
    ) -> None:
        """Take that ``share`` of a part is done; the note says with what."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Setting:
    """What all models of one evaluation have in common.

    ``ids`` ``(n,)`` are the places of the test images in the set's own order; ``seed`` is of
    everything that is drawn.
    """

    data: Dataset
    ids: Tensor
    device: torch.device
    batch_size: int
    seed: int


def setting(
    data: Dataset, *, test_size: int | None, device: str, batch_size: int, seed: int
) -> Setting:
    """Choose the test images: ``test_size`` of them, evenly by class; None for all.

    Raises:
        ValueError: more test images than there are.
    """
    ids = torch.arange(len(data.test))
    if test_size is not None and test_size != len(ids):
        if not 1 <= test_size <= len(ids):
            raise ValueError(
                f"test size is {test_size}; expected 1 to {len(ids)}, as many as there are."
            )
        ids = stratified_rows(data.test.labels, test_size)
        data = replace(data, test=data.test.subset(ids))
    return Setting(
        data=data, ids=ids, device=torch.device(device), batch_size=batch_size, seed=seed
    )


def measure_all(
    candidates: Sequence[ModelToEvaluate],
    parts: Sequence[Evaluation],
    setting: Setting,
    folder: Path,
    *,
    on_progress: PartProgress,
) -> Iterator[Measured]:
    """Measure every part of every candidate, or read back what was measured before.

    Findings come candidate by candidate and are kept in ``folder``, each part in one of its own.

    Raises:
        ValueError: a model does not fit the data, or gives what cannot be judged.
    """
    for candidate in candidates:  # all of them, before hours are spent on the first
        _enter(candidate, candidate.load(setting.data).to(setting.device).eval(), setting)
    images = _images_identity(setting)
    shown = set[tuple[str, str]]()  # parts whose pieces were made with those of another model
    for number, candidate in enumerate(candidates):
        model = candidate.load(setting.data).to(setting.device).eval()
        identity = {"weights": weights_digest(model.state_dict()), **images}
        home = folder / "models" / candidate.slug
        subject: Subject | None = None
        for part in parts:
            place = home / part.name
            known = _known(identity, part)
            found = read_found(place, known)
            reason, kept = "", KEPT
            if found is None:
                kept = ""
                subject = subject or replace(
                    _subject(model, setting),
                    mixer=_mixer(candidate, setting),
                    folder=candidate.folder,
                )
                cache, progress = _cache(home, known), _until_written(on_progress, candidate, part)
                try:
                    ready = replace(subject, cache=cache, progress=progress)
                    if isinstance(part, Together) and (part.name, candidate.slug) not in shown:
                        others = _others(candidates[number + 1 :], part, setting, folder, images)
                        part.measure_pieces([ready, *others.values()])
                        shown |= {(part.name, slug) for slug in others}
                    found = part.measure(ready)
                except NotApplicableError as error:
                    reason = str(error)
                else:
                    found = _without_pictures(found, part, setting)
                    write_found(place, found, known)
            on_progress(candidate, part, 1.0, reason or kept)
            yield Measured(candidate, part, found, reason)


def _without_pictures(found: Measurement, part: Evaluation, setting: Setting) -> Measurement:
    """What was measured, without pictures of images that are withheld."""
    if not setting.data.withheld:
        return found
    kept = {name: array for name, array in found.arrays.items() if name not in part.pictures}
    return replace(found, arrays=kept)


def _others(
    candidates: Sequence[ModelToEvaluate],
    part: Evaluation,
    setting: Setting,
    folder: Path,
    images: Mapping[str, Any],
) -> dict[str, Subject]:
    """The next models that a part has to measure, by slug: as many as may be held at a time."""
    found, held = dict[str, Subject](), 0
    for candidate in candidates:
        model = candidate.load(setting.data).to(setting.device).eval()
        home = folder / "models" / candidate.slug
        known = _known({"weights": weights_digest(model.state_dict()), **images}, part)
        if read_found(home / part.name, known) is not None:
            continue
        held += sum(tensor.nbytes for tensor in model.state_dict().values())
        if held > _HELD:
            break
        subject = _subject(model, setting)
        found[candidate.slug] = replace(subject, cache=_cache(home, known))
    return found


def _until_written(
    on_progress: PartProgress, candidate: ModelToEvaluate, part: Evaluation
) -> Callable[[float, str], None]:
    # A part that says 1 has still to be written down: its end is reported when it is.
    return lambda share, note: on_progress(candidate, part, min(share, 0.999), note)


def _subject(model: nn.Module, setting: Setting) -> Subject:
    return Subject(
        model=model,
        data=setting.data,
        ids=setting.ids,
        device=setting.device,
        batch_size=setting.batch_size,
        seed=setting.seed,
    )


def _mixer(candidate: ModelToEvaluate, setting: Setting) -> Mixer | None:
    """What it was trained with, mirroring what its run mirrored."""
    mixer, recipe = candidate.mixer(), candidate.recipe
    if mixer is None or recipe is None:
        return mixer
    return with_flips(mixer, recipe.flip and setting.data.mirrored)


def _cache(home: Path, known: Mapping[str, Any]) -> FolderCache:
    """The cache of one evaluation, beside what all of them share."""
    pieces = home / "pieces"
    plain = {key: known[key] for key in known if key not in ("part", "files")}
    return FolderCache(pieces / _key(known), pieces / _key(plain))


def _key(identity: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()[:12]


def _enter(candidate: ModelToEvaluate, model: nn.Module, setting: Setting) -> None:
    """Check at the door what would be found out after hours."""
    test = setting.data.test
    rows = stratified_rows(test.labels, min(_LOOKED_AT, len(test)))
    images = test.take(rows).to(setting.device).float() / 255
    labels = test.labels[rows].to(setting.device)
    classes = setting.data.num_classes
    validate_model(model, images[:2], labels[:2], num_classes=classes, name=candidate.name)
    if not candidate.doubted:
        return
    data = setting.data
    validate_normalisation(
        model,
        images,
        labels,
        mean=data.mean,
        std=data.std,
        name=candidate.name,
        batch_size=setting.batch_size,
    )


def _known(identity: Mapping[str, Any], part: Evaluation) -> dict[str, Any]:
    """What decides the numbers that a part finds of a model on these images."""
    return {**identity, "part": part_text(part), "files": _files_of(part)}


def _images_identity(setting: Setting) -> dict[str, Any]:
    """What decides the numbers beside the weights and the evaluation itself."""
    data = setting.data
    return {
        "data": data.name,
        "test": images_digest(data.test),
        "train": images_digest(data.train),
        "statistics": [*data.mean, *data.std],
        "count": len(setting.ids),
        "shape": list(data.test.shape),
        "seed": setting.seed,
        "mixwright": __version__,
    }


def _files_of(part: Evaluation) -> dict[str, Any]:
    """Files and folders that an evaluation reads by its options, and when they were changed."""
    options: dict[str, Any] = asdict(part)  # pyright: ignore[reportArgumentType]
    paths = {key: Path(value) for key, value in options.items() if isinstance(value, str) and value}
    return {
        key: [path.stat().st_mtime_ns, path.stat().st_size]
        for key, path in paths.items()
        if path.exists()
    }
