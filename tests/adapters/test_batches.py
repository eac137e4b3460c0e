"""Batches of every structure: images and labels are found in them and put back mixed."""

from __future__ import annotations

import types
from collections import OrderedDict, UserDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mixwright import CutMix, MiAMix, Mix, MixUp, OneOf, PuzzleMix, SnapMix
from mixwright.sampling import Stream, stream

IMAGES = torch.rand(6, 3, 8, 8, generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])
NAMES = list("abcdef")
TABLE = torch.rand(6, 5, generator=stream(2))

Named = namedtuple("Named", ["image", "label", "name"])


class Encoding(UserDict[str, Any]):
    """As Transformers' ``BatchEncoding``: a mapping that is no dict and has more than its data."""

    def __init__(self, data: dict[str, Any], encodings: Any = None) -> None:
        super().__init__(data)
        self.encodings = encodings


@dataclass(frozen=True, slots=True)
class Sample:
    image: Any
    class_label: Any
    name: Any = None


def mix_pair() -> tuple[Tensor, Tensor]:
    """What two plain tensors become, the way that is tested beside this."""
    return Mix(CutMix(), num_classes=4, seed=3)(IMAGES, LABELS)


def dictionary() -> dict[str, Any]:
    return {"name": NAMES, "image": IMAGES, "label": LABELS, "table": TABLE}


STRUCTURES: dict[str, tuple[Any, Callable[[Any], tuple[Any, Any]]]] = {
    "dict": (dictionary(), lambda b: (b["image"], b["label"])),
    "ordered": (OrderedDict(dictionary()), lambda b: (b["image"], b["label"])),
    "default": (defaultdict(list, dictionary()), lambda b: (b["image"], b["label"])),
    "encoding": (Encoding(dictionary(), "fast"), lambda b: (b["image"], b["label"])),
    "proxy": (types.MappingProxyType(dictionary()), lambda b: (b["image"], b["label"])),
    "tuple": ((IMAGES, LABELS, NAMES), lambda b: (b[0], b[1])),
    "list": ([TABLE, LABELS, IMAGES], lambda b: (b[2], b[1])),
    "pair as list": ([IMAGES, LABELS], lambda b: (b[0], b[1])),
    "named": (Named(IMAGES, LABELS, NAMES), lambda b: (b.image, b.label)),
    "dataclass": (Sample(IMAGES, LABELS, NAMES), lambda b: (b.image, b.class_label)),
    "nested tuple": (((IMAGES, TABLE), LABELS), lambda b: (b[0][0], b[1])),
    "target": ([IMAGES, {"label_names": NAMES, "Labels": LABELS}],
               lambda b: (b[0], b[1]["Labels"])),
    "dict beside": (({"x": IMAGES, "y": TABLE}, LABELS), lambda b: (b[0]["x"], b[1])),
    "queue": ({"frames": deque([TABLE, IMAGES]), "LABEL_id": LABELS},
              lambda b: (b["frames"][1], b["LABEL_id"])),
    "array": ({"image": IMAGES, "labels": LABELS.numpy()}, lambda b: (b["image"], b["labels"])),
    "exact": ({"image": IMAGES, "label_group": NAMES, "Label": LABELS},
              lambda b: (b["image"], b["Label"])),
    "exact plural": ([IMAGES, {"label_group": NAMES, "label": TABLE, "LABELS": LABELS}],
                     lambda b: (b[0], b[1]["LABELS"])),
    "like": ({"x_label": LABELS, "label_group": NAMES, "x": IMAGES},
             lambda b: (b["x"], b["x_label"])),
    "numbers": ({"image": IMAGES, "labels": LABELS.tolist()}, lambda b: (b["image"], b["labels"])),
}  # fmt: skip


