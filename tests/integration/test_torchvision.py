"""The drop-ins beside torchvision's own ``v2.CutMix`` and ``v2.MixUp``."""

from __future__ import annotations

import copy
import pickle
import re
from collections import OrderedDict, defaultdict, namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision import tv_tensors
from torchvision.transforms import v2

import mixwright as mw
from mixwright.adapters import torchvision as tv
from mixwright.mixers import CARDS
from mixwright.sampling import stream

CLASSES = 12
IMAGES = torch.rand(6, 3, 16, 20, generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 3, 0, 11])
EXTRA = torch.rand(6, 4, generator=stream(2))

Named = namedtuple("Named", ["image", "label", "name"])
PAIRS = {"CutMix": (tv.CutMix, v2.CutMix), "MixUp": (tv.MixUp, v2.MixUp)}
ALL = [mw.MIXERS[name].__name__ for name, card in CARDS.items() if card.needs != "model"]


def made(name: str, **options: Any) -> Any:
    return getattr(tv, name)(num_classes=CLASSES, **options)


def nested(batch: Any) -> Any:
    return batch["target"]["classes"]


def last(batch: Any) -> Any:
    return batch[-1]


STRUCTURES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "two inputs": ((IMAGES, LABELS), "default"),
    "list": (([IMAGES, LABELS],), "default"),
    "tuple": (((IMAGES, LABELS),), "default"),
    "three inputs": ((IMAGES, LABELS, EXTRA), "default"),
    "one-hot": ((IMAGES, torch.eye(CLASSES)[LABELS]), "default"),
    "one-hot double": ((IMAGES, torch.eye(CLASSES)[LABELS].double()), "default"),
    "one-hot half": ((IMAGES, torch.eye(CLASSES)[LABELS].half()), "default"),
    "one-hot whole": ((IMAGES, torch.eye(CLASSES)[LABELS].long()), "default"),
    "double": ((IMAGES.double(), LABELS), "default"),
    "image": ((tv_tensors.Image(IMAGES), LABELS), "default"),
    "video": ((tv_tensors.Video(IMAGES[:, None].repeat(1, 4, 1, 1, 1)), LABELS), "default"),
    "dict": (({"image": IMAGES, "Labels": LABELS, "name": "x", "extra": EXTRA},), "default"),
    "first like": (({"image": IMAGES, "label_group": LABELS, "label": LABELS + 0},), "default"),
    "exact plural": (({"image": IMAGES, "label": LABELS, "LABELS": LABELS + 0},), "default"),
    "first of four axes": (({"mean": IMAGES[:, :, :1, :1], "image": IMAGES, "labels": LABELS},),
                           "default"),
    "marked beside four axes": (({"mean": IMAGES[:, :, :1, :1], "labels": LABELS,
                                  "image": tv_tensors.Image(IMAGES)},), "default"),
    "marked": (({"extra": EXTRA, "x": tv_tensors.Image(IMAGES), "my_label": LABELS},), "default"),
    "several": (({"left": tv_tensors.Image(IMAGES), "right": tv_tensors.Image(1 - IMAGES),
                  "labels": LABELS},), "default"),
    "marked beside plain": ((IMAGES, LABELS, tv_tensors.Image(IMAGES + 0)), "default"),
    "second plain": ((IMAGES, LABELS, IMAGES[:, :1]), "default"),
    "target": ((IMAGES, {"label": LABELS, "boxes": EXTRA}), "default"),
    "ordered": ((OrderedDict(image=IMAGES, labels=LABELS),), "default"),
    "default dict": ((defaultdict(list, image=IMAGES, labels=LABELS),), "default"),
    "named": ((Named(IMAGES, LABELS, "x"),), "default"),
    "nested": (({"imgs": IMAGES, "target": {"classes": LABELS, "some_other_key": "x"}},), nested),
    "nested tuple": ((((IMAGES, EXTRA), ["x", LABELS]),), lambda batch: batch[1][1]),
    "last": ((IMAGES, EXTRA, LABELS), last),
}  # fmt: skip


