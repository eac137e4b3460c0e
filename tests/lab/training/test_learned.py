"""Runs whose mixer learns: resumed bit for bit, on two processes, diverging, told in the record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lab.training.tiny import digest, recipe, run, tiny_data
from mixwright.checkpoint import load_checkpoint
from mixwright.lab.models.vit import SmallViT
from mixwright.lab.training.epoch import DivergedError
from mixwright.lab.training.learner import Learner
from mixwright.lab.training.mask_snapshots import read_mask_snapshots
from mixwright.objectives import AdAutoMix, AutoMix, SAMix, learning
from mixwright.objectives.criteria import CrossEntropy
from mixwright.objectives.learning import Learning
from mixwright.sampling import stream

CLASSES = 3
MAKERS: dict[str, Any] = {
    "automix": lambda: AutoMix(mask_lr=0.02, mask_min_lr=0.01),
    "samix": lambda: SAMix(statistics="average"),
    "adautomix": lambda: AdAutoMix(sources=(2, 3), statistics="recompute"),
    "turns": lambda: AdAutoMix(game="paper", student_steps=2, generator_steps=1),
}


class KilledError(Exception):
    pass


def small_vit() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SmallViT(num_classes=CLASSES, image_size=16, width=16, depth=2, heads=2)


@pytest.mark.parametrize("name", MAKERS)
def test_resumed_is_straight(tmp_path: Path, name: str) -> None:
    """With teacher, network, head, counts and the alternation of steps."""
    of = recipe(epochs=3, accumulate=2, grad_clip=1.0)
    given: dict[str, Any] = {"data": tiny_data()}

    def kill(progress: Any) -> None:
        if (progress.epoch, progress.step) == (2, 1):
            raise KilledError

    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    run(straight, of, model=net(), objective=MAKERS[name](), **given)
    with pytest.raises(KilledError):
        run(resumed, of, model=net(), objective=MAKERS[name](), on_progress=kill, **given)
    torch.manual_seed(99)
    run(resumed, of, model=net(), objective=MAKERS[name](), **given)
    one, other = (load_checkpoint(folder / "last.pt") for folder in (straight, resumed))
    for part in ("weights", "ema_updates", "objective", "optimizer"):
        assert digest(one[part]) == digest(other[part]), part
    kept = [read_mask_snapshots(folder) for folder in (straight, resumed)]
    assert [state["epoch"] for state in kept[0]] == [1, 2, 3]
    for a, b in zip(*kept, strict=True):
        assert torch.equal(a["mask"], b["mask"])
        assert torch.equal(a["mixed"], b["mixed"])
        assert torch.equal(a["index"], kept[0][0]["index"])  # only the masks change


def net() -> nn.Module:
    """A small network with stages and batch normalisation, for the images of ``tiny_data``."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        shape = tiny_data().train.shape
        model = nn.Sequential()
        model.add_module("one", nn.Sequential(nn.Conv2d(shape[0], 6, 3), nn.BatchNorm2d(6)))
        model.add_module("two", nn.Sequential(nn.ReLU(), nn.Conv2d(6, 8, 3, 2), nn.BatchNorm2d(8)))
        model.add_module("pool", nn.AdaptiveAvgPool2d(1))
        model.add_module("flat", nn.Flatten())
        model.add_module("fc", nn.Linear(8, tiny_data().num_classes))
    return model


def test_a_term_that_breaks_is_named_and_the_checkpoint_kept(tmp_path: Path) -> None:
    class Broken(AutoMix):
        def network_loss(self, plan: Any, logits: Tensor, labels: Tensor) -> Tensor:
            loss = super().network_loss(plan, logits, labels)
            return loss * float("nan") if self.steps > 4 else loss

    with pytest.raises(DivergedError, match=r"the loss term 'teacher' is nan in epoch 2"):
        run(tmp_path, recipe(epochs=3), model=net(), objective=Broken(), data=tiny_data())
    assert load_checkpoint(tmp_path / "last.pt")["epoch"] == 1


def test_the_record_tells_of_masks(tmp_path: Path) -> None:
    run(tmp_path, recipe(epochs=2), model=net(), objective=AdAutoMix(), data=tiny_data())
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    seen = lines[-1]["train"]["diagnostics"]
    wanted = {"mask spread", "mask largest", "mask follows lam", "likeness", "teacher loss"}
    assert wanted <= set(seen)
    assert lines[-1]["test"]["teacher"]["top1"] >= 0


# ---------------------------------------------------------------- two processes and one


def _batch() -> tuple[Tensor, Tensor]:
    images = torch.rand(8, 3, 16, 16, generator=stream(3), dtype=torch.float64)
    return images, torch.arange(8) % CLASSES


def _stepped(objective: Learning, rows: list[int], wrap: bool) -> dict[str, Tensor]:
    """One step on rows of the batch, whose partners are among them; gradients and the teacher."""
    model = small_vit().double()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        objective.build(model, CLASSES)
    objective.double()
    count, sources = len(rows), 3 if isinstance(objective, AdAutoMix) else 2
    half = torch.arange(count).view(-1, 4)
    index = torch.stack([half.roll(n, dims=1).flatten() for n in range(sources)], dim=1)
    shares = torch.tensor([0.5, 0.3, 0.2])[:sources]
    lam = (shares / shares.sum()).expand(count, sources)
    learning.draw_sources = lambda *_, **__: (index, lam)
    learner: nn.Module = Learner(model, objective, CrossEntropy())
    if wrap:
        learner = DistributedDataParallel(learner)
    images, labels = (one[rows] for one in _batch())
    optimizer = torch.optim.SGD([p for p in learner.parameters() if p.requires_grad], 0.1)
    losses = learner(images, labels, generator=stream(0), progress=0.0, mixing=True)
    losses.total.backward()
    players = {"model": model, "head": objective.head, "network": objective.network}
    found = {
        f"{name} {key}": parameter.grad.clone()
        for name, player in players.items()
        if player is not None
        for key, parameter in player.named_parameters()
        if parameter.grad is not None
    }
    optimizer.step()
    objective.after_step(model)
    assert objective.teacher is not None
    return found | {f"teacher {k}": v.clone() for k, v in objective.teacher.state_dict().items()}


TOGETHER: dict[str, Any] = {
    "automix": lambda: AutoMix(mask_weight=0.0),  # the penalty is not linear in the batch
    "adautomix": AdAutoMix,
    "paper": lambda: AdAutoMix(game="paper"),
}


def one_rank(folder: str, rank: int) -> None:
    """What each of the two processes does."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    rows = list(range(4 * rank, 4 * rank + 4))
    found = {name: _stepped(make(), rows, wrap=True) for name, make in TOGETHER.items()}
    torch.save(found, f"{folder}/rank{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_learn_what_one_does_on_the_whole_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without batch normalisation, and with partners of one's own half."""
    monkeypatch.setattr(learning, "draw_sources", learning.draw_sources)  # put back afterwards
    code = "import sys; from lab.training.test_learned import one_rank; "
    code += "one_rank(sys.argv[1], int(sys.argv[2]))"
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", code, str(tmp_path), str(rank)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for process in started:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    ranks = [torch.load(tmp_path / f"rank{rank}.pt") for rank in range(2)]
    for name, make in TOGETHER.items():
        alone = _stepped(make(), list(range(8)), wrap=False)
        assert any(value.abs().max() > 0 for key, value in alone.items() if "network" in key)
        for rank in ranks:
            assert rank[name].keys() == alone.keys()
            for key, value in alone.items():
                torch.testing.assert_close(rank[name][key], value, rtol=1e-6, atol=1e-9)
