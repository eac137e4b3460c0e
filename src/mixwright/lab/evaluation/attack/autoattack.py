"""AutoAttack, four attacks one after another, by the package pyautoattack."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from mixwright.arguments import check_number, check_unit
from mixwright.lab.evaluation.attack.pgd import Adversarial
from mixwright.lab.evaluation.predictions import correct_on
from mixwright.outputs import take_logits
from mixwright.taps import check_gradients, evaluating

INSTALL = "pip install pyautoattack"


def check_autoattack() -> None:
    """Refuse where the package is missing, before anything else is computed."""
    if find_spec("pyautoattack") is None:
        raise ValueError(
            "attack: AutoAttack needs the package pyautoattack, which is not installed: "
            f"{INSTALL}, or leave autoattack off."
        )


def autoattack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    eps: float,
    seed: int,
    batch_size: int = 250,
) -> Adversarial:
    """Run the standard AutoAttack: APGD on cross-entropy, targeted APGD, targeted FAB, Square.

    Up to 1,900 forward and backward passes and 5,000 forward ones for each image that is robust to
    the end; ordinary models lose nearly all of theirs in the first hundred. An image is robust
    where it was taken rightly as it was, and as the attacks left it. The model has at least four
    classes: targeted parts take up to nine others. Other arguments are those of ``pgd``; torch's
    global generator is left as it was.

    Raises:
        ValueError: pyautoattack is not installed, ``eps`` or images are out of range, or the call
            stands in ``torch.inference_mode``.

    Source: Croce and Hein, "Reliable Evaluation of Adversarial Robustness with an Ensemble of
    Diverse Parameter-free Attacks", 2020, arXiv:2003.01690.
    """
    check_number("autoattack", "eps", eps, open_low=True)
    check_unit("autoattack", images)
    check_gradients("autoattack", images)
    check_autoattack()
    package: Any = import_module("pyautoattack")
    robust = correct_on(model, images, labels)
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), evaluating(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its checks of the model, which speak to its authors
        attack = package.AutoAttack(
            _Logits(model).eval(), norm="Linf", eps=eps, device=images.device, seed=seed
        )
        found: tuple[Tensor, Tensor] = attack.run_standard_evaluation(
            images, labels, batch_size=batch_size
        )
    moved = found[0].detach().to(images)
    return Adversarial(moved, robust & correct_on(model, moved, labels))


class _Logits(nn.Module):
    """A model whose output is its logits alone, as the package wants them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        return take_logits(self.model(images), who="autoattack", count=len(images))
