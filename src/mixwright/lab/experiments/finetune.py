"""Fine-tuning: the weights of a run, or of a file from elsewhere, as the start of another run."""

from __future__ import annotations

import functools
import glob
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.checkpoint import CheckpointError, checkpoint_of, load_checkpoint, weights_digest
from mixwright.lab.data.classes import match_classes
from mixwright.lab.experiments.plain_weights import fit_weights, read_plain, some_of, statistics_of
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.training.convert import convert_checkpoint
from mixwright.lab.training.heads import saved_columns
from mixwright.lab.training.recipe import Recipe

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mixwright.lab.data.sets import Dataset

State = dict[str, Any]

_NEEDED = ("recipe", "weights", "ema_updates", "classes")


def resolve_init(settings: Mapping[str, Any], *, method: str, seed: int) -> dict[str, Any]:
    """Return fields of a recipe in which ``init`` is one run or file, with a digest of its weights.

    ``method`` (a slug) and ``seed`` are what ``{method}`` and ``{seed}`` stand for; nothing changes
    without ``init``.

    Raises:
        ValueError: no run or several fit, it is of another network or damaged, or it has no such
            weights.
    """
    init = settings.get("init")
    if not init:
        return dict(settings)
    path = find_start(init, method=method, seed=seed)
    about = checkpoint_of(path).stat()
    which = settings.get("init_weights", "raw")
    network, digest = _known(str(path), which, about.st_mtime_ns, about.st_size)
    if network not in (None, settings.get("model", network)):
        raise CheckpointError(
            f"--init {path}: its network is {network}, not {settings['model']}; expected the same. "
            f"Give --model {network}, or a run of {settings['model']}."
        )
    return {**settings, "init": str(path), "init_digest": digest}


def find_start(init: str, *, method: str, seed: int) -> Path:
    """Return the one path that exists among those that a pattern means for a run.

    ``{method}`` and ``{seed}`` stand for the run's own, ``*`` and ``?`` for any letters, ``~`` for
    the home folder; a method is a slug as in names of run folders: ``mixup-alpha-0.2``.

    Raises:
        CheckpointError: none or several exist, or other words stand in braces.

    Example:
        >>> find_start("nowhere/{method}-s{seed}", method="mixup", seed=3)
        Traceback (most recent call last):
        ...
        mixwright.checkpoint.CheckpointError: --init nowhere/mixup-s3 does not exist; ...
    """
    filled = init.replace("{method}", method).replace("{seed}", str(seed))
    if odd := re.search(r"\{\w*\}", filled):
        raise CheckpointError(
            f"--init {init}: {odd[0]} is not known; expected {{method}}, {{seed}}."
        )
    path = Path(filled).expanduser()
    if path.exists():
        return path
    found = [Path(path) for path in sorted(glob.glob(str(path)))]
    found = [path for path in found if path.is_file() or (path / "last.pt").is_file()]
    if not found:
        raise CheckpointError(
            f"--init {filled} does not exist; expected a run folder with a last.pt, a checkpoint, "
            "or a file of weights. Train it first, or name another."
        )
    if len(found) > 1:
        raise CheckpointError(
            f"--init {filled} fits {len(found)} runs, {found[0].name} and {found[1].name} among "
            "them; expected one. Make the pattern narrower, e.g. {method}-s{seed}-* with the dash."
        )
    return found[0]


def load_init(
    model: Normalised, recipe: Recipe, data: Dataset, *, say: Callable[[str], None] | None = None
) -> None:
    """Fill a fresh network with the weights that its recipe names, a run's or those of a file.

    Of a run: where the classes are others (their names, not only their number), the last Linear
    keeps the weights that it was just given; where they are the same in another order, its rows are
    put in the order of the data. Mean and deviation of normalisation are the source's: its weights
    have learned behind them.

    Of a plain file: classes have no names, so only their number counts; and the statistics stay as
    they are unless the file has those of a ``Normalised``.

    ``say`` is told what was taken and what was not.

    Raises:
        CheckpointError: the weights are not there, are others than the recipe's, or do not fit.
    """
    from mixwright.lab.training.session import last_layer

    assert recipe.init is not None
    path = Path(recipe.init).expanduser()
    weights, state = _weights(path, recipe.init_weights)
    if recipe.init_digest not in (None, _digest(weights)):
        raise CheckpointError(
            f"init {path}: its {recipe.init_weights} weights have the digest {_digest(weights)}, "
            f"not {recipe.init_digest}; another training has replaced those this run began from. "
            "Start a new run, or bring the old ones back."
        )
    try:
        last = last_layer(model, data)
    except ValueError:  # a network of the user's that ends in something else
        last = None
    fill = _from_file if state is None else partial(_from_run, state=state)
    told = fill(path, model, recipe, data, weights, last)
    if say is not None:
        say(f"init {path}: {told}.")


