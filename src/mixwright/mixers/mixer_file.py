"""How a file holds a learned mixer: written whole, read without running code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import nn

from mixwright.checkpoint import (
    CheckpointError,
    checkpoint_of,
    fill,
    save_checkpoint,
)
from mixwright.masknets import RENAMED_NETWORKS, MaskNet
from mixwright.taps import deep_copy

_KIND = "mixer"
PLAIN = ("layer", "sources", "alpha", "per", "margin", "margin_of")  # attributes kept as they are
_IN_FILE = (*PLAIN, "network", "encoder", "about")
_IN_RUN = ("recipe", "objective", "classes", "mean", "std", "shape")


class Parts(Protocol):
    """What a file keeps of a ``LearnedMixer``, beside its plain settings."""

    encoder: nn.Module | None
    network: MaskNet
    about: dict[str, Any]


def write_mixer(mixer: Parts, path: Path, encoder: Mapping[str, Any] | None) -> None:
    """Write network, encoder and settings; see ``save_mixer``."""
    network = mixer.network
    try:
        json.dumps(network.settings)
    except TypeError as error:
        raise ValueError(
            f"save_mixer: {type(network).__name__}.settings hold no plain values ({error}); "
            "expected numbers, words and lists of them, which rebuild the network."
        ) from None
    how = mixer.about.get("encoder") if encoder is None else dict(encoder)
    if how is not None:
        _check_rebuilt(mixer, how)
    state = {name: getattr(mixer, name) for name in PLAIN}
    state["network"] = {
        "class": _name_of(type(network)),
        "settings": dict(network.settings),
        "weights": network.state_dict(),
    }
    state["encoder"] = None if mixer.encoder is None else mixer.encoder.state_dict()
    state["about"] = {**mixer.about, "encoder": how}
    save_checkpoint(path, {"kind": _KIND, **state})


def in_a_file(state: Mapping[str, Any]) -> bool:
    """Whether a checkpoint's state is that of a mixer's own file, and not of a run."""
    return state.get("kind") == _KIND


def arguments_in_file(
    file: Path, state: dict[str, Any], encoder: nn.Module | None, *, trust: bool
) -> dict[str, Any]:
    """Return what ``LearnedMixer`` is made with, from the state in its file."""
    _need(file, state, _IN_FILE, "It was written by another mixwright, or by hand.")
    saved = state["network"]
    network = _class_of(file, saved["class"])(**saved["settings"])
    fill(network, saved["weights"], file, "network of masks")
    about: dict[str, Any] = state["about"]
    built: nn.Module | None = None
    if state["encoder"] is not None:
        built = _encoder(file, about.get("encoder"), encoder, trust)
        fill(built, state["encoder"], file, "encoder")
    elif encoder is not None:
        raise CheckpointError(
            f"{file} holds no weights of an encoder: its mixer looks through the model that is "
            "given to plan(). Leave encoder out, and pass model=... to plan() or Mix."
        )
    plain = {name: state[name] for name in PLAIN}
    return {"encoder": built, "network": network, "about": about, **plain}


def mixer_of_run(
    file: Path, state: dict[str, Any], encoder: nn.Module | None, *, trust: bool
) -> Any:
    """Return the ``LearnedMixer`` of a run, from the state in its checkpoint."""
    _need(file, state, _IN_RUN, "A best.pt holds weights alone; give the run folder.")
    return _lab(f"{file} is a run, which").mixer_of_run(
        file, state, lambda how: _encoder(file, how, encoder, trust), trust=trust
    )


def mixer_path(path: Path) -> Path:
    """Return the file that ``load_mixer`` reads for a path."""
    if not path.exists():
        raise CheckpointError(
            f"load_mixer: there is no {path}; expected the folder of a run whose method learns a "
            "mixer, or a file that save_mixer wrote."
        )
    return checkpoint_of(path)


def _lab(what: str) -> ModuleType:
    """Return what the laboratory knows of names; the one place where the core asks it."""
    try:
        from mixwright.lab.experiments import mixer_of_run
    except ModuleNotFoundError as error:
        raise CheckpointError(
            f"{what} needs the laboratory, where {error.name} is missing: "
            "pip install 'mixwright[lab]'. Without it give a file that save_mixer wrote, and the "
            "architecture: load_mixer(path, encoder=net)."
        ) from error
    return mixer_of_run


def _encoder(
    file: Path, how: Mapping[str, Any] | None, given: nn.Module | None, trust: bool
) -> nn.Module:
    """Return the architecture: a copy of what was given, or what the file says."""
    if given is not None:
        return deep_copy(given)
    if how is None:
        raise CheckpointError(
            f"{file} does not say how its encoder is rebuilt: it is a model of your own. Give the "
            "architecture, load_mixer(path, encoder=net); its weights come from the file."
        )
    lab = _lab(f"{file}: rebuilding its encoder, {how.get('name')},")
    try:
        return lab.encoder_from(how, file, trust=trust)
    except ValueError as error:
        raise CheckpointError(
            f"{file}: its encoder cannot be rebuilt ({error}). Give the architecture, "
            "load_mixer(path, encoder=net); its weights come from the file."
        ) from error


def _check_rebuilt(mixer: Parts, how: Mapping[str, Any]) -> None:
    """Refuse to write a file that could not be read."""
    if mixer.encoder is None:
        raise ValueError(
            "save_mixer: the mixer has no encoder of its own, so there is none to rebuild. Leave "
            "encoder out."
        )
    lab = _lab("save_mixer: rebuilding the encoder, to check what is said of it,")
    with torch.random.fork_rng(devices=[]):
        try:
            built = lab.encoder_from(how)
        except ValueError as error:
            raise ValueError(f"save_mixer: {error}") from None
    fill(built, mixer.encoder.state_dict(), "save_mixer", f"encoder built from {dict(how)}")


def _need(file: Path, state: Mapping[str, Any], names: tuple[str, ...], hint: str) -> None:
    missing = [name for name in names if name not in state]
    if missing:
        raise CheckpointError(
            f"{file} has no {', '.join(missing)}; expected the checkpoint of a run whose method "
            f"learns a mixer, or a file that save_mixer wrote. {hint}"
        )


def _class_of(file: Path, name: str) -> type[MaskNet]:
    """Return the class of that name among those that exist: a file has nothing imported."""
    for cls in _inheriting(MaskNet):
        if _name_of(cls) == RENAMED_NETWORKS.get(name, name):
            return cls
    raise CheckpointError(
        f"{file}: its masks come from {name}, which is not known here. Import the module that "
        "defines it, then load again."
    )


def _inheriting(cls: type[MaskNet]) -> Iterator[type[MaskNet]]:
    for child in cls.__subclasses__():
        yield child
        yield from _inheriting(child)


def _name_of(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
