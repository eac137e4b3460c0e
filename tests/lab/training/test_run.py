"""What a run does: mixing, averaging, accumulating, stopping, reporting."""

import dataclasses
import errno
import json
import math

import pytest
import torch
from torch import nn

from lab.training.tiny import Blend, digest, recipe, run, tiny_data, tiny_net
from mixwright.checkpoint import CheckpointError, load_checkpoint
from mixwright.lab.evaluation.scores import Scores, evaluate
from mixwright.lab.training.epoch import DivergedError
from mixwright.lab.training.recipe import RecipeError
from mixwright.lab.training.result import Result
from mixwright.objectives.criteria import CrossEntropy
from mixwright.objectives.mixed import Mixed


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder, name="last.pt"):
    return load_checkpoint(folder / name)["weights"]["raw"]


def test_a_run_leaves_what_it_promises(tmp_path):
    objective, seen = Blend(), []
    of = recipe(epochs=3, eval_every=2)
    result = run(tmp_path, of, objective=objective, on_progress=seen.append)

    lines = metrics(tmp_path)
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert [line["test"] is None for line in lines] == [True, False, False]
    assert set(lines[1]["test"]) == {"raw", "ema"}
    assert lines[1]["progress"] == pytest.approx(2 / 3)
    assert lines[0].keys() >= {"lr", "seconds", "step_seconds", "images_per_second", "commit"}
    assert (lines[0]["seed"], lines[0]["method"]) == (7, "none")
    assert set(lines[0]["train"]["terms"]) == {"mix", "size"}

    written = json.loads((tmp_path / "result.json").read_text())
    assert Result.from_record(written) == result
    assert result.scores == lines[2]["test"]
    assert (written["format"], written["scores"]) == (2, lines[2]["test"])
    assert result.epochs == 3
    assert result.parameters == sum(p.numel() for p in tiny_net().parameters())
    assert result.train == lines[2]["train"]
    best = max(lines[1:], key=lambda line: line["test"]["raw"]["top1"])
    assert result.best["raw"] == {**best["test"]["raw"], "epoch": best["epoch"]}
    assert load_checkpoint(tmp_path / "best.pt")["epoch"] == best["epoch"]

    # 40 images in batches of 10: progress is asked for after each step, and after each epoch.
    assert [(p.epoch, p.step) for p in seen] == [(e, s) for e in (1, 2, 3) for s in (1, 2, 3, 4)]
    assert [dict(p.scores) for p in seen[:7]] == [{}] * 7
    for progress, line in ((seen[7], lines[1]), (seen[10], lines[1]), (seen[11], lines[2])):
        assert progress.scores == {name: line["test"][name]["top1"] for name in ("raw", "ema")}
    assert seen[-1].share == 1
    assert seen[-1].seconds_left == 0
    assert all(math.isfinite(p.seconds_left) for p in seen)
    assert [call["progress"] for call in objective.calls] == [i / 12 for i in range(12)]


def test_the_rate_follows_the_recipe(tmp_path):
    """Four steps an epoch, two of warm-up, then ten of cosine from 0.4 to 0.1."""
    of = recipe(epochs=3, lr=0.4, min_lr=0.1, warmup_epochs=0.5)
    run(tmp_path, of)
    rates = [line["lr"] for line in metrics(tmp_path)]
    expected = [0.1 + 0.15 * (1 + math.cos(math.pi * (step - 2) / 10)) for step in (3, 7, 11)]
    assert rates == pytest.approx(expected)


def test_training_metrics_are_means_over_the_images(tmp_path):
    objective = Blend()
    run(tmp_path, recipe(epochs=1), objective=objective, data=tiny_data(train=37))
    calls = objective.calls
    assert [call["count"] for call in calls] == [10, 10, 10, 7]
    mean = sum(call["loss"] * call["count"] for call in calls) / 37
    assert metrics(tmp_path)[0]["train"]["loss"] == pytest.approx(mean, rel=1e-6)


