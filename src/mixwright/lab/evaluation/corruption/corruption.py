"""The evaluation ``corruption``: how often a classifier is right on corrupted test images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from mixwright.arguments import check_choice, check_settings
from mixwright.lab.data.chunks import images_in
from mixwright.lab.data.sets import ImageSet
from mixwright.lab.evaluation.corruption.constants import (
    BENCHMARK_TYPES,
    SEVERITIES,
    TYPES,
    constants_for,
)
from mixwright.lab.evaluation.corruption.corruption_error import (
    Accuracies,
    corruption_errors,
    family_accuracy,
    mean_accuracy,
    mean_corruption_error,
    relative_corruption_errors,
)
from mixwright.lab.evaluation.corruption.generate import (
    BLOCK,
    at_once,
    block_corruption,
    corrupt,
)
from mixwright.lab.evaluation.corruption.official import open_official
from mixwright.lab.evaluation.predictions import logits_of, rank
from mixwright.lab.evaluation.subject import Arrays, Measurement, NotApplicableError, Subject

Source = Literal["generated", "official"]

_Part = Callable[[Tensor, Tensor], Tensor]  # rows and clean images to corrupted ones, in order
_Block = Callable[[str, int, int], _Part]  # of type, severity, number of the block

_MEBIBYTES = 64  # of pixels at a time

_IMAGENET_CLASSES = 1000


@dataclass(frozen=True, kw_only=True)
class Corruption:
    """Corrupt the test images in many ways, and see how often the class is still recognised.

    Args:
        source: ``generated`` from the test images, or the ``official`` files of CIFAR-10-C or
            CIFAR-100-C.
        path: folder of the official files.
        frost: folder of the five pictures of ice, for ``generated``; empty for a stand-in of
            noise, whose accuracies are not to be compared with published ones.
        types: which corruptions; all 19 by default.
        severities: which of 1 to 5.
    """

    source: Source = "generated"
    path: str = ""
    frost: str = ""
    types: tuple[str, ...] = TYPES
    severities: tuple[int, ...] = SEVERITIES

    name: ClassVar[str] = "corruption"
    about: ClassVar[str] = "accuracy under 19 corruptions at five severities, made or official"
    pictures: ClassVar[tuple[str, ...]] = ("sample", "sheet")

    def __post_init__(self) -> None:
        check_settings(self)
        for argument, values, known in (
            ("types", self.types, TYPES),
            ("severities", self.severities, SEVERITIES),
        ):
            for value in values:
                check_choice("Corruption", argument, value, known)
            if not values or len(set(values)) < len(values):
                raise ValueError(
                    f"Corruption: {argument} is {values!r}; expected at least one, none twice."
                )
        if bool(self.path) != (self.source == "official"):
            raise ValueError(
                f"Corruption: source is {self.source!r} and path is {self.path!r}; expected the "
                "folder of the files for 'official', and none for 'generated'."
            )
        if self.frost and self.source == "official":
            raise ValueError(
                f"Corruption: frost is {self.frost!r}, but the official files hold their frost "
                "already. Leave it out."
            )

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        block = self._blocks(subject)
        logits, labels = subject.clean_logits()
        clean = rank(logits, labels) == 0
        correct, unchanged = list[Tensor](), dict[str, list[int]]()
        for place, name in enumerate(self.types):
            share = place / len(self.types)
            kept = subject.cache.get_or_compute(
                name,
                lambda name=name, share=share: _found(self._type([subject], name, share, block)[0]),
            )
            correct.append(kept["correct"])
            changed = kept.get("changed", torch.ones(len(self.severities), dtype=torch.bool))
            same = [one for one, is_so in zip(self.severities, changed, strict=True) if not is_so]
            if same:
                unchanged[name] = same
        table = torch.stack(correct)
        accuracy = {
            name: row.double().mean(dim=1).tolist()
            for name, row in zip(self.types, table, strict=True)
        }
        arrays = {"correct": table, "clean": clean.to(torch.uint8)}
        if self.source == "generated":
            sample = subject.data.test.take(torch.tensor([0])).cpu()
            arrays["sample"] = sample[0]
            if find_spec("cv2") is not None:  # spatter is among the 19
                arrays["sheet"] = _sheet(sample.numpy().tobytes(), sample.shape, subject.seed)
        return Measurement(
            summary=self._summary(subject, accuracy, float(clean.double().mean()))
            | {"unchanged": unchanged},
            arrays=arrays,
        )

    def measure_pieces(self, subjects: Sequence[Subject]) -> None:
        """See ``Together.measure_pieces``: each image is corrupted once, for all models."""
        left, block = list(subjects), self._blocks(subjects[0])
        for place, name in enumerate(self.types):
            waiting = [subject for subject in left if subject.cache.kept(name) is None]
            if not waiting:
                continue
            told = [replace(waiting[0], progress=subjects[0].progress), *waiting[1:]]
            found = self._type(told, name, place / len(self.types), block)
            for subject, arrays in zip(waiting, found, strict=True):
                if isinstance(arrays, ValueError):
                    left.remove(subject)
                else:
                    subject.cache.get_or_compute(name, lambda arrays=arrays: arrays)

    def _blocks(self, subject: Subject) -> _Block:
        """What gives the corrupted images of a block.

        Raises:
            NotApplicableError: the images are none that can be corrupted.
        """
        shape = subject.data.test.shape
        if shape[0] != 3 or min(shape[1:]) < 8:
            raise NotApplicableError(
                f"{self.name}: corruptions are made for images of three channels and at least 8 x "
                f"8 pixels; these have {' x '.join(map(str, shape))}."
            )
        if self.source == "generated":
            if "spatter" in self.types and find_spec("cv2") is None:
                raise ValueError(
                    f"{self.name}: spatter needs OpenCV, which is not installed; expected the "
                    "extra lab. Run: pip install 'mixwright[lab]', or name the other types."
                )

            def generated(name: str, severity: int, block: int) -> _Part:
                make = block_corruption(
                    shape, name, severity, seed=subject.seed, block=block, frost=self.frost or None
                )
                return lambda _, images: torch.from_numpy(make(images.cpu().numpy()))

            return generated
        files = open_official(
            Path(self.path),
            self.types,
            labels=subject.data.test.labels,
            ids=subject.ids,
            shape=shape,
        )
        return lambda name, severity, _: (
            lambda rows, _images: files.images(name, severity, subject.ids[rows])
        )

    def _type(
        self, subjects: Sequence[Subject], name: str, done: float, block: _Block
    ) -> list[Arrays | ValueError]:
        """Where each model is right under one corruption: ``correct`` (severities, n) uint8.

        And ``changed`` (severities,) bool, whether it changed any image. A model that gives what
        cannot be judged has the error in place of both.
        """
        test = subjects[0].data.test
        parts = _parts(len(test), test.shape)
        right = torch.empty(len(subjects), len(self.severities), len(test), dtype=torch.uint8)
        changed = torch.zeros(len(self.severities), dtype=torch.bool)
        errors, made = dict[int, ValueError](), list[_Part]()
        others = f", {len(subjects)} models" if len(subjects) > 1 else ""
        for rows, images in zip(parts, test.stream(parts), strict=True):
            number, place = divmod(int(rows[0]), BLOCK)
            share = int(rows[0]) / len(test) / len(self.types)
            subjects[0].progress(done + share, name.replace("_", " ") + others)
            if place == 0:
                made = [block(name, severity, number) for severity in self.severities]
            for row, corrupt_part in enumerate(made):
                corrupted = corrupt_part(rows, images)
                changed[row] |= not torch.equal(corrupted, images.cpu())
                shown = ImageSet(corrupted, test.labels[rows])
                for which, subject in enumerate(subjects):
                    if which not in errors:
                        try:
                            right[which, row, rows] = _right(subject, shown)
                        except ValueError as error:
                            errors[which] = error
        return [
            errors.get(which, {"correct": own, "changed": changed})
            for which, own in enumerate(right)
        ]

    def _summary(self, subject: Subject, accuracy: Accuracies, clean: float) -> dict[str, Any]:
        made = self.source == "generated"
        mean = mean_accuracy(accuracy)
        others = [name for name in accuracy if name != "frost"]
        whole = all(name in accuracy for name in BENCHMARK_TYPES)
        _, height, width = subject.data.test.shape
        constants = constants_for(height, width) if made else "cifar"
        ice = ("pictures" if self.frost else "noise") if made and "frost" in accuracy else None
        summary: dict[str, Any] = {
            "images": len(subject.data.test),
            "source": self.source,
            "regenerated": made,
            "constants": constants,
            "frost": ice,
            "block": BLOCK if made else None,
            "seed": subject.seed if made else None,
            "types": list(self.types),
            "severities": list(self.severities),
            "accuracy": dict(accuracy),
            "by_type": {name: mean_accuracy(accuracy, [name]) for name in accuracy},
            "by_severity": [
                mean_accuracy({name: [values[place]] for name, values in accuracy.items()})
                for place in range(len(self.severities))
            ],
            "families": family_accuracy(accuracy),
            "mean": mean,
            "mean_benchmark": mean_accuracy(accuracy, BENCHMARK_TYPES) if whole else None,
            "mean_without_frost": mean_accuracy(accuracy, others) if others else None,
            "mce": mean_corruption_error(accuracy),
            "mce_benchmark": mean_corruption_error(accuracy, BENCHMARK_TYPES) if whole else None,
            "clean": clean,
            "relative_drop": clean - mean,
        }
        all_severities = sorted(self.severities) == list(SEVERITIES)
        if (
            constants == "imagenet"
            and subject.data.num_classes == _IMAGENET_CLASSES
            and whole
            and all_severities
        ):
            errors = corruption_errors(accuracy)
            relative = relative_corruption_errors(accuracy, clean=clean)
            summary["imagenet"] = {
                "ce": errors,
                "mce": sum(errors.values()) / len(errors),
                "relative_mce": sum(relative.values()) / len(relative),
            }
        return summary


def _right(subject: Subject, images: ImageSet) -> Tensor:
    """Where a model is right, ``(n,)`` uint8."""
    logits, labels = logits_of(subject.model, subject.shown(images), autocast=subject.autocast)
    return (rank(logits, labels) == 0).to(torch.uint8)


def _found(arrays: Arrays | ValueError) -> Arrays:
    if isinstance(arrays, ValueError):
        raise arrays
    return arrays


def _parts(count: int, shape: tuple[int, int, int]) -> list[Tensor]:
    """Rows of images that are corrupted together: of one block, as many as are small enough."""
    drawn = at_once(shape)
    step = max(1, images_in(_MEBIBYTES, shape) // drawn) * drawn
    return [part for block in torch.arange(count).split(BLOCK) for part in block.split(step)]


@lru_cache(maxsize=1)  # the same for all models of an evaluation
def _sheet(image: bytes, shape: torch.Size, seed: int) -> Tensor:
    pixels = torch.frombuffer(bytearray(image), dtype=torch.uint8).view(shape)
    return corruption_sheet(pixels, seed=seed)


def corruption_sheet(images: Tensor, *, seed: int) -> Tensor:
    """Corrupt one image ``(1, 3, H, W)`` uint8 in all ways, for a figure: ``(19, 5, 3, H, W)``.

    Types are in the order of ``TYPES``, severities from 1 to 5; frost is the stand-in of noise.
    """
    rows = [
        torch.cat([corrupt(images, name, severity, seed=seed) for severity in SEVERITIES])
        for name in TYPES
    ]
    return torch.stack(rows)
