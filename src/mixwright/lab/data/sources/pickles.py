"""Pickles of arrays, read without letting them run anything."""

from __future__ import annotations

import io
import pickle
from typing import Any

from mixwright.arguments import of_type
from mixwright.lab.data.errors import DataError

# What pickles of arrays and of Python 2 strings name, and where NumPy 2 keeps it.
_ALLOWED = {
    ("numpy", "ndarray"): ("numpy", "ndarray"),
    ("numpy", "dtype"): ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"): ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"): ("_codecs", "encode"),
}


class _ArrayUnpickler(pickle.Unpickler):
    """Builds NumPy arrays and built-in containers, and refuses every other name."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if (module_name, global_name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}")
        from importlib import import_module

        module, name = _ALLOWED[module_name, global_name]
        return getattr(import_module(module), name)


def load_arrays(stored: bytes, *, name: str) -> dict[bytes, Any]:
    """Return a pickled dictionary (of Python 2 or 3) of arrays, strings, numbers, lists of these.

    Keys of text become bytes, as Python 2 wrote them. What could run code is refused.
    """
    try:
        found = _ArrayUnpickler(io.BytesIO(stored), encoding="bytes").load()
    except MemoryError:
        raise
    except Exception as error:  # damaged pickles raise nearly anything
        raise DataError(
            f"{name} cannot be read: {error}. Expected a pickle of arrays as in the original "
            "archive; place a fresh copy."
        ) from error
    if not isinstance(found, dict):
        raise DataError(
            f"{name} holds {of_type(found)}; expected a dictionary as in the original "
            "archive; place a fresh copy."
        )
    return {key.encode() if isinstance(key, str) else key: value for key, value in found.items()}
