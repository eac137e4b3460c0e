"""``Mix(compile=...)``: the same plans and targets, the same pixels but for the last bit."""

from __future__ import annotations

import copy
import pickle
import shutil
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import torch
from torch import Generator, Tensor
from torch.nn import Module
from torch.utils.data import DataLoader, TensorDataset

from mixwright import CutMix, Cutout, FMix, MiAMix, Mix, Mixer, MixPlan, MixUp, ResizeMix
from mixwright.sampling import Stream, stream

IMAGES = torch.rand(6, 3, 8, 10, generator=stream(1))
LABELS = torch.tensor([0, 1, 2, 3, 0, 1])

MIXERS: dict[str, Mixer] = {
    "one share a sample": MixUp(),
    "boxes": CutMix(),
    "planes": FMix(),
    "a fill": Cutout(),
    "a warp of all": ResizeMix(),
    "a warp of some": MiAMix(p_self=0.5),
}


@pytest.fixture(autouse=True)
def graphs() -> Iterator[list[object]]:
    """Graphs that are compiled in a test, all anew."""
    made: list[object] = []
    register = torch._dynamo.backends.registry.register_backend

    def counted(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        made.append(graph)
        return graph.forward

    torch.compiler.reset()
    if "counted" not in torch.compiler.list_backends(exclude_tags=()):
        register(lambda graph, inputs: _COUNTING[-1](graph, inputs), name="counted")
    _COUNTING.append(counted)
    yield made
    _COUNTING.pop()


_COUNTING: list[object] = []


def both(mixer: Mixer, **settings: object) -> tuple[Mix, Mix]:
    given = {"num_classes": 4, "seed": 3} | settings
    return Mix(mixer, **given), Mix(mixer, compile="counted", **given)  # type: ignore[arg-type]


def check_same(plain: Mix, compiled: Mix, images: Tensor, labels: Tensor = LABELS) -> Tensor:
    wanted, wanted_targets = plain(images, labels)
    mixed, targets = compiled(images, labels)
    assert torch.equal(targets, wanted_targets)  # so draws are the same
    assert mixed.dtype == images.dtype
    torch.testing.assert_close(mixed, wanted, atol=1e-6, rtol=0)
    return mixed


@pytest.mark.parametrize("name", MIXERS)
def test_pixels_targets_and_draws_are_those_of_the_mix_as_it_is(
    name: str, graphs: list[object]
) -> None:
    plain, compiled = both(MIXERS[name])
    before = IMAGES.clone()
    check_same(plain, compiled, IMAGES)
    assert graphs
    check_same(plain, compiled, IMAGES[:5, :, :6], LABELS[:5])  # a batch of another size
    assert torch.equal(IMAGES, before)
    assert torch.equal(plain.state_dict()["generator"], compiled.state_dict()["generator"])


@pytest.mark.parametrize("name", ["one share a sample", "planes", "a warp of all"])
def test_bytes_stay_bytes_and_channels_last_stays(name: str) -> None:
    whole = (IMAGES * 255).byte()
    plain, compiled = both(MIXERS[name])
    wanted, _ = plain(whole, LABELS)
    mixed, _ = compiled(whole, LABELS)
    assert mixed.dtype == torch.uint8
    # A share that falls on one half may be rounded to either side.
    assert (mixed.int() - wanted.int()).abs().max() <= 1
    last = IMAGES.contiguous(memory_format=torch.channels_last)
    mixed = check_same(plain, compiled, last)
    assert mixed.is_contiguous(memory_format=torch.channels_last)


def test_graphs_read_no_bools_which_inductor_reads_one_by_one(graphs: list[object]) -> None:
    plain, compiled = both(MIXERS["planes"])
    assert plain.plan(IMAGES, LABELS).mask_form.binary
    compiled(IMAGES, LABELS)
    (graph,) = graphs
    assert isinstance(graph, torch.fx.GraphModule)
    read = [node.meta["example_value"] for node in graph.graph.find_nodes(op="placeholder")]
    assert {value.dtype for value in read} == {torch.float32, torch.int64}


def test_switched_off_it_compiles_nothing(graphs: list[object]) -> None:
    mix = both(MixUp())[1].eval()
    assert mix(IMAGES, LABELS)[0] is IMAGES
    assert Mix(MixUp(), num_classes=4).compile_images is False
    assert not graphs


@dataclass(frozen=True)
class OfOthers:
    """A mixer whose plan is of another pool than its batch."""

    def plan(
        self, images: Tensor, labels: Tensor | None = None, *, generator: Generator,
        model: Module | None = None,
    ) -> MixPlan:  # fmt: skip
        return MixPlan.identity(torch.cat([images, images]))


def test_errors_are_the_same() -> None:
    said: list[str] = []
    for mix in both(OfOthers()):
        with pytest.raises(ValueError, match="12") as caught:
            mix(IMAGES, LABELS)
        said.append(str(caught.value))
    assert said[0] == said[1]
    for mix in both(MixUp()):
        with pytest.raises(ValueError, match="labels run from 4 to 7; expected 0 to 3"):
            mix(IMAGES, LABELS + 4)


def test_state_copies_and_pickles_draw_on() -> None:
    plain, compiled = both(CutMix())
    check_same(plain, compiled, IMAGES)
    resumed = Mix(CutMix(), num_classes=4, seed=9, compile="counted")
    resumed.load_state_dict(plain.state_dict())
    others = [resumed, copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))]
    assert all(other.compile_images == "counted" for other in others)
    wanted, targets = plain(IMAGES, LABELS)
    for other in others:
        mixed, theirs = other(IMAGES, LABELS)
        assert torch.equal(theirs, targets)
        torch.testing.assert_close(mixed, wanted, atol=1e-6, rtol=0)


