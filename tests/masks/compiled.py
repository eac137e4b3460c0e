"""One promise of every mask function: it compiles as one graph and gives the same numbers."""

from collections.abc import Callable

import torch
from torch import Tensor


def assert_compiles(function: Callable[..., Tensor], *args: Tensor) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(*args), function(*args))
