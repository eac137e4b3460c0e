"""Cores of containers, as the Linux kernel writes them, and threads as OpenMP reads them."""

from __future__ import annotations

import os

import pytest

from mixwright.lab.data import cores

AFFINITY = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="this system does not say which cores are ours"
)


@AFFINITY
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max 100000\n", 64),
        ("200000 100000\n", 2),
        ("250000 100000\n", 2),  # two and a half: the half is no core
        ("50000 100000\n", 1),
        ("9900000 100000\n", 64),  # more than the process may run on
        ("", 64),
    ],
)
def test_a_containers_limit_counts(text, expected, tmp_path, monkeypatch):
    (tmp_path / "cpu.max").write_text(text)
    monkeypatch.setattr(cores, "_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(64)))
    assert cores.usable_cores() == expected


@AFFINITY
def test_without_a_limit_the_cores_are_those_the_process_may_run_on(tmp_path, monkeypatch):
    monkeypatch.setattr(cores, "_LIMIT", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5})
    assert cores.usable_cores() == 3


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3", 3), (" 3 ", 3), ("4,2", 4), ("0", None), ("", None), ("many", None), ("-1", None)],
)
def test_threads_are_those_of_the_outermost_level(text, expected, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert cores.threads_asked_for() == expected


def test_nobody_asked(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert cores.threads_asked_for() is None
