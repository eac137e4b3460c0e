"""The labels of a plan: dense targets, mixed losses, weighted accuracy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mixwright.arguments import check_whole, shown
from mixwright.constants import once
from mixwright.outputs import Output, take_logits
from mixwright.tensors import check_tensor

MOST_CLASSES = 10_000_000
"""Dense targets of more would not fit into memory."""


def as_labels(labels: object, *, device: torch.device) -> Tensor:
    """Return labels as a tensor: lists and arrays are converted, whole numbers become int64.

    torch indexes and counts by int64; of its unsigned types of 16 to 64 bits it can do neither.

    Args:
        labels: a tensor, which stays on its device, or what ``torch.as_tensor`` takes, NumPy
            arrays and lists of numbers or tensors above all.
        device: of labels that are no tensor.

    Raises:
        ValueError: no tensor can be made of them.
    """
    if isinstance(labels, Tensor):
        check_tensor("plan", "labels", labels)
        return _counted(labels)
    try:
        return _counted(_made(labels)).to(device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"plan: labels are {shown(labels)}, of which no tensor can be made ({error}); "
            "expected class indices (pool,) or soft or multi-hot labels (pool, K), as a tensor, "
            "an array or lists of numbers."
        ) from error


def _counted(labels: Tensor) -> Tensor:
    if labels.dtype == torch.int64:  # what nearly all are
        return labels
    if labels.is_complex():
        raise ValueError(
            f"plan: labels have dtype {labels.dtype}; expected class indices or real shares."
        )
    whole = not (labels.is_floating_point() or labels.dtype == torch.bool)
    return labels.long() if whole else labels


def _made(given: Any) -> Tensor:
    """Make a tensor of arrays, numbers, or lists of them; Python's floats become float32."""
    if isinstance(given, Tensor):
        return _counted(given)
    if hasattr(given, "__array__"):
        # A copy, since torch takes no array that is read-only or runs backwards.
        return _counted(torch.from_numpy(given.__array__().copy()))
    if isinstance(given, list | tuple) and any(_is_array(part) for part in given):
        return torch.stack([_made(part) for part in given])
    made = torch.tensor(given)
    return torch.tensor(given, dtype=torch.float32) if made.is_floating_point() else made


def _is_array(part: object) -> bool:
    return isinstance(part, Tensor) or hasattr(part, "__array__")


def known_labels(
    labels: Tensor, ignore_index: int, *, index: Tensor, weight: Tensor
) -> tuple[Tensor, Tensor]:
    """Take labels that say no class for class 0 at weight 0; see ``MixPlan.targets``."""
    if labels.ndim != 1 or labels.dtype != torch.int64:
        raise ValueError(
            f"plan: ignore_index is {ignore_index!r} for labels of shape {tuple(labels.shape)} and "
            f"dtype {labels.dtype}; expected class indices (pool,), of which one says that no "
            "class is known. Soft labels say so by a row of zeros, without ignore_index; of maps "
            "take plan.targets(maps, num_classes, ignore_index=...) and a loss on shares."
        )
    known = labels != _checked(ignore_index)
    return labels.where(known, 0), weight * known[index.clamp_min(0)]


def one_hot_classes(labels: Tensor, num_classes: int | None, ignore_index: int | None) -> Tensor:
    """Write class indices ``(pool, *spatial)`` as ``(pool, K, *spatial)`` float32.

    What says no class is a column of zeros.
    """
    known = None if ignore_index is None else labels != _checked(ignore_index)
    if known is not None:
        labels = labels.where(known, 0)
    count = class_count(labels.flatten(), num_classes)
    planes = torch.zeros(
        (len(labels), count, *labels.shape[1:]), device=labels.device, dtype=torch.float32
    )
    ones = torch.ones((), device=labels.device) if known is None else known[:, None].float()
    return planes.scatter_(1, labels[:, None], ones.expand_as(labels[:, None]))


def _checked(ignore_index: int) -> int:
    if not torch.compiler.is_compiling():
        check_whole("plan", "ignore_index", ignore_index, low=-(2**63), high=2**63 - 1)
    return int(ignore_index)


def pair_weights(own: Tensor) -> Tensor:
    """Put beside own weights ``(B, 1)`` what they leave to partners, ``(B, 2)``."""
    # own * (1, -1) + (0, 1), exactly what a difference and a stack give, in a third of the time.
    return torch.addcmul(_ends(own.device), own, _signs(own.device))


@once
def _ends(device: torch.device) -> Tensor:
    return torch.arange(2, device=device, dtype=torch.float32)


@once
def _signs(device: torch.device) -> Tensor:
    return 1 - 2 * torch.arange(2, device=device, dtype=torch.float32)


def mixed_rows(values: Tensor, *, index: Tensor, weight: Tensor) -> Tensor:
    """Average rows of a pool by the weights of the sources; see ``MixPlan.mix``."""
    if not values.is_floating_point():
        raise ValueError(
            f"plan.mix: values have dtype {values.dtype}; expected floating ones. Whole numbers "
            "are made so by values.float() where they are amounts; of tokens and other indices mix "
            "the embeddings, or take those of all sources, plan.labels(values)."
        )
    kind = torch.promote_types(values.dtype, torch.float32)
    share = weight.view(*weight.shape, *([1] * (values.ndim - 1))).to(kind)
    return (share * values[index.clamp_min(0)].to(kind)).sum(dim=1).to(values.dtype)


