"""TokenMixup: tokens mixed inside a transformer, guided by its attention."""

from __future__ import annotations

import contextlib

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright.arguments import check_arguments, check_number, check_whole
from mixwright.mixers.cards import Card
from mixwright.mixers.combine import set_progress
from mixwright.mixers.mixer import Mixer
from mixwright.objectives.composing import composed
from mixwright.objectives.criteria import Criterion, CrossEntropy
from mixwright.objectives.objective import Losses, Objective
from mixwright.objectives.tokenmixup.horizontal import Horizontal, ScoreNet
from mixwright.objectives.tokenmixup.layers import Encoder, changing_input, encoders
from mixwright.objectives.tokenmixup.vertical import vertical
from mixwright.plan import MixPlan
from mixwright.taps.attention import prefix_tokens
from mixwright.taps.modes import bare


class TokenMixup(Objective):
    """Replace tokens of easy samples by more salient ones of others, and attend across layers.

    Horizontal: at the input of an encoder layer a small classifier, the ScoreNet, says which
    samples are easy, ``0.1 * cross-entropy <= tau``. Each of them gets a partner of its own, such
    that the summed gain of saliency over the batch is large, and takes from it the tokens whose
    saliency is larger by more than ``rho``. Saliency is this layer's own attention: the class
    token's, or without one the mean over all tokens. Labels weigh by the saliency that each sample
    brings, on top of what ``mixer`` did to the images. The class token stays.

    Vertical: the ``kappa`` most salient tokens of each earlier layer join the keys and values of
    one layer's attention, within a sample; labels stay.

    Both happen in training alone: with the model in eval mode tokens stay as they are, and the loss
    is that of ``mixer`` with the ScoreNet's. For transformers whose attention spans all tokens:
    smallvit, timm's vit and deit, torchvision's ViT, eager.

    Args:
        mixer: what mixes the images before, in the paper MixUp or CutMix; None for nothing.
        horizontal: whether to mix tokens of different samples.
        vertical: whether to attend to tokens of earlier layers.
        layer: encoder layer of the horizontal mixing, counted from 0; None for the paper's, 2, or
            3 beside ``vertical`` (ViT-B on ImageNet: 3).
        vertical_layer: encoder layer that attends to earlier ones, at least 1; the paper uses 2
            (ViT-B: 3, or 4 beside ``horizontal``).
        tau: difficulty up to which a sample is easy, at least 0; the paper uses 0.2 for CIFAR-100
            and 0.1 for CIFAR-10 and ImageNet.
        rho: least difference of saliency, at least 0; 0.005 for CIFAR-100 (256 tokens), 0.01 for
            ImageNet. Saliencies of a sample sum to at most 1, so fewer tokens want more.
        lambda_s: weight of the ScoreNet's loss, at least 0; ImageNet: 1.
        kappa: tokens of each earlier layer, at least 1; None for the paper's, 80, or 3 beside
            ``horizontal``.
        stop_score_gradient: whether to keep the ScoreNet's loss from the model; the paper does on
            ImageNet.
        official_mask: whether to compare the tokens that a partner gives with those of the first
            easy sample of the batch, for every sample, as the authors' code does, instead of with
            the sample's own.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``; None for
            ``CrossEntropy()``. The ScoreNet learns by softmax cross-entropy, with its label
            smoothing.

    Raises:
        ValueError: an argument is out of range, or neither kind is asked for.

    Example:
        >>> from mixwright.mixers import CutMix
        >>> class ViT(torch.nn.Sequential):
        ...     def forward(self, images):
        ...         tokens = self[0](images).flatten(2).transpose(1, 2)
        ...         return self[2](self[1](tokens).mean(dim=1))
        >>> block = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        >>> model = ViT(torch.nn.Conv2d(3, 8, 8, stride=8), block, torch.nn.Linear(8, 10))
        >>> objective = TokenMixup(CutMix(), layer=0)
        >>> objective.build(model, num_classes=10)
        >>> batch = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> sorted(losses.terms), losses.plan
        (['loss', 'score'], MixPlan(B=4, N=4, mask=DenseMask, pool=4, device=cpu))

    Source: Choi, Choi and Kim, "TokenMixup: Efficient Attention-guided Token-level Data
    Augmentation for Transformers", NeurIPS 2022, arXiv:2210.07562.

    Departs from the authors' code (mlvlab/TokenMixup: tokenmixup/horizontal.py, vertical.py): each
    sample's mask compares with its own saliency (``official_mask``); partners are found by an
    auction on the device, whose sum is 0.99 of the best or more, instead of by the Hungarian
    algorithm on the host; samples keep their order; with a class token the most salient tokens are
    attended to, where the code takes the ones before them; the saliency of a layer that mixed
    horizontally is that of its mixed tokens; the layer that attends vertically keeps its module.
    """

    card = Card(
        title="TokenMixup",
        paper="Choi, Choi and Kim, NeurIPS 2022",
        link="https://arxiv.org/abs/2210.07562",
        needs="model",
        cost="one attention more and an assignment within the batch",
        note="Tokens of easy samples replaced by more salient ones of others, inside the network; "
        "for transformers.",
        labels="content",
        formula="at an encoder layer: tokens t, t' and their saliency s, s' by attention\n"
        "t~ = t' where x is easy and s' > s + rho; else t\n"
        "y~ = y and y' by the saliency that each brings",
        limits="Transformers only, eager mode, attention over all tokens. Which samples are easy "
        "is said by a small classifier that learns along: its loss, threshold and layer are "
        "settings that depend on the data set.",
        cites=("choi2022tokenmixup",),
    )

    @check_arguments
    def __init__(
        self,
        mixer: Mixer | None = None,
        *,
        horizontal: bool = True,
        vertical: bool = False,
        layer: int | None = None,
        vertical_layer: int = 2,
        tau: float = 0.2,
        rho: float = 0.005,
        lambda_s: float = 0.001,
        kappa: int | None = None,
        stop_score_gradient: bool = False,
        official_mask: bool = False,
        criterion: Criterion | None = None,
    ) -> None:
        super().__init__()
        if not (horizontal or vertical):
            raise ValueError(
                "TokenMixup: horizontal and vertical are both False; expected one of them. Without "
                "either it is Mixed(mixer)."
            )
        layer = (3 if vertical else 2) if layer is None else layer
        kappa = (3 if horizontal else 80) if kappa is None else kappa
        check_whole("TokenMixup", "layer", layer, low=0)
        check_whole("TokenMixup", "vertical_layer", vertical_layer, low=1)
        check_whole("TokenMixup", "kappa", kappa, low=1)
        for word, value in (("tau", tau), ("rho", rho), ("lambda_s", lambda_s)):
            check_number("TokenMixup", word, value)
        self.mixer = mixer
        self.horizontal, self.vertical = horizontal, vertical
        self.layer, self.vertical_layer = layer, vertical_layer
        self.tau, self.rho, self.lambda_s, self.kappa = tau, rho, lambda_s, kappa
        self.stop_score_gradient, self.official_mask = stop_score_gradient, official_mask
        self.criterion: Criterion = CrossEntropy() if criterion is None else criterion
        self.score: ScoreNet | None = None

    def build(self, model: Module, num_classes: int) -> None:
        """Make the ScoreNet; see ``Objective.build``."""
        found = self._encoders(model)
        if self.horizontal:
            width = found[self.layer].width
            pooled = prefix_tokens(model, 0) == 0
            self.score = ScoreNet(width=width, num_classes=num_classes, pooled=pooled)
            self.score.to(next(found[self.layer].attention.parameters()).device)

    def needs_partner(self) -> bool:
        """See ``Objective.needs_partner``; tokens of other samples are put in."""
        return self.horizontal or super().needs_partner()

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
        plan: MixPlan | None = None
        if self.mixer is not None:
            set_progress(self.mixer, progress)
            plan = self.mixer.plan(images, labels, generator=generator, model=model)
            images = plan.images(images)
        found = self._encoders(model)
        mixing = bare(model).training
        mixed: Horizontal | None = None
        with contextlib.ExitStack() as stack:
            if self.horizontal:  # before the vertical hooks, so that they see mixed tokens
                mixed = self._mixing(found[self.layer], plan, labels, mixing=mixing)
                stack.enter_context(changing_input(mixed.encoder, mixed))
            if self.vertical and mixing:
                earlier = found[: self.vertical_layer + 1]
                stack.enter_context(vertical(earlier, kappa=self.kappa))
            logits = self._logits(model, images)
        if mixed is not None and mixed.pairs is not None:
            whole = MixPlan.identity(images) if plan is None else plan
            plan = composed(whole, mixed.pairs.plan())
        each = (
            self.criterion(logits, labels).mean()
            if plan is None
            else plan.loss(self.criterion, logits, labels)
        )
        terms = {"loss": each}
        if mixed is not None:
            terms["score"] = self.lambda_s * mixed.scored()
        total = sum(terms.values(), start=logits.new_zeros((), dtype=torch.float32))
        return Losses(total, {name: term.detach() for name, term in terms.items()}, logits, plan)

    def _mixing(
        self, encoder: Encoder, plan: MixPlan | None, labels: Tensor, *, mixing: bool
    ) -> Horizontal:
        """Make ready what mixes the tokens of this batch."""
        if self.score is None:
            raise ValueError(
                "TokenMixup: the ScoreNet is missing; expected build(model, num_classes) before "
                "the first step and before the optimiser is made."
            )
        if labels.ndim == 1:  # without one_hot, which reads values on the CPU
            classes = torch.arange(self.score.head.out_features, device=labels.device)
            labels = (labels[:, None] == classes).float()
        smoothing = (
            self.criterion.label_smoothing if isinstance(self.criterion, CrossEntropy) else 0.0
        )
        return Horizontal(
            encoder,
            self.score,
            labels if plan is None else plan.targets(labels),
            tau=self.tau,
            rho=self.rho,
            smoothing=smoothing,
            detached=self.stop_score_gradient,
            official=self.official_mask,
            mixing=mixing,
        )

    def _encoders(self, model: Module) -> tuple[Encoder, ...]:
        """Find the model's layers, and see that there are enough."""
        found = encoders(model)
        for word, wanted, used in (
            ("layer", self.layer, self.horizontal),
            ("vertical_layer", self.vertical_layer, self.vertical),
        ):
            if used and wanted >= len(found):
                raise ValueError(
                    f"TokenMixup: {word} is {wanted}; expected 0 to {len(found) - 1}, the encoder "
                    f"layers of {type(bare(model)).__name__}."
                )
        return found
