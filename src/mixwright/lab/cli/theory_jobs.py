"""What ``mixwright theory`` measures, method by method, as groups for the report."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from mixwright.lab.cli.errors import UsageError
from mixwright.lab.cli.prepare import tell
from mixwright.lab.experiments.methods import Method
from mixwright.lab.reports.sections.section import Group
from mixwright.lab.theory.plans import BATCH, Mode, draw_plans
from mixwright.sampling import Stream, stream

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset

_IMAGES = 1024  # of the training set that are mixed
_EXPANDED = 800  # mixtures whose loss is expanded
_PIXELS = 1024  # of images whose pairs of pixels are all counted
_SCENARIOS = ("none", "mixup", "cutmix", "hmix", "gmix")


@dataclass(frozen=True, eq=False)
class Job:
    """What is measured on what.

    Args:
        data: the data set.
        methods: that have masks.
        looking: texts of those that look through a model.
        images: ``(M, C, H, W)`` in [0, 1], training images, on the device.
        labels: ``(M,)``.
        model: that is looked through; None where none is wanted.
        model_note: a sentence on it.
        model_name: in a few words.
        seeds: how many draws of everything.
        skipped: what could not be measured, with its reason; filled on the way.
    """

    data: "Dataset"
    methods: tuple[Method, ...]
    looking: frozenset[str]
    images: Tensor
    labels: Tensor
    model: nn.Module | None
    model_note: str
    model_name: str
    seeds: int
    skipped: list[str] = field(default_factory=list[str])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return int(self.images.shape[2]), int(self.images.shape[3])


def prepare(
    data: "Dataset",
    methods: Sequence[Method],
    *,
    device: str,
    run: str | None,
    seeds: int,
    through_model: bool,
) -> Job:
    """Take images, and the model where one is needed.

    Args:
        data: the data set.
        methods: that have masks.
        device: for images and model.
        run: a run folder or checkpoint whose model is taken; None trains a small net.
        seeds: how many draws.
        through_model: whether a model is wanted in any case.

    Raises:
        ValueError: the run cannot be read, or does not fit the data.
    """
    from mixwright.lab.reports.gallery import looks_through_model

    looking = frozenset(method.text for method in methods if looks_through_model(method))
    rows = torch.randperm(len(data.train), generator=stream(0, Stream.THEORY_IMAGES))[:_IMAGES]
    images = data.train.take(rows).float().div_(255).to(device)
    labels = data.train.labels[rows].to(device)
    model, note, name = None, "", ""
    if through_model or looking or run is not None:
        model, note, name = _model(data, run)
        model = model.to(device)
    return Job(data, tuple(methods), looking, images, labels, model, note, name, seeds)


def moments_of(job: Job, method: Method, *, mode: Mode, masks: int) -> Group | None:
    """Second moments of one method, a draw a seed; None, and a reason, where it has none.

    Args:
        job: what it is measured on.
        method: which.
        mode: see ``theory.moments``.
        masks: of each draw.
    """
    from mixwright.lab.theory.measured import measure_moments

    found: list[Any] = []
    for seed in range(job.seeds):
        try:
            one = measure_moments(
                _mixer(method), job.images, job.labels, mode=mode, count=masks, seed=seed,
                batch_size=min(BATCH, max(2, masks // 8)), model=job.model,
            )  # fmt: skip
        except ValueError as error:
            job.skipped.append(f"{method.label}, {mode} mode: {error}")
            return None
        found.append(one)
    return Group(
        key=method.text,
        label=method.label,
        seeds=tuple(range(job.seeds)),
        summaries=tuple(one.summary for one in found),
        arrays=tuple(one.arrays for one in found),
    )


def expanded(job: Job, method: Method) -> Group:
    """The loss of the job's model, expanded for one method; see ``theory.decomposition``."""
    from mixwright.lab.theory.decomposition import decompose

    assert job.model is not None
    summaries: list[dict[str, Any]] = []
    for seed in range(job.seeds):
        drawn = draw_plans(
            _mixer(method), job.images, job.labels, count=_EXPANDED,
            generator=stream(seed, Stream.EXPANSION), batch_size=100, model=job.model,
        )  # fmt: skip
        summaries.append(decompose(job.model, drawn).summary() | {"model": job.model_name})
    return Group(
        key=method.text,
        label=method.label,
        seeds=tuple(range(job.seeds)),
        summaries=tuple(summaries),
    )


