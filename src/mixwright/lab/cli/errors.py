"""What ends a command with one message and without a traceback: mistakes of the user's, SIGTERM."""

import contextlib
import os
import signal
import threading
from collections.abc import Generator
from types import FrameType


class UsageError(Exception):
    """What was asked for cannot be done as it was asked; the message says what to do."""


@contextlib.contextmanager
def users_words() -> Generator[None]:
    """Turn ``ValueError`` and ``OSError`` into ``UsageError``.

    For the lines that turn what the user wrote into objects, and no others: a ValueError from
    elsewhere is a fault of ours and keeps its traceback. An error of encoding always does.
    """
    try:
        yield
    except UnicodeError:
        raise
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error


class TerminatedError(BaseException):
    """The process was asked to end; no ``Exception``, so that nothing on the way takes it for one.

    Like ``KeyboardInterrupt`` it lets what is under way tidy up: worker processes are ended.
    """


@contextlib.contextmanager
def terminated_by_sigterm() -> Generator[None]:
    """Raise ``TerminatedError`` where a SIGTERM arrives; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():  # others take no signals
        yield
        return
    process = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != process:  # a forked child, which ends as if we were not there
            os.kill(os.getpid(), signal.SIGTERM)
            return
        raise TerminatedError

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
