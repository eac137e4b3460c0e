"""What a trained classifier is worth: evaluations and the functions below them; no inference.

Each evaluation is a frozen dataclass with ``measure(subject)``; see ``subject``.
"""

from mixwright.lab.exports import lazy_names

__getattr__ = lazy_names(__name__, __file__)
