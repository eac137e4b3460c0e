"""Two processes that talk through gloo, against one that does everything."""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from lab.training.ranks import LOST, PLAIN, fork, free_port, of_torch, train, wait_for
from lab.training.tiny import Blend, Doubling, Turns, digest, recipe, run, tiny_data, tiny_net
from mixwright.checkpoint import load_checkpoint
from mixwright.lab.cli import main
from mixwright.lab.evaluation.calibration.temperature import rescale
from mixwright.lab.evaluation.predictions import logits_of
from mixwright.lab.evaluation.scores import evaluate
from mixwright.lab.training import distributed
from mixwright.lab.training.distributed import first_host, join, map_slurm
from mixwright.lab.training.folder import RunError
from mixwright.mixers import MixUp
from mixwright.objectives.mixed import Mixed

MIXED = {"epochs": 3, "accumulate": 2, "batch_size": 8, "mix_off_epochs": 1}


class StoppedError(Exception):
    pass


def two_ranks(folder: Path) -> None:
    """What each of the two processes does; its findings go to a file."""
    rank = int(os.environ.get("SLURM_PROCID") or os.environ["RANK"])
    mine = folder / f"rank{rank}"
    reports: list[int] = []

    net, objective = tiny_net(), Blend()
    result = run(
        mine / "straight",
        recipe(**MIXED),
        model=net,
        objective=objective,
        data=tiny_data(train=33),
        rescale=rescale,
        on_progress=lambda progress: reports.append(progress.epoch),
    )
    found = {
        "weights": digest([net.state_dict(), objective.state_dict()]),
        "calls": objective.calls,
        "result": result.to_record(),
        "reports": len(reports),
    }

    def stop_in_the_second_epoch() -> None:
        if objective.calls and stopped.steps >= 5:
            raise StoppedError

    stopped = Blend()
    stopped.on_start = stop_in_the_second_epoch
    given = {"data": tiny_data(train=33)}
    with pytest.raises(StoppedError):
        run(mine / "resumed", recipe(**MIXED), objective=stopped, **given)
    again, later = tiny_net(), Blend()
    run(mine / "resumed", recipe(**MIXED), model=again, objective=later, **given)
    found["resumed"] = digest([again.state_dict(), later.state_dict()])

    for name, one in (("turns", Turns()), ("doubling", Doubling())):
        net = tiny_net()
        run(mine / name, recipe(epochs=3), model=net, objective=one)
        found[name] = digest([net.state_dict(), one.state_dict()])
    found["counts"] = [call["count"] for call in one.calls]

    net = tiny_net()
    regmixup = Mixed(MixUp(), clean=1.0)
    run(mine / "clean", recipe(**MIXED), model=net, objective=regmixup, data=tiny_data(train=33))
    found["clean"] = digest(net.state_dict())

    # The ranks begin with different weights: those of rank 0 count.
    plain = tiny_net(norm=False, dropout=0.0)
    with torch.no_grad():
        plain[0].weight.add_(rank)
    run(mine / "plain", PLAIN, model=plain, objective=Mixed(None))

    try:
        run(mine / "plain", replace(PLAIN, lr=0.2))
    except ValueError as error:
        found["refused"] = str(error)
    found["folders"] = mine.exists()
    (folder / f"found{rank}.json").write_text(json.dumps(found))


def several(folder: Path) -> None:
    """What one process forks, so that torch is imported once."""
    import torch._dynamo  # which the first step would do, in every process

    torch.set_num_threads(1)
    port = free_port()
    started = [
        fork(
            lambda: two_ranks(folder),
            {
                "SLURM_PROCID": str(rank),
                "SLURM_NTASKS": "2",
                "SLURM_LOCALID": str(rank),
                "SLURM_JOB_NODELIST": "nowhere[1-2]",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            },
        )
        for rank in range(2)
    ]
    assert [wait_for(process) for process in started] == [0, 0]

    # Two ranks, one of which is killed; what they leave is continued by other numbers of ranks.
    killed = folder / "of-2"
    ranks = of_torch(2)
    started = [fork(lambda: train(killed, True, True), ranks(rank)) for rank in range(2)]
    assert [wait_for(process) for process in started] == [LOST, -9]
    for size, wanted in ((1, 0), (3, LOST), (4, 0)):
        shutil.copytree(killed, folder / f"of-{size}")
        ranks = of_torch(size)
        started = [
            fork(lambda size=size: train(folder / f"of-{size}", False, True), ranks(rank))
            for rank in range(size)
        ]
        assert [wait_for(process) for process in started] == [wanted] * size

    words = ["train", "mixup", "--epochs", "1", "--out", str(folder / "digits")]
    ranks = of_torch(3)
    started = [fork(lambda: sys.exit(main(words)), ranks(rank)) for rank in range(3)]
    assert [wait_for(process) for process in started] == [0] * 3