def test_the_scores_are_those_of_the_saved_weights(tmp_path):
    result = run(tmp_path, recipe(epochs=2))
    saved = load_checkpoint(tmp_path / "last.pt")
    test = tiny_data().test
    assert [*saved["weights"]] == ["raw", "ema"]
    for column, state in saved["weights"].items():
        net = tiny_net()
        net.load_state_dict(state)
        scores = evaluate(net, [(test.images.float() / 255, test.labels)])
        assert result.scores[column]["top1"] == scores.top1
        assert result.scores[column]["nll"] == pytest.approx(scores.nll, rel=1e-6)
    assert result.scores["raw"] != result.scores["ema"]


def test_weights_are_averaged_after_every_step(tmp_path):
    """The average again, slow and obvious, from the weights after each step."""
    of = recipe(epochs=2, ema_decay=0.3)
    average = {name: value.clone() for name, value in tiny_net().named_parameters()}
    steps = 0

    class Watched(Blend):
        def after_step(self, model):
            nonlocal steps
            decay = min(0.3, (1 + steps) / (10 + steps))
            for name, value in model.named_parameters():
                average[name] = decay * average[name] + (1 - decay) * value.detach()
            steps += 1

    run(tmp_path, of, objective=Watched())
    saved = load_checkpoint(tmp_path / "last.pt")
    assert steps == saved["ema_updates"] == 8
    for name, value in average.items():
        torch.testing.assert_close(
            saved["weights"]["ema"][name], value.detach(), rtol=1e-5, atol=1e-6
        )


