"""One accuracy of a run, from those of its epochs: the last, the best, or a median of the last."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mixwright.arguments import counted

Protocol = Literal["median10", "median11_compat", "final", "best"]
PROTOCOLS: tuple[Protocol, ...] = ("median10", "median11_compat", "final", "best")

_LAST: dict[Protocol, int] = {"median10": 10, "median11_compat": 11, "final": 1}


@dataclass(frozen=True)
class Scored:
    """What a protocol makes of a run.

    Attributes:
        value: a fraction, as the scores were.
        epochs: those it was made from, in order.
        asked: how many the protocol asks for; fewer were used where the run is shorter or not
            every epoch was evaluated.
        note: what is missing, in a sentence; empty where nothing is.
    """

    value: float
    epochs: tuple[int, ...]
    asked: int
    note: str = ""


def protocol_score(
    scores: Mapping[int, float],
    *,
    epochs: int,
    protocol: Protocol = "median10",
    chosen_by: Mapping[int, float] | None = None,
) -> Scored:
    """Make one score of those of a run's epochs, which count from 1.

    ``median10`` is the median over the last ten epochs, ``E - 9`` to ``E``: steadier than the last
    epoch, and blind to the test images, which the best epoch is chosen on. Top-5 has a median of
    its own: it is not the top-5 of the epoch with the median top-1. ``median11_compat`` takes epoch
    ``E - 10`` too, as OpenMixup's summaries and so many published tables do; ``final`` is the last
    epoch; ``best`` is that of the epoch with the highest score in ``chosen_by``, on validation
    images. Without them it is the highest itself, chosen on test images and never to be a headline.

    Example:
        >>> scores = {epoch: epoch / 100 for epoch in range(1, 90)}
        >>> protocol_score(scores, epochs=89).value
        0.845
        >>> protocol_score(scores, epochs=89, protocol="median11_compat").value
        0.84
        >>> protocol_score({2: 0.5, 4: 0.7}, epochs=4).note
        'the run has 4 epochs, and 2 of the last 4 were evaluated'

    Source: the median of ten is that of Qin et al. 2024 (AdAutoMix), arXiv:2312.11954.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(
            f"protocol_score: protocol is {protocol!r}; expected one of {', '.join(PROTOCOLS)}."
        )
    odd = [epoch for epoch in scores if not 1 <= epoch <= epochs]
    if odd:
        raise ValueError(
            f"protocol_score: a score of epoch {odd[0]} in a run of {epochs}; expected epochs from "
            "1 to the last."
        )
    asked = _LAST.get(protocol, epochs)
    used = sorted(epoch for epoch in scores if epoch > epochs - asked)
    if not used:
        raise ValueError(
            f"protocol_score: none of the last {asked} of {counted(epochs, 'epoch')} was "
            f"evaluated, which {protocol} asks for. Evaluate more often, or take another protocol."
        )
    note = _note(len(used), min(asked, epochs), asked, epochs)
    if protocol == "best":
        # A run that began before it had validation images has some epochs without their score.
        judged = chosen_by or scores
        able = [epoch for epoch in used if epoch in judged]
        if not able:
            raise ValueError(
                "protocol_score: no evaluated epoch has a score on validation images, which best "
                "asks for. Take another protocol."
            )
        best = max(able, key=judged.__getitem__)  # the earliest of equals
        return Scored(float(scores[best]), (best,), asked, note)
    value = float(statistics.median(scores[epoch] for epoch in used))
    return Scored(value, tuple(used), asked, note)


def run_protocols(
    records: Sequence[Mapping[str, Any]], *, protocols: Iterable[Protocol] = PROTOCOLS
) -> dict[str, dict[str, dict[str, Any]]]:
    """Score every set of weights of a run, by lines of its ``metrics.jsonl``, by every protocol.

    Those that have no scores are left out; top-5 is None for five classes or fewer. ``best`` says
    on which images it was chosen, ``test`` or, where there are scores of it, ``validation``.

    Example:
        >>> lines = [{"epoch": 1, "test": {"raw": {"top1": 0.25, "top5": None}}}]
        >>> run_protocols(lines, protocols=["final"])
        {'raw': {'final': {'top1': 0.25, 'top5': None, 'epochs': [1], 'note': ''}}}
    """
    last = max((int(record["epoch"]) for record in records), default=0)
    found: dict[str, dict[str, dict[str, Any]]] = {}
    tests = [record.get("test") or {} for record in records]
    for weights in dict.fromkeys(name for test in tests for name in test):
        top1, top5 = (_scores(records, weights, measure) for measure in ("top1", "top5"))
        chosen = _scores(records, weights, "top1", part="validation") or None
        for protocol in protocols:
            try:
                first = protocol_score(top1, epochs=last, protocol=protocol, chosen_by=chosen)
            except ValueError:  # nothing was evaluated that it asks for
                continue
            fifth = None
            if top5:
                fifth = protocol_score(top5, epochs=last, protocol=protocol, chosen_by=chosen).value
            found.setdefault(weights, {})[protocol] = {
                "top1": first.value,
                "top5": fifth,
                "epochs": list(first.epochs),
                "note": first.note,
            }
            if protocol == "best":
                part = "validation" if chosen else "test"
                found[weights][protocol]["chosen_on"] = part
    return found


def _scores(
    records: Sequence[Mapping[str, Any]], column: str, measure: str, *, part: str = "test"
) -> dict[int, float]:
    tests = ((int(record["epoch"]), record.get(part) or {}) for record in records)
    values = ((epoch, (test.get(column) or {}).get(measure)) for epoch, test in tests)
    return {epoch: float(value) for epoch, value in values if value is not None}


def _note(used: int, there: int, asked: int, epochs: int) -> str:
    short = f"the run has {counted(epochs, 'epoch')}" if there < asked else ""
    sparse = f"{used} of the last {there} were evaluated" if used < there else ""
    return ", and ".join(part for part in (short, sparse) if part)
