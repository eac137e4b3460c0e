"""What ``Mix`` saves: resuming, ranks, states that do not fit, and being a part of a model."""

from __future__ import annotations

import copy
import io
import logging
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mixwright import CutMix, FieldMix, LearnedMixer, MiAMix, Mix, Mixer, MixUp, OneOf, Scheduled
from mixwright.masknets import MixBlock
from mixwright.mixers.fieldmix import Design
from mixwright.mixers.mixer import mixer_text
from mixwright.objectives.teacher import EMA
from mixwright.sampling import stream

IMAGES = torch.rand(7, 3, 8, 8, generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1, 2])
SAMPLES = [(IMAGES[k], int(LABELS[k])) for k in range(4)]


def test_the_state_resumes_the_draws_exactly() -> None:
    mix = Mix(CutMix(), num_classes=4, seed=0)
    mix(IMAGES, LABELS)
    state = copy.deepcopy(mix.state_dict())
    expected = [mix(IMAGES, LABELS) for _ in range(3)]
    other = Mix(CutMix(), num_classes=4, seed=99)
    other.load_state_dict(state)
    for images, targets in expected:
        again = other(IMAGES, LABELS)
        assert torch.equal(again[0], images)
        assert torch.equal(again[1], targets)


def test_the_state_resumes_the_loader_form_too() -> None:
    mix = Mix(MixUp(), num_classes=4, seed=0)
    mix.collate(SAMPLES)
    other = Mix(MixUp(), num_classes=4, seed=1)
    other.load_state_dict(mix.state_dict())
    assert torch.equal(mix.collate(SAMPLES)[0], other.collate(SAMPLES)[0])


