"""A table of bad inputs: each is refused by an error that names argument and expectation."""

from __future__ import annotations

import pytest

from bad_inputs import Bad, all_bad


def fault(bad: Bad) -> str | None:
    """What is wrong with how an input was refused; None where nothing is."""
    try:
        made = bad.call()
    except (ValueError, TypeError) as error:
        message = str(error)
        missing = [word for word in (*bad.says, "expected") if word not in message]
        return f"{message} (without {missing})" if missing or "\n" in message else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"accepted: {made!r:.60}"


@pytest.mark.filterwarnings("ignore")
def test_every_bad_input_is_refused_in_words() -> None:
    table = all_bad()
    assert len(table) > 3000
    wrong = {bad.name: found for bad in table if (found := fault(bad)) is not None}
    assert not wrong, "\n".join(f"{name}: {found}" for name, found in wrong.items())
