"""Other libraries, which the bench measures where they are installed, put out of sight."""

from __future__ import annotations

import sys

import pytest

from lab.bench.clocks import PEERS


@pytest.fixture
def no_peers(monkeypatch):
    """Make every peer look as if it were not installed."""
    for name in PEERS:
        monkeypatch.setitem(sys.modules, name, None)
