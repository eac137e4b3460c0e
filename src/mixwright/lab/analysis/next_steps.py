"""What to do after a comparison: commands, and what their runs will take."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mixwright.lab.analysis.cost import Spent, lengths
from mixwright.lab.analysis.diagnosis import Fit
from mixwright.lab.analysis.findings import Findings, Group
from mixwright.lab.analysis.next_command import OUT, Command, read_command
from mixwright.lab.analysis.recommendation import Recommendation
from mixwright.lab.models.names import own_model
from mixwright.lab.settings import option_flag, write_value

MOST_SEEDS = 12
"""Seeds that are asked for at most."""

_DEAR = 1.5  # trainings of no mixing, from which on it is worth asking what it does in that time
_TRIED = 3  # methods beside none that a longer training is tried with

_LEARNED_MIN_LR = "--learned-min-lr"

OF_COMPARE = frozenset(
    {
        "--seeds", "--out", "--workers", "--dry-run", "--equal-time", "--executor", "--resources",
        "--part", "--collect", _LEARNED_MIN_LR,
    }
)  # fmt: skip
"""Options of ``compare`` that ``train`` does not take, or that name its folder; a test looks."""

_OF_EVALUATE = ("--data-dir", "--skip-unreadable", "--device", "--trust")  # that a run keeps not

Reason = Literal["seeds", "epochs", "time", "calibration", "data", "train", "cheapest"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing to do next.

    Attributes:
        reason: what for: more ``seeds``, more ``epochs``, as much ``time`` for no mixing as for
            the method, a closer look at ``calibration``, ``data`` of one's own, to ``train`` with
            what was chosen, or with no mixing as the ``cheapest`` where no number of seeds in
            reach would tell.
        command: to type.
        seconds: that its runs will take together, from the times of these; None where it trains
            nothing, or on data that nobody has seen.
        count: of seeds or epochs, where it is about them; of those of no mixing at equal time.
    """

    reason: Reason
    command: str
    seconds: float | None = None
    count: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """What the next commands follow from.

    Attributes:
        command: that was given.
        recipe: what all runs share.
        best: groups of trained weights of the mixing methods, the most accurate first.
        have: METHOD -> how many seeds it has.
        spent: METHOD -> what its runs took.
        parallel: runs at a time.
        learning: METHOD -> the rate at its end, of methods where that is not as for no mixing,
            since they learn a mixer.
    """

    command: Command
    recipe: Mapping[str, Any]
    best: Sequence[Group]
    have: Mapping[str, int]
    spent: Mapping[str, Spent]
    parallel: int
    learning: Mapping[str, float]

    @property
    def out(self) -> str:
        """The folder."""
        return self.command.value("--out") or OUT

    @property
    def seeds(self) -> int:
        """How many the methods have at most."""
        return max(len(group.seeds) for group in self.best)

    def seconds(self, method: str) -> float | None:
        """Seconds of a run: one without mixing times the measured cost, where that is known."""
        own = self.spent.get(method)
        if own is None:
            return None
        base = next((one for one in self.spent.values() if one.baseline), None)
        if base is not None and own.cost is not None:
            return base.mean_seconds * own.cost
        return own.mean_seconds

    def shared(self, runs: Mapping[str, int], *, longer: float = 1) -> float | None:
        """Seconds that runs of methods take, so many of each, side by side as these were.

        ``longer`` is their length, in that of the runs that are there.
        """
        times = {method: self.seconds(method) for method in runs}
        known = [runs[method] * time for method, time in times.items() if time is not None]
        if len(known) < len(times):
            return None
        return longer * sum(known) / min(self.parallel, max(1, sum(runs.values())))


def next_steps(
    findings: Findings,
    choice: Recommendation,
    mixing: Sequence[Group],
    found: Sequence[Fit],
    seeds_needed: Mapping[str, int | None],
    spent: Mapping[str, Spent],
) -> tuple[Step, ...]:
    """Return what to do next: what makes the question a good one first, then what answers it.

    ``mixing`` are the groups of trained weights that are compared with no mixing, ``found`` the
    fits of all, the baseline's first; the rest is as in ``Answer``.
    """
    command = read_command(findings.about.command)
    if command is None or not mixing:
        return ()
    raw = [group for group in findings.parts["scores"].groups if group.weights == "raw"]
    done = _Comparison(
        command=command,
        recipe=findings.about.recipe or {},
        best=sorted(mixing, key=lambda group: -group.differences["top1"].interval.mean),
        have={group.method: len(group.seeds) for group in raw},
        spent=spent,
        parallel=int(findings.about.details.get("parallel", 1)),
        learning=_learning(findings),
    )
    toy = done.recipe.get("data") == "digits"
    steps: list[Step | None] = []
    if _too_short(choice, done.best, found):
        steps.append(_longer(done))
    if choice.choice in ("likely", "unknown"):
        steps.append(_more_seeds(done, choice, seeds_needed))
    if choice.choice in ("accuracy", "likely") and not toy:
        steps.append(_same_time(done, choice.method))
    if choice.choice in ("calibration", "scaling"):
        steps.append(_calibrated(done))
    nothing = not any(steps)
    if toy:
        steps.append(_own_data(done, choice))
    elif choice.choice == "accuracy" or (choice.choice in ("none", "likely") and nothing):
        steps.append(_training(done, choice.method or "none"))
    elif choice.choice == "unknown" and nothing:
        steps.append(dataclasses.replace(_training(done, "none"), reason="cheapest"))
    wanted = [step for step in steps if step is not None]
    if command.value("--config") is not None:
        # A file may name the folder, and options that train does not take; it is not read here.
        wanted = [one for one in wanted if one.reason not in ("calibration", "train", "cheapest")]
    return tuple(wanted[:2])


