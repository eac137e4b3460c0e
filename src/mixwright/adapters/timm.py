"""``Mixup`` and ``FastCollateMixup`` with timm's arguments and meaning, drawn by plans.

Nothing here imports timm: put these in the place of ``timm.data.Mixup`` and
``timm.data.FastCollateMixup`` in a training script, or use them without timm.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import Module

from mixwright.adapters.mix import Mix
from mixwright.adapters.timm_draws import Mode, timm_mixer
from mixwright.arguments import (
    check_arguments,
    check_choice,
    check_number,
    check_range,
    check_whole,
    shown,
)
from mixwright.mixers.combine import Sometimes
from mixwright.mixers.mixer import Mixer
from mixwright.plan import MixPlan
from mixwright.plan.labelling import as_labels


class Mixup:
    """Mix a batch as ``timm.data.Mixup`` of 1.0.31: ``images, targets = mixup(images, labels)``.

    Sample i is mixed with sample ``B - 1 - i``, its mirror image in the batch. ``lam`` is the share
    of a sample's own pixels. Call it after the batch has moved to the device.

    Args:
        mixup_alpha: both parameters of MixUp's Beta law, at least 0; 0 turns MixUp off.
        cutmix_alpha: the same for CutMix.
        cutmix_minmax: ``(low, high)`` in [0, 1]: sides of CutMix's boxes as shares of the image's,
            drawn instead of ``lam``; turns CutMix on and ``cutmix_alpha`` to 1.
        prob: chance of mixing, in [0, 1], of a batch, or with another ``mode`` of what has a draw.
        switch_prob: chance of CutMix where both are on, in [0, 1].
        mode: ``"batch"``, one draw for all; ``"pair"``, one for a sample and its mirror image;
            ``"elem"``, one for each sample.
        correct_lam: whether CutMix weighs labels by the pixels that a clipped box left.
        label_smoothing: share of each target spread evenly over all classes, in [0, 1).
        num_classes: K.
        multi_label: whether labels are multi-hot ``(B, K)``; smoothing then leads each of them
            towards 0.5.
        mixer: any mixer of ours in the place of both methods. The first three arguments,
            ``switch_prob`` and ``correct_lam`` then have to stay out; ``mode`` says whether
            ``prob`` counts batches (``"batch"``) or samples (``"elem"``).
        seed: of all draws; None takes ``torch.initial_seed()``. See ``Mix``, also for ranks.

    Attributes:
        mixup_enabled: set it to False to switch mixing off, for the last epochs for example;
            targets stay dense and smoothed. It reaches loader workers that are already running.
        mix: the ``Mix`` that draws. ``mix.state_dict()`` resumes the draws, ``mix.progress`` and
            ``mix.set_epoch(...)`` work as there.

    Raises:
        ValueError: an argument is out of range, none of both methods is on, or ``mixer`` and a
            setting of timm's methods contradict one another.

    Example:
        >>> mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, num_classes=10, seed=0)
        >>> images, targets = mixup(torch.rand(5, 3, 32, 32), torch.tensor([1, 2, 3, 4, 5]))
        >>> images.shape, targets.shape
        (torch.Size([5, 3, 32, 32]), torch.Size([5, 10]))

    Source: huggingface/pytorch-image-models, timm/data/mixup.py of 1.0.31.

    Departs from timm: the input is not written; a batch may be odd (the sample in its middle meets
    itself, which leaves it as it is); draws follow torch's seed, not NumPy's; float16 images do
    not round the label weights; uint8 is mixed in float32 and rounded; an unknown ``mode`` and
    dense labels without ``multi_label`` are refused.
    """

    _modes: ClassVar[tuple[Mode, ...]] = ("batch", "pair", "elem")

    mix: Mix

    @check_arguments
    def __init__(
        self,
        mixup_alpha: float = 1.0,
        cutmix_alpha: float = 0.0,
        cutmix_minmax: tuple[float, float] | None = None,
        prob: float = 1.0,
        switch_prob: float = 0.5,
        mode: Mode = "batch",
        correct_lam: bool = True,
        label_smoothing: float = 0.1,
        num_classes: int = 1000,
        multi_label: bool = False,
        *,
        mixer: Mixer | None = None,
        seed: int | None = None,
    ) -> None:
        for argument, alpha in (("mixup_alpha", mixup_alpha), ("cutmix_alpha", cutmix_alpha)):
            check_number("Mixup", argument, alpha)
        shares = {"prob": prob, "switch_prob": switch_prob, "label_smoothing": label_smoothing}
        for argument, share in shares.items():
            check_number("Mixup", argument, share, high=1.0)
        if cutmix_minmax is not None:
            check_range("Mixup", "cutmix_minmax", cutmix_minmax, high=1.0)
            cutmix_alpha = 1.0
        check_choice("Mixup", "mode", mode, self._modes)
        check_whole("Mixup", "num_classes", num_classes, low=1)
        self.mixup_alpha = mixup_alpha
        self.cutmix_alpha = cutmix_alpha
        self.cutmix_minmax = cutmix_minmax
        self.mix_prob = prob
        self.switch_prob = switch_prob
        self.mode: Mode = mode
        self.correct_lam = correct_lam
        self.label_smoothing = label_smoothing
        self.num_classes = num_classes
        self.multi_label = multi_label
        self.mix = Mix(
            self._timms_mixer() if mixer is None else self._sometimes(mixer),
            num_classes=num_classes,
            label_smoothing=0.0 if multi_label else label_smoothing,
            seed=seed,
        )

    def __call__(
        self, x: Tensor, target: Tensor, *, model: Module | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mix a batch; while ``mixup_enabled`` is False its images stay as they are.

        Args:
            x: images ``(B, C, H, W)``, of any number of spatial dimensions for MixUp; not written.
            target: ``(B,)`` class indices, or with ``multi_label`` ``(B, K)`` multi-hot.
            model: the classifier, for a ``mixer`` that needs one.

        Returns:
            Images, in fresh memory, and targets ``(B, K)`` float32.

        Raises:
            ValueError: shapes do not fit, or a label is out of range.
        """
        labels = self._labels(as_labels(target, device=x.device))
        plan = self.mix.plan(x, labels, model=model)
        return plan.images(x), self._smoothed(self.mix.targets(plan, labels))

    @property
    def mixup_enabled(self) -> bool:
        """Whether batches are mixed."""
        return self.mix.mixing

    @mixup_enabled.setter
    def mixup_enabled(self, value: bool) -> None:
        self.mix.mixing = value

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse other settings, which timm's class would follow; only the switch moves."""
        if name != "mixup_enabled" and "mix" in self.__dict__:
            raise AttributeError(
                f"Mixup: {name} stays as it was made. Make another Mixup, or set mixup_enabled."
            )
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        """Show the mixer and what targets are made of."""
        return (
            f"{type(self).__name__}(mixer={self.mix.mixer!r}, num_classes={self.num_classes}, "
            f"label_smoothing={self.label_smoothing:g}, multi_label={self.multi_label}, "
            f"seed={self.mix.seed})"
        )

    def _timms_mixer(self) -> Mixer:
        if self.mixup_alpha == 0 and self.cutmix_alpha == 0:
            raise ValueError(
                "Mixup: mixup_alpha and cutmix_alpha are 0 and cutmix_minmax is None; expected one "
                "of them to turn a method on. To train without mixing make no Mixup."
            )
        return timm_mixer(
            mixup_alpha=self.mixup_alpha,
            cutmix_alpha=self.cutmix_alpha,
            cutmix_minmax=self.cutmix_minmax,
            prob=self.mix_prob,
            switch_prob=self.switch_prob,
            mode=self.mode,
            correct_lam=self.correct_lam,
        )

    def _sometimes(self, mixer: Mixer) -> Mixer:
        """Give the user's mixer with chance ``prob``, unless timm's methods are asked for too."""
        unused = {
            "mixup_alpha": self.mixup_alpha not in (0.0, 1.0),  # off, or the default
            "cutmix_alpha": self.cutmix_alpha != 0,
            "cutmix_minmax": self.cutmix_minmax is not None,
            "switch_prob": self.switch_prob != 0.5,
            "correct_lam": not self.correct_lam,
            "mode": self.mode not in ("batch", "elem"),
        }
        for argument, given in unused.items():
            if given:
                raise ValueError(
                    f"Mixup: {argument} is {getattr(self, argument)!r} and mixer is {mixer!r}, "
                    "which it does not apply to; expected one of both. Leave it out and give the "
                    "mixer its own settings, such as mixer=CutMix(alpha=0.8)."
                )
        if self.mix_prob == 1:
            return mixer
        return Sometimes(mixer, self.mix_prob, per="sample" if self.mode == "elem" else "batch")

    def _labels(self, labels: Tensor) -> Tensor:
        """Give labels as plans take them, or say which of both kinds was expected."""
        if self.multi_label:
            if labels.ndim != 2 or labels.shape[1] != self.num_classes:
                raise ValueError(
                    f"Mixup: labels have shape {tuple(labels.shape)}; expected multi-hot labels "
                    f"(B, {self.num_classes}) with multi_label=True. Class indices (B,) go without."
                )
            return labels.float()
        if labels.ndim != 1:
            raise ValueError(
                f"Mixup: labels have shape {tuple(labels.shape)}; expected class indices (B,). "
                "Multi-hot labels (B, K) need multi_label=True, soft ones are mixed by Mix."
            )
        return labels.long() if labels.dtype == torch.bool else labels

    def _smoothed(self, targets: Tensor) -> Tensor:
        """Lead multi-hot targets towards 0.5; ``Mix`` has smoothed those of class indices."""
        if not self.multi_label or self.label_smoothing == 0:
            return targets
        return targets * (1 - self.label_smoothing) + 0.5 * self.label_smoothing


