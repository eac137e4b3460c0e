"""The networks that ``build_model`` makes by itself, by name; nothing heavy is imported here."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mixwright.arguments import letters, nearest
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


# What the name of a family begins with, in small letters without signs: the longest come first.
_FAMILIES = {
    "wideresnet": "wrn",
    "wrn": "wrn",
    "preactivationresnet": "preactresnet",
    "preactresnet": "preactresnet",
    "preact": "preactresnet",
    "resnext": "resnext",
    "resnet": "resnet",
    "smallvit": "vit",
    "visiontransformer": "vit",
    "vit": "vit",
}


def ours_like(name: str) -> str | None:
    """Return our residual network of the same family, depth and width; None where we have none.

    Example:
        >>> [ours_like(name) for name in ("ResNet-18", "WRN-28x10", "preact_resnet18", "resnet32")]
        ['resnet18_cifar', 'wrn28_10', 'preactresnet18', None]
    """
    parts = _parts(name)
    return next((ours for ours in MODELS if parts[1:] and _parts(ours) == parts), None)


def near_models(name: str, others: Iterable[str] = ()) -> list[str]:
    """Return up to three names, ours and ``others``, that a name may stand for.

    Example:
        >>> near_models("resnet18"), near_models("wideresnet40-2")
        (['resnet18_cifar'], ['wrn28_2', 'wrn28_8', 'wrn28_10'])
    """
    if same := ours_like(name):
        return [same]
    kin = [ours for ours in MODELS if _parts(name)[0] in _parts(ours)[:1]]
    near = nearest(name, [*(kin or MODELS), *others], count=3)
    return near or kin[:3]  # another spelling of the family is not near


def _parts(name: str) -> tuple[str, ...]:
    """Family, depth and width as people write them; of other networks the name alone.

    Example:
        >>> _parts("timm:resnext50_32x4d"), _parts("wide_resnet_28x10"), _parts("smallconv")
        (('resnext', '50'), ('wrn', '28', '10'), ('smallconv',))
    """
    word = name.removeprefix(TIMM)
    short = letters(word)
    family = next((known for first, known in _FAMILIES.items() if short.startswith(first)), word)
    sizes = re.findall(r"\d+", word) if family in _FAMILIES.values() else []
    return family, *sizes[: 2 if family == "wrn" else 1]


def unknown_model(name: str, others: Iterable[str] = (), hint: str = "") -> ModelError:
    """Return the error about an unknown name, with the nearest of ours and ``others``.

    Example:
        >>> str(unknown_model("resnet18_cifra"))[:59]
        "unknown model 'resnet18_cifra'; did you mean resnet18_cifar"
    """
    near = near_models(name, others)
    suggestion = f"; did you mean {', '.join(near)}?" if near else "."
    return ModelError(
        f"unknown model {name!r}{suggestion} Our own are {', '.join(MODELS)}. {hint}".rstrip()
    )
