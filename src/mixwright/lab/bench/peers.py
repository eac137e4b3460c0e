"""Other libraries' mixers, where these libraries are installed."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from torch import Tensor

from mixwright.lab.bench.benchmarks import CLASSES, Benchmark

ABSENT = "not installed"
UNIT = "torchvision MixUp, per batch"

_Makers = Callable[[Tensor, Tensor], list[Benchmark]]


def peer_benchmarks(images: Tensor, labels: Tensor) -> tuple[list[Benchmark], dict[str, str]]:
    """Return the mixers of torchvision, timm and kornia, as their users call them.

    They draw from the global generators of torch and numpy, having no other. The second value is
    for each library its version, or why it is not measured.
    """
    found: list[Benchmark] = []
    versions: dict[str, str] = {}
    for name, make in _PEERS.items():
        try:
            library = import_module(name)
        except ModuleNotFoundError as error:
            missing = (error.name or name).partition(".")[0]
            versions[name] = ABSENT if missing == name else f"not usable: {missing} is missing"
            continue
        except (ImportError, RuntimeError, OSError) as error:
            # RuntimeError: torchvision beside another build of torch.
            versions[name] = f"not usable: {str(error).partition(chr(10))[0]}"
            continue
        versions[name] = str(getattr(library, "__version__", "unknown"))
        found += make(images, labels)
    return found, versions


def _torchvision(images: Tensor, labels: Tensor) -> list[Benchmark]:
    v2: Any = import_module("torchvision.transforms.v2")
    kinds: dict[str, Any] = {
        UNIT: v2.MixUp(num_classes=CLASSES),
        "torchvision CutMix, per batch": v2.CutMix(num_classes=CLASSES),
    }
    return [_benchmark(name, mix, images, labels) for name, mix in kinds.items()]


def _timm(images: Tensor, labels: Tensor) -> list[Benchmark]:
    kind: Any = import_module("timm.data.mixup").Mixup
    own = images.clone()  # it overwrites its input
    if len(images) % 2:
        own, labels = own[:-1], labels[:-1]  # it refuses an odd batch
    found: list[Benchmark] = []
    for mode, per in (("batch", "per batch"), ("pair", "per pair"), ("elem", "per sample")):
        for title, alphas in (
            ("Mixup", {"mixup_alpha": 1.0, "cutmix_alpha": 0.0}),
            ("CutMix", {"mixup_alpha": 0.0, "cutmix_alpha": 1.0}),
            ("Mixup+CutMix", {"mixup_alpha": 1.0, "cutmix_alpha": 1.0}),
        ):
            mix = kind(mode=mode, num_classes=CLASSES, label_smoothing=0.0, **alphas)
            found.append(_benchmark(f"timm {title}, {per}", mix, own, labels))
    return found


def _kornia(images: Tensor, labels: Tensor) -> list[Benchmark]:
    augmentation: Any = import_module("kornia.augmentation")
    keys = ["input", "class"]
    kinds: dict[str, Any] = {
        "kornia RandomMixUpV2, per sample": augmentation.RandomMixUpV2(p=1.0, data_keys=keys),
        "kornia RandomCutMixV2, per sample": augmentation.RandomCutMixV2(p=1.0, data_keys=keys),
    }
    return [_benchmark(name, mix, images, labels) for name, mix in kinds.items()]


def _benchmark(name: str, mix: Any, images: Tensor, labels: Tensor) -> Benchmark:
    return Benchmark("peer", name, "with targets", lambda: mix(images, labels))


_PEERS: dict[str, _Makers] = {"torchvision": _torchvision, "timm": _timm, "kornia": _kornia}
