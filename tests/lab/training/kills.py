"""Kill training at random moments, over and over, and see that it ends as if nothing had happened.

    cd tests && python -m lab.training.kills 100

Each kill is a ``kill -9`` of a real process, at a moment drawn over the length of a whole run. What
it leaves is continued by a new process, which is killed again with an even chance. A run that ended
is compared, bit for bit, with one that nothing disturbed. Half of all writes of files are slowed
down, so that many processes die with half a file on the disk.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch

from lab.training.test_resume import left
from lab.training.tiny import recipe, run

_SLOW = 0.02  # seconds before a file that was written takes its name


def main(kills: int, seed: int = 0) -> Counter[str]:
    """Kill so many processes; return what they were doing when they died."""
    torch.set_num_threads(1)  # processes are forked
    draw, seen = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        folder, straight = Path(place, "killed"), Path(place, "straight")
        run(straight, recipe())  # here, so that the children find all modules imported
        wanted, began = left(straight), time.monotonic()
        assert os.waitpid(_forked(lambda: _train(folder)), 0)[1] == 0
        length = time.monotonic() - began
        while kills or folder.exists():
            if kills and (not folder.exists() or draw.random() < 0.5):
                process = _forked(lambda: _train(folder))
                time.sleep(draw.uniform(0, length))
                os.kill(process, signal.SIGKILL)
                kills -= 1
                if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) != -signal.SIGKILL:
                    seen["had ended before"] += 1
                elif list(folder.rglob(".*.tmp")):
                    seen["half a file"] += 1
                else:
                    seen["between files"] += 1
            else:
                assert os.waitpid(_forked(lambda: _train(folder)), 0)[1] == 0
                assert left(folder) == wanted
                assert not list(folder.rglob(".*.tmp"))
                seen["runs compared"] += 1
                shutil.rmtree(folder)
    return seen


def _train(folder: Path) -> None:
    sync = os.fsync

    def slow(handle: int) -> None:
        if random.random() < 0.5:
            time.sleep(_SLOW)
        sync(handle)

    os.fsync = slow
    run(folder, recipe())


def _forked(action: Callable[[], None]) -> int:
    """Do something in a child; return its number."""
    process = os.fork()
    if process:
        return process
    try:
        action()
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    found = main(int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    sys.stdout.write(", ".join(f"{what}: {count}" for what, count in found.items()) + "\n")
