"""A table of bad inputs: each is refused by an error that names argument and expectation."""

from __future__ import annotations

import inspect

import pytest
import torch

from bad_inputs import IMAGES, LABELS, NET, Bad, all_bad, rng
from mixwright import MIXERS, CutMix, MiAMix, Mix, OneOf

WITH_ALPHA = [
    name for name, kind in MIXERS.items() if "alpha" in inspect.signature(kind).parameters
]


def fault(bad: Bad) -> str | None:
    """What is wrong with how an input was refused; None where nothing is."""
    try:
        made = bad.call()
    except (ValueError, TypeError) as error:
        message = str(error)
        missing = [word for word in (*bad.says, "expected") if word not in message]
        return f"{message} (without {missing})" if missing or "\n" in message else None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"accepted: {made!r:.60}"


@pytest.mark.filterwarnings("ignore")
def test_every_bad_input_is_refused_in_words() -> None:
    table = all_bad()
    assert len(table) > 3000
    wrong = {bad.name: found for bad in table if (found := fault(bad)) is not None}
    assert not wrong, "\n".join(f"{name}: {found}" for name, found in wrong.items())


@pytest.mark.parametrize("alpha", [1e300, 1e39, 3e-39, 1e-300])
@pytest.mark.parametrize("name", WITH_ALPHA)
def test_draws_of_any_alpha_are_shares(name: str, alpha: float) -> None:
    """In float32 these are infinite, or 0: at one end shares are even, at the other 0 or 1."""
    kind = MIXERS[name]
    plan = kind(alpha=alpha).plan(IMAGES, LABELS, generator=rng(), model=NET)
    targets = plan.check().targets(LABELS, 5)
    assert targets.isfinite().all()
    assert 0 <= float(targets.min()) <= float(targets.max()) <= 1
    if name == "mixup":
        own = plan.weight[:, 0]
        wanted = torch.full((4,), 0.5) if alpha > 1 else own.round()
        torch.testing.assert_close(own, wanted)


def test_mixers_of_one_and_of_two_views_work_in_mix() -> None:
    mix = Mix(OneOf(MiAMix(views=2), CutMix()), num_classes=5, seed=0)
    images, labels = torch.cat([IMAGES, IMAGES]), torch.cat([LABELS, LABELS])
    for _ in range(20):  # each of them alone, and both
        mixed, targets = mix(images, labels)
        assert mixed.shape == IMAGES.shape
        torch.testing.assert_close(targets.sum(dim=1), torch.ones(4))
