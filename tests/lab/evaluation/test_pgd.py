"""Many steps against a classifier, AutoAttack's door, and the part that reports them."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lab.evaluation.judged import MEAN, STD, Counting, images_and_labels, small, subject
from mixwright.lab.data.subset import class_turns
from mixwright.lab.evaluation.attack.attack import Attack
from mixwright.lab.evaluation.attack.autoattack import autoattack
from mixwright.lab.evaluation.attack.fgsm import fgsm
from mixwright.lab.evaluation.attack.pgd import pgd
from mixwright.lab.evaluation.predictions import correct_on
from mixwright.lab.models.normalised import Normalised
from mixwright.sampling import stream

EPS = 8 / 255


def judged() -> tuple[nn.Module, Tensor, Tensor]:
    images, labels = images_and_labels()
    return small(), images.float() / 255, labels


def rightly(model: nn.Module, images: Tensor) -> Tensor:
    """Labels of which most are right."""
    labels = model.eval()(images).argmax(dim=1)
    return torch.where(torch.arange(len(labels)) % 5 == 0, (labels + 1) % 4, labels)


@pytest.mark.parametrize("loss", ["ce", "margin", "dlr"])
@pytest.mark.parametrize("restarts", [1, 3])
def test_stays_in_the_ball_around_the_image_and_in_the_range(loss: Any, restarts: int) -> None:
    model, images, _ = judged()
    images = images.round()  # corners of the range: clipping matters
    labels = rightly(model, images)
    found = pgd(
        model,
        images,
        labels,
        eps=EPS,
        alpha=EPS / 2,
        steps=5,
        restarts=restarts,
        generator=stream(0),
        loss=loss,
    )
    assert float((found.images - images).abs().max()) <= EPS + 1e-7
    assert float(found.images.min()) >= 0
    assert float(found.images.max()) <= 1


def test_one_whole_step_without_random_start_is_fgsm() -> None:
    model, images, labels = judged()
    found = pgd(
        model, images, labels, eps=EPS, alpha=EPS, steps=1, generator=stream(0), random_start=False
    )
    assert torch.equal(found.images, fgsm(model, images, labels, eps=EPS))
    right = correct_on(model, images, labels) & correct_on(model, found.images, labels)
    assert torch.equal(found.robust, right)


def test_steps_by_a_slow_version() -> None:
    model, images, labels = judged()
    generator = stream(5)
    found = pgd(model, images, labels, eps=EPS, alpha=EPS / 4, steps=4, generator=generator)
    noise = torch.rand(images.shape, generator=stream(5)) * 2 * EPS - EPS
    slow = (images + noise).clamp(0, 1)
    for _ in range(4):
        pixels = slow.clone().requires_grad_()
        nn.functional.cross_entropy(model.eval()(pixels), labels, reduction="sum").backward()
        assert pixels.grad is not None
        slow = slow + EPS / 4 * pixels.grad.sign()
        slow = torch.minimum(torch.maximum(slow, images - EPS), images + EPS).clamp(0, 1)
    torch.testing.assert_close(found.images, slow, atol=1e-6, rtol=0)


def test_robust_is_what_survives_the_clean_pass_and_every_restart() -> None:
    model, images, _ = judged()
    labels = rightly(model, images)
    clean = correct_on(model, images, labels)
    settings: dict[str, Any] = {"eps": 0.004, "alpha": 0.002, "steps": 2}
    several = pgd(model, images, labels, restarts=4, generator=stream(1), **settings)
    generator = stream(1)
    alone = [pgd(model, images, labels, generator=generator, **settings) for _ in range(4)]
    assert torch.equal(several.robust, torch.stack([one.robust for one in alone]).all(dim=0))
    lost = ~alone[0].robust  # is not attacked again
    torch.testing.assert_close(several.images[lost], alone[0].images[lost], atol=1e-7, rtol=0)
    assert not bool((several.robust & ~clean).any())
    assert bool((~several.robust & clean).any())
    assert bool(several.robust.any())
    fooled = ~several.robust & clean
    assert not bool(correct_on(model, several.images, labels)[fooled].any())


class Trap(nn.Module):
    """Wrong on grey images alone, right on everything beside them."""

    def forward(self, images: Tensor) -> Tensor:
        away = (images - 0.5).abs().flatten(1).sum(dim=1)
        return torch.stack([away, torch.full_like(away, 1e-3)], dim=1)


def test_what_was_wrong_is_not_robust_however_right_it_becomes() -> None:
    images, labels = torch.full((2, 1, 3, 3), 0.5), torch.tensor([0, 0])
    found = pgd(Trap(), images, labels, eps=0.2, alpha=0.01, steps=1, generator=stream(0))
    assert bool(correct_on(Trap(), found.images, labels).all())
    assert not bool(found.robust.any())


def test_leaving_wrong_images_alone_changes_no_verdict() -> None:
    model, images, _ = judged()
    labels = rightly(model, images)
    settings: dict[str, Any] = {"eps": 0.01, "alpha": 0.005, "steps": 3}
    every = pgd(model, images, labels, generator=stream(1), **settings)
    some = pgd(model, images, labels, generator=stream(1), skip_wrong=True, **settings)
    wrong = ~correct_on(model, images, labels)
    assert wrong.any()
    assert torch.equal(every.robust, some.robust)
    assert torch.equal(some.images[wrong], images[wrong])
    torch.testing.assert_close(some.images[~wrong], every.images[~wrong])


def test_the_same_generator_gives_the_same_images() -> None:
    model, images, labels = judged()
    state = torch.random.get_rng_state()
    first, second, other = (
        pgd(model, images, labels, eps=EPS, alpha=0.01, steps=2, generator=stream(seed)).images
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"eps": -1.0}, "eps is -1.0"),
        ({"alpha": 0.0}, "alpha is 0.0"),
        ({"steps": 0}, "steps is 0"),
        ({"restarts": 0}, "restarts is 0"),
        ({"restarts": 2, "random_start": False}, "would go the same way"),
        ({"loss": "l2"}, "loss is 'l2'; expected one of 'ce', 'margin', 'dlr'"),
    ],
)
def test_bad_arguments(changes: dict[str, Any], message: str) -> None:
    model, images, labels = judged()
    settings: dict[str, Any] = {"eps": EPS, "alpha": 0.01, "steps": 2, "generator": stream(0)}
    with pytest.raises(ValueError, match=message):
        pgd(model, images, labels, **(settings | changes))


def test_the_part_reports_each_condition_of_the_same_images() -> None:
    model = Normalised(small(), MEAN, STD)
    judge = subject(model, cache=(cache := Counting()))
    found = Attack(eps=4, epsilons=(1, 8), steps=2, alpha=2).measure(judge)
    summary = found.summary
    json.dumps(summary)
    names = summary["conditions"]
    assert names[:7] == ["clean", "fgsm/1", "fgsm/4", "fgsm/8", "pgd2/1", "pgd2/4", "pgd2/8"]
    right = dict(zip(names, found.arrays["correct"], strict=True))
    assert found.arrays["correct"].dtype == torch.bool
    assert found.arrays["correct"].shape == (10, 20)
    images, labels = (one[found.arrays["ids"]] for one in images_and_labels())
    pixels = images.float() / 255
    assert torch.equal(right["clean"], correct_on(model, pixels, labels))
    for size in (1, 4, 8):
        moved = fgsm(model, pixels, labels, eps=size / 255)
        assert torch.equal(right[f"fgsm/{size}"], correct_on(model, moved, labels))
    assert summary["clean"] == float(right["clean"].double().mean())
    assert summary["fgsm"] == float(right["fgsm/4"].double().mean())
    assert summary["pgd"] == float(right["pgd2/4"].double().mean())
    assert summary["fgsm"] + summary["fgsm_error"] == 1
    assert summary["curve"]["eps"] == [1.0, 4.0, 8.0]
    clean = right["clean"]
    lost = float((~right["pgd2/4"] & clean).double().sum() / clean.double().sum())
    assert summary["pgd_success"] == pytest.approx(lost)
    assert summary["worst"] <= min(summary["fgsm"], summary["pgd"])
    assert not bool((right["pgd2/8"] & ~clean).any())
    assert summary["legacy"]["legacy"] == float(right["legacy"].double().mean())
    assert summary["no_gradient"] == 0
    assert cache.made == ["images-000000-7", "images-000007-7", "images-000014-6"]
    again = Attack(eps=4, epsilons=(1, 8), steps=2, alpha=2).measure(judge)
    assert len(cache.made) == 3
    assert again.summary == summary


class Watched(nn.Module):
    """Remembers how far, in levels of 255, the images of a whole batch were moved."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.net, self.images = small(), images
        self.moved: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        if len(images) == len(self.images):
            self.moved.append(float((images - self.images).detach().abs().max()) * 255)
        return self.net(images)


