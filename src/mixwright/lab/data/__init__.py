"""Data sets of images with class labels, and the batches that training draws from them."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mixwright.lab.data.errors import DataError as DataError
from mixwright.lab.data.names import DATA_LINES as DATA_LINES
from mixwright.lab.data.names import DATA_SETS as DATA_SETS
from mixwright.lab.data.names import DataName as DataName
from mixwright.lab.data.names import parse_data as parse_data

if TYPE_CHECKING:
    from mixwright.lab.data.augment import Augment as Augment
    from mixwright.lab.data.augment import ResizedCrop as ResizedCrop
    from mixwright.lab.data.batches import Batches as Batches
    from mixwright.lab.data.lazy import LazyImages as LazyImages
    from mixwright.lab.data.load import load_data as load_data
    from mixwright.lab.data.sets import Dataset as Dataset
    from mixwright.lab.data.sets import ImageSet as ImageSet

# These need torch, and the command line parses without it.
_HOMES = {
    "Augment": "augment",
    "Batches": "batches",
    "Dataset": "sets",
    "ImageSet": "sets",
    "LazyImages": "lazy",
    "ResizedCrop": "augment",
    "load_data": "load",
}
__all__ = ["DATA_LINES", "DATA_SETS", "DataError", "DataName", "parse_data", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
