"""The rows of every table of a comparison, and what it was made of."""

from dataclasses import dataclass

from mixwright.lab.analysis.comparison import Comparison, MethodRecord
from mixwright.lab.analysis.statistics import Interval
from mixwright.lab.reports.formatting import (
    NONE,
    duration,
    number,
    p_value,
    percent,
    signed,
    spread,
    times,
)
from mixwright.lab.reports.verdict import side


@dataclass(frozen=True)
class Row:
    """One method in the headline table, all text.

    Args:
        text: its METHOD.
        label: its name for people.
        slug: for colours and anchors.
        raw: top-1 of the trained weights.
        ema: of the averaged weights.
        against_raw: difference to the baseline, paired by seed.
        against_ema: the same for the averaged weights.
        p_raw: p-value of that difference, adjusted for all methods by Holm's method.
        p_ema: the same for the averaged weights.
        clear_raw: ``ahead``, ``behind`` or nothing, as the adjusted p-value allows.
        clear_ema: the same for the averaged weights.
        teacher: top-1 of the method's own teacher.
        against_teacher: its difference to the averaged weights of the baseline.
        p_teacher: the same as for the others.
        clear_teacher: the same as for the others.
        ece: calibration error of raw and averaged weights and of the teacher, in percent.
        nll: negative log-likelihood of the three.
        step: time of a training step in those of the baseline.
        seconds: time of a step.
    """

    text: str
    label: str
    slug: str
    raw: str
    ema: str
    against_raw: str
    against_ema: str
    p_raw: str
    p_ema: str
    clear_raw: str
    clear_ema: str
    teacher: str
    against_teacher: str
    p_teacher: str
    clear_teacher: str
    ece: tuple[str, str, str]
    nll: tuple[str, str, str]
    step: str
    seconds: str


def headline(record: Comparison) -> list[Row]:
    """The rows of the main table, in the order of the record."""
    return [_row(method) for method in record.methods]


def has_teachers(record: Comparison) -> bool:
    """Whether some method has a teacher of its own, so that there is a third column."""
    return any(method.teacher for method in record.methods)


def _row(method: MethodRecord) -> Row:
    return Row(
        text=method.text,
        label=method.label,
        slug=method.slug,
        raw=spread(method.raw["top1"]),
        ema=spread(method.ema.get("top1")),
        against_raw=signed(method.difference_raw),
        against_ema=signed(method.difference_ema),
        p_raw=p_value(method.p_holm.get("raw")),
        clear_raw=side(method, "raw"),
        p_ema=p_value(method.p_holm.get("ema")),
        clear_ema=side(method, "ema"),
        teacher=spread(method.teacher.get("top1")),
        against_teacher=signed(method.difference_teacher),
        p_teacher=p_value(method.p_holm.get("teacher")),
        clear_teacher=side(method, "teacher"),
        ece=(
            spread(method.raw["ece"]),
            spread(method.ema.get("ece")),
            spread(method.teacher.get("ece")),
        ),
        nll=(
            _nats(method.raw["nll"]),
            _nats(method.ema.get("nll")),
            _nats(method.teacher.get("nll")),
        ),
        step=times(method.relative_step),
        seconds=duration(method.step_seconds),
    )


def _nats(interval: Interval | None) -> str:
    return spread(interval, digits=3, scale=1)


@dataclass(frozen=True)
class RunRow:
    """One run in the table of all runs, all text."""

    label: str
    text: str
    seed: str
    raw: str
    ema: str
    teacher: str
    median: str
    best: str
    ece: str
    nll: str
    seconds: str
    folder: str


def run_rows(record: Comparison) -> list[RunRow]:
    """The rows of the table of all runs."""
    return [
        RunRow(
            label=method.label,
            text=method.text,
            seed=str(run.seed),
            raw=percent(run.raw["top1"]),
            ema=percent(run.ema["top1"] if run.ema else None),
            teacher=percent(run.teacher["top1"] if run.teacher else None),
            median=percent(run.protocols.get("raw", {}).get("median10", {}).get("top1")),
            best=_best(run.best.get("raw")),
            ece=percent(run.raw["ece"]),
            nll=number(run.raw["nll"], 3),
            seconds=duration(run.seconds),
            folder=run.folder,
        )
        for method in record.methods
        for run in method.runs
    ]


