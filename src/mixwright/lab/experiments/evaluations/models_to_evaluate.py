"""From words to models that can be judged: runs, comparisons, names, and models of the user's."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from mixwright.checkpoint import checkpoint_of
from mixwright.lab.analysis.findings import WEIGHTS
from mixwright.lab.analysis.store import NAMES, read_findings
from mixwright.lab.experiments.methods import parse_method
from mixwright.lab.experiments.saved import columns_of, heads_of, load_saved, recipe_of
from mixwright.lab.models.build import build_model
from mixwright.lab.models.names import MODELS
from mixwright.lab.models.normalised import Normalised
from mixwright.lab.models.zoo import published

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset
    from mixwright.lab.training.recipe import Recipe
    from mixwright.mixers import Mixer

_OWN_TO_A_RUN = ("method", "seed", "init", "init_weights", "init_digest")

_OWN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelToEvaluate:
    """One model with one set of weights.

    Args:
        group: what its seeds have in common: METHOD and weights, or the model's name.
        label: how people call the group.
        method_label: how people call its method or model, without the weights.
        name: of the model itself, for messages and folders.
        seed: of its run; None where it has none.
        weights: of a run, one of ``WEIGHTS``; empty for other models.
        load: makes the model for images of a data set, in [0, 1].
        recipe: of its run, if it has one.
        folder: of its run.
        file: its checkpoint.
        doubted: whether its normalisation is looked at before it is judged.
    """

    group: str
    label: str
    method_label: str
    name: str
    seed: int | None
    weights: str
    load: Callable[[Dataset], nn.Module]
    recipe: Recipe | None = None
    folder: Path | None = None
    file: Path | None = None
    doubted: bool = False

    @property
    def baseline(self) -> bool:
        """Whether it was trained without mixing."""
        return self.recipe is not None and self.recipe.method == "none"

    @property
    def slug(self) -> str:
        """A name for its folder."""
        slug = re.sub(r"[^A-Za-z0-9._]+", "-", f"{self.name}-{self.weights or 'own'}").strip("-")
        where = str(self.file.resolve()) if self.file else self.name
        return (
            f"{slug[:60]}-{hashlib.sha256(where.encode(errors='surrogateescape')).hexdigest()[:6]}"
        )

    def mixer(self) -> Mixer | None:
        """What it was trained with, where that mixes; a learned mixer as it was learned."""
        if self.recipe is None:
            return None
        method = parse_method(self.recipe.method, file=self.file)  # imported when it was found
        if method.parts and method.parts[0].learns and self.file is not None:
            from mixwright.lab.experiments.trained import learns_mixer
            from mixwright.mixers.mixer_file import load_mixer

            if learns_mixer(method.parts[0].cls):
                return load_mixer(self.file)
        return method.mixer()


def find_models(
    word: str, *, weights: str, normalise: str, trust: bool = False
) -> list[ModelToEvaluate]:
    """Find the models that a word means.

    Args:
        word: a run folder or checkpoint; the folder of a comparison, for all its runs; ``package.
            module:function`` that returns a model; or a name of timm's, with its published weights.
        weights: which of a run: one of ``WEIGHTS``, or ``all`` that it has.
        normalise: of a model of the user's: ``inside`` where it does it itself, ``unchecked``
            likewise without a look, ``data`` to put the data's normalisation in front of it.
        trust: import the modules that runs name for their methods.

    Returns:
        at least one.

    Raises:
        ValueError: there is no such thing, it has no such weights, or its method is of a module
            that is not imported.
    """
    path = Path(word).expanduser()
    if path.suffix == ".json" and path.is_file():
        raise ValueError(
            f"{word} is no model; expected a run folder, a checkpoint or the folder of a "
            "comparison. The page of a record is made by mixwright report."
        )
    if path.exists():
        return _of_path(path, weights, trust)
    if _OWN.fullmatch(word) and not word.endswith(".pt"):
        return [_of_function(word, normalise)]
    if "/" in word or word.endswith(".pt"):
        raise ValueError(
            f"there is no {word}; expected a run folder, a checkpoint, the folder of a comparison, "
            "package.module:function, or a name of timm's."
        )
    if word in MODELS:
        raise ValueError(
            f"{word} is the name of a network without weights; give the folder of a run that "
            "trained it."
        )
    return [_of_timm(word)]


def _of_path(path: Path, weights: str, trust: bool) -> list[ModelToEvaluate]:
    runs = [path]
    if path.is_dir() and not (path / "last.pt").is_file() and (path / "runs").is_dir():
        runs = [run for run in _runs_of(path) if (run / "last.pt").is_file()]
        if not runs:
            raise ValueError(f"{path}: the comparison there has no finished run to evaluate.")
    found = [model for run in runs for model in _of_run(run, weights, trust)]
    if not found:
        raise ValueError(
            f"{path}: no run has weights of the kind {weights!r}; expected --weights all, raw or "
            "ema. Methods that learn a mixer have a teacher of their own and a second last layer "
            "for mixed images."
        )
    return found


def _runs_of(comparison: Path) -> list[Path]:
    """Run folders of a comparison: those in its record, else all that are finished."""
    record = comparison / NAMES["comparison"]
    if record.is_file():  # others may be left of earlier recipes
        groups = read_findings(record).parts["scores"].groups
        return [
            comparison / run for group in groups if group.weights == "raw" for run in group.folders
        ]
    return sorted(result.parent for result in (comparison / "runs").glob("*/result.json"))


def check_models(candidates: Sequence[ModelToEvaluate]) -> list[ModelToEvaluate]:
    """Refuse models that are no seeds of one another; return each once.

    Raises:
        ValueError: runs differ in more than method, seed and first weights.
    """
    single = list({(model.group, model.slug): model for model in candidates}.values())
    recipes = [asdict(model.recipe) for model in single if model.recipe is not None]
    for name in recipes[0] if recipes else ():
        values = list(dict.fromkeys(repr(recipe[name]) for recipe in recipes))
        if len(values) > 1 and name not in _OWN_TO_A_RUN:
            raise ValueError(
                f"these runs differ in {name} ({', '.join(values[:3])}), so they are no seeds and "
                "methods of one comparison; expected one recipe. Evaluate them apart, each with an "
                "--out of its own."
            )
    return single


def _of_run(path: Path, weights: str, trust: bool) -> list[ModelToEvaluate]:
    recipe, there, heads = recipe_of(path), columns_of(path), heads_of(path)
    wanted = list(WEIGHTS) if weights == "all" else [weights]
    file = checkpoint_of(path)
    method = parse_method(recipe.method, file=file, trust=trust)
    # Another checkpoint than the last is another model, not another seed of the same.
    which = "" if file.name == "last.pt" else f" ({file.name})"

    def named(column: str) -> str:
        own = WEIGHTS[column]
        return WEIGHTS.get(f"{column}_mixed", own) if heads.get(column) == "mixed" else own

    def load(column: str) -> Callable[[Dataset], nn.Module]:
        return lambda data: load_saved(
            path, image_size=data.image_size, channels=data.channels
        ).models[column]

    return [
        ModelToEvaluate(
            group=f"{method.text}{which} {column}",
            label=f"{method.label}{which}" + (f", {named(column)}" if weights == "all" else ""),
            method_label=f"{method.label}{which}",
            name=f"{method.slug}-s{recipe.seed}{which}",
            seed=recipe.seed,
            weights=column,
            load=load(column),
            recipe=recipe,
            folder=file.parent,
            file=file,
        )
        for column in wanted
        if column in there
    ]


def _of_function(word: str, normalise: str) -> ModelToEvaluate:
    module, _, name = word.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        make = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise
        raise ValueError(
            f"{word}: there is no module {module} here or among the installed packages. Run from "
            "the folder that holds it, or install it."
        ) from None
    except AttributeError:
        raise ValueError(f"{word}: module {module} has no {name}.") from None

    def load(data: Dataset) -> nn.Module:
        model = make if isinstance(make, nn.Module) else make()
        if not isinstance(model, nn.Module):
            raise ValueError(
                f"{word} gave a {type(model).__name__}; expected a torch.nn.Module, or a function "
                "without arguments that returns one."
            )
        return Normalised(model, data.mean, data.std) if normalise == "data" else model

    return _alone(word, load, doubted=normalise != "unchecked")


def _of_timm(name: str) -> ModelToEvaluate:
    def load(data: Dataset) -> nn.Module:
        weights = published(name)
        model = build_model(
            name,
            num_classes=weights.classes,  # of other data they are refused, not guessed
            image_size=data.image_size,
            channels=data.channels,
            pretrained=True,
        )
        return Normalised(model, weights.mean, weights.std)

    return _alone(name, load, doubted=True)


def _alone(name: str, load: Callable[[Dataset], nn.Module], *, doubted: bool) -> ModelToEvaluate:
    """A model that no run of ours has trained."""
    return ModelToEvaluate(
        group=name, label=name, method_label=name, name=name, seed=None, weights="", load=load,
        doubted=doubted,
    )  # fmt: skip
