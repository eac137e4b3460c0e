"""Settings for every test: one thread, derandomised hypothesis, Ctrl-C as in a terminal.

``--device cuda`` runs the tests that take the ``device`` fixture there.
"""

from __future__ import annotations

import os
import signal

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

torch.set_num_threads(1)

# A shell starts what it runs in the background with Ctrl-C ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

hypothesis.settings.register_profile(
    "mixwright", derandomize=True, deadline=None, max_examples=25, database=None
)
hypothesis.settings.load_profile("mixwright")

try:
    torch._standard_gamma(torch.ones(1, device="meta"))
# Torch 2.6 has none for meta tensors, on which tests draw shares to see that nothing is read back.
except NotImplementedError:
    _META = torch.library.Library("aten", "IMPL")
    _META.impl("_standard_gamma", lambda shape, generator=None: torch.empty_like(shape), "Meta")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--device", choices=("cpu", "cuda"), default="cpu", help="of `device`")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device on which to test what must do the same on each."""
    name: str = request.config.getoption("--device")
    if name == "cuda" and not torch.cuda.is_available():
        raise pytest.UsageError("--device cuda: torch finds no CUDA device here.")
    return torch.device(name, 0) if name == "cuda" else torch.device(name)


def pytest_configure(config: pytest.Config) -> None:
    # Torch says so when the thread of a derivative is the first to multiply matrices.
    config.addinivalue_line("filterwarnings", "ignore:Attempting to run cuBLAS:UserWarning")
