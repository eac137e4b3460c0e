"""What ``mixwright theory`` measures of METHODs: plain results, one a method and seed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from mixwright.arguments import did_you_mean
from mixwright.lab.evaluation.subject import Measurement
from mixwright.lab.experiments.methods import Method, parse_method, parse_methods
from mixwright.lab.experiments.probe_model import ProbeModel, find_probe_model, looks_through_model
from mixwright.lab.theory.decomposition import decompose
from mixwright.lab.theory.design import KERNELS, Kernel, design_mixer
from mixwright.lab.theory.design.kernels import parse_kernel
from mixwright.lab.theory.first_layer import measure_first_layer
from mixwright.lab.theory.measured import measure_moments
from mixwright.lab.theory.plans import BATCH, Mode, draw_plans
from mixwright.lab.theory.scenarios.comparisons import Compared
from mixwright.lab.theory.scenarios.run import run_scenarios
from mixwright.lab.theory.scenarios.tasks import DatasetKind
from mixwright.mixers import MIXERS, Mixer
from mixwright.sampling import Stream, stream

if TYPE_CHECKING:
    from mixwright.lab.data.sets import Dataset

_IMAGES = 1024  # of the training set that are mixed
_EXPANDED = 800  # mixtures whose loss is expanded
_FEWER = 8  # masks that cost passes through a model are so many times fewer
_SCENARIOS = ("none", "mixup", "cutmix", "hmix", "gmix")  # trained where no METHOD is named

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Measurements:
    """What one measurement found for one method: one result a seed, from seed 0.

    ``key`` is its METHOD, or of a design the text that asked for it; ``label`` how people call it.
    """

    key: str
    label: str
    found: tuple[Measurement, ...]


Sections = dict[str, list[Measurements]]
"""By kind: moments, moments-paper, decomposition, first-layer, design, scenarios."""


@dataclass(frozen=True, eq=False)
class TheorySetup:
    """What is measured on what.

    ``methods`` are those that have masks, ``looking`` the texts of those that look through a model,
    ``images`` ``(M, C, H, W)`` in [0, 1] training images on the device; ``skipped``, what could not
    be measured, with its reason, is filled on the way.
    """

    data: "Dataset"
    methods: tuple[Method, ...]
    looking: frozenset[str]
    images: Tensor
    labels: Tensor
    probe: ProbeModel | None
    seeds: int
    skipped: list[str] = field(default_factory=list[str])

    @property
    def model(self) -> nn.Module | None:
        """The model to look through, on the device of the images."""
        return None if self.probe is None else self.probe.model

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images."""
        return int(self.images.shape[2]), int(self.images.shape[3])

    def mask_count(self, method: Method, masks: int) -> int:
        """Return how many masks of a method are drawn where ``masks`` are asked for."""
        return max(2, masks // (_FEWER if method.text in self.looking else 1))


def with_masks(texts: Iterable[str], *, trust: bool = False) -> list[str]:
    """Those of the METHODs whose masks ``methods_with_masks`` would measure."""
    return [
        method.text
        for method in parse_methods([*texts], trust=trust)
        if method.parts and method.mixer() is not None and not method.mixing.get("clean", 0)
    ]


def methods_with_masks(texts: Sequence[str], *, trust: bool = False) -> list[Method]:
    """Read the METHODs whose masks are measured; without any, all of ``MIXERS``.

    Raises:
        ValueError: see ``parse_methods``; or none of them mixes, one has no mixer of its own, or
            has a loss on whole images beside.
    """
    methods = [method for method in parse_methods(texts or MIXERS, trust=trust) if method.parts]
    if not methods:
        raise ValueError("none mixes nothing: it has no masks. Name a method, such as cutmix.")
    for method in methods:
        if method.mixer() is None:
            raise ValueError(
                f"{method.text} mixes within training and has no masks of its own. Name a mixer; "
                "one that a run has learned is trained:run=PATH."
            )
        if method.mixing.get("clean", 0):
            raise ValueError(
                f"{method.text}: clean adds a loss on whole images, and only mixing is looked at "
                "here; expected the method without it."
            )
    return methods


def prepare_theory(
    data: "Dataset",
    methods: Sequence[Method],
    *,
    device: str,
    run: str | None,
    seeds: int,
    with_model: bool,
    on_message: Say,
    model: str | None = None,
    trust: bool = False,
) -> TheorySetup:
    """Choose images, and the model where one is needed.

    That is the model of ``run``, a run folder or checkpoint, or else a net trained on the spot,
    ``model`` or a small one (see ``find_probe_model``); ``with_model`` asks for one even if
    no method looks through it.

    Raises:
        ValueError: the run cannot be read, or does not fit the data.
    """
    looking = frozenset(method.text for method in methods if looks_through_model(method))
    probe = None
    if with_model or looking or run is not None or model is not None:
        probe = find_probe_model(data, run, seed=0, on_message=on_message, trust=trust, model=model)
        probe.model.to(device)
        data = probe.data
    rows = torch.randperm(len(data.train), generator=stream(0, Stream.THEORY_IMAGES))[:_IMAGES]
    images = data.train.take(rows).float().div_(255).to(device)
    labels = data.train.labels[rows].to(device)
    return TheorySetup(data, tuple(methods), looking, images, labels, probe, seeds)


def measure_theory(
    setup: TheorySetup,
    *,
    modes: Sequence[Mode],
    masks: int,
    decomposition: bool,
    design: str | None,
    scenarios: DatasetKind | Mapping[str, Compared] | None,
    scenario_methods: Sequence[Method],
    scenario_seeds: int,
    folder: Path,
    on_message: Say,
    on_moments: Callable[[Sequence[Measurements]], None],
) -> Sections:
    """Measure everything that was asked for, the shortest first.

    ``masks`` are of each method and draw; ``decomposition`` expands the loss of the model and
    measures its first layer; ``design`` is a kernel, METHOD or ``.npy``. ``scenarios`` is what two
    comparisons say, or the kind of images on which ``scenario_methods`` are trained beside none, a
    few usual ones where empty. The design and these runs are kept in ``folder``; ``on_moments`` is
    called with the second moments of all methods in one mode.

    Raises:
        ValueError: the design is not understood, or no method has second moments in these modes.
    """
    designed = list[Measurements]()
    if design:  # first, since its text may be wrong
        on_message(f"designing masks for {design} ...")
        designed.append(design_masks(setup, design, masks=masks, folder=folder))
    sections: Sections = {}
    for mode in modes:
        found = [
            measurements
            for method in setup.methods
            if (measurements := _moments(setup, method, mode, masks, on_message)) is not None
        ]
        if found:
            sections["moments" if mode == "exact" else f"moments-{mode}"] = found
            on_moments(found)
    if not sections:
        raise ValueError(" ".join(setup.skipped))
    if decomposition:
        on_message("expanding the loss ...")
        sections["decomposition"] = [expand_loss(setup, method) for method in setup.methods]
        sections["first-layer"] = _first_layers(setup, sections, masks)
    sections["design"] = designed
    if isinstance(scenarios, Mapping):
        sections["scenarios"] = [
            Measurements(text, compared.label, compared.found)
            for text, compared in scenarios.items()
        ]
    elif scenarios is not None:
        methods = [Method(()), *scenario_methods] if scenario_methods else parse_methods(_SCENARIOS)
        sections["scenarios"] = train_scenarios(
            setup, scenarios, methods, seeds=scenario_seeds, folder=folder / "scenarios",
            on_message=on_message,
        )  # fmt: skip
    return {name: found for name, found in sections.items() if found}


def expand_loss(setup: TheorySetup, method: Method) -> Measurements:
    """Expand the loss of the model for one method; see ``theory.decomposition``."""
    assert setup.probe is not None
    found = list[Measurement]()
    for seed in range(setup.seeds):
        batches = draw_plans(
            _mixer(method), setup.images, setup.labels, count=_EXPANDED,
            generator=stream(seed, Stream.EXPANSION), batch_size=100, model=setup.model,
        )  # fmt: skip
        summary = decompose(setup.probe.model, batches).summary() | {"model": setup.probe.name}
        found.append(Measurement(summary=summary))
    return Measurements(method.text, method.label, tuple(found))


def design_masks(setup: TheorySetup, text: str, *, masks: int, folder: Path) -> Measurements:
    """Design a mixer for wanted moments, and keep it as ``design.json`` in a folder."""
    wanted = _wanted_moments(setup, text, masks)
    made = design_mixer(wanted, size=setup.size, masks=max(256, masks))
    path = folder / "design.json"
    made.design.save(path)
    summary = made.summary() | {
        "word": text,
        "method": f"mixwright:FieldMix:design={path}",
    }
    return Measurements(text, text, (Measurement(summary=summary, arrays=made.arrays()),))


def train_scenarios(
    setup: TheorySetup,
    kind: DatasetKind,
    methods: Iterable[Method],
    *,
    seeds: int,
    folder: Path,
    on_message: Say,
) -> list[Measurements]:
    """Train methods on small and on large objects; see ``theory.scenarios``."""
    by_text = {method.text: method for method in methods}
    noted = set[str]()

    def progress(share: float, note: str) -> None:
        if note not in noted:
            noted.add(note)
            on_message(f"{100 * share:3.0f} %  {note}")

    found = run_scenarios(
        methods={text: method.mixer() for text, method in by_text.items()},
        dataset_kind=kind,
        data=None if kind == "sprites" else setup.data,
        seeds=seeds,
        folder=folder,
        device=str(setup.images.device),
        progress=progress,
    )
    return [
        Measurements(text, by_text[text].label, tuple(results)) for text, results in found.items()
    ]


def _moments(
    setup: TheorySetup, method: Method, mode: Mode, masks: int, on_message: Say
) -> Measurements | None:
    """Second moments, a draw a seed; None where the method has none in this mode."""
    count = setup.mask_count(method, masks)
    try:
        found = tuple(_draw_moments(setup, method, mode, count, s) for s in range(setup.seeds))
    except ValueError as error:
        setup.skipped.append(f"{method.label}, {mode} mode: {error}")
        return None
    on_message(f"{method.text}: {found[0].summary['masks']:,} masks")
    return Measurements(method.text, method.label, found)


def _draw_moments(
    setup: TheorySetup, method: Method, mode: Mode, count: int, seed: int
) -> Measurement:
    # At least eight batches, as far as there are masks: standard errors are over batches.
    return measure_moments(
        _mixer(method), setup.images, setup.labels, mode=mode, count=count, seed=seed,
        batch_size=min(BATCH, max(2, count // 8)), model=setup.model,
    )  # fmt: skip


def _first_layers(
    setup: TheorySetup, sections: Mapping[str, Sequence[Measurements]], masks: int
) -> list[Measurements]:
    """What methods ask of the first layer; those that mix a fill or three images are skipped."""
    assert setup.probe is not None
    methods = {method.text: method for method in setup.methods}
    terms = {measured.key: measured.found[0] for measured in sections["decomposition"]}
    layers = list[Measurements]()
    for moments in sections.get("moments", ()):
        first, method = moments.found[0], methods[moments.key]
        if abs(first.summary["mean"] - first.summary["mean_b"]) > 1e-6:
            setup.skipped.append(f"{moments.label} on the first layer: it does not mix two images.")
            continue
        try:
            found = measure_first_layer(
                _mixer(method), setup.probe.model, setup.images, setup.labels,
                offsets=first.arrays["a"], count=setup.mask_count(method, masks),
            )  # fmt: skip
        except ValueError as error:  # the layer is no plain convolution: the same for all methods
            if str(error) not in setup.skipped:
                setup.skipped.append(str(error))
            continue
        measured = {name: terms[moments.key].summary[name] for name in ("r2", "r2_error")}
        summary = {"model": setup.probe.name, **found.summary, **measured}
        found = Measurement(summary=summary, arrays=found.arrays)
        layers.append(Measurements(moments.key, moments.label, (found,)))
    return layers


def _mixer(method: Method) -> Mixer:
    mixer = method.mixer()
    assert mixer is not None
    return mixer


def _wanted_moments(setup: TheorySetup, text: str, masks: int) -> Kernel | Tensor:
    name = text.partition(":")[0]
    try:
        if name in KERNELS:
            return parse_kernel(text)
        if text.endswith(".npy"):
            import numpy as np

            return torch.from_numpy(np.load(text, allow_pickle=False)).double()
        if name in MIXERS:
            return _draw_moments(setup, parse_method(text), "exact", masks, 0).arrays["a"]
    except ValueError as error:
        raise ValueError(f"--design {text}: {error}") from None
    raise ValueError(
        f"--design {text}: expected one of {', '.join(KERNELS)}, a mixer to imitate, or a map as "
        f".npy.{did_you_mean(name, [*KERNELS, *MIXERS])}"
    )
