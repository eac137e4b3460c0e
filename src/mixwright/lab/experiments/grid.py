"""Several methods times several seeds: plans the runs, does those that are missing.

The folder is the contract: a run is done when its ``result.json`` is there and whole, so the same
command again does only what is missing, whatever stopped it the last time.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixwright.files import LOCK, is_locked, locked, remove_unfinished
from mixwright.lab.data.cores import threads_asked_for, usable_cores
from mixwright.lab.experiments.executors.base import Event, Executor, Job, progress_detail
from mixwright.lab.experiments.executors.local import Pool
from mixwright.lab.experiments.finetune import resolve_init
from mixwright.lab.experiments.methods import Method
from mixwright.lab.experiments.notes import notes_of_objectives
from mixwright.lab.training.folder import RunHeldError, is_finished
from mixwright.lab.training.recipe import Recipe, recipe_hash

if TYPE_CHECKING:
    from mixwright.lab.data.identity import DataIdentity


@dataclass(frozen=True)
class Planned:
    """One run of a comparison: what is trained with, all its settings, and its folder."""

    method: Method
    recipe: Recipe
    folder: Path

    @property
    def name(self) -> str:
        """How messages call it."""
        return f"{self.method.text}, seed {self.recipe.seed}"

    @property
    def log(self) -> Path:
        """File that takes what the run prints."""
        return self.folder.parent.parent / "logs" / f"{self.folder.name}.log"

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do; see ``is_finished``."""
        return is_finished(self.folder)

    @property
    def held(self) -> bool:
        """Whether a process is at work on it."""
        return is_locked(self.folder / LOCK)


def plan_runs(
    methods: Sequence[Method],
    settings: Mapping[str, Any],
    *,
    seeds: int,
    out: Path,
    learned: Mapping[str, Any] | None = None,
) -> list[Planned]:
    """Plan all runs of a comparison, seed by seed, so that a part is a fair comparison too.

    ``settings`` are fields of the recipe but for method and seed, ``learned`` those that methods
    which learn a mixer have in place of them; seeds count from 0.

    Raises:
        ValueError: ``seeds`` is below 1, the recipe is refused, or the weights that a run is to
            start from are not there.
    """
    if seeds < 1:
        raise ValueError(f"seeds is {seeds}; at least one is needed, three or more for intervals.")
    runs: list[Planned] = []
    for seed in range(seeds):
        for method in methods:
            recipe = recipe_of(method, settings, seed=seed, learned=learned)
            runs.append(planned(method, recipe, out))
    return runs


def recipe_of(
    method: Method, settings: Mapping[str, Any], *, seed: int, learned: Mapping[str, Any] | None
) -> Recipe:
    """Return the recipe of one run; arguments and errors are those of ``plan_runs``."""
    own = {**settings, **((learned or {}) if learns_mixer(method) else {})}
    there = resolve_init(own, method=method.slug, seed=seed)
    return Recipe.from_fields({**there, "method": method.text, "seed": seed})


def learns_mixer(method: Method) -> bool:
    """Whether a method learns the mixer that it trains with, as AutoMix does."""
    from mixwright.lab.experiments.trained import learns_mixer as class_learns

    return any(part.learns and class_learns(part.cls) for part in method.parts)


def planned(method: Method, recipe: Recipe, out: Path) -> Planned:
    """Return one run of a comparison in ``out``."""
    return Planned(method, recipe, out / "runs" / run_name(method, recipe))


def run_name(method: Method, recipe: Recipe) -> str:
    """Return the name of a run's folder, where none was asked for."""
    return f"{method.slug}-s{recipe.seed}-{recipe_hash(recipe)}"


