"""``MixCallback`` in Lightning's own trainer."""

from __future__ import annotations

import copy
import importlib
import re
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import mixwright as mw

pl: Any = pytest.importorskip("lightning.pytorch")

from mixwright.adapters.lightning import MixCallback  # noqa: E402

IMAGES = torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(8) % 3


class Data(Dataset[Any]):
    """Eight images, as pairs or as dictionaries."""

    def __init__(self, keys: tuple[str, str] | None = None) -> None:
        self.keys = keys

    def __len__(self) -> int:
        return len(IMAGES)

    def __getitem__(self, index: int) -> Any:
        pair = IMAGES[index], LABELS[index]
        return (
            pair
            if self.keys is None
            else dict(zip((*self.keys, "name"), (*pair, index), strict=True))
        )


def loader(keys: tuple[str, str] | None = None) -> DataLoader[Any]:
    return DataLoader(Data(keys), batch_size=4)


class Net(pl.LightningModule):
    """Keeps every batch that its steps are given."""

    def __init__(self, keys: tuple[str, str] | None = None, returns: str = "loss") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(108, 3))
        self.keys, self.returns = keys, returns
        self.seen: dict[str, list[tuple[Tensor, Tensor]]] = {}
        self.logits: list[Tensor] = []
        self.progress: list[float] = []
        self.states: list[Tensor] = []
        self.mix: list[Any] = []  # no submodule

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)

    def step(self, batch: Any, name: str) -> Any:
        images, labels = batch if self.keys is None else (batch[key] for key in self.keys)
        self.seen.setdefault(name, []).append((images.clone(), labels.clone()))
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        if name == "train":
            self.logits.append(logits.detach())
            for mix in self.mix:
                self.progress.append(mix.progress)
                self.states.append(mix.state_dict()["generator"])
        return loss if self.returns == "loss" else {"loss": loss, "logits": logits}

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        return self.step(batch, "train")

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.step(batch, "sanity" if self.trainer.sanity_checking else "val")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.step(batch, "test")

    def predict_step(self, batch: Any, batch_idx: int) -> None:
        self.step(batch, "predict")

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(*callbacks: Any, library: Any = pl, **options: Any) -> Any:
    usual = {
        "accelerator": "cpu",
        "devices": 1,
        "max_epochs": 1,
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return library.Trainer(callbacks=list(callbacks), **{**usual, **options})


def mixed_by_hand(count: int) -> list[tuple[Tensor, Tensor]]:
    """What a Mix of the same seed makes of the batches, one after another."""
    mix = mw.Mix(mw.CutMix(), num_classes=3, seed=5)
    parts = [slice(0, 4), slice(4, 8)]
    return [mix(IMAGES[part], LABELS[part]) for part in (parts * count)[:count]]


def check(found: list[tuple[Tensor, Tensor]], wanted: list[tuple[Tensor, Tensor]]) -> None:
    assert len(found) == len(wanted)
    for (images, labels), (other, targets) in zip(found, wanted, strict=True):
        assert torch.equal(images, other)
        assert torch.equal(labels, targets)


@pytest.mark.parametrize("package", ["lightning.pytorch", "pytorch_lightning"])
def test_training_alone_is_mixed_and_by_what_mix_draws(package: str):
    library = importlib.import_module(package)

    class Own(library.LightningModule):  # of the trainer's own package
        __init__, forward, step = Net.__init__, Net.forward, Net.step
        training_step, validation_step = Net.training_step, Net.validation_step
        test_step, predict_step = Net.test_step, Net.predict_step
        configure_optimizers = Net.configure_optimizers

    made = Net if library is pl else type("Own", (Own,), {})
    if library is not pl:

        def init(self: Any) -> None:
            library.LightningModule.__init__(self)
            self.net = nn.Sequential(nn.Flatten(), nn.Linear(108, 3))
            self.keys, self.returns, self.seen, self.logits = None, "loss", {}, []
            self.progress, self.states, self.mix = [], [], []

        made.__init__ = init
    net = made()
    callback = MixCallback(mw.Mix(mw.CutMix(), num_classes=3, seed=5))
    run = trainer(callback, library=library, max_epochs=2, num_sanity_val_steps=1)
    run.fit(net, loader(), loader())
    run.test(net, loader(), verbose=False)
    run.predict(net, loader())
    plain = [(IMAGES[:4], LABELS[:4]), (IMAGES[4:], LABELS[4:])]
    check(net.seen["train"], mixed_by_hand(4))
    check(net.seen["val"], plain * 2)
    check(net.seen["sanity"], plain[:1])
    check(net.seen["test"], plain)
    check(net.seen["predict"], plain)
    assert "batch_to_device" not in vars(run.strategy)


def test_dictionaries_and_a_getter_of_labels_and_accumulated_gradients():
    keys = ("picture", "species")
    net = Net(keys)
    mix = mw.Mix(mw.CutMix(), num_classes=3, seed=5, labels_getter=lambda batch: batch["species"])
    run = trainer(MixCallback(mix), accumulate_grad_batches=2)
    run.fit(net, loader(keys), loader(keys))
    check(net.seen["train"], mixed_by_hand(2))
    assert run.global_step == 1


def test_mixing_switched_off_leaves_batches_as_they_are():
    net, mix = Net(), mw.Mix(mw.CutMix(), num_classes=3, seed=5)
    mix.mixing = False
    trainer(MixCallback(mix)).fit(net, loader())
    check(net.seen["train"], [(IMAGES[:4], LABELS[:4]), (IMAGES[4:], LABELS[4:])])


def test_mixing_comes_behind_the_transfer_hook_of_a_data_module():
    class Module(pl.LightningDataModule):
        def train_dataloader(self) -> Any:
            return loader()

        def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
            return batch[0] + 1, batch[1]

    net = Net()
    trainer(MixCallback(mw.Mix(mw.CutMix(), num_classes=3, seed=5))).fit(net, datamodule=Module())
    mix = mw.Mix(mw.CutMix(), num_classes=3, seed=5)
    check(net.seen["train"], [mix(IMAGES[k : k + 4] + 1, LABELS[k : k + 4]) for k in (0, 4)])


def test_the_accuracy_of_mixed_batches_is_logged_where_logits_are_returned():
    net = Net(returns="logits")
    run = trainer(MixCallback(mw.Mix(mw.CutMix(), num_classes=3, seed=5, label_smoothing=0.3)))
    run.fit(net, loader())
    again = mw.Mix(mw.CutMix(), num_classes=3, seed=5)  # unsmoothed: the weights themselves
    share = 0.0
    for k, logits in zip((0, 4), net.logits, strict=True):
        _, targets = again(IMAGES[k : k + 4], LABELS[k : k + 4])
        share += sum(targets[b, logits[b].argmax()].item() for b in range(4)) / 8
    assert run.callback_metrics["train_mixed_accuracy"].item() == pytest.approx(share)
    assert 0 < share < 1
    for callback in (
        MixCallback(mw.Mix(mw.CutMix(), num_classes=3), log=None),
        MixCallback(mw.Mix(mw.CutMix(), num_classes=3)),
    ):
        run = trainer(callback)
        run.fit(Net(returns="logits" if callback.log_name is None else "loss"), loader())
        assert not any("accuracy" in name for name in run.callback_metrics)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"max_epochs": 2}, [0, 0.25, 0.5, 0.75]),
        ({"max_epochs": -1, "max_steps": 3}, [0, 1 / 3, 2 / 3]),
        ({"max_epochs": 4, "max_steps": 4}, [0, 0.25, 0.5, 0.75]),
        ({"max_epochs": 2, "limit_train_batches": 1}, [0, 0.5]),
        ({"max_epochs": 2, "accumulate_grad_batches": 2}, [0, 0.25, 0.5, 0.75]),
    ],
)
def test_progress_follows_the_run(options: dict[str, Any], wanted: list[float]):
    told: list[float] = []

    def at(progress: float) -> mw.CutMix:
        told.append(progress)
        return mw.CutMix()

    mix, net = mw.Mix(mw.Scheduled(at), num_classes=3, seed=5), Net()
    net.mix.append(mix)
    trainer(MixCallback(mix), **options).fit(net, loader())
    assert net.progress == pytest.approx(wanted)
    assert told[-1] == pytest.approx(wanted[-1])


