"""Two comparisons that differ in their crops alone, side by side: small objects, and large ones.

Large crops of whole images leave objects small, small crops make them large. Both comparisons are
ordinary ones, by ``mixwright compare --crop original --crop-scale LOW,HIGH --centre-crop SHARE``;
what is made of them has the form of ``run.run_scenarios``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mixwright.lab.analysis.findings import Findings, Group
from mixwright.lab.analysis.store import read_findings
from mixwright.lab.evaluation.subject import Measurement
from mixwright.lab.theory.scenarios.run import PAIR

_CROPS = ("crop_scale", "centre_crop")
_PROTOCOL = ("model", "epochs", "batch_size", "lr", "weight_decay", "optimizer", "image_size")


class Compared(NamedTuple):
    """What both comparisons say of a method: how people call it, and a result a seed."""

    label: str
    found: tuple[Measurement, ...]


def compared_crops(first: Path, second: Path) -> dict[str, Compared]:
    """Set two comparisons side by side, by METHOD; the order of the two does not matter.

    Scores are those of the trained weights after the last epoch, of the seeds that both have.

    Raises:
        ValueError: one is no comparison or has no such crops, they differ in more than crops, or
            they have no method with a seed in common.
    """
    both = [(path, _findings(path)) for path in (first, second)]
    (_, one), (_, other) = both
    _check_alike(both)
    scales = [_scale(findings) for _, findings in both]
    if sum(scales[0]) == sum(scales[1]):
        raise ValueError(
            f"{first} and {second} both train on crops of {_range(scales[0])} of the image; "
            "expected large crops and small ones. Name two comparisons with another --crop-scale."
        )
    # Much of an image leaves its objects small.
    small, large = (one, other) if sum(scales[0]) > sum(scales[1]) else (other, one)
    methods = {
        method: (mine, theirs)
        for method, mine in _methods(small).items()
        if (theirs := _methods(large).get(method)) and set(mine.seeds) & set(theirs.seeds)
    }
    if not methods:
        raise ValueError(
            f"{first} and {second} have no method with a seed in common; expected the same methods "
            "and seeds in both."
        )
    protocol = _protocol(small, large, [*methods])
    return {
        method: Compared(mine.name, tuple(_results(mine, theirs, small, large, protocol)))
        for method, (mine, theirs) in methods.items()
    }


def _findings(path: Path) -> Findings:
    findings = read_findings(path)
    recipe = findings.about.recipe
    if findings.kind != "comparison" or recipe is None:
        raise ValueError(
            f"{path} holds a record of kind {findings.kind}; expected one of mixwright compare."
        )
    if recipe["crop"] != "original":
        raise ValueError(
            f"{path} was trained with --crop {recipe['crop']}; expected original, which cuts from "
            "the whole images, with the scales of its crops as --crop-scale LOW,HIGH."
        )
    return findings


def _check_alike(both: list[tuple[Path, Findings]]) -> None:
    (first, one), (second, other) = both
    left, right = _recipe(one), _recipe(other)
    odd = [
        f"{name} ({left.get(name)!r} and {right.get(name)!r})"
        for name in dict.fromkeys([*left, *right])
        if name not in _CROPS and left.get(name) != right.get(name)
    ]
    if odd:
        raise ValueError(
            f"{first} and {second} differ in {', '.join(odd)}; expected comparisons that differ in "
            "crop_scale and centre_crop alone."
        )


def _recipe(findings: Findings) -> Mapping[str, Any]:
    assert findings.about.recipe is not None
    return findings.about.recipe


def _scale(findings: Findings) -> tuple[float, float]:
    """The smallest and the largest share of an image that training saw."""
    scale = _recipe(findings)["crop_scale"]
    return (scale[0], scale[1]) if isinstance(scale, list | tuple) else (scale, 1.0)


def _range(scale: tuple[float, float]) -> str:
    low, high = (f"{100 * share:.3g}" for share in scale)
    return f"{low} to {high} %"


def _methods(findings: Findings) -> dict[str, Group]:
    """The trained weights of each method; of two heads the usual one."""
    found: dict[str, Group] = {}
    for group in findings.parts["scores"].groups:
        if group.weights.startswith("raw") and not group.checkpoint:
            found.setdefault(group.method, group)
    return found


def _protocol(small: Findings, large: Findings, methods: list[str]) -> dict[str, Any]:
    recipe, data = _recipe(small), small.about.data
    pair = [
        next((method for method in methods if method.partition(":")[0] == name), name)
        for name in PAIR
    ]
    return {
        "pair": pair,
        "dataset_kind": "crops",
        "train_size": data.train,
        "test_size": data.test,
        **{name: recipe.get(name) for name in _PROTOCOL},
        "crops": {
            size: {"scale": list(_scale(of)), "centre": _recipe(of).get("centre_crop")}
            for size, of in (("small", small), ("large", large))
        },
    }


def _results(
    mine: Group, theirs: Group, small: Findings, large: Findings, protocol: Mapping[str, Any]
) -> list[Measurement]:
    """One result for each seed that both comparisons have."""
    task = small.about.data.name
    return [
        Measurement(
            summary={
                "seed": seed,
                "tasks": {
                    task: {
                        "small": _score(small, mine, seed),
                        "large": _score(large, theirs, seed),
                    }
                },
                **protocol,
            }
        )
        for seed in mine.seeds
        if seed in theirs.seeds
    ]


def _score(findings: Findings, group: Group, seed: int | None) -> dict[str, Any]:
    summary = group.summaries[group.seeds.index(seed)]
    return {
        "top1": summary["top1"],
        "nll": summary["nll"],
        "object_share": sum(_scale(findings)) / 2,
    }