def test_one_that_was_pickled_before_there_was_compiling_goes_on() -> None:
    mix = Mix(MixUp(), num_classes=4, seed=3)
    state = mix.__getstate__()
    del state["compile_images"]
    old = Mix.__new__(Mix)
    old.__setstate__(state)
    assert torch.equal(old(IMAGES, LABELS)[0], mix(IMAGES, LABELS)[0])


def test_a_spawned_worker_compiles_for_itself() -> None:
    mix = Mix(MixUp(), num_classes=4, seed=3, compile="eager")
    mix.set_epoch(0)
    loader = DataLoader(
        TensorDataset(IMAGES, LABELS), batch_size=3, num_workers=1, collate_fn=mix.collate,
        multiprocessing_context="spawn",
    )  # fmt: skip
    for batch, (mixed, targets) in enumerate(loader):
        rows = slice(3 * batch, 3 * batch + 3)
        words = (3, 0, Stream.LOADER, 0, 0, batch)  # seed, rank, epoch, worker and batch
        plan = MixUp().plan(IMAGES[rows], generator=stream(*words))
        assert torch.equal(targets, plan.targets(LABELS[rows], 4))
        torch.testing.assert_close(mixed, plan.images(IMAGES[rows]), atol=1e-6, rtol=0)


@pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "c++", "clang++"))),
    reason="torch's inductor compiles for the CPU with a C++ compiler; none is on the PATH",
)
@pytest.mark.filterwarnings("ignore:Skipping serialization")  # torch 2.6 says so of its own cache
def test_torchs_own_backend_gives_the_same() -> None:
    plain = Mix(MixUp(), num_classes=4, seed=3)
    compiled = Mix(MixUp(), num_classes=4, seed=3, compile=True)
    check_same(plain, compiled, IMAGES[:2, :1, :2, :2], LABELS[:2])


@pytest.mark.parametrize("wrong", [3, 1.0, None, ["inductor"]])
def test_what_is_no_switch_and_no_name_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"^Mix: compile is .*; expected .*\.$") as caught:
        Mix(MixUp(), compile=wrong)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_name_that_is_no_backend_is_named_at_the_first_batch() -> None:
    mix = Mix(MixUp(), num_classes=4, compile="nonsense")
    wanted = r"^Mix: compile is 'nonsense'; expected True, False or the name .*: .*inductor.*\.$"
    for _ in range(2):
        with pytest.raises(ValueError, match=wanted):
            mix(IMAGES, LABELS)


def test_it_stays_as_it_was_made_and_shows() -> None:
    mix = Mix(MixUp(), num_classes=4, seed=3, compile="eager")
    with pytest.raises(AttributeError, match=r"Make another Mix\(compile=\.\.\.\)"):
        mix.compile_images = False
    assert repr(mix).endswith("seed=3, compile='eager')")
    assert "compile" not in repr(Mix(MixUp(), seed=3))
