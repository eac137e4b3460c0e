"""The one paragraph of judgement: what can be told from chance, and what cannot."""

from collections.abc import Sequence

from mixwright.lab.analysis.comparison import Comparison, MethodRecord
from mixwright.lab.reports.formatting import joined, p_equals, signed

CLAIM = 0.05
"""Adjusted p-values below it are called a difference."""


def verdict(record: Comparison) -> str:
    """One honest paragraph about top-1 of the trained weights after the last epoch.

    Claims rest on p-values that are adjusted for the number of methods, by Holm's method.

    Args:
        record: of the comparison.

    Returns:
        plain text.
    """
    if record.baseline is None:
        return "No run without mixing is among them, so there are no differences to judge."
    others = [method for method in record.methods if method.text != record.baseline]
    if not others:
        return "Only the baseline was run, so there is nothing to compare it with."
    several = [one for one in others if one.difference_raw and one.difference_raw.count > 1]
    if not several:
        return "One seed gives no interval: no difference here can be told from chance."
    judged = [method for method in several if "raw" in method.p_holm]
    if not judged:
        return (
            "This record has no p-values that are adjusted for the number of methods, so nothing "
            "is claimed; the same command makes it anew from the runs that are there."
        )
    said = [
        f"{one.label} is {side(one, 'raw')} ({signed(one.difference_raw)} points, "
        f"{p_equals(one.p_holm['raw'], 'p_Holm')})"
        for word in ("ahead", "behind")
        for one in judged
        if side(one, "raw") == word
    ]
    corrected = f" and corrected for {len(judged)} methods (Holm)" if len(judged) > 1 else ""
    open_ = [method for method in judged if not side(method, "raw")]
    said += [_untold(open_)] if open_ else []
    return f"Against no mixing, paired by seed{corrected}: {'; '.join(said)}."


def side(method: MethodRecord, column: str) -> str:
    """Where a method stands to the baseline, as far as that can be told from chance.

    Args:
        method: its record.
        column: raw, ema or teacher.

    Returns:
        ``ahead``, ``behind``, or nothing where the adjusted p-value is 0.05 or more, or missing.
    """
    p, difference = method.p_holm.get(column), getattr(method, f"difference_{column}")
    if p is None or difference is None or not p < CLAIM:  # NaN is not below
        return ""
    return "ahead" if difference.mean > 0 else "behind"


def _untold(methods: Sequence[MethodRecord]) -> str:
    counts = sorted({one.difference_raw.count for one in methods if one.difference_raw})
    seeds = " to ".join(str(count) for count in {counts[0]: 0, counts[-1]: 0})
    named = joined([one.label for one in methods])
    are = "is" if len(methods) == 1 else "are"
    few = f"{seeds} seed{'' if seeds == '1' else 's'}"
    return f"{named} {are} not distinguishable from no mixing at {few}"