def described(batch: Any) -> tuple[Any, list[Any]]:
    """The containers; of tensors class, shape, dtype; the rest itself."""
    ends, spec = tree_flatten(batch)
    what = [(type(x), x.shape, x.dtype) if isinstance(x, Tensor) else x for x in ends]
    return spec, what


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", PAIRS)
def test_structures_and_types_are_those_of_torchvision(name: str, structure: str) -> None:
    ours, theirs = PAIRS[name]
    inputs, getter = STRUCTURES[structure]
    before = copy.deepcopy(inputs)
    out = ours(num_classes=CLASSES, labels_getter=getter)(*inputs)
    expected = theirs(num_classes=CLASSES, labels_getter=getter)(*inputs)
    assert described(out) == described(expected)
    for kept, given, reference in zip(
        *(tree_flatten(x)[0] for x in (out, inputs, expected)), strict=True
    ):
        assert (kept is given) == (reference is given)  # passed through, or mixed
    for now, then in zip(tree_flatten(inputs)[0], tree_flatten(before)[0], strict=True):
        assert torch.equal(now, then) if isinstance(now, Tensor) else now == then


@pytest.mark.parametrize("name", ALL)
def test_every_mixer_mixes_what_its_plan_says(name: str) -> None:
    torch.manual_seed(7)
    transform = made(name)
    image, targets = transform(tv_tensors.Image(IMAGES), LABELS)
    assert type(image) is tv_tensors.Image
    torch.manual_seed(7)
    word = int(torch.randint(2**62, ()))
    plan = mw.MIXERS[name.lower()]().plan(IMAGES, LABELS, generator=stream(word, 0))
    assert torch.equal(image.as_subclass(Tensor), plan.images(IMAGES))
    assert torch.equal(targets, plan.targets(LABELS, CLASSES))
    assert not torch.equal(image, IMAGES)
    assert isinstance(transform, nn.Module)
    again = pickle.loads(pickle.dumps(copy.deepcopy(transform)))
    torch.manual_seed(7)
    assert torch.equal(again(IMAGES, LABELS)[0], plan.images(IMAGES))


def test_any_mixer_serves() -> None:
    mixer = mw.OneOf(mw.SaliencyMix(saliency="spectral"), mw.Sometimes(mw.FMix(), p=0.5))
    batch = {"image": IMAGES, "labels": LABELS}
    out = tv.MixTransform(mixer, num_classes=CLASSES)(batch)
    torch.testing.assert_close(out["labels"].sum(dim=1), torch.ones(6))
    assert not torch.equal(out["image"], IMAGES)


def test_a_mixer_that_needs_a_model_is_refused_with_the_way_that_works() -> None:
    with pytest.raises(
        ValueError, match=r"PuzzleMix: model missing.* A transform has no model: mix"
    ):
        tv.MixTransform(mw.PuzzleMix(), num_classes=CLASSES)(IMAGES, LABELS)


def test_one_plan_mixes_all_images_and_frames() -> None:
    who = torch.eye(6)[:, :, None, None].expand(6, 6, 16, 20)  # sample k lights channel k
    frames = tv_tensors.Video(who[:, None].repeat(1, 4, 1, 1, 1))
    batch = {"video": frames, "image": tv_tensors.Image(who), "labels": torch.arange(6)}
    out = made("CutMix")(batch)
    shown = out["image"].as_subclass(Tensor).mean(dim=(2, 3))
    torch.testing.assert_close(shown, out["labels"][:, :6])
    for frame in out["video"].unbind(1):
        assert torch.equal(frame, out["image"])


@pytest.mark.parametrize("kind", [torch.uint8, torch.float16, torch.bfloat16, torch.float64])
def test_images_of_every_kind_are_mixed(kind: torch.dtype) -> None:
    images = (IMAGES * 255).to(kind)
    for name in PAIRS:
        mixed, targets = made(name)(tv_tensors.Image(images), LABELS)
        assert mixed.dtype == kind
        assert targets.dtype == torch.float32