class Asking:
    """A mixer that needs the model, and says which it got."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    def plan(self, images: Tensor, labels: Any = None, *, generator: Any, model: Any = None) -> Any:
        self.got.append(model)
        return mw.MixUp().plan(images, labels, generator=generator)


def test_mixers_are_given_the_module_or_the_part_that_is_named():
    for name in (None, "net"):
        net, mixer = Net(), Asking()
        trainer(MixCallback(mw.Mix(mixer, num_classes=3), model=name)).fit(net, loader())
        assert all(got is (net if name is None else net.net) for got in mixer.got)
        assert len(mixer.got) == 2
    net = Net()
    net.net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(128, 3))
    mix = mw.Mix(mw.PuzzleMix(), num_classes=3, seed=5)
    before = copy.deepcopy(net.net)
    trainer(MixCallback(mix), limit_train_batches=1).fit(net, loader())
    by_hand = mw.Mix(mw.PuzzleMix(), num_classes=3, seed=5)
    check(net.seen["train"], [by_hand(IMAGES[:4], LABELS[:4], model=before)])


@pytest.mark.parametrize("every", [1, 2, 3])  # batches, of two an epoch: 1 and 3 are in the middle
def test_a_resumed_run_draws_on_exactly(every: int, tmp_path: Path):
    def run(*, epochs: int, steps: int = -1, path: Path | None = None) -> Net:
        net, mix = Net(), mw.Mix(mw.OneOf(mw.CutMix(), mw.MixUp()), num_classes=3, seed=5)
        net.mix.append(mix)
        saving = pl.callbacks.ModelCheckpoint(
            tmp_path, filename="{step}", every_n_train_steps=every, save_top_k=-1
        )
        options = {"enable_checkpointing": True, "max_steps": steps, "max_epochs": epochs}
        trainer(MixCallback(mix), saving, **options).fit(
            net, loader(), ckpt_path=None if path is None else str(path)
        )
        return net

    whole = run(epochs=3)
    torch.manual_seed(123)  # of another run: the seed must come from the checkpoint
    resumed = run(epochs=3, path=tmp_path / f"step={every}.ckpt")
    states = resumed.states
    assert len(states) == 6 - every
    assert all(torch.equal(a, b) for a, b in zip(states, whole.states[every:], strict=True))
    assert not torch.equal(whole.states[every], whole.states[0])
    if every == 2:  # between epochs the loader goes on alike too
        check(resumed.seen["train"], whole.seen["train"][2:])


def test_after_an_error_nothing_is_mixed_any_more():
    class Failing(Net):
        def training_step(self, batch: Any, batch_idx: int) -> Any:
            raise RuntimeError("mine")

    run = trainer(MixCallback(mw.Mix(mw.CutMix(), num_classes=3)))
    with pytest.raises(RuntimeError, match="mine"):
        run.fit(Failing(), loader())
    assert "batch_to_device" not in vars(run.strategy)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"MixCallback: mix is .*CutMix.*; expected a Mix"):
        MixCallback(mw.CutMix())  # pyright: ignore[reportArgumentType]
    mix = mw.Mix(mw.CutMix(), num_classes=3)
    with pytest.raises(ValueError, match="the model has no layer 'nett'; the nearest are net"):
        trainer(MixCallback(mix, model="nett")).fit(Net(), loader())
    with pytest.raises(ValueError, match="num_classes"):
        trainer(MixCallback(mw.Mix(mw.CutMix()))).fit(Net(), loader())


class Other(MixCallback):
    """Of another name, which Lightning's own check lets pass."""


