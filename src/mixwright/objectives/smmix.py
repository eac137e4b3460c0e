"""SMMix: the most attended window of one image on the least attended one of another."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.nn import Linear, Module

from mixwright import sampling
from mixwright.arguments import check_arguments, check_number, check_range
from mixwright.masks.mask_forms import Box
from mixwright.masks.windows import extreme_windows, inside_windows
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Mixer, check_batch
from mixwright.mixers.mixup import MixUp
from mixwright.mixers.pair_mixer import draw_partners
from mixwright.objectives.criteria import Criterion
from mixwright.objectives.objective import Losses
from mixwright.objectives.switching import Switching
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.sampling import Pairing
from mixwright.taps import as_input, bare, classifier, evaluating, last_map, tapping
from mixwright.taps.attention import attending, attention_name, prefix_tokens
from mixwright.warps import Rect


class SMMix(Switching):
    """Paste what a partner shows where a sample shows least, and name both regions.

    The model itself looks at the unmixed images first, in evaluation mode and without gradients.
    From its last attention (``Attended.mean_row``) follow two square windows: the partner's of
    most attention is copied onto the sample's of least. Three losses train the model: on the
    mixed label, by area; on the mean token of each of the two regions, by a Linear layer of the
    objective, on the label of that region's image; and the divergence from the mixed prediction
    on the unmixed images.

    Args:
        sides: the range of the windows' side, as shares of the smaller side of the token grid, in
            (0, 1]; a whole number of tokens, one draw a batch. The paper uses (0.25, 0.75).
        p: chance in [0, 1] of this method, batch by batch; the authors use 0.5.
        otherwise: the mixer of the other batches; None for ``MixUp(alpha=0.8)`` with the same
            ``pairing``. A batch of one is always its.
        regions: factor of the loss of the two regions, at least 0; theirs is 1.
        consistency: factor of the divergence, at least 0; theirs is 1.
        layer: the attention layer, or the block that holds it; None for the last. It needs the
            grid of the last map.
        pairing: see ``sampling.partners``; the authors use ``"flip"``.
        criterion: per-sample loss, ``(B, K)`` logits and labels to ``(B,)``; the authors smooth
            labels by 0.1.

    Attributes:
        head: the Linear layer of the regions, made by ``build``.

    Raises:
        ValueError: an argument is out of range; in ``build``, the model has no attention that can
            be read, or none of that name; in a step, ``build`` was not called.

    Example:
        >>> class ViT(torch.nn.Sequential):
        ...     def forward(self, images):
        ...         tokens = self[0](images).flatten(2).transpose(1, 2)
        ...         return self[2](self[1](tokens, tokens, tokens)[0].mean(dim=1))
        >>> attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        >>> model = ViT(torch.nn.Conv2d(3, 8, 8, stride=8), attention, torch.nn.Linear(8, 5))
        >>> objective = SMMix(p=1.0)
        >>> objective.build(model, 5)
        >>> batch = torch.rand(4, 3, 32, 32), torch.tensor([0, 1, 2, 3])
        >>> losses = objective(model, *batch, generator=torch.Generator(), progress=0.0)
        >>> losses.total.shape, sorted(losses.terms)
        (torch.Size([]), ['consistency', 'mixed', 'regions'])

    Source: Chen et al., "SMMix: Self-Motivated Image Mixing for Vision Transformers", 2023,
    arXiv:2212.12977.

    Departs from the authors' code, which pairs a batch with its mirror image: ``pairing="flip"``.
    """

    card = Card(
        title="SMMix",
        paper="Chen et al., ICCV 2023",
        link="https://arxiv.org/abs/2212.12977",
        needs="model",
        cost="small kernels",
        forwards=1.5,
        note="The most attended region of one image on the least attended one of another, with "
        "losses of both regions; half of the steps look at the unmixed images first; for "
        "transformers.",
        formula="a, a' = attention on x and x', of the model itself, before the step\n"
        "x~ = x, with the window of x' of most a' copied onto the window of x of least a\n"
        "y~ = w y + (1 - w) y',  w = mean(M)\n"
        "loss = L(f(x~), y~) + loss of both regions' tokens + KL(f(x~), mixed predictions of x and "
        "x')",
        limits="Transformers only; half of the steps cost one forward more. Three losses of equal "
        "weight pull at one model, and the windows follow its own attention, which is noise at "
        "first.",
        cites=("chen2023smmix",),
    )

    @check_arguments
    def __init__(
        self,
        *,
        sides: tuple[float, float] = (0.25, 0.75),
        p: float = 0.5,
        otherwise: Mixer | None = None,
        regions: float = 1.0,
        consistency: float = 1.0,
        layer: str | None = None,
        pairing: Pairing = "cycle",
        criterion: Criterion | None = None,
    ) -> None:
        other = MixUp(alpha=0.8, pairing=pairing) if otherwise is None else otherwise
        super().__init__(p=p, otherwise=other, criterion=criterion)
        check_range("SMMix", "sides", sides, high=1.0, open_low=True)
        check_number("SMMix", "regions", regions)
        check_number("SMMix", "consistency", consistency)
        self.sides = (sides[0], sides[1])
        self.regions, self.consistency = regions, consistency
        self.layer: str | None = layer
        self.pairing: Pairing = pairing
        self.head: Linear | None = None

    def build(self, model: Module, num_classes: int) -> None:
        """See ``Objective.build``; makes the head of the regions."""
        attention_name(model, self.layer)
        last = classifier(model)
        self.head = Linear(last.in_features, num_classes).to(last.weight.device)

    def own(self, model: Module, images: Tensor, labels: Tensor, *, generator: Generator) -> Losses:
        """See ``Switching.own``."""
        check_batch("SMMix", images, labels, dims=2)
        head = self._head()
        if len(images) == 1:
            return self.other(model, images, labels, generator=generator)
        plan, window, clean, grid = self._look(model, images, generator=generator)
        with tapping(model, last_map(model, images)) as tap:
            logits = self._logits(model, plan.images(images))
        tokens = places(tap.value, model=model, grid=grid, width=head.in_features)
        partner = plan.index[:, 1]
        mixed = plan.loss(self.criterion, logits, labels)
        each = zip(means(tokens, 1 - window, window), (labels, labels[partner]), strict=True)
        kind = head.weight.dtype  # the model may be of a lower precision than its objective
        found = [self.criterion(head(token.to(kind)), label).mean() for token, label in each]
        regions = self.regions * (found[0] + found[1]) / 2
        wanted = torch.lerp(clean[partner], clean, plan.weight[:, :1])
        consistency = self.consistency * divergence(wanted, logits)
        terms = {"mixed": mixed, "regions": regions, "consistency": consistency}
        return Losses(
            mixed + regions + consistency,
            {name: term.detach() for name, term in terms.items()},
            logits,
            plan,
        )

    def other(
        self, model: Module, images: Tensor, labels: Tensor, *, generator: Generator
    ) -> Losses:
        """See ``Switching.other``; the head takes part with 0, as DDP wants it."""
        losses = super().other(model, images, labels, generator=generator)
        idle = sum((0 * weight.sum() for weight in self._head().parameters()), torch.zeros(()))
        none = torch.zeros_like(losses.total.detach())
        terms = {"mixed": losses.total.detach(), "regions": none, "consistency": none}
        return Losses(losses.total + idle.to(losses.total), terms, losses.logits, losses.plan)

    def _head(self) -> Linear:
        if self.head is None:
            raise ValueError(
                "SMMix: it has no head yet; expected objective.build(model, num_classes) before "
                "the first step and before the optimiser is made."
            )
        return self.head

    def _look(
        self, model: Module, images: Tensor, *, generator: Generator
    ) -> tuple[MixPlan, Tensor, Tensor, tuple[int, int]]:
        """Look at the unmixed images: plan, window ``(B, h, w)``, logits, grid."""
        inner = bare(model)
        with torch.no_grad(), evaluating(inner), attending(inner, self.layer) as attention:
            clean = self._logits(inner, as_input(images)).float()
        grid = attention.grid
        side = self._side(min(grid), generator=generator)
        with drawing(images):
            maps = attention.mean_row().view(-1, *grid)
            least, most = extreme_windows(maps, side)
            partner = draw_partners(images, self.pairing, generator=generator)
            plan = pasted(images, partner, source=most[partner], target=least, grid=grid)
        return plan, inside_windows(least, grid), clean, grid

    def _side(self, smaller: int, *, generator: Generator) -> int:
        """Draw the windows' side, in tokens."""
        low, high = (max(1, int(share * smaller)) for share in self.sides)
        return low + sampling.choices([1.0] * (high - low + 1), 1, generator=generator)[0]


