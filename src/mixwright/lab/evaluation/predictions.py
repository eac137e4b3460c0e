"""Running a classifier over batches, and how often the right class is among its first guesses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from mixwright.arguments import check_arguments, shown
from mixwright.outputs import NotFiniteError, take_logits
from mixwright.taps import evaluating

Batches = Iterable[tuple[Tensor, Tensor]]
"""Any iterable of images ``(B, C, H, W)`` and labels ``(B,)`` long."""


def pairs_of(batches: Batches) -> Iterator[tuple[Tensor, Tensor]]:
    """Go through batches, and refuse one that is no pair of images and labels."""
    for batch in batches:
        if not isinstance(batch, tuple | list) or len(batch) != 2:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(
                f"evaluation: a batch is {shown(batch)}; expected a pair (images, labels)."
            )
        yield batch[0], batch[1]


@check_arguments
def batch_logits(
    model: nn.Module, images: Tensor, labels: Tensor, *, autocast: torch.dtype | None = None
) -> Tensor:
    """Return the model's logits ``(B, K)`` for one batch, in float32, on the model's device.

    Of the labels ``(B,)`` only the shape is read. ``autocast`` is the dtype to compute in.
    """
    if labels.shape != images.shape[:1] or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(
            f"evaluation: {len(images)} images with labels of shape {tuple(labels.shape)} and "
            f"dtype {labels.dtype}; expected one class index per image, (B,) integers."
        )
    lower = torch.autocast(images.device.type, dtype=autocast) if autocast else nullcontext()
    with lower:
        output = model(images)
    return take_logits(output, who="evaluation", count=len(images)).float()


@check_arguments
def logits_of(
    model: nn.Module, batches: Batches, *, autocast: torch.dtype | None = None
) -> tuple[Tensor, Tensor]:
    """Run a classifier over batches and keep all logits.

    Args:
        model: network from images to logits ``(B, K)``; run in evaluation mode, put back after.
        batches: any iterable of (images, labels).
        autocast: dtype to compute in under autocast; None for the model's own.

    Returns:
        Logits ``(M, K)`` float32 and labels ``(M,)`` int64, on the CPU, in the order of the
        batches.

    Raises:
        ValueError: no images, logits that are not finite, or labels out of range.
    """
    every, wanted = list[Tensor](), list[Tensor]()
    with evaluating(model), torch.inference_mode():
        for images, labels in pairs_of(batches):
            every.append(batch_logits(model, images, labels, autocast=autocast).cpu())
            wanted.append(labels.long().cpu())
    if not every:
        raise ValueError("evaluation: no images at all; expected at least one batch.")
    logits, labels = torch.cat(every), torch.cat(wanted)
    check_logits(logits, labels)
    return logits, labels


def check_logits(logits: Tensor, labels: Tensor) -> None:
    """Refuse predictions that must not be counted as right or wrong; reads values.

    Raises:
        ValueError: shapes other than ``(M, K)`` and ``(M,)``, no rows, rows that are not finite,
            labels outside ``[0, K)``.
    """
    whole = not (labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool)
    if logits.is_complex() or not whole:
        raise ValueError(
            f"evaluation: logits have dtype {logits.dtype} and labels {labels.dtype}; expected "
            "real logits and class indices, such as labels.long()."
        )
    if logits.ndim != 2 or labels.shape != logits.shape[:1] or len(logits) == 0:
        raise ValueError(
            f"evaluation: logits have shape {tuple(logits.shape)} and labels "
            f"{tuple(labels.shape)}; expected (M, K) and (M,) with M at least 1."
        )
    refuse(
        int(not_finite(logits).sum()),
        int(out_of_range(labels, logits.shape[1]).sum()),
        len(logits),
        classes=logits.shape[1],
    )


def refuse(broken: int, foreign: int, count: int, *, classes: int) -> None:
    """Raise where some logits are not finite, ``broken``, or labels name no class, ``foreign``."""
    if broken:
        raise NotFiniteError(broken, count)
    if foreign:
        raise ValueError(
            f"evaluation: {foreign} of {count} labels are outside [0, {classes}); the model has "
            f"{classes} outputs. Build it with the number of classes of this data."
        )


def not_finite(logits: Tensor) -> Tensor:
    """Return ``(M,)`` bool, True where a row of logits holds a NaN or an infinity."""
    return ~logits.isfinite().all(dim=1)


def out_of_range(labels: Tensor, classes: int) -> Tensor:
    """Return ``(M,)`` bool, True where a label names no class."""
    return (labels < 0) | (labels >= classes)


def rank(logits: Tensor, labels: Tensor) -> Tensor:
    """Return ``(M,)`` int64, how many classes come before the right one; 0 is a right answer.

    Among equal logits the lower class index comes first, on every device: ``topk`` leaves the
    order of ties open.

    Example:
        >>> rank(torch.tensor([[1.0, 3.0, 2.0], [0.0, 0.0, 0.0]]), torch.tensor([2, 1])).tolist()
        [1, 1]
    """
    own = logits.gather(1, labels.long()[:, None])
    classes = torch.arange(logits.shape[1], device=logits.device)
    before = (logits > own) | ((logits == own) & (classes < labels[:, None]))
    return before.sum(dim=1)


def correct_on(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Return ``(B,)`` bool, where a classifier is right, in full precision and evaluation mode.

    Among equal logits the lower class index is the guess. Raises where ``batch_logits`` and
    ``check_logits`` do.
    """
    full = torch.autocast(images.device.type, enabled=False)
    with evaluating(model), torch.no_grad(), full:
        logits = batch_logits(model, images, labels)
    check_logits(logits, labels)
    return rank(logits, labels) == 0


@check_arguments
def topk_accuracy(logits: Tensor, labels: Tensor, k: int = 1) -> float:
    """Return the share of images whose class is among the model's first ``k`` guesses.

    Args:
        logits: ``(M, K)``, finite; only their order is read. Ties go to the lower class index.
        labels: ``(M,)`` integers in ``[0, K)``.
        k: guesses allowed, at least 1; from K on the share is 1.

    Raises:
        ValueError: what ``check_logits`` refuses, or ``k`` below 1.

    Example:
        >>> logits, labels = torch.tensor([[2.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 1])
        >>> topk_accuracy(logits, labels), topk_accuracy(logits, labels, 2)
        (0.5, 1.0)
    """
    if k < 1:
        raise ValueError(f"topk_accuracy: k is {k}; expected at least 1 guess.")
    check_logits(logits, labels)
    return float((rank(logits, labels) < k).double().mean())