def ends(batch: Any) -> list[Any]:
    """The types of all containers, and all that is in them but images and labels."""
    if isinstance(batch, UserDict):
        return [type(batch), batch.encodings, *ends(batch.data)]
    if isinstance(batch, dict | types.MappingProxyType):
        return [type(batch), *(end for key, part in batch.items() for end in (key, *ends(part)))]
    if isinstance(batch, tuple | list | deque) and batch is not NAMES:
        return [type(batch), *(end for part in batch for end in ends(part))]
    if isinstance(batch, Sample):
        return [Sample, *ends(batch.image), *ends(batch.class_label), *ends(batch.name)]
    return [id(batch)] if batch is NAMES or batch is TABLE else [None]


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_batch_of_any_structure_is_mixed_as_its_images_and_labels(name: str) -> None:
    batch, get = STRUCTURES[name]
    before = ends(batch), [id(part) for part in get(batch)]
    made = Mix(CutMix(), num_classes=4, seed=3)(batch)
    images, targets = get(made)
    expected = mix_pair()
    assert torch.equal(images, expected[0])
    assert torch.equal(targets, expected[1])
    if name != "numbers":  # which are a list of theirs
        assert ends(made) == before[0]
    assert (ends(batch), [id(part) for part in get(batch)]) == before  # not written


def test_two_values_are_one_batch() -> None:
    made = Mix(CutMix(), num_classes=4, seed=3)(IMAGES, {"labels": LABELS, "name": NAMES})
    assert type(made) is tuple
    assert torch.equal(made[0], mix_pair()[0])
    assert torch.equal(made[1]["labels"], mix_pair()[1])
    assert made[1]["name"] is NAMES


def second(batch: Any) -> Any:
    return batch["target"]["classes"]


def test_a_labels_getter_is_given_the_batch() -> None:
    batch = {"imgs": IMAGES, "labels": NAMES, "target": {"classes": LABELS, "other": TABLE}}
    made = Mix(CutMix(), num_classes=4, seed=3, labels_getter=second)(batch)
    assert torch.equal(made["imgs"], mix_pair()[0])
    assert torch.equal(made["target"]["classes"], mix_pair()[1])
    assert made["target"]["other"] is TABLE
    assert made["labels"] is NAMES
    swapped = Mix(CutMix(), num_classes=4, seed=3, labels_getter=lambda batch: batch[0])
    targets, images = swapped(LABELS, IMAGES)
    assert torch.equal(images, mix_pair()[0])
    assert torch.equal(targets, mix_pair()[1])


def test_in_evaluation_the_very_same_batch_passes() -> None:
    batch = dictionary()
    mix = Mix(CutMix(), num_classes=4, seed=3).eval()
    assert mix(batch) is batch
    assert mix(IMAGES, {"labels": LABELS})[0] is IMAGES
    mix.train().mixing = False
    assert mix(batch) is batch


