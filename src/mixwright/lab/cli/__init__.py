"""The command line: parse, call, print."""

from mixwright.lab.cli.main import main as main

__all__ = ["main"]
