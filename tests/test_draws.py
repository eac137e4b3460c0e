"""What is drawn from one seed, as it is promised (docs/compatibility.md): recorded with 0.2.0.

A row that has to change changes the results of those who rely on it: the changelog says so, and the
old draws stay as an option.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import mixwright as mw
from mixwright.plan import MixPlan
from mixwright.sampling import stream

# A batch of 5 images of 16x12 and the stream of seed 3. Of each sample its sources, its label
# weights, and where its own pixels lie: the mean of the mask times the way down, and to the right.
DRAWN = """
mixup 0/1:0.712,0.288,0.356,0.356 1/3:0.070,0.930,0.035,0.035 2/0:0.266,0.734,0.133,0.133
  3/4:0.390,0.610,0.195,0.195 4/2:0.339,0.661,0.170,0.170
cutmix 0/1:0.833,0.167,0.417,0.356 1/4:0.708,0.292,0.442,0.301 2/3:0.427,0.573,0.118,0.266
  3/0:0.688,0.312,0.406,0.429 4/2:0.766,0.234,0.438,0.308
cutout 0/-1:1.000,0.000,0.434,0.491 1/-1:1.000,0.000,0.456,0.440 2/-1:1.000,0.000,0.444,0.406
  3/-1:1.000,0.000,0.444,0.494 4/-1:1.000,0.000,0.356,0.372
fmix 0/4:0.708,0.292,0.366,0.329 1/0:0.073,0.927,0.007,0.027 2/3:0.266,0.734,0.048,0.138
  3/1:0.391,0.609,0.120,0.193 4/2:0.339,0.661,0.185,0.180
gridmix 0/3:0.818,0.182,0.391,0.417 1/4:0.323,0.677,0.191,0.192 2/1:0.896,0.104,0.444,0.443
  3/2:0.583,0.417,0.303,0.330 4/0:0.792,0.208,0.403,0.405
hmix 0/1:0.712,0.288,0.356,0.326 1/4:0.070,0.930,0.041,0.031 2/3:0.266,0.734,0.115,0.141
  3/0:0.390,0.610,0.223,0.228 4/2:0.339,0.661,0.187,0.149
gmix 0/1:0.813,0.187,0.445,0.457 1/4:0.059,0.941,0.016,0.052 2/3:0.123,0.877,0.024,0.022
  3/0:0.174,0.826,0.141,0.045 4/2:0.261,0.739,0.139,0.076
agmix 0/1:0.817,0.183,0.444,0.446 1/2:0.050,0.950,0.011,0.040 2/4:0.121,0.879,0.022,0.023
  3/0:0.136,0.864,0.115,0.029 4/3:0.239,0.761,0.117,0.084
miamix 0/1:0.643,0.357,0.330,0.322 1/3:0.542,0.458,0.278,0.291 2/0:0.564,0.436,0.282,0.282
  3/3:0.849,0.151,0.400,0.414 4/2:0.616,0.384,0.279,0.276
resizemix 0/1:0.672,0.328,0.325,0.261 1/4:0.990,0.010,0.500,0.491 2/3:0.938,0.062,0.456,0.472
  3/0:0.896,0.104,0.465,0.476 4/2:0.896,0.104,0.472,0.410
smoothmix 0/1:0.563,0.437,0.233,0.236 1/4:0.590,0.410,0.306,0.326 2/3:0.724,0.276,0.339,0.300
  3/0:0.720,0.280,0.422,0.410 4/2:0.601,0.399,0.244,0.359
guidedmixup 0/3:0.500,0.500,0.248,0.250 1/2:0.500,0.500,0.256,0.248 2/4:0.500,0.500,0.249,0.247
  3/1:0.501,0.499,0.247,0.251 4/0:0.499,0.501,0.250,0.254
oneof 0/4:0.875,0.125,0.429,0.449 1/4:0.311,0.689,0.156,0.156 2/3:0.667,0.333,0.244,0.364
  3/1:0.750,0.250,0.442,0.352 4/2:0.929,0.071,0.465,0.465
