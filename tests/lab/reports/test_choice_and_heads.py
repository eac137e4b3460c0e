"""What a report says of how epochs, images, heads and options were chosen."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from lab.reports.fabricated import RECIPE, finish, page_of, plan_runs, scores
from mixwright.lab.analysis.findings import Findings
from mixwright.lab.cli.table import print_comparison, scores_table
from mixwright.lab.data.load import load_data
from mixwright.lab.data.sets import Dataset
from mixwright.lab.experiments.comparing import compare_runs
from mixwright.lab.experiments.methods import parse_methods
from mixwright.lab.reports.caveats import caveats
from mixwright.lab.reports.section import Table
from mixwright.lab.reports.sections.scores import write

BOTH = dict.fromkeys(("raw", "ema"), "own") | dict.fromkeys(("raw_mixed", "ema_mixed"), "mixed")


def compared(
    out: Path, *fields: dict[str, Any], data: Dataset | None = None, **recipe: Any
) -> Findings:
    """A comparison of none and MixUp, whose runs have further fields in their results."""
    runs = plan_runs(parse_methods(("none", "mixup")), RECIPE | recipe, seeds=1, out=out)
    for run, more in zip(runs, fields or ({}, {}), strict=True):
        finish(run, scores(0.5), scores(0.6), **more)
    findings, _ = compare_runs(
        runs, (), data=data or load_data("digits"), command="", parallel=1, out=out
    )
    return findings


def said(findings: Findings) -> str:
    return " ".join(caveats(findings))


def test_on_what_the_best_epoch_was_chosen(tmp_path: Path) -> None:
    assert "was chosen on the test images and flatters every method" in said(compared(tmp_path))
    data = load_data("digits", val_share=0.2)
    share = compared(
        tmp_path / "share", *[{"chosen_on": "training share"}] * 2, data=data, val_share=0.2
    )
    assert "chosen on 20 training images that were held out; the test images decided" in said(share)
    assert "flatters" not in said(share)
    own = [{"chosen_on": "validation"}, {"chosen_on": "validation"}]
    part = replace(data, validation=data.test)
    text = said(compared(tmp_path / "own", *own, data=part))
    assert "chosen on 797 validation images; the test images decided nothing" in text
    older = said(compared(tmp_path / "older", own[0], {}, data=part))
    assert "in runs from before there were any it was chosen on the test images" in older


def test_whether_intervals_hold_the_choice_of_images(tmp_path: Path) -> None:
    fixed = said(compared(tmp_path / "fixed"))
    assert "intervals leave out the choice of images" in fixed
    drawn = said(compared(tmp_path / "drawn", subset_seeds=True))
    assert "Each seed drew its own images to train on" in drawn
    assert "leave out the choice" not in drawn


def test_what_the_data_decided_of_a_method(tmp_path: Path) -> None:
    told = {"set_by_data": {"MiAMix.self_flip": False}}
    text = said(compared(tmp_path, {}, told))
    assert "MiAMix.self_flip is false in mixup, since the data are not to be mirrored." in text
    assert "since the data" not in said(compared(tmp_path / "plain"))


def printed(findings: Findings, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    print_comparison(findings, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_both_heads_have_columns(tmp_path: Path) -> None:
    more = {"raw_mixed": scores(0.7375), "ema_mixed": scores(0.7775)}
    findings = compared(tmp_path, {}, {"heads": BOTH, "more_columns": more})
    for width in (80, 240):
        text = printed(findings, width)
        assert "73.8" in text
        assert "77.8" in text
        assert "mixed head" in text
    keys = [group.key for group in findings.parts["scores"].groups]
    assert keys == ["none raw", "none ema", "mixup raw", "mixup ema", "mixup raw_mixed",
                    "mixup ema_mixed"]  # fmt: skip
    group = findings.parts["scores"].group("mixup ema_mixed")
    assert group is not None
    assert abs(group.differences["top1"].interval.mean - (0.7775 - 0.6)) < 1e-12  # to EMA of none
    table = write(findings.parts["scores"], page_of((findings, {})))["accuracy"].blocks[0]
    assert isinstance(table, Table)
    heads = [name for name, _ in table.spans]
    assert heads[-3:] == ["Trained weights, mixed head", "EMA, mixed head", ""]
    assert "trains two last layers" in table.caption
    assert "mixed head" not in printed(compared(tmp_path / "plain"))


def test_a_head_that_learned_alone_is_named(tmp_path: Path) -> None:
    alone = {"heads": {"raw": "mixed", "ema": "mixed"}}
    findings = compared(tmp_path, {}, alone)
    assert "of mixup the last layer for mixed images alone learned" in " ".join(
        printed(findings).split()
    )
    assert "All numbers of mixup are those of the last layer that learns from mixed" in said(
        findings
    )
    console = Console(file=io.StringIO(), width=80)
    console.print(scores_table({"raw": scores(0.5)}, alone["heads"]))
    console.print(scores_table({"raw": scores(0.5)}, {}))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert " ".join(text.split()).count("last layer that learned from mixed images") == 1