def test_a_trainer_with_two_callbacks_is_refused():
    first, other = (kind(mw.Mix(mw.CutMix(), num_classes=3)) for kind in (MixCallback, Other))
    with pytest.raises(RuntimeError, match="more than one stateful callback of type `MixCallback`"):
        trainer(first, MixCallback(first.mix))  # by Lightning, before the trainer is made
    run, net = trainer(first, other), Net()
    with pytest.raises(ValueError, match=r"the trainer has 2 of them.*mw\.OneOf\("):
        run.fit(net, loader())
    assert not net.seen
    assert "batch_to_device" not in vars(run.strategy)


def test_a_mix_in_evaluation_mode_is_named_once_and_leaves_batches_as_they_are():
    net, mix = Net(), mw.Mix(mw.CutMix(), num_classes=3, seed=5).eval()
    with pytest.warns(UserWarning, match="MixCallback: the mix is in evaluation mode") as told:
        trainer(MixCallback(mix), max_epochs=2).fit(net, loader(), loader())
    assert sum("MixCallback" in str(warning.message) for warning in told) == 1
    check(net.seen["train"], [(IMAGES[:4], LABELS[:4]), (IMAGES[4:], LABELS[4:])] * 2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="MixCallback")
        trainer(MixCallback(mix.train())).fit(Net(), loader(), loader())
        mix.mixing = False  # the switch that is meant for training
        trainer(MixCallback(mix)).fit(Net(), loader())


class Tuned(Net):
    """Has what Lightning's tuner varies."""

    def __init__(self) -> None:
        super().__init__()
        self.lr, self.batch_size = 0.1, 4

    def train_dataloader(self) -> Any:
        return DataLoader(Data(), batch_size=self.batch_size)

    val_dataloader = train_dataloader

    def tried(self) -> list[tuple[Tensor, Tensor]]:
        """Give what was trained on since the last call."""
        return self.seen.pop("train")


def all_mixed(batches: list[tuple[Tensor, Tensor]]) -> bool:
    return all(targets.ndim == 2 and bool((targets > 0).sum() > 4) for _, targets in batches)