def test_a_pair_may_be_of_any_shape_and_named() -> None:
    expected = Mix(MixUp(), num_classes=4, seed=3)(TABLE, LABELS)
    for made in (
        Mix(MixUp(), num_classes=4, seed=3)([TABLE, LABELS]),
        Mix(MixUp(), num_classes=4, seed=3)(images=TABLE, labels=LABELS),
    ):
        assert torch.equal(made[0], expected[0])
        assert torch.equal(made[1], expected[1])


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (IMAGES, r"the batch is a Tensor of shape.*expected images and labels"),
        ((IMAGES,), "the batch is .*expected images and labels"),
        ({"image": IMAGES}, r"the batch has 'image'; expected labels under a name with label.*"
         r"labels_getter=lambda batch: batch\[\"target\"\]"),
        ((IMAGES, {"target": LABELS}), r"batch\[1\] has 'target'; expected labels under"),
        ({1: IMAGES}, "the batch has no name; expected labels"),
        ({"label": LABELS, "table": TABLE},
         r"no images among batch\['table'\] \(a Tensor of shape \(6, 5\).*plan = mix\.plan"),
        ({"label": LABELS}, "no images among what is beside the labels, nothing"),
        ({"label": LABELS, "image": IMAGES.numpy()}, r"no images among batch\['image'\] \(a nda"),
        ({"label": LABELS, "image": IMAGES, "depth": IMAGES[:, :1]},
         r"the images may be batch\['image'\] or batch\['depth'\]; expected one tensor.*"
         r"plan = mix\.plan\(batch\['image'\], labels\)"),
        ({"label": LABELS, "image": IMAGES, "clean": IMAGES}, "the images may be"),
        ({"label": LABELS, "image": IMAGES, "mask": LABELS.view(6, 1, 1, 1)}, "the images may be"),
        ({"label": NAMES, "image": IMAGES}, "labels are .*of which no tensor can be made"),
        ({"label": LABELS[:4], "image": IMAGES}, "expected one label for each of the 6 images"),
    ],
    ids=lambda value: None,
)  # fmt: skip
def test_a_batch_that_does_not_say_what_is_what_is_named(batch: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mix(CutMix(), num_classes=4, seed=3)(batch)


@pytest.mark.parametrize(
    ("getter", "message"),
    [
        (
            lambda batch: batch["label"].long() + 0,
            "Tensor.*which is no part of the batch; expected",
        ),
        (lambda batch: None, "returned None, which is no part of the batch"),
        (None, "labels_getter is None, so that there are no labels; expected"),
    ],
    ids=["copy", "nothing", "None"],
)
def test_labels_that_are_not_in_the_batch_are_named(getter: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mix(CutMix(), num_classes=4, labels_getter=getter)(dictionary())


def test_labels_getters_of_other_kinds_are_refused_at_once() -> None:
    for wrong in ("labels", 1, ["label"], dict):
        with pytest.raises(ValueError, match=r"labels_getter is .*; expected a callable"):
            Mix(CutMix(), labels_getter=wrong)


def test_what_a_mixer_of_two_views_would_leave_behind_is_named() -> None:
    mix = Mix(MiAMix(views=2), num_classes=4, seed=0)
    assert mix([IMAGES, LABELS])[0].shape == (3, 3, 8, 8)
    with pytest.raises(ValueError, match="MiAMix makes 3 images of 6, and what else is in the"):
        mix((IMAGES, LABELS, NAMES))


# ------------------------------------------------------------------ the loader form


def samples(make: Callable[[int], Any]) -> list[Any]:
    return [make(k) for k in range(6)]


def expected_of_loader() -> tuple[Tensor, Tensor]:
    plan = CutMix().plan(IMAGES, generator=stream(3, 0, Stream.LOADER, -1, 0))
    return plan.images(IMAGES), plan.targets(LABELS, 4)


@pytest.mark.parametrize(
    ("make", "get"),
    [
        (lambda k: {"image": IMAGES[k], "label": int(LABELS[k]), "name": NAMES[k]},
         lambda b: (b["image"], b["label"], b["name"])),
        (lambda k: (IMAGES[k].numpy(), int(LABELS[k]), NAMES[k]), lambda b: b),
        (lambda k: Named(IMAGES[k], LABELS[k], NAMES[k]), tuple),
        (lambda k: (IMAGES[k], {"label": LABELS[k].numpy(), "name": NAMES[k]}),
         lambda b: (b[0], b[1]["label"], b[1]["name"])),
        (lambda k: ((IMAGES[k], NAMES[k]), int(LABELS[k])), lambda b: (b[0][0], b[1], b[0][1])),
        (lambda k: OrderedDict(name=NAMES[k], label=int(LABELS[k]), image=IMAGES[k]),
         lambda b: (b["image"], b["label"], b["name"])),
    ],
    ids=["dict", "triple", "named", "target", "nested", "ordered"],
)  # fmt: skip
def test_samples_of_any_structure_are_collated(make: Any, get: Any) -> None:
    images, targets, names = get(Mix(CutMix(), num_classes=4, seed=3).collate(samples(make)))
    expected = expected_of_loader()
    assert torch.equal(images, expected[0])
    assert torch.equal(targets, expected[1])
    assert list(names) == NAMES
    plain = Mix(CutMix(), num_classes=4, seed=3)
    plain.mixing = False
    images, labels, names = get(plain.collate(samples(make)))
    assert torch.equal(images, IMAGES)
    assert torch.equal(labels, LABELS)
    assert list(names) == NAMES


def test_a_getter_finds_the_labels_of_samples_in_a_worker() -> None:
    def make(k: int) -> dict[str, Any]:
        return {"x": IMAGES[k], "label": NAMES[k], "target": {"classes": LABELS[k]}}

    mix = Mix(CutMix(), num_classes=4, seed=3, labels_getter=second)
    mix.set_epoch(2)
    loader = DataLoader(
        samples(make),
        batch_size=6,
        num_workers=1,
        collate_fn=mix.collate,
        multiprocessing_context="spawn",  # to which the getter travels
    )
    (batch,) = loader
    plan = CutMix().plan(IMAGES, generator=stream(3, 0, Stream.LOADER, 2, 0, 0))
    assert torch.equal(batch["x"], plan.images(IMAGES))
    assert torch.equal(batch["target"]["classes"], plan.targets(LABELS, 4))
    assert batch["label"] == NAMES


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"image": object(), "label": 1}, r"such as \{'image': <object.*; expected tensors of one"),
        ({"image": IMAGES[0], "class": 1}, "'image', 'class'; expected labels under a name"),
        (Sample(IMAGES[0], 1), r"a sample is a Sample; expected a pair.*returns mix\(batch\)"),
    ],
    ids=["object", "no label", "dataclass"],
)
def test_samples_that_make_no_batch_are_named(sample: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mix(CutMix(), num_classes=4).collate([sample])


def test_samples_of_two_shapes_or_names_are_named() -> None:
    mix = Mix(CutMix(), num_classes=4)
    first = {"image": IMAGES[0], "label": 1}
    for second in ({"image": IMAGES[0, :, 1:], "label": 1}, {"image": IMAGES[0]}):
        with pytest.raises(ValueError, match=r"torch makes no batch of samples.*expected tensors"):
            mix.collate([first, second])


@pytest.mark.parametrize("mixer", [PuzzleMix(), OneOf(CutMix(), SnapMix())], ids=["one", "inner"])
def test_a_mixer_that_needs_a_model_is_told_where_one_is(mixer: Any) -> None:
    given = samples(lambda k: (IMAGES[k], int(LABELS[k])))
    told = (
        r"(Puzzle|Snap)Mix: model missing; its saliency.* A collate function has no model: mix in "
        r"the training loop by Mix, mix\(images, labels, model=model\), or choose saliency="
    )
    mix = Mix(mixer, num_classes=4, seed=3)
    with pytest.raises(ValueError, match=told) as raised:
        mix.collate(given)
    assert "Pass model" not in str(raised.value)
    loader = DataLoader(given, batch_size=6, num_workers=1, collate_fn=mix.collate)
    with pytest.raises(ValueError, match=told):
        next(iter(loader))
    with pytest.raises(
        ValueError, match=r"Pass model=\.\.\. to plan\(\) or Mix, or choose saliency"
    ):
        mix(IMAGES, LABELS)
    mix.mixing = False  # nothing is looked at
    assert torch.equal(mix.collate(given)[0], IMAGES)


def test_a_model_reaches_the_mixer_with_a_whole_batch() -> None:
    seen: list[Any] = []

    class Looking:
        def plan(self, images: Tensor, labels: Any = None, *, generator: Any, model: Any = None):
            seen.append((labels, model))
            return CutMix().plan(images, generator=generator)

    model = nn.Identity()
    Mix(Looking(), num_classes=4, seed=3)(dictionary(), model=model)
    assert seen[0][1] is model
    assert torch.equal(seen[0][0], LABELS)
