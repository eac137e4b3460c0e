"""What a run takes when nothing else is asked for, by data set."""

import math
from typing import Any

from mixwright.lab.experiments.presets import PRESETS
from mixwright.lab.models.names import TIMM, may_have_weights

METHODS = ("none", "mixup", "cutmix", "fmix", "hmix", "gmix", "miamix")
"""What is compared when no METHOD is named."""

_SMALL = {
    "model": "resnet18_cifar",
    "epochs": 200,
    "batch_size": 128,
    "lr": 0.1,
    "weight_decay": 5e-4,
    "warmup_epochs": 5,
    "crop_padding": 4,
    "flip": True,
    "eval_every": 1,
}

_FOLDER = _SMALL | {"batch_size": 64, "lr": 0.05, "epochs": 100, "crop_padding": 8}

_OTHER = _SMALL | {"model": "resnet8", "epochs": 20, "warmup_epochs": 1, "crop_padding": 2}

# Photographs of birds, aircraft or cars, from weights learned on ImageNet: a small learning rate
# at once, every layer trained, no rise at the beginning.
_FINE = {
    "model": "resnet18",
    "pretrained": True,
    "epochs": 200,
    "batch_size": 16,
    "lr": 1e-3,
    "nesterov": False,
    "weight_decay": 5e-4,
    "warmup_epochs": 0,
    "crop": "resized",
    "crop_scale": 0.5,
    "flip": True,
    "eval_every": 1,
}

_DEFAULTS: dict[str, dict[str, Any]] = {
    # Chosen by runs without mixing alone, so that mixing has something to do: with 60 labels the
    # network fits them all and is 9.5 points worse on the test images (five seeds, deviation 1.0);
    # with 100 it is 5. Three steps an epoch: short epochs, many of them, looked at now and then.
    "digits": {
        "model": "smallconv",
        "train_size": 60,
        "epochs": 200,
        "batch_size": 20,
        "lr": 0.05,
        "weight_decay": 5e-4,
        "warmup_epochs": 5,
        "crop_padding": 2,
        "flip": False,
        "eval_every": 20,
    },
    "cifar10": _SMALL,
    "cifar100": _SMALL,
    "parquet": _SMALL,
    "folder": _FOLDER,
    "webdataset": _FOLDER,
    "cub200": _FINE,
    "aircraft": _FINE,
    "cars": _FINE,
    "tiny-imagenet": _SMALL | {"crop_padding": 8},
    "imagenet": _SMALL
    | {"model": "resnet50", "epochs": 100, "batch_size": 256, "weight_decay": 1e-4}
    | {"decay_norms": False, "crop": "resized", "crop_scale": 0.08},
    # Small pictures of other things than photographs: a small network, minutes on a CPU.
    "fashion-mnist": _OTHER,
    "eurosat": _OTHER | {"crop_padding": 8},
    "elpv": _OTHER | {"crop_padding": 8},
    "medmnist": _OTHER,
    "hub": _FOLDER,
}

OWN = ("folder", "csv", "parquet", "webdataset", "hub")
"""Kinds of data that hold the user's own images, of whatever size."""

PHOTO_SIZE = 64
"""Side in pixels of the user's own photographs, where no size is asked for."""

# The network for images of the user's own that are larger than those of CIFAR, up to a side.
# Forward and back, one core spends on an image of 64 pixels 17 ms in resnet20 and 150 ms in
# resnet18_cifar, whose first layers keep the size of the image: at 224 pixels that takes 2 s, and
# efficientnet_lite0, which halves it at once, 0.12 s.
_BY_SIZE = ((32, None), (PHOTO_SIZE, "resnet20"), (math.inf, "efficientnet_lite0"))

# What fine-tuning does otherwise than training from scratch; the size of images is the data's.
_TUNED = {name: value for name, value in PRESETS["finetune"].fields.items() if name != "image_size"}

# Transformers do not learn with the SGD of convolutional networks.
_TRANSFORMER = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 0.05, "grad_clip": 1.0}
_TRANSFORMERS = ("smallvit", "vit_", "deit", "swin")


def recipe_defaults(
    data: str,
    model: str | None = None,
    image_size: int | None = None,
    *,
    pretrained: bool = False,
) -> dict[str, Any]:
    """Return fields of a recipe that suit a data set (as ``load_data`` takes it) and a network.

    A data set that is not listed gets those of ``folder``, vision transformers get AdamW, and
    networks that have no published weights, fresh ones. Where the images are the user's own and
    ``image_size`` is known, the network is one that they can be trained on in hours; where
    ``pretrained`` weights are asked for, all fields are those of the recipe ``finetune``.

    Example:
        >>> recipe_defaults("digits")["model"], recipe_defaults("cifar10")["epochs"]
        ('smallconv', 200)
        >>> recipe_defaults("cifar10", "smallvit")["optimizer"]
        'adamw'
        >>> recipe_defaults("cub200")["lr"], recipe_defaults("cub200", "resnet20")["pretrained"]
        (0.001, False)
        >>> recipe_defaults("folder:birds", image_size=64)["model"]
        'resnet20'
        >>> recipe_defaults("folder:birds", pretrained=True)["epochs"]
        60
    """
    kind = data.partition(":")[0]
    settings = dict(_DEFAULTS.get(kind, _FOLDER))
    if kind in OWN and image_size is not None:
        network = next(name for side, name in _BY_SIZE if image_size <= side)
        settings = settings if network is None else _FOLDER | {"model": network}
    if kind in OWN and pretrained:
        settings |= _TUNED
    if model is not None and not may_have_weights(model) and "pretrained" in settings:
        settings["pretrained"] = False
    network = (model or "").removeprefix(TIMM)
    return settings | (_TRANSFORMER if network.startswith(_TRANSFORMERS) else {})
