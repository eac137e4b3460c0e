"""One and the same images, mixed again and again: by draw, or by epoch of a mixer that learned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mixwright.lab.data.chunks import images_in
from mixwright.lab.evaluation.mixtures.laws import with_options
from mixwright.lab.evaluation.subject import Subject
from mixwright.lab.training.mask_snapshots import read_mask_snapshots
from mixwright.mixers.combine import OneOf, Sometimes
from mixwright.mixers.learned import LearnedMixer
from mixwright.mixers.mixer import Mixer
from mixwright.plan import MixPlan
from mixwright.plan.labelling import mixed_targets
from mixwright.sampling import stream

_MEBIBYTES = 64  # of groups of images, their masks and mixtures, at a time

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


def at_share(mixer: Mixer, lam: float, *, pairs: bool = False) -> tuple[Mixer, bool]:
    """Fix a mixer's share at ``lam``, in [0, 1]; return it, and whether it follows.

    Mixers that have learned are asked for equal shares, by a law so narrow that its draws are all
    but equal: they follow where that is what is asked for. With ``pairs`` they mix two images,
    however many they have learned to. One that has no ``lam`` to fix stays as it is.

    Example:
        >>> from mixwright.mixers import CutMix
        >>> at_share(CutMix(), 0.25)[0].lam
        0.25
    """
    if isinstance(mixer, OneOf):
        inner = [at_share(each, lam, pairs=pairs) for each in mixer.mixers]
        several = OneOf(*(each for each, _ in inner), p=mixer.p, per=mixer.per)
        return several, all(follows for _, follows in inner)
    if isinstance(mixer, Sometimes):
        inside, follows = at_share(mixer.mixer, lam, pairs=pairs)
        return Sometimes(inside, mixer.p, mixer.per), follows
    if isinstance(mixer, LearnedMixer):
        sources = 2 if pairs else mixer.sources
        narrow = with_options(mixer, alpha=_NARROW, sources=sources)
        assert narrow is not None
        return narrow, lam == 1 / 2 and sources == 2
    fixed = with_options(mixer, lam=lam)
    return (mixer, False) if fixed is None else (fixed, True)


def sources_of(mixer: Mixer) -> int:
    """Return of how many images this mixer makes a mixture: 2, or what a learned one says."""
    if isinstance(mixer, OneOf):
        return max(map(sources_of, mixer.mixers))
    found = getattr(mixer, "sources", 2) if isinstance(mixer, LearnedMixer) else 2
    return found if isinstance(found, int) else max(found)


def groups_of(labels: Tensor, *, groups: int, size: int, generator: Generator) -> Tensor:
    """Choose groups of images of different classes, no image twice: rows of labels, ``(G, size)``.

    G is at most ``groups``, fewer where the images do not suffice; where no other class is left, a
    class comes twice.

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
    first: int = 0,
    model: nn.Module | None = None,
    progress: Callable[[float], None] | None = None,
) -> States:
    """Mix each group of images ``(P, N, C, H, W)`` alone, several times, each time by another draw.

    A batch of two can be paired in one way only, so that masks are all that differs. A mixer that
    has learned draws nothing but who is mixed and how much; both are drawn alike each time. The
    states are what became of the first image of each group. What a group draws depends on its
    number; ``first`` is that of the first one.
    """
    fixed, views = isinstance(mixer, LearnedMixer), int(getattr(mixer, "views", 1))
    masks, mixed, targets = list[Tensor](), list[Tensor](), list[Tensor]()
    for draw in range(draws):
        # Group by group: in a batch of several groups images would be mixed across them.
        for group, (pool, classes) in enumerate(zip(images, labels, strict=True), start=first):
            batch, batch_labels = torch.cat([pool] * views), torch.cat([classes] * views)
            generator = stream(seed, group, 0 if fixed else draw)
            with torch.random.fork_rng(devices=[]):
                plan = mixer.plan(batch, batch_labels, generator=generator, model=model)
            masks.append(_shares(plan, len(pool), pool.shape[-2:])[0].cpu())
            mixed.append(plan.images(batch)[0].detach().float().clamp(0, 1).cpu())
            targets.append(plan.targets(batch_labels, num_classes)[0].detach().float().cpu())
        if progress is not None:
            progress((draw + 1) / draws)
    shape = (draws, len(images))
    return States(
        masks=torch.stack(masks).view(*shape, *masks[0].shape),
        mixed=torch.stack(mixed).view(*shape, *mixed[0].shape),
        targets=torch.stack(targets).view(*shape, -1),
        names=tuple(range(1, draws + 1)),
    )


