"""Numbers for people: rounding, percent and units, and the rows of every table."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from mixwright.evaluation.statistics import Interval
from mixwright.experiments.record import Comparison, MethodRecord

TIMES = "\N{MULTIPLICATION SIGN}"
MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as a percentage without its sign.

    Args:
        fraction: in [0, 1]; None and NaN give a dash.
        digits: behind the point.

    Returns:
        e.g. ``86.9``.

    Example:
        >>> percent(0.8694), percent(None)
        ('86.9', '–')
    """
    return number(None if fraction is None else 100 * fraction, digits)


def number(value: float | None, digits: int) -> str:
    """A number with a fixed count of digits behind the point.

    Args:
        value: any number; None and NaN give a dash.
        digits: behind the point.

    Returns:
        its text, with a true minus sign.
    """
    if value is None or not math.isfinite(value):
        return NONE
    text = f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def spread(interval: Interval | None, *, digits: int = 1, scale: float = 100) -> str:
    """A mean and half the width of its interval.

    Args:
        interval: over seeds; None gives a dash.
        digits: behind the point.
        scale: 100 for percent, 1 for plain numbers.

    Returns:
        e.g. ``86.9 ± 1.2``; the mean alone where one seed gives no interval.

    Example:
        >>> spread(Interval(0.869, 0.857, 0.881, 3, 0.01))
        '86.9 ± 1.2'
    """
    if interval is None:
        return NONE
    mean = number(scale * interval.mean, digits)
    half = scale * interval.half_width
    return mean if math.isnan(half) else f"{mean} ± {number(half, digits)}"


def signed(interval: Interval | None, *, digits: int = 1) -> str:
    """A difference in percentage points, with its sign.

    Args:
        interval: of fractions; None gives a dash.
        digits: behind the point.

    Returns:
        e.g. ``+2.1 ± 1.7``.
    """
    text = spread(interval, digits=digits)
    positive = interval is not None and not text.startswith((MINUS, NONE))
    return f"+{text}" if positive else text


def duration(seconds: float) -> str:
    """A time span in the unit that suits it.

    Args:
        seconds: at least 0.

    Returns:
        e.g. ``42 s``, ``3 min 5 s``, ``2 h 10 min``.

    Example:
        >>> duration(0.0123), duration(185), duration(7800)
        ('12.3 ms', '3 min 5 s', '2 h 10 min')
    """
    if seconds < 1:
        return f"{1000 * seconds:.1f} ms"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def times(ratio: float | None) -> str:
    """A ratio of times, e.g. ``1.04×``."""
    return NONE if ratio is None else f"{number(ratio, 2)}{TIMES}"


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
        clear_raw: ``ahead``, ``behind`` or nothing, as the interval leaves zero out or not.
        clear_ema: the same for the averaged weights.
        teacher: top-1 of the method's own teacher.
        against_teacher: its difference to the averaged weights of the baseline.
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
    clear_raw: str
    clear_ema: str
    teacher: str
    against_teacher: str
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


def verdict(record: Comparison) -> str:
    """One honest paragraph: what can be told from chance, and what cannot.

    Args:
        record: of the comparison.

    Returns:
        plain text about top-1 of the trained weights at the last epoch.
    """
    if record.baseline is None:
        return "No run without mixing is among them, so there are no differences to judge."
    others = [method for method in record.methods if method.text != record.baseline]
    if not others:
        return "Only the baseline was run, so there is nothing to compare it with."
    judged = [method for method in others if _has_interval(method.difference_raw)]
    if not judged:
        return "One seed gives no interval: no difference here can be told from chance."
    ahead = [method for method in judged if _side(method.difference_raw) == "ahead"]
    behind = [method for method in judged if _side(method.difference_raw) == "behind"]
    open_ = [method for method in judged if not _side(method.difference_raw)]
    counts = sorted({method.difference_raw.count for method in judged if method.difference_raw})
    seeds = " to ".join(str(count) for count in {counts[0]: 0, counts[-1]: 0})
    parts = [_told(ahead, "ahead"), _told(behind, "behind"), _untold(open_)]
    said = "; ".join(part for part in parts if part)
    several = (
        f" Each of the {len(judged)} intervals stands alone: about one in twenty leaves zero "
        "out by chance."
        if len(judged) > 1
        else ""
    )
    return f"Against no mixing, paired over {seeds} seeds: {said}.{several}"


def _row(method: MethodRecord) -> Row:
    return Row(
        text=method.text,
        label=method.label,
        slug=method.slug,
        raw=spread(method.raw["top1"]),
        ema=spread(method.ema.get("top1")),
        against_raw=signed(method.difference_raw),
        against_ema=signed(method.difference_ema),
        clear_raw=_side(method.difference_raw),
        clear_ema=_side(method.difference_ema),
        teacher=spread(method.teacher.get("top1")),
        against_teacher=signed(method.difference_teacher),
        clear_teacher=_side(method.difference_teacher),
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


def _has_interval(difference: Interval | None) -> bool:
    return difference is not None and not math.isnan(difference.low)


def _side(difference: Interval | None) -> str:
    if difference is None:
        return ""
    return "ahead" if difference.low > 0 else "behind" if difference.high < 0 else ""


def _told(methods: Sequence[MethodRecord], side: str) -> str:
    if not methods:
        return ""
    named = [f"{method.label} ({signed(method.difference_raw)} points)" for method in methods]
    return f"{_and(named)} {'is' if len(named) == 1 else 'are'} {side} beyond seed noise"


def _untold(methods: Sequence[MethodRecord]) -> str:
    if not methods:
        return ""
    return f"{_and([method.label for method in methods])} cannot be told from it"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


@dataclass(frozen=True)
class RunRow:
    """One run in the table of all runs, all text."""

    label: str
    text: str
    seed: str
    raw: str
    ema: str
    teacher: str
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
    rest = {
        name: value
        for name, value in recipe.items()
        if name not in ("data", "model", "epochs", "train_size", "image_size")
        and value not in (None, False)
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
