"""Trained mixers: read from the run that learned them, kept in files of their own."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.experiments.saved import checkpoint_of
from mixwright.lab.models.build import build_model
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from mixwright.lab.training.convert import convert_checkpoint
from mixwright.lab.training.learner import build_criterion
from mixwright.lab.training.recipe import Recipe
from mixwright.masknets import MaskNet
from mixwright.mixers.learned import LearnedMixer
from mixwright.objectives import OBJECTIVES
from mixwright.objectives.objective import Objective

_KIND = "mixer"
_PLAIN = ("layer", "sources", "alpha", "per", "margin", "margin_of")  # attributes kept as they are
_IN_FILE = (*_PLAIN, "network", "encoder", "about")
_IN_RUN = ("recipe", "weights", "objective", "classes", "mean", "std", "shape")
_BUILD = ("name", "num_classes", "image_size", "channels")  # arguments of build_model
_SCALE = ("mean", "std")  # of Normalised


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What ``trained:run=PATH`` means as a METHOD: the mixer that a run has learned, frozen.

    A recipe, and so its hash, holds the path alone: training another generator into the same
    folder changes what is run, and not what it is called.

    Args:
        run: a run folder, a checkpoint, or a file that ``save_mixer`` wrote, as ``load_mixer``
            takes it; ``~`` is the home folder.
    """

    run: Path

    def load(self, *, trust: bool = False) -> LearnedMixer:
        """Give the mixer, a fresh copy each time; a file that did not change is read once.

        Args:
            trust: see ``load_mixer``.

        Raises:
            ValueError: see ``load_mixer``.
        """
        file = _file(self.run.expanduser())
        about = file.stat()
        stamp = about.st_mtime_ns, about.st_size
        return copy.deepcopy(_read_once(str(file.resolve()), trust, *stamp))


@functools.lru_cache(maxsize=2)
def _read_once(file: str, trust: bool, *stamp: int) -> LearnedMixer:
    del stamp  # tells a file from one that was there before it
    return load_mixer(file, trust=trust)


def save_mixer(
    mixer: LearnedMixer, path: str | Path, *, encoder: Mapping[str, Any] | None = None
) -> None:
    """Write a trained mixer to a file, whole or not at all: network, encoder and settings.

    Args:
        mixer: what ``objective.trained_mixer()`` or ``load_mixer`` gave.
        path: file to write or replace, such as ``generator.pt``; its folder exists.
        encoder: how the encoder is rebuilt: ``name``, ``num_classes``, ``image_size`` and
            ``channels`` as ``build_model`` takes them, and ``mean`` and ``std`` where it is
            wrapped in ``Normalised``. None for what the mixer knows of itself, which it does
            where a run was read; otherwise ``load_mixer`` will want the architecture.

    Raises:
        ValueError: the mixer is no ``LearnedMixer``, ``encoder`` builds another network than its
            encoder, the network's settings are no plain values, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> from mixwright.masknets import MixBlock
        >>> net = build_model("smallconv", num_classes=5, image_size=32)
        >>> mixer = LearnedMixer(net, MixBlock(32), layer="layer2")
        >>> how = {"name": "smallconv", "num_classes": 5, "image_size": 32, "channels": 3}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_mixer(mixer, f"{folder}/generator.pt", encoder=how)
        ...     same = load_mixer(f"{folder}/generator.pt")
        >>> same.layer
        'layer2'
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


def load_mixer(
    path: str | Path, encoder: nn.Module | None = None, trust: bool = False
) -> LearnedMixer:
    """Read a trained mixer, frozen, to mix with in any loop.

    Args:
        path: a file that ``save_mixer`` wrote; or the folder of a run whose method learns a
            mixer, or its ``last.pt``.
        encoder: the architecture of the encoder, where it is a model of your own that cannot be
            rebuilt by name; of a run, the model that was trained. It is copied, and the saved
            weights go into the copy.
        trust: import the module of a class of yours that a run was trained with, which runs its
            code. Without it such a class is taken from modules that are imported already.

    Returns:
        the mixer, on the CPU; it goes to the device of the images it is given.

    Raises:
        ValueError: there is no such file; it is damaged or foreign, or its method learns no mixer
            or is of a module that is not imported; ``encoder`` is missing or the weights do not
            fit it.

    Example:
        >>> load_mixer("nowhere.pt")
        Traceback (most recent call last):
        ...
        mixwright.lab.training.checkpoint.CheckpointError: load_mixer: there is no nowhere.pt; ...
    """
    file = _file(Path(path))
    state = load_checkpoint(file)
    with torch.random.fork_rng(devices=[]):  # first weights are drawn, to be replaced
        if state.get("kind") == _KIND:
            return _from_file(file, state, encoder)
        return _from_run(file, convert_checkpoint(state), encoder, trust)


def _file(path: Path) -> Path:
    if not path.exists():
        raise CheckpointError(
            f"load_mixer: there is no {path}; expected the folder of a run whose method learns a "
            "mixer, or a file that save_mixer wrote."
        )
    return checkpoint_of(path)


def _from_file(file: Path, state: dict[str, Any], encoder: nn.Module | None) -> LearnedMixer:
    _need(file, state, _IN_FILE, "It was written by another mixwright, or by hand.")
    saved = state["network"]
    network = _class_of(file, saved["class"])(**saved["settings"])
    _fill(network, saved["weights"], file, "network of masks")
    about: dict[str, Any] = state["about"]
    built: nn.Module | None = None
    if state["encoder"] is not None:
        built = _encoder(file, about.get("encoder"), encoder)
        _fill(built, state["encoder"], file, "encoder")
    elif encoder is not None:
        raise CheckpointError(
            f"{file} holds no weights of an encoder: its mixer looks through the model that is "
            "given to plan(). Leave encoder out, and pass model=... to plan() or Mix."
        )
    return LearnedMixer(built, network, about=about, **{name: state[name] for name in _PLAIN})


def _from_run(
    file: Path, state: dict[str, Any], encoder: nn.Module | None, trust: bool
) -> LearnedMixer:
    _need(file, state, _IN_RUN, "A best.pt holds weights alone; give the run folder.")
    recipe = Recipe.from_json(state["recipe"])
    method = parse_method(recipe.method, file=file, trust=trust)
    objective = method.objective(build_criterion(recipe))
    if not learns_mixer(type(objective)):
        known = [name for name, cls in OBJECTIVES.items() if learns_mixer(cls)]
        raise CheckpointError(
            f"{file}: its method is {recipe.method}, which learns no mixer; expected a run of one "
            f"that does: {', '.join(known)}."
        )
    channels, side = int(state["shape"][0]), int(state["shape"][1])
    how: dict[str, Any] = {"name": recipe.model, "num_classes": len(state["classes"])}
    how |= {"image_size": side, "channels": channels, "mean": state["mean"], "std": state["std"]}
    model = _encoder(file, how, encoder)
    _fill(model, state["weights"]["raw"], file, recipe.model)
    objective.build(model, len(state["classes"]))
    _fill(objective, state["objective"], file, recipe.method)
    mixer: object = objective.trained_mixer()
    if not isinstance(mixer, LearnedMixer):
        raise CheckpointError(
            f"{file}: trained_mixer() of its method, {recipe.method}, gives a "
            f"{type(mixer).__name__}; expected a LearnedMixer."
        )
    # A model of the user's may be anything: only what was rebuilt here can be again.
    mixer.about = {"encoder": how if encoder is None else None, "recipe": state["recipe"]}
    return mixer


def learns_mixer(cls: type) -> bool:
    """Whether an objective's class gives a mixer that it has learned."""
    return getattr(cls, "trained_mixer", None) is not Objective.trained_mixer


