"""How long training steps took, for ``mixwright list``: the committed record in short."""

from __future__ import annotations

RECORDED_TIMES: dict[str, dict[str, float]] = {
    "resnet18_cifar": {
        "mixup": 1.07, "cutmix": 0.90, "miamix": 0.89, "saliencymix": 1.54,
        "attentivecutmix": 1.22, "snapmix": 1.20, "puzzlemix": 1.53, "comixup": 1.64,
        "saliencygrafting": 1.60, "guidedmixup": 1.05, "manifoldmix": 0.95, "alignmix": 1.11,
        "decoupledmix": 1.15, "recursivemix": 1.18, "tokenmix": 1.15,
    },
    "deit_tiny_patch16_224": {
        "mixup": 0.99, "cutmix": 0.90, "miamix": 0.97, "saliencymix": 2.03,
        "attentivecutmix": 1.29, "snapmix": 1.31, "puzzlemix": 1.80, "comixup": 1.75,
        "saliencygrafting": 1.56, "guidedmixup": 0.88, "manifoldmix": 0.86, "alignmix": 0.98,
        "decoupledmix": 0.97, "recursivemix": 0.90, "transmix": 0.91, "tokenmix": 1.23,
        "tokenmixup": 0.95, "mixpro": 0.88, "smmix": 1.21,
    },
}  # fmt: skip
"""Network to method to the median step in median steps without mixing, in one run of each network:
float32, one thread of a CPU that other work shared, so that 0.1 is chance. From
``benchmarks/results/bench/steps.json``."""


def describe_times(name: str) -> str:
    """Say in words how long a method's steps took; empty for methods that were not measured."""
    return ", ".join(
        f"{times[name]:.2f} x ({network})"
        for network, times in RECORDED_TIMES.items()
        if name in times
    )
