"""``MixTrainerMixin`` and ``MixCollator`` in Hugging Face's own Trainer."""

from __future__ import annotations

import gc
import logging
import pickle
import re
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

import mixwright as mw

transformers: Any = pytest.importorskip("transformers")

from mixwright.adapters.transformers import (  # noqa: E402
    MixCollator,
    MixTrainerMixin,
    mixed_cross_entropy,
)

IMAGES = torch.rand(12, 3, 16, 16, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(12) % 3


class MixTrainer(MixTrainerMixin, transformers.Trainer):
    """What the documentation tells users to write."""


class Data(Dataset[Any]):
    def __init__(self, count: int = 12, key: str = "label") -> None:
        self.count, self.key = count, key

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        return {"pixel_values": IMAGES[index], self.key: LABELS[index]}


class Watched(nn.Module):
    """A classifier of one layer that keeps what it is given; of no kind of Hugging Face's."""

    def __init__(self, extra: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(768, 3)
        self.seen: list[tuple[bool, Tensor]] = []
        self.accepts_loss_kwargs = extra
        self.config = SimpleNamespace(problem_type=None)  # asked for where labels are smoothed

    def forward(
        self, pixel_values: Tensor, labels: Tensor | None = None, **kwargs: Any
    ) -> dict[str, Tensor]:
        assert labels is None
        self.seen.append((self.training, pixel_values.clone()))
        return {"logits": self.layer(pixel_values.flatten(1))}


def vit(**options: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        image_size=16,
        patch_size=8,
        num_labels=3,
        **options,
    )
    return transformers.ViTForImageClassification(config)


def trainer(
    model: nn.Module, folder: Path, *, library: Any = MixTrainer, given: Any = None, **options: Any
) -> Any:
    usual = {
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 4,
        "num_train_epochs": 1,
        "learning_rate": 0.1,
        "optim": "sgd",
        "max_grad_norm": 0.0,
        "lr_scheduler_type": "constant",
        "report_to": "none",
        "save_strategy": "no",
        "use_cpu": True,
        "disable_tqdm": True,
        "train_sampling_strategy": "sequential",
    }
    arguments = transformers.TrainingArguments(str(folder), **{**usual, **options})
    data = {"train_dataset": Data(), "eval_dataset": Data(8)}
    return library(model, arguments, **{**data, **(given or {})})


def mix(**options: Any) -> mw.Mix:
    return mw.Mix(mw.CutMix(), num_classes=3, seed=5, **options)


def by_hand(count: int, made: mw.Mix | None = None) -> list[tuple[Tensor, Tensor]]:
    made = mix() if made is None else made
    parts = [slice(first, first + 4) for first in (0, 4, 8)]
    return [made(IMAGES[part], LABELS[part]) for part in (parts * count)[:count]]


@pytest.mark.parametrize("extra", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_training_alone_is_mixed_and_the_loss_is_that_of_mixed_labels(
    tmp_path: Path, extra: bool, smoothing: float
):
    model = Watched(extra)
    weights = [model.layer.weight.detach().clone(), model.layer.bias.detach().clone()]
    metrics: list[Any] = []
    run = trainer(
        model,
        tmp_path,
        given={"mix": mix(), "compute_metrics": lambda found: metrics.append(found) or {}},
        label_smoothing_factor=smoothing,
        eval_strategy="epoch",
    )
    run.train()
    trained = [images for training, images in model.seen if training]
    evaluated = [images for training, images in model.seen if not training]
    # The same by hand: three steps of gradient descent on cross-entropy written out.
    for (images, targets), found in zip(by_hand(3), trained, strict=True):
        assert torch.equal(images, found)
        weight, bias = (part.clone().requires_grad_() for part in weights)
        logits = images.flatten(1) @ weight.T + bias
        spread = targets * (1 - smoothing) + smoothing / 3
        loss = -(spread * logits.log_softmax(dim=1)).sum(dim=1).mean()
        steps = torch.autograd.grad(loss, [weight, bias])
        weights = [old - 0.1 * step for old, step in zip(weights, steps, strict=True)]
    torch.testing.assert_close(model.layer.weight.detach(), weights[0])
    torch.testing.assert_close(model.layer.bias.detach(), weights[1])
    assert torch.equal(torch.cat(evaluated), IMAGES[:8])
    assert metrics[0].label_ids.tolist() == LABELS[:8].tolist()
    logits = IMAGES[:8].flatten(1) @ weights[0].T + weights[1]
    wanted = F.cross_entropy(logits, LABELS[:8], label_smoothing=smoothing)
    losses = [entry["eval_loss"] for entry in run.state.log_history if "eval_loss" in entry]
    assert losses == pytest.approx([wanted.item()], rel=1e-5)
    run.predict(Data(4))
    assert torch.equal(model.seen[-1][1], IMAGES[:4])


def test_the_kind_of_problem_is_not_guessed_from_mixed_labels(tmp_path: Path):
    model = vit()
    run = trainer(model, tmp_path, given={"mix": mix()})
    run.train()
    assert model.config.problem_type is None
    # What this keeps users from: the model itself, given floating labels.
    model(IMAGES[:2], labels=torch.eye(3)[:2])
    assert model.config.problem_type == "multi_label_classification"


def test_several_classes_at_once_keep_their_own_loss(tmp_path: Path):
    model = vit(problem_type="multi_label_classification")
    hot = torch.rand(12, 3, generator=torch.Generator().manual_seed(1)).round()

    class Several(Data):
        def __getitem__(self, index: int) -> Any:
            return {"pixel_values": IMAGES[index], "labels": hot[index]}

    made = mix()
    images, targets = made(IMAGES[:4], hot[:4])
    wanted = F.binary_cross_entropy_with_logits(model.eval()(images).logits, targets)
    given = {"mix": mix(), "train_dataset": Several(4), "eval_dataset": Several(8)}
    run = trainer(model, tmp_path, given=given, logging_steps=1)
    run.train()
    assert run.state.log_history[0]["loss"] == pytest.approx(wanted.item(), abs=2e-4)


@pytest.mark.parametrize("extra", [False, True])
def test_accumulated_gradients_are_those_of_one_large_batch(tmp_path: Path, extra: bool):
    model = Watched(extra)
    weight = model.layer.weight.detach().clone().requires_grad_()
    bias = model.layer.bias.detach().clone()
    made = mix()
    parts = [slice(0, 4), slice(4, 8), slice(8, 10)]  # the last is smaller
    images, targets = (
        torch.cat(x) for x in zip(*[made(IMAGES[p], LABELS[p]) for p in parts], strict=True)
    )
    logits = images.flatten(1) @ weight.T + bias
    loss = -(targets * logits.log_softmax(dim=1)).sum(dim=1).mean()
    (gradient,) = torch.autograd.grad(loss, weight)
    run = trainer(
        model,
        tmp_path,
        given={"mix": mix(), "train_dataset": Data(10)},
        gradient_accumulation_steps=3,
        logging_steps=1,
    )
    run.train()
    assert run.state.global_step == 1
    torch.testing.assert_close(model.layer.weight.detach(), (weight - 0.1 * gradient).detach())
    assert run.state.log_history[0]["loss"] == pytest.approx(loss.item(), abs=2e-4)


def test_bfloat16_autocast_trains_and_the_loss_is_float32(tmp_path: Path):
    model = vit()
    run = trainer(model, tmp_path, given={"mix": mix()}, bf16=True, logging_steps=1)
    run.train()
    losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
    assert all(0.5 < loss < 2 for loss in losses)
    assert mixed_cross_entropy({"logits": torch.zeros(2, 3).bfloat16()}, LABELS[:2]).dtype == (
        torch.float32
    )


@pytest.mark.parametrize("at", [2, 3, 4])  # steps, of three an epoch
def test_a_resumed_run_draws_on_exactly(tmp_path: Path, at: int):
    def run(**options: Any) -> Watched:
        model = Watched(True)
        made = trainer(
            model,
            tmp_path,
            given={"mix": mw.Mix(mw.OneOf(mw.CutMix(), mw.MixUp()), num_classes=3, seed=5)},
            num_train_epochs=2,
            save_strategy="steps",
            save_steps=at,
            train_sampling_strategy="random",
        )
        made.train(**options)
        return model

    whole = run()
    torch.manual_seed(77)
    resumed = run(resume_from_checkpoint=str(tmp_path / f"checkpoint-{at}"))
    assert len(resumed.seen) == 6 - at
    for (_, found), (_, wanted) in zip(resumed.seen, whole.seen[at:], strict=True):
        assert torch.equal(found, wanted)
    torch.testing.assert_close(resumed.layer.weight, whole.layer.weight, atol=0, rtol=0)


def test_a_resumed_vit_ends_with_the_weights_of_the_whole_run(tmp_path: Path):
    def run(model: Any, **options: Any) -> Any:
        trainer(
            model,
            tmp_path,
            given={"mix": mix()},
            max_steps=5,
            save_strategy="steps",
            save_steps=2,
            optim="adamw_torch",
            learning_rate=0.01,
            train_sampling_strategy="random",
        ).train(**options)
        return model

    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    whole = run(vit(**still)).state_dict()
    saved = str(tmp_path / "checkpoint-2")
    # Not of a new model: the Trainer of release 5 does not find the blocks of a ViT, and warns.
    model = transformers.ViTForImageClassification.from_pretrained(saved)
    resumed = run(model, resume_from_checkpoint=saved).state_dict()
    for name, wanted in whole.items():
        torch.testing.assert_close(resumed[name], wanted, atol=0, rtol=0)


def test_a_checkpoint_without_draws_says_so(tmp_path: Path, caplog: Any):
    options = {"save_strategy": "steps", "save_steps": 2}
    trainer(Watched(True), tmp_path, given={"mix": mix()}, **options).train()
    (tmp_path / "checkpoint-2" / "mixwright_0.pt").unlink()
    with caplog.at_level(logging.WARNING, logger="mixwright"):
        trainer(Watched(True), tmp_path, given={"mix": mix()}, **options).train(
            resume_from_checkpoint=str(tmp_path / "checkpoint-2")
        )
    assert "holds no mixwright_0.pt: draws of Mix begin anew" in caplog.text


def test_progress_follows_the_steps_and_mixers_get_the_model(tmp_path: Path):
    told: list[tuple[float, bool]] = []
    model = vit()

    class Asking:
        progress = 0.0

        def plan(self, images: Tensor, labels: Any = None, *, generator: Any, model: Any = None):
            told.append((made.progress, model is expected))
            return mw.MixUp().plan(images, labels, generator=generator)

    expected = model
    made = mw.Mix(Asking(), num_classes=3)
    trainer(
        model, tmp_path, given={"mix": made}, num_train_epochs=2, gradient_accumulation_steps=2
    ).train()
    # Two steps an epoch: of two batches and of one.
    assert [progress for progress, _ in told] == [0, 0, 0.25, 0.5, 0.5, 0.75]
    assert all(right for _, right in told)


@pytest.mark.parametrize("key", ["label", "labels"])
@pytest.mark.parametrize("keep", [True, False])
def test_both_names_of_labels_with_and_without_removed_columns(
    tmp_path: Path, key: str, keep: bool
):
    model = Watched(True)
    given = {"mix": mix(), "train_dataset": Data(key=key), "eval_dataset": Data(8, key=key)}
    run = trainer(model, tmp_path, given=given, remove_unused_columns=keep)
    run.train()
    for (_, found), (wanted, _) in zip(model.seen, by_hand(3), strict=True):
        assert torch.equal(found, wanted)


def test_labels_that_the_trainer_does_not_know_are_named(tmp_path: Path):
    given = {
        "mix": mix(),
        "data_collator": lambda samples: {
            "pixel_values": torch.stack([sample["pixel_values"] for sample in samples]),
            "label": torch.stack([sample["label"] for sample in samples]),
        },
    }
    with pytest.raises((ValueError, TypeError), match="label"):
        trainer(Watched(True), tmp_path, given=given).train()
    with pytest.raises(ValueError, match="the batch has no 'labels'"):
        mixed_cross_entropy({"logits": torch.zeros(2, 3)}, None)


@pytest.mark.parametrize(
    ("workers", "start", "mixin"),
    [(0, None, True), (0, None, False), (1, "fork", True)],
)
def test_the_collator_mixes_training_and_no_evaluation(
    tmp_path: Path, workers: int, start: str | None, mixin: bool
):
    model = Watched(True)
    loss = {} if mixin else {"compute_loss_func": mixed_cross_entropy}
    run = trainer(
        model,
        tmp_path,
        library=MixTrainer if mixin else transformers.Trainer,
        given={"data_collator": MixCollator(mix()), **loss},
        dataloader_num_workers=workers,
        eval_strategy="epoch",
        logging_steps=1,
        **({"dataloader_multiprocessing_context": start} if start else {}),
    )
    weights = model.layer.weight.detach().clone(), model.layer.bias.detach().clone()
    run.train()
    trained = [images for training, images in model.seen if training]
    evaluated = [images for training, images in model.seen if not training]
    assert torch.equal(torch.cat(evaluated), IMAGES[:8])
    assert all(
        not torch.equal(images, IMAGES[4 * k : 4 * k + 4]) for k, images in enumerate(trained)
    )
    if workers == 0:
        samples = [Data()[index] for index in range(4)]
        batch = MixCollator(mix())(samples)
        assert torch.equal(batch["pixel_values"], trained[0])
        logits = trained[0].flatten(1) @ weights[0].T + weights[1]
        wanted = -(batch["labels"] * logits.log_softmax(dim=1)).sum(dim=1).mean()
        losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
        assert losses[0] == pytest.approx(wanted.item(), abs=2e-4)
    run.predict(Data(4))
    assert torch.equal(model.seen[-1][1], IMAGES[:4])


def label_axes(loader: Any) -> set[int]:
    return {batch["labels"].ndim for batch in loader}


@pytest.mark.parametrize("workers", [0, 1])
def test_loaders_of_evaluation_that_a_user_iterates_are_not_mixed(tmp_path: Path, workers: int):
    class Own(MixTrainer):
        def evaluation_loop(self, dataloader: Any, *args: Any, **kwargs: Any) -> Any:
            del args, kwargs
            seen.append(label_axes(dataloader))
            return transformers.trainer_utils.EvalLoopOutput(None, None, {"eval_loss": 0.0}, 8)

    seen: list[set[int]] = []
    collator = MixCollator(mix())
    run = trainer(
        Watched(True),
        tmp_path,
        library=Own,
        given={"data_collator": collator},
        dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
        **({"dataloader_multiprocessing_context": "fork"} if workers else {}),
    )
    for _ in range(2):  # workers that persist are asked again
        batches = list(run.get_eval_dataloader())
        assert torch.equal(torch.cat([batch["pixel_values"] for batch in batches]), IMAGES[:8])
        assert torch.equal(torch.cat([batch["labels"] for batch in batches]), LABELS[:8])
        assert label_axes(run.get_eval_dataloader(Data(4))) == {1}
        assert label_axes(run.get_test_dataloader(Data(4))) == {1}
        run.evaluate()
        assert label_axes(run.get_train_dataloader()) == {2}
    assert seen == [{1}, {1}]
    assert run.data_collator is collator


def test_a_plain_trainer_has_the_unmixed_collator_for_loaders_of_ones_own(tmp_path: Path):
    collator = MixCollator(mix())
    run = trainer(
        Watched(True), tmp_path, library=transformers.Trainer, given={"data_collator": collator}
    )
    assert label_axes(run.get_eval_dataloader()) == {2}  # what the page warns of
    own = torch.utils.data.DataLoader(Data(8), batch_size=4, collate_fn=collator.collate)
    assert label_axes(own) == {1}


def test_workers_that_are_spawned_know_who_sent_them(tmp_path: Path):
    collator = MixCollator(mix(), collate=torch.utils.data.default_collate)  # light to send
    samples = [{"pixel_values": IMAGES[index], "labels": LABELS[index]} for index in range(4)]
    model = Watched(True)
    run = trainer(
        model,
        tmp_path,
        given={"data_collator": collator, "eval_dataset": samples},
        dataloader_num_workers=1,
        dataloader_multiprocessing_context="spawn",
        remove_unused_columns=False,
    )
    run.evaluate()
    assert torch.equal(model.seen[0][1], IMAGES[:4])
    assert pickle.loads(pickle.dumps(collator))(samples)["labels"].shape == (4, 3)


@pytest.mark.parametrize("mixin", [True, False])
def test_smoothing_of_the_mix_works_in_both_trainers(tmp_path: Path, mixin: bool):
    model = Watched(True)
    weight, bias = model.layer.weight.detach().clone(), model.layer.bias.detach().clone()
    run = trainer(
        model,
        tmp_path,
        library=MixTrainer if mixin else transformers.Trainer,
        given={
            "data_collator": MixCollator(mix(label_smoothing=0.3)),
            **({} if mixin else {"compute_loss_func": mixed_cross_entropy}),
        },
        logging_steps=1,
        max_steps=1,
    )
    run.train()
    batch = MixCollator(mix())([Data()[index] for index in range(4)])
    logits = batch["pixel_values"].flatten(1) @ weight.T + bias
    wanted = -((batch["labels"] * 0.7 + 0.1) * logits.log_softmax(dim=1)).sum(dim=1).mean()
    assert run.state.log_history[0]["loss"] == pytest.approx(wanted.item(), abs=2e-4)


@pytest.mark.parametrize("problem", [None, "multi_label_classification"])
@pytest.mark.parametrize("collator", [True, False])
def test_another_number_of_classes_than_the_models_is_named(
    tmp_path: Path, collator: bool, problem: str | None
):
    other = mw.Mix(mw.CutMix(), num_classes=7)
    given = {"data_collator": MixCollator(other)} if collator else {"mix": other}
    model = Watched(True)
    model.config.problem_type = problem
    with pytest.raises(ValueError, match=r"labels have 7 classes and the model 3 logits"):
        trainer(model, tmp_path, given=given).train()


def test_a_mixer_that_needs_the_model_is_sent_from_the_collator_to_the_trainer():
    samples = [Data()[index] for index in range(4)]
    for mixer in (mw.PuzzleMix(), mw.OneOf(mw.SnapMix(), mw.SaliencyMix())):
        collator = MixCollator(mw.Mix(mixer, num_classes=3))
        with pytest.raises(
            ValueError, match=r"looks at the model, and a collator has none; .*mix=Mix.*Mixin"
        ):
            collator(samples)


def test_a_mix_in_evaluation_mode_says_once_that_nothing_is_mixed(tmp_path: Path, caplog: Any):
    for warnings in (1, 0):
        made = mix().eval()
        made.mixing = warnings == 1  # switched off on purpose it needs no word
        caplog.clear()
        model = Watched(True)
        with caplog.at_level(logging.WARNING, logger="mixwright"):
            trainer(model, tmp_path, given={"mix": made}).train()
        assert torch.equal(torch.cat([images for _, images in model.seen]), IMAGES)
        assert caplog.text.count("the mix is in evaluation mode") == warnings


def test_a_mix_in_evaluation_mode_mixes_in_the_collator(tmp_path: Path):
    model = Watched(True)
    trainer(model, tmp_path, given={"data_collator": MixCollator(mix().eval())}).train()
    assert not torch.equal(torch.cat([images for _, images in model.seen]), IMAGES)


def test_a_trainer_is_freed_as_soon_as_nobody_holds_it(tmp_path: Path):
    run = trainer(Watched(True), tmp_path, given={"mix": mix()})
    run.evaluate()
    held = weakref.ref(run)
    gc.disable()  # it would find a cycle, later
    try:
        del run
        assert held() is None
    finally:
        gc.enable()


def test_mixing_is_asked_for_once(tmp_path: Path):
    for given in ({}, {"mix": mix(), "data_collator": MixCollator(mix())}, {"mix": mw.CutMix()}):
        with pytest.raises(ValueError, match=r"MixTrainerMixin: mix is .*; expected mix=Mix"):
            trainer(Watched(True), tmp_path, given=given)
    with pytest.raises(ValueError, match="MixCollator: mix is"):
        MixCollator(mw.CutMix())  # pyright: ignore[reportArgumentType]


def test_mixers_that_look_at_the_model_work_in_a_trainer(tmp_path: Path):
    mixer = mw.OneOf(mw.PuzzleMix(), mw.SnapMix(), mw.AttentiveCutMix())
    run = trainer(vit(), tmp_path, given={"mix": mw.Mix(mixer, num_classes=3, seed=0)})
    assert run.train().training_loss < 3


def test_the_pages_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    path = Path(__file__).parents[2] / "docs" / "integrations" / "transformers.md"
    blocks = re.findall(r"```python\n(.*?)```", path.read_text(), re.S)
    assert len(blocks) == 4
    scope: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, path.name, "exec"), scope)
    history = scope["trainer"].state.log_history
    assert any("eval_accuracy" in entry for entry in history)
    assert scope["model"].config.problem_type in (None, "single_label_classification")
