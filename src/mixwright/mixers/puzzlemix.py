"""PuzzleMix: which block shows which image is solved for, and what matters is moved into view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor
from torch.nn import Module

from mixwright import sampling
from mixwright.arguments import check_choice, check_number, check_whole
from mixwright.masks.blocks import upsample_blocks
from mixwright.masks.mask_forms import DenseMask
from mixwright.masks.puzzle.energy import block_puzzle
from mixwright.masks.puzzle.solver import puzzle_labels
from mixwright.masks.puzzle.transport import block_transport
from mixwright.mixers.cards import Card
from mixwright.mixers.mixer import Per
from mixwright.mixers.pair_mixer import PairMixer, check_pair, draw_lam, draw_partners
from mixwright.plan import MixPlan
from mixwright.precision import drawing
from mixwright.saliency import Saliency, SaliencyWord, blocks_of, check_saliency, salience
from mixwright.sampling import Pairing
from mixwright.warps import Blocks

_MOST = 16  # finest grid of transport, unless the mask's own is finer: its table has t ** 4 cells


@dataclass(frozen=True, kw_only=True)
class PuzzleMix(PairMixer):
    """Lay two images together like a puzzle, block by block, so that both stay recognisable.

    On a grid of blocks a mask is found that hides little of what is salient in either image, has
    borders where the images agree, and keeps about ``lam`` of the sample. Then each image's
    salient blocks are moved, not far, to where that image is seen. The label weight is the mean of
    the mask; ``lam`` is only a wish. A share of exactly 1 (or 0) keeps (or gives away) everything.

    Args:
        alpha: both parameters of the Beta draw of the wished share, at least 0; the paper uses 1;
            0 turns mixing off.
        n_labels: levels of the mask, 2, 3 or 4; the paper uses 3: own, half and half, partner's.
        beta: weight of borders, at least 0; the paper uses 1.2.
        gamma: weight of pixel differences in it, at least 0; the paper uses 0.5.
        eta: weight of the wish, at least 0; the paper uses 0.2.
        neigh_size: pixels are compared in means over squares of this side, at least 1, in pixels;
            the next divisor of a block's side below is taken.
        t_eps: price of moving a block, above 0; the paper uses 0.8.
        t_size: side of the blocks that are moved, in pixels, at least 1; they divide the mask's
            and make no grid finer than 16 x 16 unless the mask is. None moves the mask's blocks.
            The paper uses 4 on CIFAR and the mask's blocks elsewhere.
        blocks: sides of the mask's grid, in blocks, from which one is drawn for each batch; those
            that do not divide both sides of the image are passed over. If none is left, the
            image is one block.
        transport: whether blocks are moved at all.
        iterations: of the solver, at least 1; see ``puzzle_labels``.
        saliency: a word of ``SALIENCIES`` or a provider; the default, the gradient of the loss
            with respect to the pixels, needs the model and the labels.
        std: by what floating images were divided in each channel, if they are standardised, so
            that differences are measured in pixels of [0, 1]; None for images in [0, 1]. Their
            mean does not matter, and uint8 images are divided by 255.
        lam: a fixed wish in [0, 1] instead of a draw, for figures.
        per: ``"sample"``, a wish for each sample; ``"batch"``, one for all (the paper).
        pairing: see ``sampling.partners``.

    Raises:
        ValueError: an argument is out of range.

    Example:
        >>> import torch
        >>> mixer = PuzzleMix(saliency="spectral", blocks=(2,))
        >>> plan = mixer.plan(torch.rand(4, 3, 8, 8), generator=torch.Generator())
        >>> plan.mask.shape
        torch.Size([4, 2, 2, 2])

    Source: Kim, Choo and Song, "Puzzle Mix: Exploiting Saliency and Local Statistics for Optimal
    Mixup", ICML 2020, arXiv:2009.06962; snu-mllab/PuzzleMix: mixup.py.

    Departs from the authors' code in solving by a primal-dual iteration instead of a graph cut,
    in drawing a wish for each sample, and in leaving out adversarial noise and the clean loss.
    """

    card: ClassVar[Card] = Card(
        title="PuzzleMix",
        paper="Kim, Choo and Song, ICML 2020",
        link="https://arxiv.org/abs/2009.06962",
        needs="model",
        cost="an energy minimised on a grid of 2 to 16 blocks, and a transport of blocks",
        forwards=2,
        input_backwards=1,
        note="Blocks of both images chosen and moved so that what is salient stays; needs labels "
        "too.",
        formula="lam ~ Beta(alpha, alpha),  s, s' = saliency of x and x' on a grid of blocks, "
        "each of sum 1\n"
        "M = argmin over z in {0, .., 1} of\n"
        "    sum over blocks of  z s' + (1 - z) s - eta log prior(z | lam)\n"
        "    + sum over neighbours of  beta (z_s - z_t)^2 and gamma times the steps at their "
        "border\n"
        "x~ = M T(x) + (1 - M) T'(x'),  T and T' move salient blocks to where they show\n"
        "y~ = w y + (1 - w) y',  w = mean(M)",
        limits="Costs most of the methods here that learn nothing: a forward and a backward more, "
        "and an optimisation. Images are cut into blocks and moved, so places are no longer what "
        "they were: not for tasks where position matters. With a model that knows little it keeps "
        "one of the two images nearly whole.",
        cites=("kim2020puzzlemix",),
    )

    alpha: float = 1.0
    n_labels: int = 3
    beta: float = 1.2
    gamma: float = 0.5
    eta: float = 0.2
    neigh_size: int = 4
    t_eps: float = 0.8
    t_size: int | None = None
    blocks: tuple[int, ...] = (2, 4, 8, 16)
    transport: bool = True
    iterations: int = 300
    saliency: Saliency | SaliencyWord = "gradient"
    std: tuple[float, ...] | None = None
    lam: float | None = None
    per: Per = "sample"
    pairing: Pairing = "cycle"

    def __post_init__(self) -> None:
        name = "PuzzleMix"
        check_pair(self)
        for argument in ("beta", "gamma", "eta"):
            check_number(name, argument, getattr(self, argument))
        check_number(name, "t_eps", self.t_eps, open_low=True)
        check_choice(name, "n_labels", self.n_labels, (2, 3, 4))
        check_whole(name, "neigh_size", self.neigh_size, low=1, high=1000)
        if self.t_size is not None:
            check_whole(name, "t_size", self.t_size, low=1)
        if not self.blocks:
            raise ValueError(
                f"{name}: blocks is {self.blocks!r}; expected a tuple of whole numbers such as "
                "(2, 4, 8, 16). A single grid is (4,)."
            )
        for side in self.blocks:
            check_whole(name, "blocks", side, low=1)
        check_whole(name, "iterations", self.iterations, low=1, high=100_000)
        check_saliency(name, self.saliency)
        for value in self.std or ():
            check_number(name, "std", value, open_low=True)

    def mix(
        self, images: Tensor, labels: Tensor | None, *, generator: Generator, model: Module | None
    ) -> MixPlan:
        """See ``PairMixer.mix``; needs labels and model if the saliency does."""
        count, (height, width) = len(images), images.shape[2:]
        found = salience(self.saliency, images, labels, model=model, name="PuzzleMix")
        fitting = [side for side in self.blocks if height % side == width % side == 0] or [1]
        (choice,) = sampling.choices([1.0] * len(fitting), 1, generator=generator)
        side = fitting[choice]
        with drawing(images):
            lam = draw_lam(self, images, generator=generator).expand(count)
            partner = draw_partners(images, self.pairing, generator=generator)
            label = self._labels(images, blocks_of(found, (side, side)), partner, lam)
            # Bool marks a mask of 0 and 1, whose pixels are copied.
            own = label == 0 if self.n_labels == 2 else 1 - label.float() / (self.n_labels - 1)
            return MixPlan.pair(
                partner,
                DenseMask(own[:, None]),
                warp=self._transport(found, label, partner) if self.transport else None,
                lam=lam,
            )

    def _labels(self, images: Tensor, saliency: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
        """Solve for the mask, ``(B, b, b)``; 0 keeps the sample's own block."""
        puzzle = block_puzzle(
            self._pixels(images),
            saliency,
            partner,
            lam,
            n_labels=self.n_labels,
            beta=self.beta,
            gamma=self.gamma,
            eta=self.eta,
            neigh_size=self.neigh_size,
        )
        label = puzzle_labels(puzzle, iterations=self.iterations)
        label = label.masked_fill((lam >= 1)[:, None, None], 0)
        return label.masked_fill((lam <= 0)[:, None, None], self.n_labels - 1)

    def _pixels(self, images: Tensor) -> Tensor:
        if not images.is_floating_point():
            return images.float() / 255
        if self.std is None:
            return images.float()
        if len(self.std) not in (1, images.shape[1]):
            raise ValueError(
                f"PuzzleMix: std has {len(self.std)} values, the images {images.shape[1]} channels;"
                " expected one for each channel, or one for all."
            )
        # Filled on the device: a copy from the host would wait.
        scale = torch.stack(
            [torch.full((1, 1), std, device=images.device, dtype=torch.float32) for std in self.std]
        )
        return images.float() * scale

    def _transport(
        self, found: Tensor, label: Tensor, partner: Tensor
    ) -> tuple[Blocks, Blocks] | None:
        side = label.shape[1]
        rows, columns = (_grid(length, side, self.t_size) for length in found.shape[1:])
        # No block holds more saliency than 1: where the shortest way costs as much, all stay.
        if self.t_eps >= (max(rows, columns) - 1) ** 2:
            return None
        first = blocks_of(found, (rows, columns))
        seen = torch.cat([label < self.n_labels - 1, label > 0])
        perm = block_transport(
            upsample_blocks(seen, (rows, columns)),
            torch.cat([first, first[partner]]),
            t_eps=self.t_eps,
        )
        own, other = perm.chunk(2)
        return (
            Blocks(perm=own, grid=(rows, columns)),
            Blocks(perm=other, grid=(rows, columns)),
        )


def _grid(length: int, blocks: int, t_size: int | None) -> int:
    """Give the number of blocks that are moved along one axis."""
    whole = length // blocks
    least = whole if t_size is None else min(t_size, whole)
    fits = (
        side
        for side in range(least, whole + 1)
        if whole % side == 0 and length // side <= max(_MOST, blocks)
    )
    return length // next(fits)