def test_micro_batches_have_the_gradient_of_the_whole(tmp_path):
    given = {"data": tiny_data(train=57)}  # the last batch is smaller, its parts are unequal
    still = {"crop_padding": 0, "flip": False}  # crops are drawn batch by batch
    plain = recipe(epochs=2, grad_clip=0.05, **still)
    split = recipe(epochs=2, grad_clip=0.05, accumulate=5, **still)

    def trained(folder, of):
        net = tiny_net(norm=False, dropout=0.0)
        run(tmp_path / folder, of, model=net, objective=Mixed(None), **given)
        return net.state_dict()

    for one, other in zip(trained("a", plain).values(), trained("b", split).values(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_mixing_is_off_in_the_last_epochs(tmp_path):
    objective = Blend()
    run(tmp_path, recipe(epochs=3, mix_off_epochs=1), objective=objective)
    assert len(objective.calls) == 8
    assert int(objective.steps) == 12  # what follows a step goes on
    lines = metrics(tmp_path)
    assert set(lines[1]["train"]["terms"]) == {"mix", "size"}
    assert "size" not in lines[2]["train"]["terms"]


def test_the_plain_epochs_use_the_recipes_loss(tmp_path):
    """All epochs plain is what Mixed(None) does with the same criterion."""
    run(tmp_path / "a", recipe(mix_off_epochs=4, label_smoothing=0.2), objective=Blend())
    run(tmp_path / "b", recipe(), objective=Mixed(None, CrossEntropy(label_smoothing=0.2)))
    assert digest(weights(tmp_path / "a")) == digest(weights(tmp_path / "b"))


def test_runs_of_one_seed_see_the_same_images_whatever_mixes(tmp_path):
    class Thirsty(Blend):
        def forward(self, model, images, labels, *, generator, progress):
            torch.rand(3, generator=generator)
            torch.rand(5)
            return super().forward(model, images, labels, generator=generator, progress=progress)

    one, other, later = Blend(), Thirsty(), Blend()
    run(tmp_path / "a", recipe(epochs=2), objective=one)
    run(tmp_path / "b", recipe(epochs=2), objective=other)
    run(tmp_path / "c", recipe(epochs=2, seed=8), objective=later)
    seen = [[call["images"] for call in who.calls] for who in (one, other, later)]
    assert seen[0] == seen[1]
    assert not set(seen[0]) & set(seen[2])
    assert len(set(seen[0])) == 8
    assert one.calls[0]["share"] != other.calls[0]["share"]
    assert one.calls[0]["share"] != one.calls[4]["share"]


def test_the_global_generator_is_left_alone_and_not_listened_to(tmp_path):
    results = []
    for name, seed in (("a", 1), ("b", 2)):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        run(tmp_path / name, recipe(epochs=2))
        assert torch.equal(before, torch.get_rng_state())
        results.append(digest(weights(tmp_path / name)))
    assert results[0] == results[1]


def test_images_are_mirrored_only_where_that_is_allowed(tmp_path):
    class Bright(Blend):
        def forward(self, model, images, labels, *, generator, progress):
            brighter.append(
                bool((images[:, :, :, 0].sum((1, 2)) > images[:, :, :, -1].sum((1, 2))).all())
            )
            return super().forward(model, images, labels, generator=generator, progress=progress)

    data = tiny_data()
    data.train.images[:, :, :, 0] = 255  # the left edge is the bright one
    data.train.images[:, :, :, -1] = 0
    for number, (mirrored, flip) in enumerate([(True, True), (False, True), (True, False)]):
        brighter = []
        given = dataclasses.replace(data, mirrored=mirrored)
        of = recipe(epochs=1, crop_padding=0, flip=flip)
        run(tmp_path / str(number), of, data=given, objective=Bright())
        assert all(brighter) is not (mirrored and flip)


class Broken(Blend):
    """Goes wrong at a call in the way it is told."""

    def __init__(self, at: int, how: str) -> None:
        super().__init__()
        self.at, self.how = at, how

    def forward(self, model, images, labels, *, generator, progress):
        losses = super().forward(model, images, labels, generator=generator, progress=progress)
        if len(self.calls) != self.at:
            return losses
        if self.how == "gradient":
            # Finite in itself, not in its gradient: the root of zero.
            return dataclasses.replace(
                losses, total=losses.total + (losses.logits * 0).sum().sqrt()
            )
        bad = losses.terms[self.how] * float("inf")
        return dataclasses.replace(
            losses, total=losses.total + bad, terms={**losses.terms, self.how: bad}
        )


@pytest.mark.parametrize(
    ("at", "how", "message"),
    [
        (6, "mix", "the loss term 'mix' is inf in epoch 2 by step 2"),
        (7, "size", "the loss term 'size' is inf in epoch 2 by step 3"),
        (8, "mix", "the loss term 'mix' is inf in epoch 2 by step 4"),
        (8, "gradient", "the weight '0.weight' is not finite in epoch 2"),
    ],
)
def test_divergence_is_named_and_the_checkpoint_before_kept(tmp_path, at, how, message):
    with pytest.raises(DivergedError) as caught:
        run(tmp_path, recipe(), objective=Broken(at, how))
    assert message in str(caught.value)
    assert "the checkpoint of epoch 1 is kept" in str(caught.value)
    assert load_checkpoint(tmp_path / "last.pt")["epoch"] == 1
    assert len(metrics(tmp_path)) == 1
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize("epochs", [1, 2])  # at the end, and before
def test_a_network_that_only_tests_find_broken_has_diverged(tmp_path, epochs):
    """Its norm divides by a variance below zero, which only evaluation takes."""
    net = nn.Sequential(nn.BatchNorm2d(3, momentum=0.0), tiny_net())
    net[0].running_var.fill_(-1.0)
    expected = "training diverged: the logits of 23 of 23 images are NaN or infinite in epoch 1"
    with pytest.raises(DivergedError, match=f"{expected}; no checkpoint yet. Lower lr"):
        run(tmp_path, recipe(epochs=epochs), model=net)
    assert not (tmp_path / "last.pt").exists()


def test_a_finished_run_returns_its_result_and_trains_no_more(tmp_path):
    first = run(tmp_path, recipe(epochs=1))

    def refuse(*_args, **_kwargs):
        raise AssertionError("evaluated again")

    assert run(tmp_path, recipe(epochs=1), evaluate=refuse) == first


def test_best_is_the_earliest_of_equals_by_column(tmp_path):
    # Raw, averaged, epoch after epoch; then raw on training images.
    tops = iter([0.2, 0.5, 0.6, 0.1, 0.6, 0.9, 0.3, 0.9, 1.0])

    def scripted(model, batches):
        return Scores(top1=next(tops), top5=None, nll=1.0, ece=0.1, count=23)

    result = run(tmp_path, recipe(), evaluate=scripted)
    assert (result.best["raw"]["top1"], result.best["raw"]["epoch"]) == (0.6, 2)
    assert (result.best["ema"]["top1"], result.best["ema"]["epoch"]) == (0.9, 3)
    assert load_checkpoint(tmp_path / "best.pt")["epoch"] == 2
    assert load_checkpoint(tmp_path / "last.pt")["epoch"] == 4


def test_a_full_disk_stops_the_run_and_the_run_goes_on_later(tmp_path, monkeypatch):
    straight = run(tmp_path / "straight", recipe())
    save = torch.save

    def full(state, file):
        if state["epoch"] == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, file)

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(CheckpointError, match="no space left on"):
        run(tmp_path / "full", recipe())
    assert load_checkpoint(tmp_path / "full" / "last.pt")["epoch"] == 2
    monkeypatch.setattr("torch.save", save)
    result = run(tmp_path / "full", recipe())
    assert result.scores == straight.scores


def test_channels_last_and_adamw_train_too(tmp_path):
    formats = []

    class Watched(Blend):
        def forward(self, model, images, labels, *, generator, progress):
            last = torch.channels_last
            formats.append(
                images.is_contiguous(memory_format=last)
                and model[0].weight.is_contiguous(memory_format=last)
            )
            return super().forward(
                model, images.contiguous(), labels, generator=generator, progress=progress
            )

    of = recipe(epochs=2, channels_last=True, optimizer="adamw", lr=0.01, loss="bce")
    result = run(tmp_path, of, objective=Watched())
    assert all(formats)
    assert math.isfinite(result.scores["raw"]["nll"])


def test_bf16_computes_in_bf16_and_keeps_float32_weights(tmp_path):
    kinds = set()
    net = tiny_net()
    net[0].register_forward_hook(lambda module, given, out: kinds.add((out.dtype, net.training)))
    run(tmp_path, recipe(epochs=1, precision="bf16"), model=net)
    assert kinds == {(torch.bfloat16, True), (torch.float32, False)}
    assert {p.dtype for p in net.parameters()} == {torch.float32}


def test_compiled_networks_keep_their_names(tmp_path, monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: compiled.append(self))
    net = tiny_net()
    run(tmp_path, recipe(epochs=1, compile=True), model=net)
    assert compiled == [net]
    tiny_net().load_state_dict(weights(tmp_path))


def test_switches_of_torch_are_put_back(tmp_path):
    inside = []

    class Watched(Blend):
        def on_epoch_start(self, data):
            inside.append(torch.are_deterministic_algorithms_enabled())

    run(tmp_path / "a", recipe(epochs=1, deterministic=True), objective=Watched())
    run(tmp_path / "b", recipe(epochs=1), objective=Watched())
    assert inside == [True, False]
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_damaged_checkpoint_stops_before_anything_is_lost(tmp_path):
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, recipe(), on_progress=lambda p: 1 / (2 - p.epoch))
    (tmp_path / "last.pt").write_bytes(b"damaged")
    lines = (tmp_path / "metrics.jsonl").read_bytes()
    with pytest.raises(CheckpointError, match=r"last.pt cannot be read"):
        run(tmp_path, recipe())
    assert (tmp_path / "metrics.jsonl").read_bytes() == lines


def test_a_checkpoint_of_another_net_is_refused(tmp_path):
    with pytest.raises(ZeroDivisionError):
        run(tmp_path, recipe(), on_progress=lambda p: 1 / (2 - p.epoch))
    with pytest.raises(CheckpointError, match="does not fit the model"):
        run(tmp_path, recipe(), model=tiny_net(norm=False))


def test_a_batch_that_cannot_be_shared_is_refused():
    from mixwright.lab.training.distributed import World
    from mixwright.lab.training.session import micro_batch

    assert micro_batch(recipe(batch_size=12, accumulate=2), World(size=3)) == 2
    with pytest.raises(RecipeError, match=r"batch_size 10 cannot be shared by 3 .*e.g. 9"):
        micro_batch(recipe(batch_size=10), World(size=3))
