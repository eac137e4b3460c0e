"""The recipe for Accelerate: the blocks of its page, in one process and in two."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState, PartialState
from torch import Tensor
from torch.multiprocessing import start_processes

PAGE = Path(__file__).parents[2] / "docs" / "integrations" / "accelerate.md"
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run on the CPU in an empty folder, as a new process would."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ACCELERATE_USE_CPU", "yes")
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()


def _run(*blocks: str) -> dict[str, Any]:
    page: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), page)
    return page


def _known(images: Tensor, rows: Any) -> Tensor:
    pool = torch.stack([image for image, _ in rows])
    return (images[:, None] == pool).flatten(2).all(dim=2).any(dim=1)


def test_training_is_mixed_validation_is_not_and_a_checkpoint_draws_on() -> None:
    seen: dict[bool, list[Tensor]] = {True: [], False: []}

    def note(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, torch.nn.Conv2d):
            seen[module.training].append(inputs[0].detach().clone())

    handle = torch.nn.modules.module.register_module_forward_pre_hook(note)
    try:
        page = _run(*BLOCKS[:2])  # set up; train, validate, save
    finally:
        handle.remove()
    trained, validated = torch.cat(seen[True]), torch.cat(seen[False])
    assert (len(trained), len(validated)) == (2 * 48, 2 * 16)
    assert _known(trained, page["train_data"]).float().mean() < 0.2
    assert _known(validated, page["val_data"]).all()
    assert page["mix"].progress == pytest.approx((1 + 5 / 6) / 2)

    batch = page["images"], page["labels"]
    expected = page["mix"](*batch)
    for state in (AcceleratorState, GradientState, PartialState):
        state._reset_state()
    resumed = _run(BLOCKS[0], "mix(torch.rand(8, 3, 8, 8), torch.arange(8))")
    resumed["images"], resumed["labels"] = batch
    exec(BLOCKS[2], resumed)
    assert torch.equal(resumed["mixed"], expected[0])
    assert torch.equal(resumed["targets"], expected[1])


def _of_a_process(rank: int, port: int) -> None:
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    page = _run(*BLOCKS)
    plan = page["mix"].plan(torch.zeros(8, 3, 8, 8))
    torch.save((page["accelerator"].num_processes, plan.weight), f"{rank}.pt")


def test_two_processes_run_the_page_and_draw_differently() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    start_processes(_of_a_process, args=(port,), nprocs=2, start_method="fork")
    (count, first), (_, second) = (torch.load(f"{rank}.pt") for rank in (0, 1))
    assert count == 2
    assert not torch.allclose(first, second)
