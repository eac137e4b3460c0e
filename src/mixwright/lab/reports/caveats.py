"""What a reader must know before believing a comparison."""

import math

from mixwright.lab.analysis.comparison import Comparison, MethodRecord
from mixwright.lab.reports.formatting import joined
from mixwright.lab.reports.verdict import CLAIM, side


def caveats(record: Comparison) -> list[str]:
    """Plain sentences, those first that matter most for this record.

    Args:
        record: of the comparison.

    Returns:
        sentences without markup.
    """
    said: list[str] = []
    if record.failures:
        names = "; ".join(failure.name for failure in record.failures)
        said.append(f"Runs that did not finish are missing from every number: {names}.")
    seeds = min(len(method.runs) for method in record.methods)
    if seeds == 1:
        said.append("One seed per method: no interval can be given, and nothing be concluded.")
    elif seeds < 5:
        said.append(
            f"Intervals are Student's t over {seeds} seeds; with so few they are wide for a good "
            "reason. More seeds (--seeds) make them narrower: runs that are there are kept."
        )
    said.append(
        "Scores are those of the last epoch. The best epoch, listed for each run, was chosen on "
        "the test images and flatters every method."
    )
    said += _about_claims(record)
    said += _about_epochs(record)
    said += _about_ema(record)
    said += _about_nll(record)
    said += _about_cost(record)
    said += _about_time_between(record)
    train = int(record.data["train"])
    said.append(
        f"This is one recipe, one model and {train:,} training images of {record.data['name']}; "
        "methods that mix usually need longer training, and their order changes with all three."
    )
    return said


def _about_claims(record: Comparison) -> list[str]:
    """How many questions were asked, and how many intervals alone would have claimed too much."""
    asked = [method for method in record.methods if "raw" in method.p_holm]
    if len(asked) < 2:
        return []
    alone = [
        method.label
        for method in asked
        if method.p["raw"] < CLAIM and not side(method, "raw") and method.difference_raw
    ]
    more = (
        f" Taken alone, the interval of {joined(alone)} leaves zero out; among {len(asked)} such "
        "intervals that is no surprise."
        if alone
        else ""
    )
    return [
        f"{len(asked)} methods are compared with one baseline: a claim needs a p-value below "
        f"{CLAIM} after Holm's correction. An interval stands for its own method alone.{more}"
    ]


def _about_epochs(record: Comparison) -> list[str]:
    """What the medians of the last epochs lack."""
    notes = {
        score["note"]
        for method in record.methods
        for run in method.runs
        for protocol, score in run.protocols.get("raw", {}).items()
        if protocol == "median10" and score["note"]
    }
    return [f"Medians are of fewer than ten epochs: {note}." for note in sorted(notes)]


def _about_ema(record: Comparison) -> list[str]:
    decay = float(record.recipe["ema_decay"])
    batch, epochs = int(record.recipe["batch_size"]), int(record.recipe["epochs"])
    steps = epochs * max(1, math.ceil(int(record.data["train"]) / batch))
    full, reached = 1 / max(1 - decay, 1e-9), (10 + steps) / 9
    text = (
        "EMA is the same average of weights for every method, no method's own teacher; compare "
        "raw with raw and EMA with EMA."
    )
    if reached < full:
        text += (
            f" Its decay warms up, so after the {steps:,} steps of such a run it spans about the "
            f"last {reached:,.0f} of them, not the {full:,.0f} of a long one."
        )
    if any(method.teacher for method in record.methods):
        text += " A method's own teacher averages weights too, and is set against the EMA of none."
    return [text]


def _about_nll(record: Comparison) -> list[str]:
    base = next((m for m in record.methods if m.text == record.baseline), None)
    others = [m for m in record.methods if m.text != record.baseline]
    if base is None or not others:
        return []
    worse = [m for m in others if m.raw["nll"].mean > base.raw["nll"].mean]
    if not worse:
        return []
    return [
        f"Negative log-likelihood is worse than without mixing for {len(worse)} of {len(others)} "
        "methods: mixed labels teach caution, which costs likelihood where the model is right, "
        "also when accuracy rises. A high ECE then often means too little confidence, not too "
        "much."
    ]


def _about_time_between(record: Comparison) -> list[str]:
    """Methods that work outside of their steps, or make more of them."""
    base = next((m for m in record.methods if m.text == record.baseline), None)
    if base is None:
        return []
    usual = _seconds_a_step(base)
    more = [
        f"{m.label} ({_seconds(m) / _seconds(base):.1f}x)"
        for m in record.methods
        if _seconds_a_step(m) > 1.5 * usual and m.text != base.text
    ]
    if not more:
        return []
    return [
        f"Step times do not show all that {', '.join(more)} cost: in brackets stands the time of "
        "the whole run, evaluation included, relative to that of the baseline."
    ]


def _seconds(method: MethodRecord) -> float:
    return sum(run.seconds for run in method.runs) / len(method.runs)


def _seconds_a_step(method: MethodRecord) -> float:
    """Time of a run in units of its own steps."""
    return _seconds(method) / max(method.step_seconds, 1e-9)


def _about_cost(record: Comparison) -> list[str]:
    if record.parallel < 2:
        return []
    return [
        f"Step times were taken while up to {record.parallel} runs shared the machine; they show "
        "the order of the cost, not its size. mixwright bench measures it alone."
    ]