@pytest.fixture(scope="module")
def all_ranks(tmp_path_factory):
    """The folder of all that several processes did, and what they said."""
    folder = tmp_path_factory.mktemp("ranks")
    code = "import sys, pathlib; from lab.training.test_distributed import several; "
    code += "several(pathlib.Path(sys.argv[1]))"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(folder)],
        cwd=Path(__file__).parents[2],
        env=kept | {"OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return folder, ended.stderr


@pytest.fixture(scope="module")
def pair(all_ranks):
    """The findings of two processes, started as srun starts them."""
    folder, _ = all_ranks
    return folder, [json.loads((folder / f"found{rank}.json").read_text()) for rank in range(2)]


def test_ranks_end_with_equal_weights_and_statistics(pair):
    _, (one, other) = pair
    assert one["weights"] == other["weights"]


def test_ranks_draw_differently_and_see_other_images(pair):
    _, (one, other) = pair
    # 33 images: 17 for each rank, in micro batches of 2 with one of 3, during two mixed epochs.
    assert [c["count"] for c in one["calls"]] == ([2] * 7 + [3]) * 2
    assert [c["count"] for c in other["calls"]] == ([2] * 7 + [3]) * 2
    for what in ("images", "share"):
        seen = [{str(call[what]) for call in rank["calls"]} for rank in (one, other)]
        assert len(seen[0]) == len(seen[1]) == 16
        assert not seen[0] & seen[1]


def test_training_metrics_are_over_all_processes(pair):
    folder, found = pair
    lines = (folder / "rank0/straight/metrics.jsonl").read_text().splitlines()
    first = [call for rank in found for call in rank["calls"][:8]]
    mean = sum(call["loss"] * call["count"] for call in first) / sum(c["count"] for c in first)
    assert json.loads(lines[0])["train"]["loss"] == pytest.approx(mean, rel=1e-6)


def test_scores_are_over_the_whole_test_set_each_image_once(pair):
    folder, found = pair
    test = tiny_data().test
    saved = load_checkpoint(folder / "rank0/straight/last.pt")
    for column, state in saved["weights"].items():
        net = tiny_net()
        net.load_state_dict(state)
        alone = evaluate(net, [(test.images.float() / 255, test.labels)])
        for rank in found:
            scores = rank["result"]["scores"][column]
            assert scores["count"] == len(test) == 23
            assert scores["top1"] == pytest.approx(alone.top1)
            assert scores["nll"] == pytest.approx(alone.nll, rel=1e-6)
            assert scores["ece"] == pytest.approx(alone.ece, rel=1e-6)


def test_what_is_measured_at_the_end_is_over_all_images_too(pair):
    """Temperatures see the predictions of both processes, in the order of the set."""
    folder, found = pair
    data = tiny_data(train=33)
    saved = load_checkpoint(folder / "rank0/straight/last.pt")
    for column, state in saved["weights"].items():
        net = tiny_net()
        net.load_state_dict(state)
        alone = rescale(*logits_of(net, [(data.test.images.float() / 255, data.test.labels)]))
        for rank in found:
            scores = rank["result"]["scores"][column]
            assert scores["temperature"] == pytest.approx(alone.temperature, rel=1e-5)
            assert scores["ece_scaled"] == pytest.approx(alone.ece_scaled, rel=1e-5)
    net = tiny_net()
    net.load_state_dict(saved["weights"]["raw"])
    alone = evaluate(net, [(data.train.images.float() / 255, data.train.labels)])
    for rank in found:
        clean = rank["result"]["clean_train"]
        assert (clean["images"], clean["top1"]) == (33, pytest.approx(alone.top1))
        assert clean["nll"] == pytest.approx(alone.nll, rel=1e-6)


def test_only_rank_0_writes_and_reports(pair):
    folder, (one, other) = pair
    assert (one["folders"], other["folders"]) == (True, False)
    assert not (folder / "rank1").exists()
    assert one["reports"] > 0
    assert other["reports"] == 0
    assert (folder / "rank0/straight/result.json").exists()
    assert len((folder / "rank0/resumed/metrics.jsonl").read_text().splitlines()) == 3


def test_two_ranks_resume_bit_for_bit(pair):
    _, found = pair
    assert found[0]["resumed"] == found[1]["resumed"] == found[0]["weights"]


def test_whole_images_beside_mixed_ones_keep_the_ranks_together(pair):
    _, (one, other) = pair
    assert one["clean"] == other["clean"] != one["weights"]


def test_players_that_rest_and_data_that_grow_keep_the_ranks_together(pair):
    folder, (one, other) = pair
    for name in ("turns", "doubling"):
        assert one[name] == other[name]
        assert len((folder / f"rank0/{name}/metrics.jsonl").read_text().splitlines()) == 3
    # 40 images, then 80: shares of 20 and 40 in batches of 5.
    assert one["counts"] == other["counts"] == [5] * 4 + [5] * 8 * 2


def test_errors_of_rank_0_reach_all(pair):
    _, found = pair
    for rank in found:
        assert "belongs to another recipe: epochs" not in rank["refused"]
        assert "lr 0.1 there, 0.2 now" in rank["refused"]


def test_two_processes_take_the_steps_of_one(pair, tmp_path):
    folder, _ = pair
    net = tiny_net(norm=False, dropout=0.0)
    run(tmp_path, PLAIN, model=net, objective=Mixed(None))
    saved = load_checkpoint(folder / "rank0/plain/last.pt")["weights"]["raw"]
    for name, value in net.state_dict().items():
        torch.testing.assert_close(saved[name], value, rtol=1e-4, atol=1e-6)
    start = tiny_net(norm=False, dropout=0.0).state_dict()
    assert (start["0.weight"] - saved["0.weight"]).abs().max() > 0.01


@pytest.mark.parametrize("size", [1, 4])
def test_another_number_of_ranks_continues_the_run_of_two(all_ranks, pair, size):
    folder, _ = all_ranks
    wanted = load_checkpoint(folder / "rank0/plain/last.pt")["weights"]["raw"]
    there = load_checkpoint(folder / "of-2/last.pt")
    assert there["epoch"] == 1
    assert not (folder / "of-2/result.json").exists()
    found = load_checkpoint(folder / f"of-{size}/last.pt")
    assert found["epoch"] == 3
    for name, value in found["weights"]["raw"].items():
        torch.testing.assert_close(value, wanted[name], rtol=1e-4, atol=1e-6)
        assert (value - there["weights"]["raw"][name]).abs().max() > 1e-3
    result = json.loads((folder / f"of-{size}/result.json").read_text())
    assert result["machine"]["processes"] == size


def test_ranks_that_cannot_share_the_batch_are_refused(all_ranks):
    folder, said = all_ranks
    message = (
        "rank 2: recipe: batch_size 8 cannot be shared by 3 processes with 1 micro batches each; "
        "expected a multiple of 3, e.g. 6.\n"
    )
    assert message in said
    assert load_checkpoint(folder / "of-3/last.pt")["epoch"] == 1


def test_the_default_batch_of_the_digits_is_one_that_three_processes_share(all_ranks):
    folder, said = all_ranks
    assert json.loads((folder / "digits/recipe.json").read_text())["batch_size"] == 18
    sentence = (
        "3 processes cannot share batches of 20 images evenly, so they have 18; --batch-size 18 "
        "says so with any number of processes\n"
    )
    assert said.count(sentence) == 1  # of rank 0 alone
    assert json.loads((folder / "digits/result.json").read_text())["machine"]["processes"] == 3


def test_a_rank_that_is_lost_ends_the_others_with_a_sentence(all_ranks):
    _, said = all_ranks
    assert "rank 0: another process of this run was lost (" in said
    assert "start all of them again: the run goes on after the last epoch that it finished" in said


def test_variables_of_slurm_become_those_of_torch():
    slurm = {
        "SLURM_PROCID": "5",
        "SLURM_NTASKS": "8",
        "SLURM_LOCALID": "1",
        "SLURM_JOB_NODELIST": "a[3,5-9]",
        "SLURM_JOB_ID": "4711",
    }
    here = dict(slurm)
    map_slurm(here)
    assert {name: value for name, value in here.items() if name not in slurm} == {
        "RANK": "5",
        "WORLD_SIZE": "8",
        "LOCAL_RANK": "1",
        "MASTER_ADDR": "a3",
        "MASTER_PORT": "19711",
    }
    step = {**slurm, "SLURM_STEP_ID": "2", "SLURM_STEP_NODELIST": "a7"}  # on a part of the hosts
    map_slurm(step)
    assert (step["MASTER_ADDR"], step["MASTER_PORT"]) == ("a7", str(15000 + 4711 + 2 * 997))
    for changes in ({"SLURM_NTASKS": "1"}, {"WORLD_SIZE": "2"}):
        here = before = {**slurm, **changes}
        map_slurm(here)
        assert here == before
    alone: dict[str, str] = {}
    map_slurm(alone)
    assert alone == {}


@pytest.mark.parametrize(
    ("nodes", "known", "master"),
    [
        ("a[1-2]", ("a1", "10.0.0.9"), "a1"),  # the launcher may be where nobody trains
        ("a[1-2]", ("10.0.0.9",), "10.0.0.9"),
        ("", (), "10.0.0.9"),
    ],
)
def test_the_host_of_rank_0(nodes, known, master, monkeypatch):
    def look_up(host, port):
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    here = {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0"}
    here |= {"SLURM_JOB_NODELIST": nodes, "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.9"}
    map_slurm(here)
    assert here["MASTER_ADDR"] == master


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"WORLD_SIZE": "two"}, r"^WORLD_SIZE is 'two'; expected a whole number, at least 1, as"),
        ({"WORLD_SIZE": "0"}, r"^WORLD_SIZE is '0'; expected a whole number, at least 1"),
        ({"WORLD_SIZE": "2"}, r"^WORLD_SIZE is 2, and there is no RANK, MASTER_ADDR, M"),
        (
            {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "a"},
            r" there is no MASTER_PORT; expected",
        ),
        (
            {"WORLD_SIZE": "2", "RANK": "2", "MASTER_ADDR": "a", "MASTER_PORT": "1"},
            r"^RANK is '2'; expected a whole number, 0 to 1, as torchrun",
        ),
        (
            {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "a b", "MASTER_PORT": "1"},
            r"^MASTER_ADDR is a b, a name that this host cannot look up; expected the host of rank",
        ),
        (
            {"WORLD_SIZE": "2", "RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "99999"},
            r"^MASTER_PORT is '99999'; expected a whole number, 1 to 65535",
        ),
        (
            {"SLURM_PROCID": "0", "SLURM_NTASKS": "x", "SLURM_LOCALID": "0"},
            r"^SLURM_NTASKS is 'x'; expected a whole number, at least 1",
        ),
        (
            {"SLURM_PROCID": "0", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0"},
            r"^WORLD_SIZE is 2, and there is no MASTER_ADDR; expected",
        ),
    ],
)
def test_what_a_launcher_would_not_set_is_refused(given, message, monkeypatch):
    for name in [name for name in os.environ if name.startswith("SLURM")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", {**os.environ, **given})
    with pytest.raises(RunError, match=message):
        join("cpu")


def test_nobody_to_meet_is_said(monkeypatch, caplog):
    variables = of_torch(2)(1)
    monkeypatch.setattr(os, "environ", {**os.environ, **variables})
    monkeypatch.setattr(distributed, "_TIMEOUT", timedelta(seconds=1.5))
    monkeypatch.setattr(distributed, "_PATIENCE", 0.2)
    where = f"127.0.0.1:{variables['MASTER_PORT']}"
    with pytest.raises(
        RunError, match=f"^rank 1 did not meet the other processes, 2 in all, at {where}"
    ):
        join("cpu")
    assert f"rank 1 is waiting at {where} for the other processes, 2 in all;" in caplog.text


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("n[01-12]", "n01"),
        ("n[3,7]", "n3"),
        ("rack[2-4]-ib,x", "rack2-ib"),
        ("host-a.example,b", "host-a.example"),
        ("node[01-03,7]", "node01"),
        ("r[1-2]n[04-05,9],x", "r1n04"),
    ],
)
def test_first_host_of_a_list(nodes, first):
    assert first_host(nodes) == first