def _from_run(
    path: Path,
    model: nn.Module,
    recipe: Recipe,
    data: Dataset,
    weights: dict[str, Tensor],
    last: str | None,
    *,
    state: State,
) -> str:
    """Fill a network with the weights of a run of the same network; return what was taken."""
    theirs = Recipe.from_json(state["recipe"]).model
    if theirs != recipe.model:
        raise CheckpointError(
            f"init {path}: its network is {theirs}, not {recipe.model}; expected the same."
        )
    own: dict[str, Tensor] = model.state_dict()
    new: list[str] = []
    classes = tuple(state["classes"])
    if classes != data.classes and last is not None:
        new = [name for name in (f"{last}.weight", f"{last}.bias") if name in own]
    if new and sorted(classes) == sorted(set(data.classes)):
        rows = list(match_classes(classes, data.classes))
        moved = {name: weights[name][rows] for name in new if name in weights}
        weights, new = {**weights, **moved}, []
    kept = {name: value for name, value in weights.items() if name not in new}
    _check_fit(path, kept, {name: value for name, value in own.items() if name not in new})
    model.load_state_dict({**own, **kept})
    return f"{_taken(len(kept), len(own))}{_made_anew(new, data, 'the run', len(classes))}"


def _from_file(
    path: Path,
    model: nn.Module,
    recipe: Recipe,
    data: Dataset,
    weights: dict[str, Tensor],
    last: str | None,
) -> str:
    """Fill a network with the tensors of a plain file; return what was taken."""
    assert isinstance(model, Normalised)
    network = model.model
    inner = None if last is None else last.removeprefix("model.")
    own: dict[str, Tensor] = network.state_dict()
    fit = fit_weights(path, weights, own, inner, what=recipe.model)
    network.load_state_dict({**own, **fit.taken})
    statistics = statistics_of(weights, data.channels)
    model.load_state_dict({**model.state_dict(), **statistics})
    told = _taken(len(fit.taken), len(own)) + _made_anew(fit.anew, data, "the file", fit.classes)
    if not fit.anew:
        told += ", and its classes by their number, since it has no names of them"
    unused = [name for name in fit.unused if name.split(".")[-1] not in statistics]
    if unused:
        told += f"; not used of the file: {some_of(unused)}"
    return told + ("; with its statistics" if statistics else "")


def _taken(count: int, whole: int) -> str:
    return f"{count} of {whole} tensors taken"


def _made_anew(names: Sequence[str], data: Dataset, what: str, classes: int | None) -> str:
    if not names:
        return ""
    there = "lacks them" if classes is None else f"has {classes}"
    return f"; {', '.join(names)} made anew for {data.num_classes} classes ({what} {there})"


def _check_fit(path: Path, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Refuse weights of other names or shapes."""
    lacking = [name for name in wanted if name not in given]
    odd = [name for name in given if name not in wanted]
    if lacking or odd:
        raise CheckpointError(
            f"init {path}: its weights lack {', '.join(lacking[:3]) or 'none'} and have "
            f"{', '.join(odd[:3]) or 'none'} beside those of this network; expected a run of the "
            "same network."
        )
    for name, value in wanted.items():
        if given[name].shape != value.shape:
            raise CheckpointError(
                f"init {path}: {name} has the shape {tuple(given[name].shape)} there and "
                f"{tuple(value.shape)} here; expected images of the same channels and, for a "
                "transformer, the same size. Give --image-size, or another run."
            )


@functools.lru_cache(maxsize=256)
def _known(path: str, which: str, *stamp: int) -> tuple[str | None, str]:
    """Network of a run, None for a plain file, and digest of the weights.

    Read once while the file does not change.
    """
    del stamp  # tells a file from one that was there before it
    weights, state = _weights(Path(path), which)
    network = None if state is None else Recipe.from_json(state["recipe"]).model
    return network, _digest(weights)


def _weights(path: Path, which: str) -> tuple[dict[str, Tensor], State | None]:
    """One set of weights of a run or a plain file, and what else is known of a run."""
    file = checkpoint_of(path)
    plain = None if path.is_dir() else read_plain(file, which)
    if plain is not None:
        return plain, None
    state = _read(file)
    return _chosen(path, state, which), state


def _read(file: Path) -> State:
    state = convert_checkpoint(load_checkpoint(file))
    if missing := [name for name in _NEEDED if name not in state]:
        raise CheckpointError(
            f"init {file} has no {', '.join(missing)}; expected the checkpoint of a training run."
        )
    return state


def _chosen(path: Path, state: State, which: str) -> dict[str, Tensor]:
    """One of the columns of a checkpoint."""
    columns = saved_columns(state)
    if which not in columns:
        raise CheckpointError(
            f"init {path}: its method has no teacher of its own; expected --init-weights raw or "
            "ema."
        )
    return columns[which]


def _digest(weights: Mapping[str, Tensor]) -> str:
    """The first eight digits are enough to tell one training from another."""
    return weights_digest(weights)[:8]
