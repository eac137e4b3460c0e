"""Fields of noise and rank masks against slow versions, counts, and the authors' formula."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from masks.compiled import assert_compiles
from mixwright.masks import fourier
from mixwright.masks.fourier import (
    fourier_field,
    official_fourier_field,
    rank_mask,
    soft_rank_mask,
)
from mixwright.masks.ranks import ranks


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow_falloff(fy: float, fx: float, *, height: int, width: int, decay: float) -> float:
    longer = max(height, width)  # frequencies in cycles per longer side; the scale is free
    return max((fy * fy + fx * fx) ** 0.5 * longer, 1) ** -decay


@pytest.mark.parametrize("count", [1, 2, 5])  # two go through one transform, the last may be alone
@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 6), (5, 7), (1, 4), (1, 1)])
def test_field_is_the_full_spectrum_times_the_falloff(height, width, count):
    noise = torch.randn(count, height, width, generator=seeded())
    wave = np.fft.fft2(noise.double().numpy())
    for i, fy in enumerate(np.fft.fftfreq(height)):
        for j, fx in enumerate(np.fft.fftfreq(width)):
            wave[:, i, j] *= slow_falloff(fy, fx, height=height, width=width, decay=2.5)
    wanted = np.fft.ifft2(wave)
    assert abs(wanted.imag).max() < 1e-9
    torch.testing.assert_close(
        fourier_field(noise, decay=2.5).double(),
        torch.from_numpy(wanted.real),
        atol=1e-4,
        rtol=1e-4,
    )


def test_without_decay_the_noise_comes_back():
    noise = torch.rand(2, 5, 8, generator=seeded())
    torch.testing.assert_close(fourier_field(noise, decay=0), noise, atol=1e-5, rtol=0)


def test_spectrum_is_the_same_along_both_axes():
    field = fourier_field(torch.randn(4000, 16, 16, generator=seeded()))
    power = torch.fft.fft2(field).abs().square().mean(dim=0)
    torch.testing.assert_close(power[0, 1:8], power[1:8, 0], rtol=0.1, atol=0)


def transitions(keep: torch.Tensor, axis: int) -> float:
    return (keep != keep.roll(1, axis)).float().mean().item()


def test_larger_decay_gives_fewer_transitions():
    noise = torch.randn(64, 32, 32, generator=seeded())
    half = torch.full((64,), 512)
    counts = [transitions(rank_mask(fourier_field(noise, decay=d), half), 3) for d in (1, 2, 3, 4)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 2 * counts[-1]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 6), (6, 10)])
def test_official_field_is_the_formula_of_the_authors_code(height, width):
    real = torch.randn(2, width // 2 + 1, 2, generator=seeded(1))
    imaginary = torch.randn(2, width // 2 + 1, 2, generator=seeded(2))
    spectrum = np.zeros((2, height, width // 2 + 1), dtype=complex)
    sides = {"height": height, "width": width, "decay": 3.0}
    for k in range(width // 2 + 1):
        first = slow_falloff(0, k / width, **sides)
        second = slow_falloff(1 / height, k / width, **sides)
        spectrum[:, k, :2] = first * real[:, k].numpy() + 1j * second * imaginary[:, k].numpy()
    wanted = np.fft.irfft(np.fft.ifft(spectrum, axis=1), n=width, axis=2)
    got = official_fourier_field(real, imaginary, height=height, width=width)
    torch.testing.assert_close(got.double(), torch.from_numpy(wanted), atol=1e-4, rtol=1e-4)


def test_official_masks_are_stripes_and_ours_are_not():
    draws = torch.randn(2, 200, 17, 2, generator=seeded())
    half = torch.full((200,), 512)
    stripes = rank_mask(official_fourier_field(*draws, height=32, width=32), half)[:, 0]
    round_ones = rank_mask(fourier_field(torch.randn(200, 32, 32, generator=seeded())), half)[:, 0]
    changes = (stripes != stripes.roll(1, 2)).sum(dim=2)
    assert changes.max() == 2
    assert (stripes != stripes.roll(1, 1)).sum(dim=1).max() > 2
    assert (round_ones != round_ones.roll(1, 2)).sum(dim=2).max() > 2


@given(
    h=st.integers(1, 9), w=st.integers(1, 9), seed=st.integers(0, 99), values=st.integers(1, 200)
)
def test_rank_mask_keeps_exactly_the_highest(h, w, seed, values):
    rng = seeded(seed)
    field = torch.randint(values, (5, h, w), generator=rng) / 7 - 3.0  # ties, also at the cut
    kept = torch.randint(h * w + 1, (5,), generator=rng)
    keep = rank_mask(field, kept)
    assert keep.dtype == torch.bool
    for plane, value, count in zip(keep[:, 0], field, kept.tolist(), strict=True):
        # Sorting by (-value, place) is the definition.
        falling = sorted((-v, i) for i, v in enumerate(value.flatten().tolist()))
        wanted = torch.zeros(h * w, dtype=torch.bool)
        wanted[[i for _, i in falling[:count]]] = True
        assert torch.equal(plane.flatten(), wanted)


@pytest.mark.parametrize(("height", "width"), [(33, 47), (65, 80)])
def test_rank_mask_counts_are_exact_on_smooth_and_on_constant_fields(height, width):
    field = fourier_field(torch.randn(6, height, width, generator=seeded()), decay=3.0)
    field[4:] = 0.1
    pixels = height * width
    kept = torch.tensor([0, 1, 777, pixels, 5, pixels - 1])
    assert rank_mask(field, kept).sum(dim=(1, 2, 3)).tolist() == kept.tolist()


@pytest.mark.parametrize(("height", "width"), [(64, 70), (200, 173)])
def test_fields_of_many_pixels_are_ranked_alike(height, width, monkeypatch):
    """Ranked two fields at a time; ties are many here, at every cut. One has 34,600 pixels."""
    pixels = height * width
    monkeypatch.setattr(fourier, "_CACHED", 2 * pixels)
    field = torch.randint(50, (7, height, width), generator=seeded()) / 7
    kept = torch.tensor([0, 1, 2000, 2001, pixels // 2, pixels - 1, pixels])
    wanted = ranks(field.flatten(1)) < kept[:, None]
    assert torch.equal(rank_mask(field, kept).flatten(1), wanted)


def test_a_field_that_lies_otherwise_in_memory_is_ranked_alike():
    field = torch.randn(8, 6, 2, generator=seeded()).permute(2, 0, 1)
    kept = torch.tensor([11, 30])
    assert torch.equal(rank_mask(field, kept), rank_mask(field.contiguous(), kept))


# Pixels at the cut are found four at a time where that comes out even.
SIZES = [(1, 63, 65), (3, 63, 65), (4, 63, 65), (3, 5, 7), (4, 1, 1), (1, 1, 3), (2, 2, 5)]


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("kind", ["constant", "one outlier", "few values", "noise"])
def test_rank_masks_are_exact_for_every_count_of_pixels(shape, kind):
    count, height, width = shape
    pixels = height * width
    field = {
        "constant": torch.full(shape, -2.5),
        "one outlier": torch.zeros(shape).index_fill_(2, torch.tensor([width - 1]), 1e6),
        "few values": torch.randint(3, shape, generator=seeded()) / 7,
        "noise": torch.randn(shape, generator=seeded()),
    }[kind]
    for some in {0, 1, pixels // 2, pixels - 1, pixels}:
        kept = torch.full((count,), some)
        kept[-1] = pixels - some  # rows differ
        # By falling value, then by place: numpy sorts by the last key first.
        place, value = np.arange(pixels), field.flatten(1).numpy()
        wanted = torch.zeros(count, pixels, dtype=torch.bool)
        for row, many in enumerate(kept.tolist()):
            wanted[row, np.lexsort((place, -value[row]))[:many]] = True
        assert torch.equal(rank_mask(field, kept).flatten(1), wanted)


def test_rank_mask_agrees_with_a_sort_up_to_its_resolution():
    field = fourier_field(torch.randn(16, 32, 32, generator=seeded()))
    kept = torch.randint(1, 1024, (16,), generator=seeded())
    keep = rank_mask(field, kept).flatten(1)
    cut = field.flatten(1).sort(dim=1, descending=True).values.gather(1, kept[:, None] - 1)
    slack = (field.amax(dim=(1, 2)) - field.amin(dim=(1, 2)))[:, None] * 5e-6
    assert (field.flatten(1)[keep] >= (cut - slack).expand(-1, 1024)[keep]).all()
    assert (field.flatten(1)[~keep] <= (cut + slack).expand(-1, 1024)[~keep]).all()


def test_ranks_are_places_in_the_order():
    value = torch.tensor([[3.0, 9.0, 3.0, 5.0]])
    assert ranks(value).tolist() == [[2, 0, 3, 1]]


@given(h=st.integers(1, 9), w=st.integers(1, 9), seed=st.integers(0, 99), soft=st.floats(0, 0.5))
def test_soft_mask_keeps_the_sum_and_falls_with_the_rank(h, w, seed, soft):
    rng = seeded(seed)
    field = torch.rand(5, h, w, generator=rng)
    kept = torch.randint(h * w + 1, (5,), generator=rng)
    keep = soft_rank_mask(field, kept, softness=soft)
    torch.testing.assert_close(keep.sum(dim=(1, 2, 3)), kept.float(), atol=1e-3, rtol=0)
    falling = keep.flatten(1).gather(1, field.flatten(1).argsort(dim=1, descending=True))
    assert (falling.diff(dim=1) <= 1e-6).all()


def test_soft_mask_is_the_reference_ramp_to_half_a_step():
    field = torch.rand(1, 20, 20, generator=seeded())
    keep = soft_rank_mask(field, torch.tensor([100]), softness=0.1).flatten()
    reference = torch.zeros(400)
    order = field.flatten().argsort(descending=True)
    reference[order[:60]] = 1
    reference[order[60:140]] = torch.linspace(1, 0, 80)
    torch.testing.assert_close(keep, reference, atol=1 / 80, rtol=0)
    hard = soft_rank_mask(field, torch.tensor([100]), softness=0.0)
    assert torch.equal(hard.bool(), rank_mask(field, torch.tensor([100])))


def test_all_of_it_compiles():
    noise, kept = torch.randn(2, 6, 5, generator=seeded()), torch.tensor([7, 0])
    assert_compiles(lambda n, k: rank_mask(fourier_field(n), k), noise, kept)
    assert_compiles(lambda n, k: soft_rank_mask(n, k, softness=0.2), noise, kept)
    pair = torch.randn(2, 2, 3, 2, generator=seeded())
    assert_compiles(lambda p: official_fourier_field(p[0], p[1], height=6, width=5), pair)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fourier_field(torch.zeros(4, 4)), r"noise has shape \(4, 4\)"),
        (lambda: fourier_field(torch.zeros(1, 4, 4).int()), "dtype torch.int32"),
        (
            lambda: official_fourier_field(
                torch.zeros(2, 3, 2), torch.zeros(2, 3), height=4, width=4
            ),
            r"expected \(2, 3, 2\)",
        ),
        (lambda: rank_mask(torch.zeros(2, 4), torch.zeros(2)), r"rank_mask: field has shape"),
        (
            lambda: soft_rank_mask(torch.zeros(2, 4, 4), torch.zeros(1), softness=0.0),
            r"soft_rank_mask: .* kept \(1,\)",
        ),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_large_decay_keeps_the_lowest_frequencies_and_finite():
    field = fourier_field(torch.randn(4, 32, 32, generator=seeded()), decay=30.0)
    assert field.isfinite().all()
    keep = rank_mask(field, torch.full((4,), 512))
    assert keep.flatten(1).sum(1).tolist() == [512] * 4
