"""What objectives say of long work of their own, before training has a step to show."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Generator

_LOGGER = logging.getLogger("mixwright.objectives")


class _Notes(logging.Handler):
    def __init__(self, tell: Callable[[str], None]) -> None:
        super().__init__(logging.INFO)
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        self._tell(record.getMessage())


@contextlib.contextmanager
def notes_of_objectives(tell: Callable[[str], None]) -> Generator[None]:
    """Tell what objectives log, such as how far DADA's search is, within a ``with`` block."""
    handler, level = _Notes(tell), _LOGGER.level
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        _LOGGER.setLevel(level)
        _LOGGER.removeHandler(handler)