def _encoder(file: Path, how: Mapping[str, Any] | None, given: nn.Module | None) -> nn.Module:
    """The architecture: what was given, or what the file says."""
    if given is not None:
        return copy.deepcopy(given)
    if how is None:
        raise CheckpointError(
            f"{file} does not say how its encoder is rebuilt: it is a model of your own. Give the "
            "architecture, load_mixer(path, encoder=net); its weights come from the file."
        )
    try:
        return _rebuilt(how)
    except ValueError as error:
        raise CheckpointError(
            f"{file}: its encoder cannot be rebuilt ({error}). Give the architecture, "
            "load_mixer(path, encoder=net); its weights come from the file."
        ) from error


def _rebuilt(how: Mapping[str, Any]) -> nn.Module:
    missing = [name for name in _BUILD if name not in how]
    odd = [name for name in how if name not in (*_BUILD, *_SCALE)]
    scaled = [name for name in _SCALE if how.get(name) is not None]
    if missing or odd or len(scaled) == 1:
        raise ValueError(
            f"encoder has {', '.join(how)}; expected {', '.join(_BUILD)}, and mean and std where "
            "it is wrapped in Normalised."
        )
    net = build_model(
        how["name"],
        num_classes=int(how["num_classes"]),
        image_size=int(how["image_size"]),
        channels=int(how["channels"]),
    )
    return Normalised(net, how["mean"], how["std"]) if scaled else net


def _check_rebuilt(mixer: LearnedMixer, how: Mapping[str, Any]) -> None:
    """Refuse to write a file that could not be read."""
    if mixer.encoder is None:
        raise ValueError(
            "save_mixer: the mixer has no encoder of its own, so there is none to rebuild. Leave "
            "encoder out."
        )
    with torch.random.fork_rng(devices=[]):
        try:
            built = _rebuilt(how)
        except ValueError as error:
            raise ValueError(f"save_mixer: {error}") from None
    _fill(built, mixer.encoder.state_dict(), "save_mixer", f"encoder built from {dict(how)}")


def _fill(module: nn.Module, weights: Mapping[str, Any], where: object, what: str) -> None:
    try:
        module.load_state_dict(weights)
    except (RuntimeError, KeyError, ValueError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise CheckpointError(
            f"{where}: the weights do not fit the {what}: {' '.join(lines[:3])[:400]} "
            "Give the architecture that was trained."
        ) from None


def _need(file: Path, state: Mapping[str, Any], names: tuple[str, ...], hint: str) -> None:
    missing = [name for name in names if name not in state]
    if missing:
        raise CheckpointError(
            f"{file} has no {', '.join(missing)}; expected the checkpoint of a run whose method "
            f"learns a mixer, or a file that save_mixer wrote. {hint}"
        )


def _class_of(file: Path, name: str) -> type[MaskNet]:
    """The class of that name among those that exist: a file has nothing imported."""
    for cls in _inheriting(MaskNet):
        if _name_of(cls) == name:
            return cls
    raise CheckpointError(
        f"{file}: its masks come from {name}, which is not known here. Import the module that "
        "defines it, then load again."
    )


def _inheriting(cls: type[MaskNet]) -> Iterator[type[MaskNet]]:
    for one in cls.__subclasses__():
        yield one
        yield from _inheriting(one)


def _name_of(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"