def _learning(findings: Findings) -> dict[str, float]:
    """Methods whose rate ends elsewhere than that of no mixing, since they learn a mixer."""
    own: dict[str, dict[str, Any]] = findings.about.details.get("own_fields", {})
    ends = {method: fields["min_lr"] for method, fields in own.items() if "min_lr" in fields}
    return {method: end for method, end in ends.items() if end != ends.get("none")}


def _own_data(done: _Comparison, choice: Recommendation) -> Step:
    """The same question about images of one's own, in a folder of its own.

    The one of this comparison holds its page and record.
    """
    best = [group.method for group in done.best[:_TRIED]]
    options = (("--data", ("folder:YOUR_IMAGES",)), ("--out", ("runs/your-images",)))
    own = Command(("none", *([choice.method] if choice.method else best)), options)
    return Step(reason="data", command=own.text())


def _calibrated(done: _Comparison) -> Step:
    """The calibration of the runs that are there, found and read as the comparison did."""
    kept = [option for option in done.command.options if option[0] in _OF_EVALUATE]
    names = [str(done.recipe["model"]), *(group.method for group in done.best)]
    if any(own_model(":".join(name.split(":")[:2])) for name in names) and (
        ("--trust", ()) not in kept
    ):
        kept.append(("--trust", ()))  # in files alone their modules are not imported
    options = (("--only", ("accuracy calibration",)), *kept)
    return Step(reason="calibration", command=Command((done.out,), options).text("evaluate"))


def _training(done: _Comparison, method: str) -> Step:
    """One run of a method under the same recipe; at equal time it had epochs of its own."""
    # Where nothing is mixed there are no last epochs without mixing.
    unused = OF_COMPARE | ({"--mix-off-epochs"} if method == "none" else set())
    kept = tuple(option for option in done.command.options if option[0] not in unused)
    alone = Command((method,), kept)
    if done.command.value(_LEARNED_MIN_LR) is not None and method in done.learning:
        alone = alone.with_option("--min-lr", write_value(done.learning[method]))
    own = done.spent.get(method)
    if own is not None and own.epochs is not None:
        alone = _lasting(alone, done.recipe, own.epochs)
    return Step(reason="train", command=alone.text("train"), seconds=done.seconds(method))


def _lasting(command: Command, recipe: Mapping[str, Any], epochs: int) -> Command:
    """The command with other epochs, and with what follows from them."""
    for name, value in lengths(recipe, epochs).items():
        if name == "epochs" or value != recipe[name]:
            command = command.with_option(option_flag(name), write_value(value))
    return command


def _too_short(choice: Recommendation, best: Sequence[Group], found: Sequence[Fit]) -> bool:
    """Whether no mixing has not learned its images, or the best methods were still learning."""
    base, *others = found  # the baseline comes first
    if base.unlearned or base.state == "fits":
        return base.unlearned  # where little is to be won, no training is too short
    first = {group.method for group in best[:_TRIED]}
    still = any(one.rising for one in others if one.method in first)
    return still and not base.rising and choice.choice != "accuracy"


def _longer(done: _Comparison) -> Step:
    """Twice the epochs, in a folder of its own, with the methods that did best."""
    epochs = 2 * int(done.recipe["epochs"])
    methods = ["none", *(group.method for group in done.best[:_TRIED])]
    there = re.sub(r"-\d+-epochs$", "", done.out)  # of an earlier step
    longer = _among(done, methods).with_option("--epochs", str(epochs))
    return Step(
        reason="epochs",
        command=longer.with_option("--out", f"{there}-{epochs}-epochs").text(),
        seconds=done.shared(dict.fromkeys(methods, done.seeds), longer=2),
        count=epochs,
    )


def _same_time(done: _Comparison, method: str) -> Step | None:
    """The method as it was trained, beside no mixing for as long; None where it costs little more.

    None too where they had the same time already, or the method's is not known.
    """
    own = done.spent.get(method)
    if own is None or own.epochs_needed is None or (own.cost or 0) < _DEAR:
        return None
    both = _lasting(_among(done, ["none", method]), done.recipe, own.epochs_needed)
    both = both.with_option("--out", f"{done.out}-equal-time")
    return Step(
        reason="time",
        command=dataclasses.replace(both, options=(*both.options, ("--equal-time", ()))).text(),
        seconds=done.shared({method: 2 * done.seeds}),  # those of no mixing last as long
        count=own.epochs_needed,
    )


def _among(done: _Comparison, methods: Sequence[str]) -> Command:
    """The command with other METHODs; a rate of learned mixers would be refused without one."""
    command = done.command.with_methods(methods)
    if done.learning.keys().isdisjoint(methods):
        command = command.without_option(_LEARNED_MIN_LR)
    return command


def _more_seeds(
    done: _Comparison, choice: Recommendation, seeds_needed: Mapping[str, int | None]
) -> Step | None:
    """As many seeds as would show the leader's difference; runs that are there are kept.

    Three, where only one is shared with no mixing; None where it takes more than anybody trains.
    """
    most = max(done.have.values())
    if max(group.differences["top1"].interval.count for group in done.best) == 1:
        wanted = max(3, most)
    else:
        needed = seeds_needed.get(f"{choice.method} raw")
        if needed is None or needed > MOST_SEEDS:
            return None
        wanted = max(needed, most + 1)
    return Step(
        reason="seeds",
        command=done.command.with_option("--seeds", str(wanted)).text(),
        seconds=done.shared({method: wanted - own for method, own in done.have.items()}),
        count=wanted,
    )
