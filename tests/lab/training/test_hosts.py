"""One run on two hosts: network namespaces that a cable joins, as root can make them on Linux."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.training.ranks import LOST, fork, train, wait_for
from lab.training.test_resume import left

ADDRESSES = ("10.87.0.1", "10.87.0.2")
CABLE = "mwcable"


def act(number: int, folder: Path) -> None:
    """What one of the hosts does: its rank of three jobs, one after the other."""
    import torch._dynamo  # which the first step would do, in every process

    torch.set_num_threads(1)
    slurm = {
        "SLURM_PROCID": str(number),
        "SLURM_NTASKS": "2",
        "SLURM_LOCALID": "0",
        "SLURM_JOB_NODELIST": "mwnode[01-02,7]",
        "SLURM_LAUNCH_NODE_IPADDR": "10.87.0.9",  # of the host where srun ran, not of rank 0
        "SLURM_JOB_ID": "4711",
    }
    assert wait_for(fork(lambda: train(folder / "straight"), slurm)) == 0
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "mwnode01:29400", "--rdzv-id", "1"]
    meeting += ["--local-addr", ADDRESSES[number]]
    # The agent ends with 1, whatever became of its rank.
    assert wait_for(fork(lambda: torchrun(*meeting, folder=folder, killed=True), {})) == 1
    assert not (folder / "killed/result.json").exists()
    fixed = ["--node-rank", str(number), "--master-addr", ADDRESSES[0], "--master-port", "29401"]
    assert wait_for(fork(lambda: torchrun(*fixed, folder=folder), {})) == 0


def torchrun(*words: str, folder: Path, killed: bool = False) -> None:
    """What torchrun does, here: its ranks are forked from this process, which has torch already."""
    from torch.distributed.launcher.api import elastic_launch
    from torch.distributed.run import config_from_args, parse_args

    own = ("--nnodes", "2", "--nproc-per-node", "1", "--start-method", "fork")
    config, _, _ = config_from_args(parse_args([*own, *words, "no-script"]))
    elastic_launch(config, train)(folder / "killed", killed)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[str, str]]:
    """Names of two network namespaces, which reach each other and nothing else."""
    if sys.platform != "linux" or os.geteuid() or not shutil.which("ip"):
        pytest.skip("two network namespaces need Linux, root and the command ip")
    names = (f"mw{os.getpid()}a", f"mw{os.getpid()}b")
    files = [Path("/etc/netns", name) for name in names]
    try:
        try:
            for name, file, address in zip(names, files, ADDRESSES, strict=True):
                ip("netns", "add", name)
                file.mkdir(parents=True)
                known = ["127.0.0.1 localhost", f"{address} {socket.gethostname()}"]
                known += [f"{at} mwnode0{k}" for k, at in enumerate(ADDRESSES, 1)]
                (file / "hosts").write_text("\n".join(known) + "\n")
            ends = ("type", "veth", "peer", "name", CABLE, "netns", names[1])
            ip("link", "add", CABLE, "netns", names[0], *ends)
            for name, address in zip(names, ADDRESSES, strict=True):
                ip("-n", name, "addr", "add", f"{address}/24", "dev", CABLE)
                ip("-n", name, "link", "set", CABLE, "up")
                ip("-n", name, "link", "set", "lo", "up")
                ip("netns", "exec", name, "true")
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no network namespaces here: {getattr(error, 'output', '') or error}")
        yield names
    finally:
        for name, file in zip(names, files, strict=True):
            subprocess.run(["ip", "netns", "delete", name], stderr=subprocess.DEVNULL, check=False)
            shutil.rmtree(file, ignore_errors=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def test_a_rank_that_was_killed_on_another_host_is_resumed_bit_for_bit(
    hosts: tuple[str, str], tmp_path: Path
) -> None:
    code = "import sys, pathlib; from lab.training.test_hosts import act; "
    code += "act(int(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    python = (sys.executable, "-W", "ignore", "-c", code)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    started = [
        subprocess.Popen(
            [*("ip", "netns", "exec", name), *python, str(number), str(tmp_path)],
            cwd=Path(__file__).parents[2],
            env=kept | {"GLOO_SOCKET_IFNAME": CABLE, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number, name in enumerate(hosts)
    ]
    try:
        texts = [process.communicate(timeout=300)[0] for process in started]
    finally:
        for process in started:
            process.kill()
            process.communicate()
    assert [process.returncode for process in started] == [0, 0], "\n".join(texts)
    # Which host has rank 0 is up to torchrun, where the hosts find each other by themselves.
    assert "rank 0: another process of this run was lost (" in "".join(texts)
    assert "the run goes on after the last epoch that it finished." in "".join(texts)
    assert {code for text in texts for code in re.findall(r"exitcode  : (\S+)", text)} == {
        str(LOST),
        "-9",
    }
    assert left(tmp_path / "killed") == left(tmp_path / "straight")