def grouped_states(
    subject: Subject,
    mixer: Mixer,
    *,
    groups: int,
    draws: int,
    generator: Generator,
    progress: Callable[[float], None],
) -> Iterator[tuple[States, Tensor]]:
    """Mix groups of test images as ``drawn_states``, so many at a time as are held at ease.

    Yield their states and labels ``(p, N)``; nothing where the images make no group.
    """
    test = subject.data.test
    rows = groups_of(test.labels.cpu(), groups=groups, size=sources_of(mixer), generator=generator)
    (channels, *size), sources = test.shape, rows.shape[1]
    planes = draws * (sources + channels) + sources * channels
    step = images_in(_MEBIBYTES, (planes, *size), each=4)
    for done in range(0, len(rows), step):
        part = rows[done : done + step]
        images = test.take(part.flatten()).to(subject.device).float() / 255
        labels = test.labels[part]
        first, here = done / len(rows), len(part) / len(rows)
        states = drawn_states(
            mixer,
            images.view(*part.shape, *images.shape[1:]),
            labels.to(subject.device),
            draws=draws,
            seed=subject.seed,
            num_classes=subject.data.num_classes,
            first=done,
            model=subject.model,
            progress=lambda share, first=first, here=here: progress(first + share * here),
        )
        yield states, labels.cpu()


def kept_states(subject: Subject) -> States | None:
    """Return what a mixer that learned made of the same few images after some of its epochs.

    Who is mixed and with which shares was drawn alike in every epoch; shares are not equal. Labels
    are those of the subject's test images, where these are the images that the run mixed. None
    where the run kept nothing, or fewer than two epochs.
    """
    kept = read_mask_snapshots(subject.folder) if subject.folder is not None else []
    if len(kept) < 2:
        return None
    last = kept[-1]
    size: Sequence[int] = last["images"].shape[-2:]
    labels = _known_labels(subject, last["images"])
    targets = None
    if labels is not None:
        targets = mixed_targets(
            labels,
            index=last["index"],
            weight=last["weight"],
            num_classes=subject.data.num_classes,
        ).expand(len(kept), -1, -1)
    return States(
        masks=torch.stack([_whole(epoch["mask"].float() / 255, size) for epoch in kept]),
        mixed=torch.stack([epoch["mixed"].float() / 255 for epoch in kept]),
        targets=targets,
        names=tuple(int(epoch["epoch"]) for epoch in kept),
    )


def _known_labels(subject: Subject, images: Tensor) -> Tensor | None:
    """Labels of the set's first test images, where the subject has them and they are these."""
    test, count = subject.data.test, len(images)
    rows = [(subject.ids == place).nonzero().flatten() for place in range(count)]
    if any(len(row) == 0 for row in rows) or tuple(test.shape) != tuple(images.shape[1:]):
        return None
    where = torch.stack([row[0] for row in rows])
    return test.labels[where] if torch.equal(test.take(where), images) else None


def _shares(plan: MixPlan, count: int, size: Sequence[int]) -> Tensor:
    """Return ``(B, count, H, W)``: the share of each image of the pool, whichever source it is."""
    mask = _whole(plan.mask.detach(), size)
    found = mask.new_zeros(len(mask), count, *size)
    for source in range(mask.shape[1]):
        row = plan.index[:, source]
        real = (row >= 0)[:, None, None, None]  # a fill is no image's
        place = (row.clamp_min(0) % count)[:, None, None, None].expand(-1, 1, *size)
        found.scatter_add_(1, place, mask[:, source : source + 1] * real)
    return found


def _whole(mask: Tensor, size: Sequence[int]) -> Tensor:
    """A mask on every pixel: shares are spread, block grids enlarged."""
    if tuple(mask.shape[-2:]) == tuple(size):
        return mask
    return F.interpolate(mask, size=tuple(size), mode="nearest")
