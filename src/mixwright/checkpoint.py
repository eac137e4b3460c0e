"""Checkpoints: written whole or not at all, read without running code."""

from __future__ import annotations

import ctypes
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mixwright.arguments import of_type
from mixwright.files import write_whole

FORMAT = "mixwright-checkpoint"
VERSION = 1


class CheckpointError(ValueError):
    """A checkpoint could not be written or read."""


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint so that a file of this name is always whole.

    The state goes to a temporary file in the same folder, reaches the disk, and then takes the
    place of an older checkpoint in one move. Whatever interrupts it, the older one survives.

    Args:
        path: file to write; its folder exists.
        state: tensors, numbers, text, and lists and dicts of these.

    Raises:
        CheckpointError: the file cannot be written, e.g. the disk is full.
    """
    marked = {"format": FORMAT, "version": VERSION, **state}
    try:
        write_whole(path, lambda file: torch.save(marked, file))
    except (OSError, RuntimeError) as error:
        kept = "the checkpoint before it is still there" if path.exists() else "nothing was written"
        raise CheckpointError(
            f"checkpoint {path} could not be written: {error}; {kept}. Make room or choose "
            "another folder, then give the same command again to continue from there."
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU.

    Only tensors and plain values are read (``weights_only``), so that a file from elsewhere
    cannot run code; the checksum of every part is compared.

    Args:
        path: file that ``save_checkpoint`` wrote.

    Returns:
        The state that was saved.

    Raises:
        CheckpointError: there is no such file, it is damaged, or something else wrote it.
    """
    if not path.is_file():
        raise CheckpointError(
            f"checkpoint {path} does not exist; expected a file that mixwright saved. Give a run "
            "folder's last.pt or best.pt."
        )
    state = _read(path)
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise CheckpointError(
            f"checkpoint {path} is {of_type(state)} without our mark; expected a file "
            f"that mixwright saved (format {FORMAT!r}). Weights from elsewhere go into a model "
            "with its own load_state_dict."
        )
    if state.get("version") != VERSION:
        raise CheckpointError(
            f"checkpoint {path} has version {state.get('version')!r}; this mixwright reads "
            f"{VERSION}. Read it with the mixwright that wrote it, or train again."
        )
    return state


def checkpoint_of(path: Path) -> Path:
    """Return the checkpoint that a path means: itself, or a run folder's ``last.pt``."""
    if path.is_dir():
        if not (path / "last.pt").is_file():
            inside = sorted(file.parent.name for file in path.glob("**/last.pt"))[:3]
            hint = f" It holds the runs {', '.join(inside)}, ...; name one." if inside else ""
            raise CheckpointError(f"{path} holds no last.pt, so it is no run folder.{hint}")
        return path / "last.pt"
    return path


def fill(module: nn.Module, weights: Mapping[str, Any], where: object, what: str) -> None:
    """Load a state dict into a module; messages name ``what`` it is and ``where`` it comes from."""
    try:
        module.load_state_dict(weights)
    except (RuntimeError, KeyError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise CheckpointError(
            f"{where}: the weights do not fit the {what}: {' '.join(lines[:3])[:400]} "
            "Give the architecture that was trained."
        ) from None


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a state dict's names, shapes and values in hex digits, in any order."""
    whole = hashlib.sha256()
    for name in sorted(weights):
        value = weights[name]
        whole.update(f"{name} {tuple(value.shape)} {value.dtype};".encode())
        whole.update(tensor_bytes(value))
    return whole.hexdigest()


def tensor_bytes(value: Tensor) -> bytes:
    """Return a tensor's values as raw bytes, in this machine's order."""
    # Straight from memory: tensors give no buffer, and NumPy belongs to the extra `lab`.
    flat = value.detach().cpu().contiguous()
    return ctypes.string_at(flat.data_ptr(), flat.nbytes)


def check_sums(path: Path) -> None:
    """Compare the checksums in a file of ``torch.save``: torch reads on over changed bytes.

    Raises:
        BadZipFile: one is wrong, or the file is no archive.
    """
    with zipfile.ZipFile(path) as archive:
        broken = archive.testzip()
    if broken is not None:
        raise zipfile.BadZipFile(f"wrong checksum of {broken}")


def _read(path: Path) -> object:
    advice = (
        "Delete it to train from the start, or copy a whole one in its place; best.pt of the same "
        "folder holds weights, but not what is needed to continue."
    )
    try:
        check_sums(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # anything at all can come out of damaged bytes
        raise CheckpointError(
            f"checkpoint {path} cannot be read ({type(error).__name__}: {first_line(error)}); "
            f"expected a whole file that mixwright saved, it is damaged or something else wrote "
            f"it. {advice}"
        ) from error


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, cut to 200 letters."""
    return (str(error).strip() or "no reason given").splitlines()[0][:200]