def pressed(job: Job, moments: Group, terms: Group, *, masks: int) -> Group | None:
    """What one method asks of the filters of the model's first layer; see ``theory.first_layer``.

    Args:
        job: what it is measured on.
        moments: of the method, in exact mode.
        terms: its expansion.
        masks: whose pairs of pixels are counted for R2; of large images they are too many, and R2
            is left out.

    Returns:
        the group; None, and a reason, where the method mixes a fill or more than two images, or
        the first layer is no plain convolution.
    """
    from mixwright.lab.theory.first_layer import filter_noise, first_layer, first_layer_regulariser
    from mixwright.lab.theory.moments import gram

    assert job.model is not None
    first = moments.summaries[0]
    if abs(first["mean"] - first["mean_b"]) > 1e-6:
        job.skipped.append(f"{moments.label} on the first layer: it does not mix two images.")
        return None
    try:
        noise = filter_noise(job.model, job.images, moments.arrays[0]["a"])
    except ValueError as error:
        if str(error) not in job.skipped:
            job.skipped.append(str(error))
        return None
    layer = first_layer(job.model, job.images)
    by_moments = None
    if job.size[0] * job.size[1] <= _PIXELS:
        method = next(one for one in job.methods if one.text == moments.key)
        count = max(2, masks // (8 if method.text in job.looking else 1))
        drawn = draw_plans(
            _mixer(method), job.images, job.labels, count=count,
            generator=stream(0, Stream.FIRST_LAYER_PLANS), model=job.model,
        )  # fmt: skip
        pairs, _ = gram((one.plan for one in drawn), job.size)
        images = job.images[:100]
        by_moments = float(
            first_layer_regulariser(
                job.model, images, pairs, partners=min(8, len(images) - 1),
                generator=stream(0, Stream.FIRST_LAYER_PARTNERS),
            ).detach()
        )  # fmt: skip
    measured = terms.summaries[0]
    kernel = " x ".join(str(side) for side in layer.weight.shape[2:])
    summary = {
        "model": job.model_name,
        "layer": f"{layer.weight.shape[0]} of {kernel} pixels",
        "r2_moments": by_moments,
        "r2": measured["r2"],
        "r2_error": measured["r2_error"],
        "coefficient": noise.coefficient.tolist(),
        "roughness": noise.roughness.tolist(),
    }
    arrays = {"coefficient": noise.coefficient, "roughness": noise.roughness}
    return Group(moments.key, moments.label, (0,), (summary,), (arrays,))


def designed(job: Job, word: str, *, masks: int, folder: Path) -> Group:
    """Make a mixer for the moments that a word asks for, and keep it as ``design.json``.

    Args:
        job: whose image size and methods are taken.
        word: a kernel with options, a METHOD, or a file.
        masks: for measuring.
        folder: where the design is kept.

    Raises:
        ValueError: the word is none of these.
    """
    from mixwright.lab.theory.design import design_mixer

    wanted = _wanted(job, word, masks=masks)
    made = design_mixer(wanted, size=job.size, masks=max(256, masks))
    path = folder / "design.json"
    made.design.save(path)
    summary = made.summary() | {
        "word": word,
        "method": f"mixwright:FieldMix:design={path}",
    }
    return Group(word, word, (0,), (summary,), (made.arrays(),))


def in_scenarios(
    job: Job,
    rung: Literal["sprites", "cifar", "crops"],
    *,
    named: bool,
    seeds: int,
    folder: Path,
    on_message: Callable[[str], None],
) -> list[Group]:
    """Train on small and on large objects; see ``theory.scenarios``.

    Args:
        job: whose methods are trained, beside none, if they were named; else a few.
        rung: which images.
        named: whether the user named methods.
        seeds: how many.
        folder: where runs are kept.
        on_message: told what happens.
    """
    from mixwright.lab.experiments.methods import parse_methods
    from mixwright.lab.reports.sections.scenarios import scenario_groups
    from mixwright.lab.theory.scenarios.run import run_scenarios

    words = ["none", *(method.text for method in job.methods)] if named else _SCENARIOS
    methods = parse_methods(words)
    said: list[str] = []

    def progress(share: float, note: str) -> None:
        if note not in said:
            said.append(note)
            on_message(f"{100 * share:3.0f} %  {note}")

    found = run_scenarios(
        methods={method.text: method.mixer() for method in methods},
        rung=rung,
        data=None if rung == "sprites" else job.data,
        seeds=seeds,
        folder=folder,
        device=str(job.images.device),
        progress=progress,
    )
    return scenario_groups(found, {method.text: method.label for method in methods})


def _mixer(method: Method) -> Any:
    mixer = method.mixer()
    assert mixer is not None
    return mixer


def _model(data: "Dataset", run: str | None) -> tuple[nn.Module, str, str]:
    from mixwright.lab.experiments.probe_model import MODEL, train_probe_model
    from mixwright.lab.experiments.saved import load_saved

    if run is None:
        probe = train_probe_model(data, seed=0, on_message=tell)
        return probe.model, probe.note, f"a {MODEL} trained briefly on {data.name}"
    saved = load_saved(Path(run), image_size=data.image_size, channels=data.channels)
    if len(saved.classes) != data.num_classes:
        raise UsageError(
            f"--run {run}: its model tells {len(saved.classes)} classes apart, {data.name} has "
            f"{data.num_classes}. Give the --data that it was trained on."
        )
    name = f"a {saved.recipe.model} trained on {saved.recipe.data} with {saved.recipe.method}"
    return saved.raw, f"The model is {name} for {saved.epoch} epochs.", name


def _wanted(job: Job, word: str, *, masks: int) -> Any:
    """A kernel, or a map of coefficients."""
    from mixwright.arguments import did_you_mean
    from mixwright.lab.experiments.methods import parse_method
    from mixwright.lab.theory.design import KERNELS
    from mixwright.mixers import MIXERS

    name, _, rest = word.partition(":")
    if name in KERNELS:
        try:
            pairs = [item.split("=") for item in rest.split(",") if item]
            return KERNELS[name](**{key.strip(): float(value) for key, value in pairs})
        except (TypeError, ValueError) as error:
            raise UsageError(f"--design {word}: {error}. Write it like near:scale=0.1.") from None
    if word.endswith(".npy"):
        import numpy as np

        return torch.from_numpy(np.load(word, allow_pickle=False)).double()
    if name in MIXERS:
        group = moments_of(job, parse_method(word), mode="exact", masks=masks)
        if group is None:
            raise UsageError(f"--design {word}: {job.skipped[-1]}")
        return group.arrays[0]["a"]
    known = [*KERNELS, *MIXERS]
    raise UsageError(
        f"--design {word}: expected one of {', '.join(KERNELS)}, a mixer to imitate, or a map as "
        f".npy.{did_you_mean(name, known)}"
    )
