"""Two comparisons of crops side by side: which is which, the seeds, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from lab.reports.pages import ABOUT, made_group, sections_of, tables
from mixwright.lab.analysis.findings import Findings, Group, Part
from mixwright.lab.analysis.store import write_findings
from mixwright.lab.cli import main
from mixwright.lab.reports.formatting import MINUS
from mixwright.lab.theory.scenarios.comparisons import compared_crops
from mixwright.lab.training.recipe import Recipe

LARGE = {"crop_scale": (0.8, 1.0), "centre_crop": 0.9}  # of crops, which leave objects small
SMALL = {"crop_scale": (0.1, 0.25), "centre_crop": 0.175}


def group(method: str, scores: Mapping[int, float], weights: str = "raw") -> Group:
    summaries = [{"top1": score, "nll": 1.0} for score in scores.values()]
    return made_group(method, weights, summaries, seeds=[*scores], baseline=method == "none")


def comparison(path: Path, groups: list[Group], **recipe: Any) -> Path:
    fields = asdict(Recipe(**({"data": "digits", "epochs": 7, "crop": "original"} | recipe)))
    for name in ("method", "seed"):
        del fields[name]
    about = replace(ABOUT, recipe=fields)
    parts = {"scores": Part(groups=tuple(groups))}
    write_findings(path, Findings(kind="comparison", about=about, parts=parts), {})
    return path


def published(path: Path) -> tuple[Path, Path]:
    """The two scenarios of the unified analysis; large crops have a seed more, in another order."""
    large = comparison(
        path / "large",
        [
            group("mixup", {3: 0.9, 1: 0.585, 0: 0.581}),
            group("mixup", {3: 0.1, 1: 0.1, 0: 0.1}, "ema"),
            group("cutmix", {3: 0.9, 1: 0.646, 0: 0.642}),
            group("fmix", {0: 0.6}),
        ],
        **LARGE,
    )
    small = comparison(
        path / "small",
        [
            group("none", {0: 0.5}),
            group("cutmix", {0: 0.672, 1: 0.668}),
            group("mixup", {0: 0.679, 1: 0.675}),
        ],
        **SMALL,
    )
    return large, small


def test_the_published_table_from_two_comparisons(tmp_path: Path) -> None:
    large, small = published(tmp_path)
    found = compared_crops(small, large)
    assert sorted(found) == sorted(compared_crops(large, small)) == ["cutmix", "mixup"]
    for method, swapped in compared_crops(large, small).items():  # whichever comes first
        assert [of.summary for of in swapped.found] == [of.summary for of in found[method].found]
    first, second = (measured.summary for measured in found["mixup"].found)
    assert (first["seed"], second["seed"]) == (1, 0)
    assert [second["tasks"]["digits"][size]["top1"] for size in ("small", "large")] == [
        0.581,
        0.679,
    ]
    assert second["tasks"]["digits"]["small"]["object_share"] == pytest.approx(0.9)
    groups = [
        made_group(key, "", [measured.summary for measured in compared.found], seeds=[1, 0])
        for key, compared in found.items()
    ]
    section = sections_of("scenarios", groups)["scenarios"]
    scores, differences = tables(section)
    assert [row[1].partition(" ")[0] for row in scores.rows] == ["58.3", "64.4"]
    # By seed +6.1, +6.1, less -0.7, -0.7.
    assert differences.rows == (
        (f"Cutmix {MINUS} Mixup", "+6.1 ± 0.0", f"{MINUS}0.7 ± 0.0", "+6.8 ± 0.0"),
    )
    assert section.protocol.startswith(
        "Two comparisons on digits: rectangles of 80 to 100 % of each image to train on, which "
        "leave objects small, tested on the centre 90 % and rectangles of 10 to 25 %"
    )
    assert "7 epochs" in section.protocol


def test_a_command_sets_them_side_by_side(tmp_path: Path, capsys: Any) -> None:
    large, small = published(tmp_path)
    words = ["theory", "--masks", "16", "--image-size", "8", "--scenarios", f"{large},{small}"]
    assert main([*words, "--out", str(tmp_path / "theory")]) == 0
    printed = capsys.readouterr().out
    assert "cutmix: 16 masks" in printed  # the moments of what was compared, and of nothing else
    assert "hmix" not in printed
    rows = [line.split() for line in printed.splitlines() if line.split()[:1] == ["Cutmix"]]
    assert rows == [["Cutmix", "64.4", "±", "2.5", "67.0", "±", "2.5", "+6.8", "±", "0.0"]]
    assert 'id="scenarios"' in (tmp_path / "theory" / "report.html").read_text()


def test_comparisons_that_cannot_be_set_side_by_side(tmp_path: Path) -> None:
    large, _ = published(tmp_path)
    groups = [group("mixup", {0: 0.5})]
    longer = comparison(tmp_path / "longer", groups, **(SMALL | {"lr": 0.5}))
    same = comparison(tmp_path / "same", groups, **LARGE)
    seeds = comparison(tmp_path / "seeds", [group("mixup", {7: 0.5})], **SMALL)
    shift = comparison(tmp_path / "shift", groups, crop="shift")
    other = tmp_path / "other"
    write_findings(other, Findings(kind="evaluation", about=ABOUT, parts={}), {})
    for second, message in (
        (longer, r"differ in lr \(0\.1 and 0\.5\); expected comparisons that differ in crop_scale"),
        (same, "both train on crops of 80 to 100 % of the image; expected large crops and small"),
        (seeds, "no method with a seed in common"),
        (shift, "was trained with --crop shift; expected original"),
        (other, "holds a record of kind evaluation; expected one of mixwright compare"),
    ):
        with pytest.raises(ValueError, match=message):
            compared_crops(large, second)


@pytest.mark.parametrize("text", ["crops", "sprits", "a,", ",b"])
def test_what_scenarios_may_be(text: str, capsys: Any) -> None:
    assert main(["theory", "--scenarios", text]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert f"--scenarios is {text!r}; expected sprites, cifar, or the folders of two" in said
