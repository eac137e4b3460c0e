"""Settings for every test: one thread, derandomised hypothesis, a seeded generator."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import torch

torch.set_num_threads(1)

hypothesis.settings.register_profile(
    "mixwright", derandomize=True, deadline=None, max_examples=25, database=None
)
hypothesis.settings.load_profile("mixwright")

try:
    torch._standard_gamma(torch.ones(1, device="meta"))
except NotImplementedError:  # of torch 2.6; the tests for reads from a device draw shares on meta
    _META = torch.library.Library("aten", "IMPL")
    _META.impl("_standard_gamma", lambda shape, generator=None: torch.empty_like(shape), "Meta")
