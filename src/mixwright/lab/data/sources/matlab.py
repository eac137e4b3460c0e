"""Tables that MATLAB wrote, read by SciPy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mixwright.lab.data.errors import DataError


def read_mat(path: Path, name: str) -> Any:
    """Return a variable of a .mat file (version 5 to 7.2), an array of one axis or more.

    Single elements are taken out of their arrays.
    """
    import numpy as np
    from scipy.io import loadmat

    if not path.is_file():
        raise DataError(f"{path} is not there; expected the table {name!r} in it.")
    try:
        found: dict[str, Any] = loadmat(str(path), squeeze_me=True)
    except Exception as error:  # damaged files make the reader raise nearly anything
        raise DataError(f"{path} cannot be read: {error}. Place a fresh copy.") from error
    if name not in found:
        raise DataError(f"{path} has no {name!r}; expected the authors' file. Place a fresh copy.")
    return np.atleast_1d(found[name])


def read_table(path: Path, name: str, fields: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of a structure in a .mat file, each with the fields that are wanted."""
    rows = read_mat(path, name)
    there: tuple[str, ...] = rows.dtype.names or ()
    if lacking := [field for field in fields if field not in there]:
        raise DataError(
            f"{path}: {name} has the fields {', '.join(there) or 'none'}; expected "
            f"{', '.join(lacking)} too. Is it the file with labels?"
        )
    return [{field: row[field] for field in fields} for row in rows]