def test_sizes_are_levels_of_255() -> None:
    images, labels = images_and_labels(7)
    model = Watched(images[class_turns(labels)].float() / 255)
    Attack(eps=4, epsilons=(1,), steps=2, alpha=2).measure(subject(model, count=7))
    seen = {round(one, 3) for one in model.moved}
    assert {0.0, 1.0, 4.0} <= seen
    assert max(seen) == 4.0


def test_a_model_without_normalisation_has_no_legacy_numbers() -> None:
    found = Attack(epsilons=(8,), steps=1).measure(subject(small(), count=7))
    assert found.summary["legacy"] is None
    assert "Normalised(net, mean, std)" in found.summary["legacy_note"]
    assert found.summary["conditions"] == ["clean", "fgsm/8", "pgd1/8"]


def test_a_dead_network_is_reported_as_one() -> None:
    model = small()
    model.conv1.weight.data.zero_()
    found = Attack(epsilons=(8,), steps=1, count=10).measure(subject(model))
    assert found.summary["no_gradient"] == 1.0
    assert found.summary["count"] == 10
    assert found.summary["fgsm"] == found.summary["clean"]


@pytest.mark.parametrize(
    "options",
    [{"eps": 0}, {"epsilons": (1, -2)}, {"eps": 300}, {"steps": 0}, {"count": -1}, {"loss": "x"}],
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="Attack: "):
        Attack(**options)