def test_ranks_draw_differently(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, collated, spawned = [], [], []
    for rank in ("0", "1"):
        mix = Mix(MixUp(), num_classes=4, seed=0)  # before torchrun's group is made
        monkeypatch.setenv("RANK", rank)
        drawn.append(mix(IMAGES, LABELS)[1])
        travelling = pickle.dumps(mix)
        collated.append(mix.collate(SAMPLES)[1])
        monkeypatch.delenv("RANK")
        spawned.append(pickle.loads(travelling).collate(SAMPLES)[1])
    assert not torch.equal(*drawn)
    assert not torch.equal(*collated)
    assert torch.equal(collated[1], spawned[1])


def test_the_state_carries_the_progress_of_schedules() -> None:
    def make() -> Mix:
        return Mix(Scheduled(lambda p: MixUp(lam=1 - p)), num_classes=4, seed=0)

    mix = make()
    mix.progress = 0.25
    other = make()
    other.load_state_dict(mix.state_dict())
    assert other.plan(IMAGES).weight[:, 0].unique().tolist() == [0.75]


def test_mix_pickles_for_workers_that_are_spawned() -> None:
    mix = Mix(CutMix(), num_classes=4, seed=0)
    mix(IMAGES, LABELS)
    again = pickle.loads(pickle.dumps(mix))
    assert torch.equal(mix(IMAGES, LABELS)[0], again(IMAGES, LABELS)[0])
    assert repr(again).startswith("Mix(CutMix(")


# ------------------------------------------------------------------ ranks


def _one_rank(rank: int, folder: str) -> None:
    """Run as rank ``rank`` of two, and write down what it drew."""
    group = torch.distributed
    group.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    mix = Mix(MixUp(), num_classes=4, seed=0)
    mix(IMAGES, LABELS)
    shared: list[Any] = [mix.state_dict()]
    group.broadcast_object_list(shared, src=0)  # what a trainer's checkpoint of rank 0 does
    alone = copy.deepcopy(mix)
    mix.load_state_dict(shared[0])
    drawn = [mix(IMAGES, LABELS)[1] for _ in range(2)]
    own = mix.state_dict()
    ahead = mix(IMAGES, LABELS)[1]
    resumed = Mix(MixUp(), num_classes=4, seed=1)
    resumed.load_state_dict(own)
    goes_on = torch.equal(resumed(IMAGES, LABELS)[1], ahead)
    expected = [alone(IMAGES, LABELS)[1] for _ in range(2)]
    torch.save((drawn, expected, goes_on, mix.collate(SAMPLES)[1]), f"{folder}/{rank}")
    group.destroy_process_group()


def test_one_state_on_all_ranks_lets_them_differ_and_the_own_rank_go_on(tmp_path: Path) -> None:
    runs = [
        mp.get_context("spawn").Process(target=_one_rank, args=(k, str(tmp_path))) for k in (0, 1)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    found = [torch.load(tmp_path / str(rank)) for rank in (0, 1)]
    (first, expected, _, _), (second, _, _, _) = found
    assert all(map(torch.equal, first, expected))  # rank 0 draws as if nothing had been loaded
    assert not any(torch.equal(a, b) for a in first for b in second)
    assert [goes_on for _, _, goes_on, _ in found] == [True, True]
    assert not torch.equal(found[0][3], found[1][3])


def _on(monkeypatch: pytest.MonkeyPatch, rank: int, mix: Mix) -> Tensor:
    monkeypatch.setenv("RANK", str(rank))
    drawn = mix(IMAGES, LABELS)[1]
    monkeypatch.delenv("RANK")
    return drawn


def _draws(*words: int) -> Tensor:
    return MixUp().plan(IMAGES, generator=stream(*words)).targets(LABELS, 4)


def test_a_mix_that_drew_before_it_knew_its_rank_goes_on_as_that_rank(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mixes = [Mix(MixUp(), num_classes=4, seed=0) for _ in range(3)]
    for mix in mixes:
        assert torch.equal(mix(IMAGES, LABELS)[1], _draws(0, 0))
    after = [_on(monkeypatch, rank, mix) for rank, mix in enumerate(mixes)]
    for k, one in enumerate(after):
        assert not any(torch.equal(one, other) for other in after[:k])


def test_a_copy_that_rank_0_saved_differs_on_other_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    mix = Mix(MixUp(), num_classes=4, seed=0)
    _on(monkeypatch, 0, mix)
    saved = pickle.dumps(mix)
    own, other = (_on(monkeypatch, rank, pickle.loads(saved)) for rank in (0, 1))
    assert torch.equal(own, mix(IMAGES, LABELS)[1])
    assert not torch.equal(own, other)


def test_a_copy_made_before_the_first_draw_is_of_no_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    copied = copy.deepcopy(Mix(MixUp(), num_classes=4, seed=0))
    assert torch.equal(_on(monkeypatch, 1, copied), _draws(0, 1))


def test_states_of_0_1_are_taken_by_the_rank_that_saved_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = stream(0, 1)  # of rank 1, after one batch
    MixUp().plan(IMAGES, generator=generator)
    state = {
        "seed": 0,
        "generator": generator.get_state(),
        "epoch": 2,
        "progress": 0.5,
        "batches": 3,
        "batches_of": [2],
    }
    expected = MixUp().plan(IMAGES, generator=generator).targets(LABELS, 4)
    drawn = []
    for rank in (0, 1, 2):
        mix = Mix(MixUp(), num_classes=4, seed=9)
        monkeypatch.setenv("RANK", str(rank))
        mix.load_state_dict(state)
        drawn.append(_on(monkeypatch, rank, mix))
        assert (mix.seed, mix.progress, mix.mixing) == (0, 0.5, True)
    assert torch.equal(drawn[1], expected)
    assert not torch.equal(drawn[0], expected)
    assert not torch.equal(drawn[0], drawn[2])
    alone = Mix(MixUp(), num_classes=4, seed=9)  # a process that knows no ranks
    alone.load_state_dict(state)
    assert torch.equal(alone(IMAGES, LABELS)[1], expected)


# ------------------------------------------------------------------ states that do not fit


def _state() -> dict[str, Any]:
    mix = Mix(CutMix(), num_classes=4, seed=0)
    mix(IMAGES, LABELS)
    return mix.state_dict()


def test_the_keys_of_0_1_stay_and_what_is_new_is_told() -> None:
    old = {"seed", "generator", "epoch", "progress", "batches", "batches_of"}
    state = _state()
    assert set(state) == old | {"mixing", "rank", "mixer"}
    assert (state["mixing"], state["rank"], state["mixer"]) == (True, 0, "CutMix()")
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    mix = Mix(CutMix(), num_classes=4, seed=0)
    mix.load_state_dict(loaded)


BAD = [
    *(
        ({key: None}, KeyError, f"'{key}' is missing")
        for key in _state()
        if key not in ("mixing", "rank", "mixer")
    ),
    ({"colour": 1}, ValueError, "'colour' is unknown"),
    ({"seed": 1.5}, ValueError, r"seed is 1\.5; expected a whole number"),
    ({"seed": True}, ValueError, "seed is True; expected a whole number"),
    ({"seed": 2**300}, ValueError, "expected a whole number"),
    ({"generator": [1, 2]}, ValueError, r"generator is \[1, 2\]; expected a uint8 tensor"),
    ({"generator": torch.zeros(3)}, ValueError, "generator is .*expected a uint8 tensor"),
    ({"generator": torch.zeros(3, dtype=torch.uint8)}, ValueError, "no state of a CPU generator"),
    ({"epoch": "3"}, ValueError, "epoch is '3'; expected a whole number, at least -1"),
    ({"epoch": -2}, ValueError, "epoch is -2; expected"),
    ({"epoch": 2**70}, ValueError, "epoch is 1180591620717411303424; expected"),
    ({"progress": 2.0}, ValueError, r"progress is 2\.0; expected a share in \[0, 1\]"),
    ({"progress": float("nan")}, ValueError, "progress is nan; expected a share"),
    ({"batches": -1}, ValueError, "batches is -1; expected a whole number, at least 0"),
    ({"batches_of": 3}, ValueError, "batches_of is 3; expected a list of whole numbers"),
    ({"batches_of": [0.5]}, ValueError, r"batches_of is \[0\.5\]; expected a list"),
    ({"mixing": 1}, ValueError, "mixing is 1; expected True or False"),
    ({"rank": -1}, ValueError, "rank is -1; expected a whole number"),
    ({"mixer": 7}, ValueError, "mixer is 7; expected text"),
    ({"mixer": "MixUp()"}, ValueError, r"saved with MixUp\(\), this Mix has CutMix\(\)"),
    ({"mixer": "CutMix(alpha=0.2)"}, ValueError, r"saved with CutMix\(alpha=0\.2\)"),
]


@pytest.mark.parametrize(("change", "error", "message"), BAD, ids=range(len(BAD)))
def test_a_state_that_does_not_fit_changes_nothing(
    change: dict[str, Any], error: type[Exception], message: str
) -> None:
    state = {key: value for key, value in (_state() | change).items() if value is not None}
    mix = Mix(CutMix(), num_classes=4, seed=9)
    mix.progress, mix.mixing = 0.75, False
    mix.set_epoch(5)
    mix.mixing = True
    mix.collate(SAMPLES)
    before = mix.state_dict()
    with pytest.raises(error, match=message):
        mix.load_state_dict(state)
    after = mix.state_dict()
    assert torch.equal(before.pop("generator"), after.pop("generator"))
    assert before == after


@pytest.mark.parametrize("state", [None, [], "state", torch.zeros(3)], ids=str)
@pytest.mark.parametrize("inside", [False, True])
def test_a_state_that_is_no_dictionary(state: Any, inside: bool) -> None:
    mix = Mix(CutMix(), num_classes=4, seed=9)
    says = f"the state is a {type(state).__name__}; expected the dictionary"
    with pytest.raises(ValueError, match=says):
        mix.load_state_dict({"_extra_state": state} if inside else state)
    with pytest.raises(RuntimeError, match=f"0._extra_state: .*{says}"):
        nn.Sequential(mix).load_state_dict({"0._extra_state": state})


def test_what_tells_mixers_apart() -> None:
    flat = Design.of(torch.ones(8, 8), alpha=1.0, depth=0.5)
    spotted = Design.of(torch.eye(8), alpha=1.0, depth=0.5)
    told = {
        mixer_text(mixer)
        for mixer in (
            MixUp(),
            MixUp(alpha=0.5),
            MiAMix(methods=(MixUp(alpha=0.5),), weights=(1.0,)),
            MiAMix(),
            OneOf(MixUp(), CutMix()),
            OneOf(MixUp(), CutMix(), per="batch"),
            Scheduled(lambda p: MixUp(alpha=p)),
            FieldMix(design=flat),
            FieldMix(design=spotted),
        )
    }
    assert len(told) == 9
    assert mixer_text(MixUp(alpha=1.0)) == "MixUp()"  # defaults are left out: new ones may come
    assert mixer_text(OneOf(MixUp(), CutMix())) == "OneOf(mixers=(MixUp(), CutMix()))"
    assert mixer_text(OneOf(MixUp(), per="batch")) == "OneOf(mixers=(MixUp()), per='batch')"
    assert not any("0x" in text for text in told)  # an address is another in each process


def test_a_schedule_is_the_same_mixer_as_it_goes_on() -> None:
    mix = Mix(Scheduled(lambda p: MixUp(lam=1 - p)), num_classes=4, seed=0)
    state = mix.state_dict()
    mix.progress = 0.5
    mix.load_state_dict(state)
    assert mix.progress == 0.0


# ------------------------------------------------------------------ inside a model


class Net(nn.Module):
    def __init__(self, mixer: Mixer | None = None) -> None:
        super().__init__()
        self.mix = Mix(CutMix() if mixer is None else mixer, num_classes=4, seed=0)
        self.head = nn.Linear(192, 4)

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        images, labels = self.mix(images, labels)
        return self.head(images.flatten(1)), labels


def learned() -> LearnedMixer:
    encoder = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    return LearnedMixer(encoder, MixBlock(8), layer="0")


def test_a_model_saves_it_under_one_key_and_takes_it_back() -> None:
    net = Net()
    net(IMAGES, LABELS)
    state = copy.deepcopy(net.state_dict())
    assert list(state) == ["mix._extra_state", "head.weight", "head.bias"]
    expected = [net(IMAGES, LABELS)[1] for _ in range(2)]
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    other = Net()
    other.load_state_dict(torch.load(file, weights_only=True))  # strict
    assert all(torch.equal(other(IMAGES, LABELS)[1], targets) for targets in expected)
    assert set(state["mix._extra_state"]) == set(net.mix.state_dict())
    again = Mix(CutMix(), num_classes=4)
    again.load_state_dict({"_extra_state": state["mix._extra_state"]})  # its part of a model's
    assert torch.equal(again(IMAGES, LABELS)[1], expected[0])


def test_checkpoints_from_before_it_was_a_module_load_strictly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    state = {key: value for key, value in Net().state_dict().items() if "mix" not in key}
    with caplog.at_level(logging.WARNING):
        found = Net().load_state_dict(state)
    assert (found.missing_keys, found.unexpected_keys) == ([], [])
    assert "has no mix._extra_state: draws of Mix begin anew" in caplog.text


def test_a_model_refuses_the_state_of_another_mixer() -> None:
    with pytest.raises(RuntimeError, match=r"mix\._extra_state.*saved with CutMix\(\).*MixUp"):
        Net(MixUp()).load_state_dict(Net().state_dict())


def test_evaluation_of_the_model_switches_calls_off() -> None:
    net = Net().eval()
    assert net(IMAGES, LABELS)[1] is LABELS
    assert net.train()(IMAGES, LABELS)[1].shape == (7, 4)


def test_a_learned_mixer_is_no_part_of_the_model() -> None:
    mixer = learned()
    net = Net(mixer)
    assert [name for name, _ in net.named_parameters()] == ["head.weight", "head.bias"]
    assert not any("encoder" in name for name in net.state_dict())
    assert not list(net.mix.modules())[1:]
    net.half().train()
    net.requires_grad_(False)
    assert {weight.dtype for weight in mixer.parameters()} == {torch.float32}
    assert not mixer.training
    images, targets = net.mix(IMAGES.half(), LABELS)
    assert (images.dtype, targets.dtype) == (torch.float16, torch.float32)


def test_what_is_done_to_models_is_done_to_one_that_mixes() -> None:
    net = Net()
    expected = Net()(IMAGES, LABELS)[1]
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    saved = torch.load(file, weights_only=False)
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), saved, EMA(net, 0.9).model):
        other.train()
        assert torch.equal(other(IMAGES, LABELS)[1], expected)
    for other in (copy.deepcopy(net).half(), copy.deepcopy(net).to("meta"), net.double()):
        assert torch.equal(other.mix(IMAGES, LABELS)[1], expected)
    assert "(mix): Mix(CutMix(" in repr(net)


def test_a_compiled_model_mixes_as_the_model_does() -> None:
    net, plain = Net(), Net()
    compiled = torch.compile(net, backend="eager")
    for _ in range(2):
        assert torch.equal(compiled(IMAGES, LABELS)[1], plain(IMAGES, LABELS)[1])
    whole = torch.compile(net.eval(), backend="eager", fullgraph=True)
    assert torch.equal(whole(IMAGES, LABELS)[1], LABELS)


def _wrapped(folder: str) -> None:
    group = torch.distributed
    group.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=0, world_size=1)
    net = DistributedDataParallel(Net())
    logits, targets = net(IMAGES, LABELS)
    (logits.log_softmax(dim=1) * targets).sum().backward()
    torch.save((list(net.state_dict()), targets), f"{folder}/found")
    group.destroy_process_group()


def test_ddp_wraps_a_model_that_mixes(tmp_path: Path) -> None:
    # spawned, not forked: backward starts threads, which a fork of a process that has some cannot
    run = mp.get_context("spawn").Process(target=_wrapped, args=(str(tmp_path),))
    run.start()
    run.join()
    assert run.exitcode == 0
    keys, targets = torch.load(tmp_path / "found", weights_only=False)
    assert keys == ["module.mix._extra_state", "module.head.weight", "module.head.bias"]
    assert torch.equal(targets, Net()(IMAGES, LABELS)[1])
