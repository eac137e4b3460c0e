"""One function from a name to a network: our own for small images, timm for everything else."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from mixwright.arguments import check_arguments
from mixwright.lab.models.drop_path import set_drop_path
from mixwright.lab.models.efficientnet import PUBLISHED, EfficientNetLite0, load_published
from mixwright.lab.models.names import (
    MODELS,
    PRETRAINED,
    TIMM,
    ModelError,
    own_model,
    unknown_model,
)
from mixwright.lab.models.own import build_own
from mixwright.lab.models.preact import PreActBlock, PreActBottleneck, PreActResNet, WideResNet
from mixwright.lab.models.published import Published
from mixwright.lab.models.resnet import RESNEXT_32X4D, BasicBlock, Bottleneck, ResNet, ThinResNet
from mixwright.lab.models.smallconv import SmallConv
from mixwright.lab.models.vit import PATCH, SmallViT
from mixwright.lab.models.zoo import build_timm, published_by_timm
from mixwright.lab.settings.own_code import as_module

_18 = (2, 2, 2, 2)
_34 = _50 = (3, 4, 6, 3)

_MAKERS: dict[str, Callable[[int, int, int], nn.Module]] = {
    "smallconv": lambda k, c, s: SmallConv(num_classes=k, channels=c),
    "resnet18_cifar": lambda k, c, s: ResNet(BasicBlock, 1, _18, num_classes=k, channels=c),
    "resnet34_cifar": lambda k, c, s: ResNet(BasicBlock, 1, _34, num_classes=k, channels=c),
    "resnet50_cifar": lambda k, c, s: ResNet(Bottleneck, 4, _50, num_classes=k, channels=c),
    "resnext50_cifar": lambda k, c, s: ResNet(RESNEXT_32X4D, 4, _50, num_classes=k, channels=c),
    "preactresnet18": lambda k, c, s: PreActResNet(PreActBlock, _18, num_classes=k, channels=c),
    "preactresnet34": lambda k, c, s: PreActResNet(PreActBlock, _34, num_classes=k, channels=c),
    "preactresnet50": lambda k, c, s: PreActResNet(
        PreActBottleneck, _50, num_classes=k, channels=c
    ),
    "wrn28_2": lambda k, c, s: WideResNet(28, 2, num_classes=k, channels=c),
    "wrn28_8": lambda k, c, s: WideResNet(28, 8, num_classes=k, channels=c),
    "wrn28_10": lambda k, c, s: WideResNet(28, 10, num_classes=k, channels=c),
    "resnet8": lambda k, c, s: ThinResNet(8, num_classes=k, channels=c),
    "resnet20": lambda k, c, s: ThinResNet(20, num_classes=k, channels=c),
    "resnet56": lambda k, c, s: ThinResNet(56, num_classes=k, channels=c),
    "smallvit": lambda k, c, s: SmallViT(num_classes=k, channels=c, image_size=s),
    "efficientnet_lite0": lambda k, c, s: EfficientNetLite0(num_classes=k, channels=c),
}

SMALLEST = 8
"""Side in pixels below which our networks would pool nothing into nothing."""


@check_arguments
def build_model(
    name: str,
    *,
    num_classes: int,
    image_size: int,
    channels: int = 3,
    pretrained: bool = False,
    drop_path: float = 0.0,
) -> nn.Module:
    """Return a network by its name, freshly initialised or with its published weights.

    Our own names are the keys of ``MODELS``; every other name is looked up in timm, and so is one
    of ours behind ``timm:``. ``package.module:function`` is a function of your own, which is called
    with ``num_classes``, and with ``image_size`` and ``channels`` where it takes them. Each of ours
    ends in a Linear layer called ``fc``, behind stages called ``layer1``, ``layer2`` and so on (of
    ``smallvit`` behind ``blocks.0``, ``blocks.1``, ...).
    Weights are drawn from torch's global generator: call ``torch.manual_seed`` before.

    Args:
        name: ``resnet18_cifar``, ``wrn28_10``, ...; or a timm name such as ``convnext_tiny``, or
            ``timm:convnext_tiny``; or ``my.nets:small``, whose module is imported, from the
            folder that we are in too.
        num_classes: outputs, at least 1.
        image_size: side of the images in pixels; timm's transformers are built for exactly this
            side, our own networks take any from 8 up, ``smallvit`` multiples of 4.
        channels: channels of the images.
        pretrained: take the published weights; the last layer is new where its classes differ.
            They expect images in the statistics that ``published`` tells.
        drop_path: chance that the last residual block leaves out what it adds for an image, in
            [0, 1); earlier ones have less. See ``set_drop_path``.

    Returns:
        A module from images ``(B, channels, H, W)``, normalised, to logits ``(B, num_classes)``,
        in training mode. Wrap it in ``Normalised`` for images in [0, 1].

    Raises:
        ModelError: the name is unknown (the message gives the nearest ones), a package is missing
            or refuses, weights are not to be had, or a number is out of range.

    Example:
        >>> net = build_model("resnet20", num_classes=10, image_size=32)
        >>> sum(p.numel() for p in net.parameters())
        272474
    """
    numbers = {"num_classes": num_classes, "channels": channels, "image_size": image_size}
    for what, value in numbers.items():
        if value < 1:
            raise ModelError(f"model {name}: {what} is {value}; expected at least 1.")
    if ":" in name and not name.startswith(TIMM):
        if own_model(name) is None:
            hint = "A function of your own is written package.module:function"
            module = as_module(name)
            raise unknown_model(name, hint=f"{hint}{module and f', here {module}'}.")
        if pretrained:
            raise ModelError(
                f"model {name}: it is a function of yours, which has no published weights; "
                "expected --pretrained false. Its weights are what it returns, or those of --init."
            )
        model = build_own(name, num_classes=num_classes, image_size=image_size, channels=channels)
        if drop_path:  # else a number that is called so is the network's own
            set_drop_path(model, drop_path, name=name)
        return model
    if name not in _MAKERS:
        return build_timm(
            name,
            num_classes=num_classes,
            image_size=image_size,
            channels=channels,
            pretrained=pretrained,
            drop_path=drop_path,
        )
    if pretrained and name not in PRETRAINED:
        raise _no_weights(name)
    if image_size < SMALLEST:
        raise ModelError(
            f"model {name}: image_size is {image_size}; expected at least {SMALLEST} pixels. "
            "Enlarge the images."
        )
    if name == "smallvit" and image_size % PATCH:
        raise ModelError(
            f"model {name}: image_size is {image_size}; expected a multiple of {PATCH} pixels, "
            "the side of a patch. Resize or pad the images."
        )
    model = _MAKERS[name](num_classes, channels, image_size)
    if pretrained and isinstance(model, EfficientNetLite0):
        load_published(model)
    set_drop_path(model, drop_path, name=name)
    return model


def published(name: str) -> Published:
    """Return what is known of the published weights of a network: of ours, else of timm's.

    Raises:
        ModelError: there is no such network, or it has none.
    """
    if name in PRETRAINED:
        return PUBLISHED
    if name in MODELS:
        raise _no_weights(name)
    return published_by_timm(name)


def _no_weights(name: str) -> ModelError:
    return ModelError(
        f"model {name}: it is one of ours and has no pretrained weights. Leave pretrained off, or "
        f"take {', '.join(PRETRAINED)} or a timm name."
    )