def test_autoattack_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixwright.lab.evaluation.attack.autoattack.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="pip install pyautoattack"):
        Attack(autoattack=True)
    Attack()


def test_autoattack_is_called_as_its_package_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images, _ = judged()
    labels = rightly(model, images)
    said: list[Any] = []

    class Stub:
        def __init__(self, model: nn.Module, **settings: Any) -> None:
            said.append(settings)
            assert not model.training

        def run_standard_evaluation(self, x: Tensor, y: Tensor, /, *, batch_size: int) -> Any:
            torch.manual_seed(9)
            said.append(batch_size)
            return fgsm(model, x, y, eps=0.1), y

    package = ModuleType("pyautoattack")
    package.AutoAttack = Stub  # type: ignore[attr-defined]
    package.__spec__ = SimpleNamespace()  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "pyautoattack", package)
    state = torch.random.get_rng_state()
    found = autoattack(model, images, labels, eps=0.1, seed=3, batch_size=6)
    assert said == [{"norm": "Linf", "eps": 0.1, "device": images.device, "seed": 3}, 6]
    assert torch.equal(state, torch.random.get_rng_state())
    moved = fgsm(model, images, labels, eps=0.1)
    both = correct_on(model, images, labels) & correct_on(model, moved, labels)
    assert torch.equal(found.robust, both)
    part = Attack(epsilons=(8,), steps=1, autoattack=True, autoattack_count=9)
    summary = part.measure(subject(model)).summary["autoattack"]
    assert summary["count"] == summary["same_images"] == 9
    assert summary["worst"] <= min(summary["robust"], summary["pgd"])