def own_fields(runs: Sequence[Planned], *, but: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
    """METHOD -> the fields of its recipe that are not the same for all methods, ``but`` some.

    A published recipe may have some for methods that learn a mixer. Starts are a run's own, not a
    method's.
    """
    recipes = {run.method.text: dataclasses.asdict(run.recipe) for run in runs}
    some = next(iter(recipes.values()))
    differing = [
        name
        for name in some
        if name not in ("method", "seed", "init", "init_digest", *but)
        and any(recipe[name] != some[name] for recipe in recipes.values())
    ]
    if not differing:
        return {}
    return {text: {name: recipe[name] for name in differing} for text, recipe in recipes.items()}


@dataclass(frozen=True)
class Place:
    """Where runs find their data and what they run on.

    ``devices`` are handed out in turn; ``trust`` imports the modules that a file behind
    ``trained:run=`` names. ``data`` is the name by which the data are found now; None means the
    recipe's name. ``identity`` is what they are; None means that each run works it out.
    ``subset_seed`` drew the training images of ``identity``; runs that drew others work out their
    own.
    """

    data_dir: str | None
    skip_unreadable: bool
    devices: tuple[str, ...]
    trust: bool = False
    data: str | None = None
    identity: "DataIdentity | None" = None
    subset_seed: int | None = None

    def identity_for(self, recipe: Recipe) -> "DataIdentity | None":
        """What the data of a run are, where that is known."""
        return self.identity if recipe.subset_seed == self.subset_seed else None


def worker_pool(place: Place, *, workers: int) -> Pool:
    """Return worker processes that share the cores."""
    # Threads beyond the free cores make torch many times slower, so a user's word comes first.
    threads = threads_asked_for() or usable_cores() // workers
    return Pool(workers=workers, threads=max(1, threads), devices=place.devices)


def run_parallel(
    runs: Sequence[Planned], place: Place, *, pool: Executor, on_event: Callable[[Event], None]
) -> list[Event]:
    """Do the missing runs where an executor does them; return how each one ended."""
    return pool.run([_job(run, place) for run in runs if not run.finished], on_event=on_event)


def run_together(
    runs: Sequence[Planned], place: Place, *, on_event: Callable[[Event], None]
) -> list[Event]:
    """Do the missing runs one after another in this process, together with all other ranks.

    Return how each one ended.
    """
    from mixwright.lab.experiments.run import failure_text
    from mixwright.lab.experiments.run import run as carry_out
    from mixwright.lab.training.distributed import join

    ends: list[Event] = []
    world = join(place.devices[0])
    missing = world.share([not run.finished for run in runs])  # what rank 0 sees counts
    for run in (run for run, wanted in zip(runs, missing, strict=True) if wanted):
        job = _job(run, place)
        on_event(Event("start", job))
        try:
            with notes_of_objectives(
                lambda note, job=job: on_event(Event("progress", job, {"note": note}))
            ):
                carry_out(
                    run.recipe,
                    run.folder,
                    data_dir=place.data_dir,
                    skip_unreadable=place.skip_unreadable,
                    trust=place.trust,
                    data_name=place.data,
                    identity=place.identity_for(run.recipe),
                    device=str(world.device(place.devices[0])),
                    on_progress=lambda now, job=job: on_event(
                        Event("progress", job, progress_detail(now))
                    ),
                )
            end = Event("done", job)
        except Exception as error:
            if world.size > 1 and not isinstance(error, RunHeldError):  # which all of them know
                raise  # the others may not know: all must start again, and will resume
            end = Event("failed", job, {"error": failure_text(error)})
        ends.append(end)
        on_event(end)
    return ends


class BusyError(ValueError):
    """Another process is writing to a folder."""


@contextlib.contextmanager
def alone_in(out: Path, *, on_wait: Callable[[], None] | None = None) -> Generator[None]:
    """Keep others from writing to a folder at the same time; it is made where it is missing.

    Only of the folder's own files: run folders have locks of their own. ``on_wait`` is called
    before a process that is at work there is waited for.

    Raises:
        BusyError: another process is at work there, and ``on_wait`` is None.
    """
    out.mkdir(parents=True, exist_ok=True)
    try:
        file = locked(out / LOCK)
    except BlockingIOError:
        if on_wait is None:
            raise BusyError(
                f"another mixwright is at work in {out}. Wait for it, or give --out another folder."
            ) from None
        on_wait()
        file = locked(out / LOCK, wait=True)
    with file or contextlib.nullcontext():
        remove_unfinished(out)
        yield


def _job(run: Planned, place: Place) -> Job:
    identity = place.identity_for(run.recipe)
    request = {
        "recipe": dataclasses.asdict(run.recipe),
        "folder": str(run.folder.resolve()),
        "data_dir": place.data_dir,
        "skip_unreadable": place.skip_unreadable,
        "trust": place.trust,
        "data_name": place.data,
        "identity": None if identity is None else dataclasses.asdict(identity),
    }
    return Job(run.name, run.folder, run.log.resolve(), request)
