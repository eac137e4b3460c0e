"""The error of this room; imports nothing, so that the command line can catch it early."""


class DataError(ValueError):
    """The data that was asked for cannot be loaded; the message says what to do about it."""

    @property
    def problem(self) -> str:
        """What was wrong, without what was expected and what to do."""
        return str(self).partition("; expected")[0]
