"""The evaluation ``diversity``: how much mixtures of the same images differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from mixwright.arguments import check_number, check_settings, check_whole
from mixwright.lab.evaluation.mixtures.diversity_scores import (
    cosine_diversity,
    iou_diversity,
    mask_diversity,
    pair_accuracy,
    pixel_diversity,
    vendi_score,
)
from mixwright.lab.evaluation.mixtures.reference import read_features, reference_of
from mixwright.lab.evaluation.mixtures.states import (
    States,
    at_share,
    grouped_states,
    kept_states,
    sources_of,
)
from mixwright.lab.evaluation.subject import Measurement, NotApplicableError, Subject, as_bytes
from mixwright.sampling import stream

_SHOWN, _COLUMNS = 3, 8  # mixtures and states that are kept as pictures


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """Mix the same images again and again, and measure how different the mixtures are.

    Over independent draws at one share; and for a mixer that was learned also over the epochs of
    its training, from the pictures that its run kept. Beside them stands how often a reference
    classifier knows both classes of a mixture, since noise would be the most diverse of all.

    Args:
        pairs: groups of test images of different classes, at least 1.
        draws: of each group, at least 2.
        lam: the share of the first image, in [0, 1], where the mixer can be asked for one.
        reference: the run whose trained weights give the features; empty for the model that is
            evaluated. Name one and the same run where methods are compared.
    """

    pairs: int = 64
    draws: int = 10
    lam: float = 0.5
    reference: str = ""

    name: ClassVar[str] = "diversity"
    about: ClassVar[str] = "how much mixtures of the same images differ, by draw and over epochs"
    pictures: ClassVar[tuple[str, ...]] = (
        "draws.mixed",
        "draws.shown",
        "epochs.mixed",
        "epochs.shown",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        check_whole("Diversity", "pairs", self.pairs, low=1)
        check_whole("Diversity", "draws", self.draws, low=2)
        check_number("Diversity", "lam", self.lam, high=1.0)

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        if subject.mixer is None:
            raise NotApplicableError(
                "the model was trained without a mixer that can be asked for mixtures, so there "
                "are none to compare."
            )
        judge, called = reference_of(subject, self.reference)
        mixer, follows = at_share(subject.mixer, self.lam)
        names = tuple(range(1, self.draws + 1))
        measured, pictures, sources = list[_Measured](), list[Tensor](), 0
        for states, labels in grouped_states(
            subject,
            mixer,
            groups=self.pairs,
            draws=self.draws,
            generator=stream(subject.seed),
            progress=lambda share: subject.progress(0.9 * share, "draws"),
        ):
            if sum(few.shape[1] for few in pictures) < _SHOWN:
                pictures.append(_pictures(states))
            measured.append(_measure(states, judge, subject))
            sources = labels.shape[1]
        if not measured:
            raise NotApplicableError(
                f"{len(subject.data.test)} test images do not make one group of "
                f"{sources_of(mixer)}."
            )
        kept = kept_states(subject)
        arrays = _arrays("draws", names, torch.cat(pictures, dim=1)[:, :_SHOWN])
        numbers = _numbers(names, measured)
        summary: dict[str, Any] = {
            "pairs": numbers["mixtures"],
            "sources": sources,
            "lam": self.lam if follows else None,
            "reference": called,
            "draws": numbers,
            "epochs": None,
        }
        if kept is not None:
            summary["epochs"] = _numbers(kept.names, [_measure(kept, judge, subject)])
            arrays |= _arrays("epochs", kept.names, _pictures(kept))
        return Measurement(summary=summary, arrays=arrays)


_Measured = dict[str, Tensor]
"""Values of P mixtures by name, ``(P,)`` each; ``known`` ``(P, T)`` where labels are known."""


def _measure(states: States, judge: nn.Module, subject: Subject) -> _Measured:
    shape = states.mixed.shape[:2]
    flat = states.mixed.flatten(0, 1)
    batches = (part.to(subject.device) for part in flat.split(subject.batch_size))
    features, logits = read_features(judge, batches)
    features = features.view(*shape, -1)
    found = {
        "mask": mask_diversity(states.masks),
        "iou": iou_diversity(states.masks),
        "pixels": pixel_diversity(states.mixed),
        "cosine": cosine_diversity(features),
        "vendi": vendi_score(features.transpose(0, 1)),
    }
    if states.targets is not None:
        known = pair_accuracy(logits, states.targets.flatten(0, 1))
        found["known"] = known.view(*shape).T
    return found


def _numbers(names: Sequence[int], parts: Sequence[_Measured]) -> dict[str, Any]:
    """All numbers of some states, means over the mixtures."""
    found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
    known = found.pop("known", None)
    return {
        "states": list(names),
        "mixtures": len(found["mask"]),
        **{name: float(values.mean()) for name, values in found.items()},
        "pair_accuracy": None if known is None else float(known.double().mean()),
    }


def _shown(names: Sequence[int]) -> Tensor:
    """Places of a few states, the first and the last among them."""
    return torch.linspace(0, len(names) - 1, min(_COLUMNS, len(names))).round().long()


def _pictures(states: States) -> Tensor:
    """A few mixtures in a few states, ``(T', P', C, H, W)`` uint8."""
    return as_bytes(states.mixed[_shown(states.names)][:, :_SHOWN])


def _arrays(name: str, names: Sequence[int], pictures: Tensor) -> dict[str, Tensor]:
    """Pictures, and what their states are called."""
    return {f"{name}.mixed": pictures, f"{name}.shown": torch.tensor(names)[_shown(names)]}