@pytest.mark.parametrize("name", PAIRS)
def test_mixed_targets_have_the_same_law_as_torchvisions(name: str) -> None:
    """Mean and spread of the own label's share over 1,000 draws, at two values of alpha."""
    ours, theirs = PAIRS[name]
    images, labels = torch.zeros(2, 1, 24, 24), torch.tensor([0, 1])
    torch.manual_seed(0)
    for alpha in (1.0, 0.2):
        shares = []
        for kind, more in ((ours, {"per": "batch", "pairing": "roll"}), (theirs, {})):
            transform = kind(num_classes=2, alpha=alpha, **more)
            drawn = torch.stack([transform(images, labels)[1] for _ in range(1000)])
            # One share for the batch, and neighbours as partners, as there.
            assert torch.equal(drawn[:, 0, 0], drawn[:, 1, 1])
            shares.append(drawn[:, 0, 0])
        a, b = shares
        assert abs(float(a.mean() - b.mean())) < 0.05
        assert abs(float(a.std() - b.std())) < 0.03
        low, high = (torch.quantile(x, torch.tensor([0.25, 0.75])) for x in (a, b))
        assert float((low - high).abs().max()) < 0.08


def test_in_pipelines() -> None:
    for pipeline in (
        v2.Compose([made("CutMix"), v2.Normalize([0.5] * 3, [0.5] * 3)]),
        v2.RandomChoice([made("CutMix"), made("MixUp"), made("FMix")]),
        v2.RandomApply([made("GridMix")], p=1.0),
        v2.Compose([v2.ToDtype(torch.uint8, scale=True), made("HMix")]),
    ):
        image, targets = pipeline(tv_tensors.Image(IMAGES), LABELS)
        assert type(image) is tv_tensors.Image
        assert targets.shape == (6, CLASSES)
        out = pipeline({"image": IMAGES, "labels": LABELS})
        assert out["labels"].shape == (6, CLASSES)


def test_evaluation_mode_changes_nothing_as_there() -> None:
    for transform in (made("MixUp", lam=0.5).eval(), v2.MixUp(num_classes=CLASSES).eval()):
        assert transform(IMAGES, LABELS)[1].shape == (6, CLASSES)


class Bytes(Dataset[Any]):
    def __len__(self) -> int:
        return 24

    def __getitem__(self, k: int) -> tuple[Tensor, int]:
        return torch.full((3, 8, 8), 10 * k, dtype=torch.uint8), k % CLASSES


def passes(name: str, *, unpacked: bool, workers: int = 2) -> list[Tensor]:
    transform = made(name)

    def collate(samples: Any) -> Any:
        batch = default_collate(samples)
        return transform(*batch) if unpacked else transform(batch)

    loader = DataLoader(Bytes(), batch_size=6, num_workers=workers, collate_fn=collate)
    return [targets for _ in range(2) for images, targets in loader if images.dtype == torch.uint8]


@pytest.mark.parametrize("unpacked", [True, False])
def test_workers_differ_and_the_global_seed_repeats_a_run(unpacked: bool) -> None:
    torch.manual_seed(3)
    first = passes("MixUp", unpacked=unpacked)
    assert len(first) == 8
    shares = [tuple(targets.max(dim=1).values.tolist()) for targets in first]
    assert len(set(shares)) == 8  # between workers, batches and passes
    torch.manual_seed(3)
    again = passes("MixUp", unpacked=unpacked)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_the_global_seed_rules_and_ranks_of_one_seed_differ(monkeypatch: Any) -> None:
    transform, drawn = made("MixUp"), []
    for rank in (None, "0", "1", "0"):
        if rank is not None:
            monkeypatch.setenv("RANK", rank)
        torch.manual_seed(11)
        drawn.append(transform(IMAGES, LABELS)[1])
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[1], drawn[3])
    assert not torch.equal(drawn[1], drawn[2])
    assert not torch.equal(drawn[3], transform(IMAGES, LABELS)[1])


