"""Images and labels within a batch of any structure: found, and put back mixed.

A structure is what loaders give: mappings, lists, tuples, named tuples and dataclasses within one
another. Mixed batches are of the same containers; whatever is neither images nor labels is in them
as it was.
"""

from __future__ import annotations

import copy
import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Literal, NamedTuple

from torch import Tensor

from mixwright.arguments import shown

LabelsGetter = Callable[[Any], Any] | Literal["default"] | None
"""How labels are found in a batch, as in torchvision's transforms; see ``find_labels``."""

_EXACT = ("labels", "label")  # in any spelling; the first of them that is there
_GET_THEM = 'pass labels_getter=lambda batch: batch["target"], or whatever gives them'


class Found(NamedTuple):
    """A batch, and which objects within it are its images and its labels."""

    batch: Any
    images: Any
    labels: Any

    @property
    def is_pair(self) -> bool:
        """Whether there is nothing but images and labels."""
        return _is_pair(self.batch)

    def replaced(self, images: Tensor, targets: Tensor) -> Any:
        """Give the batch with mixed images and targets in place of images and labels."""
        if type(self.batch) is tuple and len(self.batch) == 2:
            first, second = self.batch
            if first is self.images and second is self.labels:
                return images, targets  # not walked through, which takes as long as a few draws
        return replaced(self.batch, {id(self.images): images, id(self.labels): targets})


def find(batch: Any, labels_getter: LabelsGetter, *, who: str) -> Found:
    """Find images and labels: of a pair, the two; else the one tensor of four axes and the labels.

    Raises:
        ValueError: there are no labels, or not exactly one tensor ``(B, C, H, W)`` beside them.
    """
    if labels_getter == "default" and _is_pair(batch):
        return Found(batch, batch[0], batch[1])
    labels: Any = find_labels(batch, labels_getter, who=who)
    images = find_images(batch, labels)
    if len(images) == 1:
        return Found(batch, images[0][1], labels)
    if images:
        places = [place for place, _ in images]
        raise ValueError(
            f"{who}: the images may be {' or '.join(places)}; expected one tensor (B, C, H, W) "
            f"beside the labels. Draw plan = mix.plan({places[0]}, labels), and take "
            "plan.images(...) of each that belongs to it and mix.targets(plan, labels)."
        )
    raise ValueError(
        f"{who}: no images among {listed(batch, labels)}; expected one tensor (B, C, H, W) beside "
        "the labels. For data of other shapes draw plan = mix.plan(images, labels), and take "
        "plan.images(images) and mix.targets(plan, labels)."
    )


def find_images(batch: Any, labels: Any) -> list[tuple[str, Tensor]]:
    """List the tensors of four axes beside the labels, each after its place in the batch."""
    return [
        (place, part)
        for place, part in walk(batch, stop=labels)
        if isinstance(part, Tensor) and part.ndim == 4 and part is not labels
    ]


def find_labels(
    batch: Any, labels_getter: LabelsGetter, *, who: str, exact: Sequence[str] = _EXACT
) -> Any:
    """Find the labels of a batch, nearly as torchvision does.

    ``"default"`` takes the second part of a tuple or list, which may be the labels or hold them;
    or, in a mapping, what is named ``exact`` in any spelling, else the first whose name has
    ``label`` in it. torchvision knows ``labels`` alone: to it ``label`` is a name that has it,
    no better than ``label_group``. A callable is given the batch and returns what is within it,
    not a copy.

    Raises:
        ValueError: none are found, or what the callable returns is not in the batch.
    """
    if labels_getter is None:
        raise ValueError(
            f"{who}: labels_getter is None, so that there are no labels; expected those that are "
            f"mixed with the images: {_GET_THEM}."
        )
    if isinstance(labels_getter, str):
        return _default_labels(batch, exact, who=who)
    labels = labels_getter(batch)
    if not any(part is labels for _, part in walk(batch, stop=labels)):
        raise ValueError(
            f"{who}: labels_getter returned {shown(labels)}, which is no part of the batch; "
            "expected the labels as they are in it, which targets replace. Convert them before."
        )
    return labels