def mixed_targets(
    labels: Tensor, *, index: Tensor, weight: Tensor, num_classes: int | None
) -> Tensor:
    """Mix labels to dense targets; see ``MixPlan.targets``."""
    if labels.ndim == 2 and labels.is_floating_point():
        if num_classes not in (None, labels.shape[1]):
            raise ValueError(
                f"plan.targets: labels have {labels.shape[1]} columns but num_classes is "
                f"{num_classes}; expected the same number. Leave num_classes out."
            )
        kind = torch.promote_types(labels.dtype, torch.float32)
        return mixed_rows(labels.to(kind), index=index, weight=weight)
    known = class_count(labels, num_classes)
    classes = labels.index_select(0, index.clamp_min(0).view(-1)).view(index.shape)
    blank = torch.zeros((index.shape[0], known), device=labels.device, dtype=weight.dtype)
    return blank.scatter_add_(1, classes, weight)


def mixed_loss(
    criterion: Callable[[Tensor, Tensor], Tensor],
    logits: Output,
    labels: Tensor,
    *,
    index: Tensor,
    weight: Tensor,
) -> Tensor:
    """Mix the losses of the sources' labels; see ``MixPlan.loss``."""
    # The compiler of torch 2.13 cannot ask whether a module is callable.
    compiling = torch.compiler.is_compiling()
    if not compiling and (not callable(criterion) or isinstance(criterion, type)):
        raise ValueError(
            f"plan.loss: criterion is {shown(criterion)}; expected a callable that takes (logits, "
            'labels), such as torch.nn.CrossEntropyLoss(reduction="none").'
        )
    logits = take_logits(logits, who="plan.loss")
    count, sources = index.shape
    if len(logits) != count:
        raise ValueError(
            f"plan.loss: logits have {len(logits)} rows; expected {count}, one for each output of "
            "the plan."
        )
    total = logits.new_zeros((), dtype=torch.float32)
    for n in range(sources):
        each = criterion(logits, labels[index[:, n].clamp_min(0)])
        if each.shape != (count,):
            raise ValueError(
                f"plan.loss: the criterion returned shape {tuple(each.shape)}; expected one loss "
                f'a sample, ({count},). Build it with reduction="none"; a loss per class needs a '
                "sum or a mean over classes."
            )
        # 0 * inf would be NaN.
        total = total + torch.where(weight[:, n] > 0, weight[:, n] * each, 0.0).mean()
    return total


def weighted_accuracy(logits: Output, rows: Tensor, *, weight: Tensor) -> Tensor:
    """Count hits on any source by its label weight; see ``MixPlan.accuracy``."""
    indices = not (rows.is_floating_point() or rows.dtype == torch.bool)
    if rows.ndim > 3 or (rows.ndim == 2 and not indices):
        raise ValueError(
            f"plan.accuracy: labels have {rows.ndim - 1} axes and dtype {rows.dtype}; expected "
            "class indices (pool,) or soft labels (pool, K)."
        )
    scores = take_logits(logits, who="plan.accuracy")
    if rows.ndim == 2 and _at_hand(rows):
        _check_range("plan.accuracy", rows, classes=scores.shape[1])
    predicted = scores.argmax(dim=1)[:, None]
    if rows.ndim == 3:
        column = predicted[..., None].expand(-1, rows.shape[1], 1)
        hit = rows.float().gather(2, column)[..., 0]
    else:
        hit = (rows == predicted).float()
    return (weight * hit).sum() / weight.sum()


def class_count(labels: Tensor, num_classes: int | None, *, read: bool = False) -> int:
    """Give the number of classes, or say what is wrong with the labels."""
    if labels.ndim != 1 or labels.dtype != torch.int64:  # see ``as_labels``
        raise ValueError(
            f"plan.targets: labels have shape {tuple(labels.shape)} and dtype {labels.dtype}; "
            "expected class indices (pool,) int64, or soft or multi-hot labels (pool, K) floating "
            "(labels.float())."
        )
    if num_classes is None:
        raise ValueError(
            "plan.targets: labels are class indices and num_classes is missing; expected the "
            "number of classes. It is never guessed from a batch: pass num_classes=K."
        )
    if not torch.compiler.is_compiling():
        check_whole("plan.targets", "num_classes", num_classes, low=1, high=MOST_CLASSES)
    if read or _at_hand(labels):
        _check_range("plan.targets", labels, classes=num_classes)
    return num_classes


def _at_hand(labels: Tensor) -> bool:
    return labels.device.type == "cpu" and not torch.compiler.is_compiling()


def _check_range(name: str, labels: Tensor, *, classes: int) -> None:
    if not labels.numel():
        return
    low, high = map(int, labels.aminmax())
    if low < 0 or high >= classes:
        raise ValueError(
            f"{name}: labels run from {low} to {high}; expected 0 to {classes - 1} for "
            f"num_classes={classes}. If one stands for an unknown class, pass it as ignore_index."
        )