def pasted(
    images: Tensor, partner: Tensor, *, source: Tensor, target: Tensor, grid: tuple[int, int]
) -> MixPlan:
    """Plan to copy a window of each partner onto a window of each sample, weighed by pixels.

    Windows ``(B, 2, 2)`` are in tokens of ``grid`` and have the same sides.
    """
    size = (images.shape[2], images.shape[3])
    # Whole pixels; exact where the tokens divide the image.
    edges = [
        torch.stack([window[:, axis] * size[axis] // grid[axis] for axis in (0, 1)], dim=1)
        for window in (source, target)
    ]
    warp = Rect(source=edges[0].float(), target=edges[1].float(), size=size)
    return MixPlan.pair(partner, Box(edges[1], size), warp=(None, warp))


def places(features: Tensor, *, model: Module, grid: tuple[int, int], width: int) -> Tensor:
    """Return image tokens ``(B, T, width)`` of what the last layer gives, tokens or a map."""
    if features.ndim == 4:
        last = features.shape[3] == width and features.shape[1] != width
        tokens = (features if last else features.permute(0, 2, 3, 1)).flatten(1, 2)
    else:
        tokens = features[:, prefix_tokens(model, features.shape[1]) :]
    if tokens.shape[1:] != (grid[0] * grid[1], width):
        raise ValueError(
            f"SMMix: the last map has shape {tuple(features.shape)}; expected the {grid[0]} x "
            f"{grid[1]} tokens of the attention layer, {width} wide. Name a layer of the last "
            "stage."
        )
    return tokens


def means(tokens: Tensor, *masks: Tensor) -> list[Tensor]:
    """Return the mean of tokens ``(B, T, D)`` in each mask ``(B, h, w)`` of 0 and 1; of none 0."""
    flat = [mask.flatten(1).to(tokens.dtype) for mask in masks]
    return [
        (mask[:, None] @ tokens)[:, 0] / mask.sum(dim=1, keepdim=True).clamp_min(1) for mask in flat
    ]


def divergence(wanted: Tensor, logits: Tensor) -> Tensor:
    """Return the mean Kullback-Leibler divergence of predictions from wanted ones, in nats, 0-d."""
    with torch.autocast(logits.device.type, enabled=False):
        target = wanted.detach().float().log_softmax(dim=1)
        found = logits.float().log_softmax(dim=1)
        return F.kl_div(found, target, reduction="batchmean", log_target=True)
