"""CoMixup: the mixed images of a group are chosen together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_number, check_settings, check_whole
from mixwright.masks.comix.outputs import comix_masks, compatible
from mixwright.masks.mask_forms import DenseMask
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import check_batch, check_step
from mixwright.mixers.pair_mixer import singleton_plan
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.saliency import Saliency, SaliencyWord, blocks_of, check_saliency, salience

_WINDOW = 8  # side, in pixels, of the window whose place says where an image is salient
_NOBODY = 1e4  # cost of a source that only fills up a group; other costs are near 1


@dataclass(frozen=True, kw_only=True)
class CoMixup:
    """Lay the blocks of several images together, so that a group's outputs differ from each other.

    The batch is cut into groups of neighbouring rows. For each group as many outputs as it has
    images are chosen together: each should show salient blocks in large pieces, and what many
    outputs show already gets dear. An output shows two or three images where each is salient at a
    place of its own, and one where saliency is much alike all over them; it has no base image, and
    row b of the batch need not be in output b. The label weight of an image is the mean of its
    mask. In the plan an output's sources are listed from the largest weight to the smallest
    with all those of its group that may have one, some at weight 0.

    Args:
        group: images in a group, at least 1; the paper uses 20. The last group of a batch may be
            smaller; an image alone in its group stays as it is.
        block: side of the grid, in blocks, at least 1; the largest number up to it is taken that
            divides both sides of the image, if only 1. The paper uses 4.
        beta: weight of borders between images, at least 0; the paper uses 0.32.
        gamma: weight of what several outputs show, at least 0; the paper uses 1.
        tau: how many times the area of an output others may show of an image before that costs;
            at least 0. The paper uses 0.83.
        eta: weight of the random preference for some images, at least 0; the paper uses 0.05.
        omega: how much images that are salient at different places compete, in [0, 1]; the paper
            uses 0.001.
        alpha: all parameters of the Dirichlet draw, above 0, of the random preference; the larger,
            the more equal. The paper uses 2.
        iters: rounds over the outputs, at least 1; the paper uses 4.
        set_resolve: see ``comix_masks``.
        half_labels: see ``comix_masks``; without, every block shows one image.
        saliency: a word of ``SALIENCIES`` or a provider; the default, the gradient of the loss
            with respect to the pixels, needs the model and the labels.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> mixer = CoMixup(saliency="spectral", block=2, group=3)
        >>> plan = mixer.plan(torch.rand(6, 3, 8, 8), generator=torch.Generator())
        >>> plan.mask.shape
        torch.Size([6, 3, 2, 2])

    Source: Kim et al., "Co-Mixup: Saliency Guided Joint Mixup with Supermodular Diversity", ICLR
    2021, arXiv:2102.03065; snu-mllab/Co-Mixup: mixup.py, match.py.

    Departs from the authors' code as ``comix_masks`` says, in taking saliency from the model in
    evaluation mode, and in leaving out the clean loss. Its solver leaves more images unmixed than
    theirs: with the gradients of a small network on CIFAR-10, half trained, 40 % of the outputs
    show one image, 58 % two or three and 2 % more; theirs 25, 73 and 2 %.
    """

    card: ClassVar[Card] = Card(
        title="CoMixup",
        paper="Kim et al., ICLR 2021",
        link="https://arxiv.org/abs/2102.03065",
        needs="model",
        cost="an energy minimised over groups of 20 images",
        forwards=2,
        input_backwards=1,
        note="Many images shared out among many outputs, salient and diverse; needs labels too.",
        formula="for each group of n images and n outputs,  s = saliency on block x block cells\n"
        "z = argmin of  - saliency shown + beta (unlike neighbours) + gamma (what other outputs "
        "show already)\n"
        "        - eta log of shares ~ Dirichlet(alpha)\n"
        "x~_j = sum over i of z_ji x_i\n"
        "y~_j = sum over i of mean(z_ji) y_i",
        limits="Outputs depend on the whole group: the last, smaller batch is mixed otherwise, and "
        "no output belongs to a sample. While saliency is much alike all over an image, most "
        "outputs show one image only, and then little is mixed. Costs as PuzzleMix.",
        cites=("kim2021comixup",),
    )

    group: int = 20
    block: int = 4
    beta: float = 0.32
    gamma: float = 1.0
    tau: float = 0.83
    eta: float = 0.05
    omega: float = 0.001
    alpha: float = 2.0
    iters: int = 4
    set_resolve: bool = True
    half_labels: bool = True
    saliency: Saliency | SaliencyWord = "gradient"

    def __post_init__(self) -> None:
        check_settings(self)
        name = "CoMixup"
        for argument in ("group", "block", "iters"):
            check_whole(name, argument, getattr(self, argument), low=1, high=1000)
        for argument in ("beta", "gamma", "tau", "eta"):
            check_number(name, argument, getattr(self, argument))
        check_number(name, "omega", self.omega, high=1.0)
        check_number(name, "alpha", self.alpha, open_low=True)
        check_saliency(name, self.saliency)

    def plan(
        self,
        images: Tensor,
        labels: Tensor | None = None,
        *,
        generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:
        """See ``Mixer.plan``; needs labels and model if the saliency does."""
        check_step("CoMixup", images, generator=generator, model=model)
        check_batch("CoMixup", images, labels, dims=2)
        count, (height, width) = len(images), images.shape[2:]
        if count == 1:
            return singleton_plan(images)
        maps = salience(self.saliency, images, labels, model=model, name="CoMixup")
        size = min(self.group, count)
        groups = -(-count // size)
        fitting = (k for k in range(1, self.block + 1) if height % k == width % k == 0)
        side = max(fitting)
        with drawing(images):
            slot = torch.arange(groups * size, device=images.device).view(groups, size)
            member, row = slot < count, slot.clamp_max(count - 1)
            masks = comix_masks(
                self._cost(blocks_of(maps, (side, side))[row], member, generator=generator),
                compatible(_most_salient(maps)[row], self.omega, member),
                _start(member, side, generator=generator),
                beta=self.beta,
                gamma=self.gamma,
                tau=self.tau,
                iters=self.iters,
                set_resolve=self.set_resolve,
                half_labels=self.half_labels,
                wanted=None if groups * size == count else member,
            )
            index = row[:, None].expand(-1, size, -1).reshape(-1, size)[:count]
            masks = masks.flatten(0, 1)[:count]
            return _listed(index, masks if self.half_labels else masks.bool())

    def _cost(self, blocks: Tensor, member: Tensor, *, generator: Generator) -> Tensor:
        """Price the blocks ``(G, n, h, w)``: salient ones are cheap, and by chance some images."""
        cells = blocks.shape[2] * blocks.shape[3]
        liked = sampling.dirichlet(
            member.float() * sampling.limited(self.alpha), generator=generator
        )
        prior = (liked + 1e-8).log() * (self.eta / cells)
        return torch.where(member[..., None, None], -blocks - prior[..., None, None], _NOBODY)


def _start(member: Tensor, side: int, *, generator: Generator) -> Tensor:
    """Draw for each block of each output one of the group's members."""
    groups, size = member.shape
    chance = sampling.uniform((groups, size, side, side), device=member.device, generator=generator)
    members = member.sum(dim=1)[:, None, None, None]
    return torch.minimum((chance * members).long(), members - 1)


def _most_salient(maps: Tensor) -> Tensor:
    """Give row and column of the window with the largest sum, ``(B, 2)`` float32."""
    height, width = maps.shape[1:]
    sums = F.avg_pool2d(maps[:, None], (min(_WINDOW, height), min(_WINDOW, width)), stride=1)[:, 0]
    best = sums.flatten(1).argmax(dim=1)
    return torch.stack([best // sums.shape[2], best % sums.shape[2]], dim=1).float()


def _listed(index: Tensor, masks: Tensor) -> MixPlan:
    """List each output's sources by falling weight, as many as can have one."""
    weight = masks.float().mean(dim=(2, 3))
    cells = masks.shape[2] * masks.shape[3]
    # T blocks show at most T sources, or T + 1 with halves, which come from three sources.
    order = weight.argsort(dim=1, descending=True, stable=True)[:, : cells + 1]
    planes = masks.gather(1, order[..., None, None].expand(-1, -1, *masks.shape[2:]))
    return MixPlan(
        index=index.gather(1, order),
        mask=DenseMask(planes, whole=True),
        weight=weight.gather(1, order),
        pool=len(index),
    )
