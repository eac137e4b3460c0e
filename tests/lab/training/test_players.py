"""Players beside the model: they rest, they are clipped apart, they are compiled."""

import math

import pytest
import torch
from torch import nn

from lab.training.tiny import Blend, Turns, recipe, run, tiny_net
from mixwright.lab.training import learner as learner_module
from mixwright.lab.training.distributed import World
from mixwright.lab.training.learner import Learner, build_criterion, spread
from mixwright.lab.training.schedule import learning_rate


def test_a_player_without_a_gradient_does_not_move(tmp_path):
    """Nor by momentum, weight decay or AdamW's own memory, though both have been moved before."""
    objective = Turns()
    run(tmp_path, recipe(epochs=3), objective=objective)
    final = [player.tolist() for player in objective.players]
    scale, shift = zip(*objective.seen, final, strict=True)
    for k in range(12):
        moved = (scale[k] != scale[k + 1], shift[k] != shift[k + 1])
        assert moved == ((True, False) if k % 2 == 0 else (False, True))


def test_players_follow_their_own_schedules(tmp_path):
    """AdamW's first step is the rate times the sign, whatever the gradient: its rate is read."""
    objective = Turns()
    run(tmp_path, recipe(epochs=1, warmup_epochs=0.5, min_lr=0.05), objective=objective)
    _, shift = zip(*objective.seen, strict=True)
    rate = learning_rate(1 / 4, step=1 / 4, highest=0.02, lowest=0.01)  # no warm-up
    assert [abs(value) for value in shift[2]] == pytest.approx([rate] * 3, rel=1e-3)
    assert shift[1] == [0.0] * 3


def test_each_player_is_clipped_by_itself(tmp_path, monkeypatch):
    norms = []
    clip = nn.utils.clip_grad_norm_

    def noted(parameters, limit):
        kept = [one for one in parameters if one.grad is not None]
        clip(kept, limit)
        norms.append((len(kept), math.sqrt(sum(float(p.grad.square().sum()) for p in kept))))

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", noted)
    run(tmp_path, recipe(epochs=1, grad_clip=1e-3), objective=Turns())
    # The model has 5 tensors; of the two players one learns. The model rests with the shift.
    assert [count for count, _ in norms] == [5, 1, 1, 5, 1, 1]
    assert [norm for _, norm in norms] == pytest.approx([1e-3] * 6, rel=1e-2)


@pytest.mark.parametrize(
    ("objective", "off", "finds"),
    [(Blend(), 0, False), (Blend(), 1, True), (Turns(), 0, True)],
)
def test_ddp_is_told_of_players_that_rest(monkeypatch, objective, off, finds):
    settings = {}

    def wrap(module, device_ids=None, *, forward_sync_buffers=None, **given):
        settings.update(given)
        return module

    monkeypatch.setattr(learner_module, "DistributedDataParallel", wrap)
    model, of = tiny_net(), recipe(mix_off_epochs=off)
    objective.build(model, 3)
    learner = Learner(model, objective, build_criterion(of))
    spread(learner, of, world=World(size=2), device=torch.device("cpu"))
    assert settings["find_unused_parameters"] is finds


def test_what_is_returned_leads_to_no_player_that_rests():
    model, objective = tiny_net(), Turns()
    objective.build(model, 3)
    learner = Learner(model, objective, build_criterion(recipe()))
    batch = torch.rand(2, 3, 8, 8), torch.tensor([0, 1])
    losses = learner(*batch, generator=torch.Generator(), progress=0.0, mixing=True)
    assert losses.total.requires_grad
    assert not losses.logits.requires_grad


def test_parts_of_the_objective_are_compiled_with_the_model(tmp_path, monkeypatch):
    class WithPart(Blend):
        def __init__(self):
            super().__init__()
            self.part = nn.Identity()

        def compiled_parts(self):
            return (self.part,)

    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    net, objective = tiny_net(), WithPart()
    run(tmp_path / "plain", recipe(epochs=1), model=net, objective=WithPart())
    assert compiled == []
    run(tmp_path / "compiled", recipe(epochs=1, compile=True), model=net, objective=objective)
    assert compiled == [net, objective.part]
