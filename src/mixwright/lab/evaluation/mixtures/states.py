"""One and the same images, mixed again and again: by draw, or by epoch of a mixer that learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mixwright.lab.evaluation.mixtures.laws import with_options
from mixwright.lab.evaluation.subject import Subject
from mixwright.lab.training.mask_snapshots import read_mask_snapshots
from mixwright.mixers.combine import OneOf, Sometimes
from mixwright.mixers.learned import LearnedMixer
from mixwright.mixers.mixer import Mixer
from mixwright.plan import MixPlan
from mixwright.plan.labelling import mixed_targets
from mixwright.sampling import stream

_NARROW = 1e6  # of a Beta law whose draws are all within 0.002 of a half


@dataclass(frozen=True, eq=False)
class States:
    """T states of P mixtures of N images, on the CPU.

    Args:
        masks: ``(T, P, N, H, W)`` float32, the share of each image in each pixel.
        mixed: ``(T, P, C, H, W)`` float32 in [0, 1].
        targets: ``(T, P, K)`` float32, mixed labels; None where the images' labels are not known.
        names: what each state is called: numbers of draws or epochs.
    """

    masks: Tensor
    mixed: Tensor
    targets: Tensor | None
    names: tuple[int, ...]


def at_share(mixer: Mixer, lam: float) -> tuple[Mixer, bool]:
    """Ask a mixer for one share, where it can be asked.

    Args:
        mixer: any.
        lam: the share, in [0, 1]. Mixers that have learned are asked for equal shares, by a law so
            narrow that its draws are all but equal.

    Returns:
        The mixer, and whether it follows. One that has no ``lam`` to fix stays as it is.

    Example:
        >>> from mixwright.mixers import CutMix
        >>> at_share(CutMix(), 0.25)[0].lam
        0.25
    """
    if isinstance(mixer, OneOf):
        asked = [at_share(one, lam) for one in mixer.mixers]
        several = OneOf(*(one for one, _ in asked), p=mixer.p, per=mixer.per)
        return several, all(follows for _, follows in asked)
    if isinstance(mixer, Sometimes):
        one, follows = at_share(mixer.mixer, lam)
        return Sometimes(one, mixer.p, mixer.per), follows
    learned = isinstance(mixer, LearnedMixer)
    fixed = with_options(mixer, alpha=_NARROW) if learned else with_options(mixer, lam=lam)
    return (mixer, False) if fixed is None else (fixed, True)


def sources_of(mixer: Mixer) -> int:
    """Give how many images a mixture of this mixer is made of: 2, or what a learned one says."""
    if isinstance(mixer, OneOf):
        return max(sources_of(one) for one in mixer.mixers)
    found = getattr(mixer, "sources", 2) if isinstance(mixer, LearnedMixer) else 2
    return found if isinstance(found, int) else max(found)


def groups_of(labels: Tensor, *, groups: int, size: int, generator: Generator) -> Tensor:
    """Choose groups of images of different classes, no image twice.

    Args:
        labels: ``(M,)`` int64 on the CPU.
        groups: how many are wanted, at least 1.
        size: images a group.
        generator: the CPU generator.

    Returns:
        ``(G, size)`` int64, rows of ``labels``. G is smaller than ``groups`` where the images do
        not suffice; where no other class is left, a class comes twice.

    Example:
        >>> groups_of(torch.tensor([0, 0, 1, 1]), groups=2, size=2, generator=stream(0)).shape
        torch.Size([2, 2])
    """
    waiting: list[int] = torch.randperm(len(labels), generator=generator).tolist()
    classes: list[int] = labels.tolist()
    found: list[list[int]] = []
    while len(waiting) >= size and len(found) < groups:
        group = [waiting.pop(0)]
        while len(group) < size:
            known = {classes[row] for row in group}
            place = next((i for i, row in enumerate(waiting) if classes[row] not in known), 0)
            group.append(waiting.pop(place))
        found.append(group)
    return torch.tensor(found, dtype=torch.int64).view(-1, size)


def drawn_states(
    mixer: Mixer,
    images: Tensor,
    labels: Tensor,
    *,
    draws: int,
    seed: int,
    num_classes: int,
    model: nn.Module | None = None,
    progress: Callable[[float], None] | None = None,
) -> States:
    """Mix each group of images alone, several times, each time by another draw.

    A batch of two has one way only to be paired, so that masks are all that differs. A mixer that
    has learned draws nothing but who is mixed and how much; both are drawn alike each time.

    Args:
        mixer: any; ``at_share`` fixes its share.
        images: ``(P, N, C, H, W)`` float in [0, 1], on the model's device.
        labels: ``(P, N)`` int64.
        draws: T, at least 1.
        seed: of the draws.
        num_classes: K.
        model: passed on to the mixer.
        progress: told the share done.

    Returns:
        What became of the first image of each group.
    """
    fixed, views = isinstance(mixer, LearnedMixer), int(getattr(mixer, "views", 1))
    masks, mixed, targets = list[Tensor](), list[Tensor](), list[Tensor]()
    for draw in range(draws):
        for group, (pool, classes) in enumerate(zip(images, labels, strict=True)):
            batch, said = torch.cat([pool] * views), torch.cat([classes] * views)
            generator = stream(seed, group, 0 if fixed else draw)
            with torch.random.fork_rng(devices=[]):
                plan = mixer.plan(batch, said, generator=generator, model=model)
            masks.append(_shares(plan, len(pool), pool.shape[-2:])[0].cpu())
            mixed.append(plan.images(batch)[0].detach().float().clamp(0, 1).cpu())
            targets.append(plan.targets(said, num_classes)[0].detach().float().cpu())
        if progress is not None:
            progress((draw + 1) / draws)
    shape = (draws, len(images))
    return States(
        masks=torch.stack(masks).view(*shape, *masks[0].shape),
        mixed=torch.stack(mixed).view(*shape, *mixed[0].shape),
        targets=torch.stack(targets).view(*shape, -1),
        names=tuple(range(1, draws + 1)),
    )


def kept_states(subject: Subject) -> States | None:
    """Give what a mixer that learned made of the same few images after some of its epochs.

    Who is mixed and with which shares was drawn alike in every epoch; shares are not equal.

    Args:
        subject: whose training run is looked at. Labels are those of its test images, where these
            are the images that the run was shown.

    Returns:
        None where the run kept nothing, or fewer than two epochs.

    Raises:
        ValueError: a file is damaged.
    """
    kept = read_mask_snapshots(subject.folder) if subject.folder is not None else []
    if len(kept) < 2:
        return None
    last = kept[-1]
    size: Sequence[int] = last["images"].shape[-2:]
    labels = _labels_of(subject, last["images"])
    targets = None
    if labels is not None:
        targets = mixed_targets(
            labels,
            index=last["index"],
            weight=last["weight"],
            num_classes=subject.data.num_classes,
        ).expand(len(kept), -1, -1)
    return States(
        masks=torch.stack([_whole(one["mask"].float() / 255, size) for one in kept]),
        mixed=torch.stack([one["mixed"].float() / 255 for one in kept]),
        targets=targets,
        names=tuple(int(one["epoch"]) for one in kept),
    )


def _labels_of(subject: Subject, shown: Tensor) -> Tensor | None:
    """Labels of the set's first test images, where the subject has them and they are these."""
    test, count = subject.data.test, len(shown)
    rows = [(subject.ids == place).nonzero().flatten() for place in range(count)]
    if any(len(row) == 0 for row in rows) or tuple(test.shape) != tuple(shown.shape[1:]):
        return None
    where = torch.stack([row[0] for row in rows])
    return test.labels[where] if torch.equal(test.take(where), shown) else None


def _shares(plan: MixPlan, count: int, size: Sequence[int]) -> Tensor:
    """Give ``(B, count, H, W)``: the share of each image of the pool, whichever source it is."""
    mask = _whole(plan.mask.detach(), size)
    found = mask.new_zeros(len(mask), count, *size)
    for source in range(mask.shape[1]):
        row = plan.index[:, source]
        real = (row >= 0)[:, None, None, None]  # a fill is nobody's
        place = (row.clamp_min(0) % count)[:, None, None, None].expand(-1, 1, *size)
        found.scatter_add_(1, place, mask[:, source : source + 1] * real)
    return found


def _whole(mask: Tensor, size: Sequence[int]) -> Tensor:
    """A mask on every pixel: shares are spread, block grids enlarged."""
    if tuple(mask.shape[-2:]) == tuple(size):
        return mask
    return F.interpolate(mask, size=tuple(size), mode="nearest")
