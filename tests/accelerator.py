"""A CUDA device where there is none: fake tensors that know it, and a watch over the host.

What lies on the pretended device has shapes and dtypes but no values, what lies on the CPU is real.
So tensors of both that meet raise as they would on the device, and each reading of a value and each
copy between the two is seen where it is asked for. Derivatives are zeros of the right shape, since
torch's engine asks the driver for a device.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn
from torch._subclasses import FakeTensor, FakeTensorMode
from torch._subclasses.fake_tensor import unset_fake_temporarily
from torch.torch_version import TorchVersion
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

CUDA = torch.device("cuda", 0)

_aten = torch.ops.aten
# The sizes of their outputs, or what they return, are values of the device.
_READS = {
    *(_aten._local_scalar_dense, _aten.equal, _aten.nonzero, _aten.masked_select),
    *(_aten.bincount, _aten._unique2, _aten.unique_dim, _aten.unique_consecutive),
}
_INDEXING = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}
_COPIES = {_aten._to_copy, _aten.copy_, _aten.copy}
_COMPOSED = {_aten.to, _aten.item, _aten.is_nonzero, _aten.one_hot}
_TRIED = TorchVersion("2.13")  # the lowest; 2.6 is too old
_DUMMIES = {torch.bool: False, torch.int64: 0}


class _OneMode(FakeTensorMode):
    """A mode that copies of its tensors share."""

    def __deepcopy__(self, memo: object) -> _OneMode:
        return self


class Accelerator(TorchDispatchMode):
    """While it is on, calls that touch the pretended device are fake, and all others real.

    ``waits`` says what made the host wait for the device, and where. A value that is read is 0,
    False or 0.5, and what is copied to the CPU is zeros.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self._seeds: set[int] = set()  # of generators that stand for those of the device
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Accelerator:
        if not torch.backends.cuda.is_built():  # its backward passes abort the process
            pytest.skip("this build of torch knows no CUDA, so it can pretend no such device")
        if torch.__version__ < _TRIED:
            pytest.skip(f"fake tensors of torch {torch.__version__} ask the driver for a device")
        self._fake = self._stack.enter_context(_OneMode())
        self._stack.enter_context(_no_driver_needed(self._seeds))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._stack.close()
        if error[1] is not None and self.waits:
            error[1].add_note("The host had waited for the device:\n" + "\n".join(self.waits))

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        leaves = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        devices = {tensor.device.type for tensor in tensors}
        target = kwargs.get("device")
        wanted = None if target is None else torch.device(target).type
        if "cuda" not in {*devices, wanted}:
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        call = func.overloadpacket
        if call in _COMPOSED:  # in inference mode; elsewhere torch has taken them apart
            with self._watching():
                return func.decompose(*args, **kwargs)
        for leaf in leaves:
            if isinstance(leaf, Generator) and leaf.initial_seed() not in self._seeds:
                raise AssertionError(f"{func} draws on the device by a generator of the CPU.")
        by_flags = call in _INDEXING and any(_is_flags(index) for index in args[1])
        if call in _READS or func is _aten.repeat_interleave.Tensor or by_flags:
            self._wait(f"{func} reads values")
            if call is _aten._local_scalar_dense:
                return _DUMMIES.get(args[0].dtype, 0.5)
            if call is _aten.nonzero:  # one place, say
                return torch.zeros(1, args[0].ndim, dtype=torch.int64, device=args[0].device)
        if call in _COPIES:
            waits = not kwargs.get(
                "non_blocking", call is not _aten._to_copy and args[2:] == (True,)
            )
            if waits and (len(devices) > 1 or wanted not in {None, *devices}):
                self._wait(f"{func} copies between host and device")
            if wanted == "cpu":
                with unset_fake_temporarily():
                    return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
        elif any(tensor.device.type == "cpu" and tensor.ndim for tensor in tensors):
            self._wait(f"{func} takes tensors of both devices")
        args, kwargs = tree_map_only(Tensor, self._faked, (args, kwargs))
        return func(*args, **kwargs)

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Watch what is called by a call that is watched."""
        super().__enter__()
        try:
            yield
        finally:
            super().__exit__(None, None, None)

    def _faked(self, tensor: Tensor) -> Tensor:
        return tensor if isinstance(tensor, FakeTensor) else self._fake.from_tensor(tensor)

    def _wait(self, what: str) -> None:
        frames = [f for f in traceback.extract_stack() if f.filename != __file__]
        ours = [f for f in frames if "/torch/" not in f.filename]
        where = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in ours[:-6:-1])
        self.waits.append(f"{what}: {where}")


def _is_flags(index: Tensor | None) -> bool:
    return index is not None and index.dtype in (torch.bool, torch.uint8)


@contextlib.contextmanager
def _no_driver_needed(seeds: set[int]) -> Iterator[None]:
    """Stand in for generators of the device, autocast's questions, derivatives and moves."""

    def derive(device: torch.device, generator: Generator) -> Generator:
        if device.type == "cpu":
            return generator
        seed = int(torch.randint(2**32, (), generator=generator))
        seeds.add(seed)  # by which it is known again: torch hands on a new object
        return Generator().manual_seed(seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mixwright.sampling._on", derive)
        patch.setattr("torch.autograd.grad", _grad)
        patch.setattr("torch.Tensor.backward", _backward)
        patch.setattr("torch.nn.Module._apply", _apply)
        patch.setattr("torch.cuda.is_available", lambda: True)
        patch.setattr("torch.cuda.is_bf16_supported", lambda *_, **__: True)
        yield


def _grad(outputs: Any, inputs: Any, *_: Any, **__: Any) -> tuple[Tensor, ...]:
    inputs = [inputs] if isinstance(inputs, Tensor) else inputs
    return tuple(torch.zeros_like(tensor) for tensor in inputs)


def _backward(self: Tensor, *_: Any, **__: Any) -> None:
    nodes, seen = [self.grad_fn], set[Any]()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [before for before, _ in node.next_functions]
            if hasattr(node, "variable"):
                node.variable.grad = torch.zeros_like(node.variable)


def _apply(self: nn.Module, fn: Any, recurse: bool = True) -> nn.Module:
    """Do as torch does, which cannot put a fake tensor into a parameter's place."""
    for child in self.children():
        child._apply(fn)
    for name, weight in self._parameters.items():
        if weight is not None:
            with torch.no_grad():
                moved = fn(weight)
            if moved is not weight:
                self._parameters[name] = nn.Parameter(moved, weight.requires_grad)
    for name, buffer in self._buffers.items():
        self._buffers[name] = None if buffer is None else fn(buffer)
    return self
