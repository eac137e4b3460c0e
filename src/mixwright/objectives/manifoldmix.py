"""ManifoldMix: MixUp of what a layer gives, at a layer drawn anew for each batch."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_settings
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.mixup import MixUp
from mixwright.objectives.criteria import CriterionOrNone, CrossEntropy
from mixwright.objectives.objective import Losses, Objective
from mixwright.plan import MixPlan
from mixwright.sampling import Pairing
from mixwright.taps import INPUT, named_layer, replacing, stages


@dataclass(kw_only=True, eq=False, repr=False)
class ManifoldMix(Objective):
    """Average the features of two samples, at a layer drawn for each batch, and go on from there.

    The layers before run on the images as they are, the layers after on features mixed by one
    share a sample, which is the label weight too. A layer may give maps, tokens or vectors; the
    batch is its first axis. Only the first output of a layer that gives several is mixed. A batch
    of one is not mixed.

    Args:
        alpha: both parameters of the Beta law of ``lam``, at least 0; 0 turns mixing off. The
            paper uses 2.0 on CIFAR and 0.2 on Tiny ImageNet.
        layers: names as ``model.named_modules()`` gives them, of which each batch draws one;
            ``"input"`` stands for the images, where this is ``MixUp``. None for ``"input"`` and
            the first two stages, found by one forward of two images.
        lam: a fixed share in [0, 1] instead of a draw.
        per: ``"sample"``, a share for each sample; ``"batch"``, one for all (the authors' code).
        pairing: see ``sampling.partners``.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``.

    Attributes:
        mixer: the ``MixUp`` that draws shares and partners.

    Raises:
        ValueError: an argument is out of range; in ``build``, the model has no such layer.

    Example:
        >>> import torch
        >>> objective = ManifoldMix(layers=("input", "0"))
        >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5))
        >>> batch = torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape, losses.logits.shape
        (torch.Size([]), torch.Size([4, 5]))

    Source: Verma et al., "Manifold Mixup: Better Representations by Interpolating Hidden States",
    2019, arXiv:1806.05236; vikasverma1077/manifold_mixup: supervised/models/resnet.py.

    Departs from the authors' code, which draws one share a batch, lets samples meet themselves
    and minimises the binary cross-entropy of the softmax: ``ManifoldMix(per="batch",
    pairing="perm")`` has their draws. At the input the file named above mixes images and labels,
    and then runs the network on the unmixed images; here, as in the paper and in the authors'
    preresnet.py, it runs on the mixed ones.
    """

    card = Card(
        title="ManifoldMix",
        paper="Verma et al., ICML 2019",
        link="https://arxiv.org/abs/1806.05236",
        needs="model",
        cost="one pass over the features",
        note="A weighted mean of two samples at the input or at a layer drawn at random.",
        formula="lam ~ Beta(alpha, alpha),  l ~ U(layers)\n"
        "h~ = lam h_l(x) + (1 - lam) h_l(x')\n"
        "loss = lam L(f_l(h~), y) + (1 - lam) L(f_l(h~), y')",
        limits="In a run that underfits it costs more accuracy than the mixing of pixels, in our "
        "record the most of all. Layers are found by name in your model; one that keeps statistics "
        "of its input sees mixed features behind it.",
        cites=("verma2019manifold",),
    )

    alpha: float = 2.0
    layers: tuple[str, ...] | None = None
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"
    criterion: CriterionOrNone = field(default_factory=CrossEntropy)

    def __post_init__(self) -> None:
        check_settings(self)
        try:
            self.mixer = MixUp(alpha=self.alpha, lam=self.lam, per=self.per, pairing=self.pairing)
        except ValueError as error:
            raise ValueError(f"ManifoldMix, in its {error}") from error
        if isinstance(self.layers, str) or (self.layers is not None and not self.layers):
            raise ValueError(
                f"ManifoldMix: layers is {self.layers!r}; expected names of one layer or more, "
                'such as ("input", "layer1"), or None.'
            )
        self.layers = None if self.layers is None else tuple(self.layers)
        self.criterion = self.criterion or CrossEntropy()  # None stands for it

    def build(self, model: Module, num_classes: int) -> None:
        """See ``Objective.build``; looks the layers up."""
        for layer in self.layers or ():
            if layer != INPUT:
                named_layer(model, layer)

    def forward(
        self,
        model: Module,
        images: Tensor,
        labels: Tensor,
        *,
        generator: Generator,
        progress: float,
    ) -> Losses:
        """See ``Objective.forward``."""
        plan = self.mixer.plan(images, labels, generator=generator)
        layer = self._draw(model, images, generator=generator)
        if layer == INPUT:
            logits = self._logits(model, plan.images(images))
        else:
            with replacing(model, layer, lambda features: mixed_features(plan, features, layer)):
                logits = self._logits(model, images)
        total = plan.loss(self.criterion, logits, labels)
        return Losses(total, {"loss": total.detach()}, logits, plan)

    def _draw(self, model: Module, images: Tensor, *, generator: Generator) -> str:
        layers = self.layers or (INPUT, *stages(model, images)[:2])
        return layers[sampling.choices([1.0] * len(layers), 1, generator=generator)[0]]


def mixed_features(plan: MixPlan, features: Tensor, layer: str) -> Tensor:
    """Mix ``(pool, ...)``, what ``layer`` gives, by a plan of one share a sample."""
    if features.ndim < 2 or len(features) != plan.pool:
        raise ValueError(
            f"layer {layer!r} gives shape {tuple(features.shape)}; expected the {plan.pool} "
            "samples of the batch on its first axis. Name a layer that gives maps, tokens or "
            "vectors."
        )
    return plan.images(features)