def test_the_tuner_tries_mixed_batches_and_draws_begin_anew_after_it(tmp_path: Path):
    net, mix = Tuned(), mw.Mix(mw.CutMix(), num_classes=3, seed=5)
    run = trainer(MixCallback(mix), default_root_dir=tmp_path)
    tuner = pl.tuner.Tuner(run)
    tuner.lr_find(net, num_training=2, update_attr=False)
    tried = net.tried()
    assert len(tried) == 2
    assert all_mixed(tried)
    assert tuner.scale_batch_size(net, steps_per_trial=1, init_val=4, max_trials=1) == 4
    assert all_mixed(net.tried())
    assert "batch_to_device" not in vars(run.strategy)
    run.fit(net)
    check(net.tried(), mixed_by_hand(2))


def test_a_finder_among_the_callbacks_tries_mixed_batches_too(tmp_path: Path):
    net, mix = Tuned(), mw.Mix(mw.CutMix(), num_classes=3, seed=5)
    finder = pl.callbacks.LearningRateFinder(num_training_steps=2, update_attr=False)
    trainer(MixCallback(mix, model="net"), finder, default_root_dir=tmp_path).fit(net)
    tried = net.tried()
    assert all_mixed(tried[:2])
    check(tried[2:], mixed_by_hand(2))
    check(net.seen["val"][-2:], [(IMAGES[:4], LABELS[:4]), (IMAGES[4:], LABELS[4:])])


class Sharded(Net):
    """Writes what each of the processes has seen."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def on_fit_end(self) -> None:
        torch.save((self.seen["train"], self.states), f"{self.path}-{self.global_rank}")


def test_two_processes_draw_differently_and_each_goes_on_after_a_resume(tmp_path: Path):
    def run(name: str, **options: Any) -> list[Any]:
        torch.manual_seed(7)  # where both get their seed
        mix, net = mw.Mix(mw.CutMix(), num_classes=3), Sharded(tmp_path / name)
        net.mix.append(mix)
        saving = pl.callbacks.ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
        # Forked, since two processes that start from nothing import everything again.
        two = {"devices": 2, "strategy": "ddp_fork", "enable_checkpointing": True}
        made = trainer(MixCallback(mix), saving, max_epochs=2, **two)
        made.fit(net, DataLoader(Data(), batch_size=2), **options)
        return [torch.load(tmp_path / f"{name}-{rank}") for rank in (0, 1)]

    whole = run("whole")
    states = [[state.tolist() for state in ranks[1]] for ranks in whole]
    assert len(states[0]) == len(states[1]) == 4
    assert not {str(state) for state in states[0]} & {str(state) for state in states[1]}
    saved = torch.load(tmp_path / "epoch=0.ckpt")["callbacks"]["MixCallback"]["ranks"]
    assert [state["rank"] for state in saved] == [0, 1]
    resumed = run("resumed", ckpt_path=str(tmp_path / "epoch=0.ckpt"))
    for rank in (0, 1):
        check(resumed[rank][0], whole[rank][0][2:])
        assert torch.equal(resumed[rank][1][-1], whole[rank][1][-1])


# ------------------------------------------------------------------ the page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the page's code leaves behind, run in an empty folder."""
    path = Path(__file__).parents[2] / "docs" / "integrations" / "lightning.md"
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(), re.S)
    assert len(blocks) == 4
    scope: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("page"))
        for block in blocks:
            exec(compile(block, path.name, "exec"), scope)
    return scope


def test_the_modules_of_the_page_train(page: dict[str, Any]):
    assert 0 <= page["trainer"].callback_metrics["val_accuracy_teacher"] <= 1
    learner = page["learner"]
    assert learner.batches == 4
    assert learner.objective.steps == learner.objective.updates == 4


class Tiny(nn.Module):
    """Two stages and a Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(4, 8, 3, stride=2, padding=1), nn.ReLU())
        self.fc = nn.Linear(8, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.fc(self.second(self.first(images)).mean(dim=(2, 3)))


@pytest.mark.parametrize("make", [lambda: mw.AdAutoMix(image_size=6), mw.ManifoldMix])
def test_the_pages_learner_goes_on_exactly(page: dict[str, Any], make: Any, tmp_path: Path):
    def run(path: Path | None = None) -> Any:
        torch.manual_seed(0)
        learner = page["Learner"](Tiny(), make(), 3)
        saving = pl.callbacks.ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1)
        made = trainer(saving, enable_checkpointing=True, max_epochs=3)
        torch.manual_seed(0 if path is None else 1)
        made.fit(learner, loader(), loader(), ckpt_path=None if path is None else str(path))
        return learner

    whole, resumed = run(), run(tmp_path / "epoch=0.ckpt")
    assert resumed.batches == 6
    wanted, found = whole.state_dict(), resumed.state_dict()
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        same = (
            torch.equal(value, found[name]) if isinstance(value, Tensor) else value == found[name]
        )
        assert same, name
    start = torch.load(tmp_path / "epoch=0.ckpt")["state_dict"]["net.fc.weight"]
    assert not torch.equal(start, wanted["net.fc.weight"])
