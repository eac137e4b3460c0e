"""Old addresses of modules, for one version: importing one warns and gives the module that moved.

Version 0.1 had the laboratory at the top level (``mixwright.evaluation``); it lives in
``mixwright.lab`` now. Delete this file, and its line in ``__init__``, with version 0.3.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False  # typing itself would take half the time of import mixwright
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

_LAB = (
    "data", "models", "training", "evaluation", "theory", "bench", "experiments", "reports", "cli",
)  # fmt: skip
MOVED = {f"mixwright.{room}": f"mixwright.lab.{room}" for room in _LAB} | {
    "mixwright.evaluation.statistics": "mixwright.lab.analysis.statistics",
    "mixwright.training.checkpoint": "mixwright.checkpoint",
    "mixwright.training.files": "mixwright.files",
    "mixwright.theory.design.fieldmix": "mixwright.mixers.fieldmix",
    "mixwright.blending": "mixwright.plan.blending",
    "mixwright.labelling": "mixwright.plan.labelling",
    "mixwright.checking": "mixwright.plan.checking",
    "mixwright.masks.held": "mixwright.masks.mask_forms",
    "mixwright.masks.joining": "mixwright.masks.mask_ops",
}
"""Old address to new; what lies below an address moves with it, unless it has a line of its own."""


def new_address(name: str) -> str | None:
    """Give the new address of a module; None for one that did not move."""
    if not name.startswith("mixwright."):
        return None
    head, tail = name, ""
    while head:
        if head in MOVED:
            return MOVED[head] + tail
        head, _, last = head.rpartition(".")
        tail = f".{last}{tail}"
    return None


class _Forward:
    """Finder and loader that gives, at an old address, the very module that moved.

    It inherits from neither of ``importlib.abc``: importing that doubles what
    ``import mixwright`` takes.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See ``importlib``; None for everything that did not move."""
        del path, target
        new = new_address(fullname)
        if new is None:
            return None
        try:
            import_module(new)
        except ModuleNotFoundError as error:
            if error.name is not None and new.startswith(error.name):
                return None  # nor is it at the new address: the usual error names the old one
            raise
        loader: Any = self
        return ModuleSpec(fullname, loader, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Give the moved module itself, so that its classes exist once."""
        new = new_address(spec.name)
        assert new is not None
        warnings.warn(
            f"{spec.name} is {new} now; the old name goes away in version 0.3.",
            DeprecationWarning,
            stacklevel=2,  # the import statement: warnings skips importlib's own frames
        )
        module = sys.modules[new]
        spec.loader_state = module.__spec__  # importlib is about to set the one of the old address
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing: the module has run; importlib's note of the old address is taken back."""
        old = module.__spec__
        assert old is not None
        module.__spec__ = old.loader_state


def install() -> None:
    """Let old addresses be found; called once by ``mixwright``."""
    if not any(isinstance(finder, _Forward) for finder in sys.meta_path):
        # First: the file finder would load a second copy, through the moved package's path.
        sys.meta_path.insert(0, _Forward())
