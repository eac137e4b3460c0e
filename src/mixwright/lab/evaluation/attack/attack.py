"""The evaluation ``attack``: how often a classifier is right on images changed to fool it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mixwright.arguments import check_number, check_settings, check_whole
from mixwright.lab.evaluation.attack.autoattack import autoattack, check_autoattack
from mixwright.lab.evaluation.attack.fgsm import step
from mixwright.lab.evaluation.attack.legacy import legacy_fgsm, normalised_inside
from mixwright.lab.evaluation.attack.losses import Loss, loss_gradient
from mixwright.lab.evaluation.attack.pgd import pgd
from mixwright.lab.evaluation.predictions import correct_on
from mixwright.lab.evaluation.subject import Arrays, Measurement, NotApplicableError, Subject
from mixwright.lab.models.normalised import Normalised
from mixwright.sampling import Stream, stream

LEGACY = ("legacy", "legacy-clamp-alone", "legacy-without-clamp")


@dataclass(frozen=True, kw_only=True)
class Attack:
    """Attack a classifier by FGSM and PGD, white box, and count what it still gets right.

    Sizes are in levels of 255, the largest change of any pixel. An image is robust to PGD where
    the model is right on it as it is and after each restart.

    Args:
        eps: size of the attack that is reported, above 0.
        epsilons: sizes of the curve, above 0; ``eps`` joins them.
        steps: of PGD, at least 1.
        alpha: size of a step of PGD at ``eps``, above 0; at other sizes in proportion.
        restarts: random starts of PGD, at least 1; 5 for a final table.
        loss: what is raised: ``ce``, ``margin`` or ``dlr``; see ``attack_loss``.
        legacy: whether to show beside it what the code of AdAutoMix calls FGSM at ``eps``; only of
            models that begin with ``Normalised``.
        count: so many test images, classes in turn; 0 for all.
        autoattack: whether to run AutoAttack at ``eps`` too; needs the package pyautoattack.
        autoattack_count: so many of them for it; 0 for all.
    """

    eps: float = 8.0
    epsilons: tuple[float, ...] = (1.0, 2.0, 4.0, 8.0)
    steps: int = 10
    alpha: float = 2.0
    restarts: int = 1
    loss: Loss = "ce"
    legacy: bool = True
    count: int = 2000
    autoattack: bool = False
    autoattack_count: int = 1000

    name: ClassVar[str] = "attack"
    about: ClassVar[str] = "accuracy under FGSM and PGD, and AutoAttack where it is asked for"
    pictures: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        check_settings(self)
        for size in (self.eps, *self.epsilons):
            check_number("Attack", "eps", size, high=255.0, open_low=True)
        check_number("Attack", "alpha", self.alpha, open_low=True)
        for argument, low in (("steps", 1), ("restarts", 1), ("count", 0), ("autoattack_count", 0)):
            check_whole("Attack", argument, getattr(self, argument), low=low)
        if self.autoattack:
            check_autoattack()

    @property
    def sizes(self) -> tuple[float, ...]:
        """All sizes that are attacked, in rising order, in levels of 255."""
        return tuple(sorted({float(size) for size in (self.eps, *self.epsilons)}))

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        count = subject.count(self.count)
        whole, note = self._normalised(subject)
        names = self._names(whole is not None)
        pieces, measure = list[Arrays](), functools.partial(self._measure_batch, subject, whole)
        for done, piece in subject.cached_batches(count, "images", measure):
            pieces.append(piece)
            subject.progress(done / count, f"{done:,} of {count:,} images")
        arrays = {
            "correct": torch.cat([piece["correct"] for piece in pieces], dim=1),
            "no_gradient": torch.cat([piece["no_gradient"] for piece in pieces]),
            "ids": subject.ids[subject.rows(count)],
        }
        right = dict(zip(names, arrays["correct"], strict=True))
        summary: dict[str, Any] = {
            "count": count,
            "conditions": list(names),
            **self._accuracies(right),
            "no_gradient": _share(arrays["no_gradient"]),
            "legacy": {name: _share(right[name]) for name in LEGACY} if whole is not None else None,
            "legacy_note": note,
            "autoattack": None,
            "eps": self.eps,
            "alpha": self.alpha,
            "steps": self.steps,
            "restarts": self.restarts,
            "loss": self.loss,
            "batch_size": subject.batch_size,
            "seed": subject.seed,
        }
        if self.autoattack:
            survived = self._survives_autoattack(subject)
            arrays["correct_autoattack"] = survived
            summary["autoattack"] = self._autoattack_summary(survived, right)
        return Measurement(summary=summary, arrays=arrays)

    def _normalised(self, subject: Subject) -> tuple[Normalised | None, str]:
        """The normalisation that the legacy attack takes apart, or why there is none."""
        if not self.legacy:
            return None, ""
        try:
            return normalised_inside(subject.model), ""
        except NotApplicableError as error:
            return None, str(error)

    def _names(self, legacy: bool) -> tuple[str, ...]:
        fgsm = [f"fgsm/{size:g}" for size in self.sizes]
        pgd = [f"pgd{self.steps}/{size:g}" for size in self.sizes]
        return ("clean", *fgsm, *pgd, *(LEGACY if legacy else ()))

    def _measure_batch(
        self,
        subject: Subject,
        whole: Normalised | None,
        images: Tensor,
        labels: Tensor,
        first: int,
    ) -> dict[str, Tensor]:
        """``correct`` ``(conditions, b)`` in the order of ``_names``, and where nothing pulls."""
        model = subject.model
        slope = loss_gradient(model, images, labels, self.loss)
        rows = [correct_on(model, images, labels)]
        rows += [correct_on(model, step(images, slope, size / 255), labels) for size in self.sizes]
        rows += [
            pgd(
                model,
                images,
                labels,
                eps=size / 255,
                alpha=self.alpha * size / self.eps / 255,
                steps=self.steps,
                restarts=self.restarts,
                # The same starts at every size.
                generator=stream(subject.seed, Stream.ATTACK, first),
                skip_wrong=True,
                loss=self.loss,
            ).robust
            for size in self.sizes
        ]
        if whole is not None:
            for eps, clamp in ((self.eps, True), (0.0, True), (self.eps, False)):
                moved = legacy_fgsm(whole, images, labels, eps=eps / 255, clamp=clamp)
                rows.append(correct_on(whole.model, moved, labels))
        none = (slope == 0).flatten(1).all(dim=1)
        return {"correct": torch.stack(rows).cpu(), "no_gradient": none.cpu()}

    def _accuracies(self, right: dict[str, Tensor]) -> dict[str, Any]:
        """The accuracies, errors and rates of success at ``eps``, and the curves over sizes."""
        clean, worst = right["clean"], right["clean"]
        found: dict[str, Any] = {"clean": _share(clean)}
        curve: dict[str, Any] = {"eps": list(self.sizes)}
        for name, key in (("fgsm", "fgsm"), ("pgd", f"pgd{self.steps}")):
            robust = right[f"{key}/{self.eps:g}"]
            found[name] = _share(robust)
            found[f"{name}_error"] = 1 - found[name]
            found[f"{name}_success"] = _share(~robust[clean]) if bool(clean.any()) else None
            curve[name] = [_share(right[f"{key}/{size:g}"]) for size in self.sizes]
            worst = worst & robust
        return found | {"worst": _share(worst), "curve": curve}

    def _survives_autoattack(self, subject: Subject) -> Tensor:
        """``(m,)`` bool, what survives AutoAttack."""
        count = subject.count(self.autoattack_count)

        def make(images: Tensor, labels: Tensor, _first: int) -> Arrays:
            found = autoattack(
                subject.model,
                images,
                labels,
                eps=self.eps / 255,
                seed=subject.seed,
                batch_size=subject.batch_size,
            )
            return {"robust": found.robust.cpu()}

        survived = list[Tensor]()
        for done, piece in subject.cached_batches(count, "autoattack", make):
            survived.append(piece["robust"])
            subject.progress(1.0, f"AutoAttack on {done:,} of {count:,} images")
        return torch.cat(survived)

    def _autoattack_summary(self, survived: Tensor, right: dict[str, Tensor]) -> dict[str, Any]:
        """AutoAttack beside what else is known of the same images."""
        both = min(len(survived), len(right["clean"]))
        fgsm, pgd = (
            right[f"fgsm/{self.eps:g}"][:both],
            right[f"pgd{self.steps}/{self.eps:g}"][:both],
        )
        return {
            "count": len(survived),
            "robust": _share(survived),
            "error": 1 - _share(survived),
            "same_images": both,
            "pgd": _share(pgd),
            "worst": _share(survived[:both] & fgsm & pgd),
        }


def _share(which: Tensor) -> float:
    return float(which.double().mean())
