"""Weights from elsewhere: plain state dicts and ``.safetensors``, fitted to a network by name."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from mixwright.arguments import of_type
from mixwright.checkpoint import FORMAT, CheckpointError, check_sums, first_line

SAFETENSORS = ".safetensors"

# Where training scripts put a state dict: trained weights first, then their average.
_RAW = ("state_dict", "model_state_dict", "model", "net", "weights")
_EMA = ("state_dict_ema", "model_ema", "ema_state_dict", "ema")

# What wrappers put before the names of a network: DDP, Lightning, torch.compile, encoders.
_WRAPPERS = ("module", "model", "_orig_mod", "backbone", "encoder", "network", "net")


def read_plain(file: Path, which: str) -> dict[str, Tensor] | None:
    """Read the tensors of a state dict by name; None where the file is a checkpoint of ours.

    Nothing but tensors and plain values is read. ``which`` is ``raw`` or ``ema``, by the key under
    which a training script keeps them; a file with one set alone gives that.

    Raises:
        CheckpointError: the file is damaged, holds other things or no such weights, or the package
            for ``.safetensors`` is missing.
    """
    loaded = _safetensors(file) if file.suffix == SAFETENSORS else _torch_file(file)
    if isinstance(loaded, Mapping) and loaded.get("format") == FORMAT:
        return None
    if which == "teacher":
        raise CheckpointError(
            f"init {file}: it is no run of ours, so it has no teacher; expected --init-weights raw "
            "or ema."
        )
    found = _sets(loaded)
    if not found:
        keys = ", ".join(str(key) for key in loaded) if isinstance(loaded, Mapping) else ""
        about = of_type(loaded) + (f" with {keys[:120]}" if keys else "")
        raise CheckpointError(
            f"init {file} is {about}, which holds no weights; expected a state dict, as "
            "torch.save(model.state_dict(), path) writes it."
        )
    if which == "ema" and "ema" not in found:
        raise CheckpointError(
            f"init {file} has no averaged weights ({', '.join(_EMA)}); expected --init-weights raw."
        )
    chosen = found.get(which) or next(iter(found.values()))
    for name, value in chosen.items():
        if value.layout is not torch.strided or value.is_quantized or value.is_meta:
            kind = "quantised" if value.is_quantized else str(value.layout)
            raise CheckpointError(
                f"init {file}: its tensor {name} is {'without values' if value.is_meta else kind}; "
                "expected plain numbers, as torch.save(model.state_dict(), path) writes them."
            )
    return chosen


@dataclass(frozen=True)
class Fit:
    """What of a file goes into a network.

    Args:
        taken: tensors by the network's names.
        anew: names of the last layer that keep their start.
        unused: names of the file that the network does not have.
        classes: that the file has; None where it has no last layer.
    """

    taken: dict[str, Tensor]
    anew: tuple[str, ...]
    unused: tuple[str, ...]
    classes: int | None


def fit_weights(
    path: Path,
    given: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    last: str | None,
    *,
    what: str,
) -> Fit:
    """Find the tensors of a network among those of a file, whatever wrappers stand before names.

    ``what`` is its name, ``last`` that of its last layer. Where the file has another number of
    classes there, or none of that layer, it is left as it was. Counters of batches may lack, as in
    old files.

    Raises:
        CheckpointError: a tensor is missing, has another shape or two candidates; or the file has
            more of a part of the network, as one of a deeper network has.
    """
    sources: dict[str, list[str]] = {}
    for name in given:
        if name not in wanted:
            sources.setdefault(_bare(name), []).append(name)
    found: dict[str, str] = {}
    for name in wanted:
        candidates = sources.get(_bare(name), [])
        if name in given or len(candidates) == 1:
            found[name] = name if name in given else candidates[0]
        elif candidates:
            raise CheckpointError(
                f"init {path}: {', '.join(candidates[:3])} are all {_bare(name)}; expected the "
                "weights of one network. Save those alone."
            )
    if not found:
        raise CheckpointError(
            f"init {path}: none of its {len(given)} tensors ({some_of(given)}) has the name of one "
            f"of {what} ({some_of(wanted)}); expected weights of the same network."
        )
    ends = tuple(name for name in (f"{last}.weight", f"{last}.bias") if last and name in wanted)
    there = [name for name in ends if name in found]
    classes = next((given[found[name]].shape[0] for name in there if given[found[name]].ndim), None)
    new = ends and (classes is None or classes != wanted[ends[0]].shape[0])
    anew = ends if new and all(_rest_fits(given, found, wanted, name) for name in there) else ()
    kept = {name: value for name, value in wanted.items() if name not in anew}
    lacking = [
        name for name in kept if name not in found and not name.endswith("num_batches_tracked")
    ]
    odd = [
        f"{name} {tuple(given[found[name]].shape)} for {tuple(value.shape)}"
        for name, value in kept.items()
        if name in found and given[found[name]].shape != value.shape
    ]
    if lacking or odd:
        problems = [
            f"{len(some)} {how} ({some_of(some)})"
            for some, how in ((lacking, "are missing"), (odd, "have another shape"))
            if some
        ]
        raise CheckpointError(
            f"init {path}: of the {len(wanted)} tensors of {what} {' and '.join(problems)}; "
            "expected weights of the same network, and for a transformer the same image size."
        )
    unused = [name for name in given if name not in found.values()]
    parts = {_bare(name).partition(".")[0] for name in wanted}
    more = [name for name in unused if "." in name and _bare(name).partition(".")[0] in parts]
    if more:
        raise CheckpointError(
            f"init {path}: it has {len(more)} tensors ({some_of(more)}) beside the {len(wanted)} "
            f"of {what}; expected weights of the same network."
        )
    taken = {name: given[found[name]] for name in kept if name in found}
    # Numbers of eight bits need their scales, which are no weights of this network.
    whole = [
        name
        for name, value in taken.items()
        if wanted[name].is_floating_point() and not value.is_floating_point()
    ]
    if whole:
        raise CheckpointError(
            f"init {path}: {len(whole)} of its tensors are {given[found[whole[0]]].dtype} "
            f"({some_of(whole)}); expected weights in floating point, not quantised ones."
        )
    # Not infinite ones: masks of attention hold such, and are buffers.
    if broken := [name for name, value in taken.items() if value.isnan().any()]:
        raise CheckpointError(
            f"init {path}: {len(broken)} of its tensors hold NaN ({some_of(broken)}); expected the "
            "weights of a training that did not diverge."
        )
    return Fit(taken=taken, anew=anew, unused=tuple(unused), classes=classes)


def statistics_of(given: Mapping[str, Tensor], channels: int) -> dict[str, Tensor]:
    """Return mean and deviation where a file holds a network of ours in ``Normalised``, else none.

    They are called ``mean`` and ``std`` beside ``model.``, perhaps behind other wrappers.
    """
    for before in ("", *(f"{word}." for word in _WRAPPERS)):
        both = {name: given.get(f"{before}{name}") for name in ("mean", "std")}
        wraps = any(name.startswith(f"{before}model.") for name in given)
        found = {
            name: value
            for name, value in both.items()
            if value is not None and value.shape == (1, channels, 1, 1)
        }
        if wraps and len(found) == 2:
            return found
    return {}


def _rest_fits(
    given: Mapping[str, Tensor], found: Mapping[str, str], wanted: Mapping[str, Tensor], name: str
) -> bool:
    """Whether a tensor of the last layer differs in nothing but the number of classes."""
    return given[found[name]].shape[1:] == wanted[name].shape[1:]


def _bare(name: str) -> str:
    """The name without what wrappers put before it."""
    first, dot, rest = name.partition(".")
    return _bare(rest) if dot and first in _WRAPPERS else name


def some_of(names: Iterable[str]) -> str:
    """Return the first three names of several.

    Example:
        >>> some_of(["a", "b", "c", "d"])
        'a, b, c, ...'
    """
    words = list(names)
    return ", ".join(words[:3]) + (", ..." if len(words) > 3 else "")


def _sets(loaded: object) -> dict[str, dict[str, Tensor]]:
    """The sets of weights in what was read, ``raw`` and ``ema``; a plain state dict is raw."""
    if not isinstance(loaded, Mapping):
        return {}
    found: dict[str, dict[str, Tensor]] = {}
    for which, keys in (("raw", _RAW), ("ema", _EMA)):
        for key in keys:
            if which not in found and (tensors := _tensors(loaded.get(key))):
                found[which] = tensors
    if not found and (tensors := _tensors(loaded)):
        found["raw"] = tensors
    return found


def _tensors(value: object) -> dict[str, Tensor]:
    if not isinstance(value, Mapping):
        return {}
    return {str(key): part for key, part in value.items() if isinstance(part, Tensor)}


def _safetensors(file: Path) -> object:
    if find_spec("safetensors") is None:
        raise CheckpointError(
            f"init {file}: reading {SAFETENSORS} needs the package safetensors, which is not "
            "installed: pip install 'mixwright[lab]' brings it."
        )
    try:
        return import_module("safetensors.torch").load_file(file)
    except Exception as error:  # anything at all can come out of damaged bytes
        raise _unreadable(file, error) from error


def _torch_file(file: Path) -> object:
    try:
        if zipfile.is_zipfile(file):  # files of old torch are none
            check_sums(file)
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # as above
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> CheckpointError:
    # Bytes that are no pickle make torch fail in any way: IndexError, UnicodeDecodeError, ...
    if isinstance(error, pickle.UnpicklingError) or not (
        isinstance(error, OSError | CheckpointError)
        or file.suffix == SAFETENSORS
        or zipfile.is_zipfile(file)
    ):
        known = zipfile.is_zipfile(file)
        why = "it holds more than tensors and plain values, whose reading would run code"
        why = why if known else "it is no file of torch.save, or holds more than tensors"
    else:
        why = f"{type(error).__name__}: {first_line(error)}"
    return CheckpointError(
        f"init {file} cannot be read ({why[:250]}); expected a run folder, a checkpoint of a run, "
        f"or a whole state dict: torch.save(model.state_dict(), path), or {SAFETENSORS}."
    )