def short_name(data: str) -> str:
    """A data set's name without its path.

    Args:
        data: as given to ``load_data``.

    Returns:
        the last part of a path; a plain name as it is.

    Example:
        >>> short_name("folder:pictures/cats/"), short_name("cifar10")
        ('cats', 'cifar10')
    """
    return data.partition(":")[2].rstrip("/").split("/")[-1] or data


@dataclass(frozen=True)
class Facts:
    """What was compared.

    Args:
        title: heading of the report.
        seeds: how many, in words.
        cost: time of all runs.
        finished: day and time.
        rows: pairs of a word and what is to be said about it.
    """

    title: str
    seeds: str
    cost: str
    finished: str
    rows: tuple[tuple[str, str], ...]


def facts(record: Comparison) -> Facts:
    """What was compared: data, recipe, seeds, cost, machine, versions, command."""
    data, recipe = record.data, record.recipe
    shape = "x".join(str(side) for side in data["shape"][1:])
    seeds = sorted({run.seed for method in record.methods for run in method.runs})
    runs = sum(len(method.runs) for method in record.methods)
    machine = ", ".join(
        str(part)
        for part in (
            record.machine.get("device"),
            record.machine.get("cpu"),
            f"{record.machine.get('cores')} cores",
        )
        if part
    )
    shared = f"; up to {record.parallel} runs at a time" if record.parallel > 1 else ""
    told = {"data", "model", "epochs", "train_size", "image_size"}
    told.add("crop_padding" if recipe.get("crop") == "resized" else "crop_scale")
    told |= set() if recipe.get("init") else {"init_weights"}
    rest = {
        name: value
        for name, value in recipe.items()
        if name not in told and value not in (None, False, "")
    }
    versions = ", ".join(f"{name} {version}" for name, version in record.versions.items())
    finished = record.finished.replace("T", " ").replace("+00:00", " UTC")
    rows = (
        (
            "Data",
            f"{data['name']}: {data['train']:,} images to train on, {data['test']:,} to test on, "
            f"{len(data['classes'])} classes, {shape} pixels. {data['note']}",
        ),
        ("Model", f"{recipe['model']}, {record.parameters:,} parameters"),
        ("Training", f"{recipe['epochs']} epochs"),
        ("Recipe", ", ".join(_setting(name, value) for name, value in rest.items())),
        ("Seeds", f"{', '.join(map(str, seeds))}; a seed fixes first weights, order and crops"),
        ("Cost", f"{runs} runs, {duration(record.seconds)} of training in all{shared}"),
        ("Machine", machine),
        ("Software", versions + (f", commit {_short(record.commit)}" if record.commit else "")),
        ("Finished", finished),
        ("Command", record.command),
    )
    count = f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
    return Facts(_title(record), count, duration(record.seconds), finished, rows)


def _best(best: dict[str, object] | None) -> str:
    if not best:
        return NONE
    top1, epoch = best.get("top1"), best.get("epoch")
    share = percent(top1 if isinstance(top1, float) else None)
    return f"{share} (epoch {epoch})"


def _setting(name: str, value: object) -> str:
    words = name.replace("_", " ")
    return (
        words
        if value is True
        else f"{words} {value:g}"
        if isinstance(value, float)
        else f"{words} {value}"
    )


def _short(commit: str) -> str:
    changed = " with changes" if "+" in commit else ""
    return ", ".join(one[:10].rstrip("+") for one in commit.split(", ")) + changed


def _title(record: Comparison) -> str:
    mixing = sum(method.text != record.baseline for method in record.methods)
    count = f"{mixing} mixing method{'s' if mixing != 1 else ''}" if mixing else "No mixing"
    return f"{count}, {record.recipe['model']} on {short_name(record.data['name'])}"
