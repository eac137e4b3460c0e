"""What learned mixers draw: which images meet, with which shares, and the plan that follows."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor

from mixwright import sampling
from mixwright.masks.mask_forms import DenseMask
from mixwright.mixers.mixer import Per
from mixwright.plan import MixPlan

Sources = int | tuple[int, int]
"""How many images are mixed: N, or the lowest and the highest of those that are drawn from."""

Of = Literal["largest", "first"]


def draw_count(sources: Sources, *, generator: Generator) -> int:
    """Give N of a batch: as set, or drawn evenly from the lower to the higher number."""
    if isinstance(sources, int):
        return sources
    low, high = sources
    return low + sampling.choices([1.0] * (high - low + 1), 1, generator=generator)[0]


def draw_sources(
    count: int,
    sources: int,
    *,
    alpha: float,
    device: torch.device,
    generator: Generator,
    per: Per = "batch",
) -> tuple[Tensor, Tensor]:
    """Draw which rows are mixed, and the share that each source is asked to have, ``(B, N)`` both.

    Two sources are the sample itself and its partner in one random cycle, with shares ``lam`` and
    ``1 - lam`` of Beta(alpha, alpha). Three and more are rows of independent permutations, among
    which the sample itself is only by chance; their shares are independent draws of
    Beta(alpha, alpha) divided by their sum, which is not the Dirichlet law: the largest of three
    is 0.52 on average instead of 0.61. ``alpha`` 0 gives source 0 all.

    Example:
        >>> cpu, generator = torch.device("cpu"), torch.Generator().manual_seed(0)
        >>> index, lam = draw_sources(4, 3, alpha=1.0, device=cpu, generator=generator)
        >>> index.shape, lam.sum(dim=1).tolist()
        (torch.Size([4, 3]), [1.0, 1.0, 1.0, 1.0])

    Source: as AutoMix (arXiv:2103.13027) and AdAutoMix (arXiv:2312.11954) draw them, but for the
    cycle: their pairs are permutations, in which a sample may meet itself.
    """
    rows = 1 if per == "batch" else count
    if sources == 2:
        own = torch.arange(count, device=device)
        partner = sampling.partners(count, device=device, generator=generator)
        index = torch.stack([own, partner], dim=1)
        first = sampling.beta(alpha, rows, device=device, generator=generator)
        lam = torch.stack([first, 1 - first], dim=1)
    else:
        orders = [
            sampling.partners(count, device=device, generator=generator, pairing="perm")
            for _ in range(sources)
        ]
        index = torch.stack(orders, dim=1)
        drawn = sampling.beta(alpha, rows * sources, device=device, generator=generator)
        drawn = drawn.view(rows, sources).clamp_min(1e-6)
        if alpha == 0:
            drawn = torch.zeros_like(drawn).index_fill_(1, index.new_zeros(1), 1.0)
        lam = drawn / drawn.sum(dim=1, keepdim=True)
    return index, lam.expand(count, sources)


def masked_plan(
    index: Tensor, lam: Tensor, mask: Tensor, *, margin: float = 0.0, of: Of = "largest"
) -> MixPlan:
    """Plan to mix by learned masks, whose labels weigh by the shares that were asked for.

    A sample of which one source has a share of 1 - ``margin`` or more is mixed by the shares alone,
    as MixUp does, since a network asked for nearly nothing gives what it likes. ``of`` is
    ``"largest"``, which looks at the largest share; or ``"first"``, at the first source alone,
    which must be above ``margin`` and at most 1 - ``margin`` (AdAutoMix's code for three and more).
    Masks, ``(B, N, H, W)`` or ``(B, N, 1, 1)``, keep their graph.
    """
    constant = lam[:, :, None, None]
    if of == "first":
        first = constant[:, :1]
        plain = (first <= margin) | (first > 1 - margin)
    else:
        plain = constant.amax(dim=1, keepdim=True) >= 1 - margin
    return _plan(index, lam, torch.where(plain, constant, mask))


def shares_plan(index: Tensor, lam: Tensor) -> MixPlan:
    """Plan to mix whole images by shares: MixUp of any number of sources."""
    return _plan(index, lam, lam[:, :, None, None])


def _plan(index: Tensor, lam: Tensor, mask: Tensor) -> MixPlan:
    return MixPlan(
        index=index,
        mask=DenseMask(mask, whole=True),
        weight=lam,
        pool=len(index),
        lam=lam[:, 0],
    )