def walk(batch: Any, *, stop: Any = None, place: str = "batch") -> Iterator[tuple[str, Any]]:
    """Visit a structure and all parts of it, each after its place; what is in ``stop`` is not."""
    yield place, batch
    if batch is not stop:
        for _, name, part in _parts(batch):
            yield from walk(part, stop=stop, place=f"{place}{name}")


def replaced(batch: Any, values: Mapping[int, Any]) -> Any:
    """Give a structure of the same containers, with other values for objects, named by ``id``."""
    if id(batch) in values:
        return values[id(batch)]
    changes: dict[Any, Any] = {}
    for key, _, part in _parts(batch):
        if (new := replaced(part, values)) is not part:
            changes[key] = new
    return _with(batch, changes) if changes else batch


def _is_pair(batch: Any) -> bool:
    """Whether a batch is images, of any shape, and labels: no structure is looked through."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:  # pyright: ignore[reportUnknownArgumentType]
        return False
    images, labels = batch
    if isinstance(images, Tensor) and isinstance(labels, Tensor):  # what nearly all batches are
        return True
    # Labels may be lists of numbers.
    holds_labels = isinstance(labels, Mapping) or dataclasses.is_dataclass(labels)
    holds_images = isinstance(images, Mapping | tuple | list) or dataclasses.is_dataclass(images)
    return not holds_labels and not holds_images


def _default_labels(batch: Any, exact: Sequence[str], *, who: str) -> Any:
    found, place = batch, "the batch"
    if isinstance(batch, tuple | list) and len(batch) > 1:  # pyright: ignore[reportUnknownArgumentType]
        found, place = batch[1], "batch[1]"
    if isinstance(found, Mapping) or dataclasses.is_dataclass(found):
        named = {key: part for key, _, part in _parts(found) if isinstance(key, str)}
        like = [key for name in exact for key in named if key.lower() == name]
        like += [key for key in named if "label" in key.lower()]
        if like:
            return named[like[0]]
        names = ", ".join(map(repr, named)) or "no name"
        raise ValueError(
            f"{who}: {place} has {names}; expected labels under a name with label in it. Where "
            f"they have another, {_GET_THEM}."
        )
    if found is batch:
        raise ValueError(
            f"{who}: the batch is {shown(batch)}; expected images and labels, or a structure that "
            f"holds both. Where the labels are at an unusual place, {_GET_THEM}."
        )
    return found


def _parts(node: Any) -> list[tuple[Any, str, Any]]:
    """List the parts of a container: key, how it is written behind the container, value."""
    if isinstance(node, Mapping):
        return [(key, f"[{key!r}]", part) for key, part in node.items()]
    if isinstance(node, tuple | list | deque):
        return [(key, f"[{key}]", part) for key, part in enumerate(node)]
    if dataclasses.is_dataclass(node) and not isinstance(node, type):
        names = [field.name for field in dataclasses.fields(node)]
        return [(name, f".{name}", getattr(node, name)) for name in names if hasattr(node, name)]
    return []


def _with(node: Any, changes: dict[Any, Any]) -> Any:
    """Copy a container and change some of its parts."""
    if isinstance(node, tuple):
        values = [changes.get(key, part) for key, part in enumerate(node)]
        return node._make(values) if hasattr(node, "_make") else type(node)(values)  # pyright: ignore
    if isinstance(node, Mapping) and not isinstance(node, MutableMapping):
        return type(node)({**node, **changes})  # pyright: ignore[reportCallIssue]
    clone: Any = copy.copy(node)
    record = not isinstance(node, Mapping | list | deque)
    for key, value in changes.items():
        if record:
            object.__setattr__(clone, key, value)  # it may be frozen
        else:
            clone[key] = value
    return clone


def listed(batch: Any, labels: Any) -> str:
    """Name what is in a batch, for messages."""
    ends = [
        f"{place} ({shown(part)})"
        for place, part in walk(batch, stop=labels)
        if part is not labels and not _parts(part)
    ]
    more = f" and {len(ends) - 6} more" if len(ends) > 6 else ""
    return f"{', '.join(ends[:6])}{more}" if ends else "what is beside the labels, nothing"
