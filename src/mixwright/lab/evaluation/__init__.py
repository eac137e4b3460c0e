"""What a trained classifier is worth: evaluations and the functions below them; no inference.

Each evaluation is a frozen dataclass with ``measure(subject)``; see ``subject``.
"""

from mixwright import _exports

_HOMES = _exports.homes(__name__)
__getattr__ = _exports.getter(__name__, _HOMES)
__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __dir__() -> list[str]:
    return __all__
