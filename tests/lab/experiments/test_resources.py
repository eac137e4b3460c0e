"""``--executor`` and ``--resources``: what they say, and what is refused in one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from mixwright.lab.cli import main
from mixwright.lab.experiments.executors.resources import (
    RayResources,
    SlurmResources,
    read_resources,
)


def test_what_is_read() -> None:
    assert read_resources("local", None) is None
    assert read_resources("ray", None) == RayResources(cpus=1.0, gpus=0.0)
    assert read_resources("ray", "cpus=0.5, gpus=0.25,memory=4,address=head:6379") == RayResources(
        cpus=0.5, gpus=0.25, memory=4.0, address="head:6379"
    )
    assert read_resources("slurm", "gpus=1,partition=gpu,qos=long") == SlurmResources(
        cpus=1, gpus=1, partition="gpu", qos="long"
    )


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("4:00", 240), ("0:01:30", 2), ("1-12:00", 36 * 60), ("2-0:00:00", 48 * 60)],
)
def test_times(text: str, minutes: int) -> None:
    found = read_resources("slurm", f"time={text}")
    assert isinstance(found, SlurmResources)
    assert found.minutes == minutes


REFUSED = [
    ("local", "cpus=2", "--resources does nothing with --executor local"),
    ("ray", "cpu=2", '--resources: ray cannot use cpu. Did you mean "cpus"? It takes cpus, gpus,'),
    ("ray", "partition=gpu", "--resources: ray cannot use partition. It takes cpus, gpus, memory"),
    ("slurm", "gpus=0.5", "--resources: gpus=0.5: expected a whole number."),
    ("slurm", "cpus=0", "--resources: cpus=0: expected at least 1."),
    ("ray", "cpus=0", "--resources: cpus=0: expected a number above 0."),
    ("ray", "cpus=nan", "--resources: cpus=nan: expected a number above 0."),
    ("ray", "gpus=-1", "--resources: gpus=-1: expected at least 0."),
    ("ray", "gpus=1.5", "--resources: gpus=1.5: expected a share of one GPU or whole ones."),
    ("ray", "memory=0", "--resources: memory=0: expected a number above 0."),
    ("slurm", "time=0", "--resources: time=0: expected minutes, hours as H:MM"),
    ("slurm", "time=soon", "--resources: time=soon: expected minutes, hours as H:MM"),
    ("slurm", "cluster=mars", "--resources: cluster=mars: expected one of slurm, local."),
    ("ray", "cpus", '--resources: cannot read "cpus"; expected NAME=VALUE, several with commas'),
    ("ray", "cpus=1,cpus=2", "--resources: option cpus is given twice; keep one."),
    ("ray", "", None),
]


@pytest.mark.parametrize(("executor", "text", "said"), REFUSED)
def test_what_is_refused(
    executor: str,
    text: str,
    said: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if said is None:
        assert read_resources("ray", text) == RayResources()
        return
    words = ["--executor", executor, f"--resources={text}", "--out", str(tmp_path / "out")]
    assert main(["compare", "none", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"mixwright compare: {said}")
    assert ".;" not in line
    assert not (tmp_path / "out").exists()


def test_devices_go_with_gpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", "none", "--executor", "slurm", "--train-size", "20", "--batch-size", "10",
             "--out", str(tmp_path / "out")]  # fmt: skip
    for more, said in (
        (["--device", "cuda"], "--device cuda needs a GPU; give --resources gpus=1"),
        (["--device", "cuda:1"], "--device is cuda:1; expected cpu or cuda with --executor slurm"),
        (["--device", "cpu", "--resources", "gpus=2"], "--resources gpus=2 does nothing with"),
    ):
        assert main([*words, *more]) == 2
        assert f"mixwright compare: {said}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("executor", "library"), [("ray", "ray"), ("slurm", "submitit")])
def test_a_library_that_is_not_installed(
    executor: str,
    library: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        __import__(library)
    except ModuleNotFoundError:
        pass
    else:
        pytest.skip(f"{library} is installed here")
    words = ["compare", "none", "--executor", executor, "--out", str(tmp_path / "out")]
    assert main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--executor {executor}: mixwright needs {library} " in line
    assert f"pip install --upgrade 'mixwright[{executor}]'" in line
    assert not (tmp_path / "out").exists()
