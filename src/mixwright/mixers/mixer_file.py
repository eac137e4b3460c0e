"""Learned mixers in files: written whole, read without running code."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from mixwright.arguments import check_arguments
from mixwright.checkpoint import (
    CheckpointError,
    checkpoint_of,
    fill,
    load_checkpoint,
    save_checkpoint,
)
from mixwright.masknets import RENAMED_NETWORKS, MaskNet
from mixwright.mixers.learned import LearnedMixer
from mixwright.taps import deep_copy

_KIND = "mixer"
_PLAIN = ("layer", "sources", "alpha", "per", "margin", "margin_of")  # attributes kept as they are
_IN_FILE = (*_PLAIN, "network", "encoder", "about")
_IN_RUN = ("recipe", "objective", "classes", "mean", "std", "shape")


@check_arguments
def save_mixer(
    mixer: LearnedMixer, path: str | Path, *, encoder: Mapping[str, Any] | None = None
) -> None:
    """Write a trained mixer to a file, whole or not at all: network, encoder and settings.

    Args:
        mixer: what ``objective.trained_mixer()`` or ``load_mixer`` gave.
        path: file to write or replace, such as ``generator.pt``; its folder exists.
        encoder: how the encoder is rebuilt: ``name``, ``num_classes``, ``image_size`` and
            ``channels`` as ``build_model`` of the extra ``lab`` takes them, and ``mean`` and
            ``std`` where it is wrapped in ``Normalised``. None for what the mixer knows of
            itself, which it does where a run was read; otherwise ``load_mixer`` will want the
            architecture.

    Raises:
        ValueError: the mixer is no ``LearnedMixer``, ``encoder`` builds another network than its
            encoder, the network's settings are no plain values, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> from mixwright.masknets import MixBlock
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.LazyLinear(5))
        >>> _ = net(torch.rand(1, 3, 16, 16))  # its last layer takes its shape
        >>> mixer = LearnedMixer(net, MixBlock(8), layer="0")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_mixer(mixer, f"{folder}/generator.pt")
        ...     same = load_mixer(f"{folder}/generator.pt", encoder=net)
        >>> same.layer
        '0'
    """
    if not isinstance(mixer, LearnedMixer):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(
            f"save_mixer: mixer is a {type(mixer).__name__}; expected a LearnedMixer, which "
            "objective.trained_mixer() gives. Mixers that learned nothing need no file."
        )
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
    state = {name: getattr(mixer, name) for name in _PLAIN}
    state["network"] = {
        "class": _name_of(type(network)),
        "settings": dict(network.settings),
        "weights": network.state_dict(),
    }
    state["encoder"] = None if mixer.encoder is None else mixer.encoder.state_dict()
    state["about"] = {**mixer.about, "encoder": how}
    save_checkpoint(Path(path), {"kind": _KIND, **state})


@check_arguments
def load_mixer(
    path: str | Path, encoder: nn.Module | None = None, *, trust: bool = False
) -> LearnedMixer:
    """Read a trained mixer, frozen, to mix with in any loop.

    Args:
        path: a file that ``save_mixer`` wrote; or the folder of a run whose method learns a
            mixer, or its ``last.pt``.
        encoder: the architecture of the encoder, where it is a model of your own that cannot be
            rebuilt by name; of a run, the model that was trained. It is copied, and the saved
            weights go into the copy.
        trust: import the modules of a class and of a network of yours that a run was trained
            with, which runs their code. Without it both are taken from modules that are imported
            already.

    Returns:
        the mixer, on the CPU; it goes to the device of the images it is given.

    Raises:
        ValueError: there is no such file; it is damaged or foreign, or its method learns no mixer
            or is of a module that is not imported; ``encoder`` is missing or the weights do not
            fit it; or the extra ``lab`` is missing, for a run or an encoder that has a name only.

    Example:
        >>> load_mixer("nowhere.pt")
        Traceback (most recent call last):
        ...
        mixwright.checkpoint.CheckpointError: load_mixer: there is no nowhere.pt; ...
    """
    file = mixer_path(Path(path))
    state = load_checkpoint(file)
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, to be replaced
        if state.get("kind") == _KIND:
            return _from_file(file, state, encoder, trust)
        _need(file, state, _IN_RUN, "A best.pt holds weights alone; give the run folder.")
        mixer: LearnedMixer = _lab(f"{file} is a run, which").mixer_of_run(
            file, state, lambda how: _encoder(file, how, encoder, trust), trust=trust
        )
    if encoder is not None:  # it may be anything: only what was rebuilt by name can be again
        mixer.about["encoder"] = None
    return mixer


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


def _from_file(
    file: Path, state: dict[str, Any], encoder: nn.Module | None, trust: bool
) -> LearnedMixer:
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
    return LearnedMixer(built, network, about=about, **{name: state[name] for name in _PLAIN})


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


def _check_rebuilt(mixer: LearnedMixer, how: Mapping[str, Any]) -> None:
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
