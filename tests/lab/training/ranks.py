"""Several ranks of one run, each in a process of its own."""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from lab.training.tiny import recipe, run, tiny_data, tiny_net
from mixwright.lab.training.folder import RunError
from mixwright.lab.training.recipe import RecipeError
from mixwright.mixers import MixUp
from mixwright.objectives.mixed import Mixed

LOST = 3
"""Exit code of a rank that said in a sentence why it cannot go on."""

MIXED = recipe(epochs=3, accumulate=2, batch_size=8, mix_off_epochs=1)
PLAIN = recipe(epochs=3, batch_size=8, crop_padding=0, flip=False)


def fork(action: Callable[[], None], variables: Mapping[str, str]) -> int:
    """Do something in a child that has these variables; return its number.

    To be called where torch has not computed a gradient yet: its threads do not survive a fork,
    which saves the seconds that importing torch takes.
    """
    process = os.fork()
    if process:
        return process
    code = 0
    try:
        os.environ.update(variables)
        action()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    atexit._run_exitfuncs()
    sys.stderr.flush()
    os._exit(code)


def wait_for(process: int) -> int:
    """Return the exit code of a child, or the signal that ended it as a negative number."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def of_torch(size: int) -> Callable[[int], dict[str, str]]:
    """The variables that torchrun sets for ranks of this host, by rank."""
    port = free_port()
    return lambda rank: {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def train(folder: Path, killed: bool = False, plain: bool = False) -> None:
    """Train in this rank; ``killed`` sends rank 1 of two a SIGKILL within the second epoch.

    A mistake, or another rank that is lost, ends the process with ``LOST`` and one line.
    """
    steps, epoch = 0, 5 if plain else 10  # forward passes, of two ranks

    def step(module: nn.Module, given: Any) -> None:
        nonlocal steps
        steps += module.training
        if killed and steps > 1.5 * epoch and os.environ.get("RANK") == "1":
            os.kill(os.getpid(), signal.SIGKILL)

    net = tiny_net(norm=False, dropout=0.0) if plain else tiny_net()
    net.register_forward_pre_hook(step)
    try:
        run(
            folder,
            PLAIN if plain else MIXED,
            model=net,
            objective=Mixed(None) if plain else Mixed(MixUp()),
            data=tiny_data(train=40),
        )
    except (RunError, RecipeError) as error:
        sys.stderr.write(f"rank {os.environ.get('RANK')}: {error}\n")
        sys.stderr.flush()
        os._exit(LOST)
