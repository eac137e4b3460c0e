"""Mistakes of the user's, which end a command with one message and without a traceback."""

import contextlib
from collections.abc import Generator


class UsageError(Exception):
    """What was asked for cannot be done as it was asked; the message says what to do."""


@contextlib.contextmanager
def users_words() -> Generator[None]:
    """Turn ``ValueError`` and ``OSError`` into ``UsageError``.

    For the lines that turn what the user wrote into objects, and no others: a ValueError from
    elsewhere is a fault of ours and keeps its traceback, as one of encoding does everywhere.
    """
    try:
        yield
    except UnicodeError:
        raise
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error
