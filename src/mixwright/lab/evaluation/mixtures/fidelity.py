"""The evaluation ``fidelity``: masks and labels as asked for, and mixtures near real images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.arguments import check_settings, check_whole
from mixwright.lab.evaluation.mixtures.fidelity_scores import (
    DEGENERATE,
    area_error,
    degenerate_share,
    ks_distance,
    ks_noise,
    label_error,
    nearest_distance,
)
from mixwright.lab.evaluation.mixtures.laws import Law, law_of, per_sample, stages_of
from mixwright.lab.evaluation.mixtures.reference import read_features, reference_of
from mixwright.lab.evaluation.subject import Measurement, NotApplicableError, Subject
from mixwright.mixers.mixer import Mixer
from mixwright.sampling import stream


@dataclass(frozen=True, eq=False)
class SampledMixtures:
    """Many mixtures of one mixer, on the CPU.

    Args:
        areas: ``(M, N)`` float32, share of pixels of each source; the first is the own one.
        weights: ``(M, N)`` float32, share of the label.
        asked: ``(M,)`` float32, the own share that was asked for; None where none was.
        rows: ``(M, N)`` int64, test images of the sources; -1 for a fill.
        features: ``(D, F)`` float32, what a classifier makes of the first D of the mixtures.
    """

    areas: Tensor
    weights: Tensor
    asked: Tensor | None
    rows: Tensor
    features: Tensor


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """Draw many plans, and compare their masks with what was asked and with their labels.

    Mixers that draw once a batch draw for each sample here, so that draws are independent.
    MiAMix is measured before and after its masks are augmented. How far mixtures lie from real
    images is measured in features, in distances of real images to each other.

    Args:
        count: mixtures whose masks are measured, at least 2.
        distances: of them those whose distance to real images is; 0 for none.
        reals: test images that they are compared with, at least 2.
        bins: of the histogram of own shares, at least 2.
        reference: see ``Diversity``.
    """

    count: int = 2048
    distances: int = 512
    reals: int = 2000
    bins: int = 20
    reference: str = ""

    name: ClassVar[str] = "fidelity"
    about: ClassVar[str] = "masks and labels against what was asked; mixtures' distance to images"
    pictures: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        for argument, low in (("count", 2), ("distances", 0), ("reals", 2), ("bins", 2)):
            check_whole("Fidelity", argument, getattr(self, argument), low=low)

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        if subject.mixer is None:
            raise NotApplicableError(
                "the model was trained without a mixer that can be asked for plans, so there "
                "are no masks to measure."
            )
        mixer = per_sample(subject.mixer)
        stages = stages_of(mixer)
        steps = 1 + len(stages)
        judge, called = reference_of(subject, self.reference) if self.distances else (None, "")
        drawn = self._draw(mixer, subject, judge=judge)
        subject.progress(0.9 / steps, "masks")
        law = law_of(mixer)
        summary: dict[str, Any] = {
            "count": len(drawn.areas),
            "sources": drawn.areas.shape[1],
            "law": None if law is None else law.name,
            "ks_noise": ks_noise(len(drawn.areas)),
            "degenerate_below": DEGENERATE,
            **_numbers(drawn, law),
            "histogram": _histogram(drawn.areas[:, 0], self.bins),
            "expected": _expected(law, drawn.asked, self.bins),
            "stages": {},
            "distance": None,
        }
        before: Tensor | None = None
        for place, (stage, changed) in enumerate(stages.items(), start=2):
            of_stage = drawn if changed is mixer else self._draw(changed, subject)
            own = of_stage.areas[:, 0]
            before = own if before is None else before
            moved = float((own - before).abs().double().mean())
            summary["stages"][stage] = {**_numbers(of_stage, law), "moved": moved}
            subject.progress(0.9 * place / steps, stage)
        if judge is not None:
            summary["distance"] = self._distance(drawn, subject, judge, called)
        arrays = {"areas": drawn.areas[:, 0].contiguous()}
        return Measurement(
            summary=summary,
            arrays=arrays if drawn.asked is None else arrays | {"asked": drawn.asked},
        )

    def _draw(
        self, mixer: Mixer, subject: Subject, *, judge: nn.Module | None = None
    ) -> SampledMixtures:
        """Plan batches of shuffled test images, from the first again where they do not suffice.

        The judge sees as many of the mixtures as ``distances`` says, none without one.
        """
        test, views = subject.data.test, int(getattr(mixer, "views", 1))
        order = torch.randperm(len(test), generator=stream(subject.seed))
        every = order[torch.arange(self.count) % len(test)]
        plans = list[SampledMixtures]()
        # Parts of equal size: a batch of one would have no partner.
        parts = -(-self.count // max(2, min(subject.batch_size, len(test))))
        for place, rows in enumerate(every.tensor_split(parts)):
            images = test.take(rows).to(subject.device).float().div_(255)
            images = torch.cat([images] * views)
            labels = torch.cat([test.labels[rows].to(subject.device)] * views)
            with torch.random.fork_rng(devices=[]):
                plan = mixer.plan(
                    images, labels, generator=stream(subject.seed, place), model=subject.model
                )
            areas = plan.mask.detach().flatten(2).mean(dim=2).cpu()
            index = plan.index.cpu()
            wanted = max(0, self.distances - sum(len(part.features) for part in plans))
            features = torch.zeros(0, 0)
            if judge is not None and wanted:
                mixed = plan.images(images)[:wanted].detach().float().clamp(0, 1)
                features = read_features(judge, mixed.split(subject.batch_size))[0]
            plans.append(
                SampledMixtures(
                    areas=areas,
                    weights=plan.weight.detach().cpu(),
                    asked=None if plan.lam is None else plan.lam.detach().cpu(),
                    rows=torch.where(index < 0, -1, rows[index.clamp_min(0) % len(rows)]),
                    features=features,
                )
            )
        return _joined(plans)

    def _distance(
        self, drawn: SampledMixtures, subject: Subject, judge: nn.Module, called: str
    ) -> dict[str, Any]:
        """Distances of mixtures to real images, in those of real images to each other."""
        points = drawn.features
        count, test = len(points), subject.data.test
        sources = drawn.rows[:count]
        # The sources are among the real images, whatever the number of these.
        mixed = sources[sources >= 0].unique().tolist()
        rows = torch.tensor(list(dict.fromkeys([*mixed, *subject.rows(len(test)).tolist()])))
        rows = rows[: max(self.reals, len(mixed))]
        place = torch.full((len(test) + 1,), -1)
        place[rows] = torch.arange(len(rows))
        parts = (test.take(part).float() / 255 for part in rows.split(subject.batch_size))
        reals, _ = read_features(judge, (part.to(subject.device) for part in parts))
        own = place[sources]  # row -1 names the last place, which is none's
        base = place[drawn.rows[:count, 0]]
        real = nearest_distance(reals[base], reals, without=base[:, None])
        any_real = nearest_distance(points, reals)
        others = nearest_distance(points, reals, without=own)
        scale = float(real.mean())
        return {
            "count": count,
            "reals": len(rows),
            "reference": called,
            "real": scale if math.isfinite(scale) else None,
            "nearest": _ratio(any_real, scale),
            "nearest_other": _ratio(others, scale),
        }


def _ratio(distances: Tensor, scale: float) -> float | None:
    """Mean distance in units of another; None where there is nothing to be distant from."""
    mean = float(distances.mean())
    return mean / scale if math.isfinite(mean) and math.isfinite(scale) and scale > 0 else None


def _numbers(drawn: SampledMixtures, law: Law | None) -> dict[str, float | None]:
    own, asked = drawn.areas[:, 0], drawn.asked
    should = asked if law is None else law.cdf
    return {
        "area": None if asked is None else area_error(own, asked),
        "label": label_error(drawn.areas, drawn.weights),
        "label_sum": float((drawn.weights.double().sum(dim=1) - 1).abs().max()),
        "degenerate": degenerate_share(drawn.areas),
        "ks_asked": None if asked is None or law is None else ks_distance(asked, law.cdf),
        "ks_realised": None if should is None else ks_distance(own, should),
    }


def _histogram(shares: Tensor, bins: int) -> list[float]:
    """The share of mixtures in each bin of own shares from 0 to 1."""
    return (shares.double().histc(bins, 0, 1) / len(shares)).tolist()


def _expected(law: Law | None, asked: Tensor | None, bins: int) -> list[float] | None:
    """What the histogram would be if all were as asked."""
    if law is None:
        return None if asked is None else _histogram(asked, bins)
    below = torch.as_tensor(law.cdf(torch.linspace(0, 1, bins + 1, dtype=torch.float64).numpy()))
    return below.diff().tolist()


def _joined(parts: list[SampledMixtures]) -> SampledMixtures:
    """Put batches behind each other; those of fewer sources get empty ones."""
    most = max(part.areas.shape[1] for part in parts)

    def column(name: str, blank: int) -> Tensor:
        values: list[Tensor] = [getattr(part, name) for part in parts]
        return torch.cat([F.pad(rows, (0, most - rows.shape[1]), value=blank) for rows in values])

    asked = [part.asked for part in parts if part.asked is not None]
    none = parts[0].features
    return SampledMixtures(
        areas=column("areas", 0),
        weights=column("weights", 0),
        asked=torch.cat(asked) if len(asked) == len(parts) else None,
        rows=column("rows", -1),
        features=torch.cat([part.features for part in parts if len(part.features)] or [none]),
    )
