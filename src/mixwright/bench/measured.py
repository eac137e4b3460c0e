"""How long training steps took, as ``mixwright list`` tells: the committed record in short."""

from __future__ import annotations

MEASURED: dict[str, dict[str, float]] = {}
"""Network to method to the mean step in mean steps without mixing, of one run each, from
``benchmarks/results/bench/steps.json``: float32, one thread of a CPU."""


def measured(name: str) -> str:
    """Say in words how long a method's steps took, network by network.

    Args:
        name: in ``MIXERS`` or ``OBJECTIVES``.

    Returns:
        Nothing for methods that were not measured.
    """
    return ", ".join(
        f"{times[name]:.2f} x ({network})" for network, times in MEASURED.items() if name in times
    )