class FastCollateMixup(Mixup):
    """Collate uint8 samples and mix them: ``create_loader(..., collate_fn=FastCollateMixup(...))``.

    As ``timm.data.FastCollateMixup`` of timm 1.0.31, for its loaders with a prefetcher, which
    normalise afterwards, or for any ``DataLoader``. Draws come from (seed, epoch, worker, batch),
    as those of ``Mix.collate``: workers differ and the same run repeats itself.

    Args:
        mode: as for ``Mixup``, or ``"half"``: the first half of a batch, each of its samples mixed
            with one of the second half by a draw of its own; of an odd batch ``(B + 1) / 2``.

    All other arguments, attributes and errors are those of ``Mixup``.

    Example:
        >>> collate = FastCollateMixup(mode="half", num_classes=10, seed=0)
        >>> sample = (torch.zeros(3, 32, 32, dtype=torch.uint8), 7)
        >>> images, targets = collate([sample] * 8)
        >>> images.shape, images.dtype, targets.shape
        (torch.Size([4, 3, 32, 32]), torch.uint8, torch.Size([4, 10]))

    Departs from timm as ``Mixup`` does, and: the arrays of the data set are not written;
    ``mixup_enabled`` reaches workers that are already running, which timm's does not.
    """

    _modes: ClassVar[tuple[Mode, ...]] = ("batch", "pair", "elem", "half")

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, batch: Sequence[tuple[Any, Any]], _: object = None
    ) -> tuple[Tensor, Tensor]:
        """Collate and mix; while ``mixup_enabled`` is False collate and make dense targets.

        Args:
            batch: pairs of a uint8 image ``(C, H, W)``, tensor or array, and a label.

        Returns:
            uint8 images, rounded, and targets ``(B, K)`` float32.

        Raises:
            ValueError: samples are no such pairs, or a label is out of range.
        """
        images, targets = self.mix.collate([self._sample(sample) for sample in batch])
        if images.dtype != torch.uint8:
            raise ValueError(
                f"FastCollateMixup: images have dtype {images.dtype}; expected uint8, as timm's "
                "transforms give with use_prefetcher=True. Mix floating images after the loader, "
                "by Mixup."
            )
        if self.mode == "half":  # where nothing was mixed all are here
            images, targets = images[: (len(batch) + 1) // 2], targets[: (len(batch) + 1) // 2]
        if not targets.is_floating_point():  # mixing was off
            targets = self.mix.targets(MixPlan.identity(images), targets)
        return images, self._smoothed(targets)

    @property
    def __class__(self) -> type[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        # PrefetchLoader.mixup_enabled heeds instances of timm's class alone, and timm's training
        # script switches mixing off by it. isinstance asks here; inheriting would need timm.
        theirs = sys.modules.get("timm.data.mixup")
        return getattr(theirs, "FastCollateMixup", FastCollateMixup)

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()], dict[str, Any]]:
        # pickle would find that __class__ is not the type; spawned workers are sent a pickle.
        return _blank, (), self.__dict__.copy()

    def _sample(self, sample: Any) -> tuple[Any, Tensor]:
        """Give a sample with its label as plans take it, or say that it is no pair."""
        if not isinstance(sample, tuple | list) or len(sample) != 2:  # pyright: ignore
            raise ValueError(
                f"FastCollateMixup: a sample is {shown(sample)}; expected a pair (image, label), "
                "as timm's data sets give. Mix.collate takes dictionaries and the like."
            )
        label = as_labels(sample[1], device=torch.device("cpu"))
        return sample[0], self._labels(label[None])[0]


def _blank() -> FastCollateMixup:
    return FastCollateMixup.__new__(FastCollateMixup)