oneof_batch 0/2:0.750,0.250,0.458,0.330 1/4:0.542,0.458,0.194,0.312 2/1:0.688,0.312,0.406,0.429
  3/0:0.792,0.208,0.451,0.330 4/3:1.000,0.000,0.500,0.500
sometimes 0/0:1.000,0.000,0.500,0.500 1/2:0.625,0.375,0.287,0.415 2/2:1.000,0.000,0.500,0.500
  3/3:1.000,0.000,0.500,0.500 4/3:0.958,0.042,0.479,0.475
mixup_batch 0/3:0.712,0.288,0.356,0.356 1/0:0.712,0.288,0.356,0.356 2/1:0.712,0.288,0.356,0.356
  3/4:0.712,0.288,0.356,0.356 4/2:0.712,0.288,0.356,0.356
mix_call_1 0/3:0.407,0.593,0.203,0.203 1/4:0.082,0.918,0.041,0.041 2/1:0.586,0.414,0.293,0.293
  3/2:0.764,0.236,0.382,0.382 4/0:0.250,0.750,0.125,0.125
mix_call_3 0/2:0.057,0.943,0.029,0.029 1/4:0.035,0.965,0.017,0.017 2/3:0.205,0.795,0.102,0.102
  3/1:0.714,0.286,0.357,0.357 4/0:0.018,0.982,0.009,0.009
"""
ROWS = dict(row.split(maxsplit=1) for row in DRAWN.replace("\n  ", " ").strip().splitlines())

WRAPPED = {
    "oneof": mw.OneOf(mw.MixUp(), mw.CutMix()),
    "oneof_batch": mw.OneOf(mw.MixUp(), mw.CutMix(), per="batch"),
    "sometimes": mw.Sometimes(mw.CutMix(), p=0.5),
    "mixup_batch": mw.MixUp(per="batch"),
}


def batch() -> tuple[Tensor, Tensor]:
    images = torch.rand(5, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    return images, torch.arange(5)


def draw(name: str) -> MixPlan:
    """The plan that a row tells of."""
    images, labels = batch()
    if name.startswith("mix_call"):  # its own stream: from the seed, one plan after another
        mix = mw.Mix(mw.MixUp(), num_classes=5, seed=3)
        return [mix.plan(images, labels) for _ in range(int(name[-1]))][-1]
    mixer = WRAPPED[name] if name in WRAPPED else mw.MIXERS[name]()
    return mixer.plan(images, labels, generator=stream(3))


def described(plan: MixPlan) -> str:
    """A plan as a row: for each sample ``sources:weights,down,right``."""
    own = plan.mask[:, 0].expand(5, 16, 12)
    down = (own * torch.linspace(0, 1, 16)[:, None]).mean(dim=(1, 2))
    right = (own * torch.linspace(0, 1, 12)).mean(dim=(1, 2))
    numbers = torch.cat([plan.weight, down[:, None], right[:, None]], dim=1).tolist()
    return " ".join(
        "/".join(map(str, who)) + ":" + ",".join(f"{number:.3f}" for number in row)
        for who, row in zip(plan.index.tolist(), numbers, strict=True)
    )


def parts(row: str) -> tuple[list[str], list[float]]:
    """The sources and the numbers of a row."""
    samples = [sample.split(":") for sample in row.split()]
    numbers = [float(number) for _, text in samples for number in text.split(",")]
    return [who for who, _ in samples], numbers


@pytest.mark.parametrize("name", ROWS)
def test_one_seed_draws_what_it_always_drew(name: str) -> None:
    now = described(draw(name))
    who, numbers = parts(now)
    then_who, then_numbers = parts(ROWS[name])
    assert who == then_who, f"{name} {now}"
    # The last digit is rounded, and sums differ a little between machines.
    assert numbers == pytest.approx(then_numbers, abs=2e-3), f"{name} {now}"


def test_every_mixer_that_draws_without_a_model_has_a_row() -> None:
    looking = {"saliencymix", "attentivecutmix", "snapmix", "puzzlemix", "comixup"}
    looking.add("saliencygrafting")
    without = mw.MIXERS.keys() - looking - set(ROWS)
    assert {name: described(draw(name)) for name in without} == {}, "put these into DRAWN"
