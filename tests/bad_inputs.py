"""Inputs that are refused in words: of every constructor, and of functions of tensors."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from mixwright import (
    MIXERS,
    OBJECTIVES,
    AttentiveCutMix,
    CrossEntropy,
    CutMix,
    FieldMix,
    FMix,
    LearnedMixer,
    MiAMix,
    Mix,
    Mixed,
    MixPlan,
    MixUp,
    OneOf,
    PuzzleMix,
    SaliencyMix,
    Scheduled,
    Sometimes,
    TokenMix,
    load_mixer,
)
from mixwright.lab import evaluation as ev
from mixwright.lab.models import Normalised, build_model
from mixwright.masknets import MaskGenerator, MixBlock, PairBlock
from mixwright.masknets.mask_loss import MaskLoss
from mixwright.mixers.fieldmix import Design
from mixwright.objectives.criteria import BinaryCrossEntropy
from mixwright.objectives.mixpro import MaskMix
from mixwright.objectives.teacher import EMA
from mixwright.objectives.tokenmix import TokenBlocks
from mixwright.saliency import FeatureMean, FineGrained, InputGradient, SpectralResidual
from mixwright.saliency.cam import ClassActivation


@dataclass(frozen=True)
class Bad:
    """A call that is refused, and what its message must name."""

    name: str
    call: Callable[[], Any]
    says: tuple[str, ...]


class NoPlan:
    """Without a method of any name, and without a repr that fits a line."""


NET = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
                    nn.Linear(8, 5)).eval()  # fmt: skip
EVALUATIONS = (
    ev.Accuracy, ev.Attack, ev.Calibration, ev.Cam, ev.Corruption, ev.Diversity, ev.Fidelity,
    ev.Gap, ev.Gradients, ev.Occlusion, ev.Probe,
)  # fmt: skip
CONSTRUCTORS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    kind.__name__: (kind, {})
    for kind in (
        *MIXERS.values(), *OBJECTIVES.values(), *EVALUATIONS, CrossEntropy, BinaryCrossEntropy,
        MaskLoss, FeatureMean, FineGrained, InputGradient, SpectralResidual, ClassActivation,
        TokenBlocks, MaskMix,
    )
} | {
    "Sometimes": (Sometimes, {"mixer": MixUp(), "p": 0.5}),
    "Mix": (Mix, {"mixer": MixUp()}),
    "MixBlock": (MixBlock, {"channels": 8}),
    "PairBlock": (PairBlock, {"channels": 8}),
    "MaskGenerator": (MaskGenerator, {"channels": 8}),
    "LearnedMixer": (LearnedMixer, {"encoder": NET, "network": MixBlock(8), "layer": "0"}),
    "EMA": (EMA, {"model": NET, "decay": 0.5}),
    "FieldMix": (FieldMix, {"design": Design.of(torch.ones(16, 16), alpha=1.0)}),
    "Design": (Design, {"size": (1, 1), "alpha": 1.0, "depth": 1.0, "softness": 0.0,
                        "power": bytes(16)}),
    "Normalised": (Normalised, {"model": NET, "mean": (0.5,) * 3, "std": (0.5,) * 3}),
}  # fmt: skip
# No text is a value of these, by the words of their annotation; None is one where it says so.
WRONG: dict[str, tuple[Any, ...]] = {
    "float": ("0.5", float("nan"), float("inf"), True, [0.5], 1j, NoPlan, np.zeros(2)),
    "int": ("3", 1.5, True, [3], float("nan"), -1, torch.ones(2)),
    "bool": ("no", 1, 0.0, []),
    "str": (5, [5], nn.Linear),
    "tuple": (0.5, "ab", (), ("a", "b"), (float("nan"), 1.0)),
    "words": ("nonsense", 3, ("sample",), True),
    "Mixer": (CutMix, "cutmix", 5, NoPlan(), [CutMix()]),
    "Criterion": ("x", 5, CrossEntropy, nn.CrossEntropyLoss, [CrossEntropy()]),
    "Module": ("x", 5, nn.Linear, NoPlan()),
}
WORDS = ("Placing", "Per", "Pairing", "Fill", "Spectrum", "Variant", "Merge", "Law", "Solver",
         "Interpolation", "Placement", "Mode", "Resize", "Kind", "MaskLossName", "Upsampling",
         "Statistics", "Of", "GameName", "Order", "Scale", "GuidedPairing", "Saliency", "Loss",
         "Literal", "Protocol")  # fmt: skip


def kinds_of(annotation: str) -> list[str]:
    """The rows of ``WRONG`` that a parameter of this annotation must refuse."""
    head = annotation.split("[")[0].split(" | ")[0]
    if "|" in annotation and "None" not in annotation and "Saliency" not in annotation:
        return []  # of several types
    if head in ("Sources", "Fill", "Design", "Path") or annotation.startswith("int | tuple"):
        return []
    if annotation.startswith(("Module", "nn.Module")):
        return ["Module"]
    if head.startswith("Criterion"):
        return ["Criterion"]
    if head.startswith(WORDS):
        return ["words"]
    return [head] if head in WRONG else []


def constructors() -> Iterator[Bad]:
    """Every argument of every constructor, given what it cannot be."""
    for name, (kind, given) in CONSTRUCTORS.items():
        for argument, parameter in inspect.signature(kind).parameters.items():
            if parameter.kind is parameter.VAR_POSITIONAL or (name, argument) in FREE:
                continue
            for row in kinds_of(str(parameter.annotation)):
                for value in WRONG[row]:
                    if argument in ("seed", "ignore_index") and type(value) is int:
                        continue  # any whole number is one
                    yield Bad(
                        f"{name}({argument}={value!r:.40})",
                        lambda kind=kind, given=given, argument=argument, value=value: kind(
                            **given | {argument: value}
                        ),
                        (argument,),
                    )


FREE = {("FeatureMean", "size"), ("Design", "power"), ("ManifoldMix", "layers"),
        ("PuzzleMix", "std"), ("Attack", "epsilons")}  # fmt: skip

IMAGES = torch.rand(4, 3, 16, 16)
LABELS = torch.tensor([0, 1, 2, 3])
LOGITS = torch.zeros(4, 5)
SPARSE = IMAGES.to_sparse()
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # torch will drop them
    QUANTISED = torch.quantize_per_tensor(IMAGES, 0.1, 0, torch.quint8)


def rng() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def plan() -> MixPlan:
    return CutMix().plan(IMAGES, generator=rng())


def tensors() -> Iterator[Bad]:
    """Functions and methods that take tensors, given what is none, or none that fits."""
    not_images: dict[str, Any] = {
        "list": IMAGES.tolist(), "array": IMAGES.numpy(), "None": None, "text": "x",
        "number": 3, "sparse": SPARSE, "quantised": QUANTISED, "tuple": tuple(IMAGES),
        "class": torch.Tensor,
    }  # fmt: skip
    made: dict[str, Callable[[Any], Any]] = {
        **{
            f"{name}.plan": lambda x, kind=kind: kind().plan(x, LABELS, generator=rng(), model=NET)
            for name, kind in MIXERS.items()
        },
        "OneOf.plan": lambda x: OneOf(MixUp(), CutMix()).plan(x, generator=rng()),
        "Sometimes.plan": lambda x: Sometimes(MixUp(), 0.5).plan(x, generator=rng()),
        "Scheduled.plan": lambda x: Scheduled(lambda _: MixUp()).plan(x, generator=rng()),
        "Mix": lambda x: Mix(CutMix(), num_classes=5)(x, LABELS),
        "Mix.plan": lambda x: Mix(CutMix(), num_classes=5).plan(x),
        "Mix off": lambda x: Mix(CutMix(), num_classes=5).eval().plan(x),
        "plan.images": lambda x: plan().images(x),
        "MixPlan.identity": lambda x: MixPlan.identity(x),
        "InputGradient": lambda x: InputGradient()(x, LABELS, model=NET),
        "SpectralResidual": lambda x: SpectralResidual()(x),
        "FineGrained": lambda x: FineGrained()(x),
        "ClassActivation": lambda x: ClassActivation()(x, LABELS, model=NET),
        "FeatureMean": lambda x: FeatureMean()(x, model=NET),
        "grad_cam": lambda x: ev.grad_cam(NET, x, LABELS),
        "fgsm": lambda x: ev.fgsm(NET, x, LABELS, eps=0.1),
        "pgd": lambda x: ev.pgd(NET, x, LABELS, eps=0.1, alpha=0.1, steps=1, generator=rng()),
        "corrupt": lambda x: ev.corrupt(x, "brightness", 1, seed=0),
        "occlude": lambda x: ev.occlude(x, torch.zeros(4, 16), 0.5, patch=4, fill=torch.tensor(0)),
        "Mixed": lambda x: Mixed(MixUp())(NET, x, LABELS, generator=rng(), progress=0.0),
        "plain Mixed": lambda x: Mixed()(NET, x, LABELS, generator=rng(), progress=0.0),
    }
    for name, call in made.items():
        for form, value in not_images.items():
            yield Bad(f"{name}({form})", lambda call=call, value=value: call(value), ("images",))
    not_tensors: dict[str, Any] = {
        "list": [1.0, 2.0], "array": np.zeros((4, 2)), "None": None, "text": "x", "sparse": SPARSE
    }  # fmt: skip
    half = torch.full((4, 2), 0.5)
    index = torch.zeros(4, 2, dtype=torch.int64)
    mask = torch.full((4, 2, 1, 1), 0.5)
    right: dict[str, Any] = {"index": index, "mask": mask, "weight": half, "pool": 4}
    for form, value in not_tensors.items():
        for argument in ("index", "mask", "weight", "fill", "lam"):
            if not (form == "None" and argument in ("fill", "lam")):
                yield Bad(
                    f"MixPlan({argument}={form})",
                    lambda a=argument, v=value: MixPlan(**right | {a: v}),
                    (argument,),
                )
        yield Bad(f"pair(partner={form})", lambda v=value: MixPlan.pair(v, mask[:, :1]),
                  ("partner",))  # fmt: skip
        yield Bad(f"pair(keep={form})", lambda v=value: MixPlan.pair(index[:, 0], v), ("keep",))
        if form != "None":
            yield Bad(
                f"pair(weight={form})",
                lambda v=value: MixPlan.pair(index[:, 0], mask[:, :1], weight=v),
                ("weight",),
            )
        yield Bad(f"where({form})", lambda v=value: plan().where(v, plan()), ("select",))
        yield Bad(f"plan.loss(logits={form})",
                  lambda v=value: plan().loss(CrossEntropy(), v, LABELS), ("logits",))  # fmt: skip
        yield Bad(f"plan.accuracy(logits={form})",
                  lambda v=value: plan().accuracy(v, LABELS), ("logits",))  # fmt: skip
        scores: tuple[Callable[[Any], Any], ...] = (
            lambda x: ev.ece(x, LABELS), lambda x: ev.nll(x, LABELS),
            lambda x: ev.brier(x, LABELS), lambda x: ev.topk_accuracy(x, LABELS),
            lambda x: ev.fit_temperature(x, LABELS),
        )  # fmt: skip
        for k, score in enumerate(scores):
            yield Bad(f"score {k}(logits={form})", lambda s=score, v=value: s(v), ("logits",))
        yield Bad(f"reliability({form})", lambda v=value: ev.reliability(v, LABELS),
                  ("confidence",))  # fmt: skip
    for form, value in {"text": "x", "None": None, "object": NoPlan(), "bool": LABELS > 0,
                        "ragged": [[1], [1, 2]], "words": ["a", "b", "c", "d"],
                        "complex": torch.zeros(4, 5, dtype=torch.complex64),
                        "sparse": torch.zeros(4, 5).to_sparse(),
                        "deep": torch.zeros(4, 5, 2), "few": [0, 1],
                        "below": [0, 1, 2, -1], "above": [0, 1, 2, 5],
                        "nan": torch.full((4, 5), torch.nan)}.items():  # fmt: skip
        for name, call in {
            "targets": lambda y: plan().targets(y, 5),
            "Mix": lambda y: Mix(CutMix(), num_classes=5)(IMAGES, y),
            "loss": lambda y: plan().loss(CrossEntropy(), LOGITS, y),
            "accuracy": lambda y: plan().accuracy(LOGITS, y),
            "check": lambda y: plan().check(y, 5),
        }.items():
            if (name, form) in LABELS_TAKEN:
                continue
            yield Bad(f"{name}(labels={form})", lambda c=call, v=value: c(v), ("labels",))
    for form, value in {"text": "x", "None": None, "number": 3, "class": CrossEntropy}.items():
        yield Bad(f"plan.loss(criterion={form})",
                  lambda v=value: plan().loss(v, LOGITS, LABELS), ("criterion",))  # fmt: skip
    for form, value in {"text": "x", "number": 3, "class": nn.Linear, "None": None}.items():
        for name, call in {
            "grad_cam": lambda m: ev.grad_cam(m, IMAGES, LABELS),
            "fgsm": lambda m: ev.fgsm(m, IMAGES, LABELS, eps=0.1),
            "pgd": lambda m: ev.pgd(m, IMAGES, LABELS, eps=0.1, alpha=0.1, steps=1,
                                    generator=rng()),
            "evaluate": lambda m: ev.evaluate(m, [(IMAGES, LABELS)]),
            "logits_of": lambda m: ev.logits_of(m, [(IMAGES, LABELS)]),
            "EMA": lambda m: EMA(m, 0.5),
            "saliencymix": lambda m: SaliencyMix().plan(IMAGES, LABELS, generator=rng(), model=m),
            "Normalised": lambda m: Normalised(m, (0.5,), (0.5,)),
        }.items():  # fmt: skip
            if (name, form) == ("saliencymix", "None"):
                continue  # None is no model, and it says that one is missing
            yield Bad(f"{name}(model={form})", lambda c=call, m=value: c(m), ("model",))
    for form, value in {"text": "x", "number": 3, "None": None, "numpy": np.random.default_rng(0),
                        "class": torch.Generator}.items():  # fmt: skip
        yield Bad(f"plan(generator={form})",
                  lambda g=value: CutMix().plan(IMAGES, generator=g), ("generator",))  # fmt: skip
        yield Bad(f"OneOf.plan(generator={form})",
                  lambda g=value: OneOf(CutMix()).plan(IMAGES, generator=g),
                  ("generator",))  # fmt: skip


LABELS_TAKEN = {("accuracy", "nan"), ("loss", "nan"), ("targets", "nan"), ("Mix", "nan"),
                ("loss", "deep"), ("check", "None"), ("loss", "below"), ("loss", "above"),
                ("accuracy", "below"), ("accuracy", "above"), ("loss", "bool"),
                ("check", "deep")}  # fmt: skip


def written() -> Iterator[Bad]:
    """Inputs that were reported, and others of their kinds."""
    calls: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
        "CutMix(minmax=.5)": (lambda: CutMix(minmax=0.5), ("minmax", "0.5")),
        "MiAMix(methods=5)": (lambda: MiAMix(methods=5), ("methods", "5")),
        "MiAMix(methods=MixUp())": (lambda: MiAMix(methods=MixUp()), ("methods", "MixUp")),
        "MiAMix(methods=classes)": (lambda: MiAMix(methods=(MixUp,), weights=(1,)), ("methods",)),
        "MiAMix(methods=names)": (lambda: MiAMix(methods=("mixup",), weights=(1,)), ("methods",)),
        "AttentiveCutMix": (lambda: AttentiveCutMix(teacher="x"), ("teacher", "'x'")),
        "AGMix": (lambda: MIXERS["agmix"](rotate="no"), ("rotate", "'no'")),
        "OneOf(classes)": (lambda: OneOf(CutMix, MixUp), ("mixers", "CutMix")),
        "OneOf(list)": (lambda: OneOf([CutMix(), MixUp()]), ("mixers",)),
        "OneOf(names)": (lambda: OneOf("cutmix", "mixup"), ("mixers", "'cutmix'")),
        "OneOf(p=1)": (lambda: OneOf(CutMix(), p=1), ("p", "1")),
        "OneOf(p=text)": (lambda: OneOf(CutMix(), p="1"), ("p", "'1'")),
        "OneOf(p=words)": (lambda: OneOf(CutMix(), p=("a",)), ("p", "'a'")),
        "OneOf(p=nan)": (lambda: OneOf(CutMix(), p=(float("nan"),)), ("p", "nan")),
        "OneOf(p=set)": (lambda: OneOf(CutMix(), p={1.0}), ("p", "1.0")),
        "Mix(class)": (lambda: Mix(CutMix), ("mixer", "CutMix")),
        "Scheduled": (lambda: Scheduled("x"), ("at", "'x'")),
        "Scheduled(mixer)": (lambda: Scheduled(CutMix()), ("at", "CutMix")),
        "Scheduled(class)": (
            lambda: Scheduled(lambda _: CutMix).plan(IMAGES, generator=rng()), ("mixer", "CutMix")),
        "TokenMix(teacher)": (lambda: TokenMix(teacher=5), ("teacher", "5")),
        "MiAMix(k_max)": (lambda: MiAMix(k_max=10**9), ("k_max", "1000000000")),
        "MiAMix(layers)": (lambda: MiAMix(layers=10**9), ("layers", "1000000000")),
        "Cutout(holes)": (lambda: MIXERS["cutout"](holes=10**9), ("holes", "1000000000")),
        "LearnedMixer(sources)": (
            lambda: LearnedMixer(NET, MixBlock(8), layer="0", sources=10**9), ("sources",)),
        "AdAutoMix(sources)": (
            lambda: OBJECTIVES["adautomix"](sources=10**9), ("sources", "1000000000")),
        **{
            f"{kind}({argument}=10**9)": (
                lambda kind=kind, argument=argument: (MIXERS | OBJECTIVES)[kind](
                    **{argument: 10**9}
                ),
                (argument, "1000000000", "at most"),
            )
            for kind, argument in {
                "miamix": "k_max", "puzzlemix": "neigh_size", "comixup": "block",
                "attentivecutmix": "teacher_size", "alignmix": "iters", "meada": "steps",
                "spectral": "steps",
            }.items()
        },
        "PuzzleMix(iterations)": (lambda: PuzzleMix(iterations=10**9), ("iterations", "at most")),
        "CoMixup(iters)": (lambda: MIXERS["comixup"](iters=10**9), ("iters", "at most")),
        "CoMixup(group)": (lambda: MIXERS["comixup"](group=10**9), ("group", "at most")),
        "Spectral(views)": (lambda: OBJECTIVES["spectral"](views=10**9), ("views", "at most")),
        "FeatureMean(size)": (lambda: FeatureMean(size=10**9), ("size", "at most")),
        "SpectralResidual(size)": (lambda: SpectralResidual(size=10**9), ("size", "at most")),
        "PuzzleMix(std=0)": (lambda: PuzzleMix(std=(0.0, 1.0, 1.0)), ("std",)),
        "PuzzleMix(blocks)": (lambda: PuzzleMix(blocks=(2, "4")), ("blocks", "'4'")),
        "FMix(decay=10**400)": (lambda: FMix(decay=10**400), ("decay",)),
        "MixUp(alpha=10**400)": (lambda: MixUp(alpha=10**400), ("alpha",)),
        "MixUp(lam=10**400)": (lambda: MixUp(lam=10**400), ("lam",)),
        "FieldMix(5)": (lambda: FieldMix(design=5), ("design", "5")),
        "FieldMix(file)": (lambda: FieldMix(design="no-such-file"), ("no-such-file",)),
        "load_mixer(5)": (lambda: load_mixer(5), ("path", "5")),
        "build_model(5)": (lambda: build_model(5, num_classes=2, image_size=8), ("name", "5")),
        "eval(batches=5)": (lambda: ev.evaluate(NET, 5), ("batches", "5")),
        "eval(batches=tensor)": (lambda: ev.evaluate(NET, [IMAGES]), ("batch",)),
        "eval(labels=list)": (lambda: ev.evaluate(NET, [(IMAGES, [0, 1, 2, 3])]), ("labels",)),
        "ece(bins=0)": (lambda: ev.ece(LOGITS, LABELS, bins=0), ("bins", "0")),
        "ece(bins=1.5)": (lambda: ev.ece(LOGITS, LABELS, bins=1.5), ("bins", "1.5")),
        "ece(bins=10**12)": (lambda: ev.ece(LOGITS, LABELS, bins=10**12), ("bins",)),
        "ece(float labels)": (lambda: ev.ece(LOGITS, LABELS.float()), ("labels",)),
        "ece(list)": (lambda: ev.ece(LOGITS, [0, 1, 2, 3]), ("labels",)),
        "topk(0)": (lambda: ev.topk_accuracy(LOGITS, LABELS, 0), ("k", "0")),
        "topk('1')": (lambda: ev.topk_accuracy(LOGITS, LABELS, "1"), ("k", "'1'")),
        "topk(True)": (lambda: ev.topk_accuracy(LOGITS, LABELS, True), ("k", "True")),
        "grad_cam(classes)": (lambda: ev.grad_cam(NET, IMAGES, [0, 1, 2, 3]), ("classes",)),
        "grad_cam(floats)": (lambda: ev.grad_cam(NET, IMAGES, LABELS.float()), ("class",)),
        "grad_cam(few)": (lambda: ev.grad_cam(NET, IMAGES, LABELS[:2]), ("class",)),
        "grad_cam(layer=5)": (lambda: ev.grad_cam(NET, IMAGES, LABELS, layer=5), ("layer", "5")),
        "fgsm(eps)": (lambda: ev.fgsm(NET, IMAGES, LABELS, eps="8/255"), ("eps", "'8/255'")),
        "fgsm(nan)": (lambda: ev.fgsm(NET, IMAGES, LABELS, eps=float("nan")), ("eps", "nan")),
        "fgsm(loss)": (lambda: ev.fgsm(NET, IMAGES, LABELS, eps=0.1, loss="x"), ("loss", "'x'")),
        "fgsm(labels)": (lambda: ev.fgsm(NET, IMAGES, [0, 1, 2, 3], eps=0.1), ("labels",)),
        "fgsm(3-D)": (lambda: ev.fgsm(NET, IMAGES[0], LABELS, eps=0.1), ("images",)),
        "pgd(steps)": (lambda: ev.pgd(NET, IMAGES, LABELS, eps=0.1, alpha=0.1, steps=1.5,
                                      generator=rng()), ("steps", "1.5")),
        "pgd(random_start)": (lambda: ev.pgd(NET, IMAGES, LABELS, eps=0.1, alpha=0.1, steps=1,
                                             generator=rng(), random_start="no"),
                              ("random_start", "'no'")),
        "pgd(generator)": (lambda: ev.pgd(NET, IMAGES, LABELS, eps=0.1, alpha=0.1, steps=1,
                                          generator=0), ("generator", "0")),
        "corrupt(name)": (lambda: ev.corrupt((IMAGES * 255).byte(), 5, 1, seed=0), ("name", "5")),
        "corrupt(severity)": (lambda: ev.corrupt((IMAGES * 255).byte(), "fog", 9, seed=0),
                              ("severity", "9")),
        "corrupt(True)": (lambda: ev.corrupt((IMAGES * 255).byte(), "fog", True, seed=0),
                          ("severity", "True")),
        "corrupt(seed)": (lambda: ev.corrupt((IMAGES * 255).byte(), "fog", 1, seed="0"),
                          ("seed", "'0'")),
        "corrupt(floats)": (lambda: ev.corrupt(IMAGES, "fog", 1, seed=0), ("images", "float32")),
        "occlude(patch)": (lambda: ev.occlude(IMAGES, torch.zeros(4, 16), 0.5, patch=4.0,
                                              fill=torch.tensor(0.0)), ("patch", "4.0")),
        "occlude(fill)": (lambda: ev.occlude(IMAGES, torch.zeros(4, 16), 0.5, patch=4, fill=0.0),
                          ("fill", "0.0")),
        "Mix(images as labels)": (lambda: Mix(CutMix(), num_classes=5)(LABELS, IMAGES),
                                  ("images",)),
        "MixPlan(pool)": (lambda: plan().replace(pool="4"), ("pool", "'4'")),
        "MixPlan(pool=1.5)": (lambda: plan().replace(pool=4.5), ("pool", "4.5")),
        "MixPlan(pool=-1)": (lambda: plan().replace(pool=-1), ("pool", "-1")),
        "MixPlan(weight=nan)": (
            lambda: plan().replace(weight=torch.full((4, 2), torch.nan)).check(), ("weight",)),
        "MixPlan(weight=complex)": (
            lambda: plan().replace(weight=torch.zeros(4, 2, dtype=torch.complex64)), ("weight",)),
        "MixPlan(self_first)": (lambda: plan().replace(self_first="x"), ("self_first", "'x'")),
        "plan.targets(num_classes)": (lambda: plan().targets(LABELS, "5"), ("num_classes", "'5'")),
        "plan.targets(5.0)": (lambda: plan().targets(LABELS, 5.0), ("num_classes", "5.0")),
        "plan.targets(10**15)": (lambda: plan().targets(LABELS, 10**15), ("num_classes",)),
        "plan.at(x)": (lambda: plan().at("4", "4"), ("size", "'4'")),
        "plan.at(8, 8, 8)": (lambda: plan().at(8, 8, 8), ("size", "8")),
        "plan.where(plan)": (lambda: plan().where(torch.ones(4, dtype=torch.bool), 5),
                             ("other", "5")),
        "plan.where(floats)": (lambda: plan().where(torch.ones(4), plan()), ("select",)),
        "Mix.progress": (lambda: setattr(Mix(CutMix()), "progress", "x"), ("progress", "'x'")),
        "Mix.set_epoch": (lambda: Mix(CutMix()).set_epoch("1"), ("epoch", "'1'")),
        "Mix.collate(5)": (lambda: Mix(CutMix()).collate(5), ("samples", "5")),
        "Mix.collate([])": (lambda: Mix(CutMix()).collate([]), ("samples",)),
        "Normalised(mean)": (lambda: Normalised(NET, "abc", (1.0,)), ("mean", "'abc'")),
        "Normalised(std=0)": (lambda: Normalised(NET, (0.0,), (0.0,)), ("std",)),
        "build_model(classes)": (
            lambda: build_model("smallconv", num_classes="2", image_size=8), ("num_classes",)),
        "build_model(size)": (
            lambda: build_model("smallconv", num_classes=2, image_size=-8), ("image_size",)),
    }  # fmt: skip
    for name, (call, says) in calls.items():
        yield Bad(name, call, says)


def all_bad() -> list[Bad]:
    """The table."""
    return [*written(), *constructors(), *tensors()]
