"""Published recipes by name: every value, its source, and where a run here departs from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mixwright.arguments import did_you_mean
from mixwright.lab.settings import option_flag, write_value


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A published recipe.

    Args:
        title: what it is, in one line.
        source: who published it, and where.
        fields: fields of a ``Recipe``, all that the source states.
        learned: further ones for METHODs that learn a mixer, as their authors have them.
        methods: METHODs of the source, as the command line takes them; empty for any.
        departs: what a run here does otherwise, a sentence each.
    """

    title: str
    source: str
    fields: Mapping[str, Any]
    learned: Mapping[str, Any] = field(default_factory=lambda: {})
    methods: str = ""
    departs: tuple[str, ...] = ()


PRESETS: dict[str, Preset] = {
    "automix-cifar": Preset(
        title="the CIFAR-100 benchmark of AutoMix, SAMix and AdAutoMix",
        source="Liu et al. 2022, arXiv:2103.13027; values of Westlake-AI/openmixup "
        "(configs/classification/cifar100/mixups) and JinXins/Adversarial-AutoMixup",
        fields={
            "model": "resnet18_cifar",
            "epochs": 200,
            "batch_size": 100,
            "optimizer": "sgd",
            "lr": 0.1,
            "momentum": 0.9,
            "nesterov": False,
            "weight_decay": 1e-4,
            "decay_norms": True,
            "warmup_epochs": 0.0,
            "min_lr": 0.0,
            "loss": "ce",
            "label_smoothing": 0.0,
            "crop": "shift",
            "crop_padding": 4,
            "crop_padding_mode": "reflect",
            "flip": True,
        },
        learned={"min_lr": 0.05},
        departs=(
            "The rate falls with every step, theirs once an epoch.",
            "Their residual blocks begin as the identity (last scale 0), ours do not.",
            "Their tables have runs of 200, 400, 800 and 1,200 epochs: --epochs says which.",
        ),
    ),
    "timm-a2": Preset(
        title="procedure A2 of timm for ResNet-50 on ImageNet",
        source="Wightman et al. 2021, ResNet strikes back, arXiv:2110.00476, Table 2",
        fields={
            "model": "resnet50",
            "image_size": 224,
            "epochs": 300,
            "batch_size": 2048,
            "optimizer": "lamb",
            "lr": 5e-3,
            "weight_decay": 0.02,
            "decay_norms": False,
            "warmup_epochs": 5.0,
            "min_lr": 0.0,
            "loss": "bce",
            "label_smoothing": 0.0,
            "drop_path": 0.05,
            "precision": "bf16",
            "crop": "original",
            "crop_scale": 0.08,
            "flip": True,
            "augment": "randaugment:layers=2,magnitude=7,std=0.5",
            "erase": 0.0,
        },
        methods="mixup:alpha=0.1+cutmix@batch",
        departs=(
            "Augmentation is not repeated; theirs has each image three times in a batch.",
            "Targets of mixtures are the shares of their classes; theirs are 1 for every class "
            "with a share above 0.2.",
            "Crops are resized bilinearly, theirs bicubically.",
            "Arithmetic is bfloat16 in place of float16.",
            "Test images are cut as the data set's own rule says, 7/8 of ImageNet's, not 0.95.",
            "Rates begin at 0, not at 0.0001, and end at 0.",
        ),
    ),
    "finetune": Preset(
        title="fine-tuning a small ImageNet network on few photographs, on a CPU",
        source="our own; the rate rises and falls once, as in Smith and Topin 2017, "
        "arXiv:1708.07120",
        fields={
            "model": "efficientnet_lite0",
            "pretrained": True,
            "image_size": 64,
            "epochs": 60,
            "batch_size": 50,
            "optimizer": "sgd",
            "lr": 0.03,
            "momentum": 0.9,
            "nesterov": True,
            "weight_decay": 5e-4,
            "decay_norms": True,
            "warmup_epochs": 18.0,
            "min_lr": 0.0,
            "loss": "ce",
            "label_smoothing": 0.0,
            "crop": "shift",
            "crop_padding": 8,
            "flip": True,
            "channels_last": True,
            "eval_every": 5,
        },
        departs=("The momentum stays; one-cycle lowers it while the rate rises.",),
    ),
}
"""Name of each preset; ``mixwright list recipes`` shows them."""


LEARNED = frozenset(name for preset in PRESETS.values() for name in preset.learned)
"""Fields in which methods of one comparison may differ."""


def find_preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises:
        ValueError: there is none of this name.

    Example:
        >>> find_preset("automix-cifar").learned
        {'min_lr': 0.05}
    """
    if name not in PRESETS:
        raise ValueError(
            f"--recipe {name}: there is no such recipe.{did_you_mean(name, PRESETS)} Known are "
            f"{', '.join(PRESETS)}; mixwright list recipes shows them."
        )
    return PRESETS[name]


def fill(preset: Preset, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of a preset beside those that were given, and what was given otherwise.

    What was given wins, and is named, a clause each. The warm-up keeps its share of the run where
    other epochs are given; published weights give way to those of ``init``.

    Example:
        >>> fields, changed = fill(PRESETS["finetune"], {"epochs": 20})
        >>> fields["epochs"], fields["warmup_epochs"], changed
        (20, 6.0, ['--epochs 20 in place of its 60', 'a warm-up of 6 epochs in place of its 18'])
    """
    own = dict(preset.fields)
    fields = {**own, **given}
    changed = [
        f"{option_flag(name)} {write_value(value)} in place of its {write_value(own[name])}"
        + (
            f" ({write_value(preset.learned[name])} with learned mixers)"
            if name in preset.learned
            else ""
        )
        for name, value in given.items()
        if name in own and (value != own[name] or name in preset.learned)
    ]
    if "epochs" in given and "warmup_epochs" not in given and own["warmup_epochs"]:
        warmup = own["warmup_epochs"] * given["epochs"] / own["epochs"]
        if warmup != own["warmup_epochs"]:
            fields["warmup_epochs"] = warmup
            changed.append(
                f"a warm-up of {write_value(warmup)} epoch{'' if warmup == 1 else 's'} in place "
                f"of its {write_value(own['warmup_epochs'])}"
            )
    if given.get("init") and own.get("pretrained") and "pretrained" not in given:
        fields["pretrained"] = False
        changed.append("--init in place of its published weights")
    return fields, changed


def shown(fields: Mapping[str, Any]) -> str:
    """Return the options that a preset stands for, as one would write them.

    Example:
        >>> shown({"min_lr": 0.05, "flip": True})
        '--min-lr 0.05 --flip true'
    """
    return " ".join(f"{option_flag(name)} {write_value(value)}" for name, value in fields.items())
