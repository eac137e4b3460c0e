"""What stands around the sections of a comparison: heading, caveats, every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from mixwright.arguments import counted
from mixwright.lab.analysis.cost import read_cost
from mixwright.lab.analysis.findings import Findings, Group, Part
from mixwright.lab.reports.caveats import caveats
from mixwright.lab.reports.formatting import NONE, duration, joined, listed, number, percent, when
from mixwright.lab.reports.page import Heading
from mixwright.lab.reports.section import Cell, Logs, Notes, Page, Section, Table
from mixwright.lab.reports.sections.answer import recommendation
from mixwright.lab.reports.sections.equal_time import at_equal_time
from mixwright.lab.reports.sections.scores import columns_of, methods_of

_SHOWN = {"data", "model", "epochs", "train_size", "image_size"}
"""Fields of the recipe that have a line of their own."""


def heading(page: Page) -> Heading:
    """Return title, recommendation and metadata of a comparison."""
    findings = page.findings
    about, scores = findings.about, findings.parts["scores"]
    seeds = _seeds(scores)
    finished = when(about.finished)
    return Heading(
        title=_title(findings),
        subtitle=f"{counted(len(seeds), 'seed')} · {_budget(findings)} · "
        f"{duration(about.seconds)} of training · {finished}",
        summary=recommendation(findings),
        metadata=_metadata(findings, finished),
        about="What was compared",
    )


def closing(page: Page) -> dict[str, Section]:
    """Return what a reader must know before believing it, runs that failed, and every run."""
    about = page.findings.about
    found = {
        "caveats": Section(
            title="Before believing it",
            blocks=(Notes(tuple(("", sentence) for sentence in caveats(page.findings))),),
        )
    }
    if about.failures:
        texts = tuple((failure.name, failure.error) for failure in about.failures)
        found["failures"] = Section(title="Runs that did not finish", blocks=(Logs(texts),))
    return found | {"runs": Section(title="Every run", blocks=(_runs(page.findings),))}


def short_name(data: str) -> str:
    """Return a data set's name without its path.

    Example:
        >>> short_name("folder:pictures/cats/"), short_name("cifar10")
        ('cats', 'cifar10')
    """
    return data.partition(":")[2].rstrip("/").split("/")[-1] or data


def _title(findings: Findings) -> str:
    methods = methods_of(findings.parts["scores"])
    mixing = sum(not groups["raw"].baseline for groups in methods.values())
    count = f"{mixing} mixing method{'s' if mixing != 1 else ''}" if mixing else "No mixing"
    model = (findings.about.recipe or {}).get("model")
    return f"{count}, {model} on {short_name(findings.about.data.name)}"


def _seeds(scores: Part) -> list[int]:
    return sorted({seed for group in scores.groups for seed in group.seeds if seed is not None})


def _metadata(findings: Findings, finished: str) -> tuple[tuple[str, str], ...]:
    """Data, recipe, seeds, cost, machine, versions, command."""
    about, recipe = findings.about, findings.about.recipe or {}
    data, details, scores = about.data, about.details, findings.parts["scores"]
    shape = "x".join(str(side) for side in data.shape[1:])
    runs = sum(len(group.seeds) for group in scores.groups if group.weights == "raw")
    parallel = int(details.get("parallel", 1))
    shared = f"; up to {parallel} runs at a time" if parallel > 1 else ""
    cores = f"{about.machine.get('cores')} cores"
    machine = (about.machine.get("device"), about.machine.get("cpu"), cores)
    shifted = recipe.get("crop", "shift") == "shift"
    hidden = _SHOWN | ({"crop_scale"} if shifted else {"crop_padding", "crop_padding_mode"})
    hidden |= set() if recipe.get("init") else {"init_weights"}
    hidden |= set() if recipe.get("crop_padding_mode") == "reflect" else {"crop_padding_mode"}
    hidden |= set() if recipe.get("erase") else {"erase_mode"}
    rest = (
        _setting(name, value)
        for name, value in recipe.items()
        if name not in hidden and value not in (None, False, "")
    )
    return (
        (
            "Data",
            f"{data.name}: {data.train:,} images to train on, {data.test:,} to test on, "
            + (f"{data.validation:,} to choose the best epoch on, " if data.validation else "")
            + f"{len(data.classes)} classes, {shape} pixels. {data.note}",
        ),
        ("Model", f"{recipe.get('model')}, {details['parameters']:,} parameters"),
        ("Training", _epochs(findings)),
        ("Recipe", ", ".join(rest)),
        *((("Recipe by method", by_method),) if (by_method := _by_method(details)) else ()),
        (
            "Seeds",
            f"{', '.join(map(str, _seeds(scores)))}; a seed fixes first weights, order and crops"
            + (", and which images are trained on" if recipe.get("subset_seeds") else ""),
        ),
        ("Cost", f"{counted(runs, 'run')}, {duration(about.seconds)} of training in all{shared}"),
        ("Machine", ", ".join(str(word) for word in machine if word)),
        (
            "Software",
            listed(about.versions) + (f", commit {_short(about.commit)}" if about.commit else ""),
        ),
        ("Finished", finished),
        ("Command", about.command),
    )


def _by_method(details: Mapping[str, Any]) -> str:
    """Fields of the recipe that methods do not share, with the METHODs that have each value."""
    having: dict[str, list[str]] = {}
    own: dict[str, dict[str, object]] = details.get("own_fields", {})
    for method, fields in own.items():
        for name, value in fields.items():
            having.setdefault(_setting(name, value), []).append(method)
    return "; ".join(f"{setting} with {joined(methods)}" for setting, methods in having.items())


def _budget(findings: Findings) -> str:
    """How long every method was trained, in a few words."""
    epochs = _recipe_epochs(findings)
    found = read_cost(findings.parts["cost"])
    return f"the time of {epochs} without mixing" if found.own_epochs else epochs


def _recipe_epochs(findings: Findings) -> str:
    return counted((findings.about.recipe or {}).get("epochs", 0), "epoch")


def _epochs(findings: Findings) -> str:
    found = read_cost(findings.parts["cost"])
    if not found.own_epochs:
        return _recipe_epochs(findings)
    return at_equal_time(found.own_epochs, clock=found.clock)


def _setting(name: str, value: object) -> str:
    words = name.replace("_", " ")
    if value is True:
        return words
    if isinstance(value, list | tuple):
        return f"{words} {' to '.join(f'{end:g}' for end in cast('Sequence[float]', value))}"
    return f"{words} {value:g}" if isinstance(value, float) else f"{words} {value}"


def _short(commit: str) -> str:
    changed = " with changes" if "+" in commit else ""
    return ", ".join(part[:10].rstrip("+") for part in commit.split(", ")) + changed


def _runs(findings: Findings) -> Table:
    about, scores = findings.about, findings.parts["scores"]
    methods, teachers = methods_of(scores), "teacher" in columns_of(scores)
    seconds = {
        (group.method, seed): summary["seconds"]
        for group in findings.parts["cost"].groups
        for seed, summary in zip(group.seeds, group.summaries, strict=True)
    }
    rows = [
        (method, _run(groups, place, seed, seconds[method, seed], teachers=teachers))
        for method, groups in methods.items()
        for place, seed in enumerate(groups["raw"].seeds)
    ]
    return Table(
        head=(
            "Method", "seed", "top-1, %", "EMA, %", *(("teacher, %",) if teachers else ()),
            "median, %", "best epoch, %", "ECE, %", "NLL", "time", "folder",
        ),
        rows=tuple(cells for _, cells in rows),
        keys=tuple(method for method, _ in rows),
        caption="The median is that of top-1 of the trained weights over those of the last ten "
        "epochs that were evaluated. The best epoch is chosen on "
        + ("the test" if "test" in about.details.get("chosen_on", ["test"]) else "validation")
        + " images and is listed for completeness. All numbers stand unrounded in "
        "comparison.json and comparison.csv.",
    )  # fmt: skip


def _run(
    groups: dict[str, Group], place: int, seed: int | None, seconds: float, *, teachers: bool
) -> tuple[str | Cell, ...]:
    raw = groups["raw"].summaries[place]
    others = ("ema", "teacher") if teachers else ("ema",)
    median = raw["protocols"].get("median10", {}).get("top1")
    best = raw["best"]
    folders = groups["raw"].folders
    return (
        groups["raw"].name,
        str(seed),
        percent(raw["top1"]),
        *(
            percent(groups[weights].summaries[place]["top1"] if weights in groups else None)
            for weights in others
        ),
        percent(median),
        f"{percent(best['top1'])} (epoch {best['epoch']})" if best else NONE,
        percent(raw["ece"]),
        number(raw["nll"], 3),
        duration(seconds),
        Cell(folders[place] if folders else "", code=True),
    )
