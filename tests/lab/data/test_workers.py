"""Worker processes: one pool that stays, whatever is streamed, interrupted or killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lab.data.pictures import picture, write
from mixwright.lab.data import Batches, DataError, LazyImages
from mixwright.lab.data import workers as workers_module
from mixwright.lab.data.lazy import EncodedImages
from mixwright.lab.data.names import WORKERS
from mixwright.lab.data.workers import data_workers

pytestmark = pytest.mark.filterwarnings("ignore:This process.*fork:DeprecationWarning")


def files(folder: Path, count: int, first: int = 0) -> EncodedImages:
    found = [write(folder / f"{k}.png", picture(k)) for k in range(first, first + count)]
    labels = torch.arange(count)
    return EncodedImages(found, [file.name for file in found], labels)


def pixels(*seeds: int) -> torch.Tensor:
    found = [torch.from_numpy(np.asarray(picture(seed)).copy()).movedim(2, 0) for seed in seeds]
    return torch.stack(found)


def children() -> set[int]:
    """Processes of this one, by the kernel's word."""
    task = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    if not task.exists():
        pytest.skip("the kernel does not list children here")
    return set(map(int, task.read_text().split()))


def gone(pid: int, seconds: float = 4.0) -> bool:
    """Whether a process ends, as seen from outside, within the time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_one_pool_for_all_sets_and_epochs_ends_with_the_last_of_them(tmp_path: Path):
    before = children()
    train = LazyImages(files(tmp_path / "a", 6), image_size=8, workers=2)
    test = LazyImages(files(tmp_path / "b", 3, first=10), image_size=8, workers=2)
    epochs = Batches(train, batch_size=2, device="cpu", augment=None, shuffle=True)
    seen: list[set[int]] = []
    for _ in range(2):
        for images, labels in epochs.epoch(torch.Generator().manual_seed(0)):
            assert torch.equal(images * 255, pixels(*labels.tolist()).float())
        seen.append(children() - before)
        found = torch.cat(list(test.stream(torch.arange(3).split(2))))
        assert torch.equal(found, pixels(10, 11, 12))
        seen.append(children() - before)
    assert len(seen[0]) == 2
    assert seen == [seen[0]] * 4  # an evaluation between epochs is read by the same processes
    train = epochs = None
    assert children() - before == seen[0]  # the test set still needs them
    del test
    assert all(gone(pid) for pid in seen[0])


def test_a_set_that_came_later_is_known_too(tmp_path: Path):
    first = LazyImages(files(tmp_path / "a", 2), image_size=8, workers=1)
    assert torch.equal(next(first.stream([torch.tensor([1])])), pixels(1))
    later = LazyImages(files(tmp_path / "b", 2, first=20), image_size=8, workers=1)
    assert torch.equal(next(later.stream([torch.tensor([0])])), pixels(20))
    assert torch.equal(next(first.stream([torch.tensor([0])])), pixels(0))


def test_streams_that_are_left_early_or_run_inside_one_another(tmp_path: Path):
    images = LazyImages(files(tmp_path, 6), image_size=8, workers=1)
    parts = torch.arange(6).split(2)
    outer = images.stream(parts)
    assert torch.equal(next(outer), pixels(0, 1))
    assert torch.equal(torch.cat(list(images.stream(parts[::-1]))), pixels(4, 5, 2, 3, 0, 1))
    assert torch.equal(next(outer), pixels(2, 3))
    del outer  # two of its images are still to come
    assert torch.equal(torch.cat(list(images.stream(parts[1:]))), pixels(2, 3, 4, 5))


def test_after_a_broken_image_the_workers_go_on(tmp_path: Path):
    stored = files(tmp_path, 4)
    images = LazyImages(stored, image_size=8, workers=1)
    assert isinstance(stored.encoded[2], Path)
    stored.encoded[2].write_bytes(b"broken")
    before = children()
    stream = images.stream(torch.arange(4).split(1))
    assert torch.equal(next(stream), pixels(0))
    (worker,) = children() - before
    with pytest.raises(DataError, match=r"^an image cannot be read: 2\.png \(not an image"):
        list(stream)
    assert torch.equal(next(images.stream([torch.tensor([3])])), pixels(3))
    assert children() - before == {worker}


def test_a_worker_that_is_killed_is_told_of_and_others_take_over(tmp_path: Path):
    images = LazyImages(files(tmp_path, 8), image_size=8, workers=1)
    before = children()
    stream = images.stream(torch.arange(8).split(1))
    next(stream)
    (worker,) = children() - before
    os.kill(worker, signal.SIGSTOP)  # it shall not have read all before it is killed
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(DataError, match=r"decodes images has ended .*--data-workers"):
        list(stream)
    assert torch.equal(next(images.stream([torch.tensor([5])])), pixels(5))


_LEFT = """
import os, sys, time, torch
from pathlib import Path
from mixwright.lab.data import LazyImages
from mixwright.lab.data.lazy import EncodedImages
files = sorted(Path(sys.argv[1]).glob("*.png"))
images = LazyImages(EncodedImages(files, [f.name for f in files], torch.arange(4)),
                    image_size=8, workers=2)
