"""The networks that ``build_model`` makes by itself, by name; nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Iterable

from mixwright.arguments import nearest
from mixwright.lab.settings.own_code import own_name

MODELS: dict[str, str] = {
    "smallconv": "four 3x3 convolutions, made for seconds on one CPU core (0.03 M parameters)",
    "resnet18_cifar": "ResNet-18 with a 3x3 stem and no pooling for small images (11.2 M)",
    "resnet34_cifar": "ResNet-34 with a 3x3 stem and no pooling for small images (21.3 M)",
    "resnet50_cifar": "ResNet-50 with a 3x3 stem and no pooling for small images (23.5 M)",
    "resnext50_cifar": "ResNeXt-50 32x4d with a 3x3 stem and no pooling for small images (23.0 M)",
    "preactresnet18": "pre-activation ResNet-18 of the mixup papers (11.2 M)",
    "preactresnet34": "pre-activation ResNet-34 of the mixup papers (21.3 M)",
    "preactresnet50": "pre-activation ResNet-50 of the mixup papers (23.5 M)",
    "wrn28_2": "wide ResNet, 28 layers, twice as wide (1.5 M)",
    "wrn28_8": "wide ResNet, 28 layers, eight times as wide (23.4 M)",
    "wrn28_10": "wide ResNet, 28 layers, ten times as wide (36.5 M)",
    "resnet8": "the thin CIFAR ResNet of 8 layers (0.08 M), for quick comparisons",
    "resnet20": "the thin CIFAR ResNet of 20 layers (0.27 M)",
    "resnet56": "the thin CIFAR ResNet of 56 layers (0.86 M)",
    "smallvit": "a vision transformer for small images, 4-pixel patches (0.7 M)",
    "efficientnet_lite0": "a small network for photographs, with ImageNet weights for --pretrained "
    "by the extra pretrained (3.4 M)",
}
"""Name of each of our networks, with one line on what it is; parameters at 10 classes."""

PRETRAINED = ("efficientnet_lite0",)
"""Those of our networks that have published weights."""

TIMM = "timm:"
"""Before a name it means the network of timm, where we have one of the same name."""


class ModelError(ValueError):
    """A network cannot be built as asked: an unknown name, a missing package, no weights."""


def may_have_weights(name: str) -> bool:
    """Return whether a network may have published weights: some of ours do, and many of timm's.

    Example:
        >>> [may_have_weights(name) for name in ("resnet20", "efficientnet_lite0", "resnet18")]
        [False, True, True]
        >>> [may_have_weights(name) for name in ("my.nets:small", "timm:resnet18")]
        [False, True]
    """
    return name in PRETRAINED or not (own_model(name) or name in MODELS)


def own_model(name: str) -> tuple[str, str] | None:
    """Return module and function of a network of the user's; None for any other name.

    Example:
        >>> own_model("my.nets:small"), own_model("timm:resnet18")
        (('my.nets', 'small'), None)
    """
    return None if name.startswith(TIMM) else own_name(name)


def unknown_model(name: str, others: Iterable[str] = (), hint: str = "") -> ModelError:
    """Return the error about an unknown name, with the nearest of ours and ``others``.

    Example:
        >>> str(unknown_model("resnet18_cifra"))[:59]
        "unknown model 'resnet18_cifra'; did you mean resnet18_cifar"
    """
    near = nearest(name, [*MODELS, *others], count=3)
    suggestion = f"; did you mean {', '.join(near)}?" if near else "."
    return ModelError(
        f"unknown model {name!r}{suggestion} Our own are {', '.join(MODELS)}. {hint}".rstrip()
    )
