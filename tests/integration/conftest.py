"""Settings of the tests against other libraries, whose own warnings we cannot fix."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let warnings of other libraries pass; our own stay errors."""
    for item in items:
        item.add_marker(pytest.mark.filterwarnings("ignore", "error:::mixwright"))
