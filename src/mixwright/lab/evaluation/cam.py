"""The evaluation ``cam``: where a classifier sees a class, in images and in mixtures of two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixwright.arguments import (
    check_arguments,
    check_number,
    check_settings,
    check_whole,
)
from mixwright.lab.evaluation.mixtures.diversity_scores import pair_accuracy
from mixwright.lab.evaluation.mixtures.states import States, at_share, grouped_states
from mixwright.lab.evaluation.predictions import batch_logits, check_logits
from mixwright.lab.evaluation.subject import (
    Measurement,
    NotApplicableError,
    Subject,
    as_bytes,
)
from mixwright.mixers import CutMix
from mixwright.mixers.mixer import Mixer
from mixwright.sampling import Stream, stream
from mixwright.taps import as_map, check_gradients, evaluating, last_map, replacing
from mixwright.taps.layers import classifier_width

_FLAT = 1e-4  # masks that vary less say nothing about places


@check_arguments
def class_map(
    model: nn.Module, images: Tensor, classes: Tensor, *, layer: str | None = None
) -> Tensor:
    """Weigh the maps of a layer by how much a class's logit depends on each: Grad-CAM.

    The weight of a map is the mean over its places of the logit's derivative; of the weighted sum
    what is below 0 becomes 0. One forward and one backward pass, from the layer on; no
    parameter's ``.grad`` is touched.

    Args:
        model: network from images to logits ``(B, K)``; any ``nn.Module``, run in evaluation mode.
        images: ``(B, C, H, W)`` floating, as the model takes them.
        classes: ``(B,)`` integers in ``[0, K)``, the class that is looked for in each image.
        layer: name of a layer that gives a map ``(B, C, h, w)`` or tokens, as ``named_modules``
            has it; None for the last one of more than one place before the last Linear.

    Returns:
        ``(B, h, w)`` float32, at least 0, of the layer's size and in no particular unit.

    Raises:
        ValueError: the layer is unknown, runs more than once or gives no map; the logits are not
            finite ``(B, K)``, or a class is out of range; the call stands in
            ``torch.inference_mode``.

    Example:
        >>> model = nn.Sequential(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 1))
        >>> _ = model[3].weight.data.fill_(8.0)
        >>> images = torch.tensor([[[[0.0, 1.0], [0.5, -1.0]]]])
        >>> class_map(model, images, torch.tensor([0]), layer="0")
        tensor([[[0., 2.],
                 [1., 0.]]])

    Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", 2017, arXiv:1610.02391.
    """
    check_gradients("class_map", images)
    name = last_map(model, images, pooled=False) if layer is None else layer
    kept = list[Tensor]()

    def hold(features: Tensor) -> Tensor:
        kept.append(features.detach().requires_grad_())
        return kept[-1].clone()  # a later layer may write into what it gets

    full = torch.autocast(images.device.type, enabled=False)
    with evaluating(model), torch.enable_grad(), full, replacing(model, name, hold):
        logits = batch_logits(model, images.detach().clone(), classes)
        check_logits(logits.detach(), classes)
        wanted = logits.gather(1, classes.long()[:, None]).sum()
        (slope,) = torch.autograd.grad(wanted, kept[0], allow_unused=True, materialize_grads=True)
    width, size = classifier_width(model, images), images.shape[2:]
    features = as_map(kept[0].detach(), width, size=size).float()
    weight = as_map(slope, width, size=size).float().mean(dim=(2, 3), keepdim=True)
    return (weight * features).sum(dim=1).relu()


@check_arguments
def grad_cam(
    model: nn.Module, images: Tensor, classes: Tensor, *, layer: str | None = None
) -> Tensor:
    """Show where a classifier sees a class: ``class_map`` at the images' size, ``(B, H, W)``.

    Brought to size bilinearly; then each map's minimum becomes 0 and its maximum 1, so that maps
    of two images cannot be compared in strength. 0 everywhere where the map is the same everywhere,
    such as one that is 0 or has a single place. Arguments, errors and source: see ``class_map``.
    """
    small = class_map(model, images, classes, layer=layer)
    found = F.interpolate(small[:, None], images.shape[2:], mode="bilinear", align_corners=False)
    low, high = small.amin(dim=(1, 2), keepdim=True), small.amax(dim=(1, 2), keepdim=True)
    even = high - low <= 1e-6 * high  # rounding must not draw a picture on an even map
    found = found[:, 0] - found[:, 0].amin(dim=(1, 2), keepdim=True)
    top = found.amax(dim=(1, 2), keepdim=True)
    return torch.where(even | (top == 0), 0.0, found / top.clamp_min(1e-38)).clamp(0, 1)


@check_arguments
def cam_energy(cam: Tensor, mask: Tensor) -> Tensor:
    """Return ``(B,)``, the share of each map ``(B, H, W)`` that lies where an image is shown.

    ``mask`` ``(B, H, W)`` in [0, 1] is the image's share in each pixel of the mixture. NaN where
    the map is 0 everywhere; a map that knows nothing gets the mean of the mask on average.

    Example:
        >>> cam, mask = torch.tensor([[[1.0, 3.0]]]), torch.tensor([[[1.0, 0.0]]])
        >>> cam_energy(cam, mask)
        tensor([0.2500])
    """
    if cam.shape != mask.shape or cam.ndim != 3:
        raise ValueError(
            f"cam_energy: cam has shape {tuple(cam.shape)} and mask {tuple(mask.shape)}; expected "
            "both (B, H, W)."
        )
    return (cam * mask).sum(dim=(1, 2)) / cam.sum(dim=(1, 2))


@dataclass(frozen=True, kw_only=True)
class Cam:
    """Show where a classifier sees the classes of an image, and measure it on mixtures of two.

    A mixture is shown to the model and each of its two classes looked for; what is measured is
    how much of the map lies where that image's pixels are, and how often the two classes are the
    two first guesses.

    Args:
        pairs: mixtures, at least 1; of test images of different classes.
        lam: the share of the first image, in [0, 1].
        mixer: what mixes: ``own``, how the model was trained (a learned mixer: two images, equal
            shares), and CutMix where it was trained without mixing two images; ``cutmix`` for
            every model, so that all see the same ones.
        layer: whose maps are looked at, by its name; empty for the last one of more than one
            place before the last Linear.
        shown: images and mixtures that are kept as pictures, at least 1.
    """

    pairs: int = 200
    lam: float = 0.5
    mixer: Literal["own", "cutmix"] = "own"
    layer: str = ""
    shown: int = 6

    name: ClassVar[str] = "cam"
    about: ClassVar[str] = "where the model sees the classes, in images and in mixtures of two"
    pictures: ClassVar[tuple[str, ...]] = (
        "plain.images",
        "plain.maps",
        "mixed.images",
        "mixed.maps",
        "mixed.masks",
    )

    def __post_init__(self) -> None:
        check_settings(self)
        check_whole("Cam", "pairs", self.pairs, low=1)
        check_whole("Cam", "shown", self.shown, low=1)
        check_number("Cam", "lam", self.lam, high=1.0)

    def measure(self, subject: Subject) -> Measurement:
        """See ``Evaluation.measure``."""
        images, labels = next(subject.batches(self.shown))
        layer = self.layer or _layer_of(subject, images)
        size = class_map(subject.model, images[:1], labels[:1], layer=layer).shape[1:]
        if size.numel() == 1:
            raise NotApplicableError(
                f"cam: layer {layer!r} gives maps of one place for images of "
                f"{images.shape[2]} x {images.shape[3]} pixels, which say nothing about places. "
                "Name an earlier one, layer=NAME."
            )
        own: Mixer | None = subject.mixer if self.mixer == "own" else None
        found = None if own is None else self._look(subject, own, layer, whole=True)
        mixer = CutMix() if own is None or found is None else own
        found = found or self._look(subject, mixer, layer, whole=False)
        assert found is not None
        energy, chance, counted = found["energy"], found["chance"], found["counted"]
        summary: dict[str, Any] = {
            "pairs": len(energy),
            "lam": self.lam if at_share(mixer, self.lam, pairs=True)[1] else None,
            "mixer": type(mixer).__name__,
            "layer": layer,
            "map": list(size),
            "energy_a": _mean(energy[counted, 0]),
            "energy_b": _mean(energy[counted, 1]),
            "energy": _mean(energy[counted]),
            "chance_a": _mean(chance[counted, 0]),
            "chance_b": _mean(chance[counted, 1]),
            "counted": int(counted.sum()),
            "pair_accuracy": float(found["correct"].double().mean()),
            "empty": float(found["empty"].double().mean()),
            "plain_classes": [subject.data.classes[k] for k in labels.tolist()],
            "mixed_classes": [
                [subject.data.classes[k] for k in pair] for pair in found["mixed.labels"].tolist()
            ],
            "seed": subject.seed,
        }
        plain = grad_cam(subject.model, images, labels, layer=layer)
        arrays = {
            "energy": energy.float(),
            "chance": chance.float(),
            "counted": counted,
            "correct": found["correct"],
            "plain.images": as_bytes(images),
            "plain.maps": as_bytes(plain),
            "plain.labels": labels.cpu(),
            **{name: values for name, values in found.items() if name.startswith("mixed.")},
        }
        return Measurement(summary=summary, arrays=arrays)

    def _look(
        self, subject: Subject, mixer: Mixer, layer: str, *, whole: bool
    ) -> dict[str, Tensor] | None:
        """What is seen in each mixture, ``(P, ...)`` by name, and the pictures of the first ones.

        None where one shows less than two images, if all are to be ``whole``.
        """
        pieces = list[dict[str, Tensor]]()
        left = self.shown
        for states, every in grouped_states(
            subject,
            at_share(mixer, self.lam, pairs=True)[0],
            groups=self.pairs,
            draws=1,
            generator=stream(subject.seed, Stream.CAM),
            progress=lambda share: subject.progress(0.1 + 0.8 * share, "mixing"),
        ):
            mixed, labels, masks = _largest_two(states, every)
            if whole and not bool((masks.flatten(2).mean(dim=2) > 0).all()):
                return None
            pieces.append(self._look_at(subject, mixed, labels, masks, layer, pictures=left))
            left -= len(pieces[-1]["mixed.images"])
        if not pieces:
            count = len(subject.data.test)
            raise NotApplicableError(f"cam: {count} test images do not make one mixture.")
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}

    def _look_at(
        self,
        subject: Subject,
        mixed: Tensor,
        labels: Tensor,
        masks: Tensor,
        layer: str,
        *,
        pictures: int,
    ) -> dict[str, Tensor]:
        """Measure mixtures ``(P, C, H, W)`` with their two classes and masks; see ``_look``."""
        both = [
            self._maps_and_logits(subject, mixed[rows], labels[rows], layer)
            for rows in torch.arange(len(mixed)).split(subject.batch_size)
        ]
        maps, logits = (torch.cat(column) for column in zip(*both, strict=True))
        targets = F.one_hot(labels, logits.shape[1]).amax(dim=1)
        flat = masks.flatten(2)
        places = (flat.amax(dim=2) - flat.amin(dim=2) > _FLAT).all(dim=1)
        energy = torch.stack([cam_energy(maps[:, n], masks[:, n]) for n in range(2)], dim=1)
        kept = slice(max(0, pictures))
        return {
            "energy": energy,
            "chance": flat.mean(dim=2),
            "counted": places & energy.isfinite().all(dim=1),
            "correct": pair_accuracy(logits, targets.float()),
            "empty": maps.flatten(2).amax(dim=2) == 0,
            "mixed.images": as_bytes(mixed[kept]),
            "mixed.maps": as_bytes(maps[kept]),
            "mixed.masks": as_bytes(masks[kept]),
            "mixed.labels": labels[kept],
        }

    def _maps_and_logits(
        self, subject: Subject, mixed: Tensor, labels: Tensor, layer: str
    ) -> tuple[Tensor, Tensor]:
        """Maps ``(b, 2, H, W)`` of both classes, and logits, on the CPU."""
        images, classes = mixed.to(subject.device), labels.to(subject.device)
        maps = [grad_cam(subject.model, images, classes[:, n], layer=layer).cpu() for n in range(2)]
        with evaluating(subject.model), torch.inference_mode():
            logits = batch_logits(subject.model, images, classes[:, 0]).cpu()
        check_logits(logits, labels[:, 0])
        return torch.stack(maps, dim=1), logits


def _layer_of(subject: Subject, images: Tensor) -> str:
    try:
        return last_map(subject.model, images, pooled=False)
    except ValueError as error:
        raise NotApplicableError(f"cam: {error}") from error


def _largest_two(states: States, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mixtures with the labels ``(P, 2)`` and masks ``(P, 2, H, W)`` of their two largest images.

    The first image of a group stays first where it is among them.
    """
    masks = states.masks[0]
    share = masks.flatten(2).mean(dim=2)
    chosen = share.topk(2, dim=1).indices.sort(dim=1).values
    grid = chosen[:, :, None, None].expand(-1, -1, *masks.shape[2:])
    return states.mixed[0], labels.gather(1, chosen), masks.gather(1, grid)


def _mean(values: Tensor) -> float | None:
    return float(values.double().mean()) if values.numel() else None