stream = images.stream(torch.arange(4).split(1))
next(stream)
print(Path(f"/proc/self/task/{os.getpid()}/children").read_text(), flush=True)
if sys.argv[2] == "exception":
    raise ValueError("on purpose")
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["exception", "interrupt"])
def test_nothing_is_left_however_the_process_ends(tmp_path: Path, how: str):
    files(tmp_path, 4)
    children()  # skips where the kernel does not list them
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _LEFT, str(tmp_path), how],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    workers = [int(pid) for pid in process.stdout.readline().split()]
    assert len(workers) == 2
    if how == "interrupt":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all of them
    # All ends of the pipes are closed only when the workers have ended too.
    errors = process.communicate(timeout=30)[1]
    assert process.returncode == (1 if how == "exception" else -signal.SIGINT)
    assert errors.count("Traceback") == 1
    assert all(gone(pid) for pid in workers)


def test_nothing_is_left_where_the_process_is_killed(tmp_path: Path):
    images = LazyImages(files(tmp_path, 4), image_size=8, workers=2)
    children()
    read, write_end = os.pipe()
    child = os.fork()  # quicker than a new interpreter
    if child == 0:
        stream = images.stream(torch.arange(4).split(1))
        next(stream)
        os.write(write_end, " ".join(map(str, children())).encode())
        time.sleep(60)
        os._exit(1)
    workers = [int(pid) for pid in os.read(read, 1000).split()]
    os.close(read)
    os.close(write_end)
    assert len(workers) == 2
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    # The loader's own watch would need up to five seconds.
    assert all(gone(pid, seconds=2) for pid in workers)


def test_a_forked_child_leaves_the_workers_to_its_parent(tmp_path: Path):
    images = LazyImages(files(tmp_path, 4), image_size=8, workers=1)
    before = children()
    next(images.stream([torch.tensor([0])]))
    (worker,) = children() - before
    child = os.fork()
    if child == 0:
        ok = torch.equal(next(images.stream([torch.tensor([2])])), pixels(2))
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert torch.equal(next(images.stream([torch.tensor([1])])), pixels(1))
    assert children() - before == {worker}


def test_how_many_there_are(monkeypatch: pytest.MonkeyPatch):
    for name in (WORKERS, "LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE"):
        monkeypatch.delenv(name, raising=False)
    assert [data_workers(cores) for cores in (1, 6, 16, 96)] == [1, 6, 16, 16]
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")  # as torchrun sets it
    assert [data_workers(cores) for cores in (4, 96)] == [1, 12]
    monkeypatch.setenv(WORKERS, "0")
    assert data_workers(96) == 0
    monkeypatch.setenv(WORKERS, "-1")
    with pytest.raises(DataError, match=r"MIXWRIGHT_DATA_WORKERS is '-1'; expected a whole number"):
        data_workers(4)


def test_only_batches_for_a_gpu_are_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Where there is none, only what is asked of the loader can be seen."""
    asked: list[bool] = []
    loader: Any = workers_module.DataLoader

    def spy(*given: Any, pin_memory: bool, **more: Any) -> Any:
        asked.append(pin_memory)
        return loader(*given, **more)

    monkeypatch.setattr(workers_module, "DataLoader", spy)
    images = LazyImages(files(tmp_path, 2), image_size=8, workers=1)
    for device in ("cpu", "cuda"):
        stream = images.to(device).stream([torch.tensor([1])])
        assert torch.equal(next(stream), pixels(1))
    assert asked == [False, True]
    assert images.to("cuda").subset(torch.tensor([1])).pin
