"""Draws: laws, exactness, and the streams they come from."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixwright import sampling
from mixwright.sampling import Stream, stream

CPU = torch.device("cpu")


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5, 2.0, 5.0])
def test_beta_has_its_moments(alpha: float) -> None:
    count = 40_000
    draw = sampling.beta(alpha, count, device=CPU, generator=stream(1)).double()
    variance = 1 / (4 * (2 * alpha + 1))
    assert draw.mean().item() == pytest.approx(0.5, abs=4 * math.sqrt(variance / count))
    assert draw.var().item() == pytest.approx(variance, rel=0.03)
    assert draw.min() >= 0
    assert draw.max() <= 1


def test_tiny_alpha_gives_whole_shares_without_nan() -> None:
    draw = sampling.beta(1e-5, 4000, device=CPU, generator=stream(2))
    assert torch.minimum(draw, 1 - draw).lt(1e-3).float().mean() > 0.999
    assert not draw.isnan().any()
    assert draw.mean().item() == pytest.approx(0.5, abs=0.04)


def test_dirichlet_leaves_out_zero_components_and_has_its_means() -> None:
    concentration = torch.tensor([[1.0, 0.0, 3.0]]).expand(20_000, 3)
    draw = sampling.dirichlet(concentration, generator=stream(3))
    assert draw[:, 1].eq(0).all()
    torch.testing.assert_close(draw.sum(dim=1), torch.ones(20_000))
    assert draw[:, 0].mean().item() == pytest.approx(0.25, abs=0.006)
    assert draw[:, 0].var().item() == pytest.approx(0.25 * 0.75 / 5, rel=0.05)


@given(count=st.integers(2, 40), seed=st.integers(0, 10_000))
def test_a_cycle_visits_everybody_and_nobody_meets_itself(count: int, seed: int) -> None:
    partner = sampling.partners(count, device=CPU, generator=stream(seed)).tolist()
    place, seen = 0, []
    for _ in range(count):
        seen.append(place)
        place = partner[place]
    assert sorted(seen) == list(range(count))
    assert place == 0


def test_cycle_gives_every_other_sample_equal_chances() -> None:
    generator = stream(4)
    drawn = torch.stack(
        [sampling.partners(5, device=CPU, generator=generator) for _ in range(4000)]
    )
    for row in range(5):
        counts = drawn[:, row].bincount(minlength=5)
        assert counts[row] == 0
        others = counts[counts > 0]
        assert len(others) == 4
        assert (others - 1000).abs().max() < 4 * math.sqrt(4000 * 0.25 * 0.75)


def test_the_other_pairings_are_those_of_the_libraries() -> None:
    def partners(pairing: sampling.Pairing) -> list[int]:
        return sampling.partners(5, device=CPU, generator=stream(0), pairing=pairing).tolist()

    assert partners("flip") == [4, 3, 2, 1, 0]
    assert partners("roll") == torch.arange(5).roll(1).tolist()
    assert sorted(partners("perm")) == [0, 1, 2, 3, 4]


def test_perm_pairs_one_sample_a_batch_with_itself_on_average() -> None:
    generator = stream(5)
    met = [
        int(
            (
                sampling.partners(8, device=CPU, generator=generator, pairing="perm")
                == torch.arange(8)
            ).sum()
        )
        for _ in range(2000)
    ]
    assert sum(met) / 2000 == pytest.approx(1.0, abs=4 / math.sqrt(2000))


def test_choices_follow_their_chances_and_never_take_an_impossible_one() -> None:
    drawn = sampling.choices((1.0, 0.0, 3.0, 0.0), 8000, generator=stream(6))
    assert 1 not in drawn
    assert 3 not in drawn
    assert drawn.count(2) / 8000 == pytest.approx(0.75, abs=4 * math.sqrt(0.75 * 0.25 / 8000))


def test_choices_on_the_host_are_the_same_draws_in_a_tensor() -> None:
    generators = stream(6), stream(6)
    drawn = sampling.host_choices([2, 1, 1], 50, generator=generators[0])
    assert (drawn.dtype, drawn.device.type, drawn.shape) == (torch.int64, "cpu", (50,))
    assert drawn.tolist() == sampling.choices((2.0, 1.0, 1.0), 50, generator=generators[1])
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


BELOW_1 = 1 - 2**-53
ROUNDED = (0.2, 0.3, 0.9, 0.2, 0.5)


@pytest.mark.parametrize(
    ("chances", "draws", "chosen"),
    [
        ((1.0, 3.0), [0.0, 0.2499, 0.25, BELOW_1], [0, 0, 1, 1]),  # an edge belongs to what follows
        ((0.0, 2.0, 0.0, 0.0), [0.0, 0.5, BELOW_1], [1, 1, 1]),
        ((0.0, 1.0, 0.0, 1.0, 0.0), [0.0, 0.4999, 0.5, BELOW_1], [1, 1, 3, 3]),
        # Added up one by one, these stop short of their sum, and of 1.
        (ROUNDED, [0.0, BELOW_1], [0, len(ROUNDED) - 1]),
        ((*ROUNDED, 0.0, 0.0), [0.0, BELOW_1], [0, len(ROUNDED) - 1]),
    ],
)  # fmt: skip
def test_choices_at_the_edges(
    monkeypatch: pytest.MonkeyPatch, chances: tuple[float, ...], draws: list[float],
    chosen: list[int],
) -> None:  # fmt: skip
    given = torch.tensor(draws, dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda *_, **__: given)
    assert sampling.choices(chances, len(draws), generator=stream(0)) == chosen


def test_streams_differ_by_every_word_and_by_their_order() -> None:
    words = [(), (0,), (1,), (0, 0), (0, 1), (1, 0), (-1,), (2**40,), (10,), (1, 0, 0)]
    first = [torch.randint(2**62, (), generator=stream(*word)).item() for word in words]
    assert len(set(first)) == len(words)
    again = [torch.randint(2**62, (), generator=stream(*word)).item() for word in words]
    assert first == again


def test_draws_leave_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    generator = stream(7)
    sampling.beta(0.3, 5, device=CPU, generator=generator)
    sampling.normal((3,), device=CPU, generator=generator)
    sampling.integers(0, 3, (3,), device=CPU, generator=generator)
    sampling.choices((1, 1), 3, generator=generator)
    sampling.partners(5, device=CPU, generator=generator)
    assert torch.equal(before, torch.get_rng_state())


def test_uniform_covers_its_range() -> None:
    draw = sampling.uniform((10_000,), low=-2.0, high=3.0, device=CPU, generator=stream(8))
    assert -2 <= draw.min() < -1.99
    assert 2.99 < draw.max() <= 3


def test_device_draws_follow_the_cpu_generator(device: torch.device) -> None:
    a, b = (sampling.beta(0.4, 64, device=device, generator=stream(9)) for _ in range(2))
    assert a.device == device
    assert torch.equal(a, b)
    assert not torch.equal(a, sampling.beta(0.4, 64, device=device, generator=stream(10)))


def test_words_of_streams_keep_their_numbers() -> None:
    """Every published draw of the laboratory follows from these."""
    numbers = {name: int(word) for name, word in Stream.__members__.items()}
    assert numbers == {
        "ORDER": 0, "AUGMENT": 1, "MIX": 2, "MODULES": 3, "LOADER": 1, "OTHER_OWNER": 2,
        "MOMENTS": 0,
        "THEORY_IMAGES": 1, "EXPANSION": 2, "FIRST_LAYER_PLANS": 3, "FIRST_LAYER_PARTNERS": 4,
        "DESIGN_ROUNDS": 1, "DESIGN_CHECK": 2, "DESIGN_EXAMPLES": 3, "BENCH_RESAMPLES": 1,
        "GRADIENTS": 61, "ATTACK": 62, "OCCLUSION": 63, "CAM": 64,
        "CALIBRATION_FLOOR": 101, "CALIBRATION_HALVES": 102, "GAP": 103,
        "CALIBRATION_IMAGES": 104, "IMAGE_TESTS": 201, "ACROSS_TYPES": 202, "PER_TYPE": 203,
        "SPRITES": 612,
    }  # fmt: skip
    assert torch.equal(stream(5, Stream.CAM).get_state(), stream(5, 64).get_state())


def test_like_of_version_0_1_still_names_the_device() -> None:
    like = torch.zeros(3)
    with pytest.warns(
        DeprecationWarning, match=r"uniform: like=tensor is now device=tensor.device"
    ):
        old = sampling.uniform((4,), like=like, generator=stream(3))  # type: ignore[call-arg]
    assert torch.equal(old, sampling.uniform((4,), device=CPU, generator=stream(3)))