REFUSED = {
    "picture": lambda: v2.functional.to_pil_image(IMAGES[0]),
    "mask": lambda: tv_tensors.Mask(torch.ones(6, 16, 20)),
    "boxes": lambda: tv_tensors.BoundingBoxes(
        torch.rand(6, 4), format="XYXY", canvas_size=(16, 20)
    ),
    "points": lambda: tv_tensors.KeyPoints(torch.rand(6, 2), canvas_size=(16, 20)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_torchvision_refuses_is_refused_in_its_words(what: str) -> None:
    for transform in (made("CutMix"), v2.CutMix(num_classes=CLASSES)):
        for inputs in (
            (REFUSED[what](),),
            ({"image": IMAGES, "x": REFUSED[what](), "labels": LABELS},),
        ):
            with pytest.raises(
                ValueError, match="does not support PIL images, bounding boxes, key"
            ):
                transform(*inputs)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((IMAGES,), "CutMix: the batch is a Tensor of shape .*expected images and labels"),
        ((IMAGES, "no tensor"), "the labels are 'no tensor'; expected a tensor of class indices"),
        ((IMAGES[None], LABELS), r"no images among batch\[0\] \(a Tensor of shape \(1, 6, 3"),
        (
            (tv_tensors.Image(IMAGES[0]), LABELS),
            r"images have shape \(3, 16, 20\) and labels \(6,\)",
        ),
        ((IMAGES, LABELS[:5]), r"images have shape \(6, 3, 16, 20\) and labels \(5,\); expected"),
        ((IMAGES, torch.rand(6, 9)), "9 columns but num_classes is 12"),
        ((IMAGES, torch.rand(6, 2, 3)), "the labels are a Tensor of shape .*expected a tensor of"),
        ((IMAGES, LABELS + 1), "labels run from 1 to 12; expected 0 to 11"),
        (({"image": IMAGES},), "the batch has 'image'; expected labels under a name"),
        ((), r"the batch is \(\); expected images and labels"),
    ],
    ids=lambda value: None,
)
def test_inputs_that_do_not_fit_are_named(inputs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made("CutMix")(*inputs)


def test_class_counts_are_never_guessed_and_labels_are_needed() -> None:
    assert tv.CutMix()(IMAGES, torch.eye(CLASSES)[LABELS])[1].shape == (6, CLASSES)
    for ours in (tv.CutMix(), v2.CutMix()):
        with pytest.raises(ValueError, match="num_classes"):
            ours(IMAGES, LABELS)
    for ours in (made("CutMix", labels_getter=None), v2.CutMix(num_classes=3, labels_getter=None)):
        with pytest.raises(ValueError, match="label"):
            ours(IMAGES, LABELS)
    with pytest.raises(ValueError, match="num_classes is 0; expected a whole number, at least 1"):
        tv.CutMix(num_classes=0)
    with pytest.raises(ValueError, match="labels_getter is 'labels'; expected a callable"):
        made("CutMix", labels_getter="labels")
    with pytest.raises(ValueError, match=r"alpha is -1\.0"):
        made("CutMix", alpha=-1.0)
    with pytest.raises(TypeError, match="alhpa"):
        made("CutMix", alhpa=1.0)
    with pytest.raises(
        ValueError, match=r"MixTransform: mixer is <class .*; expected an object wi"
    ):
        tv.MixTransform(mw.CutMix, num_classes=3)
    with pytest.raises(ValueError, match="makes 3 images of 6; expected as many"):
        made("MiAMix", views=2)(IMAGES, LABELS)


def test_mix_takes_marked_images_as_any_other() -> None:
    """``Mix`` in the loop needs no torchvision, and sees a tensor in what is one."""
    mix = mw.Mix(mw.CutMix(), num_classes=CLASSES, seed=0)
    again = mw.Mix(mw.CutMix(), num_classes=CLASSES, seed=0)
    images, targets = mix({"x": tv_tensors.Image(IMAGES), "labels": LABELS}).values()
    expected = again(IMAGES, LABELS)
    assert torch.equal(images, expected[0])
    assert torch.equal(targets, expected[1])


def test_the_blocks_of_the_page_run_one_after_another() -> None:
    page = Path(__file__).parents[2] / "docs" / "integrations" / "torchvision.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    assert len(blocks) == 4
    scope: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, page.name, "exec"), scope)
    told = set(re.findall(r"`(\w+)`", page.read_text()))
    assert set(ALL) <= told
